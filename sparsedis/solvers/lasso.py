"""Lasso and elastic net, for batches of small problems.

All computations use the Gram form of each task,

    min_w  1/2 w' G w - c' w + alpha ||w||_1 + l2/2 ||w||^2,

with ``G = Z'Z / n`` and ``c = Z'y / n``. After these products, the cost does not depend
on the number of samples: Newton steps cost k^3 per task, and duality gaps k^2.
"""

from functools import cached_property

import numpy as np
import torch

from sparsedis.solvers import _composite
from sparsedis.solvers._arrays import fill_diagonal, namespace, tensors, views
from sparsedis.solvers._data_gap import is_doubtful
from sparsedis.solvers._homotopy import find_signs
from sparsedis.solvers._info import SolverInfo
from sparsedis.solvers._linalg import SignedSystem, product, take_tasks, tasks_last
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
        Only with ``return_system=True``: the system of the gradient of ``w``, if
        pivoting solved all tasks, and rounding errors of the Gram form are small; see
        :mod:`~sparsedis.solvers._data_gap`.
    """
    form = gram, corr, y_sq, alpha, l2
    gram, corr, *rest = views(*form)
    arrays = *tasks_last(corr, gram)[::-1], *rest
    *system, scale = problem = _normalise(arrays[0], arrays[1], *arrays[3:])
    first = None if start is None else views(start)[0][..., None] / scale
    v, n_iter = find_active(*system, first)
    w, n_iter = (v * scale)[..., 0], n_iter[..., 0]
    gap = lasso_gap(w, *arrays)
    solved = bool(((gap <= tol) & (arrays[3] > 0)).all())
    # The norms of columns are at most the inverse of their scale.
    doubtful = is_doubtful(abs(v).sum(1)[:, 0], arrays[2], tol)
    w = np.ascontiguousarray(w) if isinstance(w, np.ndarray) else w
    if not solved:
        w, n_iter, gap = tensors(w, n_iter, gap)
        _finish(w, gap, n_iter, form, tensors(*problem), start, tol, max_iter, data)
    w, *certificate = tensors(w, gap, n_iter, gap <= tol, w != 0)
    info = SolverInfo(*certificate)
    if not return_system:
        return w, info
    if not solved or bool(doubtful.any()):
        return w, info, None
    return w, info, Adjoint(system[0], v, scale)


class Adjoint:
    """The linear systems of the gradients of solutions.

    Parameters
    ----------
    hessian : array of shape (n_tasks, k, k)
        Matrices with a unit diagonal. All arrays are of NumPy, or of torch.
    v : array of shape (n_tasks, k, 1)
        Solutions in the units of the matrices.
    scale : array of shape (n_tasks, k, 1)
        Unit of each coefficient.
    """

    def __init__(self, hessian, v, scale):
        self.hessian, self.scale = hessian, scale
        self.signs = namespace(v).sign(v)

    @cached_property
    def _system(self):
        return SignedSystem(self.hessian, self.signs)

    @cached_property
    def poor(self):
        """Tasks with a small pivot, whose solutions may be inaccurate."""
        return tensors(self._system.poor())[0]

    def solve(self, rhs):
        """Solutions for right-hand sides of shape (n_tasks, k)."""
        (rhs,) = views(rhs)
        size = self._system.solve(self.scale * rhs[..., None])
        return tensors((self.scale * self.signs * size)[..., 0])[0].contiguous()


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


@np.errstate(all="ignore")
def lasso_gap(w, gram, corr, y_sq, alpha, l2):
    """Relative duality gap of the elastic net, in Gram form.

    The gap is the smaller one for two dual points. The first is the residual of the
    features augmented by ``sqrt(l2) I``, scaled to be feasible. The second, for tasks
    with ``l2 > 0``, is the residual without scaling, whose conjugate is finite.

    Parameters
    ----------
    w : array of shape (n_tasks, k)
        All arrays are of NumPy, or of torch.
    gram, corr, y_sq, alpha, l2 : array
        As in :func:`solve_lasso`.

    Returns
    -------
    array of shape (n_tasks,)
        ``(primal - dual) / (y_sq / 2)``; 0 if ``y_sq`` and ``w`` are 0. Infinite if
        ``w`` is so far from the solution that rounding errors could hide the gap.
    """
    xp = namespace(w)
    # With a single matrix, one product takes all tasks.
    fitted = w @ gram[0] if len(gram) == 1 else product(gram, w[..., None])[..., 0]
    descent = corr - fitted
    explained, slope = (xp.einsum("tk,tk->t", w, part) for part in (corr, descent))
    residual_y = y_sq - explained
    residual_sq = _positive(residual_y - slope)
    value = penalty = alpha * abs(w).sum(-1)
    half, inner = 0.5 * residual_sq, descent
    ridge = bool(l2.any())
    if ridge:
        w_sq = 0.5 * l2 * (w * w).sum(-1)
        half, value = half + w_sq, value + w_sq
        inner = descent - l2[:, None] * w
    largest = xp.amax(abs(inner), -1)
    shrink = xp.where(largest > alpha, alpha / largest, 1.0)
    dual = shrink * (residual_y - shrink * half)
    if ridge:
        excess = (_positive(abs(descent) - alpha[:, None]) ** 2).sum(-1)
        smooth = residual_y - 0.5 * residual_sq - excess / (2 * l2)
        dual = xp.where(l2 > 0, xp.maximum(dual, smooth), dual)
    unit = 0.5 * y_sq + xp.finfo(y_sq.dtype).tiny
    gap = _positive(half + penalty - dual) / unit
    # A point with such large terms is worse than zero.
    sane = (explained - slope <= 5 * y_sq) & (value <= y_sq)
    return xp.where(sane, gap, xp.inf)


def _positive(x):
    """The positive part; in NumPy, this takes a third of the time of ``clip``."""
    return x * (x > 0)


@np.errstate(all="ignore")
def _normalise(gram, corr, alpha, l2):
    """The problems in units in which the Hessian has a unit diagonal.

    Vectors are columns, of shape (n_tasks, k, 1). Returns the Hessian, the linear term,
    the penalty of each feature, and the unit of each coefficient.
    """
    xp = namespace(gram)
    diagonal = gram.diagonal(0, 1, 2) + l2[:, None]
    # A zero feature has no correlation with targets, so it never becomes active.
    normal = diagonal >= xp.finfo(gram.dtype).tiny
    scale = (1 / xp.sqrt(xp.where(normal, diagonal, 1.0)))[..., None]
    # From left to right, this keeps the order of the axes in memory.
    hessian = gram * scale * scale.swapaxes(1, 2)
    fill_diagonal(hessian, 1.0)
    return hessian, corr[..., None] * scale, alpha[:, None, None] * scale, scale
