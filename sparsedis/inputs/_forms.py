"""Conversion of all forms of labels to one representation."""

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from sklearn.utils.validation import check_consistent_length

from sparsedis.inputs._ids import column_names, distinct_ids, read_task_ids
from sparsedis.inputs._plain import check_container, check_tensor
from sparsedis.inputs._values import BLOCK, check_whole_vectors, read_values
from sparsedis.inputs._weights import label_weights

# Range of targets whose squares and their sums float64 can represent.
_SMALLEST, _LARGEST = 1e-150, 1e150


@dataclass(frozen=True, eq=False)
class Targets:
    """Labels of many tasks, as a table or as a list of labels.

    Attributes
    ----------
    layout : {"single", "wide", "sparse", "long"}
        Original form: one column, one column per task with missing entries, a scipy
        sparse matrix, or one label per row together with the name of its task.

    names : ndarray of shape (n_tasks,)
        Names of the tasks: names of columns, task ids, or 0, 1, ...

    values : ndarray of shape (n_rows, n_tasks), (n_rows, n_tasks, n_outputs), \
(n_labels,) or (n_labels, n_outputs)
        A table, or a list.

    missing : ndarray of shape (n_rows, n_tasks) of bool, or None
        Missing entries of a table; None if these are NaN.

    rows, tasks : ndarray of shape (n_labels,) of int, or None
        Row and task of each label of a list.
    """

    layout: str
    names: np.ndarray
    values: np.ndarray
    missing: np.ndarray | None = None
    rows: np.ndarray | None = None
    tasks: np.ndarray | None = None

    @property
    def n_tasks(self):
        """Number of tasks."""
        return len(self.names)

    @property
    def is_table(self):
        """Whether the labels are a table."""
        return self.rows is None

    def listed(self):
        """Rows, tasks and values of every label; those of a table task by task."""
        if not self.is_table:
            return self.rows, self.tasks, self.values
        found = []
        for first, labelled in self._blocks():
            tasks, rows = (at.astype(np.int32) for at in np.nonzero(labelled.T))
            found.append((rows, first + tasks, self.values[rows, first + tasks]))
        return tuple(np.concatenate(part) for part in zip(*found, strict=True))

    def labelled(self, rows):
        """Where some rows of a table have labels."""
        if self.missing is not None:
            return ~self.missing[rows]
        values = self.values[rows]
        return ~np.isnan(values if values.ndim == 2 else values[..., 0])

    def leave_out(self, weight):
        """Without the labels of weight zero, as if they were missing."""
        if not self.is_table:
            kept = label_weights(weight, self.rows, self.tasks) > 0
            rows, tasks = self.rows[kept], self.tasks[kept]
            return replace(self, values=self.values[kept], rows=rows, tasks=tasks)
        none = weight == 0
        if not none.any():
            return self
        if self.missing is not None:
            missing = self.missing | none.reshape(len(none), -1)
            return replace(self, missing=missing)
        values = self.values.copy()
        values[none] = np.nan
        return replace(self, values=values)

    def mean(self, weight):
        """Mean weight of the labels, from weights of samples or of labels."""
        if not self.is_table or sp.issparse(weight):
            rows, tasks, _ = self.listed()
            return label_weights(weight, rows, tasks).mean()
        labelled = self.labelled(slice(None))
        if weight.ndim == 1:
            return np.average(weight, weights=labelled.sum(1))
        return weight.mean(where=labelled)

    def counts(self, rows=None):
        """Labels of each task of a table, at some rows."""
        rows = slice(None) if rows is None else rows
        parts = [labelled[rows].sum(0) for _, labelled in self._blocks()]
        return np.concatenate(parts)

    def largest(self):
        """Magnitude of the largest target of each task; 0 without any."""
        if not self.is_table:
            size = np.abs(self.values).reshape(len(self.values), -1).max(1, initial=0)
            largest = np.zeros(self.n_tasks)
            np.maximum.at(largest, self.tasks, size)
            return largest
        step = max(1, BLOCK // max(1, self.values[:, :1].size))
        parts = [
            np.fmax.reduce(np.abs(part), 0, initial=0)
            for part in (
                self.values[:, first : first + step]
                for first in range(0, self.n_tasks, step)
            )
        ]
        largest = np.concatenate(parts)
        return largest if largest.ndim == 1 else largest.max(1, initial=0)

    def _blocks(self):
        """Positions of labels, for a few columns at a time, since tables are large."""
        step = max(1, BLOCK // len(self.values))
        for first in range(0, self.n_tasks, step):
            part = slice(first, first + step)
            if self.missing is not None:
                yield first, ~self.missing[:, part]
            else:
                values = self.values[:, part]
                yield first, ~np.isnan(values if values.ndim == 2 else values[..., 0])


def read_targets(y, n_samples, task=None, weight=None, *, real, estimator):
    """Read labels in any form.

    Parameters
    ----------
    y : array-like, DataFrame or scipy sparse matrix
        See :class:`Targets`.

    n_samples : int
        Number of rows of X.

    task : array-like of shape (n_samples,), default=None
        The task of each label, for the long layout.

    weight : ndarray or csr_array, default=None
        Weights of samples or labels, from
        :func:`~sparsedis.inputs._weights.check_weights`. Labels of weight zero are
        left out.

    real : bool
        Whether labels are real numbers, or classes of any dtype.

    estimator : str
        Name of the estimator for messages.

    Returns
    -------
    Targets

    Raises
    ------
    TypeError
        When y is no array, list, frame or sparse matrix, or a tensor that numpy cannot
        read.
    ValueError
        When lengths differ, y contains inf, text or dates instead of numbers, numbers
        whose squares exceed the range of float64, or no label at all, task names
        repeat, a sparse matrix stores an entry twice, or a target vector has missing
        entries.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.inputs._forms import read_targets
    >>> targets = read_targets(
    ...     [3.0, 1.0, 2.0], 3, task=["b", "a", "b"], real=True, estimator="me"
    ... )
    >>> targets.names, targets.tasks
    (array(['a', 'b'], dtype='<U1'), array([1, 0, 1]))
    """
    if y is None:
        raise ValueError(
            f"{estimator} requires y to be passed, but the target y is None."
        )
    check_container(y, "y")
    check_tensor(y, "y")
    if task is not None:
        targets = _read_long(y, task, n_samples, real=real)
    elif sp.issparse(y):
        targets = _read_sparse(y, n_samples, real=real)
    else:
        targets = _read_wide(y, n_samples, real=real)
    if _is_empty(targets):
        raise ValueError("y holds no label at all: every entry is missing.")
    if weight is not None:
        targets = targets.leave_out(weight)
        if _is_empty(targets):
            raise ValueError("y holds no label with a positive sample_weight.")
    if real:
        check_sizes(targets)
    return targets


def _is_empty(targets):
    return not (targets.counts().any() if targets.is_table else len(targets.rows))


def _read_wide(y, n_samples, *, real):
    names = column_names(y.columns) if hasattr(y, "columns") else None
    values, missing = read_values(y, real=real)
    if len(values) != n_samples:
        raise ValueError(
            "X and y must have the same number of rows, got "
            f"{n_samples} and {len(values)}."
        )
    layout = "single" if values.ndim == 1 else "wide"
    values = values[:, None] if values.ndim == 1 else values
    if missing is not None:
        missing = missing.reshape(values.shape)
    if values.ndim > (3 if real else 2) or 0 in values.shape:
        shapes = "(n_samples,), (n_samples, n_tasks)"
        shapes += " or (n_samples, n_tasks, n_outputs)" if real else ""
        raise ValueError(f"y must have shape {shapes}, got {values.shape}.")
    if values.ndim == 3:
        check_whole_vectors(np.isnan(values))
    names = np.arange(values.shape[1]) if names is None else names
    return Targets(layout, names, values, missing)


def _read_sparse(y, n_samples, *, real):
    if y.ndim != 2:
        raise ValueError(f"A sparse y must have two dimensions, got {y.ndim}.")
    if y.shape[0] != n_samples:
        raise ValueError(
            "X and y must have the same number of rows, got "
            f"{n_samples} and {y.shape[0]}."
        )
    y = _stored(y)
    values = read_values(y.data, real=real)[0] if y.nnz else y.data
    if np.isnan(values).any():
        raise ValueError(
            "y is sparse and stores NaN; entries that are not stored are missing."
        )
    rows, tasks = y.row.astype(int), y.col.astype(int)
    return Targets("sparse", np.arange(y.shape[1]), values, None, rows, tasks)


def _stored(y):
    """Stored entries, zeros included, in the order of the tasks: the labels."""
    # The formats treat several entries in one place differently.
    y = y.tocoo() if y.format in ("coo", "bsr", "dia") else y.tocsc().tocoo()
    order = np.lexsort((y.row, y.col))
    row, col = y.row[order], y.col[order]
    twice = np.flatnonzero((row[1:] == row[:-1]) & (col[1:] == col[:-1]))
    if len(twice):
        raise ValueError(
            "y is sparse and stores several entries in one place, first in row "
            f"{row[twice[0]]} of task {col[twice[0]]}; scipy would add them up. Call "
            "y.sum_duplicates() to add them. For several labels of a sample, pass one "
            "label per row, with task=."
        )
    return sp.coo_array((y.data[order], (row, col)), shape=y.shape)


def _read_long(y, task, n_samples, *, real):
    if sp.issparse(y):
        raise ValueError("y must be dense if task= is given, got a sparse matrix.")
    task = read_task_ids(task, n_samples)
    values, missing = read_values(y, real=real)
    check_consistent_length(values, task)
    missing = np.isnan(values) if missing is None else missing
    if values.ndim == 2 and values.shape[1] == 1:
        values, missing = values[:, 0], missing[:, 0]
    if values.ndim > (2 if real else 1):
        raise ValueError(
            "y must have one label per row if task= is given, got shape "
            f"{values.shape}."
        )
    if missing.ndim == 2:
        check_whole_vectors(missing)
        missing = missing[:, 0]
    names, tasks = distinct_ids(task)
    rows = np.flatnonzero(~missing)
    return Targets("long", names, values[rows], None, rows, tasks[rows])


def check_sizes(targets):
    """Refuse targets whose squares are lost.

    Parameters
    ----------
    targets : Targets
    """
    largest = targets.largest()
    bad = (largest > _LARGEST) | ((largest > 0) & (largest < _SMALLEST))
    if bad.any():
        t = int(bad.argmax())
        raise ValueError(
            f"y holds numbers up to {largest[t]:.3g} in magnitude in task "
            f"{targets.names[t]!s}, whose squares float64 cannot represent. The "
            f"largest of each task must be from {_SMALLEST:g} to {_LARGEST:g}, or 0: "
            "rescale its targets."
        )
