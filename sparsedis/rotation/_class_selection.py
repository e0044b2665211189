"""Selection of the features of classification tasks, by logistic heads."""

import numpy as np

from sparsedis.rotation._classes import inverse_of, pool
from sparsedis.rotation._logistic import log_loss, logistic_heads


def select_classes(labels, m, *, spike=None):
    """Select the features of each task by BIC.

    This is backward elimination, as in :func:`~sparsedis.rotation.select_heads`, but
    each head is fitted again after each removal, and supports are compared by the
    likelihood of the labels. This is necessary because the likelihood of classes with
    little noise is far from quadratic.

    Parameters
    ----------
    labels : ClassLabels
        Labels, with features of unit variance.

    m : int
        Number of features.

    spike : ndarray of shape (m,), default=None
        Standard deviation of coefficients that count as zero, of heads of unit norm.

    Returns
    -------
    ndarray of shape (n_tasks, m) of bool
    """
    precision = inverse_of(pool(labels, m))
    found = [_select(part, precision, spike) for part in labels]
    return np.concatenate([np.zeros((0, m), dtype=bool), *found])


def _select(part, precision, spike):
    """Supports of the tasks of one part."""
    task, n_tasks, m = part.task, len(part.n_labels), len(precision)
    n_outputs = np.bincount(task, minlength=n_tasks)
    each = np.arange(n_tasks)
    price = n_outputs * np.log(np.maximum(part.n_labels, 1.0)) + np.log(m)
    support = np.ones((n_tasks, m), dtype=bool)
    order = np.zeros((n_tasks, m), dtype=int)
    # Deviance of each size, and penalty for its last feature.
    deviance, cost = np.zeros((n_tasks, m + 1)), np.zeros((n_tasks, m + 1))
    square = np.zeros(m) if spike is None else np.square(spike)
    start = None
    for size in range(m, -1, -1):
        W, b, information = logistic_heads(
            part.Z,
            part.target,
            part.share,
            support[task],
            precision=precision,
            start=start,
        )
        start = W, b
        loss = log_loss(part.Z, part.target, part.share, W, b)
        deviance[:, size] = 2 * np.bincount(task, loss, minlength=n_tasks)
        if size == 0:
            break
        # In units of the head of this support: that of all features may be far larger.
        zero = square * (W**2).sum(1, keepdims=True)
        variance = np.diagonal(np.linalg.inv(information), axis1=1, axis2=2)
        excess = zero / variance
        evidence = np.zeros((n_tasks, m))
        np.add.at(evidence, task, W**2 / variance / (1 + excess))
        goes = np.where(support, evidence, np.inf).argmin(1)
        mean = np.zeros((n_tasks, m))
        np.add.at(mean, task, 1 + excess)
        cost[:, size] = price * (mean / n_outputs[:, None])[each, goes]
        order[:, size - 1] = goes
        support[each, goes] = False
    size = (deviance + np.cumsum(cost, axis=1)).argmin(1)
    np.put_along_axis(support, order, np.arange(m) < size[:, None], axis=1)
    return support
