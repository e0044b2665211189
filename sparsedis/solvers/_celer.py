"""The Lasso by celer, one task after the other. The only file that imports celer."""

import warnings

import numpy as np
import torch
from celer import celer_path
from sklearn.exceptions import ConvergenceWarning

from sparsedis.solvers.lasso import solve_lasso

# celer finds the support; asked for the last digits it may cycle for ever. From here
# the Newton steps of solve_lasso take them.
_TOL = 1e-6
_MAX_ITER = 20


def solve_lasso_celer(Z, y, gram, corr, y_sq, alpha, l2, *, tol=1e-12, max_iter=1000):
    """Solve Lasso or elastic-net problems with celer's working sets, on the CPU.

    celer finds the support of each task; :func:`~sparsedis.solvers.lasso.solve_lasso`
    finishes all the tasks together from there, so that solutions and certificates are
    the same whoever did the work.

    Parameters
    ----------
    Z : tensor of shape (n_tasks, n_samples, k) or (1, n_samples, k)
        Features, centred and weighted; already divided by ``sqrt(n)``, so that the
        objective is ``1/2 ||y - Zw||^2 + alpha ||w||_1 + l2/2 ||w||^2``.

    y : tensor of shape (n_tasks, n_samples)
        Targets, likewise.

    gram, corr, y_sq, alpha, l2 : tensor
        As in :func:`~sparsedis.solvers.lasso.solve_lasso`.

    tol : float, default=1e-12
        Duality gap, relative to the objective at zero.

    max_iter : int, default=1000
        Largest number of finishing rounds.

    Returns
    -------
    w : tensor of shape (n_tasks, k)

    info : SolverInfo
    """
    features = Z.detach().cpu().double().numpy()
    targets = y.detach().cpu().double().numpy()
    alphas, ridges = alpha.detach().cpu().tolist(), l2.detach().cpu().tolist()
    start = np.stack(
        [
            _solve_one(features[t if len(features) > 1 else 0], target, alphas[t], l2)
            for t, (target, l2) in enumerate(zip(targets, ridges, strict=True))
        ]
    )
    start = torch.from_numpy(start).to(y)
    return solve_lasso(
        gram, corr, y_sq, alpha, l2, start=start, tol=tol, max_iter=max_iter
    )


def _solve_one(Z, y, alpha, l2):
    if alpha == 0:
        # Ridge, which solve_lasso has in closed form.
        return np.zeros(Z.shape[1])
    if l2 > 0:
        # The elastic net is the Lasso of an augmented design.
        Z = np.concatenate([Z, np.sqrt(l2) * np.eye(Z.shape[1])])
        y = np.concatenate([y, np.zeros(Z.shape[1])])
    n = len(y)
    objective_at_zero = 0.5 * (y @ y)
    if np.abs(Z.T @ y).max() <= alpha:
        return np.zeros(Z.shape[1])
    with warnings.catch_warnings():
        # The final certificate is computed, and judged, by the caller.
        warnings.simplefilter("ignore", ConvergenceWarning)
        # celer's objective is a mean over the n rows.
        _, coefs, _ = celer_path(
            np.array(Z, order="F"),
            np.array(y),
            "lasso",
            alphas=[alpha / n],
            tol=_TOL * objective_at_zero / n,
            max_iter=_MAX_ITER,
            p0=min(100, Z.shape[1]),
            prune=1,
        )
    return coefs[:, 0]
