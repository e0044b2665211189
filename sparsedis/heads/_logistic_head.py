"""Sparse logistic head of a task, chosen from its path by held-out log losses."""

from dataclasses import dataclass
from numbers import Integral

import numpy as np
import torch

from sparsedis._threads import threads_for
from sparsedis.heads._folds import choose
from sparsedis.heads._strata import stratify
from sparsedis.solvers.logistic import class_basis, solve_logistic
from sparsedis.solvers.logistic_path import LogisticPath

# Features with a smaller spread, relative to their size, are constant. Features whose
# gradients are smaller, relative to the largest feature, say nothing about the labels.
_ROUNDING = 1e-13

# Penalties that rounding errors may hide, if the largest feature is 1.
_TINY = 1e-9

# Penalty of heads that are zero whatever it is, as in scikit-learn.
_SMALLEST = float(np.finfo(float).resolution)


@dataclass(frozen=True)
class LogisticProblem:
    """What the heads of all tasks have in common.

    Attributes
    ----------
    eps : float
        Smallest penalty, relative to the largest, if none are given.

    rule : {"cv", "1se", "bic"}
        Choice among several penalties.

    relaxed : bool
        Whether to fit the chosen heads again, on their features and without the
        penalty.

    fit_intercept : bool

    tol : float

    device : torch.device
        Device that follows the path.
    """

    eps: float
    rule: str
    relaxed: bool
    fit_intercept: bool
    tol: float
    device: torch.device


@dataclass(frozen=True, eq=False)
class LogisticHead:
    """Chosen head of a task.

    Attributes
    ----------
    coef : ndarray of shape (c, p)
        Of the logit of the second of two classes, or of the logits of all classes.

    intercept : ndarray of shape (c,)

    alpha, gap : float

    tiny : bool
        Whether rounding errors may hide the penalty.

    alphas : ndarray of shape (n_alphas,)

    errors : ndarray of shape (n_alphas, n_folds)
        Mean log losses on each fold of heads fitted without it; NaN if it has no labels
        of classes that the other folds have, or these have a single class.

    criterion : ndarray of shape (n_alphas,)
        Bayesian information criterion.
    """

    coef: np.ndarray
    intercept: np.ndarray
    alpha: float
    gap: float
    tiny: bool
    alphas: np.ndarray
    errors: np.ndarray
    criterion: np.ndarray


# Many small operations: with `n_jobs`, other tasks use the other cores.
@threads_for(1)
def fit_logistic_head(X, rows, labels, weight, alphas, folds, problem):
    """Follow the path of a task, and choose a head from it.

    Parameters
    ----------
    X : ndarray of shape (n_rows, p)

    rows : ndarray of shape (n,) of int
        Rows with labels.

    labels : ndarray of shape (n,) of int
        From 0; each class has one at least.

    weight : ndarray of shape (n,)
        Weights of the labels, positive.

    alphas : int or ndarray of shape (n_alphas,)
        Number of penalties, or penalties in decreasing order.

    folds : Folds

    problem : LogisticProblem

    Returns
    -------
    LogisticHead
    """
    Z, mean, unit = _scaled(X[rows], problem.fit_intercept)
    fold = stratify(labels, folds.n_folds) if folds.rows is None else folds.rows[rows]
    parts, held_out, used = _parts(labels, weight, fold, folds.n_folds)
    n_classes = int(labels.max()) + 1
    data = (torch.from_numpy(part).to(problem.device) for part in (Z, labels, parts))
    features, codes, shares = data
    codes = codes.expand(len(parts), -1)
    path = LogisticPath(
        *(features, codes, shares, n_classes),
        *(problem.fit_intercept, problem.tol),
    )
    if isinstance(alphas, Integral):
        largest = float(path.alpha[0]) * unit
        grid = largest * np.logspace(0, np.log10(problem.eps), alphas)
        alphas = grid if largest > 0 else np.full(alphas, _SMALLEST)
    errors = np.full((len(alphas), folds.n_folds), np.nan)
    loss, solutions = np.empty(len(alphas)), []
    for i, alpha in enumerate(alphas / unit):
        path.go(torch.full_like(path.alpha, alpha))
        solutions.append(path.V[:1].clone())
        lost = -path.log_probability().gather(-1, codes.unsqueeze(-1)).squeeze(-1)
        lost = lost.cpu().numpy()
        loss[i] = parts[0] @ lost[0]
        # Classes without a label in a part have an infinite loss, but no weight.
        errors[i, used] = (held_out * np.where(held_out > 0, lost[1:], 0.0)).sum(1)
    n_used = np.array([int((V != 0).any(-1)[0, : Z.shape[1]].sum()) for V in solutions])
    # The weights of all labels add up to their number.
    n, n_logits = len(labels), path.V.shape[-1]
    criterion = 2 * n * loss + np.log(n) * n_logits * n_used
    bic = problem.rule == "bic"
    i = criterion.argmin() if bic else choose(errors[None], problem.rule)[0]
    W, intercept = path.coefficients(solutions[i])
    gap = path.gap(solutions[i], path.alpha.new_tensor([alphas[i] / unit]))
    if problem.relaxed:
        l2 = 1 / (weight.sum() * unit**2)
        W, intercept = _relaxed(path.whole, W, codes[:1], l2, problem.fit_intercept)
    if n_classes > 2:
        basis = class_basis(n_classes, W)
        W, intercept = W @ basis.T, intercept @ basis.T
    coef, intercept = W[0].T.cpu().numpy() / unit, intercept[0].cpu().numpy()
    return LogisticHead(
        *(coef, intercept - coef @ mean),
        *(float(alphas[i]), float(gap), alphas[i] < _TINY * unit),
        *(alphas, errors, criterion),
    )


def _scaled(X, centred):
    """Features with a largest entry of 1, their mean and their unit.

    A large mean would make the intercept depend on all coefficients.
    """
    size = np.abs(X).max(0)
    mean = X.mean(0) if centred else np.zeros(X.shape[1])
    Z = X - mean
    Z[:, np.abs(Z).max(0) <= _ROUNDING * size] = 0.0
    unit = np.abs(Z).max(initial=0.0) or 1.0
    return Z / unit, mean, unit


def _parts(labels, weight, fold, n_folds):
    """Shares of the labels in the fits and in the errors of folds.

    Returns
    -------
    parts : ndarray of shape (1 + n_used, n)
        All labels, and those outside of each fold. Each row adds up to 1.

    held_out : ndarray of shape (n_used, n)
        Labels of each fold, of classes that others have. Each row adds up to 1.

    used : list of int
        Folds with both.
    """
    parts, held_out, used = [weight / weight.sum()], [], []
    for f in range(n_folds):
        out = fold == f
        known = np.unique(labels[~out])
        judged = out & np.isin(labels, known)
        if len(known) > 1 and judged.any():
            used.append(f)
            for shares, of in ((parts, ~out), (held_out, judged)):
                share = np.where(of, weight, 0.0)
                shares.append(share / share.sum())
    return np.array(parts), np.array(held_out).reshape(-1, len(labels)), used


def _relaxed(whole, W, labels, l2, fit_intercept):
    """Fit again on the features in use, with an l2 penalty only.

    If classes are separable, there is no solution without any penalty.
    """
    used = (W != 0).any(-1)[0]
    if not bool(used.any()) and not fit_intercept:
        return W, torch.zeros_like(W[:, 0])
    features = whole.Z[..., : len(used)][..., used]
    penalties = W.new_zeros(1), W.new_full((1,), l2)
    how = {"n_classes": len(whole.basis), "fit_intercept": fit_intercept}
    weight = whole.weight[:1, :, 0]
    new = torch.zeros_like(W)
    new[:, used], intercept, _ = solve_logistic(
        features, labels, weight, *penalties, **how
    )
    return new, intercept
