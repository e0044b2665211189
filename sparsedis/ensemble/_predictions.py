"""Predictions of an ensemble: means over its members."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from sparsedis._typing import keeps_types
from sparsedis.ensemble._averages import (
    combined,
    majority,
    mean_and_std,
    mean_probabilities,
    predict_by_probability,
)

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import ArrayLike
    from torch.utils.data import Dataset


def _member_has(method):
    def check(self):
        getattr(self._first(), method)
        return True

    return check


class MeanPredictions:
    """Predictions of :class:`~sparsedis.SparseMultiTaskEnsemble`."""

    def predict(
        self,
        X: ArrayLike | Dataset,
        task: ArrayLike | None = None,
        return_std: bool = False,
    ) -> Any:
        """Mean of the predictions; for classes, the one with the highest mean.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, height, width, \
channels), torch Dataset or array on disk
            Inputs, as in `fit`.

        task : array-like of shape (n_samples,), default=None
            The task to predict for each row, by its name in ``tasks_``.

        return_std : bool, default=False
            Whether to return the standard deviation too.

        Returns
        -------
        y : ndarray or DataFrame
            Predictions, in the form that a member returns.

        std : ndarray of the shape of y
            Standard deviation of the predictions of the members, only with
            `return_std`. It does not include the noise of the targets. NaN for tasks of
            classes.

        Raises
        ------
        ValueError
            When ``return_std=True`` for a classifier, or `task` has a name that `fit`
            has not seen.
        """
        check_is_fitted(self)
        if return_std and is_classifier(self):
            raise ValueError(
                "return_std=True needs targets that are numbers; for the classes of "
                f"{type(self._first()).__name__}, use predict_proba."
            )
        if hasattr(self._first(), "predict_proba"):
            y, std = predict_by_probability(
                *(self.estimators_, X, task, self.tasks_, self.classes_),
                mixed="task_types_" in vars(self),
            )
        else:
            given = {} if task is None else {"task": task}
            y, std = mean_and_std(
                member.predict(X, **given) for member in self.estimators_
            )
        return (y, std) if return_std else y

    @keeps_types(available_if(_member_has("predict_proba")))
    def predict_proba(
        self, X: ArrayLike | Dataset, task: ArrayLike | None = None
    ) -> Any:
        """Mean of the probabilities of the classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, height, width, \
channels), torch Dataset or array on disk
            Inputs, as in `fit`.

        task : array-like of shape (n_samples,), default=None
            The task to predict for each row, if the members have this parameter.

        Returns
        -------
        p : ndarray, or list or dict of ndarray
            Probabilities, in the form that a member returns.
        """
        check_is_fitted(self)
        return mean_probabilities(self.estimators_, X, task)

    @keeps_types(available_if(_member_has("predict_interval")))
    def predict_interval(
        self,
        X: ArrayLike,
        task: ArrayLike | None = None,
        *,
        confidence_level: float = 0.9,
    ) -> tuple[Any, np.ndarray]:
        """Predictions, and intervals that hold new labels with a given probability.

        The ends are the medians of those of the members, each of which is calibrated on
        the rows that it held out. A label outside is outside of at least half of the
        members' intervals. If each of them misses a label with probability a, this has
        a probability of at most 2a [1]_; as the mean predicts better than a member,
        about a in practice.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Inputs, as in `fit`.

        task : array-like of shape (n_samples,), default=None
            The task to predict for each row, if the members have this parameter.

        confidence_level : float in (0, 1), default=0.9
            Probability that the interval of a member holds a new label.

        Returns
        -------
        y : ndarray or DataFrame
            As `predict` returns it.

        intervals : ndarray, or dict of ndarray or DataFrame
            Lower and upper ends, in the form that a member returns.

        Raises
        ------
        ValueError
            As for the members.

        References
        ----------
        .. [1] M. Gasparin and A. Ramdas, "Merging Uncertainty Sets via Majority Vote",
           arXiv:2401.09379, 2024.
        """
        found = self._of_members("predict_interval", X, task, confidence_level)
        median = combined(partial(np.median, axis=0), found)
        return self.predict(X, task), median

    @keeps_types(available_if(_member_has("predict_set")))
    def predict_set(
        self,
        X: ArrayLike,
        task: ArrayLike | None = None,
        *,
        confidence_level: float = 0.9,
    ) -> tuple[Any, Any]:
        """Most probable classes, and sets that hold new labels as often as asked.

        A class is in the set if it is in the sets of at least half of the members, see
        `predict_interval`, or the most probable one.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Inputs, as in `fit`.

        task : array-like of shape (n_samples,), default=None
            The task to predict for each row, if the members have this parameter.

        confidence_level : float in (0, 1), default=0.9
            Probability that the set of a member holds a new label.

        Returns
        -------
        y : ndarray or DataFrame
            As `predict` returns it.

        sets : ndarray of bool, or list or dict of ndarray or DataFrame
            Whether each class is in the set, in the form that a member returns.

        Raises
        ------
        ValueError
            As for the members.
        """
        found = self._of_members("predict_set", X, task, confidence_level)
        p = mean_probabilities(self.estimators_, X, task)
        return self.predict(X, task), combined(majority, [*found, p])

    def _of_members(self, method, X, task, confidence_level):
        """Intervals or sets of the members."""
        check_is_fitted(self)
        given = {} if task is None else {"task": task}
        return [
            getattr(member, method)(X, **given, confidence_level=confidence_level)[1]
            for member in self.estimators_
        ]
