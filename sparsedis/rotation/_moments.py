"""Quadratic forms of the linear heads, from the labels of every task."""

from dataclasses import dataclass, replace

import numpy as np

# Weight of the pooled estimate of the noise, in labels of a task.
_PRIOR_LABELS = 4.0

# Maximal size of an array of products of features.
_BLOCK = 2**22


@dataclass(frozen=True, eq=False)
class Moments:
    """Quadratic forms of the heads of tasks: w H w / 2 - g w, for each output.

    Attributes
    ----------
    hessian : ndarray of shape (n_tasks, m, m) or (1, m, m)
        H, not divided by the noise; a single one if all tasks share their rows.

    gradient : ndarray of shape (n_tasks, n_outputs, m)
        g.

    square : ndarray of shape (n_tasks,)
        Sum of squares of the targets of a task.

    n_labels : ndarray of shape (n_tasks,)
        Effective number of labels of each task.

    n_outputs : ndarray of shape (n_tasks,)
        Outputs of each task; further rows of `gradient` are zero.

    noise : ndarray of shape (n_tasks,) or None
        Variance of the noise if it is known, as for classes.

    labels : ClassLabels or None
        Labels that the moments approximate, for classes.

    second : ndarray of shape (m, m) or None
        Second moment of the prior of the heads, for classes.
    """

    hessian: np.ndarray
    gradient: np.ndarray
    square: np.ndarray
    n_labels: np.ndarray
    n_outputs: np.ndarray
    noise: np.ndarray | None = None
    labels: object = None
    second: np.ndarray | None = None

    def __len__(self):
        return len(self.gradient)

    @property
    def m(self):
        """Number of coordinates."""
        return self.gradient.shape[-1]

    def take(self, tasks):
        """Keep some of the tasks."""
        shared = len(self.hessian) == 1
        return Moments(
            self.hessian if shared else self.hessian[tasks],
            self.gradient[tasks],
            self.square[tasks],
            self.n_labels[tasks],
            self.n_outputs[tasks],
            None if self.noise is None else self.noise[tasks],
            None if self.labels is None else self.labels.take(tasks),
            self.second,
        )

    def project(self, V):
        """Restrict heads to the span of the columns of V, of shape (m, k)."""
        return replace(
            self,
            hessian=V.T @ self.hessian @ V,
            gradient=self.gradient @ V,
            labels=None if self.labels is None else self.labels.project(V),
            second=None if self.second is None else V.T @ self.second @ V,
        )

    def solve(self, ridge=1e-8):
        """Heads without a penalty, and the inverse of each Hessian.

        Parameters
        ----------
        ridge : float
            Added to the curvature, relative to its mean, so that it is invertible.

        Returns
        -------
        heads : ndarray of shape (n_tasks, n_outputs, m)

        inverse : ndarray of shape (n_tasks, m, m) or (1, m, m)
        """
        m = self.m
        mean = np.trace(self.hessian, axis1=1, axis2=2) / m
        # A task without labels has no curvature and no head.
        shift = np.where(mean > 0, ridge * mean, 1.0)
        inverse = np.linalg.inv(self.hessian + shift[:, None, None] * np.eye(m))
        return self.gradient @ inverse, inverse

    def residual_variance(self, heads):
        """Variance of the noise of each task at its unpenalised head."""
        if self.noise is not None:
            return self.noise
        fitted = np.einsum("tcm,tcm->t", heads, self.gradient)
        rss = np.maximum(self.square - fitted, 0.0) / self.n_outputs
        freedom = np.maximum(self.n_labels - self.m - 1, 0.0)
        known = freedom > 0
        pooled = 0.0
        if known.any():
            pooled = rss[known].sum() / freedom[known].sum()
        else:
            pooled = (self.square / self.n_outputs / self.n_labels).mean()
        # The noise is at least as large as rounding errors.
        floor = 1e-12 * self.square / self.n_outputs / np.maximum(self.n_labels, 1.0)
        rss = np.where(known, rss, 0.0)
        estimate = (rss + _PRIOR_LABELS * pooled) / (freedom + _PRIOR_LABELS)
        return np.maximum(estimate, np.maximum(floor, 1e-300))


def concatenate(parts, m):
    """Concatenate the tasks of several moments.

    Parameters
    ----------
    parts : list of Moments
        In the same coordinates.

    m : int
        Number of coordinates, for an empty list.

    Returns
    -------
    Moments
    """
    if not parts:
        none = np.zeros(0)
        return Moments(
            np.zeros((0, m, m)), np.zeros((0, 1, m)), none, none, none.astype(int)
        )
    if len(parts) == 1:
        return parts[0]
    width = max(part.gradient.shape[1] for part in parts)
    gradients = [
        np.pad(part.gradient, ((0, 0), (0, width - part.gradient.shape[1]), (0, 0)))
        for part in parts
    ]
    hessians = [
        np.broadcast_to(part.hessian, (len(part), part.m, part.m)) for part in parts
    ]
    return Moments(
        np.concatenate(hessians),
        np.concatenate(gradients),
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("square", "n_labels", "n_outputs")
        ),
    )


def regression_moments(Z, Y, weight=None):
    """Moments of centred squared errors.

    Parameters
    ----------
    Z : ndarray of shape (n, m) or (n_tasks, n, m)
        Features of the rows, shared by the tasks or one set per task.

    Y : ndarray of shape (n, n_tasks, n_outputs)
        NaN where missing.

    weight : ndarray of shape (n,) or (n, n_tasks), default=None
        Weights of the rows, or of the labels; 2 counts as a repetition.

    Returns
    -------
    moments : Moments
        Moments of targets divided by their scale.

    units : Units
        Conversion to the units of the targets.
    """
    present = ~np.isnan(Y[..., 0])
    share = present.astype(float)
    if weight is not None:
        share *= weight[:, None] if weight.ndim == 1 else weight
    n_labels = share.sum(0)
    count = np.maximum(n_labels, 1e-300)
    Y = np.where(present[..., None], Y, 0.0)
    largest = np.abs(Y).max((0, 2), initial=0.0)
    largest = np.where(largest > 0, largest, 1.0)
    Y = Y / largest[:, None]
    mean = np.einsum("nt,ntc->tc", share, Y) / count[:, None]
    Y = np.where(present[..., None], Y - mean, 0.0)
    n_outputs = Y.shape[2]
    sd = np.sqrt(np.einsum("nt,ntc->t", share, Y**2) / count / n_outputs)
    # Centred constant targets are only rounding errors.
    constant = sd <= 1e-13
    Y = np.where(constant[:, None], 0.0, Y / np.where(constant, 1.0, sd)[:, None])
    weighted = share[:, :, None] * Y
    own = Z.ndim == 3
    gradient = np.einsum(
        "tnm,ntc->tcm" if own else "nm,ntc->tcm", Z, weighted, optimize=True
    )
    hessian, Z_mean = centred_gram(Z, share)
    scale = largest * np.where(constant, 1.0, sd)
    moments = Moments(
        hessian,
        gradient,
        np.einsum("ntc,ntc->t", weighted, Y),
        n_labels,
        np.full(Y.shape[1], n_outputs),
    )
    return moments, Units(scale, mean * largest[:, None], Z_mean)


@dataclass(frozen=True, eq=False)
class Units:
    """Means and scales of targets and features.

    Attributes
    ----------
    scale : ndarray of shape (n_tasks,)
        Standard deviation of each task, 1 where constant.

    y_mean : ndarray of shape (n_tasks, n_outputs)

    Z_mean : ndarray of shape (n_tasks, m)
        Mean features of the labelled rows of each task.
    """

    scale: np.ndarray
    y_mean: np.ndarray
    Z_mean: np.ndarray

    def restore(self, heads):
        """Coefficients and intercepts for the original targets.

        Parameters
        ----------
        heads : ndarray of shape (n_tasks, n_outputs, m)

        Returns
        -------
        coef : ndarray of shape (n_tasks, n_outputs, m)

        intercept : ndarray of shape (n_tasks, n_outputs)
        """
        coef = heads * self.scale[:, None, None]
        return coef, self.y_mean - np.einsum("tcm,tm->tc", coef, self.Z_mean)


def centred_gram(Z, share):
    """Gram matrices of the centred features of each task.

    Parameters
    ----------
    Z : ndarray of shape (n, m) or (n_tasks, n, m)

    share : ndarray of shape (n, n_tasks)

    Returns
    -------
    gram : ndarray of shape (n_tasks, m, m), or (1, m, m) where all are the same

    mean : ndarray of shape (n_tasks, m)
    """
    count = np.maximum(share.sum(0), 1e-300)
    if Z.ndim == 3:
        mean = np.einsum("tnm,nt->tm", Z, share) / count[:, None]
        centred = Z - mean[:, None, :]
        weighted = centred * share.T[:, :, None]
        return np.swapaxes(weighted, 1, 2) @ centred, mean
    if (share == share[:, :1]).all():
        mean = share[:, 0] @ Z / count[0]
        centred = Z - mean
        gram = (centred.T * share[:, 0]) @ centred
        return gram[None], np.broadcast_to(mean, (share.shape[1], len(mean)))
    centre = Z.mean(0)
    Z = Z - centre
    mean = share.T @ Z / count[:, None]
    gram = weighted_gram(Z, share)
    gram -= count[:, None, None] * mean[:, :, None] * mean[:, None, :]
    return gram, mean + centre


def weighted_gram(Z, share):
    """Gram matrices of Z with the weights of each task.

    Parameters
    ----------
    Z : ndarray of shape (n, m)

    share : ndarray of shape (n, n_tasks)

    Returns
    -------
    ndarray of shape (n_tasks, m, m)
    """
    return WeightedGram(Z)(share)


class WeightedGram:
    """Gram matrices of the same rows with several weights.

    Parameters
    ----------
    Z : ndarray of shape (n, m)
    """

    def __init__(self, Z):
        self.Z = Z
        m = Z.shape[1]
        self.pairs = np.triu_indices(m)
        self.place = np.empty((m, m), dtype=int)
        self.place[self.pairs] = self.place.T[self.pairs] = np.arange(
            len(self.pairs[0])
        )
        step = max(1, _BLOCK // max(1, len(self.pairs[0])))
        self.blocks = [slice(i, i + step) for i in range(0, len(Z), step)]
        self.products = None
        if len(self.blocks) == 1:
            self.products = self._products(self.blocks[0])

    def _products(self, rows):
        # Whole rows of the transpose are copied several times faster than columns.
        columns = np.ascontiguousarray(self.Z[rows].T)
        return columns[self.pairs[0]] * columns[self.pairs[1]]

    def __call__(self, share):
        """Matrices of shape (n_tasks, m, m), see :func:`weighted_gram`."""
        gram = np.zeros((len(self.pairs[0]), share.shape[1]))
        for rows in self.blocks:
            products = self.products
            if products is None:
                products = self._products(rows)
            gram += products @ share[rows]
        return gram.T[:, self.place]
