"""Lasso and elastic net, for batches of small problems.

All computations use the Gram form of each task,

    min_w  1/2 w' G w - c' w + alpha ||w||_1 + l2/2 ||w||^2,

with ``G = Z'Z / n`` and ``c = Z'y / n``. After these products, the cost does not depend
on the number of samples: Newton steps cost k^3 per task, and duality gaps k^2.
"""

import itertools

import torch

from sparsedis.solvers import _composite
from sparsedis.solvers._homotopy import find_signs
from sparsedis.solvers._info import SolverInfo
from sparsedis.solvers._linalg import product, solve_active
from sparsedis.solvers._quadratic import Quadratic
from sparsedis.solvers.ridge import solve_ridge

# From this Newton step on, one that leaves as many wrong signs as before is the last.
_MIN_NEWTON = 4
# Penalties up to this fraction of alpha_max are replaced by zero if the first solver
# does not converge.
WEAK = 1e-12


def solve_lasso(
    gram, corr, y_sq, alpha, l2, *, start=None, tol=1e-12, max_iter=1000, data=None
):
    """Solve a batch of Lasso or elastic-net problems.

    A semismooth Newton method, whose result is exact if the signs are right, runs on
    the whole batch. It may cycle; the homotopy method (see
    :mod:`~sparsedis.solvers._homotopy`) finds the signs of the tasks that it leaves.
    Tasks can remain above ``tol`` because their Gram matrix is nearly singular. These
    continue with the smoothing Newton method of :mod:`~sparsedis.solvers._composite`.

    Parameters
    ----------
    gram : tensor of shape (n_tasks, k, k) or (1, k, k)
        ``Z'Z / n``. A single matrix is shared by all tasks.

    corr : tensor of shape (n_tasks, k)
        ``Z'y / n``.

    y_sq : tensor of shape (n_tasks,)
        ``||y||^2 / n``.

    alpha, l2 : tensor of shape (n_tasks,)
        Penalties, non-negative.

    start : tensor of shape (n_tasks, k), default=None
        Starting point; zero by default. From a point with the right signs, one step
        reaches machine precision.

    tol : float, default=1e-12
        Tolerance on the duality gap, relative to the objective at zero.

    max_iter : int, default=1000
        Largest number of rounds of smoothing.

    data : callable, default=None
        Returns ``Z / sqrt(n)`` and ``y / sqrt(n)``, for tasks without a penalty; see
        :func:`~sparsedis.solvers.ridge.solve_ridge`.

    Returns
    -------
    w : tensor of shape (n_tasks, k)

    info : SolverInfo
    """
    problem = _Normalised(gram, corr, alpha, l2)
    reach = problem.corr
    if start is not None:
        # A start that is worse than zero is of no use.
        better = lasso_gap(start, gram, corr, y_sq, alpha, l2) < 1
        start = torch.where(better.unsqueeze(-1), start, 0.0)
        start = start.unsqueeze(-1) / problem.scale
        reach = start + problem.descent(start)
    v, n_iter = _solve(problem, reach, gram, corr, alpha, l2)
    w = (v * problem.scale).squeeze(-1)
    gap = lasso_gap(w, gram, corr, y_sq, alpha, l2)

    smooth = alpha == 0
    # If rounding errors of the correlations exceed the penalty, no dual point of the
    # Lasso is feasible.
    weak = (~(gap <= tol) & (alpha <= WEAK * corr.abs().amax(-1))) | smooth
    if bool(weak.any()):
        # Use the minimum-norm solution of Ridge and its certificate.
        at = weak.nonzero().flatten()

        def some():
            Z, y = data()
            return _take(Z, at), y[at]

        w[at], ridge, _ = solve_ridge(
            *(_take(gram, at), corr[at], y_sq[at], l2[at]),
            tol=tol,
            data=None if data is None else some,
        )
        # The value of the penalty bounds the error of leaving it out.
        extra = alpha[at] * w[at].abs().sum(-1)
        gap[at] = ridge.gap + 2 * extra / torch.where(y_sq[at] > 0, y_sq[at], 1.0)
    at = (~(smooth | (gap <= tol))).nonzero().flatten()
    if len(at):
        parts = (
            _take(part, at) for part in (gram, corr.unsqueeze(-1), y_sq, alpha, l2)
        )
        rest = Quadratic(*parts)
        first = torch.zeros_like(v) if start is None else start
        v, info = _composite.solve(
            rest, first[at], tol=tol, max_iter=max_iter, n_newton=0
        )
        w[at], gap[at] = (v * rest.scale.unsqueeze(-1)).squeeze(-1), info.gap
        n_iter[at] += info.n_iter
    return w, SolverInfo(gap, n_iter, gap <= tol, w != 0)


def lasso_gap(w, gram, corr, y_sq, alpha, l2):
    """Relative duality gap of the elastic net, in Gram form.

    The gap is the smaller one for two dual points. The first is the residual of the
    features augmented by ``sqrt(l2) I``, scaled to be feasible. The second, for tasks
    with ``l2 > 0``, is the residual without scaling, whose conjugate is finite.

    Parameters
    ----------
    w : tensor of shape (n_tasks, k)
    gram, corr, y_sq, alpha, l2 : tensor
        As in :func:`solve_lasso`.

    Returns
    -------
    tensor of shape (n_tasks,)
        ``(primal - dual) / (y_sq / 2)``; 0 if ``y_sq`` and ``w`` are 0. Infinite if
        ``w`` is so far from the solution that rounding errors could hide the gap.
    """
    column = w.unsqueeze(-1)
    fitted = product(gram, column)
    terms = torch.cat([corr.unsqueeze(-1), fitted, column], -1)
    w_corr, fitted_sq, w_sq = torch.bmm(column.mT, terms).squeeze(-2).unbind(-1)
    w_sq = l2 * w_sq
    residual_y = y_sq - w_corr
    residual_sq = (residual_y - w_corr + fitted_sq).clamp_min(0)
    half = 0.5 * (residual_sq + w_sq)
    penalty = alpha * w.abs().sum(-1)

    descent = corr - fitted.squeeze(-1)
    largest = torch.addcmul(descent, l2.unsqueeze(-1), w, value=-1).abs().amax(-1)
    shrink = torch.where(largest > alpha, alpha / largest, 1.0)
    dual = shrink * (residual_y - shrink * half)

    if bool((l2 > 0).any()):
        excess = ((descent.abs() - alpha.unsqueeze(-1)).clamp_min(0) ** 2).sum(-1)
        smooth = residual_y - 0.5 * residual_sq - excess / (2 * l2)
        dual = torch.where(l2 > 0, torch.maximum(dual, smooth), dual)

    gap = (half + penalty - dual).clamp_min(0) / torch.where(y_sq > 0, 0.5 * y_sq, 1.0)
    # A point with such large terms is worse than zero.
    sane = (fitted_sq <= 5 * y_sq) & (penalty + 0.5 * w_sq <= y_sq)
    return torch.where(sane, gap, torch.inf)


class _Normalised:
    """The problem in units in which the Hessian has a unit diagonal.

    Vectors are columns, of shape (n_tasks, k, 1).
    """

    def __init__(self, gram, corr, alpha, l2):
        diagonal = gram.diagonal(dim1=-2, dim2=-1) + l2.unsqueeze(-1)
        # A zero feature has no correlation with targets, so it never becomes active.
        scale = torch.where(diagonal > 0, diagonal.rsqrt(), 1.0).unsqueeze(-1)
        self.hessian = gram * (scale * scale.mT)
        self.hessian.diagonal(dim1=-2, dim2=-1).fill_(1.0)
        self.corr = corr.unsqueeze(-1) * scale
        self.penalty = alpha[:, None, None] * scale
        self.scale = scale

    def take(self, at):
        """Return the problem of the tasks with indices ``at``."""
        part = object.__new__(_Normalised)
        for name, value in vars(self).items():
            setattr(part, name, value[at])
        return part

    def descent(self, v):
        """Minus the gradient of the quadratic part."""
        return torch.baddbmm(self.corr, self.hessian, v, alpha=-1)


def _solve(problem, reach, gram, corr, alpha, l2):
    """Newton steps from the result of a gradient step, then the homotopy method.

    With weakly correlated features, each Newton step corrects most wrong signs. With
    strongly correlated ones, the steps often cycle. The homotopy method finds the signs
    of tasks in which a later step leaves as many wrong signs as there were before.

    Returns a point for each task and the number of steps. If features are
    nearly dependent, the point may be far from the solution, or NaN.
    """
    v = torch.empty_like(reach)
    n_iter = torch.zeros(len(reach), dtype=torch.long, device=reach.device)
    signs = _signs(problem, reach)
    hard = torch.zeros_like(n_iter, dtype=torch.bool)
    at, part, before = torch.arange(len(reach), device=reach.device), problem, None
    for n in itertools.count(1):
        if len(at) == 0:
            break
        v[at], reach = _step(part, signs)
        n_iter[at] += 1
        last, signs = signs, _signs(part, reach)
        wrong = (signs != last).flatten(1).sum(-1)
        left = wrong > 0
        if n >= _MIN_NEWTON:
            hard[at] = stuck = wrong >= before
            left &= ~stuck
        left = left.nonzero().flatten()
        before = wrong
        if len(left) < len(at):
            at, part = at[left], part.take(left)
            signs, before = signs[left], before[left]
    at = hard.nonzero().flatten()
    if len(at):
        hessian = _take(gram, at) + torch.diag_embed(l2[at, None].expand_as(corr[at]))
        signs, more = find_signs(hessian, corr[at], alpha[at])
        v[at] = _step(problem.take(at), signs.unsqueeze(-1))[0]
        n_iter[at] += more
    return v, n_iter


def _signs(problem, reach):
    """Signs of the coefficients after a gradient step to `reach`."""
    return (reach - reach.clamp(-problem.penalty, problem.penalty)).sign()


def _step(problem, signs):
    """The point that `signs` determine, and the gradient step from there."""
    rhs = torch.addcmul(problem.corr, problem.penalty, signs, value=-1)
    v = solve_active(problem.hessian, rhs, signs.abs())
    # Rounding errors must not give a coefficient the wrong sign.
    return v * (v.sign() == signs), v + problem.descent(v)


def _take(part, at):
    # Tasks may share one Gram matrix.
    return part if len(part) == 1 else part[at]
