"""Scores of predictions for tasks of several types."""

import numpy as np
from sklearn.metrics import d2_log_loss_score, d2_tweedie_score


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
