"""Counts as targets that are linear in the features, with weights."""

import numpy as np

from sparsedis.rotation._moments import weighted_gram

# Steps of iteratively reweighted least squares, and the change of a log mean at which
# they end.
_MAX_ITER, _TOL = 25, 1e-6

# Log means stay within so much of that of the task: exp is then harmless.
_RANGE = 8.0

# Precision of the prior of an intercept; that of a coefficient is 1.
_INTERCEPT = 1e-6


def linear_counts(Z, Y, weight=None):
    r"""Working responses of Poisson heads, and their weights.

    About the mean :math:`\mu = e^\eta` at a head, the likelihood of counts is that of
    the numbers :math:`\eta + (y - \mu) / \mu` with weights :math:`\mu`. The variance
    of these numbers, which moments estimate, takes in counts that vary more than those
    of Poisson do.

    Parameters
    ----------
    Z : ndarray of shape (n, m)
        White features.

    Y : ndarray of shape (n, n_tasks, 1)
        Counts, some of each task positive; NaN where missing.

    weight : ndarray of shape (n,) or (n, n_tasks), default=None

    Returns
    -------
    Y : ndarray of shape (n, n_tasks, 1)
        Numbers; NaN where missing.

    weight : ndarray of shape (n, n_tasks)
        With the sum of the weights that were given.
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
    prior = np.diag([1.0] * Z.shape[1] + [_INTERCEPT])
    # Each count is drawn to the mean, since there is no logarithm of 0.
    eta = np.log(0.5 * (y + mean) / mean)
    for _ in range(_MAX_ITER):
        rate = mean * np.exp(eta)
        response = eta + (y - rate) / rate
        hessian = weighted_gram(features, share * rate) + prior
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
    # `regression_moments` leaves out what is missing.
    own = rate / unit
    if weight is not None:
        own = own * (weight[:, None] if weight.ndim == 1 else weight)
    return response[..., None], own
