"""Labels of many tasks as a list."""

from dataclasses import dataclass, replace

import numpy as np
from sklearn.utils.validation import _num_samples

from sparsedis.inputs._classes import encode_classes
from sparsedis.inputs._forms import read_targets
from sparsedis.inputs._weights import check_weights


@dataclass(frozen=True, eq=False)
class TaskLabels:
    """Labels of positive weight, each with its row and task.

    Attributes
    ----------
    names : ndarray of shape (n_tasks,)

    values : ndarray of shape (n_labels,) or (n_labels, n_outputs)

    rows, tasks : ndarray of shape (n_labels,) of int

    n_rows : int

    is_long : bool
        Whether predictions also have no axis of tasks.

    weight : ndarray of shape (n_labels,) or None

    classes : list of n_tasks ndarray, or None
        Classes among the labels of each task.

    codes : ndarray of shape (n_labels,) of int, or None
        Labels as positions in `classes`.
    """

    names: np.ndarray
    values: np.ndarray
    rows: np.ndarray
    tasks: np.ndarray
    n_rows: int
    is_long: bool = False
    weight: np.ndarray | None = None
    classes: list | None = None
    codes: np.ndarray | None = None

    @property
    def n_tasks(self):
        """Number of tasks."""
        return len(self.names)

    def counts(self):
        """Labels of each task."""
        return np.bincount(self.tasks, minlength=self.n_tasks)

    def by_task(self):
        """Positions of the labels of each task."""
        order = np.argsort(self.tasks, kind="stable")
        return np.split(order, np.cumsum(self.counts())[:-1])

    def weight_at(self, at):
        """Weights of some labels, or None."""
        return None if self.weight is None else self.weight[at]

    def at(self, kept):
        """Some of the labels."""
        return replace(
            self,
            values=self.values[kept],
            rows=self.rows[kept],
            tasks=self.tasks[kept],
            weight=self.weight_at(kept),
            codes=None if self.codes is None else self.codes[kept],
        )

    def among(self, names, number):
        """Labels by the numbers of their tasks among others, -1 where they have none.

        Parameters
        ----------
        names : ndarray of shape (n_other_tasks,)

        number : ndarray of shape (n_tasks,) of int

        Returns
        -------
        TaskLabels
        """
        kept = self.at(number[self.tasks] >= 0)
        classes = self.classes
        if classes is not None:
            classes = [np.empty(0)] * len(names)
            for own, t in zip(self.classes, number, strict=True):
                if t >= 0:
                    classes[t] = own
        return replace(kept, names=names, tasks=number[kept.tasks], classes=classes)

    def predicted(self, missing):
        """Determine which tasks have predictions.

        Parameters
        ----------
        missing : ndarray of shape (n_labels,) of bool
            Labels without a prediction.

        Returns
        -------
        ndarray of shape (n_tasks,) of bool

        Raises
        ------
        ValueError
            When only some labels of a task have predictions.
        """
        lost, counts = np.bincount(self.tasks, missing, self.n_tasks), self.counts()
        partly = np.flatnonzero((lost > 0) & (lost < counts))
        if len(partly):
            t = partly[0]
            raise ValueError(
                f"y_pred lacks {lost[t]:.0f} of {counts[t]} predictions for labels of "
                f"task {self.names[t]}; a task must have all of them or none."
            )
        return lost == 0


def read_task_labels(y, task=None, sample_weight=None, *, real):
    """Read labels in any form.

    Parameters
    ----------
    y : array-like, DataFrame or sparse matrix

    task : array-like of shape (n,), default=None

    sample_weight : array-like of shape (n,) or (n, n_tasks), default=None

    real : bool
        Whether labels are real numbers, or classes of any dtype.

    Returns
    -------
    labels : TaskLabels

    targets : Targets
        Labels as they were read, including those of weight 0.
    """
    n = y.shape[0] if hasattr(y, "shape") else _num_samples(y)
    targets = read_targets(y, n, task, real=real, estimator="A score")
    rows, tasks, values = targets.listed()
    labels = TaskLabels(
        targets.names, values, rows, tasks, n, is_long=targets.layout == "long"
    )
    weight = _weights(sample_weight, labels)
    if weight is not None:
        labels = replace(labels, weight=weight).at(weight > 0)
    if not real:
        encoded, classes = encode_classes(
            replace(
                targets,
                values=labels.values,
                missing=None,
                rows=labels.rows,
                tasks=labels.tasks,
            )
        )
        labels = replace(labels, classes=classes, codes=encoded.values.astype(int))
    return labels, targets


def _weights(sample_weight, labels):
    """Weights of the labels, from those of rows or of cells of a table."""
    if np.ndim(sample_weight) < 2:
        weight = check_weights(sample_weight, labels.n_rows)
        return None if weight is None else weight[labels.rows]
    weight = np.asarray(sample_weight, dtype=np.float64)
    rows, cells = (labels.n_rows,), (labels.n_rows, labels.n_tasks)
    if labels.is_long or weight.shape != cells:
        allowed = rows if labels.is_long else f"{rows} or {cells}"
        raise ValueError(
            f"sample_weight must have shape {allowed}; got {weight.shape}."
        )
    weight = weight[labels.rows, labels.tasks]
    bad = ~np.isfinite(weight) | (weight < 0)
    if bad.any():
        raise ValueError(
            "sample_weight must be finite and not negative wherever y has a label; got "
            f"{weight[bad.argmax()]:g}."
        )
    if not weight.any():
        raise ValueError("sample_weight must leave some label: all weights are zero.")
    return weight
