"""Metrics of predictions for each of many tasks, by name."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from sklearn.metrics import log_loss, roc_auc_score

from sparsedis._scores import TaskMean, r2_of_tasks


@dataclass(frozen=True)
class TaskMetric:
    """Metric of each task.

    Attributes
    ----------
    function : callable
        Function of `TaskLabels` and predictions. For probabilities, a function for a
        single task of the class codes, the probabilities and the weights or None.

    of : {"targets", "classes", "probabilities"}
        Kind of predictions.

    needs : str
        Requirement for a task to be scored.

    methods : tuple of str
        Methods of estimators that predict it, in order of preference.

    is_loss : bool
        Whether lower is better.
    """

    function: object
    of: str
    needs: str = "a label"
    methods: tuple = ("predict",)
    is_loss: bool = False


def _mean(values, labels):
    mean = TaskMean(labels.n_tasks)
    mean.add(values, labels.tasks, labels.weight)
    return mean.result()


def _absolute(error, labels):
    return _mean(np.abs(error), labels)


def _squared(error, labels):
    return _mean(error**2, labels)


def _root_squared(error, labels):
    return np.sqrt(_squared(error, labels))


def _mean_of_outputs(function, labels, predicted):
    error = (predicted - labels.values).reshape(len(predicted), -1)
    return np.mean([function(output, labels) for output in error.T], axis=0)


def _error(function):
    return TaskMetric(partial(_mean_of_outputs, function), "targets", is_loss=True)


def _r2(labels, predicted):
    return r2_of_tasks(
        labels.values, predicted, labels.tasks, labels.n_tasks, labels.weight
    )


def _hits(labels, predicted):
    # As objects, since a dtype of some classes may not represent others.
    hits = labels.values.astype(object) == predicted.astype(object)
    _check_kinds(labels, predicted, np.setdiff1d(labels.tasks, labels.tasks[hits]))
    return hits


def _check_kinds(labels, predicted, tasks):
    """Refuse numbers as predictions of text, and the reverse, in tasks without a hit.

    Parameters
    ----------
    labels : TaskLabels

    predicted : ndarray of shape (n_labels,)

    tasks : ndarray of int
        Tasks to check.
    """
    at = np.flatnonzero(np.isin(labels.tasks, tasks))
    parts = [part[at].tolist() for part in (labels.values, predicted)]
    true, guess = ([isinstance(v, str) for v in part] for part in parts)
    alike = labels.tasks[at][np.equal(true, guess)]
    odd = np.setdiff1d(tasks, alike)
    if len(odd):
        first = np.flatnonzero(labels.tasks[at] == odd[0])[0]
        raise ValueError(
            f"y_pred must hold classes of the kind of y_true; got {parts[1][first]!r} "
            f"for the label {parts[0][first]!r} of task {labels.names[odd[0]]}: one is "
            "text, the other is not."
        )


def _accuracy(labels, predicted):
    return _mean(_hits(labels, predicted), labels)


def _balanced_accuracy(labels, predicted):
    scores, hits = np.full(labels.n_tasks, np.nan), _hits(labels, predicted)
    for t, own in enumerate(labels.by_task()):
        if len(own):
            recall = TaskMean(len(labels.classes[t]))
            recall.add(hits[own], labels.codes[own], labels.weight_at(own))
            scores[t] = recall.result().mean()
    return scores


def _roc_auc(codes, p, weight):
    n_classes = 2 if p.ndim == 1 else p.shape[1]
    if len(np.unique(codes)) < n_classes:
        return np.nan
    if n_classes == 2:
        score = p if p.ndim == 1 else p[:, 1]
        return roc_auc_score(codes, score, sample_weight=weight)
    return roc_auc_score(codes, p, sample_weight=weight, multi_class="ovr")


def _log_loss(codes, p, weight):
    labels = np.arange(2 if p.ndim == 1 else p.shape[1])
    return log_loss(codes, p, sample_weight=weight, labels=labels)


TASK_METRICS = {
    "r2": TaskMetric(_r2, "targets", "two labels"),
    "rmse": _error(_root_squared),
    "mse": _error(_squared),
    "mae": _error(_absolute),
    "accuracy": TaskMetric(_accuracy, "classes"),
    "balanced_accuracy": TaskMetric(_balanced_accuracy, "classes"),
    "roc_auc": TaskMetric(
        _roc_auc,
        "probabilities",
        "two classes, and a label of each,",
        ("predict_proba", "decision_function"),
    ),
    "log_loss": TaskMetric(
        _log_loss,
        "probabilities",
        "a label and two classes",
        ("predict_proba",),
        is_loss=True,
    ),
}
