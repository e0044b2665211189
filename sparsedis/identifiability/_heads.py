"""Heads of tasks, their supports, and the outcome of a check."""

from __future__ import annotations

import numbers
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils import Bunch, check_scalar

from sparsedis._warn import warn

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@dataclass(frozen=True)
class AssumptionCheck:
    """Outcome of the check of one assumption.

    Parameters
    ----------
    assumption : str
        Its number in the paper.

    title : str
        Short statement of the assumption.

    verdict : {"holds", "fails", "undecidable", "not checked"}
        Whether the assumption holds, as far as the data can tell.

    reason : str
        Reason of the verdict, in a sentence.

    details : Bunch
        Quantities behind the reason; see the function that made the check.

    Examples
    --------
    >>> from sparsedis.identifiability import check_task_variability
    >>> check = check_task_variability([[1.0, 0.0], [2.0, 0.0]])
    >>> check.verdict
    'fails'
    >>> check.reason
    '2 heads span 1 of 2 dimensions.'
    """

    assumption: str
    title: str
    verdict: str
    reason: str
    details: Bunch

    def __repr__(self):
        return (
            f"Assumption {self.assumption} ({self.title}) {self.verdict}: {self.reason}"
        )


def check_heads(coef, tol):
    """Validate heads, and set coefficients that are zero up to the tolerance to zero.

    Parameters
    ----------
    coef : array-like, (n_tasks, n_features) or (n_tasks, n_outputs, n_features)
        Coefficients, or supports as booleans. NaN stands for a task without a head.

    tol : float
        Coefficients up to this part of the largest of their head are zero.

    Returns
    -------
    heads : ndarray of shape (n_tasks, n_outputs, n_features) of float64
        Coefficients, without the heads that are NaN.

    supports : ndarray of shape (n_tasks, n_features) of bool
        Features with a coefficient other than zero.
    """
    check_scalar(tol, "tol", numbers.Real, min_val=0)
    coef = np.asarray(coef, dtype=np.float64)
    if coef.ndim not in (2, 3) or 0 in coef.shape:
        raise ValueError(
            "coef must have shape (n_tasks, n_features) or (n_tasks, n_outputs, "
            f"n_features), none of them 0; got {coef.shape}."
        )
    heads = coef.reshape(len(coef), -1, coef.shape[-1])
    missing = np.isnan(heads).any(axis=(1, 2))
    if np.isinf(heads).any():
        raise ValueError("coef contains infinity; coefficients must be finite or NaN.")
    if missing.all():
        raise ValueError("coef has no head without NaN.")
    if missing.any():
        warn(
            f"{missing.sum()} of {len(heads)} heads in coef are NaN and left out.",
            UserWarning,
        )
        heads = heads[~missing]
    # In units of the largest, whose square is in range.
    largest = np.abs(heads).max(axis=(1, 2), keepdims=True)
    size = np.linalg.norm(heads / np.where(largest > 0, largest, 1.0), axis=1)
    supports = size > tol * size.max(axis=1, keepdims=True)
    return np.where(supports[:, None, :], heads, 0.0), supports


def support_matrix(coef: ArrayLike, *, tol: float = 1e-6) -> np.ndarray:
    """Tell which features each head uses.

    Parameters
    ----------
    coef : array-like, (n_tasks, n_features) or (n_tasks, n_outputs, n_features)
        Coefficients of the heads of the tasks. Heads with NaN, of tasks without
        labels, are left out, with a warning.

    tol : float, default=1e-6
        Coefficients (norms over the outputs) up to this part of the largest of their
        head count as zero.

    Returns
    -------
    ndarray of shape (n_heads, n_features) of bool
        True where a head uses a feature.

    Raises
    ------
    ValueError
        If `coef` has another shape, holds infinity, or holds no head without NaN.

    Examples
    --------
    >>> from sparsedis.identifiability import support_matrix
    >>> support_matrix([[0.5, 0.0, -2.0], [0.0, 3.0, 1e-9]])
    array([[ True, False,  True],
           [False,  True, False]])
    """
    return check_heads(coef, tol)[1]
