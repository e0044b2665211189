"""Ridge regression of several targets, with leave-one-out errors."""

import numpy as np

# Penalties to try, for inputs of unit variance.
ALPHAS = np.logspace(-2, 5, 15)


def ridge(X, Y, weight=None, *, fit_intercept=True):
    """Ridge regression of several targets, with leave-one-out errors.

    The inputs are scaled to unit variance, and the penalty of each task minimises the
    leave-one-out error.

    Parameters
    ----------
    X : ndarray of shape (n, p)

    Y : ndarray of shape (n, n_tasks, n_outputs)

    weight : ndarray of shape (n,), default=None
        Positive weights of the rows.

    fit_intercept : bool, default=True

    Returns
    -------
    coef : ndarray of shape (n_tasks, n_outputs, p)

    intercept : ndarray of shape (n_tasks, n_outputs)

    errors : ndarray of shape (n, n_tasks, n_outputs)
        Label minus prediction without the row; NaN if no other row is left.
    """
    n, n_tasks, n_outputs = Y.shape
    share = np.ones((n, 1))
    if weight is not None:
        share = weight[:, None] / weight.mean()
    Y = Y.reshape(n, -1)
    X_mean, Y_mean = np.zeros(X.shape[1]), np.zeros(Y.shape[1])
    if fit_intercept:
        X_mean, Y_mean = (share * X).mean(0), (share * Y).mean(0)
    X, Y = X - X_mean, Y - Y_mean
    unit = np.sqrt((share * X**2).mean(0))
    unit = np.where(unit > 1e-12 * np.abs(X_mean), unit, np.inf)
    U, s, Vt = np.linalg.svd(np.sqrt(share) * (X / unit), full_matrices=False)
    dual, errors = leave_one_out(
        *(U, s, Y.reshape(n, n_tasks, n_outputs), share, ALPHAS),
        fit_intercept=fit_intercept,
    )
    coef = Vt.T @ (s[:, None] * dual) / unit[:, None]
    intercept = (Y_mean - X_mean @ coef).reshape(n_tasks, n_outputs)
    coef = np.swapaxes(coef.reshape(-1, n_tasks, n_outputs), 0, 1)
    return np.swapaxes(coef, 1, 2), intercept, errors.reshape(n, n_tasks, n_outputs)


def leave_one_out(U, s, Y, share, alphas, *, fit_intercept):
    """Solutions of Ridge regressions with the least leave-one-out errors.

    Parameters
    ----------
    U : ndarray of shape (n, k)
        Left singular vectors of the inputs, which are centred and multiplied by the
        roots of the weights.

    s : ndarray of shape (k,)
        Singular values.

    Y : ndarray of shape (n, n_tasks, n_outputs)
        Centred targets.

    share : ndarray of shape (n, 1)
        Weights of mean 1.

    alphas : ndarray of increasing penalties

    fit_intercept : bool
        Whether inputs and targets were centred.

    Returns
    -------
    dual : ndarray of shape (k, n_tasks * n_outputs)
        Coefficients of the left singular vectors in the dual solution: those of the
        right ones are `s` times as large.

    errors : ndarray of shape (n, n_tasks * n_outputs)
        Target minus prediction without the row; NaN if no other row is left.
    """
    n, n_tasks, n_outputs = Y.shape
    Y, root = Y.reshape(n, -1), np.sqrt(share)
    projected, leverage = U.T @ (root * Y), U**2
    best = np.full(n_tasks, np.inf)
    dual, errors = np.zeros_like(projected), np.full(Y.shape, np.nan)
    for alpha in alphas[::-1]:
        inverse = 1 / (s**2 + alpha)
        kept = s**2 * inverse
        left = 1 - leverage @ kept - (share[:, 0] / n if fit_intercept else 0.0)
        found = Y - (U @ (kept[:, None] * projected)) / root
        found /= np.where(left > 1e-10, left, np.nan)[:, None]
        loss = np.nansum(share * found**2, 0).reshape(n_tasks, n_outputs).sum(1)
        better = loss < best
        best = np.where(better, loss, best)
        better = np.repeat(better, n_outputs)
        dual[:, better] = inverse[:, None] * projected[:, better]
        errors[:, better] = found[:, better]
    return dual, errors
