"""Implicit gradients of the solutions, for any loss and penalty."""

import torch

from sparsedis.implicit._refusals import ReverseOnly, warn_of_dependence
from sparsedis.implicit._second import implicit_gradients
from sparsedis.solvers._groups import Rows, add_blocks
from sparsedis.solvers._linalg import solve_on_support
from sparsedis.solvers._smooth_newton import solve_hessian


def solve_implicitly(make, solve, *theta):
    """Solve a batch of problems, differentiable in their data and penalties.

    On the support of a solution the gradients of loss and penalty cancel. One linear
    system per task with the second derivative gives the adjoint, and autograd
    differentiates the gradient. The code does not depend on the loss or the penalty.

    Parameters
    ----------
    make : callable
        Creates a problem from `theta`. It has ``scale``, ``hessian`` and ``penalty``
        (see :class:`~sparsedis.solvers._problem.Problem`), ``curvature``,
        ``n_features``, which does not count an intercept, ``is_smooth``, whether no row
        can be zero, and ``stationarity(W, *theta)``, the gradient of the objective for
        nonzero rows. It may have ``cotangents(W, u)``, the gradients of
        ``-<u, stationarity>`` in `theta`, for which autograd needs a second problem and
        more operations.

    solve : callable
        Takes a problem and `theta`, and returns solutions of shape (n_tasks, k, c),
        with an intercept, if any, in the last row, and their
        :class:`~sparsedis.solvers._info.SolverInfo`.

    *theta : tensor
        Data and penalties of the tasks.

    Returns
    -------
    W : tensor of shape (n_tasks, k, c)

    info : SolverInfo

    problem : object
        The problem of `make`, detached from `theta`.
    """
    found = []
    W = _Solve.apply(make, solve, found.extend, *theta)
    return W, *found


class _Solve(ReverseOnly):
    @staticmethod
    def forward(ctx, make, solve, report, *theta):
        ctx.make, ctx.problem = make, make(*(t.detach() for t in theta))
        W, info = solve(ctx.problem, *theta)
        ctx.problem.curvature.clear()
        report((info, ctx.problem))
        ctx.save_for_backward(*theta, W)
        return W

    @staticmethod
    def backward(ctx, grad):
        *theta, W = ctx.saved_tensors
        needed = ctx.needs_input_grad[3:]
        if torch.is_grad_enabled():
            gradients = _gradients_with_graph(ctx.make, theta, W, grad, needed)
            return None, None, None, *gradients
        u, singular = _solve_adjoint(ctx.problem, W, grad)
        if bool(singular.any()):
            warn_of_dependence()
        if hasattr(ctx.problem, "cotangents"):
            found = ctx.problem.cotangents(W, u)
            gradients = [
                g if one else None for g, one in zip(found, needed, strict=True)
            ]
        else:
            gradients = _gradients(ctx.make, theta, W, u, needed)
        return None, None, None, *gradients


def _gradients(make, theta, W, u, needed):
    """The cotangents of theta, by autograd."""
    own = [t.detach() for t in theta]
    with torch.enable_grad():
        for t, wanted in zip(own, needed, strict=True):
            t.requires_grad_(wanted)
        slope = make(*own).stationarity(W, *own)
        wanted = [t for t in own if t.requires_grad]
        found = iter(torch.autograd.grad(slope, wanted, -u, allow_unused=True))
    return [next(found) if t.requires_grad else None for t in own]


def _gradients_with_graph(make, theta, W, grad, needed):
    """The same cotangents, which can be differentiated again."""
    problem, fixed = make(*(t.detach() for t in theta)), W.detach()
    return implicit_gradients(
        lambda cotangent: _solve_adjoint(problem, fixed, cotangent),
        lambda W, *theta: make(*theta).stationarity(W, *theta),
        *(grad, W, theta, needed),
    )


def _solve_adjoint(problem, W, grad):
    """Solve the linear system of the adjoint, with the cotangent `grad` of W."""
    scale = problem.scale.unsqueeze(-1)
    V, c = W / scale, W.shape[-1]
    if problem.is_smooth:
        return solve_hessian(problem, V, grad)
    used = (W != 0).any(-1)
    used[:, problem.n_features :] = True
    rows = Rows(used)
    size = rows.index.shape[1] * c
    hessian = add_blocks(problem.hessian(V, rows), problem.penalty.curvature(V, rows))
    valid = rows.valid.repeat_interleave(c, 1)
    rhs = rows.gather(grad * scale).flatten(1)
    u, singular = solve_on_support(hessian.reshape(len(W), size, size), rhs, valid)
    return scale * rows.scatter(u.reshape(*rows.index.shape, c)), singular
