"""Selection of the features of each task along a path of nested supports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils import (
    check_array,
    check_consistent_length,
    check_scalar,
)

from sparsedis.inputs._weights import as_counts, check_weights
from sparsedis.rotation._folds import sizes_by_folds
from sparsedis.rotation._moments import regression_moments
from sparsedis.rotation._paths import (
    NOISE_FLOOR,
    bic_size,
    elimination_path,
    noise_variance,
    task_blocks,
)

if TYPE_CHECKING:
    from typing import Literal

    from numpy.typing import ArrayLike

    from sparsedis._typing import RandomState

_RULES = ("bic", "cv", "1se")


@dataclass(frozen=True, eq=False)
class Selection:
    """Selected features of each task, and its head on them.

    Attributes
    ----------
    support : ndarray of shape (n_tasks, k) of bool
        Features that a task uses, in any of its outputs.

    heads : ndarray of shape (n_tasks, n_outputs, k)
        Least squares on the support; NaN without any label.

    rss_path : ndarray of shape (n_tasks, k + 1)
        Residual sum of squares by the number of features; inf for numbers that the
        labels do not allow.

    n_selected : ndarray of shape (n_tasks,) of int
        Number of features of each task.
    """

    support: np.ndarray
    heads: np.ndarray
    rss_path: np.ndarray
    n_selected: np.ndarray


@dataclass(frozen=True, eq=False)
class SelectedHeads:
    """Sparse heads in the units of the data.

    Parameters
    ----------
    coef : ndarray of shape (k,), (n_tasks, k) or (n_tasks, n_outputs, k)
        Least squares on the support, 0 elsewhere; NaN for tasks without labels.

    intercept : ndarray of shape (), (n_tasks,) or (n_tasks, n_outputs)
        Predictions are ``Z @ coef.T + intercept``.

    support : ndarray of shape (k,) or (n_tasks, k) of bool
        Features that a task uses, in any of its outputs.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.rotation import select_heads
    >>> Z = np.random.default_rng(0).standard_normal((100, 3))
    >>> selected = select_heads(Z, 2 * Z[:, 0] + 1)
    >>> selected.support, selected.coef.round(6), selected.intercept.round(6)
    (array([ True, False, False]), array([2., 0., 0.]), np.float64(1.0))
    """

    coef: np.ndarray
    intercept: np.ndarray
    support: np.ndarray


def select_heads(
    Z: ArrayLike,
    Y: ArrayLike,
    *,
    rule: Literal["bic", "cv", "1se"] = "bic",
    sample_weight: ArrayLike | None = None,
    spike: ArrayLike | None = None,
    n_folds: int = 5,
    random_state: RandomState = None,
) -> SelectedHeads:
    r"""Least-squares heads on the features that each task needs.

    Each task has a path of nested supports: by backward elimination from the head of
    all features, or by forward selection with fewer than k + 2 labels. A rule selects
    one support of the path. The coefficients are the least-squares solution on it,
    without shrinkage.

    With "bic", a task with n labels and c outputs uses the number of features s that
    minimises

    .. math::
        \mathrm{RSS}_s / \sigma^2
        + (c \log n + \log k) \sum_{r \le s} (1 + \tau_r^2 h_r / \sigma^2)

    where :math:`\sigma^2 / h_r` is the variance of the coefficient that is removed when
    r features become r - 1, and :math:`\tau_r` its `spike`. For a single output, a
    coefficient w is removed if :math:`w^2 < \log(n k) (\sigma^2 / h + \tau^2)`. This
    sum is the variance of its error plus that of coefficients that count as zero. The
    noise :math:`\sigma^2` is that of the head of all features, the same for all s. The
    term :math:`\log k` accounts for the choice among k features, as in extended BIC.

    Parameters
    ----------
    Z : array-like of shape (n, k)
        Features.

    Y : array-like of shape (n,), (n, n_tasks) or (n, n_tasks, n_outputs)
        Targets, NaN where missing; a label with any output missing is missing.

    rule : {"bic", "cv", "1se"}, default="bic"
        "cv": the number of features with the smallest squared error on held-out folds;
        "1se": the smallest number whose error is within one standard error of that.
        Tasks with fewer than two labels per fold use "bic".

    sample_weight : array-like of shape (n,), default=None
        Weights of the rows; 2 counts as a repetition. If their mean is below 1 or
        above 1e6, only ratios matter.

    spike : float or array-like of shape (k,), default=None
        Standard deviation of coefficients that count as zero, for features and targets
        of unit variance. Learned features contain small parts of other factors, which
        become significant with enough labels. It affects "bic" and the order of
        removal.

    n_folds : int, default=5
        Folds of "cv" and "1se", of labels drawn at random for each task.

    random_state : int, RandomState instance or None, default=None
        Draws the folds.

    Returns
    -------
    SelectedHeads
        Coefficients, intercepts and supports.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> Z = rng.standard_normal((200, 5))
    >>> Y = Z[:, :2] @ [[1.0, 2.0], [0.0, -3.0]] + 4 + rng.standard_normal((200, 2))
    >>> Y[:100, 0] = np.nan
    >>> selected = select_heads(Z, Y)
    >>> selected.support
    array([[ True, False, False, False, False],
           [ True,  True, False, False, False]])
    >>> selected.coef.shape, selected.intercept.shape
    ((2, 5), (2,))
    """
    Z, Y, weight, shape = _check_data(Z, Y, sample_weight)
    k = Z.shape[1]
    if rule not in _RULES:
        raise ValueError(f"rule must be one of {_RULES}, got {rule!r}.")
    if spike is not None:
        spike = np.asarray(spike, dtype=float)
        if spike.shape not in ((), (k,)):
            raise ValueError(
                f"spike must have one value or {k}, got the shape {spike.shape}."
            )
        spike = np.broadcast_to(spike, k)
        if not (np.isfinite(spike) & (spike >= 0)).all():
            raise ValueError(f"spike must be finite and not negative, got {spike}.")
    centre, unit = _standardise(Z, weight)
    Z = (Z - centre) / unit
    if rule == "bic":
        moments, units = regression_moments(Z, Y, weight)
        selection = select_from_moments(moments, spike=spike)
    else:
        check_scalar(n_folds, "n_folds", int, min_val=2)
        selection, units = select_by_folds(
            Z,
            Y,
            weight,
            rule=rule,
            spike=spike,
            n_folds=n_folds,
            random_state=random_state,
        )
    coef, intercept = units.restore(selection.heads)
    coef = coef / unit
    intercept = intercept - coef @ centre
    return SelectedHeads(
        coef.reshape(*shape[1:], k),
        intercept.reshape(shape[1:]),
        selection.support.reshape(*shape[1:2], k),
    )


def select_from_moments(moments, *, spike=None):
    """Select the features of each task by BIC, see :func:`select_heads`.

    Parameters
    ----------
    moments : Moments
        Moments of targets of unit variance, or of classes.

    spike : ndarray of shape (k,), default=None
        Standard deviation of coefficients that count as zero, in the units of heads.

    Returns
    -------
    Selection
    """
    return _cut(moments, spike, np.full(len(moments), -1))


def select_by_folds(
    Z, Y, weight=None, *, rule="cv", spike=None, n_folds=5, random_state=None
):
    """Select the features of each task by cross-validation, see :func:`select_heads`.

    Parameters
    ----------
    Z : ndarray of shape (n, k)

    Y : ndarray of shape (n, n_tasks, n_outputs)
        NaN where missing.

    weight : ndarray of shape (n,) or (n, n_tasks), default=None

    rule : {"cv", "1se"}, default="cv"

    spike : ndarray of shape (k,), default=None

    n_folds : int, default=5

    random_state : int, RandomState instance or None, default=None

    Returns
    -------
    selection : Selection
        Heads of targets divided by their scale.

    units : Units
        Conversion to the units of the targets.
    """
    moments, units = regression_moments(Z, Y, weight)
    Y = Y / units.scale[:, None]
    sizes = sizes_by_folds(Z, Y, weight, spike, rule, n_folds, random_state)
    return _cut(moments, spike, sizes), units


def _cut(moments, spike, sizes):
    """Heads of given sizes; -1 stands for the size of BIC."""
    T, C, k = moments.gradient.shape
    noise = noise_variance(moments)
    support, heads = np.zeros((T, k), dtype=bool), np.zeros((T, C, k))
    rss, n_selected = np.zeros((T, k + 1)), np.zeros(T, dtype=int)
    for block in task_blocks(moments):
        part = moments.take(block)
        path = elimination_path(part, noise[block], spike)
        size = np.where(
            sizes[block] < 0, bic_size(path, part, noise[block], spike), sizes[block]
        )
        support[block], rss[block], n_selected[block] = (
            path.supports(size),
            path.rss,
            size,
        )
        heads[block] = path.heads[np.arange(len(size)), size]
    heads[moments.n_labels == 0] = np.nan
    return Selection(support, heads, rss, n_selected)


def _standardise(Z, weight):
    """Mean and standard deviation of each feature, inf where constant."""
    # Neither sums nor squares may overflow or vanish.
    largest = np.abs(Z).max(0)
    largest[largest == 0] = 1.0
    Z = Z / largest
    centre = np.average(Z, axis=0, weights=weight)
    unit = np.sqrt(np.average((Z - centre) ** 2, axis=0, weights=weight))
    return centre * largest, np.where(unit > NOISE_FLOOR, unit * largest, np.inf)


def _check_data(Z, Y, sample_weight):
    """Arrays of the data without rows of weight zero, and the shape of Y as given."""
    Z = check_array(Z, dtype=np.float64, input_name="Z")
    Y = check_array(
        Y,
        dtype=np.float64,
        input_name="Y",
        allow_nd=True,
        ensure_2d=False,
        ensure_all_finite="allow-nan",
    )
    if Y.ndim > 3:
        raise ValueError(f"Y must have one to three dimensions, got {Y.ndim}.")
    check_consistent_length(Z, Y)
    shape = Y.shape
    Y = Y.reshape(len(Y), *(shape[1:2] or (1,)), *(shape[2:] or (1,)))
    Y = np.where(np.isnan(Y).any(2, keepdims=True), np.nan, Y)
    weight = check_weights(sample_weight, len(Z))
    if weight is None:
        return Z, Y, None, shape
    rows = weight > 0
    weight = weight[rows]
    return Z[rows], Y[rows], as_counts(weight, weight.mean()), shape
