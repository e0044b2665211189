"""Backward passes that can be taken once, and say so when they are taken again."""

from functools import wraps

import torch


def once_differentiable(layer):
    """Mark the backward pass of a layer as one without a derivative of its own.

    torch's decorator of this name refuses a second derivative only where all of the
    graph is run. ``torch.autograd.grad``, asked for the gradient of some inputs, runs
    what leads to these, and so leaves the second derivative out without a word. Here
    the gradients hang on all the inputs they are a function of.

    Parameters
    ----------
    layer : str
        What the user called.

    Returns
    -------
    callable
        A decorator of ``backward(ctx, *cotangents)``.
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
            held = iter(_Refusal.apply(layer, len(held), *held, *sources))
            return tuple(None if g is None else next(held) for g in gradients)

        return once

    return decorate


class _Refusal(torch.autograd.Function):
    """The first tensors as they are, as a function of the others without derivative."""

    @staticmethod
    def forward(ctx, layer, n_gradients, *tensors):
        ctx.layer = layer
        return tuple(g.view_as(g) for g in tensors[:n_gradients])

    @staticmethod
    def backward(ctx, *_):
        raise RuntimeError(
            f"{ctx.layer} has no second derivative: it is once_differentiable, and the "
            "gradient that came through it (create_graph=True) was differentiated "
            "again. Detach that gradient, or the features that go into the layer."
        )
