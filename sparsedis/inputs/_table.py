"""A table of tasks, and batches drawn from it."""

import numpy as np

from sparsedis.inputs._batch import NUMBER, TaskBatch
from sparsedis.inputs._draws import draw, gather
from sparsedis.inputs._labels import DenseLabels, is_dense, store_labels
from sparsedis.inputs._rows import LazyRows, blocks_of, distinct_rows
from sparsedis.inputs._weights import as_counts, label_weights

# With fewer labels among the rows of a step, the head of a task is not determined well.
_MIN_LABELS = 10


class TaskTable:
    """Labels of many tasks on the distinct rows of an array.

    The table does not depend on the form and the order of the labels, if the rows are
    in memory.

    Parameters
    ----------
    X : ndarray of shape (n, ...) or LazyRows
        Inputs.

    at : ndarray of shape (n_rows,) of int
        Positions in `X` of the rows of the table.

    labels : DenseLabels or SparseLabels

    n_classes : ndarray of shape (n_tasks,) of int, default=None
        Number of classes of each task; `NUMBER` or `COUNT` for tasks of these, beside
        those of classes.

    task_weight : ndarray of shape (n_tasks,), default=None
        Weight of each task in what the encoder learns.
    """

    def __init__(self, X, at, labels, n_classes=None, task_weight=None):
        self.X = X
        self.at = at
        self.labels = labels
        self.n_classes = n_classes
        self.task_weight = task_weight

    def contents(self):
        """Arrays that identify this table: inputs, positions, labels.

        For inputs on disk, a few rows are read instead of all.

        Returns
        -------
        tuple
        """
        X = self.X.sample() if isinstance(self.X, LazyRows) else self.X
        labels = vars(self.labels).values()
        return self.X.shape, X, self.at, *labels, self.n_classes, self.task_weight

    @classmethod
    def build(
        cls,
        X,
        targets,
        weight=None,
        *,
        n_samples,
        n_classes=None,
        task_weight=None,
    ):
        """Make a table.

        Parameters
        ----------
        X : ndarray of shape (n, ...) or LazyRows

        targets : Targets
            Real numbers or codes of classes, without labels of weight zero.

        weight : ndarray of shape (n,) or (n, n_tasks) or csr_array, default=None
            Weights of the samples, where 0 leaves out a row of X, or of the labels. See
            :func:`~sparsedis.inputs._weights.as_counts`.

        n_samples : int
            Samples of a task in a step. It determines whether labels are stored as a
            table, from which all tasks draw the same rows.

        n_classes : ndarray of shape (n_tasks,) of int, default=None

        task_weight : ndarray of shape (n_tasks,), default=None

        Returns
        -------
        TaskTable
        """
        of_tasks = n_classes, task_weight
        if weight is not None:
            weight = as_counts(weight, targets.mean(weight))
        dense_from = _MIN_LABELS / n_samples
        used = np.arange(len(X))
        if weight is not None and weight.ndim == 1:
            used = np.flatnonzero(weight)
        if targets.layout == "long":
            used = np.intersect1d(used, targets.rows)
        if isinstance(X, LazyRows):
            first, inverse = np.arange(len(used)), np.arange(len(used))
        else:
            first, inverse = distinct_rows(X if len(used) == len(X) else X[used])
        at = used[first]
        shape = len(at), targets.n_tasks
        if targets.is_table and len(at) == len(used):
            counts = targets.counts(at)
            if is_dense(counts, len(at), dense_from):
                Y = targets.values[at]
                if weight is not None:
                    weight = weight[at].reshape(len(at), -1)
                    weight = np.where(targets.labelled(at), weight, 1.0)
                    weight = None if (weight == 1).all() else weight
                return cls(X, at, DenseLabels(Y, weight), *of_tasks)
        rows, tasks, values = targets.listed()
        if weight is not None:
            weight = label_weights(weight, rows, tasks)
        position = np.zeros(len(X), dtype=np.int32)
        position[used] = inverse
        labels = store_labels(
            position[rows], tasks, values, weight, shape, dense_from=dense_from
        )
        return cls(X, at, labels, *of_tasks)

    @property
    def n_rows(self):
        """Number of distinct rows."""
        return len(self.at)

    @property
    def rows_first(self):
        """Whether the tasks of a batch share their rows."""
        return isinstance(self.labels, DenseLabels)

    def rows_per_step(self, n_samples, n_tasks):
        """Largest number of rows of a batch of tasks, with samples of each."""
        if not self.rows_first:
            n_samples *= min(n_tasks, self.labels.n_tasks)
        return min(n_samples, self.n_rows)

    def blocks(self):
        """Iterate over the rows in blocks."""
        return blocks_of(self.X, self.at)

    def divided(self, scale):
        """Divide the labels of each task by its scale."""
        return self._with(self.at, self.labels.divided(scale))

    def split(self, fraction, random_state):
        """Split the rows at random.

        Parameters
        ----------
        fraction : float in (0, 1)
            Share of the rows that the second part gets.

        random_state : RandomState instance

        Returns
        -------
        TaskTable, TaskTable
        """
        order = random_state.permutation(self.n_rows)
        n_second = int(np.ceil(fraction * self.n_rows))
        return tuple(
            self.take(np.sort(part)) for part in (order[n_second:], order[:n_second])
        )

    def take(self, rows):
        """The table of some rows, by their numbers in this one."""
        return self._with(self.at[rows], self.labels.restrict(rows))

    def _with(self, at, labels):
        return TaskTable(self.X, at, labels, self.n_classes, self.task_weight)

    @property
    def teaching(self):
        """Whether the encoder learns from each task: those of weight zero get heads."""
        if self.task_weight is None:
            return np.ones(self.labels.n_tasks, dtype=bool)
        return self.task_weight > 0

    def useful_tasks(self):
        """Tasks that are useful for training; all tasks if there are none."""
        counts = self.labels.counts() * self.teaching
        useful = counts >= min(2, self.n_rows)
        if self.n_classes is not None:
            useful &= self.n_classes != 1
        return np.flatnonzero(useful if useful.any() else counts)

    def batch(self, tasks, n_samples, random_state, *, min_labels=1, varied=False):
        """Draw samples of some tasks; None if no task is left.

        Parameters
        ----------
        tasks : ndarray of int

        n_samples : int
            Per task, at most.

        random_state : RandomState instance

        min_labels : int, default=1
            Tasks with fewer labels among the samples are left out.

        varied : bool, default=False
            Whether tasks that show one class, or count, alone are left out.

        Returns
        -------
        TaskBatch or None
        """
        if self.rows_first:
            drawn = self._rows_first(tasks, n_samples, random_state)
        else:
            drawn = self._tasks_first(tasks, n_samples, random_state)
        positions, index, y, weight = drawn
        labelled = ~np.isnan(y.reshape(*y.shape[:2], -1)[..., 0])
        kept = labelled.sum(1) >= min_labels
        if varied:
            lowest = np.where(labelled, y, np.inf).min(1)
            several = np.where(labelled, y, -np.inf).max(1) > lowest
            kept &= several | (self.n_classes[tasks] == NUMBER)
        if not kept.any():
            return None
        batch = TaskBatch(
            self.X[self.at[positions]],
            y,
            index,
            weight=weight,
            task=tasks,
            n_classes=None if self.n_classes is None else self.n_classes[tasks],
            task_weight=None if self.task_weight is None else self.task_weight[tasks],
        )
        return batch if kept.all() else batch.take(kept)

    def _rows_first(self, tasks, n_samples, random_state):
        rows = draw(self.n_rows, n_samples, random_state)
        return rows, None, *self.labels.block(rows, tasks)

    def _tasks_first(self, tasks, n_samples, random_state):
        drawn = []
        for t in tasks:
            rows, values, weight = self.labels.of(t)
            some = slice(None)
            if len(rows) > n_samples:
                some = draw(len(rows), n_samples, random_state)
            weight = None if weight is None else weight[some]
            drawn.append((rows[some], values[some], weight))
        return gather(drawn)
