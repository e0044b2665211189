"""Sparse problems solved by celer, task by task.

celer is optional, since it has no wheel for every Python. Only this file imports it.
"""

import warnings

import numpy as np
import torch
from celer import celer_path
from celer.homotopy import mtl_path
from sklearn.exceptions import ConvergenceWarning

from sparsedis.solvers.lasso import solve_lasso
from sparsedis.solvers.multitask_lasso import solve_multitask_lasso

# Tolerance and iterations of celer. It finds the support, but may cycle forever at
# smaller tolerances. The Newton steps of solve_lasso compute the last digits.
_TOL = 1e-6
_MAX_ITER = 20


def solve_lasso_celer(Z, y, gram, corr, y_sq, alpha, l2, *, tol=1e-12, max_iter=1000):
    """Solve Lasso or elastic-net problems with celer's working sets, on the CPU.

    celer finds the support of each task. From there,
    :func:`~sparsedis.solvers.lasso.solve_lasso` finishes all tasks together, so that
    solutions and certificates do not depend on the choice of celer.

    Parameters
    ----------
    Z : tensor of shape (n_tasks, n_samples, k) or (1, n_samples, k)
        Features, centred, weighted and divided by ``sqrt(n)``, so that the objective is
        ``1/2 ||y - Zw||^2 + alpha ||w||_1 + l2/2 ||w||^2``.

    y : tensor of shape (n_tasks, n_samples)
        Targets, transformed like the features.

    gram, corr, y_sq, alpha, l2 : tensor
        As in :func:`~sparsedis.solvers.lasso.solve_lasso`.

    tol : float, default=1e-12
        Tolerance on the duality gap, relative to the objective at zero.

    max_iter : int, default=1000
        Largest number of rounds after celer.

    Returns
    -------
    w : tensor of shape (n_tasks, k)

    info : SolverInfo
    """
    start = _one_by_one(Z, y, alpha, l2)
    how = {"tol": tol, "max_iter": max_iter, "data": lambda: (Z, y)}
    return solve_lasso(gram, corr, y_sq, alpha, l2, start=start, **how)


def solve_multitask_lasso_celer(
    Z, Y, gram, corr, y_sq, alpha, l2, *, tol=1e-12, max_iter=1000
):
    """Solve multi-task Lasso problems with celer's working sets, on the CPU.

    As for the Lasso, celer finds the support, and
    :func:`~sparsedis.solvers.multitask_lasso.solve_multitask_lasso` finishes.

    Parameters
    ----------
    Z : tensor of shape (n_tasks, n_samples, k) or (1, n_samples, k)
        Features as for :func:`solve_lasso_celer`.

    Y : tensor of shape (n_tasks, n_samples, c)
        Targets, transformed like the features.

    gram, corr, y_sq, alpha, l2 : tensor
        As in :func:`~sparsedis.solvers.multitask_lasso.solve_multitask_lasso`.

    tol : float, default=1e-12
        Tolerance on the duality gap, relative to the objective at zero.

    max_iter : int, default=1000
        Largest number of rounds after celer.

    Returns
    -------
    W : tensor of shape (n_tasks, k, c)

    info : SolverInfo
    """
    start = _one_by_one(Z, Y, alpha, l2)
    how = {"tol": tol, "max_iter": max_iter, "data": lambda: (Z, Y)}
    return solve_multitask_lasso(gram, corr, y_sq, alpha, l2, start=start, **how)


def start_logistic_celer(Z, labels, weight, alpha):
    """Approximate solutions of binary logistic regressions by celer.

    :func:`~sparsedis.solvers.logistic.solve_logistic` starts from them.

    Parameters
    ----------
    Z : tensor of shape (n_tasks, n_samples, k) or (1, n_samples, k)
        Features.

    labels : tensor of shape (n_tasks, n_samples) of int
        0 or 1.

    weight : tensor of shape (n_tasks, n_samples)
        Zero for samples to leave out; all other weights are equal.

    alpha : tensor of shape (n_tasks,)
        Penalties; the loss is a mean over the samples.

    Returns
    -------
    tensor of shape (n_tasks, k, 1)
    """
    features, labels, weight = (
        x.detach().cpu().numpy() for x in (Z.double(), labels, weight)
    )
    coefs = []
    for t, penalty in enumerate(alpha.detach().cpu().tolist()):
        used = weight[t] > 0
        rows = features[t if len(features) > 1 else 0][used]
        signs = 2.0 * labels[t][used] - 1.0
        # Zero is optimal for large penalties. celer needs a positive penalty.
        if penalty == 0 or np.abs(rows.T @ signs).max() <= 2 * len(rows) * penalty:
            coefs.append(np.zeros(rows.shape[1]))
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            # celer's objective and gap are sums over the samples.
            _, path, _ = celer_path(
                np.array(rows, order="F"),
                signs,
                "logreg",
                alphas=[penalty * len(rows)],
                tol=_TOL * len(rows) * np.log(2),
                max_iter=_MAX_ITER,
                p0=min(100, rows.shape[1]),
                prune=1,
            )
        coefs.append(path[:, 0])
    return torch.from_numpy(np.stack(coefs)).to(Z).unsqueeze(-1)


def _one_by_one(Z, Y, alpha, l2):
    """Solve each task with celer; the result has the dtype and device of Y."""
    features, targets = (x.detach().cpu().double().numpy() for x in (Z, Y))
    penalties = zip(
        alpha.detach().cpu().tolist(), l2.detach().cpu().tolist(), strict=True
    )
    coefs = [
        _solve_one(features[t if len(features) > 1 else 0], targets[t], *both)
        for t, both in enumerate(penalties)
    ]
    return torch.from_numpy(np.stack(coefs)).to(Y)


def _solve_one(Z, Y, alpha, l2):
    """Solve one task; the coefficients have as many axes as Y."""
    k = Z.shape[1]
    zero = np.zeros((k, *Y.shape[1:]))
    if l2 > 0:
        # The elastic net is the Lasso of an augmented design.
        Z = np.concatenate([Z, np.sqrt(l2) * np.eye(k)])
        Y = np.concatenate([Y, zero])
    size = np.abs(Z.T @ Y) if Y.ndim == 1 else np.linalg.norm(Z.T @ Y, axis=1)
    if alpha == 0 or size.max() <= alpha:
        # Zero is optimal for a large alpha. With alpha = 0 the problem is Ridge, which
        # solve_lasso solves in closed form from any start.
        return zero
    n = len(Y)
    how = {
        # celer's objective is a mean over the n rows.
        "alphas": [alpha / n],
        "tol": _TOL * 0.5 * (Y * Y).sum() / n,
        "max_iter": _MAX_ITER,
        "p0": min(100, k),
        "prune": 1,
    }
    Z, Y = np.array(Z, order="F"), np.array(Y, order="F")
    with warnings.catch_warnings():
        # The caller computes and checks the certificate.
        warnings.simplefilter("ignore", ConvergenceWarning)
        if Y.ndim == 1:
            return celer_path(Z, Y, "lasso", **how)[1][:, 0]
        return mtl_path(Z, Y, **how)[1][..., 0].T
