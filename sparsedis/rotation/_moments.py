"""What the labels of every task say about a linear head, as quadratic forms."""

from dataclasses import dataclass, replace

import numpy as np

# Labels that a pooled estimate of the noise is worth, beside those of a task.
_PRIOR_LABELS = 4.0

# Numbers in an array of products of features, for as many rows as fit.
_BLOCK = 2**22


@dataclass(frozen=True, eq=False)
class Moments:
    """Quadratic forms of the heads of tasks: w H w / 2 - g w, for each output.

    Attributes
    ----------
    hessian : ndarray of shape (n_tasks, m, m) or (1, m, m)
        H, without the division by the noise; one for all where they share their rows.

    gradient : ndarray of shape (n_tasks, n_outputs, m)
        g.

    square : ndarray of shape (n_tasks,)
        Sum of squares of the targets of a task.

    n_labels : ndarray of shape (n_tasks,)
        Effective number of labels of each task.

    n_outputs : ndarray of shape (n_tasks,)
        Outputs of each task; further rows of `gradient` are zero.

    noise : ndarray of shape (n_tasks,) or None
        Variance of the noise where it is known, as for classes.
    """

    hessian: np.ndarray
    gradient: np.ndarray
    square: np.ndarray
    n_labels: np.ndarray
    n_outputs: np.ndarray
    noise: np.ndarray | None = None

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
        )

    def project(self, V):
        """Restrict heads to the span of the columns of V, of shape (m, k)."""
        return replace(
            self, hessian=V.T @ self.hessian @ V, gradient=self.gradient @ V
        )

    def solve(self, ridge=1e-8):
        """Heads without a penalty, and the inverse of each Hessian.

        Parameters
        ----------
        ridge : float
            Share of the mean curvature that is added, so that an inverse exists.

        Returns
        -------
        heads : ndarray of shape (n_tasks, n_outputs, m)

        inverse : ndarray of shape (n_tasks, m, m) or (1, m, m)
        """
        m = self.m
        mean = np.trace(self.hessian, axis1=1, axis2=2) / m
        # A task without labels has no curvature at all, and no head.
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
        # Rounding is the least noise there is.
        floor = 1e-12 * self.square / self.n_outputs / np.maximum(self.n_labels, 1.0)
        rss = np.where(known, rss, 0.0)
        estimate = (rss + _PRIOR_LABELS * pooled) / (freedom + _PRIOR_LABELS)
        return np.maximum(estimate, np.maximum(floor, 1e-300))


def regression_moments(Z, Y, weight=None):
    """Moments of centred squared errors.

    Parameters
    ----------
    Z : ndarray of shape (n, m)

    Y : ndarray of shape (n, n_tasks, n_outputs)
        NaN where missing.

    weight : ndarray of shape (n,), default=None
        Weights of the rows.

    Returns
    -------
    moments : Moments
        Of targets divided by their scale.

    scale : ndarray of shape (n_tasks,)
        Standard deviation of each task, 1 where constant.
    """
    present = ~np.isnan(Y[..., 0])
    share = present.astype(float)
    if weight is not None:
        share = share * weight[:, None]
    total = share.sum(0)
    # Kish's effective number, so that the unit of the weights does not matter.
    n_labels = total**2 / np.maximum((share**2).sum(0), 1e-300)
    unit = n_labels / np.maximum(total, 1e-300)
    share = share * unit
    count = np.maximum(n_labels, 1e-300)
    Y = np.where(present[..., None], Y, 0.0)
    largest = np.abs(Y).max((0, 2), initial=0.0)
    Y = Y / np.where(largest > 0, largest, 1.0)[:, None]
    mean = np.einsum("nt,ntc->tc", share, Y) / count[:, None]
    Y = np.where(present[..., None], Y - mean, 0.0)
    square = np.einsum("nt,ntc->t", share, Y**2)
    n_outputs = Y.shape[2]
    sd = np.sqrt(square / count / n_outputs)
    # What centring leaves of constant targets is rounding.
    sd = np.where(sd > 1e-13, sd, 1.0)
    Y = Y / sd[:, None]
    scale = np.where(largest > 0, largest, 1.0) * sd
    square = np.where(n_labels > 0, square / sd**2, 0.0)
    sums = share.T @ Z
    gradient = np.einsum("nt,ntc,nm->tcm", share, Y, Z, optimize=True)
    if present.all() and (weight is None or (weight == weight[0]).all()):
        centred = Z - Z.mean(0)
        hessian = (centred.T @ centred)[None]
    else:
        hessian = weighted_gram(Z, share)
        hessian -= sums[:, :, None] * (sums / count[:, None])[:, None, :]
    moments = Moments(
        hessian, gradient, square, n_labels, np.full(Y.shape[1], n_outputs)
    )
    return moments, scale


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
    n, m = Z.shape
    at = np.triu_indices(m)
    gram = np.zeros((share.shape[1], len(at[0])))
    step = max(1, _BLOCK // len(at[0]))
    for first in range(0, n, step):
        part = Z[first : first + step]
        gram += share[first : first + step].T @ (part[:, at[0]] * part[:, at[1]])
    full = np.empty((share.shape[1], m, m))
    full[:, at[0], at[1]] = gram
    full[:, at[1], at[0]] = gram
    return full
