"""Likelihood of rotated heads under a sparse density, and its local maximum."""

import numpy as np
from scipy.special import ndtr

# Variances of the components: from coefficients that are zero up to errors of the
# encoder, to large ones. True heads have a mean square of one.
VARIANCES = np.array([0.02, 0.05, 0.12, 0.3, 0.7, 1.5, 3.0]) ** 2

# Root mean square up to which a component counts as zero.
SPIKE = 0.15

# Penalty for the share of a sign, in units of the logarithm of the number of tasks. It
# is more than for a parameter, since among many directions some have most of their
# heads on one side by chance.
_SIGN_COST = 2.0

# Added to curvatures so that they are invertible.
_RIDGE = 1e-10


class Density:
    """A scale mixture of Gaussians, with the error of each head added.

    If tasks have one output and the coefficients of a direction mostly have one sign,
    the density has more weight on that side.

    Parameters
    ----------
    variances : ndarray of shape (m,)
        Variances of the components.
    """

    def __init__(self, variances=VARIANCES):
        self.variances = variances
        self.weights = np.full(len(variances), 1 / len(variances))

    def spike(self):
        """Standard deviation of the coefficients that count as zero."""
        small = self.variances <= SPIKE**2
        weights = self.weights[: len(small)][small]
        return float(np.sqrt(weights @ self.variances[small] / weights.sum()))

    def scores(self, heads, A):
        """Negative log-likelihoods of the heads along directions of unit norm.

        Parameters
        ----------
        heads : Heads

        A : ndarray of shape (n, k)

        Returns
        -------
        ndarray of shape (n,)
        """
        share_of = heads.n_outputs / heads.n_outputs.sum()
        sizes = heads.sizes(A).T
        square = np.maximum(share_of @ sizes, 1e-300)
        errors = heads.variance[:, None] / square
        log, share, _ = self.responsibilities(sizes / square, errors, heads.n_outputs)
        gain = self.gain_of_signs(heads, A, share)
        return 0.5 * np.log(square) - log.sum(0) / heads.n_outputs.sum() - gain

    def gain_of_signs(self, heads, A, share):
        """Increase of the log-likelihood per head by a two-sided density, minus its
        penalty.

        Without it, differences of directions with positive coefficients would have a
        larger likelihood, since they are smaller.

        Parameters
        ----------
        heads : Heads

        A : ndarray of shape (n, k)

        share : ndarray of shape (n_tasks, n, m)
            See `responsibilities`.

        Returns
        -------
        ndarray of shape (n,)
            0 for heads with several outputs, whose norms have no sign.
        """
        n_tasks, n_outputs = heads.heads.shape[:2]
        if n_outputs > 1:
            return np.zeros(len(A))
        error = np.sqrt(heads.variance[:, None] * (A**2).sum(1)) + 1e-12
        positive = ndtr(heads.rows @ A.T / error)
        large = share[:, :, self.variances > SPIKE**2].sum(-1)
        side = ((large * positive).sum(0) + 0.5) / (large.sum(0) + 1)
        likelihood = side * positive + (1 - side) * (1 - positive)
        gain = (large * np.log(np.maximum(2 * likelihood, 1e-300))).sum(0)
        return np.maximum(gain - _SIGN_COST * np.log(n_tasks), 0.0) / n_tasks

    def responsibilities(self, sizes, errors, n_outputs):
        """Log-densities, and the share of each component.

        Parameters
        ----------
        sizes : ndarray of shape (n_tasks, k)
            Mean squares over outputs.

        errors : ndarray of shape (n_tasks, k)
            Variances of the error.

        n_outputs : ndarray of shape (n_tasks,)

        Returns
        -------
        log_density : ndarray of shape (n_tasks, k)

        share : ndarray of shape (n_tasks, k, m)

        total : ndarray of shape (n_tasks, k, m)
            Variances of components and errors together.
        """
        total = self.variances + errors[:, :, None]
        exponent = sizes[:, :, None] / total + np.log(2 * np.pi * total)
        log = np.log(self.weights) - 0.5 * n_outputs[:, None, None] * exponent
        top = log.max(-1, keepdims=True)
        share = np.exp(log - top)
        mass = share.sum(-1, keepdims=True)
        return (top + np.log(mass))[..., 0], share / mass, total

    def bound(self, along, errors, n_outputs):
        """Quadratic bound of the negative log-likelihood.

        Parameters
        ----------
        along : ndarray of shape (n_tasks, n_outputs, k)
            Heads along the directions.

        errors : ndarray of shape (n_tasks, k)
            Variances of the error.

        n_outputs : ndarray of shape (n_tasks,)

        Returns
        -------
        log_density : ndarray of shape (n_tasks, k)

        share : ndarray of shape (n_tasks, k, m)
            Share of each component.

        weight, linear : ndarray of shape (n_tasks, k)
            The bound is ``weight * along**2 / 2 - linear * along`` plus a constant.
        """
        sizes = (along**2).sum(1) / n_outputs[:, None]
        log, share, total = self.responsibilities(sizes, errors, n_outputs)
        return log, share, (share / total).sum(-1), None

    def update(self, share):
        """Fit the weights to shares of the components."""
        self.weights = share.sum((0, 1)) + 1.0
        self.weights /= self.weights.sum()


def refine(heads, A, *, density=None, n_iter=60, tol=1e-6):
    """Maximise the likelihood of the heads from a starting point.

    Iterative projection (Ono 2011): each step sets one column to the exact minimum of a
    quadratic bound minus the logarithm of the determinant.

    Parameters
    ----------
    heads : Heads

    A : ndarray of shape (k, k)
        Directions in rows.

    density : Density, default=None
        Density to fit; None fits that around zero.

    n_iter : int
        Largest number of sweeps, at least one.

    tol : float
        Improvement of the criterion at which to stop.

    Returns
    -------
    A : ndarray of shape (k, k)
        Directions in rows, scaled to unit mean squares of the heads.

    criterion : float
        Negative log-likelihood per output of a task and per direction.

    density : Density
        Density with the fitted weights.
    """
    density = Density() if density is None else density
    n_outputs = heads.n_outputs
    k = len(A)
    total_outputs = n_outputs.sum()
    shape = heads.heads.shape
    before, best = np.inf, None
    for _ in range(n_iter):
        along = heads.rows @ A.T
        norms = np.sqrt(np.maximum((along**2).sum(0) / total_outputs, 1e-300))
        A, along = A / norms[:, None], along / norms
        errors = heads.variance[:, None] * (A**2).sum(1)
        log, share, weight, linear = density.bound(
            along.reshape(*shape[:2], k), errors, n_outputs
        )
        value = -(log.sum(0).sum()) / total_outputs - np.linalg.slogdet(A)[1]
        if best is None or value < best[1]:
            best = A.copy(), value, share
        if before - value < tol * k:
            break
        before = value
        density.update(share)
        weight = np.repeat(weight, shape[1], axis=0).T
        bounds = (heads.rows.T * weight[:, None, :]) @ heads.rows / total_outputs
        inverses = np.linalg.inv(bounds + _RIDGE * np.eye(k))
        shifts = np.zeros((k, k))
        if linear is not None:
            shifts = linear.T @ heads.rows / total_outputs
        normals = np.linalg.inv(A)
        for j in range(k):
            normal = normals[:, j]
            free, a = inverses[j] @ shifts[j], inverses[j] @ normal
            # The minimum is along `a` from the one without a determinant, `free`.
            offset = normal @ free
            height = 0.5 * (offset + np.sqrt(offset**2 + 4 * (normal @ a)))
            A[j] = a = free + a / height
            # The inverse follows a change of one row.
            along = a @ normals
            along[j] -= 1.0
            normals -= normal[:, None] * (along / (1.0 + along[j]))
    A, value, share = best
    value -= density.gain_of_signs(heads, A, share).sum()
    return A, value / k, density
