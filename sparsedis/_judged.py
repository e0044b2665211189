"""Comparison of labels with predictions, task by task."""

import numpy as np

from sparsedis._head_scores import blocks, head_scores
from sparsedis._scores import TaskMean, r2_of_tasks
from sparsedis.inputs._forms import read_targets
from sparsedis.inputs._known_tasks import known_tasks
from sparsedis.inputs._weights import check_weights, label_weights

# Minimal number of labels in a part.
_LABELS = 2**15


def mean_score(y, y_pred, sample_weight, classes, counted, names, layout):
    """Mean over the tasks of R2 or, for classes, of the accuracy.

    Parameters
    ----------
    y : array-like, DataFrame or sparse matrix
        As in `fit`; columns of a frame are matched by name, in any order.

    y_pred : ndarray of shape (n,), (n, n_tasks) or (n, n_tasks, n_outputs)

    sample_weight : array-like of shape (n,) or None

    classes : bool
        Whether labels are classes.

    counted : ndarray of shape (n_tasks,) of bool
        Tasks that have a head.

    names : ndarray of shape (n_tasks,)
        Tasks of the fit.

    layout : str
        Layout of the labels of the fit.

    Returns
    -------
    float
    """
    n, n_tasks = len(y_pred), len(counted)
    weight = check_weights(sample_weight, n)
    targets = read_targets(y, n, weight=weight, real=not classes, estimator="score")
    number = known_tasks(targets, y, n, names, layout)
    rows, tasks, y = targets.listed()
    tasks = number[tasks]
    kept = (tasks >= 0) & counted[tasks]
    rows, tasks, y = rows[kept], tasks[kept], y[kept]
    weight = None if weight is None else weight[rows]
    y_pred = y_pred.reshape(n, n_tasks, *y_pred.shape[2:])[rows, tasks]
    if classes:
        mean = TaskMean(n_tasks)
        mean.add(y_pred.astype(object) == y.astype(object), tasks, weight)
        scores = mean.result()
    else:
        scores = r2_of_tasks(y, y_pred.reshape(y.shape), tasks, n_tasks, weight)
    if np.isnan(scores).all():
        raise ValueError(
            f"y must label at least {'one sample' if classes else 'two samples'} of a "
            "task that has a head."
        )
    return float(np.nanmean(scores))


def judged_labels(encoded, targets, weight, number, coef, intercept):
    """Labels with the scores of their heads, in parts.

    Parameters
    ----------
    encoded : iterable of ndarray of shape (n_block, k)
        Features of all rows, in order.

    targets : Targets
        Labels; none has weight zero.

    weight : ndarray of shape (n_rows,) or (n_rows, n_tasks), csr_array or None
        Weights of the rows, or of the labels.

    number : ndarray of int
        Number of each task of `targets` among the heads; -1 for tasks to leave out.

    coef, intercept : ndarray
        See :func:`~sparsedis._scores.head_scores`.

    Yields
    ------
    values : ndarray of shape (n_labels[, n_outputs])

    scores : ndarray of shape (n_labels[, n_outputs])

    tasks : ndarray of shape (n_labels,) of int

    weight : ndarray of shape (n_labels,) or None
    """
    find = _of_table if targets.is_table else _of_list
    parts, size = [], 0
    for rows, tasks, values, scores in find(encoded, targets, number, coef, intercept):
        own = () if weight is None else label_weights(weight, rows, tasks)
        parts.append((values, scores, number[tasks], own))
        size += len(tasks)
        if size >= max(_LABELS, len(coef)):
            yield _joined(parts, weight)
            parts, size = [], 0
    if size:
        yield _joined(parts, weight)


def _joined(parts, weight):
    values, scores, tasks, own = (
        part[0] if len(part) == 1 else np.concatenate(part)
        for part in zip(*parts, strict=True)
    )
    return values, scores, tasks, None if weight is None else own


def _of_table(encoded, targets, number, coef, intercept):
    first, counted = 0, number >= 0
    for Z in encoded:
        # Several arrays of this size are in memory at the same time.
        size = 8 * max(targets.values[:1].size, coef[..., 0].size)
        for part in blocks(len(Z), size):
            rows = np.arange(first, first + len(Z))[part]
            at, tasks = np.nonzero(targets.labelled(rows) & counted)
            values = targets.values[rows][at, tasks]
            scores = head_scores(Z[part], coef, intercept)[at, number[tasks]]
            yield rows[at], tasks, values, scores
        first += len(Z)


def _of_list(encoded, targets, number, coef, intercept):
    kept = np.flatnonzero(number[targets.tasks] >= 0)
    kept = kept[np.argsort(targets.rows[kept], kind="stable")]
    of_row = targets.rows[kept]
    first = 0
    for Z in encoded:
        ends = np.searchsorted(of_row, [first, first + len(Z)])
        mine = kept[slice(*ends)]
        for part in blocks(len(mine), coef[0].size):
            some = mine[part]
            rows, tasks = targets.rows[some], targets.tasks[some]
            scores = head_scores(Z[rows - first], coef, intercept, number[tasks])
            yield rows, tasks, targets.values[some], scores
        first += len(Z)
