"""Predictions of many tasks at their labels."""

import numpy as np

from sparsedis.inputs._values import is_missing


def score_tasks(metric, labels, y_pred, classes=None):
    """Score predictions of each task.

    Parameters
    ----------
    metric : TaskMetric

    labels : TaskLabels

    y_pred : array-like, or list of n_tasks array-like
        See :func:`~sparsedis.metrics.task_scores`.

    classes : array-like, or list of n_tasks array-like, default=None
        Classes of the columns of probabilities.

    Returns
    -------
    ndarray of shape (n_tasks,)
        Scores; NaN for tasks that cannot be scored.
    """
    if metric.of == "probabilities":
        return _score_probabilities(metric, labels, y_pred, classes)
    predicted = _values_at(y_pred, labels, real=metric.of == "targets")
    missing = is_missing(predicted).reshape(len(predicted), -1).any(1)
    kept = labels.predicted(missing)[labels.tasks]
    return metric.function(labels.at(kept), predicted[kept])


def _values_at(y_pred, labels, *, real):
    y_pred = np.asarray(y_pred, dtype=np.float64 if real else None)
    outputs = labels.values.shape[1:]
    shape = labels.n_rows, labels.n_tasks, *outputs
    if labels.is_long or (labels.n_tasks == 1 and y_pred.ndim < len(shape)):
        shape = labels.n_rows, *outputs
    if y_pred.shape != shape:
        raise ValueError(
            f"y_pred must have shape {shape}, as y_true has it; got {y_pred.shape}."
        )
    if real and np.isinf(y_pred).any():
        raise ValueError("y_pred holds infinity; it must be finite, or NaN.")
    per_task = len(shape) - len(outputs) == 2
    return y_pred[(labels.rows, labels.tasks) if per_task else labels.rows]


def _score_probabilities(metric, labels, y_pred, classes):
    own = labels.by_task()
    parts = _probabilities_at(y_pred, labels, own)
    missing = np.zeros(len(labels.values), dtype=bool)
    for at, p in zip(own, parts, strict=True):
        missing[at] = np.isnan(p).reshape(len(at), -1).any(1) if p.size else True
    scores = np.full(labels.n_tasks, np.nan)
    known = _classes_of_tasks(classes, labels)
    for t in np.flatnonzero(labels.predicted(missing) & (labels.counts() > 0)):
        column = {label: j for j, label in enumerate(known[t])}
        listed = labels.classes[t].tolist()
        number = [column.setdefault(label, len(column)) for label in listed]
        p = _with_columns(parts[t], len(known[t]), len(column), labels, t)
        if len(column) > 1:
            codes = np.array(number)[labels.codes[own[t]]]
            scores[t] = metric.function(codes, p, labels.weight_at(own[t]))
    return scores


def _probabilities_at(y_pred, labels, own):
    """Probabilities at the labels of each task: all classes, or the second of two."""
    several = isinstance(y_pred, list | tuple) and np.ndim(y_pred[0]) == 2
    arrays = [
        np.asarray(p, dtype=np.float64) for p in (y_pred if several else [y_pred])
    ]
    n, n_tasks = labels.n_rows, labels.n_tasks
    rows = [labels.rows[at] for at in own]
    fits = all(p.ndim in (1, 2) and len(p) == n for p in arrays)
    if fits and several and len(arrays) == n_tasks and not labels.is_long:
        return [p[at] for p, at in zip(arrays, rows, strict=True)]
    table = arrays[0]
    if fits and not several:
        if n_tasks == 1 and table.shape == (n, 1):
            table = table[:, 0]
        if labels.is_long or n_tasks == 1:
            return [table[at] for at in rows]
        if table.shape == (n, n_tasks):
            return [table[at, t] for t, at in enumerate(rows)]
    shapes = f"({n},) or ({n}, n_classes)"
    if not labels.is_long and n_tasks > 1:
        shapes = f"{(n, n_tasks)}, or be a list of {n_tasks} arrays ({n}, n_classes)"
    raise ValueError(
        f"y_pred must hold probabilities of shape {shapes}; got "
        f"{[p.shape for p in arrays[:5]] if several else table.shape}."
    )


def _classes_of_tasks(classes, labels):
    """Lists of the classes of each task."""
    if classes is None:
        return [own.tolist() for own in labels.classes]
    if all(np.ndim(c) == 0 for c in classes):
        classes = [classes] * labels.n_tasks
    if len(classes) != labels.n_tasks:
        raise ValueError(
            f"classes must hold those of each of the {labels.n_tasks} tasks, or be one "
            f"list for all; got those of {len(classes)} tasks."
        )
    return [np.asarray(own, dtype=object).tolist() for own in classes]


def _with_columns(p, n_known, n_classes, labels, t):
    """Probabilities of the known classes, and zeros for other labels."""
    if p.ndim == 1:
        if n_classes > 2:
            raise ValueError(
                f"y_pred must hold a probability of each class for task "
                f"{labels.names[t]}, which has {n_classes} classes."
            )
        return p
    # In the long form, tasks with fewer classes than others have columns of zeros.
    if labels.is_long and not p[:, n_known:].any():
        p = p[:, :n_known]
    if p.shape[1] != n_known:
        raise ValueError(
            f"y_pred has {p.shape[1]} columns for task {labels.names[t]}, for which "
            f"{n_known} classes are known; classes= says what the columns stand for."
        )
    return np.pad(p, ((0, 0), (0, n_classes - n_known)))
