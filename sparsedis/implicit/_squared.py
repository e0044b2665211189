"""Implicit gradients of the problems with a squared loss and an l1 or l2 penalty."""

import warnings

import torch
from torch.autograd.function import once_differentiable

from sparsedis.implicit._inputs import centre, read_tasks, scale_rows
from sparsedis.solvers._info import SolverInfo, warn_if_not_converged
from sparsedis.solvers._linalg import solve_on_support


class _SquaredLoss(torch.autograd.Function):
    """``argmin_w 1/2 ||y - Zw||^2 + alpha ||w||_1 + l2/2 ||w||^2``, per task.

    The gradient is that of the solution on its support S, where
    ``(Z_S'Z_S + l2 I) w_S = Z_S'y - alpha sign(w_S)``: one linear system per task,
    whatever the solver did (method: implicit differentiation, Bertrand et al. 2022).
    """

    @staticmethod
    def forward(ctx, Z, y, alpha, l2, solve):
        gram = Z.mT @ Z
        w, info = solve(Z, y, gram, alpha, l2)
        ctx.save_for_backward(Z, y, gram, l2, w, info.support)
        ctx.mark_non_differentiable(info.gap, info.n_iter, info.converged, info.support)
        return w, info.gap, info.n_iter, info.converged, info.support

    @staticmethod
    @once_differentiable
    def backward(ctx, grad, *_):
        Z, y, gram, l2, w, support = ctx.saved_tensors
        hessian = gram + torch.diag_embed(l2.unsqueeze(-1).expand_as(w))
        u, singular = solve_on_support(hessian, grad, support)
        if bool(singular.any()):
            warnings.warn(
                "The features in the support of a task are linearly dependent, so its "
                "solution is not unique; the minimum-norm gradient is used. A "
                "positive l2 makes the solution unique.",
                RuntimeWarning,
                stacklevel=2,
            )
        grad_Z = grad_y = grad_alpha = grad_l2 = None
        Zu = (Z @ u.unsqueeze(-1)).squeeze(-1)
        if ctx.needs_input_grad[0]:
            residual = y - (Z @ w.unsqueeze(-1)).squeeze(-1)
            if len(Z) == 1:
                grad_Z = (residual.mT @ u - Zu.mT @ w).unsqueeze(0)
            else:
                grad_Z = torch.baddbmm(
                    residual.unsqueeze(-1) * u.unsqueeze(-2),
                    Zu.unsqueeze(-1),
                    w.unsqueeze(-2),
                    alpha=-1,
                )
        if ctx.needs_input_grad[1]:
            grad_y = Zu
        if ctx.needs_input_grad[2]:
            grad_alpha = -(u * torch.sign(w)).sum(-1)
        if ctx.needs_input_grad[3]:
            grad_l2 = -(u * w).sum(-1)
        return grad_Z, grad_y, grad_alpha, grad_l2, None


def solve_squared(Z, y, alpha, l2, solve, *, name, fit_intercept, tol, **read):
    """Run a layer with a squared loss: read, centre, solve, certify, undo.

    Parameters
    ----------
    Z, y : tensor
        As the layer got them.

    alpha, l2 : callable
        Each reads its penalty off the tasks.

    solve : callable
        ``(Z, y, gram, alpha, l2) -> w, info``.

    name : str
        The layer, for messages.

    fit_intercept : bool

    tol : float

    **read : dict
        Passed to ``read_tasks``.

    Returns
    -------
    w : tensor of shape (..., k)

    intercept : tensor of shape (...) or None

    info : SolverInfo
    """
    tasks = read_tasks(Z, y, **read)
    if not tasks.y.is_floating_point():
        raise ValueError(f"y must be of a floating dtype, got {tasks.y.dtype}.")
    Z, y = tasks.Z, tasks.y
    if fit_intercept:
        Z, y, Z_mean, y_mean = centre(tasks)
    Z, y = scale_rows(tasks, Z, y)
    w, *certificate = _SquaredLoss.apply(Z, y, alpha(tasks), l2(tasks), solve)
    info = SolverInfo(*certificate)
    warn_if_not_converged(info, tol, name)
    intercept = None
    if fit_intercept:
        intercept = tasks.unflatten(y_mean - (Z_mean * w).sum(-1))
    return tasks.unflatten(w), intercept, info.reshape(tasks.batch_shape)


def pack(w, intercept, info, fit_intercept, return_info):
    """Order what a layer returns: ``w[, intercept][, info]``."""
    out = (w,)
    if fit_intercept:
        out += (intercept,)
    if return_info:
        out += (info,)
    return out if len(out) > 1 else w
