"""Multi-task Lasso, for batches of problems: outputs that use the same features.

As for the Lasso, all computations use the Gram form of each task,

    min_W  1/2 <W, GW> - <C, W> + alpha sum_j ||W_j|| + l2/2 ||W||^2,

with ``G = Z'Z / n`` and ``C = Z'Y / n``.
"""

import torch

from sparsedis.solvers import _composite
from sparsedis.solvers._info import SolverInfo
from sparsedis.solvers._linalg import take_tasks
from sparsedis.solvers._quadratic import Quadratic
from sparsedis.solvers.lasso import WEAK
from sparsedis.solvers.ridge import solve_ridge


def solve_multitask_lasso(
    gram, corr, y_sq, alpha, l2, *, start=None, tol=1e-12, max_iter=1000, data=None
):
    """Solve a batch of multi-task Lasso problems.

    Parameters
    ----------
    gram : tensor of shape (n_tasks, k, k) or (1, k, k)
        ``Z'Z / n``. A single matrix is shared by all tasks.

    corr : tensor of shape (n_tasks, k, c)
        ``Z'Y / n``.

    y_sq : tensor of shape (n_tasks,)
        ``||Y||^2 / n``.

    alpha, l2 : tensor of shape (n_tasks,)
        Penalties, non-negative.

    start : tensor of shape (n_tasks, k, c), default=None
        Starting point; zero by default.

    tol : float, default=1e-12
        Tolerance on the duality gap, relative to the objective at zero.

    max_iter : int, default=1000
        Largest number of rounds of smoothing.

    data : callable, default=None
        Returns ``Z / sqrt(n)`` and ``Y / sqrt(n)``, for tasks without a penalty; see
        :func:`~sparsedis.solvers.ridge.solve_ridge`.

    Returns
    -------
    W : tensor of shape (n_tasks, k, c)

    info : SolverInfo
    """
    problem = Quadratic(gram, corr, y_sq, alpha, l2)
    scale = problem.scale.unsqueeze(-1)
    warm, zero = start is not None, torch.zeros_like(corr)
    start = _composite.choose_start(problem, start / scale, zero) if warm else zero
    V, info = _composite.solve(problem, start, tol=tol, max_iter=max_iter, warm=warm)
    W, gap = V * scale, info.gap
    # alpha_max is compared in the original units: rounding errors of the solver's units
    # must not decide which solutions are zero.
    largest = torch.linalg.vector_norm(corr, dim=-1).amax(-1)
    zero = alpha >= largest
    W, gap = torch.where(zero[:, None, None], 0.0, W), torch.where(zero, 0.0, gap)
    weak = (~(gap <= tol) & (alpha <= WEAK * largest)) | (alpha == 0)
    if bool(weak.any()):
        # Solve one Ridge problem per output, with certified minimum-norm solutions. The
        # value of the penalty bounds the error of leaving it out.
        at = weak.nonzero().flatten()

        def some():
            Z, Y = data()
            Z = Z if len(Z) == 1 else Z[at].repeat_interleave(Y.shape[-1], 0)
            return Z, Y[at].mT.flatten(0, 1)

        W[at], gap[at] = _solve_ridges(
            *(take_tasks(gram, at), corr[at], y_sq[at], l2[at], tol),
            None if data is None else some,
        )
        extra = alpha[at] * torch.linalg.vector_norm(W[at], dim=-1).sum(-1)
        gap[at] += 2 * extra / torch.where(y_sq[at] > 0, y_sq[at], 1.0)
    return W, SolverInfo(gap, info.n_iter, gap <= tol, (W != 0).any(-1))


def _solve_ridges(gram, corr, y_sq, l2, tol, data):
    """Solve a Ridge problem per output; returns W and the sum of the gaps of a task."""
    c = corr.shape[-1]
    if len(gram) > 1:
        gram = gram.repeat_interleave(c, 0)
    w, info, _ = solve_ridge(
        gram,
        corr.mT.flatten(0, 1),
        y_sq.repeat_interleave(c),
        l2.repeat_interleave(c),
        tol=tol,
        data=data,
    )
    return w.reshape(corr.mT.shape).mT, info.gap.reshape(-1, c).sum(-1)
