"""Newton's method with a line search, on the rows in use.

The problem is that of :mod:`~sparsedis.solvers._composite`, with a penalty that is a
function of the norms of rows. The objective is smooth where no row is zero, so that a
Newton step on the nonzero rows, with a line search, decreases it. A row that would turn
to the other side of zero becomes zero, as in half-space projections [1]_, and rows
enter a few at a time.

Semismooth Newton steps, which change all rows at once, are fewer if they converge. If
features are correlated, they often cycle.

References
----------
.. [1] T. Chen et al., "Orthant based proximal stochastic gradient method for
   l1-regularized optimization", ECML PKDD 2020.
"""

import torch

from sparsedis.solvers._groups import Rows
from sparsedis.solvers._newton_step import solve_blocks

# Rows enter whose violation is at least this share of the largest one.
_ENTER = 0.5

# Weight of a proximal term, relative to the violation. It bounds the steps where the
# loss is almost linear, and has no effect near the solution.
_DAMPING = 0.1

# Share of the decrease that the slope predicts, after which a step is accepted, and
# relative increase that rounding errors may cause.
_ARMIJO, _RISE = 1e-4, 1e-15

# Halvings of a step.
_HALVINGS = 30


def descend(problem, V, *, enough, max_iter):
    """Decrease the objectives of a batch of problems from V.

    Parameters
    ----------
    problem : Problem
        Its penalty is smooth where no row is zero. Without convexity, steps use the
        true curvature where it is positive.

    V : tensor of shape (n_tasks, k, c)

    enough : float
        Violation at which to stop.

    max_iter : int
        Number of steps.

    Returns
    -------
    V : tensor of shape (n_tasks, k, c)

    violation : tensor of shape (n_tasks,)
        Largest entry of ``|V - prox(V - f'(V))|``.
    """
    at, X, one = torch.arange(len(V), device=V.device), V, torch.ones_like(V[:, :1, 0])
    V, left = V.new_empty(V.shape), V.new_empty(len(V))
    for i in range(max_iter + 1):
        reach = X - problem.gradient(X)
        change = problem.penalty.prox(reach, one[: len(X)]) - X
        violation = change.abs().amax((1, 2))
        V[at], left[at] = X, violation
        going = ~(violation <= enough)
        n_left = int(going.sum())
        if i == max_iter or not n_left:
            break
        if 2 * n_left <= len(at):
            kept = going.nonzero().flatten()
            at, X, problem = at[kept], X[kept], problem.take(kept)
            change, violation = change[kept], violation[kept]
        free = problem.penalty.free
        used = (X != 0).any(-1) | free
        size = torch.linalg.vector_norm(change, dim=-1)
        inside = torch.where(used, size, 0.0).amax(-1, keepdim=True)
        size = torch.where(used, 0.0, size)
        largest = size.amax(-1, keepdim=True)
        # First solve for the rows in use.
        enter = (size > 0) & (size >= _ENTER * largest) & (largest >= inside)
        # The change of each row alone decreases the objective, as does their mean.
        share = enter / enter.sum(-1, keepdim=True).clamp_min(1)
        X = X + share.unsqueeze(-1) * change
        X = _newton_step(problem, X, Rows(used | enter), _DAMPING * violation)
    return V, left


def _newton_step(problem, V, rows, damping):
    """Step on some rows; those with a penalty are not zero."""
    penalty = problem.penalty
    slope = problem.gradient(V) + penalty.gradient(V)
    rhs, blocks = -rows.gather(slope), penalty.curvature(V, rows)

    def solve(blocks):
        blocks = blocks + torch.diag_embed(damping[:, None, None].expand_as(rhs))
        how = {"definite": not penalty.convex}
        return solve_blocks(problem.hessian(V, rows), blocks, rhs, rows, **how)

    step = solve(blocks)
    saddle = torch.isnan(step).any(-1).any(-1)[:, None, None]
    if not penalty.convex and bool(saddle.any()):
        # The nearest blocks without negative curvature give a direction of descent.
        values, basis = torch.linalg.eigh(blocks)
        blocks = (basis * values.clamp_min(0).unsqueeze(-2)) @ basis.mT
        step = torch.where(saddle, solve(blocks), step)
    step = rows.scatter(step)
    expected = _ARMIJO * (slope * step).sum((1, 2))
    length = torch.ones_like(expected)

    def value(new):
        loss = problem.along(V, new - V, torch.ones_like(length).unsqueeze(-1))
        return loss[:, 0] + penalty.value(new)

    before = value(V)
    before = before + _RISE * before.abs()
    for _ in range(_HALVINGS):
        new = V + length[:, None, None] * step
        turned = ((new * V).sum(-1) <= 0) & ~penalty.free
        new = torch.where(turned.unsqueeze(-1), 0.0, new)
        good = value(new) <= before + length * expected
        if bool(good.all()):
            break
        length = torch.where(good, length, 0.5 * length)
    return torch.where(good[:, None, None], new, V)
