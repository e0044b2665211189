"""Variability of the heads within each support: Assumption 3.5."""

from __future__ import annotations

import itertools
import math
import numbers
from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils import Bunch, check_random_state, check_scalar
from sklearn.utils.random import sample_without_replacement

from sparsedis.identifiability._heads import AssumptionCheck, check_heads
from sparsedis.identifiability._variability import unit_norm

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from sparsedis._typing import RandomState


def check_intra_support_variability(
    coef: ArrayLike,
    *,
    exhaustive: bool = False,
    tol: float = 1e-6,
    rank_tol: float = 1e-10,
    max_subsets: int = 2_000,
    random_state: RandomState = None,
) -> AssumptionCheck:
    r"""Check Assumption 3.5: within a support, heads do not share a subspace.

    The assumption is about the distribution of the tasks: among those with one support,
    no proper subspace may hold a positive share. Finitely many heads allow this test.
    If the assumption holds, heads are in general position with probability 1: no two
    have the same direction, and no subspace of dimension s - 1 holds s of them, for any
    s up to the size of the support. Heads that are not in general position refute the
    assumption. Heads that are support it, unless they are too few to violate it.

    Parameters
    ----------
    coef : array-like, (n_tasks, n_features) or (n_tasks, n_outputs, n_features)
        Coefficients of the heads, true or learned. Heads with NaN, of tasks without
        labels, are left out, with a warning.

    exhaustive : bool, default=False
        Assume that the distribution draws no other heads, instead of taking them for a
        sample. Each of them then has a positive share, and the assumption fails for
        supports of more features than outputs, for any number of heads.

    tol : float, default=1e-6
        Coefficients (norms over the outputs) up to this part of the largest of their
        head count as zero.

    rank_tol : float, default=1e-10
        Two directions are the same, and heads lie in a subspace, if they differ from it
        by this part of their norm at most. Heads computed in float32 need about 1e-5.

    max_subsets : int, default=2000
        Largest number of subsets of heads that are tried for a common subspace, for
        each support. If there are more, that many are drawn at random.

    random_state : int, RandomState instance or None, default=None
        Draws the subsets. Pass an int for the same outcome at every call.

    Returns
    -------
    AssumptionCheck
        "fails" if it fails for some support, otherwise "undecidable" if it is so for
        some support, otherwise "holds". Its `details` hold:

        supports : list of Bunch
            For each support: `support`, a tuple of features; `tasks`, the positions of
            its heads among those without NaN; `verdict`; `repeated`, a list of arrays
            of tasks of the same direction; and `subspace`, an array of the tasks of the
            fullest proper subspace found, empty if none holds too many.

    Raises
    ------
    ValueError
        If `coef` has another shape, holds infinity, or holds no head without NaN.

    Notes
    -----
    A support is undecidable if none of its heads are in special position, and they are
    no more than its features: any few heads share a subspace. A support of a single
    feature always satisfies the assumption. With several outputs a task counts as in a
    subspace if all its rows are.

    References
    ----------
    .. [1] Lachapelle et al., "Synergies between disentanglement and sparsity:
       generalization and identifiability in multi-task learning", ICML 2023,
       Assumption 3.5, Sections B.4 and B.6.

    Examples
    --------
    >>> from sparsedis.identifiability import check_intra_support_variability
    >>> heads = [[1.0, 2.0, 0.0], [2.0, 4.0, 0.0], [0.0, 1.0, 1.0]]
    >>> check_intra_support_variability(heads)
    Assumption 3.5 (heads vary within supports) fails: for 1 of 2 supports heads share a
    subspace: 2 of the 2 heads with support {0, 1}.
    """
    check_scalar(rank_tol, "rank_tol", numbers.Real, min_val=0)
    check_scalar(max_subsets, "max_subsets", numbers.Integral, min_val=1)
    heads, supports = check_heads(coef, tol)
    rng = check_random_state(random_state)
    return intra_support_variability(
        heads, supports, exhaustive, rank_tol, max_subsets, rng
    )


def intra_support_variability(heads, supports, exhaustive, rank_tol, max_subsets, rng):
    """Check Assumption 3.5 on validated heads.

    Parameters
    ----------
    heads : ndarray of shape (n_tasks, n_outputs, n_features)
        Coefficients.

    supports : ndarray of shape (n_tasks, n_features) of bool
        Features that each task uses.

    exhaustive : bool
        Whether the heads are all there are.

    rank_tol : float
        Relative threshold.

    max_subsets : int
        Largest number of subsets of heads to try.

    rng : RandomState instance
        Draws the subsets.

    Returns
    -------
    AssumptionCheck
        As :func:`check_intra_support_variability` does.
    """
    distinct, which = np.unique(supports, axis=0, return_inverse=True)
    checked = []
    for s, support in enumerate(distinct):
        if not support.any():
            continue
        tasks = np.flatnonzero(which.ravel() == s)
        found = _check_support(
            heads[tasks][:, :, support], exhaustive, rank_tol, max_subsets, rng
        )
        checked.append(
            Bunch(
                support=tuple(np.flatnonzero(support).tolist()),
                tasks=tasks,
                verdict=found.verdict,
                repeated=[tasks[group] for group in found.repeated],
                subspace=tasks[found.subspace],
            )
        )
    verdict, reason = _summarize(checked, exhaustive)
    return AssumptionCheck(
        "3.5", "heads vary within supports", verdict, reason, Bunch(supports=checked)
    )


def _summarize(checked, exhaustive):
    if not checked:
        return "undecidable", "no head uses any feature."
    failed = [c for c in checked if c.verdict == "fails"]
    if failed and exhaustive:
        return "fails", (
            f"for {len(failed)} of {len(checked)} supports each head has a positive "
            "share, and lies in a subspace."
        )
    if failed:
        sizes = [max(map(len, [c.subspace, *c.repeated])) for c in failed]
        worst = failed[int(np.argmax(sizes))]
        return "fails", (
            f"for {len(failed)} of {len(checked)} supports heads share a subspace: "
            f"{max(sizes)} of the {len(worst.tasks)} heads with support "
            f"{set(worst.support)}."
        )
    open_ = sum(c.verdict == "undecidable" for c in checked)
    if open_:
        return "undecidable", (
            f"{open_} of {len(checked)} supports have too few heads to tell."
        )
    return "holds", f"heads of all {len(checked)} supports are in general position."


def _check_support(heads, exhaustive, rank_tol, max_subsets, rng):
    """Check the heads, (n_tasks, n_outputs, n_features), of one support."""
    n_tasks, _, n_features = heads.shape
    found = Bunch(
        verdict="holds",
        repeated=[],
        subspace=np.empty(0, dtype=int),
    )
    if n_features == 1:
        return found  # the only proper subspace is {0}, which holds no head
    heads = unit_norm(heads.reshape(n_tasks, -1), axis=1).reshape(heads.shape)
    # Rows that a head really has: those of softmax heads sum to zero.
    n_rows = max(_ranks(heads, rank_tol))
    # In general position a common null direction is shared by this many at most.
    n_sharing = (n_features - 1) // n_rows
    if n_sharing:
        found.repeated = _repeated(heads, rank_tol, rng)
    found.subspace = _fullest_subspace(heads, n_sharing + 1, rank_tol, max_subsets, rng)
    if (exhaustive and n_sharing) or found.repeated or len(found.subspace):
        found.verdict = "fails"
    elif n_tasks <= n_sharing + 1:
        found.verdict = "undecidable"
    return found


def _ranks(matrices, rank_tol):
    singular = np.linalg.svd(matrices, compute_uv=False)
    return (singular > rank_tol * singular[:, :1]).sum(axis=1)


def _repeated(heads, rank_tol, rng):
    """Groups of heads that are multiples of each other."""
    directions = heads.reshape(len(heads), -1)
    # Multiples fall on one point of a random line, next to each other: no need to
    # compare all pairs.
    order = np.argsort(np.abs(directions @ rng.normal(size=directions.shape[1])))
    first, second = directions[order[:-1]], directions[order[1:]]
    distance = np.minimum(
        np.linalg.norm(first - second, axis=1), np.linalg.norm(first + second, axis=1)
    )
    groups = np.split(order, np.flatnonzero(distance > rank_tol) + 1)
    return [np.sort(group) for group in groups if len(group) > 1]


def _fullest_subspace(heads, size, rank_tol, max_subsets, rng):
    """Tasks of the proper subspace that holds most heads, among those of subsets."""
    n_tasks, n_outputs, n_features = heads.shape
    subsets = _subsets(n_tasks, size, max_subsets, rng)
    if not len(subsets):
        return np.empty(0, dtype=int)
    stacked = heads[subsets].reshape(len(subsets), size * n_outputs, n_features)
    # A subset has at least as many rows as there are features. All are at most 1 long.
    _, singular, directions = np.linalg.svd(stacked, full_matrices=False)
    dependent = singular[:, -1] <= rank_tol
    best = np.empty(0, dtype=int)
    for null in directions[dependent, -1]:
        inside = np.flatnonzero((np.abs(heads @ null) <= rank_tol).all(axis=1))
        best = max(best, inside, key=len)
    return best


def _subsets(n, size, max_subsets, rng):
    """All subsets of that size, or as many random ones as allowed."""
    if math.comb(n, size) <= max_subsets:
        subsets = list(itertools.combinations(range(n), size))
        return np.array(subsets, dtype=int).reshape(-1, size)
    return np.array(
        [
            sample_without_replacement(n, size, random_state=rng)
            for _ in range(max_subsets)
        ]
    )
