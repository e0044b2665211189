"""Selection of features that heads use on most halves of the labels."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, validate_params

from sparsedis._typing import keeps_types
from sparsedis.heads._sparse_heads import SparseHeads
from sparsedis.inputs._forms import read_targets
from sparsedis.inputs._plain import check_plain

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from sparsedis._typing import RandomState, SparseMatrix

# Fewest labels of a task, so that each half has two.
_LABELS = 4


@dataclass(frozen=True, eq=False, repr=False)
class StableFeatures:
    """Features that heads use on most halves of the labels.

    Parameters
    ----------
    frequencies : ndarray of shape (n_features,) or (n_tasks, n_features)
        Share of the halves on which a head uses a feature; NaN for tasks with fewer
        than 4 labels.

    selected : ndarray of bool, of the same shape
        Whether the frequency reaches the threshold.

    k_features : int
        Largest number of features of each head.

    max_false : float
        Bound on the expected number of false selections of each task.

    tasks : ndarray of shape (n_tasks,)
        Names of the tasks.

    See Also
    --------
    stability_selection : Returns these.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.heads import stability_selection
    >>> X = np.random.default_rng(0).standard_normal((60, 20))
    >>> found = stability_selection(X, 3 * X[:, 4] + X[:, 5], random_state=0)
    >>> float(found.frequencies[4]), found.tasks, found.max_false
    (1.0, array([0]), 0.9)
    """

    frequencies: np.ndarray
    selected: np.ndarray
    k_features: int
    max_false: float
    tasks: np.ndarray

    def __repr__(self):
        mean = self.selected.sum() / len(self.tasks)
        return (
            f"StableFeatures(n_tasks={len(self.tasks)}, mean features selected="
            f"{mean:.1f}, k_features={self.k_features}, max_false={self.max_false:.3g})"
        )


@keeps_types(
    validate_params(
        {
            "max_false": [Interval(Real, 0, None, closed="neither")],
            "threshold": [Interval(Real, 0.5, 1, closed="right")],
            "n_pairs": [Interval(Integral, 1, None, closed="left")],
            "fit_intercept": ["boolean"],
            "n_jobs": [None, Integral],
            "random_state": ["random_state"],
        },
        prefer_skip_nested_validation=True,
    )
)
def stability_selection(
    X: ArrayLike,
    y: ArrayLike | SparseMatrix,
    *,
    task: ArrayLike | None = None,
    max_false: float = 1.0,
    threshold: float = 0.75,
    n_pairs: int = 50,
    fit_intercept: bool = True,
    n_jobs: int | None = None,
    random_state: RandomState = None,
) -> StableFeatures:
    r"""Select features of each task, with a bound on the false ones.

    The labels of each task are divided at random into two halves, `n_pairs` times. On
    each half a Lasso uses at most q of p features, as `k_features` of
    :class:`SparseHeads` defines it. Features are selected that are in use on a share
    :math:`\tau` of the halves. Then [2]_

    .. math::
        E |\{j \text{ selected}: p_j \le q / p\}| \le \frac{q^2}{(2 \tau - 1) p},

    where :math:`p_j` is the probability that the Lasso uses feature j on a half of the
    labels. Such features count as false: they are in use no more often than if q
    features were drawn at random. The largest q is taken for which the bound is at most
    `max_false`. It needs no assumption on the features or the noise but that labels of
    a task are independent samples.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Features.

    y : array-like, DataFrame or sparse matrix
        Targets of shape (n_samples,) or (n_samples, n_tasks), as for
        :class:`SparseHeads`, missing where NaN.

    task : array-like of shape (n_samples,), default=None
        The task of each row, if y holds one label per row.

    max_false : float, default=1.0
        Bound on the expected number of false selections of each task.

    threshold : float in (0.5, 1], default=0.75
        Share :math:`\tau` of the halves from which a feature is selected.

    n_pairs : int, default=50
        Number of divisions into two halves.

    fit_intercept : bool, default=True
        Whether to fit intercepts.

    n_jobs : int, default=None
        Number of processes for blocks of tasks.

    random_state : int, RandomState instance or None, default=None
        Decides on the halves.

    Returns
    -------
    StableFeatures
        Frequencies, selected features and the bound.

    Raises
    ------
    ValueError
        When X is not a table, no task has 4 labels, or `max_false` is so small that
        heads could not use any feature.

    References
    ----------
    .. [1] N. Meinshausen, P. Buhlmann, "Stability selection", Journal of the Royal
       Statistical Society B 72, 2010.
    .. [2] R. D. Shah, R. J. Samworth, "Variable selection with error control: another
       look at stability selection", Journal of the Royal Statistical Society B 75,
       2013, Theorem 1.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.heads import stability_selection
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((100, 50))
    >>> y = 2 * X[:, 3] - X[:, 7] + rng.standard_normal(100)
    >>> found = stability_selection(X, y, random_state=0)
    >>> found
    StableFeatures(n_tasks=1, mean features selected=2.0, k_features=5, max_false=1)
    >>> np.flatnonzero(found.selected)
    array([3, 7])
    """
    check_plain(X, "X")
    if len(np.shape(X)) != 2 or 0 in np.shape(X):
        raise ValueError(
            "X must have shape (n_samples, n_features), none of them 0; got "
            f"{np.shape(X)}."
        )
    n, p = np.shape(X)
    k = _most_features(p, max_false, threshold)
    name = "stability_selection"
    targets = read_targets(y, n, task, real=True, estimator=name)
    rows, tasks, values = targets.listed()
    if values.ndim > 1:
        raise ValueError("y must hold a number for each label, got vectors.")
    counts = np.bincount(tasks, minlength=targets.n_tasks)
    enough = counts >= _LABELS
    if not enough.any():
        raise ValueError(
            f"y must label at least {_LABELS} samples of a task; the largest number is "
            f"{counts.max()}."
        )
    kept = enough[tasks]
    rows, tasks, values = rows[kept], tasks[kept], values[kept]
    rng = check_random_state(random_state)
    heads = SparseHeads(k_features=k, fit_intercept=fit_intercept, n_jobs=n_jobs)
    shape, used = (n, targets.n_tasks), np.zeros((targets.n_tasks, p))
    for _ in range(n_pairs):
        for half in _halves(tasks, rng):
            own = sp.coo_array((values[half], (rows[half], tasks[half])), shape=shape)
            used += heads.fit(X, own).coef_ != 0
    frequencies = used / (2 * n_pairs)
    frequencies[~enough] = np.nan
    if targets.layout == "single":
        frequencies = frequencies[0]
    bound = k**2 / ((2 * threshold - 1) * p)
    selected = frequencies >= threshold
    return StableFeatures(frequencies, selected, k, bound, targets.names)


def _most_features(p, max_false, threshold):
    """Largest number of features of a head for which the bound holds."""
    k = int(np.sqrt(max_false * (2 * threshold - 1) * p) * (1 + 1e-12))
    if k < 1:
        raise ValueError(
            f"max_false must be at least {1 / ((2 * threshold - 1) * p):.3g} with "
            f"{p} features and threshold={threshold:g}, so that heads may use one; got "
            f"{max_false:g}."
        )
    return min(k, p)


def _halves(tasks, rng):
    """Positions of the labels in two random halves of each task.

    A label is left over where their number is odd.
    """
    order = np.lexsort((rng.uniform(size=len(tasks)), tasks))
    counts = np.bincount(tasks)
    first = np.cumsum(counts) - counts
    rank = np.arange(len(tasks)) - first[tasks[order]]
    half = counts[tasks[order]] // 2
    return order[rank < half], order[(rank >= half) & (rank < 2 * half)]
