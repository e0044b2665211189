"""Heads of classes with a Gaussian prior that all tasks share."""

import numpy as np

from sparsedis.rotation._moments import Moments

# Maximal number of alternations between heads and prior, and number of steps of
# expectation maximisation for each.
_ROUNDS, _EM_ITER = 5, 15

# Change of the prior, relative to its largest entry, at which to stop.
_EM_TOL = 1e-4

# Added to the prior, relative to its mean variance, so that it is invertible.
_RIDGE = 1e-8


def pool(labels, m):
    """Second moment of the heads of all tasks, by maximum marginal likelihood.

    Heads are Gaussian with mean zero and this covariance. Classes with little noise
    have large heads, and with few labels heads must be small along directions that no
    task uses. All tasks together determine the size of the heads along each direction.
    The method is expectation maximisation, with a quadratic approximation of the
    likelihood at the mode of the posterior.

    Parameters
    ----------
    labels : ClassLabels

    m : int
        Number of features.

    Returns
    -------
    ndarray of shape (m, m)
    """
    second = np.eye(m)
    labels = labels.most_labelled()
    if not len(labels.task):
        return second
    start = None
    for _ in range(_ROUNDS):
        precision = inverse_of(second)
        W, b, information, _ = labels.fit(precision, start)
        start = W, b
        gradient = np.einsum("hij,hj->hi", information, W)
        second = _maximise(information - precision, gradient, second)
    return second


def inverse_of(second):
    """Precision of a prior."""
    m = len(second)
    return np.linalg.inv(second + _RIDGE * np.trace(second) / m * np.eye(m))


def _maximise(hessian, gradient, second):
    """Expectation maximisation for the second moment of quadratic likelihoods."""
    m = len(second)
    for _ in range(_EM_ITER):
        ridge = _RIDGE * np.trace(second) / m * np.eye(m)
        root = np.linalg.cholesky(second + ridge)
        covariance = np.linalg.inv(np.eye(m) + root.T @ hessian @ root)
        mean = np.einsum("hij,hj->hi", covariance, gradient @ root) @ root.T
        new = (mean.T @ mean + root @ covariance.sum(0) @ root.T) / len(mean)
        change = np.abs(new - second).max()
        second = new
        if change < _EM_TOL * np.abs(new).max():
            break
    return second


def marginal_gains(labels, strength, directions, n_most):
    """Increase of the log-likelihood by each further direction of the prior.

    Heads are fitted again for each number of directions, and integrated out by
    Laplace's method. Labels that several heads of a task compare count once.

    Parameters
    ----------
    labels : ClassLabels

    strength : ndarray of shape (m,)
        Variance of the heads along each direction, in decreasing order.

    directions : ndarray of shape (m, m)
        In columns.

    n_most : int
        Largest number of directions.

    Returns
    -------
    ndarray of shape (n_most,)
    """
    labels = labels.most_labelled()
    compared = np.bincount(labels.task, labels.size, minlength=len(labels.n_labels))
    once = (labels.n_labels / np.maximum(compared, 1e-300))[labels.task]
    evidence, start = np.zeros(n_most + 1), None
    for r in range(n_most, -1, -1):
        variance = np.maximum(strength[:r], 1e-12 * strength[0])
        if start is not None:
            start = start[0][:, :r], start[1]
        W, b, information, loss = labels.project(directions[:, :r]).fit(
            np.diag(1 / variance), start
        )
        start = W, b
        root = np.sqrt(variance)
        volume = np.linalg.slogdet(root[:, None] * information * root)[1]
        evidence[r] = once @ -(loss + 0.5 * W**2 @ (1 / variance) + 0.5 * volume)
    return np.diff(evidence)


def class_moments(labels, m):
    """Moments of the logistic heads of all tasks, at the mode of the posterior.

    The heads of rare classes are scaled down so that all heads have similar errors.

    Parameters
    ----------
    labels : ClassLabels

    m : int
        Number of features.

    Returns
    -------
    Moments
        With unit noise.
    """
    second = pool(labels, m)
    heads, hessian = np.zeros((0, 1, m)), np.zeros((0, m, m))
    if len(labels.task):
        W, _, information, _ = labels.fit(inverse_of(second))
        heads, hessian, _ = _by_task(W, information, labels)
    gradient = heads @ hessian
    return Moments(
        hessian,
        gradient,
        np.einsum("tcm,tcm->t", heads, gradient),
        labels.n_labels,
        labels.n_outputs,
        noise=np.ones(len(heads)),
        labels=labels,
        second=second,
    )


def refitted_heads(moments):
    """Heads of classes in the kept coordinates, with their errors.

    The norm of a head is not informative and has the largest error. Heads are scaled to
    unit norm, and the error is that of their direction.

    Parameters
    ----------
    moments : Moments
        Moments of classes.

    Returns
    -------
    heads : ndarray of shape (n_tasks, n_outputs, k)

    variance : ndarray of shape (n_tasks,)
        Mean variance of a coefficient, without the variance along the head.
    """
    labels = moments.labels
    W, _, information, _ = labels.fit(inverse_of(moments.second))
    heads, _, size = _by_task(W, information, labels)
    covariance = np.linalg.inv(information) * size[:, None, None]
    task, n_outputs = labels.task, labels.n_outputs
    W = W * np.sqrt(size)[:, None]
    total = np.bincount(task, np.trace(covariance, axis1=1, axis2=2))
    along = np.bincount(task, np.einsum("hi,hij,hj->h", W, covariance, W))
    along /= np.maximum(np.bincount(task, (W**2).sum(1)), 1e-300)
    return heads, (total - along) / (n_outputs * moments.m)


def _by_task(W, information, labels):
    """Heads and mean information of each task, and the square of each head's scale."""
    task, n_outputs = labels.task, labels.n_outputs
    n_tasks, m = len(n_outputs), W.shape[1]
    hessian = np.zeros((n_tasks, m, m))
    np.add.at(hessian, task, information)
    hessian /= n_outputs[:, None, None]
    size = np.trace(information, axis1=1, axis2=2)
    size /= np.trace(hessian, axis1=1, axis2=2)[task]
    output = np.arange(len(task)) - (np.cumsum(n_outputs) - n_outputs)[task]
    heads = np.zeros((n_tasks, n_outputs.max(initial=1), m))
    heads[task, output] = W * np.sqrt(size)[:, None]
    return heads, hessian, size
