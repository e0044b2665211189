"""Penalties that users give, and certificates of what was fitted with them."""

from numbers import Integral

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from sparsedis._warn import warn
from sparsedis.inputs._ids import check_order


def read_alpha(alpha, names):
    """Penalty of each task.

    Parameters
    ----------
    alpha : float or array-like of shape (n_tasks,)

    names : ndarray of shape (n_tasks,)
        Names of the tasks.

    Returns
    -------
    ndarray of shape (n_tasks,)

    Raises
    ------
    ValueError
        When a penalty is not positive and finite, there are more or fewer, or a Series
        has other names.
    """
    check_order(alpha, names, "alpha")
    n_tasks = len(names)
    values = _positive(alpha)
    if values.shape not in ((), (n_tasks,)):
        raise ValueError(
            f"alpha must be a positive number, or {n_tasks} of them for as many tasks, "
            f"got {alpha!r}."
        )
    return np.broadcast_to(values, n_tasks)


def read_alphas(alphas):
    """Penalties of all tasks, in decreasing order.

    Parameters
    ----------
    alphas : int or array-like of shape (n_alphas,)

    Returns
    -------
    int or ndarray of shape (n_alphas,)
        A number of penalties as it is.

    Raises
    ------
    ValueError
        When a penalty is not positive and finite, or there is none.
    """
    if isinstance(alphas, Integral) and not isinstance(alphas, bool):
        return alphas
    values = np.sort(_positive(alphas))[::-1].copy()
    if values.ndim != 1 or not len(values):
        raise ValueError(
            "alphas must be a number of penalties, or a list of positive ones, got "
            f"{alphas!r}."
        )
    return values


def read_sizes(values, n_features):
    """Numbers of features of a head, to choose from.

    Parameters
    ----------
    values : int, array-like of shape (n_sizes,) or None

    n_features : int
        Larger numbers are replaced by this one, with a warning.


    Returns
    -------
    ndarray of int, or None
        Distinct, in increasing order.

    Raises
    ------
    ValueError
        When a number is not a positive integer, or there is none.
    """
    if values is None:
        return None
    sizes = np.atleast_1d(np.asarray(values))
    if (
        sizes.ndim != 1
        or not len(sizes)
        or sizes.dtype.kind not in "iu"
        or sizes.min() < 1
    ):
        raise ValueError(
            f"k_features must be a positive integer, or a list of them, got {values!r}."
        )
    if sizes.max() > n_features:
        warn(
            f"k_features={values!r} is larger than the number of features, which is "
            f"used instead: {n_features}.",
            UserWarning,
        )
    return np.unique(np.minimum(sizes, n_features))


def _positive(values):
    """Values as an array, which is empty unless all are positive and finite."""
    try:
        if any(isinstance(v, bool | np.bool_) for v in np.array(values, object).flat):
            return np.empty(0)
        values = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        return np.empty(0)
    return values if ((values > 0) & np.isfinite(values)).all() else np.empty(0)


def warn_of_gaps(names, gap, tol, *, tiny=None):
    """Warn once about tasks whose duality gap is above the tolerance.

    Parameters
    ----------
    names : ndarray of shape (n_tasks,)

    gap : ndarray of shape (n_tasks,)
        Of tasks with a head.

    tol : float

    tiny : ndarray of shape (n_tasks,) of bool, default=None
        Whether the penalty is within rounding errors of 0. None: of none.
    """
    # NaN certifies nothing.
    above = ~(gap <= tol)
    missed = names[above]
    if len(missed):
        cause = "Features may be nearly combinations of others."
        if tiny is not None and tiny[above].all():
            cause = "The penalties are so small that rounding errors hide them."
        warn(
            f"{len(missed)} of {len(gap)} tasks (first: {missed[:5].tolist()}) have a "
            f"relative gap above tol={tol:g}; the largest is {gap.max():.1e}. " + cause,
            ConvergenceWarning,
        )
