"""Whether the tasks of a data set identify its factors, whatever the estimator."""

from itertools import combinations
from math import comb

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from sparsedis.identifiability import check_support_variability, check_task_variability

# Null vectors drawn for mixtures of few factors, and of more.
_MANY, _SOME = 4_000, 300
_FEW_FACTORS = 4
# Coefficients up to this, of heads and mixtures of unit norm, are zero.
_TOL = 1e-9
# Inverse penalty of logistic regressions, which hardly shrinks heads of any length.
_C = 1e4


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


def f1_of_decided(data):
    """F1 of the supports that the labels can decide, the mean over the tasks.

    A factor of a task is decided if the log-likelihood of the labels decreases without
    it by more than half the logarithm of their number (BIC), at the maximum-likelihood
    heads of the true factors. The rule assumes that the other factors of the task are
    known, and never selects a wrong factor. A method that has to find the factors and
    choose among all supports has less information, so this is a bound on the expected
    F1. It does not bound single results, MCC or counts, and removes no condition from
    the means.

    Parameters
    ----------
    data : Bunch
        See :func:`~benchmarks.factors._generate.make_data`.

    Returns
    -------
    float
        Mean F1 of the tasks that have labels.
    """
    classes = data.condition.classification
    deviance = _logistic_deviance if classes else _squares_deviance
    Z = (data.factors - data.factors.mean(0)) / data.factors.std(0)
    f1 = []
    for support, y in zip(data.supports, data.Y.T, strict=True):
        rows = np.isfinite(y)
        if not rows.any():
            continue
        inside = np.flatnonzero(support)
        full = deviance(Z[rows][:, inside], y[rows])
        price = np.log(rows.sum())
        n_kept = sum(
            deviance(Z[rows][:, np.setdiff1d(inside, j)], y[rows]) - full > price
            for j in inside
        )
        f1.append(2 * n_kept / (n_kept + len(inside)))
    return float(np.mean(f1))


def _logistic_deviance(Z, y):
    p = np.full(len(y), y.mean())
    if Z.shape[1] and 0 < y.mean() < 1:
        model = LogisticRegression(C=_C, solver="newton-cholesky", max_iter=100)
        p = model.fit(Z, y).predict_proba(Z)[:, 1]
    return 2 * log_loss(y, p, normalize=False, labels=[0, 1])


def _squares_deviance(Z, y):
    design = np.column_stack([Z, np.ones(len(y))])
    left = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    # Noise that is rounding is none.
    square = np.maximum((left**2).mean(), 1e-20 * (y**2).mean())
    return len(y) * np.log(max(square, 1e-300))
