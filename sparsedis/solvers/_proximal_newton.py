"""Proximal Newton method: sparse problems as a sequence of Lassos."""

import numpy as np
import torch

from sparsedis.solvers import _composite
from sparsedis.solvers._arrays import tensors, views
from sparsedis.solvers._pivoting import find_active
from sparsedis.solvers._products import pull
from sparsedis.solvers._smooth_newton import own_hessian
from sparsedis.solvers._sweeps import sweep_blocks

# Maximal number of steps.
_STEPS = 20

# Violation below which to stop as soon as it does not fall to half.
_ROUNDING = 1e-10

# With several scores, steps are not exact. Newton steps follow at this violation,
# relative to the penalty.
_NEAR, _SWEEPS = 0.05, 10

# Lengths of steps where the whole one does not lower the objective.
_LENGTHS = 0.0, 1.0, 0.5, 0.25, 0.1, 0.01

# Rise of the objective that rounding errors can explain.
_RISE = 1e-14

# Largest number of coefficients of a task with one score, and with several: the
# Hessians of all of them are used. With more scores, the general solver is faster.
_LARGEST, _LARGEST_OF_SEVERAL, _SEVERAL = 260, 130, 4


def solve_sparse(problem, start, *, tol, max_iter, warm):
    """Solve problems with norms of rows; the general solver takes what is left.

    Parameters and results are those of :func:`sparsedis.solvers._composite.solve`.
    """
    how = {"tol": tol, "max_iter": max_iter}
    n_scores, size = start.shape[-1], start[0].numel()
    exact = n_scores == 1
    suits = size <= _LARGEST
    if not exact:
        on_host = isinstance(views(start)[0], np.ndarray)
        suits = on_host and n_scores <= _SEVERAL and size <= _LARGEST_OF_SEVERAL
    if not suits:
        return _composite.solve(problem, start, warm=warm, **how)
    V, n_iter = proximal_newton(problem, start)
    # With several scores, the last digits are those of the general solver.
    return _composite.finish(problem, V, n_iter, start, warm=warm, exact=exact, **how)


def proximal_newton(problem, V):
    """Minimise a loss with norms of rows.

    Each step minimises the norms and a second-order model of the loss. With one score,
    this is a Lasso, solved exactly by block principal pivoting. With several, sweeps of
    block coordinate descent come near its minimum. Correlated features slow down
    neither.

    Parameters
    ----------
    problem : Logistic or Linear
        Convex, with penalties of the class `Norms`.

    V : tensor of shape (n_tasks, k, d)
        Starting point.

    Returns
    -------
    V : tensor of shape (n_tasks, k, d)
        Solution with one score, a point near it with several. The last point of tasks
        whose steps fail.

    n_iter : tensor of shape (n_tasks,) of int
        Number of steps.
    """
    found, n_iter = V.clone(), torch.zeros(len(V), dtype=torch.long, device=V.device)
    at = torch.arange(len(V), device=V.device)
    before = torch.full_like(V[:, 0, 0], torch.inf)
    for _ in range(_STEPS):
        slopes, bends = problem.derivatives(problem.scores(V))
        slope = problem.scale.unsqueeze(-1) * pull(problem.Z, problem.weight * slopes)
        gradient = slope + problem.ridge.unsqueeze(-1) * V
        size = _violation(problem, V, gradient)
        if V.shape[-1] == 1:
            going = (size > _ROUNDING) | (2 * size < before)
        else:
            going = size > _NEAR * problem.penalty.threshold.amax(1)
        going &= before > 0
        before = size
        if not bool(going.all()):
            found[at] = V
            on = going.nonzero().flatten()
            if not len(on):
                return found, n_iter
            at, problem, before = at[on], problem.take(on), before[on]
            V, gradient, bends = V[on], gradient[on], bends[on]
        new = _shorten(problem, V, _minimum_of_model(problem, V, gradient, bends))
        # The same step would fail again.
        before = torch.where((new == V).all(2).all(1), 0.0, before)
        V = new
        n_iter[at] += 1
    found[at] = V
    return found, n_iter


def _violation(problem, V, gradient):
    """Largest entry of ``V - prox(V - gradient)``, without rounding errors of V."""
    bound, reach = problem.penalty.threshold.unsqueeze(-1), V - gradient
    length = torch.linalg.vector_norm(reach, dim=-1, keepdim=True)
    inside = torch.where(length > bound, bound / length, 1.0) * reach
    return (gradient + inside).abs().amax((1, 2))


def _minimum_of_model(problem, V, gradient, bends):
    """Minimum of the model; NaN where pivoting fails."""
    n_tasks, k, d = V.shape
    scale = problem.scale.repeat(1, d)
    hessian = own_hessian(problem, bends)
    hessian *= scale.unsqueeze(-1) * scale.unsqueeze(-2)
    # Units in which the largest eigenvalue of the block of each row is at most one.
    blocks = hessian.view(n_tasks, d, k, d, k).diagonal(dim1=2, dim2=4)
    largest = blocks.abs().sum(1).amax(1)
    unit = torch.where(largest > 0, largest.rsqrt(), 1.0)
    every = unit.repeat(1, d)
    hessian *= every.unsqueeze(-1) * every.unsqueeze(-2)
    bound = unit * problem.penalty.threshold
    start, unit = V / unit.unsqueeze(-1), unit.unsqueeze(-1)
    flat = start.mT.reshape(n_tasks, d * k, 1)
    corr = (hessian @ flat).view(n_tasks, d, k).mT - unit * gradient
    hessian, corr, bound, start = views(hessian, corr, bound, start)
    if d == 1:
        new, _ = find_active(hessian, corr, bound[..., None], start)
    else:
        new = sweep_blocks(hessian, corr, bound, start, _SWEEPS)
    return unit * tensors(new)[0]


def _shorten(problem, V, new):
    """The points `new`, or nearer ones where the objective does not fall."""
    step = new - V
    value, ahead = _objective(problem, V, step, _LENGTHS[:2]).unbind(1)
    at = (~(ahead <= value + _RISE * value.abs())).nonzero().flatten()
    if len(at):
        V, step = V[at], step[at]
        values = _objective(problem.take(at), V, step, _LENGTHS)
        best = values.nan_to_num(torch.inf).argmin(1)
        length = V.new_tensor(_LENGTHS)[best][:, None, None]
        new[at] = torch.where(length > 0, V + length * step, V)
    return new


def _objective(problem, V, step, lengths):
    """Objectives along steps, of shape (n_tasks, n_lengths)."""
    lengths = V.new_tensor(lengths).expand(len(V), -1)
    moved = V.unsqueeze(1) + lengths[..., None, None] * step.unsqueeze(1)
    norms = torch.linalg.vector_norm(moved, dim=-1)
    norms = (problem.penalty.threshold.unsqueeze(1) * norms).sum(-1)
    return problem.along(V, step, lengths) + norms
