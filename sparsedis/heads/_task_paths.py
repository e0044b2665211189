"""Heads of a block of tasks, chosen from their paths by held-out errors."""

from dataclasses import dataclass, replace

import numpy as np
import torch

from sparsedis.heads._folds import choose
from sparsedis.heads._least_squares import bic, relax
from sparsedis.heads._path_moments import Sums
from sparsedis.solvers._working_path import solve_wide_path
from sparsedis.solvers.lasso_path import solve_lasso_path

# Number of features up to which tasks are solved together.
_NARROW = 256

# Entries of the Gram matrices of a block.
_BLOCK = 2**23

# Targets with a smaller spread, relative to their size, are constant.
_ROUNDING = 1e-13

# Penalty of heads that are zero whatever it is, as in scikit-learn.
_SMALLEST = float(np.finfo(float).resolution)


@dataclass(frozen=True, eq=False)
class HeadProblem:
    """What the heads of all tasks have in common.

    Attributes
    ----------
    alphas : int, or ndarray of shape (n_alphas,) or (n_tasks, n_alphas)
        Number of penalties of each task, or penalties in decreasing order.

    eps : float
        Smallest penalty of a task, relative to the largest, if `alphas` is a number.

    rule : {"cv", "1se", "bic"}
        Choice among several penalties.

    relaxed : bool
        Whether to fit the chosen heads again, on their features and without penalty.

    weighted : bool
        Whether folds count by the weights of their labels.

    fit_intercept, positive : bool

    tol : float
    """

    alphas: object
    eps: float
    rule: str
    relaxed: bool
    weighted: bool
    fit_intercept: bool
    positive: bool
    tol: float

    def take(self, tasks):
        """The same for some of the tasks."""
        if np.ndim(self.alphas) < 2:
            return self
        return replace(self, alphas=self.alphas[tasks])


@dataclass(frozen=True, eq=False)
class Heads:
    """Chosen heads of some tasks.

    Attributes
    ----------
    coef : ndarray of shape (n_tasks, p)

    intercept, alpha, gap : ndarray of shape (n_tasks,)

    alphas : ndarray of shape (n_tasks, n_alphas)

    errors : ndarray of shape (n_tasks, n_alphas, n_folds)
        Mean squared errors on each fold of heads fitted without it; NaN if either part
        has no labels.

    criterion : ndarray of shape (n_tasks, n_alphas)
        BIC; NaN for other rules.
    """

    coef: np.ndarray
    intercept: np.ndarray
    alpha: np.ndarray
    gap: np.ndarray
    alphas: np.ndarray
    errors: np.ndarray
    criterion: np.ndarray


def block_size(p, n_folds):
    """Number of tasks whose paths are followed together."""
    return max(1, _BLOCK // ((n_folds + 1) * p * p)) if p <= _NARROW else 1


def fit_heads(X, Y, share, folds, problem):
    """Follow the paths of a block of tasks, and choose a head from each.

    Parameters
    ----------
    X : ndarray of shape (n, p)

    Y : ndarray of shape (n, n_tasks)
        Targets, 0 where missing.

    share : ndarray of shape (n, n_tasks)
        Weights of the labels, 0 where missing. Each task has one at least.

    folds : Folds

    problem : HeadProblem

    Returns
    -------
    Heads
    """
    fold, used = folds.assign(share > 0), share.any(1)
    X, Y, share, fold = X[used], Y[used], share[used], fold[used]
    centre, middle = np.zeros(X.shape[1]), np.zeros(Y.shape[1])
    if problem.fit_intercept:
        mass = share.sum(0)
        centre, middle = X.mean(0), (share * Y).sum(0) / mass
        spread = np.sqrt((share * (Y - middle) ** 2).sum(0) / mass)
        varies = spread > _ROUNDING * np.abs(Y).max(0)
        Y = np.where((share > 0) & varies, Y - middle, 0.0)
    Z = X - centre
    if problem.fit_intercept:
        Z[:, Z.std(0) <= _ROUNDING * np.abs(X).max(0)] = 0.0
    data = (
        torch.from_numpy(np.ascontiguousarray(part)) for part in (Z, Y, share, fold)
    )
    follow = _narrow if Z.shape[1] <= _NARROW else _wide
    alphas, coef, intercept, gap, errors, mass = (
        part.numpy() for part in follow(*data, folds.n_folds, problem)
    )
    criterion = np.full(alphas.shape, np.nan)
    if problem.rule == "bic":
        criterion = bic(Z, Y, share, coef, intercept, problem.fit_intercept)
        chosen = criterion.argmin(1)
    else:
        chosen = choose(errors, mass if problem.weighted else None, problem.rule)
    at = np.arange(len(chosen)), chosen
    coef, intercept = coef[at], intercept[at]
    if problem.relaxed:
        coef, intercept = relax(Z, Y, share, coef != 0, problem.fit_intercept)
    intercept = middle + intercept - coef @ centre
    return Heads(coef, intercept, alphas[at], gap[at], alphas, errors, criterion)


def _penalties(problem, corr):
    """Penalties of each task, of shape (n_tasks, n_alphas)."""
    alphas = problem.alphas
    if isinstance(alphas, np.ndarray):
        alphas = torch.from_numpy(alphas).to(corr)
        return alphas.expand(len(corr), -1)
    largest = (corr if problem.positive else corr.abs()).amax(1)
    grid = torch.logspace(0, np.log10(problem.eps), alphas, dtype=corr.dtype)
    grid = largest[:, None] * grid
    return torch.where(largest[:, None] > _SMALLEST, grid, _SMALLEST)


def _narrow(Z, Y, share, fold, n_folds, problem):
    """All tasks together, from sums over their labels."""
    n_tasks, p = Y.shape[1], Z.shape[1]
    held = [Sums.of(Z, Y, share * (fold == f)) for f in range(n_folds)]
    whole = held[0] if held else Sums.of(Z, Y, share)
    for part in held[1:]:
        whole = whole + part
    parts = [whole, *(whole - part for part in held)]
    variance = Z.var(0, correction=0)
    forms = [part.gram_form(variance, problem.fit_intercept) for part in parts]
    gram, corr, y_sq = (torch.cat(form) for form in zip(*forms, strict=True))
    alphas = _penalties(problem, corr[:n_tasks])
    coef, info = solve_lasso_path(
        gram,
        corr,
        y_sq,
        alphas.repeat(len(parts), 1),
        positive=problem.positive,
        tol=problem.tol,
    )
    coef = coef.reshape(len(parts), n_tasks, -1, p)
    intercepts, errors = [], []
    for i, part in enumerate(parts):
        x, y = part.means(problem.fit_intercept)
        intercepts.append(y[:, None] - torch.bmm(coef[i], x[..., None])[..., 0])
        if i:
            error = held[i - 1].errors(coef[i], intercepts[i])
            errors.append(torch.where(part.n[:, None] > 0, error, torch.nan))
    return (
        *(alphas, coef[0], intercepts[0], info.gap[:n_tasks]),
        _stacked(errors, alphas),
        _stacked([part.n for part in held], alphas[:, 0]),
    )


def _wide(Z, Y, share, fold, n_folds, problem):
    """One task, from its labelled rows."""
    at = share[:, 0] > 0
    Z, y, weight, fold = Z[at], Y[at, 0], share[at, 0], fold[at, 0]
    whole = _Centred(Z, y, weight, problem.fit_intercept)
    alphas = _penalties(problem, (whole.Z.T @ whole.y)[None])
    how = {"positive": problem.positive, "tol": problem.tol}
    coef, gap = solve_wide_path(whole.Z, whole.y, alphas[0], **how)
    errors, mass = [], []
    for f in range(n_folds):
        out = fold == f
        mass.append(weight[out].sum())
        if not (bool(out.any()) and bool((~out).any())):
            errors.append(torch.full_like(alphas[0], torch.nan))
            continue
        part = _Centred(Z[~out], y[~out], weight[~out], problem.fit_intercept)
        head = solve_wide_path(part.Z, part.y, alphas[0], **how)[0]
        error = y[out, None] - Z[out] @ head.T - part.intercept(head)
        errors.append((weight[out, None] * error**2).sum(0) / mass[-1])
    return (
        *(alphas, coef[None], whole.intercept(coef)[None], gap[None]),
        _stacked([error[None] for error in errors], alphas),
        _stacked([part[None] for part in mass], alphas[:, 0]),
    )


def _stacked(parts, like):
    """Parts of folds along a last axis, which is empty without folds."""
    return torch.stack(parts, -1) if parts else like.new_empty(*like.shape, 0)


class _Centred:
    """Centred and weighted rows of a task, whose squares add up to means."""

    def __init__(self, Z, y, weight, fit_intercept):
        share = weight / weight.sum()
        self.x_mean, self.y_mean = torch.zeros_like(Z[0]), torch.zeros_like(y[0])
        if fit_intercept:
            self.x_mean, self.y_mean = share @ Z, share @ y
        root = share.sqrt()
        self.Z, self.y = root[:, None] * (Z - self.x_mean), root * (y - self.y_mean)
        largest = Z.abs().amax(0)
        self.Z[:, self.Z.square().sum(0) <= (_ROUNDING * largest) ** 2] = 0.0

    def intercept(self, coef):
        """Intercepts of heads of shape (n_heads, p)."""
        return self.y_mean - coef @ self.x_mean
