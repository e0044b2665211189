"""Logistic heads of many tasks, and their Fisher information."""

import numpy as np
from scipy.special import expit

from sparsedis.rotation._moments import WeightedGram

_MAX_ITER = 30

# Maximal number of times to halve a step.
_HALVINGS = 12

# Rounding errors of a sum of losses, relative to it.
_ROUNDING = 1e-12

# Precision of the prior of an intercept.
_INTERCEPT = 1e-6


def logistic_heads(Z, target, share, support=None, *, precision=None, start=None):
    """Fit binary logistic regressions by Newton's method, all at once.

    Parameters
    ----------
    Z : ndarray of shape (n, m)

    target : ndarray of shape (n, n_heads)
        0 or 1.

    share : ndarray of shape (n, n_heads)
        Weights; 0 for missing labels.

    support : ndarray of shape (n_heads, m) of bool, default=None
        Features that each head may use. None: all.

    precision : ndarray of shape (m, m), default=None
        Inverse of the covariance of the Gaussian prior of the heads, without which
        separable classes have no finite head. None: the identity.

    start : tuple of `W` and `intercept`, default=None
        Starting point; zero by default.

    Returns
    -------
    W : ndarray of shape (n_heads, m)

    intercept : ndarray of shape (n_heads,)

    information : ndarray of shape (n_heads, m, m)
        Fisher information of `W` and its prior, with the intercept eliminated.
    """
    n, m = Z.shape
    n_heads = target.shape[1]
    features = np.concatenate([Z, np.ones((n, 1))], 1)
    gram = WeightedGram(features)
    prior = np.diag([1.0] * m + [_INTERCEPT])
    if precision is not None:
        prior[:m, :m] = precision
    free = np.ones((n_heads, m + 1), dtype=bool)
    if support is not None:
        free[:, :m] = support
    W = np.zeros((n_heads, m + 1))
    if start is not None:
        W[:, :m], W[:, m] = start
        W *= free

    def labels(at):
        # A copy of all columns would take as long as the rest.
        own = slice(None) if len(at) == n_heads else at
        return target[:, own], share[:, own]

    def loss(W, at):
        each = log_losses(features @ W.T, *labels(at))
        return each + 0.5 * (W @ prior * W).sum(1)

    def curvature(W, at):
        target, share = labels(at)
        p = expit(features @ W.T)
        hessian = gram(share * p * (1 - p)) + prior
        gradient = (share * (p - target)).T @ features + W @ prior
        if support is None:
            return hessian, gradient
        pairs = free[at, :, None] & free[at, None, :]
        return np.where(pairs, hessian, np.eye(m + 1)), gradient * free[at]

    moving = np.arange(n_heads)
    # The loss without any feature.
    zero = np.log(2) * share.sum(0)
    value = zero.copy()
    if start is not None:
        value = loss(W, moving)
        # If a start is confident and wrong, its curvature is not useful.
        W[zero < value] = 0.0
        value = np.minimum(value, zero)
    for _ in range(_MAX_ITER):
        hessian, gradient = curvature(W[moving], moving)
        step = np.linalg.solve(hessian, gradient[:, :, None])[:, :, 0]
        decrease = (step * gradient).sum(1)
        tried = W[moving] - step
        before, after = value[moving], loss(tried, moving)
        size = 1.0
        for _ in range(_HALVINGS):
            due = before - 1e-4 * size * decrease + _ROUNDING * (1 + np.abs(before))
            worse = np.flatnonzero(~(after <= due))
            if not len(worse):
                break
            size *= 0.5
            tried[worse] = W[moving[worse]] - size * step[worse]
            after[worse] = loss(tried[worse], moving[worse])
        better = after <= before
        W[moving[better]], value[moving[better]] = tried[better], after[better]
        moving = moving[better & (decrease > 1e-8 * (1 + np.abs(after)))]
        if not len(moving):
            break
    hessian, _ = curvature(W, np.arange(n_heads))
    cross = hessian[:, :m, m]
    information = hessian[:, :m, :m] - (
        cross[:, :, None] * cross[:, None, :] / hessian[:, m, m, None, None]
    )
    return W[:, :m], W[:, m], information


def log_loss(Z, target, share, W, intercept):
    """Sums of the losses of heads, without any prior, of shape (n_heads,)."""
    return log_losses(Z @ W.T + intercept, target, share)


def log_losses(score, target, share):
    """Sums of the losses of scores of shape (n, n_heads), which are overwritten.

    ``log(1 + exp(score))`` is computed in half the time of `numpy.logaddexp`.
    """
    each = np.maximum(score, 0.0)
    each -= target * score
    np.abs(score, out=score)
    np.negative(score, out=score)
    np.exp(score, out=score)
    each += np.log1p(score, out=score)
    return np.einsum("ij,ij->j", share, each)
