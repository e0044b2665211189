"""Gradients of the layers that can be differentiated again."""

import torch

from sparsedis.implicit._refusals import (
    ReverseOnly,
    once_differentiable,
    warn_of_dependence,
)


def implicit_gradients(solve, stationarity, cotangent, W, theta, needed):
    """Cotangents of the data and penalties of solutions, with a graph.

    On its support, the solution W satisfies ``F(W, theta) = 0``. The cotangents are
    those of ``-F(W, theta)`` with the adjoint ``u = F_W^-1 cotangent``. They are
    functions of theta, both directly and through W, and of the cotangent.

    Parameters
    ----------
    solve : callable
        Returns the adjoint for a cotangent, zero outside of the support, and which
        tasks are singular.

    stationarity : callable
        ``F(W, *theta)``, twice differentiable.

    cotangent : tensor of shape (n_tasks, k, c)
        Cotangent of W.

    W : tensor of shape (n_tasks, k, c)
        Solutions, with their graph.

    theta : sequence of tensor
        Data and penalties, with their graphs.

    needed : sequence of bool
        Whether the cotangent of each is needed.

    Returns
    -------
    list of tensor or None
    """
    u = _Adjoint.apply(solve, stationarity, cotangent, W, *theta)
    # The derivative in these does not follow W.
    own = [t.view_as(t) for t in theta]
    wanted = [t for t, one in zip(own, needed, strict=True) if one]
    slope = stationarity(W, *own)
    found = iter(_grad(slope, wanted, -u, create_graph=True))
    return [next(found) if one else None for one in needed]


def _grad(*args, **kwargs):
    return torch.autograd.grad(
        *args, allow_unused=True, materialize_grads=True, **kwargs
    )


class _Adjoint(ReverseOnly):
    """The adjoint ``u`` that solves ``F_W(W, theta) u = cotangent``."""

    @staticmethod
    def forward(ctx, solve, stationarity, cotangent, W, *theta):
        u, singular = solve(cotangent)
        ctx.singular = bool(singular.any())
        if ctx.singular:
            warn_of_dependence()
        ctx.solve, ctx.stationarity = solve, stationarity
        ctx.save_for_backward(u, W, *theta)
        return u

    @staticmethod
    @once_differentiable("A layer", order="third")
    def backward(ctx, cotangent):
        if ctx.singular:
            raise RuntimeError(
                "The features in the support of a task are linearly dependent, so its "
                "solution has no second derivative, and none in forward mode. A "
                "positive l2 gives it both."
            )
        u, *parts = (part.detach() for part in ctx.saved_tensors)
        v, _ = ctx.solve(cotangent)
        with torch.enable_grad():
            parts = [part.requires_grad_() for part in parts]
            slope = ctx.stationarity(*parts)
            (bent,) = _grad(slope, parts[0], v, create_graph=True)
            found = _grad(bent, parts, -u)
        return None, None, v, *found
