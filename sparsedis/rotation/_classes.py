"""Classes of many tasks as binary labels, and heads with a shared Gaussian prior."""

from dataclasses import dataclass, replace

import numpy as np

from sparsedis.rotation._logistic import log_loss, logistic_heads
from sparsedis.rotation._moments import Moments

# Maximal number of tasks to estimate the prior from: those with the most labels.
_POOLED = 500

# Maximal number of alternations between heads and prior, and number of steps of
# expectation maximisation for each.
_ROUNDS, _EM_ITER = 5, 15

# Change of the prior, relative to its largest entry, at which to stop.
_EM_TOL = 1e-4

# Added to the prior, relative to its mean variance, so that it is invertible.
_RIDGE = 1e-8


@dataclass(frozen=True, eq=False)
class Part:
    """Binary labels of some tasks on their shared rows.

    Attributes
    ----------
    Z : ndarray of shape (n, m)

    target : ndarray of shape (n, n_heads)
        0 or 1.

    share : ndarray of shape (n, n_heads)
        Weights; 0 if the label is missing or the head does not compare its class.

    task : ndarray of shape (n_heads,) of int
        Task of each head, in order.

    n_labels : ndarray of shape (n_tasks,)
        Sum of the weights of the labels of each task.
    """

    Z: np.ndarray
    target: np.ndarray
    share: np.ndarray
    task: np.ndarray
    n_labels: np.ndarray

    @classmethod
    def of(cls, Z, Y, n_classes, weight=None):
        """Compare each class with the most frequent one, on the rows of these two.

        If the log-odds of any two classes are linear, those of one class against all
        others are not. With two classes, the second is compared with the first.

        Parameters
        ----------
        Z : ndarray of shape (n, m)

        Y : ndarray of shape (n, n_tasks)
            Numbers of the classes, NaN where missing.

        n_classes : ndarray of shape (n_tasks,) of int

        weight : ndarray of shape (n,) or (n, n_tasks), default=None

        Returns
        -------
        Part
        """
        share = (~np.isnan(Y)).astype(float)
        if weight is not None:
            share *= weight[:, None] if weight.ndim == 1 else weight
        n_outputs = np.maximum(n_classes - 1, 1)
        task = np.repeat(np.arange(len(n_classes)), n_outputs)
        output = np.arange(len(task)) - (np.cumsum(n_outputs) - n_outputs)[task]
        reference = _reference(Y, share, n_classes)[task]
        label = output + (output >= reference)
        target = (Y[:, task] == label).astype(float)
        of_both = (target > 0) | (Y[:, task] == reference)
        return cls(Z, target, share[:, task] * of_both, task, share.sum(0))

    def take(self, tasks):
        """Keep some of the tasks, a sorted array of their numbers."""
        heads = np.flatnonzero(np.isin(self.task, tasks))
        return Part(
            self.Z,
            self.target[:, heads],
            self.share[:, heads],
            np.searchsorted(tasks, self.task[heads]),
            self.n_labels[tasks],
        )

    def fit(self, precision, **options):
        """Heads with a prior, see :func:`~sparsedis.rotation._logistic.logistic_heads`.

        The last result is their log losses, without the prior.
        """
        W, b, information = logistic_heads(
            self.Z, self.target, self.share, precision=precision, **options
        )
        return W, b, information, log_loss(self.Z, self.target, self.share, W, b)


def _reference(Y, share, n_classes):
    """The first of two classes, or the most frequent of several."""
    most = np.full(len(n_classes), -1.0)
    reference = np.zeros(len(n_classes), dtype=int)
    for c in range(n_classes.max(initial=0)):
        size = (share * (c == Y)).sum(0)
        more = (size > most) & (n_classes > 2)
        most[more], reference[more] = size[more], c
    return reference


@dataclass(frozen=True, eq=False)
class ClassLabels:
    """Classes of all tasks, in parts of several tasks.

    Attributes
    ----------
    parts : iterable of Part
        Parts, which are iterated over several times.

    task : ndarray of shape (n_heads,) of int
        Task of each head among all tasks, in order.

    n_labels : ndarray of shape (n_tasks,)

    size : ndarray of shape (n_heads,)
        Number of labels that each head compares.

    basis : ndarray of shape (p, m) or None
        Factor by which the features of the parts are multiplied.

    kept : ndarray of shape (n_tasks,) of int or None
        Tasks among those of the parts.
    """

    parts: object
    task: np.ndarray
    n_labels: np.ndarray
    size: np.ndarray
    basis: np.ndarray | None = None
    kept: np.ndarray | None = None

    @classmethod
    def of(cls, parts):
        """Number the tasks of all parts consecutively."""
        task, n_labels, size, first = [], [], [], 0
        for part in parts:
            task.append(part.task + first)
            n_labels.append(part.n_labels)
            size.append(part.share.sum(0))
            first += len(part.n_labels)
        if not task:
            return cls(parts, np.zeros(0, dtype=int), np.zeros(0), np.zeros(0))
        return cls(parts, *(np.concatenate(x) for x in (task, n_labels, size)))

    def __iter__(self):
        first = 0
        for part in self.parts:
            n_tasks = len(part.n_labels)
            if self.kept is not None:
                at = self.kept[(self.kept >= first) & (self.kept < first + n_tasks)]
                part = part.take(at - first)
            first += n_tasks
            if self.basis is not None:
                part = replace(part, Z=part.Z @ self.basis)
            if len(part.n_labels):
                yield part

    @property
    def n_outputs(self):
        """Heads of each task, of shape (n_tasks,)."""
        return np.bincount(self.task, minlength=len(self.n_labels))

    def take(self, tasks):
        """Keep some of the tasks, a sorted array of their numbers."""
        heads = np.isin(self.task, tasks)
        return replace(
            self,
            task=np.searchsorted(tasks, self.task[heads]),
            n_labels=self.n_labels[tasks],
            size=self.size[heads],
            kept=tasks if self.kept is None else self.kept[tasks],
        )

    def project(self, V):
        """Restrict heads to the span of the columns of V, of shape (m, k)."""
        return replace(self, basis=V if self.basis is None else self.basis @ V)

    def most_labelled(self):
        """Only the tasks to estimate the prior from."""
        most = np.argsort(-self.n_labels, kind="stable")[:_POOLED]
        most = np.sort(most[self.n_labels[most] >= 2])
        return self if len(most) == len(self.n_labels) else self.take(most)

    def fit(self, precision, start=None):
        """Heads of all parts with a prior, see :meth:`Part.fit`."""
        found, first = [], 0
        for part in self:
            own = slice(first, first + len(part.task))
            first = own.stop
            begin = None if start is None else [array[own] for array in start]
            found.append(part.fit(precision, start=begin))
        return [np.concatenate(arrays) for arrays in zip(*found, strict=True)]


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
