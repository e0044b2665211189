"""Number of features of each task, by errors on held-out labels."""

import numpy as np
from sklearn.utils import check_random_state

from sparsedis.rotation._moments import regression_moments
from sparsedis.rotation._paths import (
    NOISE_FLOOR,
    elimination_path,
    noise_variance,
    task_blocks,
)


def sizes_by_folds(Z, Y, weight, spike, rule, n_folds, random_state):
    """Number of features of each task; -1 with fewer than two labels per fold.

    Parameters
    ----------
    Z : ndarray of shape (n, k)

    Y : ndarray of shape (n, n_tasks, n_outputs)
        Targets of unit variance, NaN where missing.

    weight : ndarray of shape (n,) or (n, n_tasks), or None

    spike : ndarray of shape (k,) or None

    rule : {"cv", "1se"}

    n_folds : int

    random_state : int, RandomState instance or None

    Returns
    -------
    ndarray of shape (n_tasks,) of int
    """
    present = ~np.isnan(Y[..., 0])
    enough = np.flatnonzero(present.sum(0) >= 2 * n_folds)
    sizes = np.full(Y.shape[1], -1)
    if len(enough):
        fold = assign_folds(present[:, enough], n_folds, random_state)
        if weight is not None and weight.ndim == 2:
            weight = weight[:, enough]
        parts = [
            _held_out(Z, Y[:, enough], weight, fold, f, spike) for f in range(n_folds)
        ]
        error, share = (np.array(part) for part in zip(*parts, strict=True))
        sizes[enough] = _smallest_error(error, share, rule)
    return sizes


def assign_folds(present, n_folds, random_state=None):
    """Assign the labels of each task to folds of about equal size.

    Parameters
    ----------
    present : ndarray of shape (n, n_tasks) of bool

    n_folds : int

    random_state : int, RandomState instance or None, default=None

    Returns
    -------
    ndarray of shape (n, n_tasks) of int
        Fold from 0 to `n_folds` - 1, or -1 without a label. Tasks with the same rows
        have the same folds.
    """
    rows = check_random_state(random_state).permutation(len(present))
    fold = np.empty(present.shape, dtype=int)
    fold[rows] = (np.cumsum(present[rows], axis=0) - 1) % n_folds
    return np.where(present, fold, -1)


def _held_out(Z, Y, weight, fold, f, spike):
    """Errors on a fold of heads fitted without it.

    Returns
    -------
    error : ndarray of shape (n_tasks, k + 1)
        Mean squared error by the number of features; inf for numbers not reached.

    share : ndarray of shape (n_tasks,)
        Weight of the labels of the fold.
    """
    train = _rows(Z, Y, weight, (fold >= 0) & (fold != f))
    held = _rows(Z, Y, weight, fold == f)
    moments, units = regression_moments(*train)
    tests, test_units = regression_moments(*held)
    Z_shift = test_units.Z_mean - units.Z_mean
    y_shift = test_units.y_mean - units.y_mean
    noise = noise_variance(moments)
    error = np.empty((len(moments), moments.m + 1))
    for block in task_blocks(moments):
        path = elimination_path(moments.take(block), noise[block], spike)
        heads = path.heads * units.scale[block, None, None, None]
        offset = np.einsum("tsck,tk->tsc", heads, Z_shift[block])
        offset -= y_shift[block, None]
        scale = test_units.scale[block, None]
        spread = _rss(tests.take(block), heads / scale[..., None, None])
        spread *= scale**2 / tests.n_labels[block, None]
        total = spread + (offset**2).sum(2)
        error[block] = np.where(path.reached, total, np.inf)
    return error, tests.n_labels


def _rows(Z, Y, weight, mask):
    """Rows with a label in a mask, and these labels."""
    rows = mask.any(1)
    Y = np.where(mask[rows, :, None], Y[rows], np.nan)
    return Z[rows], Y, None if weight is None else weight[rows]


def _rss(moments, heads):
    """Residual sums of squares of heads of shape (n_tasks, n_sizes, n_outputs, k)."""
    T, S, C, k = heads.shape
    flat = heads.reshape(T, S * C, k)
    rest = (flat @ moments.hessian).reshape(heads.shape)
    rest -= 2 * moments.gradient[:, None]
    return moments.square[:, None] + (rest * heads).sum((2, 3))


def _smallest_error(error, share, rule):
    """Sizes by the errors of folds, of shape (n_folds, n_tasks, k + 1)."""
    share = (share / share.sum(0))[:, :, None]
    reached = np.isfinite(error).all(0)
    error = np.where(reached, error, 0.0)
    mean = (share * error).sum(0)
    variance = (share * (error - mean) ** 2).sum(0) / (len(error) - 1)
    mean = np.where(reached, mean, np.inf)
    best = mean.argmin(1)[:, None]
    # Targets have unit variance: smaller differences are rounding errors.
    bound = np.take_along_axis(mean, best, axis=1) + NOISE_FLOOR
    if rule == "1se":
        bound += np.sqrt(np.take_along_axis(variance, best, axis=1))
    return (mean <= bound).argmax(1)
