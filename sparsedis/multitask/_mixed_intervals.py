"""Intervals of numbers and counts, and sets of classes, that hold new labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils.metaestimators import available_if

from sparsedis._typing import keeps_types
from sparsedis.multitask._conformal import class_set, count_interval
from sparsedis.multitask._mixed_predictions import (
    WITH_CLASSES,
    MixedPredictions,
    has_classes,
)

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import ArrayLike

# Types of tasks with intervals.
NUMERIC = ("number", "count")


class MixedIntervals(MixedPredictions):
    """Intervals and sets of :class:`~sparsedis.SparseMultiTaskMixed`."""

    def predict_interval(
        self,
        X: ArrayLike,
        task: ArrayLike | None = None,
        *,
        confidence_level: float = 0.9,
    ) -> tuple[Any, Any]:
        """Predictions, and intervals of numbers and counts that hold new labels.

        Split conformal prediction, as in
        :meth:`sparsedis.SparseMultiTaskRepresentation.predict_interval`. Errors of
        counts are differences of square roots, whose variance does not depend on the
        mean if counts have a Poisson distribution.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Inputs, as in `fit`.

        task : array-like of shape (n_samples,), default=None
            The task to predict for each row, one of numbers or counts, by its name in
            ``tasks_``.

        confidence_level : float in (0, 1), default=0.9
            Probability that the interval of a task holds a new label.

        Returns
        -------
        y : DataFrame or ndarray
            As `predict` returns it.

        intervals : dict of ndarray or DataFrame of shape (n_samples, 2), or one ndarray
            Lower and upper ends, by the name of the task; frames with the columns
            "lower" and "upper" if the y of `fit` was one; one array with `task`. Both
            ends may be a label. Ends of counts are whole if those of `fit` were.
            Infinite with too few held-out labels: of a task of counts, or of all tasks
            of numbers together.

        Raises
        ------
        ValueError
            If nothing was held out (see `linear`), `confidence_level` is out of range,
            or `task` names a task with classes, or one that `fit` has not seen.
        """
        margin = self._margins(confidence_level)
        found = self._scores(X, task, self._outcomes)

        def ends(mean, t):
            if self._types[t] == "count":
                return count_interval(mean, margin[t], self.linear_.whole[t])
            return np.stack([mean - margin[t], mean + margin[t]], -1)

        if task is not None:
            tasks = self._named(task, len(found), NUMERIC)
            intervals = np.zeros((len(found), 2))
            for t in np.unique(tasks):
                intervals[tasks == t] = ends(found[tasks == t], t)
            return self.predict(X, task), intervals
        numeric = np.flatnonzero(np.isin(self._types, NUMERIC))
        columns = ["lower", "upper"]
        return self.predict(X), {
            self._name(t): self._framed(ends(found[:, t], t), columns, X)
            for t in numeric
        }

    @keeps_types(available_if(has_classes))
    def predict_set(
        self,
        X: ArrayLike,
        task: ArrayLike | None = None,
        *,
        confidence_level: float = 0.9,
    ) -> tuple[Any, Any]:
        """Predictions, and sets of classes that hold new labels.

        Split conformal prediction, as in
        :meth:`sparsedis.SparseMultiTaskClassifier.predict_set`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Inputs, as in `fit`.

        task : array-like of shape (n_samples,), default=None
            The task to predict for each row, one with classes, by its name in
            ``tasks_``.

        confidence_level : float in (0, 1), default=0.9
            Probability that the set of a task holds a new label.

        Returns
        -------
        y : DataFrame or ndarray
            As `predict` returns it.

        sets : dict of ndarray or DataFrame of shape (n_samples, n_classes) of bool, \
or one ndarray
            Whether each class is in the set, by the name of the task; frames with the
            classes as columns if the y of `fit` was one; with `task` one array, with
            columns as in `predict_proba`. All classes of tasks with too few held-out
            labels; none of tasks without any label.

        Raises
        ------
        AttributeError
            When no task has classes.
        ValueError
            If nothing was held out (see `linear`), `confidence_level` is out of range,
            or `task` names a task without classes, or one that `fit` has not seen.
        """
        margin, p = self._margins(confidence_level), self.predict_proba(X, task)
        n_classes = np.array([len(own) for own in self._classes])
        if task is not None:
            tasks = self._named(task, len(p), WITH_CLASSES)
            sets = class_set(p, margin[tasks], n_classes[tasks])
            return self.predict(X, task), sets
        sets = {}
        for t in np.flatnonzero(np.isin(self._types, WITH_CLASSES)):
            chosen = class_set(p[self._name(t)], margin[t], n_classes[t])
            sets[self._name(t)] = self._framed(chosen, self._classes[t], X)
        return self.predict(X), sets

    def _framed(self, values, columns, X):
        """A frame if the y of `fit` was one."""
        if not len(self._dtypes):
            return values
        import pandas as pd

        index = X.index if hasattr(X, "iloc") else None
        return pd.DataFrame(values, index=index, columns=columns)
