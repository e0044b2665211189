"""Heads of a block of tasks, chosen from their paths by held-out errors."""

from dataclasses import dataclass, replace

import numpy as np
import torch

from sparsedis._threads import threads_for
from sparsedis.heads._folds import choose
from sparsedis.heads._gram_paths import follow_gram_paths
from sparsedis.heads._least_squares import bic, relax
from sparsedis.heads._task_rows import ROUNDING
from sparsedis.heads._wide_paths import follow_wide_paths

# Numbers of features, without and with groups, up to which tasks are solved together.
_NARROW, _NARROW_GROUPS = 256, 64

# Entries of the Gram matrices of a block.
_BLOCK = 2**23


@dataclass(frozen=True, eq=False)
class Heads:
    """Chosen heads of some tasks.

    Attributes
    ----------
    coef : ndarray of shape (n_tasks, p)

    intercept, alpha, gap : ndarray of shape (n_tasks,)

    chosen : ndarray of shape (n_tasks,) of int
        Position of the head on the path.

    weights : ndarray of shape (n_tasks, p)
        Weights of the features, after a first fit if they are adapted.

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
    chosen: np.ndarray
    weights: np.ndarray
    alphas: np.ndarray
    errors: np.ndarray
    criterion: np.ndarray


def block_size(n, p, n_folds, problem):
    """Number of tasks whose paths are followed together."""
    if not _is_narrow(p, problem):
        return 1
    alphas = problem.alphas if problem.sizes is None else problem.sizes
    n_alphas = alphas if np.ndim(alphas) == 0 else alphas.shape[-1]
    if problem.groups is not None:
        # The table of groups has empty places, if their sizes differ.
        counts = np.bincount(problem.groups)
        p = len(counts) * counts.max()
    return max(1, _BLOCK // max(n, (n_folds + 1) * p * max(p, n_alphas)))


def _is_narrow(p, problem):
    """Whether tasks with p features are solved together."""
    return p <= (_NARROW if problem.groups is None else _NARROW_GROUPS)


# Many small operations: with `n_jobs`, blocks of tasks use the other cores.
@threads_for(1)
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
    # Sums of weights must not overflow.
    share = share / share.max(0)
    data = X[used], Y[used], share[used], fold[used]
    parts = folds.n_folds + 1, Y.shape[1], X.shape[1]
    weights = np.broadcast_to(problem.feature_weights, parts).copy()
    if problem.adaptive:
        weights = _adapted(*data, weights, problem)
    return _fit_heads(*data, weights, problem)


def _adapted(X, Y, share, fold, weights, problem):
    """Weights of the features by pilot heads, which know nothing of their fold."""
    rule = "bic" if problem.rule == "bic" else "cv"
    pilot = replace(problem, rule=rule, sizes=None, relaxed=False)
    adapted = []
    for i, own in enumerate(weights):
        inside = np.where(fold == i - 1, 0.0, share) if i else share
        # Nothing is fitted without a fold that holds all labels.
        inside = np.where(inside.any(0), inside, share)
        coef = _fit_heads(X, Y, inside, fold, weights, pilot).coef
        penalised = (own > 0) & np.isfinite(own)
        size = problem.norms(torch.from_numpy(np.where(penalised, coef, 0.0))).numpy()
        size = size if problem.groups is None else size[:, problem.groups]
        factor = np.full(size.shape, np.inf)
        np.divide(size.max(1, keepdims=True), size, out=factor, where=size > 0)
        adapted.append(np.multiply(own, factor, out=own.copy(), where=penalised))
    return np.stack(adapted)


def coef_paths(X, Y, share, problem):
    """Coefficients of some tasks for all their penalties.

    Parameters
    ----------
    X, Y, share, problem : object
        As for :func:`fit_heads`.

    Returns
    -------
    ndarray of shape (n_tasks, n_alphas, p)
    """
    weights = np.broadcast_to(problem.feature_weights, (1, Y.shape[1], X.shape[1]))
    fold, share = np.zeros(share.shape, dtype=int), share / share.max(0)
    _, _, (_, coef, *_) = _follow(X, Y, share, fold, weights.copy(), problem)
    return coef


def _fit_heads(X, Y, share, fold, weights, problem):
    """The same with weights of the features, for all labels and without each fold."""
    (Z, Y), (centre, middle), found = _follow(X, Y, share, fold, weights, problem)
    alphas, coef, intercept, gap, errors = found
    criterion = np.full(alphas.shape, np.nan)
    if problem.rule == "bic":
        if problem.relaxes_points:
            for i in range(len(problem.sizes)):
                support = coef[:, i] != 0
                coef[:, i], intercept[:, i] = relax(
                    Z, Y, share, support, problem.fit_intercept
                )
        criterion = bic(Z, Y, share, coef, intercept, problem.fit_intercept)
        chosen = criterion.argmin(1)
    else:
        chosen = choose(errors, problem.rule)
    at = np.arange(len(chosen)), chosen
    coef, intercept = coef[at], intercept[at]
    if problem.relaxed:
        coef, intercept = relax(Z, Y, share, coef != 0, problem.fit_intercept)
    intercept = middle + intercept - coef @ centre
    penalties = alphas[at], gap[at]
    how = chosen, weights[0]
    return Heads(coef, intercept, *penalties, *how, alphas, errors, criterion)


def _follow(X, Y, share, fold, weights, problem):
    """Centre the data and follow the paths; data, centres and results."""
    centre, middle = np.zeros(X.shape[1]), np.zeros(Y.shape[1])
    if problem.fit_intercept:
        mass = share.sum(0)
        centre, middle = X.mean(0), (share * Y).sum(0) / mass
        spread = np.sqrt((share * (Y - middle) ** 2).sum(0) / mass)
        varies = spread > ROUNDING * np.abs(Y).max(0)
        Y = np.where((share > 0) & varies, Y - middle, 0.0)
    Z = X - centre
    data = (
        torch.from_numpy(np.ascontiguousarray(part)).to(problem.device)
        for part in (Z, Y, share, fold, weights)
    )
    narrow = _is_narrow(Z.shape[1], problem)
    follow = follow_gram_paths if narrow else follow_wide_paths
    found = [part.cpu().numpy() for part in follow(*data, problem)]
    return (Z, Y), (centre, middle), found
