"""Mixtures of the features that make no head denser, as in Section B.4."""

from __future__ import annotations

import numbers
from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils import check_scalar

from sparsedis.identifiability._heads import check_heads
from sparsedis.identifiability._variability import unit_norm

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def find_mixing(
    coef: ArrayLike, *, tol: float = 1e-6, rank_tol: float = 1e-10
) -> np.ndarray | None:
    r"""Find a mixture of the features that makes no head any denser.

    Heads identify their features only if every invertible mixture other than a
    permutation and scaling makes some head use more features. This looks for mixtures
    L = I + v e_j^T that do not: they exist if the heads that do not use a feature j
    span fewer dimensions than there are other features, and violate Assumption 3.5 or
    3.6, or come from too few tasks.

    Parameters
    ----------
    coef : array-like, (n_tasks, n_features) or (n_tasks, n_outputs, n_features)
        Coefficients of the heads, true or learned. Heads with NaN, of tasks without
        labels, are left out, with a warning.

    tol : float, default=1e-6
        Coefficients (norms over the outputs) up to this part of the largest of their
        head count as zero.

    rank_tol : float, default=1e-10
        Singular values of the coefficients up to this part of the largest count as
        zero. Heads computed in float32 need about 1e-5.

    Returns
    -------
    ndarray of shape (n_features, n_features) or None
        Matrix L such that the heads ``coef @ L`` have supports within those of `coef`.
        With features ``Z @ inv(L).T``, they predict the same. None if there is no such
        L of this form.

    Raises
    ------
    ValueError
        If `coef` has another shape, holds infinity, or holds no head without NaN.

    Notes
    -----
    None does not prove that the heads identify the features: mixtures that change
    several features at once are not searched.

    References
    ----------
    .. [1] Lachapelle et al., "Synergies between disentanglement and sparsity:
       generalization and identifiability in multi-task learning", ICML 2023,
       Section B.4.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.identifiability import find_mixing
    >>> heads = np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0], [1.0, 0.0, 1.0]])
    >>> L = find_mixing(heads)
    >>> (np.abs(heads @ L) > 1e-12).astype(int)
    array([[1, 1, 0],
           [0, 1, 1],
           [1, 0, 1]])
    >>> bool(np.allclose(L, np.eye(3)))
    False
    """
    check_scalar(rank_tol, "rank_tol", numbers.Real, min_val=0)
    heads, supports = check_heads(coef, tol)
    return mixing(heads, supports, rank_tol)


def mixing(heads, supports, rank_tol):
    """Find a mixture that makes no validated head denser.

    Parameters
    ----------
    heads : ndarray of shape (n_tasks, n_outputs, n_features)
        Coefficients.

    supports : ndarray of shape (n_tasks, n_features) of bool
        Features that each task uses.

    rank_tol : float
        Relative threshold for singular values.

    Returns
    -------
    ndarray of shape (n_features, n_features) or None
        As :func:`find_mixing` does.
    """
    n_features = heads.shape[2]
    scaled = unit_norm(heads.reshape(len(heads), -1), axis=1).reshape(heads.shape)
    for j in range(n_features if n_features > 1 else 0):
        others = np.arange(n_features) != j
        rows = scaled[~supports[:, j]][:, :, others].reshape(-1, n_features - 1)
        # Rows of zeros, so that every direction has a singular value.
        rows = np.vstack([rows, np.zeros((n_features - 1, n_features - 1))])
        _, singular, directions = np.linalg.svd(rows, full_matrices=False)
        if singular[-1] <= rank_tol * singular[0]:
            L = np.eye(n_features)
            L[others, j] = directions[-1]
            return L
    return None
