"""Scores of tasks of several types."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sparsedis._judged import judged_labels
from sparsedis.inputs._classes import warn_of_new_classes
from sparsedis.inputs._known_tasks import known_tasks
from sparsedis.inputs._mixed import read_columns
from sparsedis.inputs._task_types import recode_labels
from sparsedis.inputs._weights import check_weights
from sparsedis.multitask._mixed_intervals import MixedIntervals
from sparsedis.multitask._mixed_scores import MixedScores

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from torch.utils.data import Dataset

    from sparsedis._typing import SparseMatrix


class MixedScoring(MixedIntervals):
    """Scores of :class:`~sparsedis.SparseMultiTaskMixed`."""

    def score(
        self,
        X: ArrayLike | Dataset,
        y: ArrayLike | SparseMatrix,
        task: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """Mean over the tasks of the explained share of the deviance.

        This is R2 for numbers, and D2 of the Poisson deviance or of the log loss for
        counts and classes: 1 for perfect predictions, 0 for predictions of the mean
        count or of the frequencies of the classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, height, width, \
channels), torch Dataset or array on disk
            Inputs, as in `fit`.

        y, task : array-like
            Labels in any form that `fit` accepts. Tasks whose score is NaN in
            `task_scores` are left out.

        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights.

        Returns
        -------
        score : float
            Mean share.

        Raises
        ------
        ValueError
            When no task can be scored.

        Warns
        -----
        UserWarning
            When y contains a class that its task did not have in `fit`. It has no
            probability, so these labels are left out.
        """
        d2 = self._score_tasks(X, y, task, sample_weight)["d2"]
        if np.isnan(d2).all():
            raise ValueError(
                "y must label at least two samples of a task that has a head, and "
                "differently if they are counts or classes."
            )
        return float(np.nanmean(d2))

    def task_scores(
        self,
        X: ArrayLike,
        y: ArrayLike | SparseMatrix,
        task: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> dict[str, np.ndarray]:
        """Scores of every task by its type.

        Parameters
        ----------
        X, y, task, sample_weight : array-like
            As for `score`.

        Returns
        -------
        scores : dict of ndarray of shape (n_tasks,)
            Columns of a table, ``pandas.DataFrame(scores)``: "task", "type",
            "n_labels"; "d2", the explained share of the deviance, which is R2 for
            numbers; "rmse" and "mae" for numbers and counts; "accuracy", "log_loss" and
            "roc_auc" (for several classes the mean of one against the rest) for
            classes. NaN for scores that a type does not have, without labels or a head,
            and if a score is undefined because all labels are equal.

        Warns
        -----
        UserWarning
            When y contains a class that its task did not have in `fit`. These labels
            count as errors in "accuracy", and are left out of the other scores.
        """
        return self._score_tasks(X, y, task, sample_weight)

    def _score_tasks(self, X, y, task, sample_weight):
        coef, intercept = self._predictors()
        X = self._validate_X(X, reset=False)
        weight = check_weights(sample_weight, len(X), y if task is None else None)
        columns = read_columns(y, len(X), task, estimator=type(self).__name__)
        columns = columns.without(weight)
        number = known_tasks(columns, y, len(X), self.tasks_, self._layout)
        number = np.where(np.isnan(self.alpha_)[number], -1, number)
        codes, new = recode_labels(
            columns,
            [self._types[t] if t >= 0 else None for t in number],
            [self._classes[t] for t in number],
        )
        warn_of_new_classes(new, "count as errors only in the accuracy")
        scores = MixedScores(self.tasks_, self._types, self._n_classes)
        targets = columns.targets(codes)
        for part in judged_labels(
            self._predicted_by(X), targets, weight, number, coef, intercept
        ):
            scores.add(*part)
        return scores.result()
