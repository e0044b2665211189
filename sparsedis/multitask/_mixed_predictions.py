"""Predictions of tasks of several types: numbers, counts and classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import softmax
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from sparsedis._typing import keeps_types
from sparsedis.inputs._batch import COUNT
from sparsedis.inputs._classes import decode_classes
from sparsedis.inputs._known_tasks import tasks_of_rows
from sparsedis.multitask._base import BaseRepresentation
from sparsedis.multitask._mixed_frame import frame_of
from sparsedis.multitask._mixed_scores import logits

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import ArrayLike
    from torch.utils.data import Dataset

# Types of tasks with classes.
WITH_CLASSES = ("binary", "class")


def has_classes(estimator):
    """Whether probabilities exist: after a fit with classification tasks."""
    check_is_fitted(estimator, "module_")
    if np.isin(estimator._types, WITH_CLASSES).any():
        return True
    raise AttributeError(
        "There is no predict_proba or predict_set: no task has classes. task_types "
        "gives tasks the type 'class'."
    )


class MixedPredictions(BaseRepresentation):
    """Predictions of :class:`~sparsedis.SparseMultiTaskMixed`."""

    def predict(self, X: ArrayLike | Dataset, task: ArrayLike | None = None) -> Any:
        """Predict numbers, mean counts and most probable classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, height, width, \
channels), torch Dataset or array on disk
            Inputs, as in `fit`.

        task : array-like of shape (n_samples,), default=None
            The task to predict for each row, by its name in ``tasks_``.

        Returns
        -------
        y : DataFrame or ndarray of shape (n_samples, n_tasks), or (n_samples,)
            A pandas DataFrame if the y of `fit` was one, with its columns and dtypes
            (integers that are numbers or counts become floats), and the index of X, if
            it has one. Otherwise an array, of floats if all classes are numbers, or
            else of objects; without the axis of tasks if the y of `fit` had none, or
            with `task`. For tasks that had a single class, that class; missing for
            tasks without any label.

        Raises
        ------
        ValueError
            For an id of a task that `fit` has not seen.
        """
        found = self._scores(X, task, self._outcomes)
        if task is not None:
            tasks = tasks_of_rows(task, len(found), self.tasks_)
            return self._decoded(found, tasks)
        if len(self._dtypes):
            index = X.index if hasattr(X, "iloc") else None
            columns = [self._labels(found[:, t], t) for t in range(found.shape[1])]
            return frame_of(columns, self.tasks_, index, self._dtypes, self._categories)
        values = self._decoded(found, np.arange(found.shape[1]))
        return values[:, 0] if self._layout == "single" else values

    @keeps_types(available_if(has_classes))
    def predict_proba(
        self, X: ArrayLike | Dataset, task: ArrayLike | None = None
    ) -> Any:
        """Probabilities of the classes of every task with classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, height, width, \
channels), torch Dataset or array on disk
            Inputs, as in `fit`.

        task : array-like of shape (n_samples,), default=None
            The task to predict for each row, one with classes, by its name in
            ``tasks_``.

        Returns
        -------
        p : dict of ndarray of shape (n_samples, n_classes), or one ndarray
            Probabilities by the name of the task, with columns as in ``classes_``. For
            a task with a single class, its probability is 1. With `task` one array, as
            :meth:`sparsedis.SparseMultiTaskClassifier.predict_proba` returns it.

        Raises
        ------
        AttributeError
            When no task has classes.
        ValueError
            For an id of a task that `fit` has not seen, or one without classes.
        """
        scores = self._scores(X, task)
        if task is None:
            with_classes = np.flatnonzero(np.isin(self._types, WITH_CLASSES))
            return {self._name(t): self._p(scores[:, t], t) for t in with_classes}
        tasks = self._named(task, len(scores), WITH_CLASSES)
        p = np.zeros((len(scores), max(map(len, self._classes))))
        for t in np.unique(tasks):
            own = self._p(scores[tasks == t], t)
            # Without labels a task has no classes.
            p[tasks == t] = np.nan if not own.shape[1] else 0.0
            p[tasks == t, : own.shape[1]] = own
        return p

    def _p(self, scores, t):
        """Probabilities of the classes of one task."""
        n = len(self._classes[t])
        if n < 2:
            return np.ones((len(scores), n))
        return softmax(logits(scores, n), axis=-1)

    def _named(self, task, n_samples, types):
        """Numbers of the tasks that are named for each row; refuse other types."""
        tasks = tasks_of_rows(task, n_samples, self.tasks_)
        others = np.setdiff1d(tasks, np.flatnonzero(np.isin(self._types, types)))
        if len(others):
            t = others[0]
            raise ValueError(
                f"task must name tasks of the types {types}, got "
                f"{self._name(t)!r}, of the type {str(self._types[t])!r}."
            )
        return tasks

    def _name(self, t):
        return self.tasks_[t : t + 1].tolist()[0]

    def _outcomes(self, scores, tasks):
        """Numbers, mean counts and class codes; tasks are the last axis but outputs."""
        kinds = self._n_classes[tasks]
        one = scores if self.coef_.ndim == 2 else scores[..., 0]
        with np.errstate(over="ignore"):
            found = np.where(kinds == COUNT, np.exp(one), one)
        if (kinds >= 2).any():
            if self.coef_.ndim == 2:
                codes = one > 0
            else:
                codes = np.where(np.isnan(scores), -np.inf, scores).argmax(-1)
            found = np.where(kinds >= 2, codes, found)
        return np.where(kinds == 1, 0.0, found)

    def _labels(self, found, t):
        """Labels of one task from the results of `_outcomes`."""
        own = self._classes[t]
        return own[found.astype(int)] if len(own) else found

    def _decoded(self, found, tasks):
        """Array of labels from the results of `_outcomes`; tasks are the last axis."""
        types, classes = self._types, self._classes
        if np.isin(types, WITH_CLASSES).all():
            return decode_classes(np.nan_to_num(found).astype(int), tasks, classes)
        numbers = all(own.dtype.kind in "biuf" for own in classes if len(own))
        values = found.astype(float if numbers else object)
        for t in np.unique(tasks):
            if len(classes[t]):
                at = ..., tasks == t
                values[at] = self._labels(found[at], t).astype(values.dtype)
        return values
