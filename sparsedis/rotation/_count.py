"""Number of directions of the features that the heads of the tasks use."""

from dataclasses import dataclass

import numpy as np

from sparsedis.rotation._bends import without_bends
from sparsedis.rotation._classes import marginal_gains

# Few labels leave the curvature of a task far from the identity.
_FEW_LABELS = 4

# Strength, relative to the median, below which a direction is not a factor.
_TRACE = 0.1

# Directions of classes are tried down to this strength, relative to the second one.
TRIED = 1e-2

# Maximal number of tasks that have a separate inverse for their posterior.
_MAX_EXACT = 200

# Steps of expectation maximisation for the second moment of the heads, at most.
_EM_ITER = 40

# Number of estimates of the noise, if no single task determines it.
_NOISE_ITER = 5


@dataclass(frozen=True, eq=False)
class FactorCount:
    """Number of factors and their directions, estimated from the heads.

    Parameters
    ----------
    n_factors : int
        Number with the largest evidence.

    evidence : ndarray of shape (m + 1,)
        Evidence of every number from 0 on: log-likelihood of the heads, minus a penalty
        for the directions (BIC; AIC for classes).

    strength : ndarray of shape (m,)
        Mean square of the heads along each direction, minus that of their errors, in
        units of the variance of a target.

    directions : ndarray of shape (m, m)
        Orthonormal directions in columns, in decreasing order of strength.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.rotation import count_factors, white_heads
    >>> rng = np.random.default_rng(0)
    >>> Z = rng.standard_normal((200, 5))
    >>> Y = Z[:, :2] @ rng.standard_normal((2, 40)) + rng.standard_normal((200, 40))
    >>> count = count_factors(white_heads(Z, Y))
    >>> count
    FactorCount(n_factors=2, strength=[...])
    >>> count.directions[:, : count.n_factors].shape
    (5, 2)
    """

    n_factors: int
    evidence: np.ndarray
    strength: np.ndarray
    directions: np.ndarray

    def __repr__(self):
        shown = ", ".join(f"{s:.2g}" for s in self.strength[: self.n_factors + 2])
        return f"FactorCount(n_factors={self.n_factors}, strength=[{shown}, ...])"


def estimate_count(moments, noise):
    """Count by the evidence of low-rank Gaussian heads.

    Parameters
    ----------
    moments : Moments
        Moments in white coordinates.

    noise : ndarray of shape (n_tasks,)
        Variance of the noise of each task.

    Returns
    -------
    FactorCount
    """
    if moments.labels is not None:
        return _count_classes(moments)
    return count_numbers(moments, noise)[0]


def count_numbers(moments, noise):
    """Count by heads of numbers, see :func:`estimate_count`.

    Returns
    -------
    count : FactorCount

    noise : ndarray of shape (n_tasks,)
        As it was estimated in the end.
    """
    count = _count(moments, noise)
    used = moments.n_labels >= 2
    if (moments.n_labels > moments.m + 1).any():
        return count, noise
    # No task determines its noise: the residual of the directions is an upper bound.
    few = moments.take(np.flatnonzero(used))
    for _ in range(_NOISE_ITER):
        if count.n_factors == 0:
            break
        before, noise = count.n_factors, noise.copy()
        noise[used] = _noise_left(few, noise[used], count)
        count = _count(moments, noise)
        if count.n_factors <= before:
            break
    return count, noise


def _count_classes(moments):
    """Count by the likelihood of the labels, with the heads integrated out.

    The penalty for a direction is one per angle (AIC), which corrects for fitting it to
    the same labels. With few labels the penalty of BIC would be too large.
    """
    strength, V = np.linalg.eigh(moments.second)
    strength, V, m = np.maximum(strength[::-1], 1e-12), V[:, ::-1], moments.m
    n_most = int((strength >= TRIED * strength[:2].min()).sum())
    gain = np.zeros(m)
    gain[:n_most] = marginal_gains(moments.labels, strength, V, n_most)
    evidence = np.concatenate([[0.0], np.cumsum(gain - np.arange(m, 0, -1))])
    k = without_bends(moments.labels, strength, V, int(np.argmax(evidence)))
    return FactorCount(k, evidence, strength, V)


def few_labels(moments):
    """Tasks whose curvature may be far from the identity."""
    return moments.n_labels < _FEW_LABELS * moments.m


def _count(moments, noise):
    """Count for a known noise, see :func:`estimate_count`."""
    likelihoods = Likelihoods(moments, noise, few_labels(moments))
    strength, V = likelihoods.spectrum()
    gain = likelihoods.gains(V, strength)
    likelihood = np.concatenate([[0.0], np.cumsum(gain)])
    m, n_rows = moments.m, likelihoods.n_rows
    r = np.arange(m + 1)
    cost = 0.5 * (r * m - r * (r - 1) / 2) * np.log(max(2.0, n_rows))
    evidence = likelihood - cost
    k = without_traces(strength, int(np.argmax(evidence)), n_rows)
    return FactorCount(k, evidence, strength, V)


class Likelihoods:
    """Quadratic likelihoods of heads, of many labels by their errors alone.

    Parameters
    ----------
    moments : Moments
        Moments in white coordinates.

    noise : ndarray of shape (n_tasks,)

    exact : ndarray of shape (n_tasks,) of bool
        Tasks whose curvature counts.
    """

    def __init__(self, moments, noise, exact):
        m = moments.m
        used = moments.n_labels >= 2
        groups = [np.flatnonzero(used & ~exact)]
        few = np.flatnonzero(used & exact)
        self.weight_few = 1.0
        if len(few) > _MAX_EXACT:
            # Those with the most labels represent the others.
            self.weight_few = len(few) / _MAX_EXACT
            few = few[np.argsort(-moments.n_labels[few], kind="stable")[:_MAX_EXACT]]
        groups.append(few)
        wide, narrow = (moments.take(g) for g in groups)
        self.m, self.heads = m, None
        if len(wide):
            self.heads, inverse = wide.solve()
            self.errors = noise[groups[0]] * np.trace(inverse, axis1=1, axis2=2) / m
        self.H = self.g = None
        if len(narrow):
            self.H = narrow.hessian / noise[few, None, None]
            self.g = narrow.gradient / noise[few, None, None]
        self.c_wide, self.c_few = wide.n_outputs, narrow.n_outputs
        self.n_rows = self.c_wide.sum() + self.weight_few * self.c_few.sum()

    def spectrum(self):
        """Second moment of the heads, by expectation maximisation.

        Returns
        -------
        strength : ndarray of shape (m,)
            Its eigenvalues, the largest first.

        directions : ndarray of shape (m, m)
            In columns.
        """
        m = self.m
        strength, V = np.full(m, 1.0 / m), np.eye(m)
        for _ in range(_EM_ITER):
            second = np.zeros((m, m))
            if self.heads is not None:
                along = self.heads @ V
                shrink = strength / (strength + self.errors[:, None])
                mean = along * shrink[:, None, :]
                left = (self.c_wide * self.errors) @ shrink
                second += np.einsum("tci,tcj->ij", mean, mean) + np.diag(left)
            if self.H is not None:
                root = V * np.sqrt(strength)
                inner = root.T @ self.H @ root
                covariance = np.linalg.inv(np.eye(m) + inner)
                mean = (self.g @ root) @ covariance
                part = np.einsum("tci,tcj->ij", mean, mean)
                part += np.einsum("t,tij->ij", self.c_few.astype(float), covariance)
                scale = np.sqrt(strength)
                second += self.weight_few * scale[:, None] * part * scale
            second = V @ (second / self.n_rows) @ V.T
            new, V = np.linalg.eigh(second)
            new, V = np.maximum(new[::-1], 1e-12), V[:, ::-1]
            change = np.abs(new - strength).max()
            strength = new
            if change < 1e-6:
                break
        return strength, V

    def gains(self, V, strength):
        """Log-likelihood that each further direction adds, of shape (m,)."""
        gain = np.zeros(self.m)
        if self.heads is not None:
            ratio = strength / self.errors[:, None]
            along = ((self.heads @ V) ** 2).sum(1) / self.errors[:, None]
            size = self.c_wide[:, None] * np.log1p(ratio)
            gain += (0.5 * (along * (ratio / (1 + ratio)) - size)).sum(0)
        if self.H is not None:
            gain += self.weight_few * _exact_gain(
                self.H, self.g, self.c_few, V, strength
            )
        return gain


def without_traces(strength, k, n_heads):
    """Leave out weak directions, which come from errors of the features.

    With many labels even errors of the encoder in a factor are significant. Their
    directions are much weaker than those of factors. The latter have similar strengths,
    except for their correlation, which affects the first one, and for random
    differences with few heads.
    """
    while k > 2:
        least = _TRACE * np.median(strength[1:k])
        # Average of the smallest eigenvalue of the same number of random heads.
        least *= (1 - min(1.0, (k / n_heads) ** 0.5)) ** 2
        kept = int((strength[:k] >= least).sum())
        if kept == k:
            break
        k = kept
    return k


def _noise_left(moments, noise, count):
    """Common variance of the noise, for heads in the counted directions."""
    r, c = count.n_factors, moments.n_outputs
    root = count.directions[:, :r] * np.sqrt(count.strength[:r])
    inner = root.T @ moments.hessian @ root
    shrunk = np.linalg.inv(np.eye(r) + inner / noise[:, None, None])
    gradient = moments.gradient @ root
    mean = gradient @ shrunk / noise[:, None, None]
    second = np.swapaxes(mean, 1, 2) @ mean + c[:, None, None] * shrunk
    left = moments.square - 2 * np.einsum("tcr,tcr->t", mean, gradient)
    left += np.einsum("trs,trs->t", np.broadcast_to(inner, second.shape), second)
    return np.full(len(moments), left.sum() / (c * moments.n_labels).sum())


def _exact_gain(H, g, n_outputs, V, strength):
    """Increase of the log-likelihood by each further direction."""
    root = V * np.sqrt(strength)
    # The Cholesky factor of all directions contains those of the first ones.
    inner = np.eye(len(strength)) + root.T @ H @ root
    L = np.linalg.cholesky(inner)
    half = np.linalg.solve(L, np.swapaxes(g @ root, 1, 2))
    fit = 0.5 * (half**2).sum((0, 2))
    size = (np.log(np.diagonal(L, axis1=1, axis2=2)) * n_outputs[:, None]).sum(0)
    return fit - size
