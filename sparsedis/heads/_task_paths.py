"""Heads of a block of tasks, chosen from their paths by held-out errors."""

from dataclasses import dataclass, replace

import numpy as np
import torch

from sparsedis.heads._folds import choose
from sparsedis.heads._least_squares import bic, relax
from sparsedis.solvers._working_path import solve_wide_path
from sparsedis.solvers.lasso_path import solve_lasso_path

# Number of features up to which tasks are solved together.
_NARROW = 256

# Entries of the Gram matrices of a block.
_BLOCK = 2**23

# Values with a smaller spread, relative to their size, are constant.
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

    fit_intercept, positive : bool

    tol : float
    """

    alphas: object
    eps: float
    rule: str
    relaxed: bool
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


def block_size(n, p, n_folds, problem):
    """Number of tasks whose paths are followed together."""
    if p > _NARROW:
        return 1
    alphas = problem.alphas
    n_alphas = alphas if np.ndim(alphas) == 0 else alphas.shape[-1]
    return max(1, _BLOCK // max(n, (n_folds + 1) * p * max(p, n_alphas)))


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
    data = (
        torch.from_numpy(np.ascontiguousarray(part)) for part in (Z, Y, share, fold)
    )
    follow = _narrow if Z.shape[1] <= _NARROW else _wide
    alphas, coef, intercept, gap, errors = (
        part.numpy() for part in follow(*data, folds.n_folds, problem)
    )
    criterion = np.full(alphas.shape, np.nan)
    if problem.rule == "bic":
        criterion = bic(Z, Y, share, coef, intercept, problem.fit_intercept)
        chosen = criterion.argmin(1)
    else:
        chosen = choose(errors, problem.rule)
    at = np.arange(len(chosen)), chosen
    coef, intercept = coef[at], intercept[at]
    if problem.relaxed:
        coef, intercept = relax(Z, Y, share, coef != 0, problem.fit_intercept)
    intercept = middle + intercept - coef @ centre
    return Heads(coef, intercept, alphas[at], gap[at], alphas, errors, criterion)


def _penalties(problem, corr, scale):
    """Penalties of each task, of shape (n_tasks, n_alphas).

    `scale` bounds the correlations of each task: less than its rounding errors is 0.
    """
    alphas = problem.alphas
    if isinstance(alphas, np.ndarray):
        alphas = torch.from_numpy(alphas).to(corr)
        return alphas.expand(len(corr), -1)
    largest = (corr if problem.positive else corr.abs()).amax(1)
    grid = torch.logspace(0, np.log10(problem.eps), alphas, dtype=corr.dtype)
    grid = largest[:, None] * grid
    return torch.where((largest > _ROUNDING * scale)[:, None], grid, _SMALLEST)


def _narrow(Z, Y, share, fold, n_folds, problem):
    """All tasks together, each in Gram form."""
    n_tasks, p = Y.shape[1], Z.shape[1]
    gram = Z.new_zeros(n_folds + 1, n_tasks, p, p)
    corr, x_mean = Z.new_zeros(2, n_folds + 1, n_tasks, p)
    y_sq, y_mean = Z.new_zeros(2, n_folds + 1, n_tasks)
    for t in range(n_tasks):
        # Tasks with the same labels and weights have the same Gram matrices.
        if not t or not torch.equal(share[:, t], share[:, t - 1]):
            parts = _parts(Z, share[:, t], fold[:, t], n_folds, problem.fit_intercept)
            grams = [None if part is None else part.Z.T @ part.Z for part in parts]
        for i, part in enumerate(parts):
            if part is not None:
                y, y_mean[i, t] = part.centre(Y[:, t])
                gram[i, t], x_mean[i, t] = grams[i], part.x_mean
                corr[i, t], y_sq[i, t] = part.Z.T @ y, y @ y
    scale = gram[0].diagonal(dim1=-2, dim2=-1).amax(-1).sqrt() * y_sq[0].sqrt()
    alphas = _penalties(problem, corr[0], scale)
    coef, info = solve_lasso_path(
        gram.flatten(0, 1),
        corr.flatten(0, 1),
        y_sq.flatten(),
        alphas.repeat(n_folds + 1, 1),
        positive=problem.positive,
        tol=problem.tol,
    )
    coef = coef.reshape(n_folds + 1, n_tasks, -1, p)
    intercept = y_mean[..., None] - (coef @ x_mean[..., None])[..., 0]
    errors = Z.new_full((*alphas.shape, n_folds), torch.nan)
    for t in range(n_tasks):
        for f in range(n_folds):
            head = coef[f + 1, t], intercept[f + 1, t]
            errors[t, :, f] = _error(Z, Y[:, t], share[:, t], fold[:, t], f, *head)
    return alphas, coef[0], intercept[0], info.gap[:n_tasks], errors


def _wide(Z, Y, share, fold, n_folds, problem):
    """One task, on the features that enter its paths."""
    y, weight, fold = Y[:, 0], share[:, 0], fold[:, 0]
    parts = _parts(Z, weight, fold, n_folds, problem.fit_intercept)
    how = {"positive": problem.positive, "tol": problem.tol}
    target, y_mean = parts[0].centre(y)
    corr, square = parts[0].Z.T @ target, parts[0].Z.square().sum(0).max()
    scale = (square * (target @ target)).sqrt()
    alphas = _penalties(problem, corr[None], scale[None])
    coef, gap = solve_wide_path(parts[0].Z, target, alphas[0], **how)
    intercept = y_mean - coef @ parts[0].x_mean
    errors = Z.new_full((1, alphas.shape[1], n_folds), torch.nan)
    for f, part in enumerate(parts[1:]):
        if part is not None:
            target, y_mean = part.centre(y)
            own, _ = solve_wide_path(part.Z, target, alphas[0], **how)
            head = own, y_mean - own @ part.x_mean
            errors[0, :, f] = _error(Z, y, weight, fold, f, *head)
    return alphas, coef[None], intercept[None], gap[None], errors


def _parts(Z, weight, fold, n_folds, fit_intercept):
    """Rows of a task: all, and those outside of each fold, None if there are none."""
    labelled = weight > 0
    parts = []
    for f in range(-1, n_folds):
        rows = labelled & (fold != f)
        some = bool(rows.any())
        parts.append(_Rows(Z, weight, rows, fit_intercept) if some else None)
    return parts


def _error(Z, y, weight, fold, f, coef, intercept):
    """Mean squared error of several heads on a fold; NaN without any label there.

    NaN also if all labels are in the fold, so that heads have no other.
    """
    labelled = weight > 0
    out = labelled & (fold == f)
    if not bool((labelled & ~out).any()):
        return torch.nan
    left = y[out, None] - Z[out] @ coef.T - intercept
    share = weight[out] / weight[out].sum()
    return share @ left.square() if len(share) else torch.nan


class _Rows:
    """Some labelled rows of a task, centred and weighted.

    Sums over them are means. Each part of the rows has its own centre, since the
    difference of sums about another one may have no correct digit.
    """

    def __init__(self, Z, weight, rows, fit_intercept):
        self.rows, self.fit_intercept = rows, fit_intercept
        Z, weight = Z[rows], weight[rows]
        self.share = weight / weight.sum()
        self.root = self.share.sqrt()
        self.x_mean = self.share @ Z if fit_intercept else torch.zeros_like(Z[0])
        self.Z = self.root[:, None] * (Z - self.x_mean)
        # Features that are constant up to rounding errors.
        largest = Z.abs().amax(0)
        self.Z[:, self.Z.square().sum(0) <= (_ROUNDING * largest) ** 2] = 0.0

    def centre(self, y):
        """Targets of the rows, from those of all rows, and their mean."""
        y = y[self.rows]
        mean = self.share @ y if self.fit_intercept else y.new_zeros(())
        return self.root * (y - mean), mean
