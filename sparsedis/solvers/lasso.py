"""Lasso and elastic net, for batches of small problems.

All computations use the Gram form of each task,

    min_w  1/2 w' G w - c' w + alpha ||w||_1 + l2/2 ||w||^2,

with ``G = Z'Z / n`` and ``c = Z'y / n``. After these products, the cost does not depend
on the number of samples: Newton steps cost k^3 per task, and duality gaps k^2.
"""

import torch

from sparsedis.solvers import _composite
from sparsedis.solvers._homotopy import find_signs
from sparsedis.solvers._info import SolverInfo
from sparsedis.solvers._linalg import product, take_tasks
from sparsedis.solvers._pivoting import find_active, from_signs
from sparsedis.solvers._quadratic import Quadratic
from sparsedis.solvers.ridge import solve_ridge

# Penalties up to this fraction of alpha_max are replaced by zero if the first solver
# does not converge.
WEAK = 1e-12


def solve_lasso(
    gram,
    corr,
    y_sq,
    alpha,
    l2,
    *,
    start=None,
    tol=1e-12,
    max_iter=1000,
    data=None,
    return_system=False,
):
    """Solve a batch of Lasso or elastic-net problems.

    Block principal pivoting (see :mod:`~sparsedis.solvers._pivoting`), whose result is
    exact if the signs are right, runs on the whole batch. The homotopy method (see
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

    return_system : bool, default=False

    Returns
    -------
    w : tensor of shape (n_tasks, k)

    info : SolverInfo

    system : Adjoint or None
        Only with ``return_system=True``: factors that the gradient of ``w`` needs too,
        if they are known.
    """
    form = gram, corr, y_sq, alpha, l2
    *system, scale = problem = _normalise(gram, corr, alpha, l2)
    first = None if start is None else start.unsqueeze(-1) / scale
    v, n_iter, last = find_active(*system, first)
    w, n_iter = (v * scale).squeeze(-1), n_iter.squeeze(-1)
    gap = lasso_gap(w, *form)
    if not bool(((gap <= tol) & (alpha > 0)).all()):
        last = None
        _finish(w, gap, n_iter, form, problem, start, tol, max_iter, data)
    info = SolverInfo(gap, n_iter, gap <= tol, w != 0)
    if not return_system:
        return w, info
    return w, info, None if last is None else Adjoint(last, scale)


class Adjoint:
    """The systems of some solutions, factorised, in the units of the features.

    Attributes
    ----------
    pivot : tensor of shape (n_tasks,)
        Smallest pivot of the matrices, scaled to a unit diagonal.
    """

    def __init__(self, system, scale):
        self.system, self.scale = system, scale
        pivots = system.factor[0].diagonal(dim1=-2, dim2=-1).abs()
        # No pivot of a unit diagonal exceeds 1, and an empty support has none.
        self.pivot = torch.nn.functional.pad(pivots, (0, 1), value=1.0).amin(-1)

    def solve(self, rhs):
        """Solutions for right-hand sides of shape (n_tasks, k)."""
        size = self.system.solve(self.scale * rhs.unsqueeze(-1))
        return (self.scale * self.system.signs * size).squeeze(-1)


def _finish(w, gap, n_iter, form, problem, start, tol, max_iter, data):
    """Solve the tasks that pivoting leaves; changes `w`, `gap` and `n_iter`."""
    gram, corr, y_sq, alpha, l2 = form
    smooth = alpha == 0
    at = (~(smooth | (gap <= tol))).nonzero().flatten()
    if len(at):
        hessian = take_tasks(gram, at) + torch.diag_embed(
            l2[at, None].expand_as(corr[at])
        )
        signs, more = find_signs(hessian, corr[at], alpha[at])
        *system, scale = (part[at] for part in problem)
        w[at] = (from_signs(*system, signs.unsqueeze(-1)) * scale).squeeze(-1)
        gap[at] = lasso_gap(w[at], *(take_tasks(part, at) for part in form))
        n_iter[at] += more
    # If rounding errors of the correlations exceed the penalty, no dual point of the
    # Lasso is feasible.
    weak = (~(gap <= tol) & (alpha <= WEAK * corr.abs().amax(-1))) | smooth
    at = weak.nonzero().flatten()
    if len(at):
        # Use the minimum-norm solution of Ridge and its certificate.
        def some():
            Z, y = data()
            return take_tasks(Z, at), y[at]

        w[at], ridge, _ = solve_ridge(
            *(take_tasks(gram, at), corr[at], y_sq[at], l2[at]),
            tol=tol,
            data=None if data is None else some,
        )
        # The value of the penalty bounds the error of leaving it out.
        extra = alpha[at] * w[at].abs().sum(-1)
        gap[at] = ridge.gap + 2 * extra / torch.where(y_sq[at] > 0, y_sq[at], 1.0)
    at = (~(smooth | (gap <= tol))).nonzero().flatten()
    if len(at):
        parts = (
            take_tasks(part, at) for part in (gram, corr.unsqueeze(-1), y_sq, alpha, l2)
        )
        rest = Quadratic(*parts)
        scale = rest.scale.unsqueeze(-1)
        first = torch.zeros_like(scale)
        if start is not None:
            own = start[at].unsqueeze(-1) / scale
            first = _composite.choose_start(rest, own, first)
        v, info = _composite.solve(rest, first, tol=tol, max_iter=max_iter, n_newton=0)
        w[at], gap[at] = (v * scale).squeeze(-1), info.gap
        n_iter[at] += info.n_iter


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
    descent = corr.unsqueeze(-1) - product(gram, column)
    terms = torch.cat([corr.unsqueeze(-1), descent, column], -1)
    explained, slope, w_sq = torch.bmm(column.mT, terms).squeeze(1).unbind(-1)
    descent = descent.squeeze(-1)
    residual_y = y_sq - explained
    residual_sq = (residual_y - slope).clamp_min(0)
    value = penalty = alpha * w.abs().sum(-1)
    half, inner = 0.5 * residual_sq, descent
    ridge = bool(l2.any())
    if ridge:
        w_sq = 0.5 * l2 * w_sq
        half, value = half + w_sq, value + w_sq
        inner = torch.addcmul(descent, l2.unsqueeze(-1), w, value=-1)
    largest = inner.abs().amax(-1)
    shrink = torch.where(largest > alpha, alpha / largest, 1.0)
    dual = shrink * (residual_y - shrink * half)
    if ridge:
        excess = ((descent.abs() - alpha.unsqueeze(-1)).clamp_min(0) ** 2).sum(-1)
        smooth = residual_y - 0.5 * residual_sq - excess / (2 * l2)
        dual = torch.where(l2 > 0, torch.maximum(dual, smooth), dual)
    unit = (0.5 * y_sq).clamp_min(torch.finfo(y_sq.dtype).tiny)
    gap = (half + penalty - dual).clamp_min(0) / unit
    # A point with such large terms is worse than zero.
    sane = (explained - slope <= 5 * y_sq) & (value <= y_sq)
    return torch.where(sane, gap, torch.inf)


def _normalise(gram, corr, alpha, l2):
    """The problems in units in which the Hessian has a unit diagonal.

    Vectors are columns, of shape (n_tasks, k, 1). Returns the Hessian, the linear term,
    the penalty of each feature, and the unit of each coefficient.
    """
    diagonal = gram.diagonal(dim1=-2, dim2=-1) + l2.unsqueeze(-1)
    # A zero feature has no correlation with targets, so it never becomes active.
    normal = diagonal >= torch.finfo(gram.dtype).tiny
    scale = torch.where(normal, diagonal, 1.0).rsqrt().unsqueeze(-1)
    hessian = (scale * scale.mT).mul_(gram)
    hessian.diagonal(dim1=-2, dim2=-1).fill_(1.0)
    return hessian, corr.unsqueeze(-1) * scale, alpha[:, None, None] * scale, scale
