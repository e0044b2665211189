"""Ridge regression in closed form, for batches of problems."""

import torch

from sparsedis.solvers._data_system import DataSystem
from sparsedis.solvers._info import SolverInfo
from sparsedis.solvers._linalg import product, ridge_system, take_tasks


def solve_ridge(gram, corr, y_sq, l2, *, tol=1e-12, data=None):
    """Solve ``min_w 1/2 w'Gw - c'w + l2/2 ||w||^2`` for a batch of tasks.

    If a system is singular (``l2 = 0`` and dependent columns), the result is the
    minimum-norm solution.

    Parameters
    ----------
    gram : tensor of shape (n_tasks, k, k) or (1, k, k)
        ``Z'Z / n``. A single matrix is shared by all tasks.

    corr : tensor of shape (n_tasks, k)
        ``Z'y / n``.

    y_sq : tensor of shape (n_tasks,)
        ``||y||^2 / n``.

    l2 : tensor of shape (n_tasks,)
        Penalties, non-negative.

    tol : float, default=1e-12
        Tolerance on the duality gap, relative to the objective at zero.

    data : callable, default=None
        Returns ``Z / sqrt(n)`` of shape (n_tasks, n_samples, k) or (1, n_samples, k),
        and ``y / sqrt(n)`` of shape (n_tasks, n_samples). The Gram matrix does not
        determine the differences between nearly dependent columns. Tasks with such
        columns are solved and certified from these data.

    Returns
    -------
    w : tensor of shape (n_tasks, k)

    info : SolverInfo

    system : SupportSystem
        Factors of ``G + l2``, which the gradient of ``w`` needs too.
    """
    every = torch.ones_like(corr, dtype=torch.bool)
    hessian, system = ridge_system(gram, l2, every)
    w = system.solve(corr)
    # One step of refinement. The gap of a quadratic has a closed form: 1/2 q' H^+ q for
    # the gradient q.
    w = w + system.solve(corr - product(hessian, w.unsqueeze(-1)).squeeze(-1))
    gradient = corr - product(hessian, w.unsqueeze(-1)).squeeze(-1)
    gap = (gradient * system.solve(gradient)).sum(-1).abs()
    gap = gap / torch.where(y_sq > 0, y_sq, 1.0)
    poor = system.poor.expand(len(w))
    if data is not None and bool(poor.any()):
        Z, y = data()
        for at in (poor & (l2 > 0), poor & (l2 == 0)):
            at = at.nonzero().flatten()
            if len(at):
                w[at], exact = DataSystem(take_tasks(Z, at), l2[at]).solve(y[at])
                half = 0.5 * y[at].square().sum(-1)
                gap[at] = exact / torch.where(half > 0, half, 1.0)
    n_iter = torch.ones(len(w), dtype=torch.long, device=w.device)
    return w, SolverInfo(gap, n_iter, gap <= tol, every), system
