"""Newton's method on smoothed norms, with less and less smoothing."""

import torch

from sparsedis.solvers._groups import Rows
from sparsedis.solvers._newton_step import newton_step, solve_blocks

# Rounds of smoothing without progress after which a task stops, because rounding errors
# are probably the cause.
_MAX_STALLED = 30


def smooth(problem, best, V, max_iter):
    """Primal-dual Newton method on ``||V_j||`` smoothed to ``sqrt(||V_j||^2 + m^2)``.

    The direction ``u_j`` of a row is a separate unknown (Chan, Golub and Mulet, 1999).
    Steps then stay long while m (``width``) goes to zero. After each step, two Newton
    steps on the problem without smoothing try to solve it.
    """
    at = (~best.good).nonzero().flatten()
    problem, V = problem.take(at), V[at]
    best.stalled[at] = 0
    # Start with m equal to the largest norm of a row after one gradient step.
    width = torch.linalg.vector_norm(V - problem.gradient(V), dim=-1)
    width = width.amax(-1, keepdim=True)
    u = torch.zeros_like(V)
    for _ in range(max_iter):
        if len(at) == 0:
            break
        V, u, width = _smoothing_step(problem, V, u, width)
        last = newton_step(problem, V)
        X = newton_step(problem, last)
        gap = problem.gap(X)
        # The smoothed point, without the rows that a gradient step makes zero.
        kept = problem.penalty.active(V, V - problem.gradient(V))
        rounded = V * kept.unsqueeze(-1)
        rounded_gap = problem.gap(rounded)
        worse = ~(gap <= rounded_gap)
        X = torch.where(worse[:, None, None], rounded, X)
        best.offer(problem, at, X, torch.where(worse, rounded_gap, gap), last)
        left = ~best.good[at] & (best.stalled[at] < _MAX_STALLED)
        left = left.nonzero().flatten()
        if len(left) < len(at):
            at, V, u, width = at[left], V[left], u[left], width[left]
            problem = problem.take(left)


def _smoothing_step(problem, V, u, width):
    """Newton step on the smoothed problem; returns V, u and the next m."""
    norm = ((V * V).sum(-1) + width * width).sqrt()
    towards = V / norm.unsqueeze(-1)
    threshold = problem.penalty.threshold
    slope = problem.gradient(V) + threshold.unsqueeze(-1) * towards
    every = Rows(torch.ones_like(norm, dtype=torch.bool))
    blocks = problem.penalty.smoothed(u, towards, norm)
    step = solve_blocks(problem.hessian(V, every), blocks, -slope, every)
    step = torch.where(torch.isfinite(step).all(2).all(1)[:, None, None], step, 0.0)
    # The directions after a full step, projected onto the unit ball.
    along = (towards * step).sum(-1, keepdim=True)
    u = towards + (step - u * along) / norm.unsqueeze(-1)
    u = u / torch.linalg.vector_norm(u, dim=-1, keepdim=True).clamp_min(1.0)
    length = _line_search(problem, V, step, width)
    # Reduce m less if the curvature of the norms has shortened the step.
    width = torch.where(length > 0.5, 0.2, 0.7) * width
    return V + length.unsqueeze(-1) * step, u, width


def _line_search(problem, V, step, width):
    """Length that minimises the smoothed objective, among powers of 1/2.

    The result has shape (n_tasks, 1).
    """
    cross = (V * step).sum(-1).unsqueeze(1)
    step_sq = (step * step).sum(-1).unsqueeze(1)
    norm_sq = ((V * V).sum(-1) + width * width).unsqueeze(1)
    powers = 2.0 ** -torch.arange(40, dtype=V.dtype, device=V.device)
    lengths = powers.expand(len(V), -1)
    t = lengths.unsqueeze(-1)
    norm = (norm_sq + t * (2 * cross + t * step_sq)).clamp_min(0).sqrt()
    objective = problem.along(V, step, lengths)
    threshold = problem.penalty.threshold
    objective = objective + (threshold.unsqueeze(1) * norm).sum(-1)
    objective = torch.where(torch.isnan(objective), torch.inf, objective)
    return lengths.gather(-1, objective.argmin(-1, keepdim=True))
