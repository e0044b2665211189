"""Two ways to store the labels of many tasks: dense, or task by task."""

from dataclasses import dataclass

import numpy as np

# Median absolute deviation of a standard Gaussian.
_NORMAL = 0.6744897501960817


@dataclass(frozen=True, eq=False)
class DenseLabels:
    """Labels as a table, for tasks that label many of the rows.

    Parameters
    ----------
    Y : ndarray of shape (n_rows, n_tasks) or (n_rows, n_tasks, n_outputs)
        NaN where missing.

    weight : ndarray of shape (n_rows, n_tasks) or None
        Weights of the labels.
    """

    Y: np.ndarray
    weight: np.ndarray | None = None

    @property
    def n_tasks(self):
        """Number of tasks."""
        return self.Y.shape[1]

    @property
    def is_scalar(self):
        """Whether a label is a number, not a vector."""
        return self.Y.ndim == 2

    def present(self):
        """Mask of the labels, of shape (n_rows, n_tasks)."""
        present = ~np.isnan(self.Y)
        return present if present.ndim == 2 else present[..., 0]

    def counts(self):
        """Labels of each task."""
        return self.present().sum(0)

    def of(self, t):
        """Rows that task t labels, its labels there and their weights, or None."""
        rows = np.flatnonzero(~np.isnan(self.Y[:, t].reshape(len(self.Y), -1)[:, 0]))
        weight = None if self.weight is None else self.weight[rows, t]
        return rows, self.Y[rows, t], weight

    def block(self, rows, tasks):
        """Labels and weights of some tasks at some rows, tasks first."""
        at = np.ix_(rows, tasks)
        weight = None if self.weight is None else self.weight[at].T
        return np.swapaxes(self.Y[at], 0, 1), weight

    def restrict(self, rows):
        """Labels of some rows only."""
        weight = None if self.weight is None else self.weight[rows]
        return DenseLabels(self.Y[rows], weight)

    def scale(self, *, robust=False):
        """Standard deviation of each task, outputs together; 1 where constant.

        With `robust` it is estimated by the median absolute deviation, where that is
        not zero.
        """
        if robust:
            return _robust(self, self.scale())
        present = self.present()[..., None]
        Y = self.Y.reshape(*self.Y.shape[:2], -1)
        share = present if self.weight is None else present * self.weight[..., None]
        share = share / np.maximum(share.sum(0), np.finfo(float).tiny)
        Y = np.where(present, Y, 0.0)
        variance = (share * (Y - (share * Y).sum(0)) ** 2).sum(0).mean(-1)
        return _positive(np.sqrt(variance), np.abs(Y).max((0, 2), initial=0))

    def divided(self, scale):
        """Divide the labels of each task by its scale."""
        scale = scale if self.Y.ndim == 2 else scale[:, None]
        return DenseLabels(self.Y / scale, self.weight)


@dataclass(frozen=True, eq=False)
class SparseLabels:
    """Labels task by task, for tasks that label few of the rows.

    Parameters
    ----------
    indptr : ndarray of shape (n_tasks + 1,) of int
        Where the labels of each task begin.

    rows : ndarray of shape (n_labels,) of int

    values : ndarray of shape (n_labels,) or (n_labels, n_outputs)

    weight : ndarray of shape (n_labels,) or None
    """

    indptr: np.ndarray
    rows: np.ndarray
    values: np.ndarray
    weight: np.ndarray | None = None

    @property
    def n_tasks(self):
        """Number of tasks."""
        return len(self.indptr) - 1

    @property
    def is_scalar(self):
        """Whether a label is a number, not a vector."""
        return self.values.ndim == 1

    def counts(self):
        """Labels of each task."""
        return np.diff(self.indptr)

    def of(self, t):
        """Rows that task t labels, its labels there and their weights, or None."""
        part = slice(self.indptr[t], self.indptr[t + 1])
        weight = None if self.weight is None else self.weight[part]
        return self.rows[part], self.values[part], weight

    def restrict(self, rows):
        """Labels of some rows only."""
        position = np.full(self.rows.max(initial=-1) + 1, -1)
        rows = np.asarray(rows)
        inside = rows < len(position)
        position[rows[inside]] = np.flatnonzero(inside)
        kept = position[self.rows] >= 0
        ends = np.concatenate([[0], np.cumsum(kept)])[self.indptr]
        weight = None if self.weight is None else self.weight[kept]
        return SparseLabels(ends, position[self.rows[kept]], self.values[kept], weight)

    def scale(self, *, robust=False):
        """Standard deviation of each task, see :meth:`DenseLabels.scale`."""
        if robust:
            return _robust(self, self.scale())
        task = self._tasks()
        weight = np.ones(len(task)) if self.weight is None else self.weight
        total = np.maximum(self._sum(task, weight), np.finfo(float).tiny)
        Y = self.values.reshape(len(task), -1)
        variance = np.zeros(self.n_tasks)
        for y in Y.T:
            mean = self._sum(task, weight * y) / total
            variance += self._sum(task, weight * (y - mean[task]) ** 2) / total
        largest = np.zeros(self.n_tasks)
        np.maximum.at(largest, task, np.abs(Y).max(1, initial=0))
        return _positive(np.sqrt(variance / Y.shape[1]), largest)

    def divided(self, scale):
        """Divide the labels of each task by its scale."""
        scale = scale[self._tasks()]
        scale = scale if self.values.ndim == 1 else scale[:, None]
        return SparseLabels(self.indptr, self.rows, self.values / scale, self.weight)

    def _tasks(self):
        return np.repeat(np.arange(self.n_tasks), self.counts())

    def _sum(self, task, values):
        return np.bincount(task, values, minlength=self.n_tasks)


def _robust(labels, scale):
    """Median absolute deviation of every task, as an estimate of its `scale`.

    It is zero if half of the labels of a task are equal; the result is then `scale`.
    """
    found = np.zeros(len(scale))
    for t in range(labels.n_tasks):
        _, y, weight = labels.of(t)
        weight = np.ones(len(y)) if weight is None else weight
        if not weight.any():
            continue
        y = y.reshape(len(y), -1)
        away = np.abs(y - [_median(column, weight) for column in y.T])
        found[t] = _median(away.ravel(), weight.repeat(y.shape[1]))
    return np.where(found > 0, found / _NORMAL, scale)


def _median(values, weight):
    """Lower median; weights are repetitions."""
    order = np.argsort(values)
    total = np.cumsum(weight[order])
    return values[order[np.searchsorted(total, 0.5 * total[-1])]]


def _positive(scale, largest):
    # Centred constant labels are only rounding errors.
    return np.where(scale > 10 * np.finfo(float).eps * largest, scale, 1.0)


def store_labels(rows, tasks, values, weight, shape, *, dense_from):
    """Store labels as a table or task by task, depending on their number.

    Copies of a label are merged, and their weights added, so a weight is the same as
    repetition. The result does not depend on the form or the order of the labels.

    Parameters
    ----------
    rows, tasks : ndarray of shape (n_labels,) of int

    values : ndarray of shape (n_labels,) or (n_labels, n_outputs)

    weight : ndarray of shape (n_labels,) or None

    shape : tuple (n_rows, n_tasks)

    dense_from : float
        Share of the rows that a typical task labels from which a table is used.

    Returns
    -------
    DenseLabels or SparseLabels
        The latter also if a task has several different labels at one row.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.inputs._labels import store_labels
    >>> rows, tasks, values = np.array([[1, 0, 1], [0, 1, 0], [5, 6, 5]])
    >>> labels = store_labels(
    ...     rows, tasks, 1.0 * values, None, (2, 2), dense_from=0.1
    ... )
    >>> labels.Y, labels.weight
    (array([[nan,  6.],
           [ 5., nan]]), array([[1., 1.],
           [2., 1.]]))
    """
    n_rows, n_tasks = shape
    place = tasks.astype(np.int64) * n_rows + rows
    order = np.argsort(place, kind="stable")
    place = place[order]
    same_place = place[1:] == place[:-1]
    del place  # there are many labels
    if same_place.any():
        columns = values.reshape(len(values), -1)
        order = np.lexsort((*columns.T, rows, tasks))
    rows, tasks, values = rows[order], tasks[order], values[order]
    weight = None if weight is None else weight[order]
    replicated = False
    if same_place.any():
        columns = values.reshape(len(values), -1)
        copy = same_place & (columns[1:] == columns[:-1]).all(1)
        replicated = bool((same_place & ~copy).any())
        first = np.flatnonzero(np.concatenate([[True], ~copy]))
        weight = np.ones(len(rows)) if weight is None else weight
        weight = np.add.reduceat(weight, first)
        rows, tasks, values = rows[first], tasks[first], values[first]
    if weight is not None and (weight == 1).all():
        weight = None
    counts = np.bincount(tasks, minlength=n_tasks)
    if replicated or not is_dense(counts, n_rows, dense_from):
        indptr = np.concatenate([[0], np.cumsum(counts)])
        return SparseLabels(indptr, rows, values, weight)
    Y = np.full((n_rows, n_tasks, *values.shape[1:]), np.nan)
    Y[rows, tasks] = values
    if weight is not None:
        table = np.ones(shape)
        table[rows, tasks] = weight
        weight = table
    return DenseLabels(Y, weight)


def is_dense(counts, n_rows, dense_from):
    """Whether tasks label enough rows to store them as a table.

    Parameters
    ----------
    counts : ndarray of shape (n_tasks,) of int
        Labels of each task.

    n_rows : int

    dense_from : float
        Minimal share of the rows that a typical task labels.

    Returns
    -------
    bool
    """
    # A single label determines an intercept, but nothing about the representation.
    useful = counts[counts >= min(2, n_rows)]
    if not len(useful):
        useful = counts[counts > 0]
    typical = np.median(useful) / n_rows if len(useful) else 0.0
    return typical == 1 or typical >= dense_from
