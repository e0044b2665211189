"""The forms in which labels of many tasks come, read into one."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from sklearn.utils import assert_all_finite, check_array, column_or_1d
from sklearn.utils.validation import check_consistent_length

# Cells of a table that are looked at together.
_BLOCK = 2**22


@dataclass(frozen=True, eq=False)
class Targets:
    """Labels of many tasks, as a table or as a list of labels.

    Attributes
    ----------
    layout : {"single", "wide", "sparse", "long"}
        How they came: one column, a column per task with gaps, a scipy sparse matrix,
        or one label per row together with the name of its task.

    names : ndarray of shape (n_tasks,)
        Names of the tasks: names of columns, task ids, or 0, 1, ...

    values : ndarray of shape (n_rows, n_tasks), (n_rows, n_tasks, n_outputs), \
(n_labels,) or (n_labels, n_outputs)
        A table, or a list.

    missing : ndarray of shape (n_rows, n_tasks) of bool, or None
        Gaps of a table; None where they are its NaN.

    rows, tasks : ndarray of shape (n_labels,) of int, or None
        Where the labels of a list belong.
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

    def counts(self, rows=None):
        """Labels of each task of a table, at some rows."""
        rows = slice(None) if rows is None else rows
        parts = [labelled[rows].sum(0) for _, labelled in self._blocks()]
        return np.concatenate(parts)

    def _blocks(self):
        """Where labels are, a few columns at a time: tables are large."""
        step = max(1, _BLOCK // len(self.values))
        for first in range(0, self.n_tasks, step):
            part = slice(first, first + step)
            if self.missing is not None:
                yield first, ~self.missing[:, part]
            else:
                values = self.values[:, part]
                yield first, ~np.isnan(values if values.ndim == 2 else values[..., 0])


def read_targets(y, n_samples, task=None, *, real, estimator):
    """Read labels in any form.

    Parameters
    ----------
    y : array-like, DataFrame or scipy sparse matrix
        See :class:`Targets`.

    n_samples : int
        Number of rows of X.

    task : array-like of shape (n_samples,), default=None
        The task of each label, for the long layout.

    real : bool
        Whether labels are real numbers, or classes of any dtype.

    estimator : str
        Name for messages.

    Returns
    -------
    Targets

    Raises
    ------
    ValueError
        When lengths differ, y holds inf, text where numbers are due or no label at
        all, or a target vector has gaps.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.tasks._forms import read_targets
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
    if task is not None:
        targets = _read_long(y, task, n_samples, real=real)
    elif sp.issparse(y):
        targets = _read_sparse(y, n_samples, real=real)
    else:
        targets = _read_wide(y, n_samples, real=real)
    if not (targets.counts().any() if targets.is_table else len(targets.rows)):
        raise ValueError("y holds no label at all: every entry is missing.")
    return targets


def _read_wide(y, n_samples, *, real):
    columns = getattr(y, "columns", None)
    values, missing = _read_values(y, real=real)
    if len(values) != n_samples:
        raise ValueError(
            f"X and y must have as many rows, got {n_samples} and {len(values)}."
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
        _check_whole(np.isnan(values))
    names = np.arange(values.shape[1]) if columns is None else np.asarray(columns)
    return Targets(layout, names, values, missing)


def _read_sparse(y, n_samples, *, real):
    if y.shape[0] != n_samples:
        raise ValueError(
            f"X and y must have as many rows, got {n_samples} and {y.shape[0]}."
        )
    y = y.tocsc().tocoo()  # its stored entries, zeros included, are the labels
    values = _read_values(y.data, real=real)[0] if y.nnz else y.data
    if np.isnan(values).any():
        raise ValueError(
            "y is sparse and stores NaN; entries that are not stored are missing."
        )
    rows, tasks = y.row.astype(int), y.col.astype(int)
    return Targets("sparse", np.arange(y.shape[1]), values, None, rows, tasks)


def _read_long(y, task, n_samples, *, real):
    if sp.issparse(y):
        raise ValueError("y must be dense where task= names the task of each label.")
    task = read_task_ids(task, n_samples)
    values, missing = _read_values(y, real=real)
    check_consistent_length(values, task)
    missing = np.isnan(values) if missing is None else missing
    if values.ndim == 2 and values.shape[1] == 1:
        values, missing = values[:, 0], missing[:, 0]
    if values.ndim > (2 if real else 1):
        raise ValueError(
            "y must have one label per row where task= names their tasks, got shape "
            f"{values.shape}."
        )
    if missing.ndim == 2:
        _check_whole(missing)
        missing = missing[:, 0]
    names, tasks = np.unique(task, return_inverse=True)
    rows = np.flatnonzero(~missing)
    return Targets("long", names, values[rows], None, rows, tasks[rows])


def read_task_ids(task, n_samples):
    """Read the ids of tasks, one for each row.

    Parameters
    ----------
    task : array-like of shape (n_samples,)
        Numbers or text.

    n_samples : int

    Returns
    -------
    ndarray of shape (n_samples,)

    Raises
    ------
    ValueError
        When there are more or fewer, or some are missing.

    Examples
    --------
    >>> from sparsedis.tasks._forms import read_task_ids
    >>> read_task_ids(["a", "b"], 2)
    array(['a', 'b'], dtype='<U1')
    """
    task = column_or_1d(task)
    if len(task) != n_samples:
        raise ValueError(
            f"task must name the task of each of the {n_samples} rows of X, got "
            f"{len(task)} names."
        )
    if _is_missing(task).any():
        raise ValueError("task must name the task of every row; some are missing.")
    if task.dtype == object:
        # numpy sorts text as such, and anything else only where it is of one kind.
        task = np.array(task.tolist())
    return task


def _read_values(y, *, real):
    """Values, and which of them are missing where that is not their NaN."""
    if real:
        try:
            values = check_array(
                y,
                ensure_2d=False,
                allow_nd=True,
                dtype=np.float64,
                ensure_all_finite=False,
                input_name="y",
            )
        except (TypeError, ValueError) as error:
            if "could not convert" not in str(error):
                raise
            raise ValueError(
                f"y must hold real numbers: {error}. Learn classes with "
                "SparseMultiTaskClassifier, in an estimator of their own."
            ) from None
        step = max(1, _BLOCK // max(1, values[:1].size))
        for first in range(0, len(values), step):
            block = values[first : first + step]
            assert_all_finite(block, allow_nan=True, input_name="y")
        return values, None
    if hasattr(y, "isna"):
        missing = y.isna().to_numpy()
        values = y.to_numpy(dtype=object) if missing.any() else y.to_numpy()
    else:
        values = np.asarray(y)
        if values.dtype.kind in "US" and not isinstance(y, np.ndarray):
            # numpy turns a None or NaN among text into text.
            values = np.asarray(y, dtype=object)
        missing = _is_missing(values)
    if values.dtype.kind == "f" and np.isinf(values).any():
        raise ValueError("Input y contains infinity, which is no class.")
    return values, missing


def _is_missing(values):
    if values.dtype.kind == "f":
        return np.isnan(values)
    if values.dtype != object:
        return np.zeros(values.shape, dtype=bool)
    flat = [v is None or v is not v or _is_nan(v) for v in values.ravel()]
    return np.array(flat, dtype=bool).reshape(values.shape)


def _is_nan(value):
    # pandas' NA is neither equal nor unequal to itself.
    try:
        return bool(value != value)
    except TypeError:
        return True


def _check_whole(missing):
    if (missing.any(-1) != missing.all(-1)).any():
        raise ValueError(
            "y holds a target vector with some entries NaN; a vector is labelled as a "
            "whole or not at all."
        )


def check_weights(sample_weight, n_samples):
    """Read the weights of the samples.

    Parameters
    ----------
    sample_weight : array-like of shape (n_samples,), number or None

    n_samples : int

    Returns
    -------
    ndarray of shape (n_samples,) or None

    Raises
    ------
    ValueError
        When there are more or fewer, or one is negative or not finite, or all are 0.

    Examples
    --------
    >>> from sparsedis.tasks._forms import check_weights
    >>> check_weights([1, 0, 2], 3)
    array([1., 0., 2.])
    """
    if sample_weight is None:
        return None
    weight = np.asarray(sample_weight)
    if weight.ndim == 0:
        weight = np.full(n_samples, weight)
    weight = check_array(
        weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight"
    )
    if weight.ndim != 1:
        raise ValueError("Sample weights must be 1D array or scalar")
    if weight.shape != (n_samples,):
        raise ValueError(
            f"sample_weight must have shape ({n_samples},), got {weight.shape}."
        )
    if (weight < 0).any():
        raise ValueError(
            "Negative values in data passed to `sample_weight`: weights must not be "
            f"negative, got {weight.min():g}."
        )
    if not weight.any():
        raise ValueError("sample_weight must leave some sample: all weights are zero.")
    return weight
