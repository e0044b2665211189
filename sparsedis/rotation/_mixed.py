"""Joint count and rotation of heads of numbers and of classes."""

from dataclasses import dataclass, replace

import numpy as np

from sparsedis.rotation._classes import class_moments, inverse_of, marginal_gains
from sparsedis.rotation._count import (
    TRIED,
    FactorCount,
    Likelihoods,
    count_numbers,
    few_labels,
    without_traces,
)
from sparsedis.rotation._moments import Moments, concatenate

# Added to the curvature of heads of all features, relative to its mean.
_RIDGE = 1e-3


@dataclass(frozen=True, eq=False)
class MixedMoments:
    """Quadratic forms of the heads of numbers, followed by those of classes.

    Attributes
    ----------
    numbers : Moments

    classes : Moments
        Moments with `labels`.
    """

    numbers: Moments
    classes: Moments

    def __len__(self):
        return len(self.numbers) + len(self.classes)

    @property
    def m(self):
        """Number of coordinates."""
        return self.numbers.m

    @property
    def n_labels(self):
        """Labels of each task."""
        return np.concatenate([self.numbers.n_labels, self.classes.n_labels])

    @property
    def n_outputs(self):
        """Outputs of each task."""
        return np.concatenate([self.numbers.n_outputs, self.classes.n_outputs])

    def take(self, tasks):
        """Keep some of the tasks; returns plain Moments if one kind is left.

        Parameters
        ----------
        tasks : ndarray of int
            Sorted.

        Returns
        -------
        MixedMoments or Moments
        """
        n = len(self.numbers)
        first, second = tasks[tasks < n], tasks[tasks >= n] - n
        if not len(second):
            return self.numbers.take(first)
        classes = self.classes.take(second)
        return (
            MixedMoments(self.numbers.take(first), classes) if len(first) else classes
        )

    def project(self, V):
        """Restrict heads to the span of the columns of V, of shape (m, k)."""
        return MixedMoments(self.numbers.project(V), self.classes.project(V))


def join_moments(parts, labels, m):
    """Moments of the tasks of numbers and of those of classes.

    Parameters
    ----------
    parts : list of Moments
        Moments of numbers.

    labels : ClassLabels or None
        Labels; None if no task has classes.

    m : int
        Number of features.

    Returns
    -------
    Moments or MixedMoments
    """
    if labels is None:
        return concatenate(parts, m)
    classes = class_moments(labels, m)
    return MixedMoments(concatenate(parts, m), classes) if parts else classes


def count_mixed(moments):
    """Count by the evidence of low-rank Gaussian heads of both kinds.

    Both have the same prior up to a factor, since heads of numbers are in units of the
    targets, and those of classes in logits. To estimate the prior, the likelihoods of
    classes are approximated by quadratics; to count directions, the likelihoods of the
    labels are used.

    Parameters
    ----------
    moments : MixedMoments
        Moments in white coordinates.

    Returns
    -------
    moments : MixedMoments
        Moments with the shared prior for the heads of classes.

    count : FactorCount
    """
    numbers, classes = moments.numbers, moments.classes
    m = moments.m
    heads, _ = numbers.solve(_RIDGE)
    alone, noise = count_numbers(numbers, numbers.residual_variance(heads))
    size = np.trace(classes.second) / alone.strength.sum()
    quadratic = _quadratic(classes, size)
    own = Likelihoods(numbers, noise, few_labels(numbers))
    both = Likelihoods(
        concatenate([numbers, quadratic], m),
        np.concatenate([noise, quadratic.noise]),
        # Each head of classes has its own curvature, for any number of labels.
        np.concatenate([few_labels(numbers), np.ones(len(quadratic), dtype=bool)]),
    )
    strength, V = both.spectrum()
    n_most = int((strength >= TRIED * strength[:2].min()).sum())
    gain = own.gains(V, strength)
    gain[:n_most] += marginal_gains(classes.labels, size * strength, V, n_most)
    # The penalty per angle is the average of those for heads of numbers (BIC) and of
    # classes (AIC), weighted by their numbers.
    n_heads = own.n_rows + len(classes.labels.task)
    bic = 0.5 * np.log(max(2.0, own.n_rows))
    price = (own.n_rows * bic + len(classes.labels.task)) / n_heads
    evidence = np.cumsum(gain - price * np.arange(m, 0, -1))
    evidence = np.concatenate([[0.0], evidence])
    k = without_traces(strength, int(np.argmax(evidence)), n_heads)
    second = size * (V * strength) @ V.T
    moments = MixedMoments(numbers, replace(classes, second=second))
    return moments, FactorCount(k, evidence, strength, V)


def _quadratic(classes, size):
    """Likelihoods of the heads of classes, in units of heads of numbers."""
    labels = classes.labels.most_labelled()
    precision = inverse_of(classes.second)
    W, _, information, _ = labels.fit(precision)
    gradient = np.einsum("hij,hj->hi", information, W)
    ones = np.ones(len(W))
    return Moments(
        size * (information - precision),
        np.sqrt(size) * gradient[:, None, :],
        ones,
        labels.size,
        ones.astype(int),
        noise=ones,
    )
