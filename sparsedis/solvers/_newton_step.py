"""Semismooth Newton steps for smooth functions plus a penalty on rows."""

import torch

from sparsedis.solvers._groups import Rows, add_blocks

# Weight of a proximal term, in the units of the problem. Steps are then finite for
# matrices of any rank. The term has no effect at the solution.
_PROXIMAL = 1e-12


def newton_step(problem, V):
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
