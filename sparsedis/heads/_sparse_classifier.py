"""Base class of sparse logistic models of many tasks on given features."""

from __future__ import annotations

from itertools import chain, pairwise
from numbers import Integral, Real
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from joblib import Parallel, delayed
from sklearn.base import BaseEstimator, ClassifierMixin, MultiOutputMixin
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from sparsedis._head_scores import class_probabilities, head_scores, most_probable
from sparsedis._judged import mean_score
from sparsedis.heads._logistic_head import blocks_of_tasks, fit_logistic_heads
from sparsedis.heads._penalties import warn_of_gaps
from sparsedis.inputs._classes import check_classes, decode_classes, encode_classes
from sparsedis.inputs._forms import read_targets
from sparsedis.inputs._numbers import validate_numbers
from sparsedis.inputs._plain import check_plain
from sparsedis.inputs._weights import check_weights, label_weights

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import ArrayLike

    from sparsedis._typing import SparseMatrix


class SparseClassifier(MultiOutputMixin, ClassifierMixin, BaseEstimator):
    """Base class of sparse classifiers of many tasks."""

    _parameter_constraints: ClassVar = {
        "fit_intercept": ["boolean"],
        "refit": [StrOptions({"lasso", "relaxed"})],
        "tol": [Interval(Real, 0, None, closed="neither")],
        "n_jobs": [None, Integral],
        "device": [str, torch.device],
    }

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Most probable class of every task.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_tasks)
            Classes, in a dtype that can represent those of all tasks. For tasks that
            had a single class, that class; NaN or None for tasks without labels.
        """
        scores = self._scores(X)
        codes = most_probable(scores, scores.ndim == 2)
        labels = decode_classes(codes, np.arange(len(self.tasks_)), self._classes)
        return labels[:, 0] if self._layout == "single" else labels

    def predict_proba(self, X: ArrayLike) -> Any:
        """Probabilities of the classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        Returns
        -------
        p : ndarray of shape (n_samples, n_classes), or list of n_tasks of them
            One array if the y of `fit` had one dimension, otherwise one per task. It
            has no columns for tasks without labels.
        """
        scores = self._scores(X)
        single = np.array([len(own) == 1 for own in self._classes])
        p = class_probabilities(scores, scores.ndim == 2, single)
        each = [p[:, t, : len(own)] for t, own in enumerate(self._classes)]
        return each[0] if self._layout == "single" else each

    def score(
        self,
        X: ArrayLike,
        y: ArrayLike | SparseMatrix,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """Mean over the tasks of the accuracy.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        y : array-like, DataFrame or sparse matrix of shape (n_samples,) or \
(n_samples, n_tasks)
            Labels, as in `fit`. Named columns may have another order, or be a subset
            of those of `fit`. Tasks without labels here, or with fewer than two
            classes in `fit`, are left out.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples.

        Returns
        -------
        score : float
            Mean accuracy.
        """
        predicted = self.predict(X)
        counted = np.array([len(own) > 1 for own in self._classes])
        return mean_score(
            y, predicted, sample_weight, True, counted, self.tasks_, self._layout
        )

    def _scores(self, X):
        """Logits of the second class, or of all classes if a task has more than two."""
        check_is_fitted(self)
        check_plain(X, "X")
        X = validate_numbers(self, X, reset=False, dtype=np.float64)
        coef, intercept = self.coef_, self.intercept_
        if self._layout == "single" and len(coef) > 1:
            coef, intercept = coef[None], intercept[None]
        return head_scores(X, coef, intercept)

    def _read(self, X, y, sample_weight):
        """Validate the data, and number the classes of each task."""
        check_plain(X, "X")
        X = validate_numbers(self, X, dtype=np.float64, ensure_min_samples=2)
        weight = check_weights(sample_weight, len(X), y)
        name = type(self).__name__
        targets = read_targets(y, len(X), weight=weight, real=False, estimator=name)
        targets, classes = encode_classes(targets)
        check_classes(classes, targets.names, name)
        return X, targets, classes, weight

    def _fit(self, X, targets, classes, weight, alphas, folds, problem):
        """Fit all tasks, and return what was chosen.

        `alphas` has an entry for each task, see :func:`fit_logistic_heads`.
        """
        bounds = np.searchsorted(targets.tasks, np.arange(targets.n_tasks + 1))
        jobs, fitted = [], []
        for t, (first, last) in enumerate(pairwise(bounds)):
            if len(classes[t]) > 1:
                rows, tasks = targets.rows[first:last], targets.tasks[first:last]
                labels = targets.values[first:last].astype(np.int64)
                share = np.ones(len(rows))
                if weight is not None:
                    share = label_weights(weight, rows, tasks)
                jobs.append((rows, labels, share, alphas[t]))
                fitted.append(t)
        found = Parallel(n_jobs=self.n_jobs)(
            delayed(fit_logistic_heads)(X, some, folds, problem)
            for some in blocks_of_tasks(jobs, X.shape[1])
        )
        found = list(chain.from_iterable(found))
        self.tasks_, self._layout = targets.names, targets.layout
        self._classes = classes
        single = self._layout == "single"
        self.classes_ = classes[0] if single else classes
        self.coef_, self.intercept_ = _stacked(found, fitted, classes, X.shape[1])
        if single and self.coef_.ndim == 3:
            self.coef_, self.intercept_ = self.coef_[0], self.intercept_[0]

        def joined(name):
            values = np.array([getattr(head, name) for head in found])
            whole = np.full((targets.n_tasks, *values.shape[1:]), np.nan)
            whole[fitted] = values
            return whole[0] if single else whole

        self.dual_gap_ = joined("gap")
        gap = np.atleast_1d(self.dual_gap_)[fitted]
        tiny = np.array([head.tiny for head in found])
        warn_of_gaps(self.tasks_[fitted], gap, self.tol, tiny=tiny)
        return [joined(n) for n in ("alpha", "alphas", "errors", "criterion")]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags


def _stacked(found, fitted, classes, p):
    """Coefficients and intercepts of all tasks.

    Parameters
    ----------
    found : list of LogisticHead

    fitted : list of int
        Their tasks.

    classes : list of ndarray

    p : int
        Number of features.

    Returns
    -------
    coef : ndarray of shape (n_tasks, p) or (n_tasks, n_classes, p)
        NaN for other tasks, and zero for classes that a task does not have.

    intercept : ndarray of shape (n_tasks,) or (n_tasks, n_classes)
        NaN for other tasks, and -inf for classes that a task does not have.
    """
    n_tasks, largest = len(classes), max(map(len, classes))
    coef, intercept = np.full((n_tasks, p), np.nan), np.full(n_tasks, np.nan)
    if largest > 2:
        coef = np.full((n_tasks, largest, p), np.nan)
        intercept = np.full((n_tasks, largest), np.nan)
    for t, head in zip(fitted, found, strict=True):
        W, b = head.coef, head.intercept
        if largest == 2:
            coef[t], intercept[t] = W[0], b[0]
            continue
        if len(b) == 1:
            W, b = (np.concatenate([-0.5 * part, 0.5 * part]) for part in (W, b))
        coef[t], intercept[t] = 0.0, -np.inf
        coef[t, : len(b)], intercept[t, : len(b)] = W, b
    return coef, intercept
