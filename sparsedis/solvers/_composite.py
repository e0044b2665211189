"""Solver for smooth functions plus a penalty on rows, for a batch of tasks.

The problem of one task is

    min_V  f(V) + sum_j p_j(V_j),

in units in which curvatures are about 1. A
:class:`~sparsedis.solvers._problem.Problem` defines ``f``, and a penalty of
:mod:`~sparsedis.solvers._terms` defines ``p``. A semismooth Newton iteration, from
:mod:`~sparsedis.solvers._newton_step`, solves most problems exactly in a few steps.
Large problems, and problems whose penalty cannot be smoothed, start with proximal
gradient steps (:mod:`~sparsedis.solvers._first_order`), which are cheap and find the
support. Quadratic problems on the CPU start with coordinate descent, which is cheaper.
If Newton's method still cycles, it restarts from problems with smoothed norms, with
less and less smoothing (:mod:`~sparsedis.solvers._smoothing`). If the penalty cannot be
smoothed, it restarts after more gradient steps.
"""

import torch

from sparsedis.solvers._best import Best
from sparsedis.solvers._first_order import descend
from sparsedis.solvers._info import SolverInfo
from sparsedis.solvers._smoothing import smooth

# From a good start, Newton's method converges in fewer steps.
_MAX_NEWTON = 15
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
    best = Best(start, tol)
    slow = start[0].numel() >= _LARGE or not problem.penalty.smooths
    slow = slow or (problem.sweeps and n_newton > 0)
    if warm or not slow:
        best.improve(problem, ~best.good, n_newton)
    for n_steps in _DESCENTS if slow else ():
        descend(problem, best, start, n_steps)
        best.improve(problem, ~best.good, _MAX_NEWTON)
    if problem.penalty.smooths:
        smooth(problem, best, start, max_iter)
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


def _descend_on(problem, best, start, max_iter):
    """Take rounds of proximal gradient steps, each followed by Newton steps."""
    n_stalled = 0
    for _ in range(max_iter):
        left = ~best.good
        if n_stalled == _STALLS or not bool(left.any()):
            break
        before = best.gap[left]
        descend(problem, best, start, _ROUND)
        best.improve(problem, ~best.good, _MAX_NEWTON)
        progress = bool((best.gap[left] < 0.9 * before).any())
        n_stalled = 0 if progress else n_stalled + 1
