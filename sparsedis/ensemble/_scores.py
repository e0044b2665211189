"""Scores of predictions at the labels of many tasks."""

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import d2_log_loss_score, d2_tweedie_score

from sparsedis._scores import r2_of_tasks


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels, each with its row and its task.

    Attributes
    ----------
    values : ndarray of shape (n_labels,) or (n_labels, n_outputs)

    rows, tasks : ndarray of shape (n_labels,) of int

    weight : ndarray of shape (n_labels,) or None

    n_tasks : int
        Number of known tasks.
    """

    values: np.ndarray
    rows: np.ndarray
    tasks: np.ndarray
    weight: np.ndarray | None
    n_tasks: int


def r2(labels, predicted):
    """Coefficient of determination of each task.

    Parameters
    ----------
    labels : Labels

    predicted : ndarray of shape (n_labels,) or (n_labels, n_outputs)

    Returns
    -------
    ndarray of shape (n_tasks,)
        NaN for tasks with fewer than two labels.
    """
    return r2_of_tasks(
        labels.values, predicted, labels.tasks, labels.n_tasks, labels.weight
    )


def accuracy(labels, predicted):
    """Share of right classes of each task.

    Parameters
    ----------
    labels : Labels

    predicted : ndarray of shape (n_labels,)

    Returns
    -------
    ndarray of shape (n_tasks,)
        NaN for tasks without labels.
    """
    # As objects: a dtype of some classes may not hold others.
    hits = labels.values.astype(object) == predicted.astype(object)
    weight = np.ones(len(hits)) if labels.weight is None else labels.weight
    total, right = (
        np.bincount(labels.tasks, w, labels.n_tasks) for w in (weight, weight * hits)
    )
    return np.divide(right, total, out=np.full(len(total), np.nan), where=total > 0)


def explained_deviance(labels, predicted, p, classes, counts):
    """Share of the deviance of each task that is explained.

    Parameters
    ----------
    labels : Labels

    predicted : ndarray of shape (n_labels,)
        Predictions of numbers and counts.

    p : list of ndarray of shape (n_rows, n_classes) or None
        Probabilities of each task of classes.

    classes : list of ndarray
        Classes of each task.

    counts : ndarray of shape (n_tasks,) of bool
        Tasks with the deviance of Poisson; other numbers have that of Gauss.

    Returns
    -------
    ndarray of shape (n_tasks,)
        NaN where all labels of a task are the same. Labels of classes that are not
        known are left out.
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
            weight = None if labels.weight is None else labels.weight[at]
            d2[t] = score(y, outcome, sample_weight=weight, **options)
    return d2
