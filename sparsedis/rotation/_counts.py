"""Counts as weighted targets that are linear in the features."""

import numpy as np

from sparsedis.rotation._moments import WeightedGram

# Number of steps of iteratively reweighted least squares, and change of a log mean at
# which to stop.
_MAX_ITER, _TOL = 25, 1e-6

# Largest difference of a log mean from that of the task, so that exp is finite.
_RANGE = 8.0

# Precision of the prior of an intercept; that of a coefficient is 1.
_INTERCEPT = 1e-6


def linear_counts(Z, Y, weight=None):
    r"""Working responses of Poisson heads, and their weights.

    Near the mean :math:`\mu = e^\eta` of a head, the likelihood of counts is that of
    the numbers :math:`\eta + (y - \mu) / \mu` with weights :math:`\mu`. The moments
    estimate the variance of these numbers, so counts may vary more than Poisson counts
    do.

    Parameters
    ----------
    Z : ndarray of shape (n, m)
        White features.

    Y : ndarray of shape (n, n_tasks, 1)
        Counts, NaN where missing; each task has positive ones.

    weight : ndarray of shape (n,) or (n, n_tasks), default=None

    Returns
    -------
    Y : ndarray of shape (n, n_tasks, 1)
        Numbers; NaN where missing.

    weight : ndarray of shape (n, n_tasks)
        Weights with the same sum as those given.
    """
    y = Y[..., 0]
    share = (~np.isnan(y)).astype(float)
    if weight is not None:
        share *= weight[:, None] if weight.ndim == 1 else weight
    y = np.nan_to_num(y)
    total = np.maximum(share.sum(0), 1e-300)
    mean = np.maximum((share * y).sum(0) / total, 1e-300)
    centre = np.log(mean)
    features = np.concatenate([Z, np.ones((len(Z), 1))], 1)
    gram = WeightedGram(features)
    prior = np.diag([1.0] * Z.shape[1] + [_INTERCEPT])
    # Counts are shrunk towards the mean, since the logarithm of 0 is not finite.
    eta = np.log(0.5 * (y + mean) / mean)
    for _ in range(_MAX_ITER):
        rate = mean * np.exp(eta)
        response = eta + (y - rate) / rate
        hessian = gram(share * rate) + prior
        gradient = (share * rate * response).T @ features
        W = np.linalg.solve(hessian, gradient[:, :, None])[:, :, 0]
        new = np.clip(features @ W.T, -_RANGE, _RANGE)
        change = np.abs(np.where(share > 0, new - eta, 0.0)).max(initial=0.0)
        eta = new
        if change < _TOL:
            break
    rate = mean * np.exp(eta)
    response = centre + eta + (y - rate) / rate
    unit = np.maximum((share * rate).sum(0) / total, 1e-300)
    response = np.where(np.isnan(Y[..., 0]), np.nan, response)
    # `regression_moments` leaves out missing entries.
    own = rate / unit
    if weight is not None:
        own = own * (weight[:, None] if weight.ndim == 1 else weight)
    return response[..., None], own
