"""Paths of the Lasso: the solutions of many problems for decreasing penalties.

Each problem is in Gram form, as in :mod:`~sparsedis.solvers.lasso`. Its solution is a
piecewise linear function of alpha, which the homotopy method follows from breakpoint to
breakpoint (see :mod:`~sparsedis.solvers._homotopy`).
"""

import torch

from sparsedis.solvers._homotopy import Position
from sparsedis.solvers._info import SolverInfo
from sparsedis.solvers.lasso import solve_lasso

# Entries of the tables of problems that take their steps together, enough to outweigh
# the cost of calls and few enough for the cache, and largest number of these problems.
_TABLE, _PROBLEMS = 2**20, 1024

# Coefficients whose gaps are computed together, so few that they fit in the cache.
_CACHED = 2**18


def solve_lasso_path(gram, corr, y_sq, alphas, *, positive=False, tol=1e-10):
    """Solve Lasso problems for several penalties each.

    Parameters
    ----------
    gram : tensor of shape (n_problems, k, k)
        ``Z'Z / n``.

    corr : tensor of shape (n_problems, k)
        ``Z'y / n``.

    y_sq : tensor of shape (n_problems,)
        ``||y||^2 / n``.

    alphas : tensor of shape (n_problems, n_alphas)
        Penalties, positive and in decreasing order.

    positive : bool, default=False
        Whether coefficients must not be negative.

    tol : float, default=1e-10
        Duality gap, relative to the objective at zero. Problems above it, because
        features are nearly dependent, are solved again without the homotopy (not if
        `positive`).

    Returns
    -------
    coef : tensor of shape (n_problems, n_alphas, k)

    info : SolverInfo
        Of shape (n_problems, n_alphas); `n_iter` contains the steps of the problem.

    Examples
    --------
    >>> import torch
    >>> from sparsedis.solvers.lasso_path import solve_lasso_path
    >>> gram, corr = torch.eye(2).double()[None], torch.tensor([[3.0, 1.0]]).double()
    >>> alphas = torch.tensor([[2.0, 0.5]]).double()
    >>> coef, info = solve_lasso_path(gram, corr, corr.square().sum(1), alphas)
    >>> coef
    tensor([[[1.0000, 0.0000],
             [2.5000, 0.5000]]], dtype=torch.float64)
    """
    coef = corr.new_zeros(*alphas.shape, corr.shape[1])
    n_iter = torch.zeros_like(corr[:, 0], dtype=torch.long)
    for at in _blocks(corr):
        n_iter[at] = _follow(gram[at], corr[at], alphas[at], positive, coef[at])
    gap = path_gap(coef, gram, corr, y_sq, alphas, positive=positive)
    missed = ~(gap <= tol)
    if bool(missed.any()) and not positive:
        at = missed.nonzero().unbind(1)
        part = gram[at[0]], corr[at[0]], y_sq[at[0]], alphas[at]
        start = torch.nan_to_num(coef[at], 0.0, 0.0, 0.0)
        zero = torch.zeros_like(part[-1])
        coef[at], again = solve_lasso(*part, zero, start=start, tol=tol)
        gap[at] = again.gap
    n_iter = n_iter[:, None].expand(gap.shape)
    return coef, SolverInfo(gap, n_iter, gap <= tol, coef != 0)


def solve_lasso_sizes(gram, corr, y_sq, sizes, eps, *, positive=False):
    """Solve Lasso problems at the last points of their paths with few features.

    A path starts at the largest penalty. For each size, the point is where another
    feature would enter that makes the features in use too many, or the end.

    Parameters
    ----------
    gram, corr, y_sq, positive : object
        As for :func:`solve_lasso_path`.

    sizes : tensor of shape (n_sizes,) of int
        Numbers of features, positive and in increasing order.

    eps : float
        End of each path, relative to its largest penalty.

    Returns
    -------
    coef : tensor of shape (n_problems, n_sizes, k)

    alphas, gap : tensor of shape (n_problems, n_sizes)
        Penalties of these points, and their duality gaps.

    Examples
    --------
    >>> import torch
    >>> from sparsedis.solvers.lasso_path import solve_lasso_sizes
    >>> gram, corr = torch.eye(2).double()[None], torch.tensor([[3.0, 1.0]]).double()
    >>> y_sq, sizes = corr.square().sum(1), torch.tensor([1, 2])
    >>> coef, alphas, gap = solve_lasso_sizes(gram, corr, y_sq, sizes, 0.1)
    >>> coef
    tensor([[[2.0000, 0.0000],
             [2.7000, 0.7000]]], dtype=torch.float64)
    """
    parts = [
        _follow_sizes(gram[at], corr[at], sizes, eps, positive) for at in _blocks(corr)
    ]
    coef, alphas = (torch.cat(part) for part in zip(*parts, strict=True))
    return coef, alphas, path_gap(coef, gram, corr, y_sq, alphas, positive=positive)


def path_gap(coef, gram, corr, y_sq, alphas, *, positive=False):
    """Relative duality gaps of solutions on paths.

    The dual point is the residual, scaled until it is feasible.

    Parameters
    ----------
    coef : tensor of shape (n_problems, n_alphas, k)

    gram, corr, y_sq, alphas, positive : object
        As for :func:`solve_lasso_path`.

    Returns
    -------
    tensor of shape (n_problems, n_alphas)
        ``(primal - dual) / (y_sq / 2)``; 0 where ``y_sq`` is 0 and so is the solution.
    """
    # Parts whose tables stay in the cache.
    size = max(1, _CACHED // coef[0].numel())
    parts = (part.split(size) for part in (coef, gram, corr, y_sq, alphas))
    return torch.cat([_gaps(*part, positive) for part in zip(*parts, strict=True)])


def _gaps(coef, gram, corr, y_sq, alphas, positive):
    descent = torch.baddbmm(corr[:, None], coef, gram, alpha=-1)
    explained = torch.bmm(coef, corr.unsqueeze(-1)).squeeze(-1)
    penalty = alphas * coef.abs().sum(-1)
    largest = (descent if positive else descent.abs()).amax(-1)
    left = descent.mul_(coef).sum(-1)
    residual_sq = (y_sq[:, None] - explained - left).clamp_min(0)
    share = torch.where(largest > alphas, alphas / largest, 1.0)
    # Primal minus dual: both have the residual's square in them.
    gap = 0.5 * residual_sq * (1 + share * share) + penalty
    gap = gap - share * (y_sq[:, None] - explained)
    return gap.clamp_min(0) / torch.where(y_sq > 0, 0.5 * y_sq, 1.0)[:, None]


def _blocks(corr):
    """Slices of problems that take their steps together."""
    n_problems, k = corr.shape
    size = max(1, min(_PROBLEMS, _TABLE // max(1, k * k)))
    return [slice(first, first + size) for first in range(0, n_problems, size)]


def _follow(gram, corr, alphas, positive, coef):
    """Follow the paths of some problems to `coef`; return the numbers of steps."""
    state = Position(gram, corr, positive)
    # Penalties in increasing order, as the search needs them.
    rising, passed = -alphas.contiguous(), torch.zeros_like(state.rows)
    for _ in state.steps(alphas[:, -1]):
        reached = torch.searchsorted(rising, -state.alpha[:, None], right=True)[:, 0]
        n_new = reached - passed
        row = state.rows.repeat_interleave(n_new)
        if len(row):
            at = torch.arange(len(row), device=row.device)
            at += (reached - n_new.cumsum(0))[row]
            coef[row, at] = state.coef_at(alphas[row, at], row)
        passed = reached
    coef.mul_(state.scale.unsqueeze(1))
    return state.n_iter


def _follow_sizes(gram, corr, sizes, eps, positive):
    """Last points of some paths with few features, and their penalties."""
    state = Position(gram, corr, positive)
    points, breaks, used = _breakpoints(state, eps * state.alpha, int(sizes[-1]))
    most = used.cummax(1).values
    at = (most.unsqueeze(1) <= sizes[:, None]).sum(-1) - 1
    coef = points[state.rows[:, None], at] * state.scale.unsqueeze(1)
    return coef, breaks.gather(1, at)


def _breakpoints(state, last, most=torch.inf):
    """Follow paths until their last penalties, or until all use too many features.

    Returns
    -------
    points : tensor of shape (n_problems, n_breaks, k)
        Coefficients, in the units of the table.

    breaks : tensor of shape (n_problems, n_breaks)
        Penalties, in decreasing order.

    used : tensor of shape (n_problems, n_breaks) of int
        Features in use just before each breakpoint.
    """
    points, breaks = [torch.zeros_like(state.level)], [state.alpha]
    used = [state.active.sum(1)]
    for j, _ in state.steps(last):
        point = state.coef_at(state.alpha)
        # Rounding errors must not keep a feature that leaves.
        at = state.rows, j
        point[at] = torch.where(state.alpha > last, 0.0, point[at])
        points.append(point)
        breaks.append(state.alpha)
        used.append(state.active.sum(1))
        if bool((used[-1] > most).all()):
            break
    return tuple(torch.stack(part, 1) for part in (points, breaks, used))
