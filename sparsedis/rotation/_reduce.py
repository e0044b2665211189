"""Reduction of many features to the directions that the heads of all tasks share."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from sparsedis.rotation._count import FactorCount, estimate_count
from sparsedis.rotation._stages import Whitening

# Maximal number of directions to count among.
MAX_DIRECTIONS = 64

# Minimal number of rows of one half per direction.
_ROWS_PER_DIRECTION = 4

# Penalties to try, in units of the mean variance of a principal component.
_PENALTIES = 10.0 ** np.arange(3, -4.5, -0.5)

# Number of penalties without progress after which to stop trying smaller ones.
_PATIENCE = 3

# Relative size of the gradient, and number of steps, at which conjugate gradients stop.
_CG_TOL, _CG_STEPS = 1e-3, 100

# Principal components with a smaller variance, relative to the largest, are left out.
_RANK_TOL = 1e-10


@dataclass(frozen=True, eq=False)
class Reduction:
    """Directions of the features that the heads of the tasks share.

    Attributes
    ----------
    mean : ndarray of shape (p,)

    matrix : ndarray of shape (p, k)
        The reduced features are ``(Z - mean) @ matrix``, uncorrelated, of unit
        variance.

    count : FactorCount
        Evidence from rows that were not used to find the directions.

    penalty : float
        The penalty of the heads, in units of the mean variance of a component.
    """

    mean: np.ndarray
    matrix: np.ndarray
    count: FactorCount
    penalty: float


def reduce_features(Z, tasks, weight, *, n_components, rng):
    """Find the directions that many tasks share, and count them.

    Ridge regressions of all tasks share one penalty. The principal directions of their
    predictions are the span of the factors. On the rows used for fitting, their
    evidence is too large. So the penalty is chosen, and the directions are counted, on
    the other half of the rows, in both roles of the halves. Equal rows are in the same
    half.

    Parameters
    ----------
    Z : ndarray of shape (n, p)

    tasks : Tasks

    weight : ndarray of shape (n,) or None

    n_components : int or "auto"
        Number of directions to keep; "auto" keeps the counted ones.

    rng : Generator

    Returns
    -------
    Reduction
    """
    weight = np.ones(len(Z)) if weight is None else weight
    mean, C, axes = _components(Z, weight)
    if not C.shape[1]:
        return Reduction(mean, axes, no_factor(), np.nan)
    variance = (weight @ C**2 / weight.sum())[:, None]
    Y, share = tasks.columns()
    share = share * weight[:, None]
    half = _half(Z, rng)
    halves = [share * part[:, None] for part in (half, ~half)]
    penalty = _choose_penalty(C, Y, halves, variance)
    n_rows = min(weight[half].sum(), weight[~half].sum())
    n_most = int(np.clip(n_rows // _ROWS_PER_DIRECTION, 1, MAX_DIRECTIONS))
    counts = []
    for own, rows in zip(halves, (~half, half), strict=True):
        D = _span(*_ridge(C, Y, own, [penalty], variance), variance, n_most)
        counts.append(_count_on(C[rows] @ D, tasks.take(rows), weight[rows]))
    count = _sum(counts)
    k = max(1, count.n_factors) if n_components == "auto" else n_components
    D = _span(*_ridge(C, Y, share, [penalty], variance), variance, k)
    white = Whitening(C @ D, weight)
    return Reduction(mean, axes @ D @ white.matrix, count, penalty)


def _components(Z, weight):
    """Mean, principal components of standardised features, and the map to them.

    Components have the same mean variance, 1, whatever the number of features.
    """
    share = weight / weight.sum()
    mean = share @ Z
    Z = Z - mean
    sd = np.sqrt(share @ Z**2)
    # Centred constant features are only rounding errors.
    sd[sd <= 1e-12 * np.abs(mean)] = np.inf
    sd[sd == 0] = np.inf
    Z = Z / sd
    root = np.sqrt(share)[:, None] * Z
    if root.shape[1] <= len(root):
        size, axes = np.linalg.eigh(root.T @ root)
    else:
        size, left = np.linalg.eigh(root @ root.T)
        axes = root.T @ left / np.sqrt(np.maximum(size, 1e-300))
    kept = size > _RANK_TOL * max(size[-1], 1e-300)
    if not kept.any():
        return mean, np.zeros((len(Z), 0)), np.zeros((Z.shape[1], 0))
    axes = axes[:, kept][:, ::-1] / np.sqrt(size[kept].mean())
    return mean, Z @ axes, axes / sd[:, None]


def _half(Z, rng):
    """Half of the rows, independent of the order and repetitions of rows."""
    _, distinct = np.unique(Z, axis=0, return_inverse=True)
    distinct = distinct.ravel()
    n = distinct.max() + 1
    return (rng.permutation(n) < (n + 1) // 2)[distinct]


def _standardised(Y, share):
    """Targets with mean 0 and variance 1, and 0 where labels are missing."""
    count = np.maximum(share.sum(0), 1e-300)
    mean = (share * Y).sum(0) / count
    Y = np.where(share > 0, Y - mean, 0.0)
    sd = np.sqrt((share * Y**2).sum(0) / count)
    constant = sd <= 1e-12 * np.abs(mean)
    return np.where(constant, 0.0, Y / np.where(constant | (sd == 0), 1.0, sd))


def _ridge(C, Y, share, penalties, variance):
    """Ridge heads of all columns of Y, for each penalty in turn.

    Yields
    ------
    ndarray of shape (r, n_columns)
    """
    n_labels = np.maximum(share.sum(0), 1e-300)
    Y = share * _standardised(Y, share)
    right = C.T @ Y - (share.T @ C).T * (Y.sum(0) / n_labels)
    if (share == share[:, :1]).all():
        own = share[:, 0]
        centred = np.sqrt(own)[:, None] * (C - own @ C / n_labels[0])
        gram = centred.T @ centred
        for penalty in penalties:
            shift = penalty * n_labels[0] * np.eye(len(gram))
            yield cho_solve(cho_factor(gram + shift), right)
        return
    B = np.zeros_like(right)
    for penalty in penalties:
        B = _conjugate_gradients(C, share, n_labels, penalty, variance, right, B)
        yield B


def _conjugate_gradients(C, share, n_labels, penalty, variance, right, B):
    """Solve the ridge regressions of columns with different rows all at once."""
    scale = 1 / ((variance + penalty) * n_labels)

    def hessian(B):
        fitted = C @ B
        fitted -= (share * fitted).sum(0) / n_labels
        return C.T @ (share * fitted) + penalty * n_labels * B

    left = right - hessian(B)
    target = _CG_TOL**2 * (right**2 * scale).sum(0)
    step = scale * left
    size = (left * step).sum(0)
    for _ in range(_CG_STEPS):
        if (size <= target).all():
            break
        curved = hessian(step)
        length = size / np.maximum((step * curved).sum(0), 1e-300)
        B = B + length * step
        left = left - length * curved
        new = (left**2 * scale).sum(0)
        step = scale * left + new / np.maximum(size, 1e-300) * step
        size = new
    return B


def _choose_penalty(C, Y, halves, variance):
    """Penalty with the best correlation of labels and predictions on the other half."""
    found = [_ridge(C, Y, own, _PENALTIES, variance) for own in halves]
    targets = [_standardised(Y, own) for own in halves]
    best, value, idle = _PENALTIES[0], -np.inf, 0
    for penalty in _PENALTIES:
        total = 0.0
        for heads, other, target in zip(
            found, halves[::-1], targets[::-1], strict=True
        ):
            guess = _standardised(C @ next(heads), other)
            total += (other * guess * target).sum()
        if total > value:
            best, value, idle = penalty, total, 0
        else:
            idle += 1
        if idle == _PATIENCE:
            break
    return best


def _span(B, variance, n_most):
    """Directions of the predictions, in decreasing order, of unit variance."""
    _, size, axes = np.linalg.svd(np.sqrt(variance) * B, full_matrices=False)
    n = min(n_most, max(1, (size > 1e-6 * size[:1]).sum()), len(size))
    return B @ axes[:n].T / np.where(size[:n] > 0, size[:n], 1.0)


def _count_on(Z, tasks, weight):
    white = Whitening(Z, weight)
    if not white.rank:
        return no_factor()
    moments = tasks.moments(white(Z), weight)
    moments = moments.take(np.flatnonzero(moments.n_labels >= 2))
    if not len(moments):
        return no_factor()
    return estimate_count(moments, moments.residual_variance(moments.solve()[0]))


def no_factor():
    """Count of zero factors without features."""
    return FactorCount(0, np.zeros(1), np.zeros(0), np.eye(0))


def _sum(counts):
    """Joint evidence of both halves; the kept directions in their order."""
    m = min(len(count.strength) for count in counts)
    evidence = sum(count.evidence[: m + 1] for count in counts)
    strength = sum(count.strength[:m] for count in counts) / len(counts)
    return FactorCount(int(np.argmax(evidence)), evidence, strength, np.eye(m))
