"""Solver for smooth functions plus a penalty on rows, for a batch of tasks.

The problem of one task is

    min_V  f(V) + sum_j p_j(V_j),

in units in which curvatures are about 1. A :class:`Problem` defines ``f``, and a
penalty of :mod:`~sparsedis.solvers._terms` defines ``p``. A semismooth Newton iteration
solves most problems exactly in a few steps. Large problems, and problems whose penalty
cannot be smoothed, start with proximal gradient steps, which are cheap and find the
support. Quadratic problems on the CPU start with coordinate descent, which is cheaper.
If Newton's method still cycles, it restarts from problems with smoothed norms,
with less and less smoothing. If the penalty cannot be smoothed, it restarts after more
gradient steps.
"""

from functools import partial

import torch

from sparsedis.solvers._groups import Rows, add_blocks
from sparsedis.solvers._info import SolverInfo

# From a good start, Newton's method converges in fewer steps. After several steps in a
# row without progress, it probably cycles or diverges.
_MAX_NEWTON = 15
_MAX_NEWTON_STALLED = 3
# Newton steps after the gap is below the tolerance. The error of the solution is of the
# order of the square root of the gap, and each step squares it.
_MAX_POLISH = 3
# From this number of unknowns per task on, many gradient steps cost less than a round
# of smoothing; and numbers of gradient steps before each Newton attempt.
_LARGE = 100
_DESCENTS = (50, 200)
# Gradient steps per round, for penalties that cannot be smoothed.
_ROUND = 200
# Rounds of gradient steps without progress after which the solver stops.
_STALLS = 5
# Rounds of smoothing without progress after which a task stops, because rounding errors
# are probably the cause.
_MAX_STALLED = 30
# Weight of a proximal term, in the units of the problem. Steps are then finite for
# matrices of any rank. The term has no effect at the solution.
_PROXIMAL = 1e-12
# Relative increase of the objective that rounding errors may cause.
_RISE = 1e-10


class Problem:
    """Base class of batches of problems.

    Attributes
    ----------
    names : tuple of str
        Attributes with one entry per task, or a single entry for all tasks.
    penalty : Norms or Scaled
    sweeps : bool
        Whether the solver may call `sweep`.

    Methods
    -------
    gradient(V)
        Gradient of ``f``, of shape (n_tasks, k, c). The units are such that the
        diagonal blocks of its derivative are about 1.
    linear_term(V)
        ``f''(V) V - f'(V)``, of shape (n_tasks, k, c).
    hessian(V, rows)
        Blocks of ``f''(V)`` for some :class:`Rows`, of shape (n_tasks, s, c, s, c).
    along(V, step, lengths)
        ``f(V + t step)``, up to a constant, for lengths t of shape (n_tasks, m).
    gap(V)
        Relative duality gap, or squared violation of the optimality conditions, of
        shape (n_tasks,). Infinite or NaN if V is far from the solution.
    stationarity(W, *theta)
        Gradient of the objective in W, in the units of the features, for nonzero rows;
        other rows are undefined. Autograd can differentiate it with respect to
        ``theta``, the tensors that define the problem.
    sweep(V, n_sweeps)
        The point after block coordinate descent from V.
    objective(V)
        Loss plus penalty, of shape (n_tasks,). Only for penalties that are not convex.
    take(at)
        The problem of the tasks with indices ``at``.
    """

    names: tuple[str, ...] = ("penalty",)
    sweeps = False

    def take(self, at):
        part = object.__new__(type(self))
        for name in self.names:
            value = getattr(self, name)
            if name == "penalty":
                value = value.take(at)
            elif value is not None and len(value) > 1:
                value = value[at]
            setattr(part, name, value)
        return part


def solve(problem, start, *, tol, max_iter, warm=False, n_newton=_MAX_NEWTON):
    """Solve a batch of problems.

    Parameters
    ----------
    problem : Problem

    start : tensor of shape (n_tasks, k, c)

    tol : float
        Tolerance on the gap of the problem.

    max_iter : int
        Largest number of rounds of smoothing, or of gradient steps.

    warm : bool, default=False
        Whether ``start`` is near the solution.

    n_newton : int, default=15
        Number of Newton steps from ``start``; 0 if they are known to fail.

    Returns
    -------
    V : tensor of shape (n_tasks, k, c)

    info : SolverInfo
    """
    best = _Best(start, tol)
    slow = start[0].numel() >= _LARGE or not problem.penalty.smooths
    slow = slow or (problem.sweeps and n_newton > 0)
    if warm or not slow:
        best.improve(problem, ~best.good, n_newton)
    for n_steps in _DESCENTS if slow else ():
        _descend(problem, best, start, n_steps)
        best.improve(problem, ~best.good, _MAX_NEWTON)
    if problem.penalty.smooths:
        _smooth(problem, best, start, max_iter)
    else:
        _descend_on(problem, best, start, max_iter)
    best.improve(problem, best.good & ~best.settled, _MAX_POLISH)
    V, gap = best.V, best.gap
    if bool((gap == torch.inf).any()):
        gap = torch.minimum(gap, problem.gap(V))
    return V, SolverInfo(gap, best.n_iter, gap <= tol, (V != 0).any(-1))


def finish(problem, V, n_iter, start, *, tol, max_iter, warm, exact=True):
    """Solve the problems whose gaps are too large after another method.

    Parameters
    ----------
    problem : Problem

    V : tensor of shape (n_tasks, k, c)
        Points that the method has reached from `start`. Changes in place, like
        `n_iter`.

    n_iter : tensor of shape (n_tasks,) of int
        Number of its steps.

    start, tol, max_iter, warm : object
        As for :func:`solve`.

    exact : bool, default=True
        Whether points with small gaps are solutions to the last digits.

    Returns
    -------
    V : tensor of shape (n_tasks, k, c)

    info : SolverInfo
    """
    gap = problem.gap(V)
    left = (~(exact & (gap <= tol))).nonzero().flatten()
    if len(left):
        near = (gap[left] < 1)[:, None, None]
        first = torch.where(near, V[left], start[left])
        warm = warm or bool((first != start[left]).any())
        V[left], info = solve(
            problem.take(left), first, tol=tol, max_iter=max_iter, warm=warm
        )
        gap[left], n_iter[left] = info.gap, n_iter[left] + info.n_iter
    return V, SolverInfo(gap, n_iter, gap <= tol, (V != 0).any(-1))


def choose_start(problem, start, least):
    """The points of `start` whose gap is below 1, as at zero; otherwise `least`.

    Parameters
    ----------
    problem : Problem

    start, least : tensor of shape (n_tasks, k, c)

    Returns
    -------
    tensor of shape (n_tasks, k, c)
    """
    start = problem.penalty.prox(start, 0.0)
    return torch.where((problem.gap(start) < 1)[:, None, None], start, least)


class _Best:
    """The best point of each task so far, and its certificate.

    Attributes
    ----------
    V : tensor of shape (n_tasks, k, c)
    gap : tensor of shape (n_tasks,)
        Infinite before the first point.
    n_iter : tensor of shape (n_tasks,) of int
        Number of points.
    stalled : tensor of shape (n_tasks,) of int
        Number of points since the gap last fell by 10 % or more.
    settled : tensor of shape (n_tasks,) of bool
        Whether the last step was much smaller than ``tol ** 0.5``, relative to V.
    """

    def __init__(self, start, tol):
        self.V, self.tol = start.clone(), tol
        self.gap = torch.full_like(start[:, 0, 0], torch.inf)
        self.n_iter = torch.zeros(len(start), dtype=torch.long, device=start.device)
        self.stalled = torch.zeros_like(self.n_iter)
        self.settled = torch.zeros_like(self.n_iter, dtype=torch.bool)

    @property
    def good(self):
        return self.gap <= self.tol

    def offer(self, problem, at, X, gap, last):
        """Keep the points X of tasks for which they are better.

        ``last`` are the points one step before X.
        """
        uphill = self._uphill(problem, at, X)
        # Gaps below tol differ by rounding errors only: then the later point is better.
        better = (gap < self.gap[at]) | (gap <= self.tol)
        better &= ~uphill
        self.V[at] = torch.where(better[:, None, None], X, self.V[at])
        progress = gap < 0.9 * self.gap[at]
        self.stalled[at] = torch.where(progress, 0, self.stalled[at] + 1)
        self.gap[at] = torch.where(better, gap, self.gap[at])
        self.n_iter[at] += 1
        change, size = (torch.linalg.vector_norm(D, dim=(1, 2)) for D in (X - last, X))
        self.settled[at] = change <= 1e-2 * self.tol**0.5 * size

    def _uphill(self, problem, at, X):
        """Whether the objective at X is larger than at the best point.

        Without convexity, a point with a smaller violation may still be worse.
        """
        if problem.penalty.convex:
            return torch.zeros_like(self.good[at])
        new, old = problem.objective(X), problem.objective(self.V[at])
        return ~(new <= old + _RISE * old.abs()) & (self.gap[at] < torch.inf)

    def improve(self, problem, which, n_steps):
        """Take Newton steps from the best points of some tasks."""
        at = which.nonzero().flatten()
        problem, X = problem.take(at), self.V[at]
        self.stalled[at] = 0
        for _ in range(n_steps):
            if len(at) == 0:
                break
            last, X = X, _newton_step(problem, X)
            self.offer(problem, at, X, problem.gap(X), last)
            hopeful = self.stalled[at] < _MAX_NEWTON_STALLED
            left = hopeful & ~(self.good[at] & self.settled[at])
            left = left.nonzero().flatten()
            if len(left) < len(at):
                at, X, problem = at[left], X[left], problem.take(left)


def _newton_step(problem, V):
    """Point after a semismooth Newton step on ``V = prox(V - f'(V))``.

    The rows that a gradient step makes zero become zero. The others solve the
    optimality conditions with a quadratic model of f and the linear model of the
    penalty's gradient.
    """
    reach = V - problem.gradient(V)
    rows = Rows(problem.penalty.active(V, reach))
    if rows.index.shape[-1] == 0:
        return torch.zeros_like(V)
    slope, blocks = problem.penalty.linearise(V, reach, rows)
    rhs = rows.gather(problem.linear_term(V)) - slope + _PROXIMAL * rows.gather(V)
    step = solve_blocks(
        *(problem.hessian(V, rows), blocks, rhs, rows),
        definite=not problem.penalty.convex,
    )
    if step.shape[-1] == 1 and problem.penalty.smooths:
        # A coefficient becomes zero before its sign turns: steps that turn signs often
        # cycle if features are correlated.
        free = problem.penalty.free.expand(V.shape[:2]).unsqueeze(-1)
        step = step * ((step * rows.gather(reach) > 0) | rows.gather(free))
    return rows.scatter(step)


def _descend(problem, best, start, n_steps):
    """Sweeps or accelerated proximal gradient steps, which find the nonzero rows."""
    at = (~best.good).nonzero().flatten()
    if len(at) == 0:
        return
    problem = problem.take(at)
    # Newton's method may have ended at a point worse than zero.
    X = torch.where((best.gap[at] < 1)[:, None, None], best.V[at], start[at])
    X = (problem.sweep if problem.sweeps else partial(_step, problem))(X, n_steps)
    best.offer(problem, at, X, problem.gap(X), X)
    # Newton steps compute the last digits.
    best.settled[at] = False


def _step(problem, X, n_steps):
    """Accelerated proximal gradient steps from X."""
    ahead, momentum, lipschitz = X, X.new_ones(len(X), 1, 1), X.new_ones(len(X), 1, 1)
    ends = X.new_tensor([0.0, 1.0]).expand(len(X), 2)
    for _ in range(n_steps):
        gradient = problem.gradient(ahead)
        new = problem.penalty.prox(ahead - gradient / lipschitz, 1 / lipschitz[..., 0])
        step = new - ahead
        begin, end = problem.along(ahead, step, ends).unbind(-1)
        bound = (step * (gradient + 0.5 * lipschitz * step)).sum((1, 2))
        fits = (end - begin <= bound + 1e-12 * begin.abs())[:, None, None]
        lipschitz = torch.where(fits, lipschitz, 2 * lipschitz)
        new = torch.where(fits, new, X)
        # Restart if the momentum increases the objective.
        uphill = ((new - ahead) * (new - X)).sum((1, 2), keepdim=True) < 0
        momentum = torch.where(fits & ~uphill, momentum, 1.0)
        grown = 0.5 + (0.25 + momentum * momentum).sqrt()
        ahead = new + (momentum - 1) / grown * (new - X)
        X, momentum = new, grown
    return X


def _descend_on(problem, best, start, max_iter):
    """Take rounds of proximal gradient steps, each followed by Newton steps."""
    n_stalled = 0
    for _ in range(max_iter):
        left = ~best.good
        if n_stalled == _STALLS or not bool(left.any()):
            break
        before = best.gap[left]
        _descend(problem, best, start, _ROUND)
        best.improve(problem, ~best.good, _MAX_NEWTON)
        progress = bool((best.gap[left] < 0.9 * before).any())
        n_stalled = 0 if progress else n_stalled + 1


def _smooth(problem, best, V, max_iter):
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
        last = _newton_step(problem, V)
        X = _newton_step(problem, last)
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


def solve_blocks(hessian, blocks, rhs, rows, *, definite=False):
    """Solve ``(hessian + blocks) x = rhs`` for the valid rows.

    Padding gets rows of the identity. Near a minimum the matrix is positive definite.
    With ``definite``, the solution is NaN if it is not, because Newton's method could
    converge to a saddle point.
    """
    n_tasks, s, c = rhs.shape
    blocks.diagonal(dim1=-2, dim2=-1).add_(_PROXIMAL)
    hessian = add_blocks(hessian, blocks).reshape(n_tasks, s * c, s * c)
    keep = rows.valid.to(rhs.dtype).repeat_interleave(c, 1)
    hessian = hessian * (keep.unsqueeze(-1) * keep.unsqueeze(-2))
    hessian.diagonal(dim1=-2, dim2=-1).add_(1.0 - keep)
    if definite:
        failed = torch.linalg.cholesky_ex(hessian).info > 0
        rhs = torch.where(failed[:, None, None], torch.nan, rhs)
    return torch.linalg.solve_ex(hessian, rhs.reshape(n_tasks, -1))[0].reshape_as(rhs)


def relative_gap(V, *, value, dual, descent, penalty, ridge, at_zero, polar=None):
    """Duality gap of ``loss(V) + sum_j (t_j ||V_j|| + r_j/2 ||V_j||^2)``.

    The gap is the smaller one for two dual points. The first is the dual point of the
    loss at V, scaled so that the conjugate of the norms is finite. The second is the
    same point without scaling. Its dual value is finite if ``r_j > 0`` for every row
    beyond ``t_j``. Without penalties ``t_j``
    the first is no better.

    Parameters
    ----------
    V : tensor of shape (n_tasks, k, c)
    value : tensor of shape (n_tasks,)
        The loss.
    dual : callable
        Function that returns the dual value of the loss, for its dual point times a
        factor of shape (n_tasks,).
    descent : tensor of shape (n_tasks, k, c)
        Minus the gradient of the loss.
    penalty, ridge : tensor of shape (n_tasks, k)
        ``t`` and ``r``. If both are zero for a row, `descent` must be zero there up to
        rounding errors; the gap includes these errors times ``1 + ||V_j||``.
    at_zero : tensor of shape (n_tasks,)
        The loss at zero, the unit of the gap.
    polar : callable, default=None
        Function that returns the part of a dual point that the penalty bounds, given
        the point and the mask of rows without a penalty. By default, the whole point.

    Returns
    -------
    tensor of shape (n_tasks,)
    """
    norm = torch.linalg.vector_norm(V, dim=-1)
    ridge_sq = (ridge * norm * norm).sum(-1)
    primal = value + (penalty * norm).sum(-1) + 0.5 * ridge_sq
    polar = polar or (lambda point, free: point)
    free = (penalty == 0) & (ridge == 0)
    size = torch.linalg.vector_norm(polar(descent, free), dim=-1)
    slack = (1 + norm) * size
    slack = torch.where(free, slack, 0.0).sum(-1)

    excess = torch.where(free, 0.0, (size - penalty).clamp_min(0))
    cost = torch.where(excess > 0, excess * excess / (2 * ridge), 0.0).sum(-1)
    plain = dual(torch.ones_like(value)) - cost - slack

    best = plain
    if bool((penalty > 0).any()):
        inner = polar(descent - ridge.unsqueeze(-1) * V, free)
        inner = torch.linalg.vector_norm(inner, dim=-1)
        share = torch.where((inner > penalty) & ~free, penalty / inner, 1.0).amin(-1)
        scaled = dual(share) - share * (0.5 * share * ridge_sq + slack)
        best = torch.maximum(scaled, plain)
    gap = (primal - best).clamp_min(0)
    return gap / torch.where(at_zero > 0, at_zero, 1.0)
