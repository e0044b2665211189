"""Scores of tasks of several types."""

import numpy as np
from scipy.special import log_softmax, xlogy
from sklearn.metrics import roc_auc_score

from sparsedis._scores import TaskR2
from sparsedis.inputs._batch import COUNT, NUMBER

_COLUMNS = ("d2", "rmse", "mae", "accuracy", "log_loss", "roc_auc")


class MixedScores:
    """Scores of every task by its type, for labels in parts.

    Parameters
    ----------
    names : ndarray of shape (n_tasks,)

    types : ndarray of shape (n_tasks,) of str

    n_classes : ndarray of shape (n_tasks,) of int
        Number of classes, or its code for other types.
    """

    def __init__(self, names, types, n_classes):
        self.names, self.types, self.n_classes = names, types, n_classes
        self._r2, self._parts = TaskR2(len(names)), []

    def add(self, values, scores, tasks, weight):
        """Add labels.

        Parameters
        ----------
        values : ndarray of shape (n,)

        scores : ndarray of shape (n,) or (n, n_outputs)
            Scores of the heads.

        tasks : ndarray of shape (n,) of int

        weight : ndarray of shape (n,) or None
        """
        if weight is None:
            weight = np.ones(len(values))
        self._parts.append((values, scores, tasks, weight))
        own = self.n_classes[tasks] == NUMBER
        if own.any():
            one = scores if scores.ndim == 1 else scores[:, 0]
            self._r2.add(values[own], one[own], tasks[own], weight[own])

    def result(self):
        """Columns of a table with a row for each task.

        Returns
        -------
        dict of ndarray of shape (n_tasks,)
        """
        n_tasks = len(self.names)
        table = {name: np.full(n_tasks, np.nan) for name in _COLUMNS}
        n_labels = np.zeros(n_tasks, dtype=int)
        if self._parts:
            values, scores, tasks, weight = map(
                np.concatenate, zip(*self._parts, strict=True)
            )
            order = np.argsort(tasks, kind="stable")
            n_labels = np.bincount(tasks, minlength=n_tasks)
            ends = np.cumsum(n_labels)
            for t in np.flatnonzero(n_labels):
                own = order[ends[t] - n_labels[t] : ends[t]]
                found = self._of_task(t, values[own], scores[own], weight[own])
                for name, value in found.items():
                    table[name][t] = value
            number = self.n_classes == NUMBER
            table["d2"][number] = self._r2.result()[number]
        return {
            "task": self.names,
            "type": self.types,
            "n_labels": n_labels,
        } | table

    def _of_task(self, t, y, scores, weight):
        n = self.n_classes[t]
        if n >= 2:
            return _of_classes(y, logits(scores, n), weight)
        mean = scores if scores.ndim == 1 else scores[:, 0]
        if n == COUNT:
            with np.errstate(over="ignore"):
                mean = np.exp(mean)
        error = y - mean
        found = {
            "rmse": np.sqrt(np.average(error**2, weights=weight)),
            "mae": np.average(np.abs(error), weights=weight),
        }
        if n == COUNT:
            centre = np.average(y, weights=weight)
            left, all_ = (half_deviance(y, m, weight) for m in (mean, centre))
            found["d2"] = 1 - left / all_ if all_ > 0 else np.nan
        return found


def _of_classes(y, eta, weight):
    n = eta.shape[1]
    found = {"accuracy": np.average(eta.argmax(1) == y, weights=weight)}
    known = y < n
    if not known.any():
        return found
    y, eta, weight = y[known].astype(int), eta[known], weight[known]
    log_p = log_softmax(eta, axis=1)
    found["log_loss"] = -np.average(log_p[np.arange(len(y)), y], weights=weight)
    size = np.bincount(y, weight, minlength=n)
    share = size / size.sum()
    entropy = -xlogy(share, share).sum()
    if (size > 0).sum() > 1:
        found["d2"] = 1 - found["log_loss"] / entropy
    if (size > 0).all():
        p = np.exp(log_p)
        found["roc_auc"] = roc_auc_score(
            y, p[:, 1] if n == 2 else p, sample_weight=weight, multi_class="ovr"
        )
    return found


def half_deviance(y, mean, weight):
    """Half of the mean Poisson deviance.

    Parameters
    ----------
    y : ndarray of shape (n,)

    mean : ndarray of shape (n,) or float

    weight : ndarray of shape (n,) or None

    Returns
    -------
    float
    """
    mean = np.maximum(mean, np.finfo(float).tiny)
    return np.average(xlogy(y, y / mean) - y + mean, weights=weight)


def count_unit(y, weight):
    """Unit of counts such that their loss without a head is one half.

    Parameters
    ----------
    y : ndarray of shape (n,)

    weight : ndarray of shape (n,) or None

    Returns
    -------
    float
        Unit; 1 if all counts are equal, or without any.
    """
    if not len(y):
        return 1.0
    unit = 2 * half_deviance(y, np.average(y, weights=weight), weight)
    return unit if unit > 1e-12 * y.max() else 1.0


def logits(scores, n_classes):
    """Logits of all classes of a task, from the scores of its head.

    Parameters
    ----------
    scores : ndarray of shape (n,) or (n, n_outputs)

    n_classes : int

    Returns
    -------
    ndarray of shape (n, n_classes)
    """
    if scores.ndim == 1:
        return np.stack([-0.5 * scores, 0.5 * scores], -1)
    return scores[:, :n_classes]
