"""Heads of many tasks on white features, with their errors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils import check_array

from sparsedis.inputs._weights import as_counts, check_weights
from sparsedis.rotation._count import estimate_count
from sparsedis.rotation._moments import Moments
from sparsedis.rotation._stages import Whitening
from sparsedis.rotation._tasks import read_tasks

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import ArrayLike

    from sparsedis.rotation._count import FactorCount

# Added to the curvature of each head, relative to its mean.
_RIDGE = 1e-8


@dataclass(frozen=True, eq=False)
class WhiteHeads:
    """Heads of tasks in white coordinates of their features.

    White coordinates are ``(Z - mean) @ components.T``: uncorrelated, with unit
    variance.

    Parameters
    ----------
    coef : ndarray of shape (n_tasks, m) or (n_tasks, n_outputs, m)
        Heads of targets in units of their standard deviation. For classes, log-odds
        with a Gaussian prior, shared by all tasks, whose covariance maximises the
        marginal likelihood; scaled to equal errors if a task has more than two classes.
        Rows of zeros for tasks with fewer outputs; NaN without labels.

    variance : ndarray of shape (n_tasks,)
        Mean variance of the error of a coefficient; inf without labels.

    n_labels : ndarray of shape (n_tasks,)
        Sum of the weights of the labels of each task.

    mean : ndarray of shape (p,)
        Mean of the features.

    components : ndarray of shape (m, p)
        Whitening of the features.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.rotation import white_heads
    >>> rng = np.random.default_rng(0)
    >>> Z = rng.standard_normal((100, 3)) * [1.0, 10.0, 100.0]
    >>> heads = white_heads(Z, Z @ rng.standard_normal((3, 20)))
    >>> heads
    WhiteHeads(n_tasks=20, n_coordinates=3)
    >>> heads.project(np.eye(3)[:, :2]).components.shape
    (2, 3)
    """

    coef: np.ndarray
    variance: np.ndarray
    n_labels: np.ndarray
    mean: np.ndarray
    components: np.ndarray
    _moments: Moments = field(init=False, repr=False)

    def __repr__(self):
        n_tasks, m = len(self.coef), self.coef.shape[-1]
        return f"WhiteHeads(n_tasks={n_tasks}, n_coordinates={m})"

    def project(self, directions: ArrayLike) -> Self:
        """Heads restricted to some directions, such as the counted ones.

        Parameters
        ----------
        directions : array-like of shape (m, k)
            Orthonormal directions in columns.

        Returns
        -------
        WhiteHeads
            Heads in k coordinates.

        Raises
        ------
        ValueError
            When the directions do not have m rows, or are not orthonormal.
        """
        V = check_array(directions, dtype=np.float64, input_name="directions")
        if len(V) != len(self.components):
            raise ValueError(
                f"directions must have {len(self.components)} rows, got {len(V)}."
            )
        if np.abs(V.T @ V - np.eye(V.shape[1])).max() > 1e-6:
            raise ValueError(
                "directions must be orthonormal, got columns with the scalar products "
                f"{(V.T @ V).round(3).tolist()}."
            )
        scalar = self.coef.ndim == 2
        return _solved(
            self._moments.project(V), self.mean, V.T @ self.components, scalar
        )


def white_heads(
    Z: ArrayLike,
    Y: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    classification: bool = False,
) -> WhiteHeads:
    """Fit the head of every task in white coordinates, with its error.

    The features are whitened on all rows. The head of each task is the least-squares
    solution on its labelled rows or, for classes, a logistic regression with a prior
    that all tasks share; with more than two classes, each is compared with the most
    frequent one. If the features contain the factors, these heads are the heads of the
    factors times an invertible matrix (Theorem B.4 of [1]_).

    Parameters
    ----------
    Z : array-like of shape (n, p)
        Features, in any units. Directions with very small variance, if features have
        unit variance, are left out, so m may be below p.

    Y : array-like or DataFrame of shape (n,), (n, n_tasks) or (n, n_tasks, n_outputs)
        Targets or, for classification, labels of any dtype in one or two dimensions.
        NaN (or None, for classes) where missing.

    sample_weight : array-like of shape (n,), default=None
        Weights of the rows; 2 counts as a repetition. If their mean is below 1 or
        above 1e6, only ratios matter.

    classification : bool, default=False
        Whether labels are classes.

    Returns
    -------
    WhiteHeads
        Heads, the variances of their errors, and the white coordinates. The variance is
        that of the residuals (shrunk towards that of all tasks if labels are few) times
        the mean of the diagonal of the inverse Hessian. For classes it is the mean of
        the diagonal of the inverse Fisher information, which includes the prior.

    Raises
    ------
    ValueError
        When Z contains NaN or inf, y contains inf or no label at all, or shapes
        disagree.

    References
    ----------
    .. [1] S. Lachapelle et al., "Synergies between Disentanglement and Sparsity:
       Generalization and Identifiability in Multi-Task Learning", ICML 2023.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.rotation import white_heads
    >>> rng = np.random.default_rng(0)
    >>> Z = rng.standard_normal((200, 5))
    >>> W = rng.standard_normal((5, 30))
    >>> heads = white_heads(Z, Z @ W + rng.standard_normal((200, 30)))
    >>> heads.coef.shape
    (30, 5)
    >>> white = (Z - heads.mean) @ heads.components.T
    >>> np.allclose(np.cov(white.T, bias=True), np.eye(5))
    True
    """
    Z = check_array(Z, dtype=np.float64, input_name="Z", ensure_min_samples=2)
    weight = check_weights(sample_weight, len(Z))
    tasks = read_tasks(Y, len(Z), weight, classification, "white_heads")
    if weight is not None:
        kept = weight > 0
        Z, weight = Z[kept], weight[kept]
        weight = as_counts(weight, weight.mean())
    whitening = Whitening(Z, weight, any_units=True)
    moments = tasks.moments(whitening(Z), weight)
    scalar = moments.gradient.shape[1] == 1 and tasks.Y.shape[2] == 1 and tasks.scalar
    return _solved(moments, whitening.mean, whitening.matrix.T, scalar)


def count_factors(heads: WhiteHeads) -> FactorCount:
    r"""Count the directions that the heads of the tasks use.

    Heads of k factors are in the span of k directions, up to their errors. The evidence
    of a number of directions is the marginal likelihood of the labels under heads that
    are Gaussian in these directions and zero in all others, minus a penalty for the
    choice of the directions (BIC; AIC for classes, with fewer labels per task). Tasks
    with fewer labels than features are also used.

    Parameters
    ----------
    heads : WhiteHeads
        Heads of all tasks, see :func:`white_heads`.

    Returns
    -------
    FactorCount
        The number with the largest evidence, and the directions.

    Raises
    ------
    TypeError
        When the heads are an array: their errors are needed.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.rotation import count_factors, white_heads
    >>> rng = np.random.default_rng(0)
    >>> Z = rng.standard_normal((200, 8))
    >>> W = rng.standard_normal((8, 3)) @ rng.standard_normal((3, 40))
    >>> count = count_factors(white_heads(Z, Z @ W + rng.standard_normal((200, 40))))
    >>> count.n_factors
    3
    """
    if not isinstance(heads, WhiteHeads):
        raise TypeError(
            f"heads must come from white_heads, got {type(heads).__name__}."
        )
    moments = heads._moments
    return estimate_count(moments, noise_of(moments))


def noise_of(moments):
    """Variance of the noise of each task, for its head on all coordinates."""
    heads, _ = moments.solve(_RIDGE)
    return moments.residual_variance(heads)


def _solved(moments, mean, components, scalar):
    heads, inverse = moments.solve(_RIDGE)
    noise = moments.residual_variance(heads)
    with np.errstate(over="ignore"):
        variance = noise * np.trace(inverse, axis1=1, axis2=2) / max(1, moments.m)
    unknown = moments.n_labels == 0
    heads, variance = heads.copy(), np.where(unknown, np.inf, variance)
    heads[unknown] = np.nan
    if scalar:
        heads = heads[:, 0]
    found = WhiteHeads(heads, variance, moments.n_labels, mean, components)
    object.__setattr__(found, "_moments", moments)
    return found
