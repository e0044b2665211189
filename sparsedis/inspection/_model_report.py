"""Report on a fitted model: tables of tasks and features, and notes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparsedis._optional import import_optional
from sparsedis._report_text import Report
from sparsedis.inspection._estimators import (
    final_estimator,
    final_inputs,
    score_name,
    score_tasks,
)
from sparsedis.inspection._label_overlap import count_labels, label_overlap
from sparsedis.inspection._report_columns import (
    columns_of_features,
    columns_of_tasks,
    identifiability_of,
    supports_of,
)
from sparsedis.inspection._report_notes import notes_of, summary_of

if TYPE_CHECKING:
    from typing import Any, Self

    from numpy.typing import ArrayLike
    from pandas import DataFrame

    from sparsedis._typing import SparseMatrix


@dataclass(frozen=True, eq=False, repr=False)
class ModelReport(Report):
    """Report on the tasks and features of a fitted model.

    ``print(report)`` gives the text, a notebook shows tables, and `to_frame` returns a
    DataFrame. The first 20 tasks and features are shown.

    Parameters
    ----------
    estimator : str
        Name of the estimator's class.

    tasks : dict of str to ndarray of shape (n_tasks,)
        Columns of the table of tasks. `n_labels` and `score` are present only with
        labels, and those from `held_out` to `share` only if the estimator has
        `linear_`. Unknown scores are NaN:

        task, type
            Names, and types such as "number", "vector" or "binary".
        n_labels
            Number of labels in `y`.
        score
            Score on the given rows, see `score_name`.
        held_out, held_out_heads, held_out_linear, held_out_inputs
            R2 on the rows that `fit` held out, of the predictions, of only the heads,
            of only the linear models on X, and of all models on X (of numbers, their
            means with kernel Ridge regressions); for classes and counts D2.
        gain
            ``held_out - held_out_inputs``, the gain of the task from sharing.
        share
            Share of the head in the predictions.
        n_features, features
            Number of features that the head uses, and a tuple of these; NaN and empty
            without a head.

    features : dict of str to ndarray of shape (n_features,)
        Columns of the table of features: "feature", its number; "n_tasks", the number
        of tasks that use it; "stability", if the estimator has `stability_`; and
        "trusted", whether `identifiability()` trusts it as a factor.

    score_name : {"R2", "accuracy", "D2"}, default="R2"
        Score on the given rows: "D2" is the explained share of the deviance, for tasks
        of several types.

    overlap : Bunch, default=None
        Numbers of rows that two tasks share: `smallest` and `median` over the `n_pairs`
        of tasks with labels, and `n_disjoint`, the number of pairs that share none.
        None without labels, or with a single task.

    notes : list of str, default=()
        Results that deserve attention.

    See Also
    --------
    sparsedis.identifiability.IdentifiabilityReport : Why features are not trusted.
    TaskSupportDisplay : Draws which task uses which feature.
    sparsedis.metrics.task_scores : Other scores of each task.

    Notes
    -----
    The share of a head is chosen on the held-out rows, so `held_out` and `gain` are
    slightly optimistic; the other scores are not chosen there.

    Examples
    --------
    >>> from sparsedis import SparseMultiTaskRepresentation
    >>> from sparsedis.datasets import make_sparse_tasks
    >>> from sparsedis.inspection import ModelReport
    >>> X, Y = make_sparse_tasks(200, 40, n_factors=3, random_state=0)
    >>> est = SparseMultiTaskRepresentation(max_iter=50, random_state=0).fit(X, Y)
    >>> report = ModelReport.from_estimator(est, X, Y)
    >>> print(report)
    ModelReport: SparseMultiTaskRepresentation
    40 tasks, 3 features
    R2 on held-out rows: ...
    >>> report.features["trusted"]
    array([ True,  True,  True])
    """

    estimator: str
    tasks: dict
    features: dict
    score_name: str = "R2"
    overlap: object = None
    notes: Sequence[str] = ()

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike | None = None,
        y: ArrayLike | SparseMatrix | None = None,
        *,
        task: ArrayLike | None = None,
    ) -> Self:
        """Report on an estimator.

        Parameters
        ----------
        estimator : estimator
            Fitted estimator with a head for each task, also in a pipeline or search.

        X : array-like of shape (n_samples, ...), default=None
            Inputs of `estimator`, for scores: the rows of `fit`, or new ones.

        y : array-like, DataFrame or sparse matrix, default=None
            Their labels, in the forms that `fit` accepts. Without X they only give the
            numbers of labels, and of rows that two tasks share.

        task : array-like of shape (n_samples,), default=None
            The task of each row, in the long form. Rows with equal X are then the same
            row.

        Returns
        -------
        ModelReport
            The report.

        Raises
        ------
        ValueError
            When the estimator does not have a head for each task, or X is given without
            y.
        AttributeError
            After `fit_stream`, which leaves no heads.
        """
        if X is not None and y is None:
            raise ValueError(
                "y must hold labels to score the predictions of X; got None."
            )
        final = final_estimator(estimator)
        supports, headed = supports_of(final)
        checks = identifiability_of(final)
        columns = columns_of_tasks(final, supports, headed)
        overlap = None
        if y is not None:
            inputs = None if X is None else final_inputs(estimator, X)
            counts = count_labels(final, y, task, inputs)
            own = {"n_labels": counts.sum(0)}
            if X is not None:
                own["score"] = score_tasks(final, inputs, y, task)
            if task is None or X is not None:
                overlap = label_overlap(counts)
            names = {name: columns.pop(name) for name in ("task", "type")}
            columns = names | own | columns
        features = columns_of_features(final, supports, checks.trusted)
        return cls(
            type(final).__name__,
            columns,
            features,
            score_name(final),
            overlap,
            notes_of(columns, features, checks.groups, score_name(final)),
        )

    def to_frame(self) -> DataFrame:
        """Table of the tasks.

        Returns
        -------
        pandas.DataFrame
            A row for each task, with the columns of `tasks`.

        Raises
        ------
        ImportError
            Without pandas.
        """
        pandas = import_optional("pandas", "ModelReport.to_frame")
        return pandas.DataFrame(self.tasks)

    def _parts(self):
        title = f"ModelReport: {self.estimator}"
        return title, summary_of(self), [self.tasks, self.features], self.notes
