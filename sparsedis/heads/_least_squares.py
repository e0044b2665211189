"""Heads without a penalty: on the features of a Lasso, and to know the noise."""

import numpy as np
import torch

# Smallest variance of the noise, relative to that of the targets: rounding errors.
_FLOOR = 1e-12


def relax(Z, Y, share, support, fit_intercept):
    """Fit the heads of some tasks on their features, by least squares.

    Parameters
    ----------
    Z : ndarray of shape (n, p)

    Y : ndarray of shape (n, n_tasks)

    share : ndarray of shape (n, n_tasks)
        Weights of the labels, 0 where missing.

    support : ndarray of shape (n_tasks, p) of bool

    fit_intercept : bool

    Returns
    -------
    coef : ndarray of shape (n_tasks, p)
        Of minimum norm if several heads fit as well.

    intercept : ndarray of shape (n_tasks,)
    """
    coef, intercept = np.zeros(support.shape), np.zeros(len(support))
    for t, used in enumerate(support):
        rows, y, root, mean, middle = _centred(Z, Y, share, t, fit_intercept)
        part = root[:, None] * (rows[:, used] - mean[used])
        coef[t, used] = np.linalg.lstsq(part, root * (y - middle), rcond=None)[0]
        intercept[t] = middle - coef[t] @ mean
    return coef, intercept


def relax_points(Z, y, weight, fold, f, coef, fit_intercept):
    """Fit several heads of a task without a fold, each on the features that it uses.

    Parameters
    ----------
    Z : tensor of shape (n, p)

    y, weight, fold : tensor of shape (n,)
        Targets, weights of the labels, 0 where missing, and their folds.

    f : int
        The fold.

    coef : tensor of shape (n_heads, p)

    fit_intercept : bool

    Returns
    -------
    coef : tensor of shape (n_heads, p)

    intercept : tensor of shape (n_heads,)
    """
    inside = torch.where(fold == f, 0.0, weight)
    columns = (part[:, None].expand(-1, len(coef)) for part in (y, inside))
    data = (part.cpu().numpy() for part in (Z, *columns, coef != 0))
    head = relax(*data, fit_intercept)
    return tuple(torch.from_numpy(part).to(Z) for part in head)


def bic(Z, Y, share, coef, intercept, fit_intercept):
    """Bayesian information criterion of the heads on the paths of some tasks.

    As in :class:`~sklearn.linear_model.LassoLarsIC`, the variance of the noise is that
    of the least-squares head of all features, and the degrees of freedom are the
    features in use [1]_.

    Parameters
    ----------
    Z, Y, share, fit_intercept : object
        As for :func:`relax`.

    coef : ndarray of shape (n_tasks, n_alphas, p)

    intercept : ndarray of shape (n_tasks, n_alphas)

    Returns
    -------
    ndarray of shape (n_tasks, n_alphas)

    Raises
    ------
    ValueError
        When a task has no more labels than independent features.

    References
    ----------
    .. [1] H. Zou, T. Hastie, R. Tibshirani, "On the degrees of freedom of the lasso",
       Annals of Statistics 35, 2007.
    """
    criterion = np.empty(intercept.shape)
    for t in range(len(coef)):
        rows, y, root, mean, middle = _centred(Z, Y, share, t, fit_intercept)
        n, design = len(y), root[:, None] * (rows - mean)
        target = root * (y - middle)
        full, _, rank, _ = np.linalg.lstsq(design, target, rcond=None)
        freedom = n - rank - fit_intercept
        if freedom < 1:
            raise ValueError(
                "selection='bic' needs more labels than features, to know the noise; "
                f"a task has {n} labels and {rank} independent features. Use 'cv'."
            )
        # The weights of all labels add up to their number.
        square = n * (target @ target)
        noise = n * ((target - design @ full) ** 2).sum() / freedom
        noise = max(noise, _FLOOR * square / n, np.finfo(float).tiny)
        left = y[:, None] - rows @ coef[t].T - intercept[t]
        rss = n * ((root[:, None] * left) ** 2).sum(0)
        n_used = (coef[t] != 0).sum(1)
        criterion[t] = n * np.log(2 * np.pi * noise) + rss / noise + np.log(n) * n_used
    return criterion


def _centred(Z, Y, share, t, fit_intercept):
    """Labelled rows of a task, roots of their weights, and means."""
    at = share[:, t] > 0
    rows, y, weight = Z[at], Y[at, t], share[at, t] / share[at, t].sum()
    mean, middle = np.zeros(Z.shape[1]), 0.0
    if fit_intercept:
        mean, middle = weight @ rows, weight @ y
    return rows, y, np.sqrt(weight), mean, middle
