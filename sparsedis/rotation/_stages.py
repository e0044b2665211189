"""The steps from features to factors: count, rotate, check stability."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from sparsedis.rotation._classes import refitted_heads
from sparsedis.rotation._count import FactorCount, estimate_count
from sparsedis.rotation._mixed import MixedMoments, count_mixed
from sparsedis.rotation._rotation import RotationResult, rotate
from sparsedis.rotation._stability import estimate_stability

# Maximal number of tasks to use: more cost time, and do not change the result.
MAX_TASKS = 2000

# Added to the curvature of heads of all features, relative to its mean.
_RIDGE = 1e-3

# Rounds of the search, at most, and those without progress after which it ends.
_ROUNDS, _PATIENCE = 40, 12

# Standard deviations of rounding errors, relative to the mean of a feature, or to the
# largest deviation: those of products have that size.
_ROUNDING = 1e-13


@dataclass(frozen=True, eq=False)
class Factors:
    """Factors that were found in features.

    Attributes
    ----------
    components : ndarray of shape (k, m)
        Factors are ``(Z - mean) @ components.T``, of unit variance.

    mean : ndarray of shape (m,)
        Mean of the features.

    count : FactorCount
        Evidence of each number of factors.

    rotation : RotationResult
        Rotation of the heads.

    judge : callable
        Computes the `stability`.
    """

    components: np.ndarray
    mean: np.ndarray
    count: FactorCount
    rotation: RotationResult
    judge: Callable

    @cached_property
    def stability(self):
        """Agreement of each factor with those of halves of the tasks, of shape (k,).

        It takes longer than the rotation, and not all factors that are found are kept.
        """
        return self.judge()


class Whitening:
    """Linear map of features to uncorrelated ones with unit variance.

    Parameters
    ----------
    Z : ndarray of shape (n, m)
        Features.

    weight : ndarray of shape (n,), default=None
        Weights of the rows.

    tol : float, default=1e-5
        Directions with a smaller standard deviation, relative to the largest, are left
        out.

    any_units : bool, default=False
        Whether features may have units of their own: before any direction is left out,
        they are divided by their standard deviations.

    Attributes
    ----------
    lost : ndarray of shape (m,) of bool
        Features that are left out, as they vary no more than rounding errors of others.
    """

    def __init__(self, Z, weight=None, tol=1e-5, *, any_units=False):
        share = np.full(len(Z), 1.0) if weight is None else weight
        share = share / share.sum()
        self.mean = share @ Z
        centred = (Z - self.mean) * np.sqrt(share)[:, None]
        # Centred constant features are only rounding errors.
        rounding = _ROUNDING * np.abs(self.mean)
        self.matrix = _whitening(centred, tol, rounding.max(initial=0.0))
        self.lost = np.zeros(Z.shape[1], dtype=bool)
        if any_units and self.rank < min(Z.shape):
            unit = _norms(centred)
            small = unit <= _ROUNDING * unit.max(initial=0.0)
            self.lost = small & (unit > rounding)
            unit[small | (unit <= rounding)] = np.inf
            self.matrix = _whitening(centred / unit, tol, 0.0) / unit[:, None]

    @property
    def rank(self):
        """Number of white coordinates."""
        return self.matrix.shape[1]

    def __call__(self, Z):
        """White coordinates, of shape (..., rank)."""
        return (Z - self.mean) @ self.matrix


def _whitening(centred, tol, least):
    """Map to white coordinates, those with a size above `least`."""
    _, size, axes = np.linalg.svd(centred, full_matrices=False)
    kept = size > np.maximum(tol * size[:1], least)
    return axes[kept].T / size[kept]


def _norms(X):
    """Euclidean norms of columns whose squares may exceed the range of float64."""
    largest = np.abs(X).max(0, initial=0.0)
    scaled = X / np.where(largest > 0, largest, 1.0)
    return largest * np.linalg.norm(scaled, axis=0)


def find_factors(moments, whitening, *, n_components, rng, count=None):
    """Count the factors and rotate to them.

    Parameters
    ----------
    moments : Moments or MixedMoments
        Moments of the heads of the tasks, in white coordinates.

    whitening : Whitening

    n_components : int or "auto"
        Number of factors; "auto" counts them.

    rng : Generator
        For this call alone: the stability draws from it later.

    count : FactorCount, default=None
        Count on other rows, if any: the first coordinates are those of its factors.

    Returns
    -------
    Factors
        Without components if no factors are found.
    """
    m = moments.m
    if count is None:
        moments, count = count_in(moments)
        V = count.directions
    else:
        moments, V = moments.take(_most_labelled(moments.n_labels)), np.eye(m)
    k = max(1, count.n_factors) if n_components == "auto" else n_components
    k = min(k, m)
    V = V[:, :k]
    heads, variance, n_outputs = kept_heads(moments.project(V))
    # A single task does not determine a rotation.
    if heads.any() and k > 1 and len(heads) > 1:
        found = rotate(
            heads, variance, n_outputs, rng, n_rounds=_ROUNDS, patience=_PATIENCE
        )
        judge = partial(estimate_stability, found, heads, variance, n_outputs, rng)
    else:
        found = unrotated(heads)
        judge = partial(np.full, k, float(k == 1 and count.n_factors >= 1))
    components = found.components @ V.T @ whitening.matrix.T
    return Factors(components, whitening.mean, count, found, judge)


def count_in(moments):
    """Count the factors from the tasks with the most labels.

    Parameters
    ----------
    moments : Moments or MixedMoments
        Moments of the heads of the tasks, in white coordinates.

    Returns
    -------
    moments : Moments or MixedMoments
        Those of the tasks in use, with the prior of the count.

    count : FactorCount
    """
    moments = moments.take(_most_labelled(moments.n_labels))
    if isinstance(moments, MixedMoments):
        return count_mixed(moments)
    if len(moments):
        heads, _ = moments.solve(_RIDGE)
        return moments, estimate_count(moments, moments.residual_variance(heads))
    m = moments.m
    return moments, FactorCount(0, np.zeros(m + 1), np.zeros(m), np.eye(m))


def kept_heads(moments):
    """Heads of the tasks with enough labels, in a few coordinates.

    Parameters
    ----------
    moments : Moments or MixedMoments
        Moments in the k coordinates of the factors.

    Returns
    -------
    heads : ndarray of shape (n_kept, n_outputs, k)
        Heads of unit norm, so that the size of the noise of a task does not matter.

    variance : ndarray of shape (n_kept,)
        Mean variance of the errors.

    n_outputs : ndarray of shape (n_kept,)
    """
    k = moments.m
    enough = moments.n_labels > k + 2
    if enough.sum() < min(k, len(moments)):
        # Too few for a rotation: use those with the most labels instead.
        enough = np.argsort(np.argsort(-moments.n_labels, kind="stable")) < k
        enough &= moments.n_labels >= 2
    moments = moments.take(np.flatnonzero(enough))
    heads, variance = _heads_and_errors(moments)
    size = (heads**2).sum((1, 2)) / moments.n_outputs
    # A head that is only noise is as large as its error.
    size = np.maximum(size, k * variance)
    size = np.where(size > 0, size, 1.0)
    return heads / np.sqrt(size)[:, None, None], variance / size, moments.n_outputs


def _heads_and_errors(moments):
    """Heads of all coordinates, and the mean variance of the errors of each."""
    if isinstance(moments, MixedMoments):
        found = [_heads_and_errors(m) for m in (moments.numbers, moments.classes)]
        heads, variance = zip(*found, strict=True)
        width = max(part.shape[1] for part in heads)
        heads = [
            np.pad(part, ((0, 0), (0, width - part.shape[1]), (0, 0))) for part in heads
        ]
        return np.concatenate(heads), np.concatenate(variance)
    if moments.labels is not None:
        return refitted_heads(moments)
    heads, inverse = moments.solve(_RIDGE)
    trace = np.trace(inverse, axis1=1, axis2=2)
    return heads, moments.residual_variance(heads) * trace / moments.m


def unrotated(heads):
    """Result without a rotation: for one coordinate, one task, or heads of zeros."""
    k = heads.shape[-1]
    sign = np.where((heads**3).sum((0, 1)) < 0, -1.0, 1.0)
    return RotationResult(
        components=np.diag(sign),
        rotation=np.diag(sign),
        heads=heads * sign,
        criterion=np.nan,
        criteria={},
        n_agree=0,
        spike=np.zeros(k),
    )


def _most_labelled(n_labels):
    used = np.flatnonzero(n_labels >= 2)
    if len(used) <= MAX_TASKS:
        return used
    most = np.argsort(-n_labels[used], kind="stable")[:MAX_TASKS]
    return np.sort(used[most])
