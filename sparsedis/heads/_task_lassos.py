"""Base class of sparse linear models of many tasks on given features."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from numbers import Integral, Real
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from joblib import Parallel, delayed
from sklearn.base import (
    BaseEstimator,
    MultiOutputMixin,
    RegressorMixin,
)
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from sparsedis._head_scores import head_scores
from sparsedis._judged import judged_labels
from sparsedis._scores import TaskR2
from sparsedis.heads._path_problem import HeadProblem
from sparsedis.heads._penalties import warn_of_gaps
from sparsedis.heads._task_paths import block_size, fit_heads
from sparsedis.inputs._devices import read_exact_device
from sparsedis.inputs._forms import read_targets
from sparsedis.inputs._ids import check_order, check_table_order
from sparsedis.inputs._known_tasks import known_tasks, tasks_of_rows
from sparsedis.inputs._numbers import validate_numbers
from sparsedis.inputs._plain import check_plain
from sparsedis.inputs._weights import check_weights, label_weights
from sparsedis.solvers.penalties import MCP

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from sparsedis._typing import SparseMatrix

# Range of the weights of features, and of the largest feature, whose squares must not
# overflow.
_WEIGHTS, _SIZES = (1e-50, 1e50), (1e-140, 1e140)


class TaskLassos(MultiOutputMixin, RegressorMixin, BaseEstimator):
    """Base class of sparse linear models of many tasks."""

    _parameter_constraints: ClassVar = {
        "penalty": [None, MCP],
        "feature_groups": [None, "array-like"],
        "feature_weights": [None, "array-like"],
        "adaptive": ["boolean"],
        "fit_intercept": ["boolean"],
        "positive": ["boolean"],
        "refit": [StrOptions({"lasso", "relaxed"})],
        "tol": [Interval(Real, 0, None, closed="neither")],
        "n_jobs": [None, Integral],
        "device": [str, torch.device],
    }

    def predict(self, X: ArrayLike, task: ArrayLike | None = None) -> np.ndarray:
        """Predict the target of every task, or of one task for each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        task : array-like of shape (n_samples,), default=None
            The task to predict for each row, by its name in ``tasks_``.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_tasks)
            Predictions; NaN for tasks without labels.

        Raises
        ------
        ValueError
            For a task that `fit` has not seen.
        """
        X, *heads = self._scored(X)
        if task is not None:
            return head_scores(X, *heads, tasks_of_rows(task, len(X), self.tasks_))
        y = head_scores(X, *heads)
        return y[:, 0] if self._layout == "single" else y

    def score(
        self,
        X: ArrayLike,
        y: ArrayLike | SparseMatrix,
        sample_weight: ArrayLike | None = None,
        *,
        task: ArrayLike | None = None,
    ) -> float:
        """Mean over the tasks of the coefficient of determination.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        y : array-like, DataFrame or sparse matrix of shape (n_samples,) or \
(n_samples, n_tasks)
            Targets, as in `fit`. Named columns may have another order, or be a subset
            of those of `fit`. Tasks with fewer than two labels here, or none in `fit`,
            are left out.

        sample_weight : array-like of shape (n_samples,) or of the shape of y, \
default=None
            Weights of the samples or of the labels.

        task : array-like of shape (n_samples,), default=None
            The task of each row, as in `fit`.

        Returns
        -------
        score : float
            Mean R2, as scikit-learn defines it.

        Raises
        ------
        ValueError
            When no task can be scored.
        """
        X, coef, intercept = self._scored(X)
        targets, weight = self._read_labels(y, len(X), task, sample_weight)
        number = known_tasks(targets, y, len(X), self.tasks_, self._layout)
        number = np.where(np.isnan(intercept)[number], -1, number)
        each = TaskR2(len(coef))
        judged = judged_labels([X], targets, weight, number, coef, intercept)
        for values, prediction, tasks, own in judged:
            each.add(values, prediction, tasks, own)
        return each.mean()

    def _scored(self, X):
        """Features, coefficients and intercepts, for scores of heads."""
        check_is_fitted(self)
        check_plain(X, "X")
        X = validate_numbers(self, X, reset=False, dtype=np.float64)
        return X, np.atleast_2d(self.coef_), np.atleast_1d(self.intercept_)

    def _read_labels(self, y, n, task, sample_weight):
        """Labels in any form, and their weights."""
        weight = check_weights(sample_weight, n, y if task is None else None)
        name = type(self).__name__
        targets = read_targets(y, n, task, weight, real=True, estimator=name)
        if targets.values.ndim == (3 if targets.is_table else 2):
            raise ValueError("y must hold a number for each label, got vectors.")
        return targets, weight

    def _read(self, X, y, sample_weight, task, reset=True):
        """Validate the data."""
        if self.positive and self.refit == "relaxed":
            raise ValueError(
                "refit='relaxed' fits by least squares, which may give negative "
                "coefficients; use refit='lasso' with positive=True."
            )
        check_plain(X, "X")
        X = validate_numbers(
            self, X, reset=reset, dtype=np.float64, ensure_min_samples=2
        )
        targets, weight = self._read_labels(y, len(X), task, sample_weight)
        if task is not None:
            # Blocks of tasks take their part of the list.
            order = np.argsort(targets.tasks, kind="stable")
            parts = (targets.values, targets.rows, targets.tasks)
            values, rows, tasks = (part[order] for part in parts)
            targets = replace(targets, values=values, rows=rows, tasks=tasks)
        return X, targets, weight

    def _problem(self, alphas, eps, sizes, rule, tasks):
        """What the heads have in common; `tasks` are the names of all tasks."""
        names, weights = vars(self).get("feature_names_in_"), self.feature_weights
        check_order(self.feature_groups, names, "feature_groups")
        check_order(weights, names, "feature_weights")
        check_table_order(weights, tasks, names, "feature_weights")
        shape = len(tasks), self.n_features_in_
        groups = _read_feature_groups(self.feature_groups, shape[1])
        if self.penalty is not None and groups is None:
            groups = np.arange(shape[1])
        if groups is not None:
            self._check_grouped(sizes)
        return HeadProblem(
            alphas,
            eps=eps,
            sizes=sizes,
            feature_weights=_read_feature_weights(weights, shape, self.positive),
            groups=groups,
            mcp=self.penalty,
            adaptive=self.adaptive,
            rule=rule,
            relaxed=self.refit == "relaxed",
            fit_intercept=self.fit_intercept,
            positive=self.positive,
            tol=self.tol,
            device=read_exact_device(self.device),
        )

    def _check_grouped(self, sizes):
        """Refuse options of the Lasso with other penalties."""
        name = "penalty" if self.feature_groups is None else "feature_groups"
        if self.positive:
            raise ValueError(f"positive=True is for the Lasso; leave out {name}.")
        if sizes is not None:
            raise ValueError(
                "k_features is the number of features on the path of the Lasso; leave "
                f"out {name}, or choose alpha instead."
            )
        if self.adaptive and self.penalty is not None:
            raise ValueError(
                "adaptive=True is for the Lasso and for groups; "
                f"penalty={self.penalty} does not shrink large coefficients either: "
                "choose one of the two."
            )

    def _fit(self, X, targets, weight, folds, problem):
        """Fit all tasks in blocks; return a function of the name of a result."""
        _check_sizes(X, problem.feature_weights)
        counts = targets.counts() if targets.is_table else np.bincount(targets.tasks)
        tasks = np.flatnonzero(counts)
        size = block_size(*X.shape, folds.n_folds, problem)
        blocks = [tasks[i : i + size] for i in range(0, len(tasks), size)]
        parts = Parallel(n_jobs=self.n_jobs)(
            delayed(fit_heads)(
                X,
                *task_table(targets, weight, block, len(X)),
                folds,
                problem.take(block),
            )
            for block in blocks
        )
        self.tasks_, self._layout = targets.names, targets.layout

        def joined(name):
            values = np.concatenate([getattr(part, name) for part in parts])
            whole = np.full((targets.n_tasks, *values.shape[1:]), np.nan)
            whole[tasks] = values
            return whole[0] if self._layout == "single" else whole

        self.coef_, self.intercept_ = joined("coef"), joined("intercept")
        self.dual_gap_, self.alpha_ = joined("gap"), joined("alpha")
        gap = np.atleast_1d(self.dual_gap_)[tasks]
        warn_of_gaps(self.tasks_[tasks], gap, self.tol)
        return joined

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags


def _check_sizes(X, feature_weights):
    """Refuse features whose products are lost, with or without their weights."""
    unit = np.ones_like(feature_weights)
    np.divide(1, feature_weights, out=unit, where=feature_weights > 0)
    size = np.abs(X).max(0)
    low, high = _SIZES
    for largest in (size.max(), (size * unit).max()):
        if largest > high or 0 < largest < low:
            raise ValueError(
                f"X holds numbers up to {largest:.3g} in magnitude, divided by "
                "feature_weights, whose squares float64 cannot represent. The largest "
                f"must be from {low:g} to {high:g}, or 0: rescale the features."
            )


def _read_feature_groups(values, n_features):
    """Group of each feature, numbered from 0; None if there are no groups."""
    if values is None:
        return None
    wrong = True
    with suppress(TypeError, ValueError):
        # As objects, since numpy turns numbers beside text, and NaN, into text.
        labels = np.asarray(values, dtype=object)
        names, groups = np.unique(labels, return_inverse=True)
        missing = None in names.tolist() or (names != names).any()
        wrong = missing or np.shape(values) != (n_features,)
    if wrong:
        raise ValueError(
            f"feature_groups must hold the group of each of {n_features} features, all "
            f"numbers or all text; got {values!r}."
        )
    return groups


def _read_feature_weights(values, shape, positive):
    """Factors of the penalty of each feature, or of each task and feature."""
    if values is None:
        return np.ones(shape[1])
    try:
        weights = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        weights = np.empty(0)
    if weights.shape not in ((shape[1],), shape):
        raise ValueError(
            f"feature_weights must hold a number for each of {shape[1]} features, or "
            f"have shape {shape} for as many tasks; got {values!r}."
        )
    low, high = _WEIGHTS
    inside = (weights >= low) & (weights <= high)
    wrong = ~(inside | (weights == 0) | (weights == np.inf))
    if wrong.any():
        raise ValueError(
            f"feature_weights must lie in [{low:g}, {high:g}], or be 0 or inf; got "
            f"{weights[wrong][0]:g}."
        )
    if positive and not weights.all():
        raise ValueError(
            "feature_weights must be positive with positive=True, got 0: features "
            "without a penalty are fitted by least squares, which may give negative "
            "coefficients."
        )
    return weights


def task_table(targets, weight, tasks, n):
    """Targets and weights of some tasks, 0 where missing.

    Parameters
    ----------
    targets : Targets

    weight : ndarray of shape (n,) or (n, n_tasks), csr_array or None

    tasks : ndarray of int
        In increasing order.

    n : int
        Number of rows.

    Returns
    -------
    Y, share : ndarray of shape (n, len(tasks))
    """
    Y, share = np.zeros((2, n, len(tasks)))
    if targets.is_table:
        some, missing = targets.values[:, tasks], targets.missing
        missing = np.isnan(some) if missing is None else missing[:, tasks]
        rows, at = np.nonzero(~missing)
        values = some[rows, at]
    else:
        # Labels of a list are sorted by task.
        kept = slice(
            np.searchsorted(targets.tasks, tasks[0]),
            np.searchsorted(targets.tasks, tasks[-1], side="right"),
        )
        rows, values = targets.rows[kept], targets.values[kept]
        at = np.searchsorted(tasks, targets.tasks[kept])
    Y[rows, at] = values
    share[rows, at] = 1.0 if weight is None else label_weights(weight, rows, tasks[at])
    return Y, share
