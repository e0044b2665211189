"""Whether the tasks of a data set identify its factors, whatever the estimator."""

from itertools import combinations
from math import comb

import numpy as np

from sparsedis.identifiability import check_support_variability, check_task_variability

# Null vectors drawn for mixtures of few factors, and of more.
_MANY, _SOME = 4_000, 300
_FEW_FACTORS = 4
# Coefficients up to this, of heads and mixtures of unit norm, are zero.
_TOL = 1e-9


def identified(data):
    """Decide from the truth whether the tasks identify the factors.

    The rule: among the tasks that have labels, the true coefficients span all factors
    (Assumption 3.4), the true supports tell all factors apart (Assumption 3.6), and no
    mixture is found that makes other heads as sparse as the true ones (`find_rival`).

    The first two do not suffice. Three factors of which every task adds or subtracts
    two meet them, and yet there are other features that make these heads sparser.

    Parameters
    ----------
    data : Bunch
        See :func:`~benchmarks.factors._generate.make_data`.

    Returns
    -------
    bool
        Whether all hold.
    """
    labelled = np.isfinite(data.Y).any(axis=0)
    coef = data.coef[labelled]
    return (
        check_task_variability(coef).verdict == "holds"
        and check_support_variability(data.supports[labelled]).verdict == "holds"
        and find_rival(coef) is None
    )


def find_rival(coef):
    """Find a mixture of factors that could replace one without less sparse heads.

    New features give new heads, whose columns are mixtures ``coef @ v`` of the old,
    linearly independent. The heads are sparsest where those are chosen that are zero
    for the most tasks, so that the true heads are the only sparsest ones if and only if
    every mixture of two factors or more is zero for fewer tasks than each factor in it.
    (Sets of independent mixtures are a matroid; this is when its best basis is unique.)

    Mixtures are drawn: those that are zero for as many tasks, less one, as they have
    factors, of all sets of up to four factors if these are not too many, or else of
    random sets of every size. What is returned is thus a proof; nothing is a guess.

    Parameters
    ----------
    coef : ndarray of shape (n_tasks, n_factors)
        True heads, that span all factors.

    Returns
    -------
    ndarray of shape (n_factors,) or None
        The mixture.
    """
    scaled = coef / np.linalg.norm(coef, axis=1, keepdims=True)
    n_factors = coef.shape[1]
    n_zero = (scaled == 0).sum(axis=0)
    for size in range(2, n_factors + 1):
        rng = np.random.default_rng(size)
        sets = _draw_sets(n_factors, size, rng)
        vectors = _draw_mixtures(scaled, sets, rng)
        used = np.abs(vectors) > _TOL
        least = np.where(used, n_zero, len(coef)).min(axis=1)
        reached = (np.abs(scaled @ vectors.T) <= _TOL).sum(axis=0)
        rivals = np.flatnonzero((used.sum(axis=1) > 1) & (reached >= least))
        if len(rivals):
            return vectors[rivals[0]]
    return None


def _draw_sets(n_factors, size, rng):
    """Sets of factors, with repetition."""
    n_draws = _MANY if size <= _FEW_FACTORS else _SOME
    if comb(n_factors, size) <= n_draws:
        sets = np.array(list(combinations(range(n_factors), size)))
        return np.tile(sets, (-(-n_draws // len(sets)), 1))[:n_draws]
    return rng.random((n_draws, n_factors)).argsort(axis=1)[:, :size]


def _draw_mixtures(heads, sets, rng):
    """For each set a mixture of it that is zero for some of the tasks that use it."""
    n_draws, size = sets.shape
    members = heads.T[sets]  # of shape (n_draws, size, n_tasks)
    # Tasks that use the set come first, in random order; the others add nothing.
    keys = rng.random((n_draws, len(heads))) + ~(members != 0).any(axis=1)
    tasks = keys.argpartition(size - 2, axis=1)[:, : size - 1]
    rows = np.take_along_axis(members, tasks[:, None], axis=2).swapaxes(1, 2)
    null = np.linalg.svd(rows)[2][:, -1]
    vectors = np.zeros((n_draws, heads.shape[1]))
    np.put_along_axis(vectors, sets, null, axis=1)
    return vectors
