"""Batches of tasks that share their inputs."""

from collections import deque
from dataclasses import dataclass
from itertools import chain

import numpy as np

__all__ = ["TaskBatch", "WideTasks"]


@dataclass(frozen=True, eq=False)
class TaskBatch:
    """Several supervised tasks whose inputs are rows of one array.

    Each distinct input row is stored, and later encoded, once, however many tasks use
    it: the rows of task ``t`` are ``rows[index[t]]``.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, ...)
        The distinct inputs: feature vectors ``(n_rows, n_features)`` or images
        ``(n_rows, height, width, channels)``.

    y : ndarray of shape (n_tasks, n_samples)
        Targets. A NaN is a missing label, and joins ``mask``.

    index : ndarray of shape (n_tasks, n_samples) or (n_samples,) of int, default=None
        Positions in ``rows`` of the samples of each task, or of the samples that all
        the tasks share. None: every task uses all the rows, in order.

    mask : ndarray of shape (n_tasks, n_samples) of bool, default=None
        Which samples exist, for tasks of unequal size. None: all those whose label
        is not NaN.

    Attributes
    ----------
    n_tasks : int
        Number of tasks.

    Raises
    ------
    ValueError
        When the shapes disagree, an index points outside ``rows``, or a target that
        the mask keeps is infinite or NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.tasks import TaskBatch
    >>> rows = np.arange(6.0).reshape(3, 2)
    >>> TaskBatch(rows, y=[[0.0, 1.0, np.nan], [2.0, 3.0, 4.0]])
    TaskBatch(n_tasks=2, n_samples=3, n_rows=3, labelled=5)
    """

    rows: np.ndarray
    y: np.ndarray
    index: np.ndarray | None = None
    mask: np.ndarray | None = None

    def __post_init__(self):
        set_ = object.__setattr__  # the dataclass is frozen
        set_(self, "rows", np.asarray(self.rows))
        y = np.asarray(self.y, dtype=float)
        if y.ndim != 2:
            raise ValueError(f"y must have shape (n_tasks, n_samples), got {y.shape}.")
        if self.index is None:
            if y.shape[1] != len(self.rows):
                raise ValueError(
                    "Without index every task uses all the rows: y must have shape "
                    f"(n_tasks, {len(self.rows)}), got {y.shape}."
                )
        else:
            index = np.asarray(self.index)
            fits = index.shape in (y.shape, y.shape[1:])
            if not fits or not np.issubdtype(index.dtype, np.integer):
                raise ValueError(
                    f"index must hold integers in the shape {y.shape} of y, or "
                    f"{y.shape[1:]} when tasks share their samples; got {index.dtype} "
                    f"of shape {index.shape}."
                )
            if index.size and not 0 <= index.min() <= index.max() < len(self.rows):
                raise ValueError(
                    f"index must lie in [0, {len(self.rows)}), the rows; got values "
                    f"from {index.min()} to {index.max()}."
                )
            set_(self, "index", index.astype(np.int64, copy=False))
        labelled = ~np.isnan(y)
        if self.mask is not None:
            mask = np.asarray(self.mask, dtype=bool)
            if mask.shape != y.shape:
                raise ValueError(
                    f"mask must have the shape of y, {y.shape}; got {mask.shape}."
                )
            labelled &= mask
        if not np.isfinite(y[labelled]).all():
            raise ValueError("y holds an infinite target; targets must be finite.")
        if labelled.all():
            set_(self, "mask", None)
        else:
            set_(self, "mask", labelled)
            y = np.where(labelled, y, 0.0)
        set_(self, "y", y)

    @property
    def n_tasks(self):
        """Number of tasks."""
        return self.y.shape[0]

    def __repr__(self):
        labelled = self.y.size if self.mask is None else int(self.mask.sum())
        return (
            f"TaskBatch(n_tasks={self.n_tasks}, n_samples={self.y.shape[1]}, "
            f"n_rows={len(self.rows)}, labelled={labelled})"
        )


class WideTasks:
    """Endless batches from one table of inputs and targets with missing labels.

    Where labels are dense, a step draws rows first, and all its tasks share them;
    where they are sparse it draws tasks first, and rows among those that each of them
    labels.

    Parameters
    ----------
    X : ndarray of shape (n_samples, ...)
        Inputs.

    Y : ndarray of shape (n_samples, n_tasks)
        Targets, NaN where missing.

    n_samples : int
        Samples of a task in one step, at most.

    n_tasks : int
        Tasks in one step, at most.

    random_state : RandomState instance
        Draws the batches.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.tasks import WideTasks
    >>> rng = np.random.RandomState(0)
    >>> X, Y = rng.normal(size=(500, 3)), rng.normal(size=(500, 20))
    >>> next(iter(WideTasks(X, Y, n_samples=50, n_tasks=8, random_state=rng)))
    TaskBatch(n_tasks=8, n_samples=50, n_rows=50, labelled=400)
    """

    # A task with fewer labels among the rows of a step says little about its head.
    _MIN_LABELS = 10

    def __init__(self, X, Y, *, n_samples, n_tasks, random_state):
        self.X = X
        self.Y = Y
        self.n_samples = min(n_samples, len(X))
        self.n_tasks = n_tasks
        self.random_state = random_state
        labelled = ~np.isnan(Y)
        counts = labelled.sum(0)
        # One label determines an intercept and nothing of the representation.
        self.tasks = np.flatnonzero(counts >= min(2, len(X)))
        if len(self.tasks) == 0:
            self.tasks = np.flatnonzero(counts)
        typical = np.median(counts[self.tasks]) / len(X)
        self.rows_first = typical == 1 or typical * n_samples >= self._MIN_LABELS
        if not self.rows_first:
            self._labels = labelled_rows(Y)

    def __iter__(self):
        while True:
            tasks = self.tasks
            if len(tasks) > self.n_tasks:
                tasks = self.random_state.choice(tasks, self.n_tasks, replace=False)
            draw = self._rows_first if self.rows_first else self._tasks_first
            batch = draw(tasks)
            # Tasks with few labels may have none among the rows of a step.
            if batch.n_tasks:
                yield batch

    def _rows_first(self, tasks):
        rows = self.random_state.permutation(len(self.X))[: self.n_samples]
        y = self.Y[np.ix_(rows, tasks)].T
        return TaskBatch(self.X[rows], y[(~np.isnan(y)).any(1)])

    def _tasks_first(self, tasks):
        drawn = []
        for t in tasks:
            rows = self._labels[1][self._labels[0][t] : self._labels[0][t + 1]]
            drawn.append(self.random_state.permutation(rows)[: self.n_samples])
        return gather(self.X, self.Y, tasks, drawn)


def labelled_rows(Y):
    """Rows that each column labels, as the ``indptr`` and ``indices`` of a CSC matrix.

    Parameters
    ----------
    Y : ndarray of shape (n_samples, n_tasks)
        NaN where missing.

    Returns
    -------
    indptr : ndarray of shape (n_tasks + 1,) of int

    indices : ndarray of int

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.tasks import labelled_rows
    >>> labelled_rows(np.array([[1.0, np.nan], [2.0, 3.0]]))
    (array([0, 2, 3]), array([0, 1, 1]))
    """
    columns, indices = np.nonzero(~np.isnan(Y.T))
    return np.searchsorted(columns, np.arange(Y.shape[1] + 1)), indices


def gather(X, Y, tasks, rows):
    """Batch of tasks with their own rows, each distinct row taken once.

    Parameters
    ----------
    X : ndarray of shape (n_samples, ...)
    Y : ndarray of shape (n_samples, n_tasks)
    tasks : ndarray of shape (n_drawn,) of int
        Columns of Y.
    rows : list of ndarray of int
        Rows of each of these tasks, of any number.

    Returns
    -------
    TaskBatch

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.tasks import gather
    >>> gather(np.zeros((9, 2)), np.zeros((9, 4)), [0, 3], [[1, 2], [2]])
    TaskBatch(n_tasks=2, n_samples=2, n_rows=2, labelled=3)
    """
    sizes = np.array([len(some) for some in rows])
    mask = np.arange(sizes.max()) < sizes[:, None]
    position = np.zeros(mask.shape, dtype=np.int64)
    position[mask] = np.concatenate(rows)
    distinct, inverse = np.unique(position[mask], return_inverse=True)
    y = np.where(mask, Y[position, np.asarray(tasks)[:, None]], np.nan)
    index = np.zeros_like(position)
    index[mask] = inverse
    return TaskBatch(X[distinct], y, index)


class StreamTasks:
    """Batches of a user's stream, the first one seen before training.

    Parameters
    ----------
    source : iterable
        Of :class:`TaskBatch`, or of pairs ``(X, Y)`` of arrays.

    remember : int
        Number of last batches whose rows are kept.

    Attributes
    ----------
    first : TaskBatch
        The first batch.

    remembered : deque of ndarray
        Rows of the last batches.

    Raises
    ------
    ValueError
        When `source` is no iterable, is empty or yields something else.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.tasks import StreamTasks
    >>> StreamTasks([(np.zeros((5, 2)), np.zeros((5, 3)))], remember=1).first
    TaskBatch(n_tasks=3, n_samples=5, n_rows=5, labelled=15)
    """

    def __init__(self, source, remember):
        try:
            iterator = iter(source)
        except TypeError:
            raise ValueError(
                "source must be an iterable of TaskBatch or (X, Y) pairs, got "
                f"{type(source).__name__}."
            ) from None
        first = next(iterator, None)
        if first is None:
            raise ValueError("source is empty: it must yield at least one batch.")
        self.first = _read_batch(first)
        self.remembered = deque(maxlen=remember)
        one_shot = iterator is source
        self._source = chain([first], iterator) if one_shot else source

    def __iter__(self):
        for batch in self._source:
            batch = _read_batch(batch)
            if batch.rows.shape[1:] != self.first.rows.shape[1:]:
                raise ValueError(
                    "source must yield inputs of one shape; it went from "
                    f"{self.first.rows.shape[1:]} to {batch.rows.shape[1:]}."
                )
            self.remembered.append(batch.rows)
            yield batch


def _read_batch(batch):
    if isinstance(batch, TaskBatch):
        return batch
    if isinstance(batch, tuple) and len(batch) == 2:
        X, Y = (np.asarray(part) for part in batch)
        return TaskBatch(X, Y.reshape(len(Y), -1).T)
    raise ValueError(
        "source must yield TaskBatch instances or (X, Y) pairs, got "
        f"{type(batch).__name__}."
    )
