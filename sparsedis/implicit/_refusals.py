"""Errors for derivatives that do not exist, a warning for those that are not unique."""

from functools import wraps

import torch

from sparsedis._warn import warn


def once_differentiable(layer, order="second"):
    """Mark the backward pass of a layer as not differentiable.

    torch's decorator of this name raises an error only if the whole graph is run. For
    the gradient of only some inputs, ``torch.autograd.grad`` runs only the part of the
    graph that leads to them, and silently omits the second derivative. With this
    decorator, the gradients depend, in the graph, on all tensors from which they are
    computed.

    Parameters
    ----------
    layer : str
        Name of the layer, for the error message.

    order : str, default="second"
        Order of the derivative that is missing.

    Returns
    -------
    callable
        Decorator of ``backward(ctx, *cotangents)``.
    """

    def decorate(backward):
        @wraps(backward)
        def once(ctx, *cotangents):
            with torch.no_grad():
                gradients = backward(ctx, *cotangents)
            if not torch.is_grad_enabled():
                return gradients
            sources = [
                x
                for x in (*ctx.saved_tensors, *cotangents)
                if x is not None and x.requires_grad
            ]
            if not sources:
                return gradients
            held = [g for g in gradients if g is not None]
            held = iter(_Refusal.apply(layer, order, len(held), *held, *sources))
            return tuple(None if g is None else next(held) for g in gradients)

        return once

    return decorate


class _Refusal(torch.autograd.Function):
    """Identity of the first tensors, with a backward pass that raises an error."""

    @staticmethod
    def forward(ctx, layer, order, n_gradients, *tensors):
        ctx.layer, ctx.order = layer, order
        return tuple(g.view_as(g) for g in tensors[:n_gradients])

    @staticmethod
    def backward(ctx, *_):
        raise RuntimeError(
            f"{ctx.layer} has no {ctx.order} derivative, but a gradient with a graph "
            "(create_graph=True) was differentiated again. Detach it, or the "
            "features that enter the layer."
        )


def warn_of_dependence():
    """Warn that the gradient is not unique."""
    warn(
        "The features in the support of a task are linearly dependent, so its "
        "solution is not unique; the minimum-norm gradient is used. A "
        "positive l2 makes the solution unique.",
        RuntimeWarning,
    )


class ReverseOnly(torch.autograd.Function):
    """Base class of functions without a derivative in forward mode."""

    @staticmethod
    def jvp(ctx, *_):
        raise NotImplementedError(
            "group_lasso_svm and the gradients of other layers have no derivative in "
            "forward mode (jvp, jacfwd, forward_ad, hessian). Use reverse mode: "
            "backward, vjp, jacrev or torch.autograd.functional.hessian."
        )
