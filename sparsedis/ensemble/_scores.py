"""Scores of predictions for tasks of several types."""

import numpy as np
from sklearn.metrics import d2_log_loss_score, d2_tweedie_score
from sklearn.utils.validation import _num_samples

from sparsedis.inputs._forms import read_targets
from sparsedis.inputs._known_tasks import known_tasks
from sparsedis.inputs._weights import check_weights, label_weights
from sparsedis.metrics._task_labels import TaskLabels


def scores_by_type(ensemble, X, y, task, sample_weight, scored):
    """Explained share of the deviance of each task by an ensemble.

    Parameters
    ----------
    ensemble : SparseMultiTaskEnsemble

    X, y, task, sample_weight : array-like
        As in its `score`.

    scored : ndarray of shape (n_tasks,) of bool
        Tasks to score.

    Returns
    -------
    ndarray of shape (n_tasks,)
        NaN for other tasks, without labels, and as in `explained_deviance`.
    """
    n = _num_samples(X)
    weight = check_weights(sample_weight, n, y if task is None else None)
    name = type(ensemble).__name__
    targets = read_targets(y, n, task, weight, real=False, estimator=name)
    number = known_tasks(targets, y, n, ensemble.tasks_, ensemble._layout)
    number = np.where(scored[number], number, -1)
    at, tasks, values = targets.listed()
    if weight is not None:
        weight = label_weights(weight, at, tasks)
    labels = TaskLabels(targets.names, values, at, tasks, n, weight=weight)
    labels = labels.among(ensemble.tasks_, number)
    at = labels.rows
    if task is None:
        predicted = np.asarray(ensemble.predict(X)).reshape(n, -1)
        predicted = predicted[at, labels.tasks]
    else:
        # Rows without a label need a task too.
        tasks = np.zeros(n, dtype=int)
        tasks[at] = labels.tasks
        predicted = np.asarray(ensemble.predict(X, task=ensemble.tasks_[tasks]))[at]
    p = ensemble.predict_proba(X) if hasattr(ensemble, "predict_proba") else {}
    return explained_deviance(
        labels,
        predicted,
        [p.get(name) for name in ensemble.tasks_.tolist()],
        ensemble.classes_,
        ensemble.task_types_ == "count",
    )


def explained_deviance(labels, predicted, p, classes, counts):
    """Explained share of the deviance of each task.

    Parameters
    ----------
    labels : TaskLabels

    predicted : ndarray of shape (n_labels,)
        Predictions of numbers and counts.

    p : list of ndarray of shape (n_rows, n_classes) or None
        Probabilities of each task of classes.

    classes : list of ndarray
        Classes of each task.

    counts : ndarray of shape (n_tasks,) of bool
        Tasks with the Poisson deviance; other numbers have the Gaussian deviance.

    Returns
    -------
    ndarray of shape (n_tasks,)
        NaN if all labels of a task are the same. Labels of unknown classes are left
        out.
    """
    d2 = np.full(labels.n_tasks, np.nan)
    for t in np.unique(labels.tasks):
        at = np.flatnonzero(labels.tasks == t)
        if p[t] is not None:
            known = {label: code for code, label in enumerate(classes[t].tolist())}
            at = np.array([i for i in at if labels.values[i] in known], dtype=int)
            y = np.array([known[label] for label in labels.values[at].tolist()])
            outcome = p[t][labels.rows[at]]
            score, options = d2_log_loss_score, {"labels": list(known.values())}
        else:
            y, outcome = (v[at].astype(float) for v in (labels.values, predicted))
            score, options = d2_tweedie_score, {"power": int(counts[t])}
        if len(np.unique(y)) > 1:
            d2[t] = score(y, outcome, sample_weight=labels.weight_at(at), **options)
    return d2
