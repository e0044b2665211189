"""Newton's method with a line search, on the rows in use.

The problem is that of :mod:`~sparsedis.solvers._composite`, with norms of rows as the
penalty. The objective is smooth where no row is zero, so that a Newton step on the
nonzero rows, with a line search, decreases it. A row that would turn to the other side
of zero becomes zero, as in half-space projections [1]_, and rows enter a few at a time.

Semismooth Newton steps, which change all rows at once, are fewer if they converge. If
features are correlated, they often cycle.

References
----------
.. [1] T. Chen et al., "Orthant based proximal stochastic gradient method for
   l1-regularized optimization", ECML PKDD 2020.
"""

import torch

from sparsedis.solvers._composite import solve_blocks
from sparsedis.solvers._groups import Rows, directions

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
        Convex, with :class:`~sparsedis.solvers._terms.Norms` as the penalty.

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
    free = problem.penalty.threshold == 0
    one = torch.ones_like(free[:, :1], dtype=V.dtype)
    for i in range(max_iter + 1):
        change = problem.penalty.prox(V - problem.gradient(V), one) - V
        violation = change.abs().amax((1, 2))
        if i == max_iter or bool((violation <= enough).all()):
            break
        used = (V != 0).any(-1) | free
        size = torch.linalg.vector_norm(change, dim=-1)
        inside = torch.where(used, size, 0.0).amax(-1, keepdim=True)
        size = torch.where(used, 0.0, size)
        largest = size.amax(-1, keepdim=True)
        # First solve for the rows in use.
        enter = (size > 0) & (size >= _ENTER * largest) & (largest >= inside)
        # The change of each row alone decreases the objective, as does their mean.
        share = enter / enter.sum(-1, keepdim=True).clamp_min(1)
        V = V + share.unsqueeze(-1) * change
        V = _newton_step(problem, V, Rows(used | enter), _DAMPING * violation)
    return V, violation


def _newton_step(problem, V, rows, damping):
    """Step on some rows; those with a penalty are not zero."""
    penalty, threshold = problem.penalty, problem.penalty.threshold
    slope = problem.gradient(V) + threshold.unsqueeze(-1) * directions(V)
    blocks = penalty.curvature(V, rows)
    blocks.diagonal(dim1=-2, dim2=-1).add_(damping[:, None, None])
    step = solve_blocks(problem.hessian(V, rows), blocks, -rows.gather(slope), rows)
    step = rows.scatter(step)
    expected = _ARMIJO * (slope * step).sum((1, 2))
    length = torch.ones_like(expected)

    def value(new):
        loss = problem.along(V, new - V, torch.ones_like(length).unsqueeze(-1))
        return loss[:, 0] + (threshold * torch.linalg.vector_norm(new, dim=-1)).sum(-1)

    before = value(V)
    before = before + _RISE * before.abs()
    for _ in range(_HALVINGS):
        new = V + length[:, None, None] * step
        turned = ((new * V).sum(-1) <= 0) & (threshold > 0)
        new = torch.where(turned.unsqueeze(-1), 0.0, new)
        good = value(new) <= before + length * expected
        if bool(good.all()):
            break
        length = torch.where(good, length, 0.5 * length)
    return torch.where(good[:, None, None], new, V)
