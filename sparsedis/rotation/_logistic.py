"""Logistic heads of many tasks, and their Fisher information."""

import numpy as np
from scipy.special import expit

from sparsedis.rotation._moments import Moments, weighted_gram

# Precision of the Gaussian prior of the heads, in white coordinates; without one there
# is no head where the classes can be separated.
PRIOR = 1.0

_MAX_ITER = 15


def classification_moments(Z, Y, n_classes, weight=None):
    """Moments of logistic regressions, at their solutions.

    The log-likelihood is taken as quadratic about its maximum. More than two classes
    are regressions of each class against the most frequent one, on the rows of these
    two: where the log-odds of classes are linear, those of any two of them are, but not
    those of one class against all others. The heads of rare classes are scaled down, to
    errors like those of the others.

    Parameters
    ----------
    Z : ndarray of shape (n, m)
        White features.

    Y : ndarray of shape (n, n_tasks)
        Numbers of the classes, NaN where missing.

    n_classes : ndarray of shape (n_tasks,) of int

    weight : ndarray of shape (n,) or (n, n_tasks), default=None

    Returns
    -------
    Moments
        With unit noise.
    """
    n_tasks, m = Y.shape[1], Z.shape[1]
    share = (~np.isnan(Y)).astype(float)
    if weight is not None:
        share *= weight[:, None] if weight.ndim == 1 else weight
    n_outputs = np.maximum(n_classes - 1, 1)
    task = np.repeat(np.arange(n_tasks), n_outputs)
    output = np.arange(len(task)) - (np.cumsum(n_outputs) - n_outputs)[task]
    reference = _reference(Y, share, n_classes)[task]
    label = output + (output >= reference)
    target = (Y[:, task] == label).astype(float)
    of_both = (target > 0) | (Y[:, task] == reference)
    W, _, information = logistic_heads(Z, target, share[:, task] * of_both)
    hessian = np.zeros((n_tasks, m, m))
    np.add.at(hessian, task, information)
    hessian /= n_outputs[:, None, None]
    size = np.trace(information, axis1=1, axis2=2)
    size /= np.trace(hessian, axis1=1, axis2=2)[task]
    heads = np.zeros((n_tasks, n_outputs.max(initial=1), m))
    heads[task, output] = W * np.sqrt(size)[:, None]
    gradient = heads @ hessian
    return Moments(
        hessian,
        gradient,
        np.einsum("tcm,tcm->t", heads, gradient),
        share.sum(0),
        n_outputs,
        noise=np.ones(n_tasks),
    )


def _reference(Y, share, n_classes):
    """First of two classes, the most frequent one of more."""
    most = np.full(len(n_classes), -1.0)
    reference = np.zeros(len(n_classes), dtype=int)
    for c in range(n_classes.max(initial=0)):
        size = (share * (c == Y)).sum(0)
        more = (size > most) & (n_classes > 2)
        most[more], reference[more] = size[more], c
    return reference


def logistic_heads(Z, target, share, support=None):
    """Fit binary logistic regressions by Newton's method, all at once.

    Parameters
    ----------
    Z : ndarray of shape (n, m)

    target : ndarray of shape (n, n_heads)
        0 or 1.

    share : ndarray of shape (n, n_heads)
        Weights, 0 for labels that are missing.

    support : ndarray of shape (n_heads, m) of bool, default=None
        Features that each head may use. None: all.

    Returns
    -------
    W : ndarray of shape (n_heads, m)

    intercept : ndarray of shape (n_heads,)

    information : ndarray of shape (n_heads, m, m)
        Fisher information of `W`, the intercept eliminated, with that of the prior.
    """
    n, m = Z.shape
    n_heads = target.shape[1]
    features = np.concatenate([Z, np.ones((n, 1))], 1)
    prior = np.diag([PRIOR] * m + [1e-6])
    free = np.ones((n_heads, m + 1), dtype=bool)
    if support is not None:
        free[:, :m] = support
    W = np.zeros((n_heads, m + 1))

    def loss(W, at):
        score = features @ W.T
        each = np.logaddexp(0, score) - target[:, at] * score
        return (share[:, at] * each).sum(0) + 0.5 * PRIOR * (W[:, :m] ** 2).sum(1)

    def curvature(W, at):
        p = expit(features @ W.T)
        hessian = weighted_gram(features, share[:, at] * p * (1 - p)) + prior
        gradient = (share[:, at] * (p - target[:, at])).T @ features + W * np.diag(
            prior
        )
        if support is None:
            return hessian, gradient
        pairs = free[at, :, None] & free[at, None, :]
        return np.where(pairs, hessian, np.eye(m + 1)), gradient * free[at]

    moving = np.arange(n_heads)
    value = loss(W, moving)
    for _ in range(_MAX_ITER):
        hessian, gradient = curvature(W[moving], moving)
        step = np.linalg.solve(hessian, gradient[:, :, None])[:, :, 0]
        decrease = (step * gradient).sum(1)
        size = np.ones(len(moving))
        for _ in range(8):
            tried = W[moving] - size[:, None] * step
            after = loss(tried, moving)
            worse = after > value[moving] - 1e-4 * size * decrease + 1e-12
            if not worse.any():
                break
            size[worse] *= 0.5
        W[moving], value[moving] = tried, after
        moving = moving[decrease > 1e-8 * (1 + np.abs(after))]
        if not len(moving):
            break
    hessian, _ = curvature(W, np.arange(n_heads))
    cross = hessian[:, :m, m]
    information = hessian[:, :m, :m] - (
        cross[:, :, None] * cross[:, None, :] / hessian[:, m, m, None, None]
    )
    return W[:, :m], W[:, m], information
