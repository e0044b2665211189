"""Classes of many tasks as binary labels."""

from dataclasses import dataclass, replace

import numpy as np

from sparsedis.rotation._logistic import log_loss, logistic_heads

# Maximal number of tasks to estimate the prior from: those with the most labels.
_POOLED = 500


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
