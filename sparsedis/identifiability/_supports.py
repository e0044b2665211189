"""Variability of the supports of the tasks: Assumption 3.6 and Proposition B.7."""

from __future__ import annotations

import math
import numbers
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse.csgraph import connected_components
from sklearn.utils import Bunch, check_scalar

from sparsedis.identifiability._heads import AssumptionCheck, check_heads

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

# Pairs spelled out in a reason.
N_SHOWN = 3


def check_support_variability(coef: ArrayLike, *, tol: float = 1e-6) -> AssumptionCheck:
    r"""Check Assumption 3.6: the supports of the tasks separate all features.

    For every feature, the tasks that do not use it must use all others between them.
    Equivalently every ordered pair of features is separated: some task uses the first
    and not the second. Where none does, the first feature can stay mixed with the
    second: a learned feature may hold a part of the second without any head growing.

    Parameters
    ----------
    coef : array-like, (n_tasks, n_features) or (n_tasks, n_outputs, n_features)
        Coefficients of the heads, true or learned; or supports, as booleans. Heads with
        NaN, of tasks without labels, are left out, with a warning.

    tol : float, default=1e-6
        Coefficients (norms over the outputs) up to this part of the largest of their
        head count as zero.

    Returns
    -------
    AssumptionCheck
        With the verdict "holds" or "fails". Its `details` hold:

        n_separating : ndarray of shape (n_features, n_features) of int
            Number of tasks that use the feature of the row and not that of the column.
        unseparated_pairs : ndarray of shape (n_pairs, 2) of int
            Ordered pairs of features that no task separates: where the first is used,
            so is the second.
        groups : list of ndarray of int
            Groups of at least two features that unseparated pairs link: candidates for
            `blocks` in :func:`~sparsedis.metrics.mean_correlation_coefficient`.
        unused : ndarray of int
            Features that no task uses. They are in no group: nothing determines them.

    Raises
    ------
    ValueError
        If `coef` has another shape, holds infinity, or holds no head without NaN.

    See Also
    --------
    n_supports_needed : How many random tasks it takes.

    References
    ----------
    .. [1] Lachapelle et al., "Synergies between disentanglement and sparsity:
       generalization and identifiability in multi-task learning", ICML 2023,
       Assumption 3.6.

    Examples
    --------
    >>> from sparsedis.identifiability import check_support_variability
    >>> check = check_support_variability([[1, 1, 0], [0, 1, 1], [0, 1, 0]])
    >>> check
    Assumption 3.6 (supports tell features apart) fails: 2 of 6 ordered pairs of
    features are never separated: 0 is used only with 1, 2 is used only with 1.
    >>> check.details.groups
    [array([0, 1, 2])]
    """
    supports = check_heads(coef, tol)[1]
    return support_variability(supports)


def support_variability(supports):
    """Check Assumption 3.6 on supports.

    Parameters
    ----------
    supports : ndarray of shape (n_tasks, n_features) of bool
        Features that each task uses.

    Returns
    -------
    AssumptionCheck
        As :func:`check_support_variability` does.
    """
    used = supports.astype(np.int64)
    n_separating = used.T @ (1 - used)
    n_features = len(n_separating)
    unseparated = (n_separating == 0) & ~np.eye(n_features, dtype=bool)
    pairs = np.argwhere(unseparated)
    unused = np.flatnonzero(~supports.any(axis=0))
    linked = unseparated.copy()
    linked[unused] = linked[:, unused] = False
    n_groups, labels = connected_components(linked, directed=True, connection="weak")
    groups = [np.flatnonzero(labels == g) for g in range(n_groups)]
    details = Bunch(
        n_separating=n_separating,
        unseparated_pairs=pairs,
        groups=[group for group in groups if len(group) > 1],
        unused=unused,
    )
    n_pairs = n_features * (n_features - 1)
    if not len(pairs):
        verdict, reason = "holds", f"all {n_pairs} ordered pairs are separated."
        if not n_pairs:
            reason = "a single feature has none to be told apart from."
    else:
        known = [f"{i} is used only with {j}" for i, j in pairs if i not in unused]
        if len(known) > N_SHOWN:
            known = [*known[:N_SHOWN], f"{len(known) - N_SHOWN} more"]
        if len(unused):
            known.append(f"no task uses {', '.join(map(str, unused))}")
        verdict = "fails"
        reason = (
            f"{len(pairs)} of {n_pairs} ordered pairs of features are never separated: "
            f"{', '.join(known)}."
        )
    return AssumptionCheck(
        "3.6", "supports tell features apart", verdict, reason, details
    )


def support_failure_bound(n_supports: int, n_features: int, p: float = 0.5) -> float:
    r"""Bound how likely it is that random supports violate Assumption 3.6.

    Parameters
    ----------
    n_supports : int
        Number of tasks, q.

    n_features : int
        Number of features, k.

    p : float in [0, 1], default=0.5
        Probability that a task uses a feature, independently of all others.

    Returns
    -------
    float in [0, 1]
        Upper bound of the probability that some ordered pair of features is not
        separated: :math:`\min(1, k (k - 1) (1 - p (1 - p))^q)`.

    Raises
    ------
    ValueError
        If an argument is out of range.

    See Also
    --------
    n_supports_needed : The inverse.

    References
    ----------
    .. [1] Lachapelle et al., "Synergies between disentanglement and sparsity:
       generalization and identifiability in multi-task learning", ICML 2023,
       Proposition B.7.

    Examples
    --------
    >>> from sparsedis.identifiability import support_failure_bound
    >>> round(support_failure_bound(30, n_features=6, p=0.5), 4)
    0.0054
    """
    check_scalar(n_supports, "n_supports", numbers.Integral, min_val=0)
    check_scalar(n_features, "n_features", numbers.Integral, min_val=1)
    check_scalar(p, "p", numbers.Real, min_val=0, max_val=1)
    bound = n_features * (n_features - 1) * (1 - p * (1 - p)) ** n_supports
    return float(min(1.0, bound))


def n_supports_needed(
    n_features: int,
    p: float = 0.5,
    failure_probability: float = 0.05,
    *,
    n_pairs: int | None = None,
) -> int:
    r"""Find how many random supports satisfy Assumption 3.6 with high probability.

    Parameters
    ----------
    n_features : int
        Number of features, k.

    p : float in (0, 1), default=0.5
        Probability that a task uses a feature, independently of all others.

    failure_probability : float in (0, 1), default=0.05
        Largest accepted value of the bound of :func:`support_failure_bound`.

    n_pairs : int, default=None
        Number of ordered pairs of features that are not separated yet. None: all
        :math:`k (k - 1)`.

    Returns
    -------
    int
        Least number of tasks whose bound is at most `failure_probability`.

    Raises
    ------
    ValueError
        If an argument is out of range; with `p` equal to 0 or 1 no number would do.

    See Also
    --------
    support_failure_bound : The inverse.

    References
    ----------
    .. [1] Lachapelle et al., "Synergies between disentanglement and sparsity:
       generalization and identifiability in multi-task learning", ICML 2023,
       Proposition B.7.

    Examples
    --------
    >>> from sparsedis.identifiability import n_supports_needed
    >>> n_supports_needed(6, p=0.5, failure_probability=0.05)
    23
    """
    check_scalar(n_features, "n_features", numbers.Integral, min_val=1)
    for name, value in (("p", p), ("failure_probability", failure_probability)):
        check_scalar(
            value,
            name,
            numbers.Real,
            min_val=0,
            max_val=1,
            include_boundaries="neither",
        )
    most = n_features * (n_features - 1)
    if n_pairs is None:
        n_pairs = most
    check_scalar(n_pairs, "n_pairs", numbers.Integral, min_val=0, max_val=most)
    if n_pairs <= failure_probability:
        return 0
    q = math.log(failure_probability / n_pairs) / math.log1p(-p * (1 - p))
    # The logarithms round: settle the last unit with the bound itself.
    q = max(0, math.floor(q) - 1)
    while n_pairs * (1 - p * (1 - p)) ** q > failure_probability:
        q += 1
    return q
