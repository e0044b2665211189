"""Variability of features and of all heads: Assumptions 3.3 and 3.4."""

from __future__ import annotations

import numbers
from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils import Bunch, check_array, check_scalar

from sparsedis.identifiability._heads import AssumptionCheck, check_heads

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def check_representation_variability(
    features: ArrayLike, *, rank_tol: float = 1e-10
) -> AssumptionCheck:
    """Check Assumption 3.3: the features of some inputs are a basis.

    Parameters
    ----------
    features : array-like of shape (n_samples, n_features)
        Features of inputs, true or learned.

    rank_tol : float, default=1e-10
        Singular values of the features, scaled to equal norms, up to this part of the
        largest count as zero. Features computed in float32 need about 1e-5.

    Returns
    -------
    AssumptionCheck
        "holds" if the features are linearly independent, "undecidable" if they are not
        and there are fewer samples than features, or else "fails". Its `details` hold:

        rank : int
            Dimension of the space that the features span.
        singular_values : ndarray of shape (min(n_samples, n_features),)
            Relative to the largest.

    Raises
    ------
    ValueError
        If `features` has another shape or holds NaN or infinity.

    Examples
    --------
    >>> from sparsedis.identifiability import check_representation_variability
    >>> check_representation_variability([[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]])
    Assumption 3.3 (representation varies) fails: features of 3 samples span 1 of 2
    dimensions.
    """
    check_scalar(rank_tol, "rank_tol", numbers.Real, min_val=0)
    features = check_array(features, dtype=np.float64, input_name="features")
    rank, singular_values = _rank(features, rank_tol)
    n_samples, n_features = features.shape
    return AssumptionCheck(
        "3.3",
        "representation varies",
        _rank_verdict(rank, n_features, n_samples),
        f"features of {n_samples} samples span {rank} of {n_features} dimensions.",
        Bunch(rank=rank, singular_values=singular_values),
    )


def check_task_variability(
    coef: ArrayLike, *, tol: float = 1e-6, rank_tol: float = 1e-10
) -> AssumptionCheck:
    """Check Assumption 3.4: the heads of the tasks span all features.

    Parameters
    ----------
    coef : array-like, (n_tasks, n_features) or (n_tasks, n_outputs, n_features)
        Coefficients of the heads, true or learned. Heads with NaN, of tasks without
        labels, are left out, with a warning.

    tol : float, default=1e-6
        Coefficients (norms over the outputs) up to this part of the largest of their
        head count as zero.

    rank_tol : float, default=1e-10
        Singular values of the coefficients, scaled to equal norms, up to this part of
        the largest count as zero. Heads computed in float32 need about 1e-5.

    Returns
    -------
    AssumptionCheck
        "holds" if the rows of all heads span all features, "undecidable" if they do not
        and are fewer than the features, or else "fails". Its `details` hold:

        rank : int
            Dimension of the space that the heads span.
        singular_values : ndarray
            Relative to the largest.

    Raises
    ------
    ValueError
        If `coef` has another shape, holds infinity, or holds no head without NaN.

    Examples
    --------
    >>> from sparsedis.identifiability import check_task_variability
    >>> check_task_variability([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    Assumption 3.4 (heads span all features) holds: 3 heads span 2 of 2 dimensions.
    """
    check_scalar(rank_tol, "rank_tol", numbers.Real, min_val=0)
    heads = check_heads(coef, tol)[0]
    return task_variability(heads, rank_tol)


def task_variability(heads, rank_tol):
    """Check Assumption 3.4 on validated heads.

    Parameters
    ----------
    heads : ndarray of shape (n_tasks, n_outputs, n_features)
        Coefficients.

    rank_tol : float
        Relative threshold for singular values.

    Returns
    -------
    AssumptionCheck
        As :func:`check_task_variability` does.
    """
    n_tasks, _, n_features = heads.shape
    rows = heads.reshape(-1, n_features)
    rank, singular_values = _rank(rows, rank_tol)
    return AssumptionCheck(
        "3.4",
        "heads span all features",
        _rank_verdict(rank, n_features, len(rows)),
        f"{n_tasks} heads span {rank} of {n_features} dimensions.",
        Bunch(rank=rank, singular_values=singular_values),
    )


def _rank_verdict(rank, n_features, n_rows):
    if rank == n_features:
        return "holds"
    return "undecidable" if n_rows < n_features else "fails"


def _rank(rows, rank_tol):
    """Return the rank of a matrix, judged after scaling its rows and columns."""
    scaled = unit_norm(unit_norm(rows, axis=0), axis=1)
    singular_values = np.linalg.svd(scaled, compute_uv=False)
    if singular_values[0] > 0:
        singular_values = singular_values / singular_values[0]
    return int((singular_values > rank_tol).sum()), singular_values


def unit_norm(a, axis):
    """Scale an array to unit norm along an axis; vectors of zeros stay zero.

    Parameters
    ----------
    a : ndarray
        Finite values.

    axis : int
        Axis of the norms.

    Returns
    -------
    ndarray
        A new array of the same shape.
    """
    # By the largest entry first: squares of tiny or huge entries are out of range.
    largest = np.abs(a).max(axis=axis, keepdims=True)
    a = np.divide(a, largest, out=np.zeros_like(a), where=largest > 0)
    norm = np.linalg.norm(a, axis=axis, keepdims=True)
    return np.divide(a, norm, out=a, where=norm > 0)
