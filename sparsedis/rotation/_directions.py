"""Directions in which most heads vanish: batched reweighted eigenproblems."""

import numpy as np

# Widths of the penalty, from one for all heads to one for zeros only.
WIDTHS = (0.3, 0.1, 0.03)

# Steps of inverse iteration towards an eigenvector.
_POWER = 3

# Added to second moments, relative to their trace.
_RIDGE = 1e-10

# Numbers in the largest array of a batch.
_BATCH = 2**22


# Minimal share of the mean square along the mean that counts as variance.
_MEAN = 0.05


class Heads:
    """Heads in coordinates in which their second moment is the identity.

    Parameters
    ----------
    heads : ndarray of shape (n_tasks, n_outputs, k)
        Whitened heads, with rows of zeros for tasks with fewer outputs.

    variance : ndarray of shape (n_tasks,)
        Mean variance of the error of a coefficient.

    n_outputs : ndarray of shape (n_tasks,)
        Outputs of each task.
    """

    def __init__(self, heads, variance, n_outputs):
        self.heads = heads
        self.variance = variance
        self.n_outputs = n_outputs
        self.rows = heads.reshape(heads.shape[0] * heads.shape[1], heads.shape[2])
        mean = self.rows.sum(0) / n_outputs.sum()
        square = mean @ mean
        # Subtract the mean, but keep a part of the variance along it.
        left = np.sqrt(max(1 - square, _MEAN))
        self.centring = np.eye(self.k)
        if square > 0:
            self.centring -= (1 - left) / square * np.outer(mean, mean)

    def __len__(self):
        return len(self.heads)

    @property
    def k(self):
        """Number of coordinates."""
        return self.heads.shape[-1]

    def take(self, tasks):
        """Keep some of the tasks."""
        return Heads(self.heads[tasks], self.variance[tasks], self.n_outputs[tasks])

    def centre(self, A):
        """Coordinates in which the true directions are orthogonal.

        Coefficients minus their mean, which may be nonzero, are nearly uncorrelated.

        Parameters
        ----------
        A : ndarray of shape (n, k)

        Returns
        -------
        ndarray of shape (n, k)
            Coordinates, of unit norm.
        """
        centred = A @ self.centring
        return centred / np.linalg.norm(centred, axis=1, keepdims=True)

    def sizes(self, A):
        """Mean squares over the outputs of the heads along directions.

        Parameters
        ----------
        A : ndarray of shape (n, k)

        Returns
        -------
        ndarray of shape (n, n_tasks)
        """
        along = (A @ self.rows.T).reshape(len(A), *self.heads.shape[:2])
        return np.einsum("ntc,ntc->nt", along, along) / self.n_outputs

    def scores(self, A, width=WIDTHS[-1]):
        """Scores of directions; lower if fewer heads use them."""
        ratio = self.sizes(A) / (width**2 + self.variance)
        return 0.5 * (np.log1p(ratio) @ self.n_outputs) / self.n_outputs.sum()


def sharpen(heads, A, widths=WIDTHS, n_iter=12, tol=1e-4):
    """Improve directions so that fewer heads use them.

    Each step is an eigenproblem of the heads with larger weights for small ones.

    Parameters
    ----------
    heads : Heads

    A : ndarray of shape (n, k)
        Directions of unit norm.

    widths : tuple of float
        Widths of the penalty, one after the other.

    n_iter : int
        Steps for each width, at most.

    tol : float
        Directions that change less than this are not moved further.

    Returns
    -------
    ndarray of shape (n, k)
        Directions of unit norm.
    """
    size = max(1, _BATCH // max(1, len(heads.rows) * heads.k))
    if len(A) > size:
        parts = [A[i : i + size] for i in range(0, len(A), size)]
        return np.concatenate([sharpen(heads, a, widths, n_iter, tol) for a in parts])
    A = A.copy()
    for width in widths:
        moving = np.arange(len(A))
        for _ in range(n_iter):
            a = A[moving]
            inverse = _inverse_grams(
                heads, 1 / (heads.sizes(a) + width**2 + heads.variance)
            )
            new = a
            for _ in range(_POWER):
                new = (inverse @ new[:, :, None])[:, :, 0]
                new /= np.linalg.norm(new, axis=1, keepdims=True)
            A[moving] = new
            moving = moving[np.abs(new - a).max(1) > tol]
            if not len(moving):
                break
    return A


def lean(heads, A, n_iter=8):
    """Least absolute deviations near directions, to find some that few heads use.

    The size of the heads along ``a + b``, with b orthogonal to a, is convex in b. If
    `a` is a true direction plus a small part of others, the minimum is often the true
    direction.

    Parameters
    ----------
    heads : Heads

    A : ndarray of shape (n, k)
        Directions of unit norm.

    n_iter : int
        Number of reweighted least squares problems.

    Returns
    -------
    ndarray of shape (n, k)
        Directions of unit norm.
    """
    a = A
    for _ in range(n_iter):
        weight = 1 / np.sqrt(heads.sizes(a) + 1e-4 + heads.variance)
        a = (_inverse_grams(heads, weight) @ A[:, :, None])[:, :, 0]
        a /= np.linalg.norm(a, axis=1, keepdims=True)
    return a


def _inverse_grams(heads, weight):
    """Inverses of the second moments of heads under several weights of the tasks."""
    weight = np.repeat(weight, heads.heads.shape[1], axis=1)
    gram = (weight[:, None, :] * heads.rows.T) @ heads.rows
    # Heads need not span all coordinates.
    ridge = _RIDGE * np.trace(gram, axis1=1, axis2=2) + 1e-300
    return np.linalg.inv(gram + ridge[:, None, None] * np.eye(heads.k))


def distinct(A, scores, cosine=0.99):
    """Positions of directions that are not copies of better ones, best first."""
    order = np.argsort(scores, kind="stable")
    kept = []
    similar = np.abs(A @ A.T) > cosine
    gone = np.zeros(len(A), dtype=bool)
    for i in order:
        if not gone[i]:
            kept.append(i)
            gone |= similar[i]
    return np.array(kept, dtype=int)
