"""Labels of tasks of several types: numbers, counts and classes."""

from dataclasses import dataclass

import numpy as np

from sparsedis.inputs._forms import Targets, read_targets
from sparsedis.inputs._ids import column_names
from sparsedis.inputs._plain import check_container
from sparsedis.inputs._values import is_missing, unboxed
from sparsedis.inputs._weights import label_weights


@dataclass(frozen=True, eq=False)
class MixedColumns:
    """Original labels, task by task.

    Attributes
    ----------
    layout : {"single", "wide", "sparse", "long"}
        See :class:`~sparsedis.inputs._forms.Targets`.

    names : ndarray of shape (n_tasks,)

    n_rows : int

    rows, values : list of n_tasks ndarray
        Rows with labels of each task, and these labels.

    dtypes : list of str
        Dtypes of the columns of a pandas DataFrame; otherwise empty.

    categories : list of ndarray
        Categories of these columns; empty for other dtypes.
    """

    layout: str
    names: np.ndarray
    n_rows: int
    rows: list
    values: list
    dtypes: list
    categories: list

    @property
    def n_tasks(self):
        """Number of tasks."""
        return len(self.names)

    def without(self, weight):
        """Leave out labels of weight zero, see `check_weights`."""
        if weight is None:
            return self
        kept = [
            label_weights(weight, rows, np.full(len(rows), t)) > 0
            for t, rows in enumerate(self.rows)
        ]
        return MixedColumns(
            self.layout,
            self.names,
            self.n_rows,
            [rows[own] for rows, own in zip(self.rows, kept, strict=True)],
            [values[own] for values, own in zip(self.values, kept, strict=True)],
            self.dtypes,
            self.categories,
        )

    def targets(self, codes):
        """Codes of the labels, in the original layout.

        Parameters
        ----------
        codes : list of n_tasks ndarray
            A number for each label.

        Returns
        -------
        Targets
        """
        if self.layout in ("single", "wide"):
            Y = np.full((self.n_rows, self.n_tasks), np.nan)
            for t, rows in enumerate(self.rows):
                Y[rows, t] = codes[t]
            return Targets(self.layout, self.names, Y)
        sizes = [len(rows) for rows in self.rows]
        return Targets(
            self.layout,
            self.names,
            np.concatenate(codes),
            None,
            np.concatenate(self.rows),
            np.repeat(np.arange(self.n_tasks), sizes),
        )


def read_columns(y, n_samples, task=None, *, estimator):
    """Read labels of any kind, task by task.

    Parameters
    ----------
    y : array-like, DataFrame or scipy sparse matrix

    n_samples : int
        Number of rows of X.

    task : array-like of shape (n_samples,), default=None
        The task of each label, for the long layout.

    estimator : str
        Name for messages.

    Returns
    -------
    MixedColumns

    Raises
    ------
    ValueError
        See :func:`~sparsedis.inputs._forms.read_targets`.
    """
    if y is not None:
        check_container(y, "y")
    if task is None and hasattr(y, "columns"):
        return _read_frame(y, n_samples)
    _refuse_infinite(y)
    targets = read_targets(y, n_samples, task, real=False, estimator=estimator)
    where, tasks, values = targets.listed()
    order = np.argsort(tasks, kind="stable")
    ends = np.searchsorted(tasks[order], np.arange(1, targets.n_tasks))
    own = np.split(order, ends)
    dtypes, categories = [], []
    if targets.layout == "single" and hasattr(y, "dtype"):
        # A series may have categories, but predictions are not a frame.
        categories = [_categories(y)]
    return MixedColumns(
        targets.layout,
        targets.names,
        n_samples,
        [where[part] for part in own],
        [unboxed(values[part]) for part in own],
        dtypes,
        categories,
    )


def _refuse_infinite(y):
    """Raise an error for an infinite number, which no type allows."""
    dtype = getattr(y, "dtype", None)
    if getattr(dtype, "kind", "") != "f" or not isinstance(y, np.ndarray):
        return
    at = np.argwhere(np.isinf(y))
    if len(at):
        task = f" in task {at[0][1]}" if y.ndim > 1 else ""
        raise ValueError(f"Input y contains infinity: {y[tuple(at[0])]}{task}.")


def _read_frame(y, n_samples):
    names = column_names(y.columns)
    if not len(names):
        raise ValueError("y must have a column for each task; it has none.")
    rows, values, dtypes, categories = [], [], [], []
    of_pandas = hasattr(y, "iloc")
    for t, name in enumerate(names.tolist()):
        column = y.iloc[:, t] if of_pandas else y[name]
        own, missing = _read_column(column, n_samples)
        rows.append(np.flatnonzero(~missing))
        values.append(unboxed(own[rows[-1]]))
        categories.append(_categories(column) if of_pandas else np.zeros(0))
        if of_pandas:
            dtypes.append(_name_of(column.dtype))
    if not any(map(len, rows)):
        raise ValueError("y holds no label at all: every entry is missing.")
    return MixedColumns("wide", names, n_samples, rows, values, dtypes, categories)


def _read_column(column, n_samples):
    """Values of a column, and a mask of missing ones."""
    if not len(column) == n_samples:
        raise ValueError(
            "X and y must have the same number of rows, got "
            f"{n_samples} and {len(column)}."
        )
    if hasattr(column, "isna"):
        missing = column.isna().to_numpy(dtype=bool)
        values = column.to_numpy(dtype=object) if missing.any() else column.to_numpy()
        return values, missing
    values = np.asarray(column, dtype=object)
    return values, is_missing(values)


def _name_of(dtype):
    """Name of a dtype in pandas."""
    return "ordered" if getattr(dtype, "ordered", False) else str(dtype)


def _categories(column):
    dtype = column.dtype
    if not hasattr(dtype, "categories"):
        return np.zeros(0)
    return np.asarray(dtype.categories)
