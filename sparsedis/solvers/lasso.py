"""Lasso and elastic net, many small problems at a time.

All of it works on the Gram form of each task,

    min_w  1/2 w' G w - c' w + alpha ||w||_1 + l2/2 ||w||^2,

with ``G = Z'Z / n``, ``c = Z'y / n``: the number of samples does not matter once these
are formed, and both Newton steps and the duality gap cost k^2 or k^3 per task.
"""

import torch

from sparsedis.solvers._info import SolverInfo
from sparsedis.solvers._linalg import restrict
from sparsedis.solvers.ridge import solve_ridge

# Where the active-set iteration finds the solution at all it does so in a handful of
# steps; past these it cycles, and the safeguarded method takes over.
_MAX_ACTIVE_SET = 12


def solve_lasso(gram, corr, y_sq, alpha, l2, *, start=None, tol=1e-12, max_iter=1000):
    """Solve a batch of Lasso or elastic-net problems.

    A primal-dual active-set iteration (semismooth Newton: exact once the pattern of
    signs is right) runs on the whole batch. The tasks that it leaves above ``tol``,
    because it cycles or their Gram matrix is singular, go on with Newton steps with an
    exact line search, and let one feature at a time into a support that is at its best:
    every step decreases the objective, and there are finitely many patterns of signs.

    Parameters
    ----------
    gram : tensor of shape (n_tasks, k, k) or (1, k, k)
        ``Z'Z / n``; one matrix is shared by all the tasks.

    corr : tensor of shape (n_tasks, k)
        ``Z'y / n``.

    y_sq : tensor of shape (n_tasks,)
        ``||y||^2 / n``.

    alpha, l2 : tensor of shape (n_tasks,)
        Penalties, non-negative.

    start : tensor of shape (n_tasks, k), default=None
        Where to start from; zero by default. A point with the right signs is finished
        to machine precision by one step.

    tol : float, default=1e-12
        Duality gap, relative to the objective at zero.

    max_iter : int, default=1000
        Rounds of the safeguarded method.

    Returns
    -------
    w : tensor of shape (n_tasks, k)

    info : SolverInfo
    """

    def certify(w, at):
        return lasso_gap(w, _take(gram, at), corr[at], y_sq[at], alpha[at], l2[at])

    problem = _Normalised(gram, corr, alpha, l2)
    start = torch.zeros_like(corr) if start is None else start / problem.scale
    v, n_iter = _active_set(problem, start)
    w = v * problem.scale
    gap = lasso_gap(w, gram, corr, y_sq, alpha, l2)

    # Without an l1 term the certificate and the minimum-norm choice are Ridge's.
    smooth = alpha == 0
    at = smooth.nonzero().flatten()
    if len(at):
        w[at], ridge = solve_ridge(_take(gram, at), corr[at], y_sq[at], l2[at], tol=tol)
        gap[at] = ridge.gap

    at = (~smooth & ~(gap <= tol)).nonzero().flatten()
    if len(at):
        problem, v, start = problem.take(at), v[at], start[at]
        # An iterate no better than its start would only slow the next stage down.
        better = gap[at] < certify(start * problem.scale, at)
        v = torch.where(better.unsqueeze(-1), v, start)
        w[at] = v * problem.scale
    for _ in range(max_iter):
        if len(at) == 0:
            break
        v, settled = _newton_step(problem, v)
        v = torch.where(settled, _enter(problem, v), v)
        w[at] = v * problem.scale
        n_iter[at] += 1
        gap[at] = certify(w[at], at)
        left = (~(gap[at] <= tol)).nonzero().flatten()
        if len(left) < len(at):
            at, v, problem = at[left], v[left], problem.take(left)
    return w, SolverInfo(gap, n_iter, gap <= tol, w != 0)


def lasso_gap(w, gram, corr, y_sq, alpha, l2):
    """Relative duality gap of the elastic net, in Gram form.

    Two dual points are tried and the better kept: the residual of the problem
    augmented by ``sqrt(l2) I``, scaled into the box, and, where ``l2 > 0``, the plain
    residual, whose conjugate is finite.

    Parameters
    ----------
    w : tensor of shape (n_tasks, k)
    gram, corr, y_sq, alpha, l2 : tensors
        As in :func:`solve_lasso`.

    Returns
    -------
    tensor of shape (n_tasks,)
        ``(primal - dual) / (y_sq / 2)``; 0 where ``y_sq`` is 0 and so is ``w``.
        Infinite where ``w`` is so far off that rounding would hide it.
    """
    fitted = (gram @ w.unsqueeze(-1)).squeeze(-1)
    fitted_sq = (w * fitted).sum(-1)
    w_corr = (w * corr).sum(-1)
    w_sq = l2 * (w * w).sum(-1)
    residual_sq = (y_sq - 2 * w_corr + fitted_sq).clamp_min(0)
    residual_y = y_sq - w_corr
    penalty = alpha * w.abs().sum(-1)
    primal = 0.5 * (residual_sq + w_sq) + penalty
    descent = corr - fitted

    largest = (descent - l2.unsqueeze(-1) * w).abs().amax(-1)
    shrink = torch.where(largest > alpha, alpha / largest, 1.0)
    dual = shrink * residual_y - 0.5 * shrink**2 * (residual_sq + w_sq)

    excess = ((descent.abs() - alpha.unsqueeze(-1)).clamp_min(0) ** 2).sum(-1)
    smooth = residual_y - 0.5 * residual_sq - excess / (2 * l2)
    dual = torch.where(l2 > 0, torch.maximum(dual, smooth), dual)

    gap = (primal - dual).clamp_min(0)
    gap = torch.where(y_sq > 0, gap / (0.5 * y_sq), gap)
    # Nothing better than zero has terms this large.
    sane = (fitted_sq <= 5 * y_sq) & (penalty + 0.5 * w_sq <= y_sq)
    return torch.where(sane, gap, torch.inf)


class _Normalised:
    """The problem in coordinates in which the Hessian has a unit diagonal."""

    def __init__(self, gram, corr, alpha, l2):
        hessian = gram + torch.diag_embed(l2.unsqueeze(-1).expand_as(corr))
        norm = hessian.diagonal(dim1=-2, dim2=-1).clamp_min(0).sqrt()
        # A dead feature (norm 0) keeps its zero row and never becomes active.
        scale = torch.where(norm > 0, norm, 1.0).reciprocal()
        self.hessian = hessian * (scale.unsqueeze(-1) * scale.unsqueeze(-2))
        self.corr = corr * scale
        self.penalty = alpha.unsqueeze(-1) * scale
        self.scale = scale

    def take(self, at):
        part = object.__new__(_Normalised)
        for name in ("hessian", "corr", "penalty", "scale"):
            setattr(part, name, getattr(self, name)[at])
        return part

    def descent(self, v):
        return self.corr - (self.hessian @ v.unsqueeze(-1)).squeeze(-1)


def _active_set(problem, start):
    """Semismooth Newton; the last iterate of each task may be far off, or NaN."""
    v, signs = start, None
    reach = v + problem.descent(v)
    n_iter = torch.zeros(len(v), dtype=torch.long, device=v.device)
    for _ in range(_MAX_ACTIVE_SET):
        last = signs
        signs = torch.sign(reach) * (reach.abs() > problem.penalty)
        if last is not None:
            moved = (signs != last).any(-1)
            if not bool(moved.any()):
                break
            n_iter += moved
        active = signs != 0
        rhs = (problem.corr - problem.penalty * signs) * active
        v, _ = torch.linalg.solve_ex(restrict(problem.hessian, active), rhs)
        reach = v + problem.descent(v)
    return v * (torch.sign(v) == signs), n_iter + 1


def _enter(problem, v):
    """Let the feature that gains most into each support, at its best value."""
    descent = problem.descent(v)
    excess = torch.where(v == 0, descent.abs() - problem.penalty, 0.0)
    gain, j = excess.clamp_min(0).max(-1, keepdim=True)
    return v.scatter(-1, j, v.gather(-1, j) + descent.gather(-1, j).sign() * gain)


def _newton_step(problem, v):
    """Newton step on the current signs, with an exact line search past their changes.

    The objective along the step is convex and piecewise quadratic: its derivative
    jumps by ``2 penalty_j |step_j|`` where coordinate j changes sign. Returns the new
    point and, of shape (n_tasks, 1), whether no sign changed on the way, so that the
    point is the best one with its signs.
    """
    active = v != 0
    signs = torch.sign(v)
    slope = (problem.penalty * signs - problem.descent(v)) * active
    # The tiny proximal term makes the step one of descent whatever the rank.
    shifted = problem.hessian + 1e-12 * torch.eye(
        v.shape[-1], dtype=v.dtype, device=v.device
    )
    step, _ = torch.linalg.solve_ex(restrict(shifted, active), -slope)
    step = torch.where(torch.isfinite(step).all(-1, keepdim=True), step, 0.0)

    curvature = (step * (problem.hessian @ step.unsqueeze(-1)).squeeze(-1)).sum(-1)
    curvature = curvature.clamp_min(torch.finfo(v.dtype).tiny).unsqueeze(-1)
    crossing = torch.where(step * signs < 0, -v / step, torch.inf)
    ends, order = crossing.sort(-1)
    jumps = (2 * problem.penalty * step.abs()).gather(-1, order).cumsum(-1)
    start = (slope * step).sum(-1, keepdim=True)
    # Segment i lies between crossings i and i + 1; the minimum is in the first
    # segment whose stationary point does not lie beyond its end.
    stationary = -(start + torch.nn.functional.pad(jumps, (1, 0))) / curvature
    begins = torch.nn.functional.pad(ends, (1, 0))
    ends = torch.nn.functional.pad(ends, (0, 1), value=torch.inf)
    first = (stationary <= ends).to(torch.uint8).argmax(-1, keepdim=True)
    length = torch.maximum(stationary.gather(-1, first), begins.gather(-1, first))
    length = torch.where(torch.isfinite(length), length, 0.0)
    return torch.where(crossing == length, 0.0, v + length * step), first == 0


def _take(gram, at):
    return gram if len(gram) == 1 else gram[at]
