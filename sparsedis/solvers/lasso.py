"""Lasso and elastic net, many small problems at a time.

All of it works on the Gram form of each task,

    min_w  1/2 w' G w - c' w + alpha ||w||_1 + l2/2 ||w||^2,

with ``G = Z'Z / n``, ``c = Z'y / n``: the number of samples does not matter once these
are formed, and both Newton steps and the duality gap cost k^2 or k^3 per task.
"""

import torch

from sparsedis.solvers._info import SolverInfo
from sparsedis.solvers._linalg import solve_active
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
    problem = _Normalised(gram, corr, alpha, l2)
    v, n_iter = _active_set(problem, None if start is None else start / problem.scale)
    w = v * problem.scale
    gap = lasso_gap(w, gram, corr, y_sq, alpha, l2)

    smooth = alpha == 0
    if bool(smooth.any()):
        # The certificate and the minimum-norm choice are Ridge's.
        at = smooth.nonzero().flatten()
        w[at], ridge = solve_ridge(_take(gram, at), corr[at], y_sq[at], l2[at], tol=tol)
        gap[at] = ridge.gap
    at = (~(smooth | (gap <= tol))).nonzero().flatten()
    if len(at):
        gram_form = tuple(_take(part, at) for part in (gram, corr, y_sq, alpha, l2))
        first = torch.zeros_like(w[at]) if start is None else start[at]
        # An iterate no better than its start would only slow the descent down.
        better = (gap[at] < lasso_gap(first, *gram_form)).unsqueeze(-1)
        first = torch.where(better, w[at], first)
        w[at], rounds = _descend(problem.take(at), gram_form, first, tol, max_iter)
        gap[at] = lasso_gap(w[at], *gram_form)
        n_iter[at] += rounds
    return w, SolverInfo(gap, n_iter, gap <= tol, w != 0)


def _descend(problem, gram_form, w, tol, max_iter):
    """Decrease the objective of every task until its gap is below ``tol``."""
    w, v = w.clone(), w / problem.scale
    n_iter = torch.zeros(len(w), dtype=torch.long, device=w.device)
    at = torch.arange(len(w), device=w.device)
    for _ in range(max_iter):
        v, settled = _newton_step(problem, v)
        v = torch.where(settled, _enter(problem, v), v)
        w[at] = v * problem.scale
        n_iter[at] += 1
        gap = lasso_gap(w[at], *gram_form)
        left = (~(gap <= tol)).nonzero().flatten()
        if len(left) == 0:
            break
        if len(left) < len(at):
            at, v, problem = at[left], v[left], problem.take(left)
            gram_form = tuple(_take(part, left) for part in gram_form)
    return w, n_iter


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
    descent = corr - fitted
    products = w.unsqueeze(-2) @ torch.stack([corr, fitted, w], -1)
    w_corr, fitted_sq, w_sq = products.squeeze(-2).unbind(-1)
    w_sq = l2 * w_sq
    residual_y = y_sq - w_corr
    residual_sq = (residual_y - w_corr + fitted_sq).clamp_min(0)
    penalty = alpha * w.abs().sum(-1)
    primal = 0.5 * (residual_sq + w_sq) + penalty

    largest = torch.addcmul(descent, l2.unsqueeze(-1), w, value=-1).abs().amax(-1)
    shrink = torch.where(largest > alpha, alpha / largest, 1.0)
    dual = shrink * (residual_y - 0.5 * shrink * (residual_sq + w_sq))

    if bool((l2 > 0).any()):
        excess = ((descent.abs() - alpha.unsqueeze(-1)).clamp_min(0) ** 2).sum(-1)
        smooth = residual_y - 0.5 * residual_sq - excess / (2 * l2)
        dual = torch.where(l2 > 0, torch.maximum(dual, smooth), dual)

    gap = (primal - dual).clamp_min(0) / torch.where(y_sq > 0, 0.5 * y_sq, 1.0)
    # Nothing better than zero has terms this large.
    sane = (fitted_sq <= 5 * y_sq) & (penalty + 0.5 * w_sq <= y_sq)
    return torch.where(sane, gap, torch.inf)


class _Normalised:
    """The problem in coordinates in which the Hessian has a unit diagonal."""

    def __init__(self, gram, corr, alpha, l2):
        diagonal = gram.diagonal(dim1=-2, dim2=-1) + l2.unsqueeze(-1)
        # A dead feature is correlated with nothing and so never becomes active.
        scale = torch.where(diagonal > 0, diagonal.rsqrt(), 1.0)
        self.hessian = gram * (scale.unsqueeze(-1) * scale.unsqueeze(-2))
        self.hessian.diagonal(dim1=-2, dim2=-1).fill_(1.0)
        self.corr = corr * scale
        self.penalty = alpha.unsqueeze(-1) * scale
        self.scale = scale

    def take(self, at):
        part = object.__new__(_Normalised)
        for name in ("hessian", "corr", "penalty", "scale"):
            setattr(part, name, getattr(self, name)[at])
        return part

    def descent(self, v):
        return torch.baddbmm(
            self.corr.unsqueeze(-1), self.hessian, v.unsqueeze(-1), alpha=-1
        ).squeeze(-1)


def _active_set(problem, start):
    """Semismooth Newton; the last iterate of each task may be far off, or NaN."""
    signs = None
    reach = problem.corr if start is None else start + problem.descent(start)
    n_iter = torch.ones(len(reach), dtype=torch.long, device=reach.device)
    for _ in range(_MAX_ACTIVE_SET):
        last, signs = signs, reach.sign() * (reach.abs() > problem.penalty)
        if last is not None:
            moved = (signs != last).any(-1)
            if not bool(moved.any()):
                break
            n_iter += moved
        rhs = torch.addcmul(problem.corr, problem.penalty, signs, value=-1)
        v = solve_active(problem.hessian, rhs, signs != 0)
        reach = v + problem.descent(v)
    return v * (v.sign() == signs), n_iter


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
    step = solve_active(problem.hessian, -slope, active, shift=1e-12)
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


def _take(part, at):
    # One Gram matrix may serve all tasks.
    return part if len(part) == 1 else part[at]
