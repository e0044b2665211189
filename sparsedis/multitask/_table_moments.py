"""Moments of the features and labels of many tasks, for the rotation."""

import numpy as np

from sparsedis.inputs._batch import COUNT, NUMBER
from sparsedis.rotation._class_labels import ClassLabels, Part
from sparsedis.rotation._class_selection import select_classes
from sparsedis.rotation._counts import linear_counts
from sparsedis.rotation._moments import regression_moments
from sparsedis.rotation._selection import select_by_folds, select_from_moments

# Maximal number of labels, present or missing, of the tasks in one part.
_CHUNK = 2**21

# Maximal number of labels of classes to keep in memory instead of reading them again.
_HELD = 2**23

# Maximal number of tasks with separate rows in one part.
_SPARSE_TASKS = 64


def chunks(table, tasks):
    """Labels of some tasks, in parts of several tasks.

    Parameters
    ----------
    table : TaskTable

    tasks : ndarray of int
        Tasks with labels.

    Yields
    ------
    tasks : ndarray of int

    rows : ndarray of int
        Labelled rows of the tasks.

    Y : ndarray of shape (n_rows, n_tasks, n_outputs)
        NaN where missing.

    weight : ndarray of shape (n_rows, n_tasks) or None
    """
    labels = table.labels
    if table.rows_first:
        rows = np.arange(table.n_rows)
        for part in _split(tasks, max(1, _CHUNK // table.n_rows)):
            y, weight = labels.block(rows, part)
            y = y if y.ndim == 3 else y[..., None]
            yield part, rows, np.swapaxes(y, 0, 1), None if weight is None else weight.T
        return
    # Group tasks with similar numbers of labels.
    tasks = tasks[np.argsort(labels.counts()[tasks], kind="stable")]
    for part in _split(tasks, _SPARSE_TASKS):
        yield part, *_unite([labels.of(t) for t in part])


def _split(tasks, size):
    return [tasks[i : i + size] for i in range(0, len(tasks), size)]


def _unite(drawn):
    """Labels of tasks on all the rows that any of them has.

    A row with several labels of a task appears as many times.
    """
    places, times = [], []
    for rows, _, _ in drawn:
        order = np.argsort(rows, kind="stable")
        first = np.searchsorted(rows[order], rows[order])
        time = np.empty(len(rows), dtype=int)
        time[order] = np.arange(len(rows)) - first
        places.append(rows)
        times.append(time)
    keys = np.stack([np.concatenate(places), np.concatenate(times)], 1)
    distinct, inverse = np.unique(keys, axis=0, return_inverse=True)
    inverse = inverse.ravel()
    task = np.repeat(np.arange(len(drawn)), [len(rows) for rows, _, _ in drawn])
    values = np.concatenate([y for _, y, _ in drawn])
    values = values.reshape(len(values), -1)
    Y = np.full((len(distinct), len(drawn), values.shape[1]), np.nan)
    Y[inverse, task] = values
    weight = None
    if drawn[0][2] is not None:
        weight = np.ones(Y.shape[:2])
        weight[inverse, task] = np.concatenate([w for _, _, w in drawn])
    return distinct[:, 0], Y, weight


def numeric_chunks(Z, table, tasks):
    """Labels of tasks of numbers and, made linear in the features, of counts.

    Parameters
    ----------
    Z : ndarray of shape (n_rows, m)
        Features of the rows of the table, of unit variance.

    table : TaskTable

    tasks : ndarray of int
        With labels, none of them classes.

    Yields
    ------
    tasks : ndarray of int

    Z : ndarray of shape (n_rows, m)
        Features of the rows that the tasks label.

    Y : ndarray of shape (n_rows, n_tasks, n_outputs)
        NaN where missing.

    weight : ndarray of shape (n_rows, n_tasks) or None
    """
    kinds = np.full(len(tasks), NUMBER)
    if table.n_classes is not None:
        kinds = table.n_classes[tasks]
    for kind in (NUMBER, COUNT):
        for part, rows, Y, weight in chunks(table, tasks[kinds == kind]):
            own = Z[rows]
            if kind == COUNT:
                Y, weight = linear_counts(own, Y, weight)
            yield part, own, Y, weight


class _Parts:
    """Binary labels of the classes of a table, read again at each pass.

    Parameters
    ----------
    Z : ndarray of shape (n_rows, m)

    table : TaskTable

    tasks : ndarray of int
    """

    def __init__(self, Z, table, tasks):
        self.Z, self.table, self.tasks = Z, table, tasks

    def __iter__(self):
        for tasks, rows, Y, weight in chunks(self.table, self.tasks):
            n_classes = self.table.n_classes[tasks]
            yield Part.of(self.Z[rows], Y[..., 0], n_classes, weight)


def class_labels(Z, table, tasks):
    """Classes of some tasks of a table, as binary labels.

    Parameters
    ----------
    Z : ndarray of shape (n_rows, m)

    table : TaskTable

    tasks : ndarray of int
        Tasks with labels of at least two classes. Their order may change, see `chunks`.

    Returns
    -------
    ClassLabels
    """
    parts = _Parts(Z, table, tasks)
    if table.labels.counts()[tasks].sum() <= _HELD:
        parts = list(parts)
    return ClassLabels.of(parts)


def select_supports(Z, table, *, rule, spike, random_state):
    """Select the features of every task.

    Parameters
    ----------
    Z : ndarray of shape (n_rows, k)
        Features of the rows of the table, of unit variance.

    table : TaskTable

    rule : {"bic", "cv", "1se"}

    spike : ndarray of shape (k,) or None
        See :func:`sparsedis.rotation.select_heads`.

    random_state : int
        Seed of the folds.

    Returns
    -------
    ndarray of shape (n_tasks, k) of bool
    """
    labels = table.labels
    support = np.zeros((labels.n_tasks, Z.shape[1]), dtype=bool)
    useful = labels.counts() > 0
    if table.n_classes is not None:
        tasks = np.flatnonzero(useful & (table.n_classes >= 2))
        useful &= table.n_classes < 1
        found = select_classes(class_labels(Z, table, tasks), Z.shape[1], spike=spike)
        order = [part for part, *_ in chunks(table, tasks)]
        support[np.concatenate([tasks[:0], *order])] = found
    for tasks, own, Y, weight in numeric_chunks(Z, table, np.flatnonzero(useful)):
        if rule == "bic":
            moments, _ = regression_moments(own, Y, weight)
            found = select_from_moments(moments, spike=spike)
        else:
            found, _ = select_by_folds(
                own, Y, weight, rule=rule, spike=spike, random_state=random_state
            )
        support[tasks] = found.support
    return support
