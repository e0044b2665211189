"""The layers under ``torch.func``, forward mode and ``torch.compile``.

A layer checks values, and chooses what to do by them, which ``vmap`` does not allow.
Hence a whole layer, checks included, is one operation for ``torch.func``. ``vmap`` adds
its axis to the leading axes of the tasks. Forward mode is reverse mode applied twice:
the cotangents of the arguments are linear in those of the results, and the transpose of
this linear function gives the tangents.
"""

from __future__ import annotations

import inspect
from functools import wraps
from itertools import chain
from numbers import Number
from typing import TYPE_CHECKING

import torch
from torch.autograd.forward_ad import unpack_dual

from sparsedis.implicit._arguments import as_tensor
from sparsedis.implicit._modes import in_plain_mode
from sparsedis.implicit._refusals import ReverseOnly
from sparsedis.solvers._info import SolverInfo

if TYPE_CHECKING:
    from collections.abc import Callable

    from sparsedis._typing import Method

# Number of tensors of a certificate.
_N_INFO = 4


def transformable(*, forward: bool = True, **n_axes) -> Callable[[Method], Method]:
    """Let ``torch.func`` and ``torch.compile`` transform a layer.

    Parameters
    ----------
    forward : bool, default=True
        Whether the layer has second derivatives, and therefore a forward mode.

    **n_axes : int
        For each argument that may be a tensor, the number of axes after those of the
        tasks. With a true ``multi_output``, ``y`` has one more.

    Returns
    -------
    callable
        Decorator of a layer.
    """

    def decorate(layer):
        signature = inspect.signature(layer)

        @in_plain_mode
        def run(*args, **kwargs):
            values = (*args, *kwargs.values())
            pairs = (v for v in values if isinstance(v, tuple | list))
            if not any(map(_is_transformed, chain(values, *pairs))):
                return layer(*args, **kwargs)
            arguments = signature.bind(*args, **kwargs).arguments
            # No result depends on it.
            arguments.pop("start", None)
            call = _Call(layer, arguments, n_axes, forward)
            tensors = (arguments[name] for name in call.names)
            *results, gap, n_iter, converged, support = _Layer.apply(call, *tensors)
            if arguments.get("return_info"):
                certificate = gap, n_iter, converged, support, call.certificate
                results.append(SolverInfo(*certificate))
            return tuple(results) if len(results) > 1 else results[0]

        return _compiled_apart(layer, run)

    return decorate


def without_derivatives(**n_axes: int) -> Callable[[Method], Method]:
    """Let neither gradients nor tangents pass through a function of tensors.

    ``torch.func`` and ``torch.compile`` transform it as they do layers.

    Parameters
    ----------
    **n_axes : int
        As in `transformable`.

    Returns
    -------
    callable
        Decorator of a function that returns one tensor.
    """

    def decorate(function):
        signature = inspect.signature(function)

        @in_plain_mode
        @torch.no_grad()
        def run(*args, **kwargs):
            arguments = signature.bind(*args, **kwargs).arguments
            for name, value in arguments.items():
                if isinstance(value, torch.Tensor):
                    # `no_grad` alone does not apply to forward mode.
                    arguments[name] = value.detach()
            if not any(map(_is_transformed, arguments.values())):
                return function(**arguments)
            call = _Call(function, arguments, n_axes, forward=False)
            return _Constant.apply(call, *(arguments[name] for name in call.names))

        return _compiled_apart(function, run)

    return decorate


def _compiled_apart(function, run):
    """Run `run` in the place of `function`, outside of the graph of torch.compile."""

    @wraps(function)
    def wrapped(*args, **kwargs):
        if torch.compiler.is_compiling():
            # One break of the graph, instead of one at every check of a value.
            return torch.compiler.disable(run)(*args, **kwargs)
        return run(*args, **kwargs)

    return wrapped


def _is_transformed(value):
    """Whether a value is a tensor in a transform of ``torch.func`` or forward mode."""
    return isinstance(value, torch.Tensor) and (
        torch.func.debug_unwrap(value, recurse=False) is not value
        or unpack_dual(value).tangent is not None
    )


class _Call:
    """One call of a layer, as a function of the tensors among its arguments.

    Attributes
    ----------
    names : list of str
        Names of these tensors.

    certificate : str
        Meaning of the certificate; `solve` sets it.
    """

    def __init__(self, layer, arguments, n_axes, forward):
        self.layer, self.arguments, self.forward = layer, arguments, forward
        for name in ("alpha", "l2", "mask", "sample_weight"):
            # The leading axes of an array count, too.
            if not isinstance(arguments.get(name), Number | None):
                arguments[name] = as_tensor(arguments[name], name)
        self.names = [k for k, v in arguments.items() if isinstance(v, torch.Tensor)]
        more = bool(arguments.get("multi_output"))
        self.n_axes = [n_axes[name] + more * (name == "y") for name in self.names]

    def solve(self, *tensors):
        """Return results and certificate; keep the graph for `adjoint`."""
        self.leaves = [
            t.detach().requires_grad_(t.is_floating_point()) for t in tensors
        ]
        own = dict(zip(self.names, self.leaves, strict=True))
        arguments = {**self.arguments, **own, "return_info": True}
        with torch.enable_grad():
            *self.results, info = self.layer(**arguments)
        self.certificate = info.certificate
        results = (result.detach() for result in self.results)
        return *results, info.gap, info.n_iter, info.converged, info.support

    def adjoint(self, *cotangents):
        """Cotangents of the floating tensors, from those of the results."""
        return torch.autograd.grad(
            self.results,
            [leaf for leaf in self.leaves if leaf.requires_grad],
            cotangents,
            retain_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )

    def tangents(self, *tangents):
        """Tangents of the results, from those of all tensors."""
        pairs = zip(self.leaves, tangents, strict=True)
        leaves, tangents = zip(*(p for p in pairs if p[0].requires_grad), strict=True)
        how = {"allow_unused": True, "materialize_grads": True, "retain_graph": True}
        with torch.enable_grad():
            # The value makes no difference.
            weights = [torch.zeros_like(r, requires_grad=True) for r in self.results]
            found = torch.autograd.grad(
                self.results, leaves, weights, create_graph=True, **how
            )
        return torch.autograd.grad(found, weights, tangents, **how)

    def fold(self, size, in_dims, tensors):
        """Tensors in which the axis of ``vmap`` is the first of the leading axes."""
        tensors = _to_front(size, in_dims, tensors)
        lead = [t.ndim - 1 - n for t, n in zip(tensors, self.n_axes, strict=True)]
        for name, t, n in zip(self.names, tensors, lead, strict=True):
            if n < 0:
                raise ValueError(
                    f"{name} must have at least {t.ndim - 1 - n} axes, got shape "
                    f"{tuple(t.shape[1:])}."
                )
        return [
            t.reshape(size, *[1] * (max(lead) - n), *t.shape[1:])
            for t, n in zip(tensors, lead, strict=True)
        ]


def _to_front(size, in_dims, tensors):
    """Tensors with the axis of ``vmap`` in front, also those that do not have it.

    They do not share values along it, because each has a gradient of its own.
    """
    return [
        t.expand(size, *t.shape) if dim is None else t.movedim(dim, 0)
        for dim, t in zip(in_dims, tensors, strict=True)
    ]


class _Layer(ReverseOnly):
    """Results and certificate of a layer."""

    @staticmethod
    def forward(call, *tensors):
        return call.solve(*tensors)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.call, *tensors = inputs
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)
        ctx.mark_non_differentiable(*output[-_N_INFO:])

    @staticmethod
    def backward(ctx, *cotangents):
        tensors = ctx.saved_tensors
        found = _Adjoint.apply(ctx.call, *tensors, *cotangents[:-_N_INFO])
        found = iter(found)
        return None, *(next(found) if t.is_floating_point() else None for t in tensors)

    @staticmethod
    def jvp(ctx, _, *tangents):
        if not ctx.call.forward:
            return ReverseOnly.jvp(ctx)
        tensors = ctx.saved_tensors
        tangents = (
            (torch.zeros_like(x) if t is None else t) if x.is_floating_point() else x
            for x, t in zip(tensors, tangents, strict=True)
        )
        return *_Tangents.apply(ctx.call, *tensors, *tangents), *[None] * _N_INFO

    @staticmethod
    def vmap(info, in_dims, call, *tensors):
        results = _Layer.apply(call, *call.fold(info.batch_size, in_dims[1:], tensors))
        return results, (0,) * len(results)


class _Constant(torch.autograd.Function):
    """Result of a function without derivatives."""

    @staticmethod
    def forward(call, *tensors):
        return call.layer(
            **{**call.arguments, **dict(zip(call.names, tensors, strict=True))}
        )

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.mark_non_differentiable(output)

    @staticmethod
    def backward(ctx, _):
        return None

    @staticmethod
    def vmap(info, in_dims, call, *tensors):
        folded = call.fold(info.batch_size, in_dims[1:], tensors)
        return _Constant.apply(call, *folded), 0


class _Adjoint(ReverseOnly):
    """Cotangents of the tensors of a call, from those of its results."""

    @staticmethod
    def forward(call, *parts):
        return call.adjoint(*parts[len(call.names) :])

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.name = inputs[0].layer.__name__

    @staticmethod
    def backward(ctx, *_):
        raise RuntimeError(
            f"{ctx.name} has no second derivative under torch.func: use grad, vjp or "
            "jacrev only once, or torch.autograd.grad with create_graph=True."
        )

    @staticmethod
    def vmap(info, in_dims, call, *parts):
        n, size = len(call.names), info.batch_size
        tensors, dims = parts[:n], in_dims[1 : n + 1]
        cotangents = _to_front(size, in_dims[n + 1 :], parts[n:])
        if all(dim is None for dim in dims):
            # Many cotangents of the same solutions, as in jacrev.
            each = zip(*cotangents, strict=True)
            rows = [_Adjoint.apply(call, *tensors, *one) for one in each]
            found = [torch.stack(part) for part in zip(*rows, strict=True)]
        else:
            folded = _Adjoint.apply(call, *call.fold(size, dims, tensors), *cotangents)
            like = [t for t in _to_front(size, dims, tensors) if t.is_floating_point()]
            found = [a.reshape(b.shape) for a, b in zip(folded, like, strict=True)]
        return tuple(found), (0,) * len(found)


class _Tangents(ReverseOnly):
    """Tangents of the results of a call, from its tensors and their tangents."""

    @staticmethod
    def forward(call, *parts):
        return call.tangents(*parts[len(call.names) :])

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.name = inputs[0].layer.__name__

    @staticmethod
    def backward(ctx, *_):
        raise RuntimeError(
            f"{ctx.name} has no second derivative under torch.func: use jvp or jacfwd "
            "only once, or torch.autograd.grad with create_graph=True."
        )

    @staticmethod
    def vmap(info, in_dims, call, *parts):
        n, size = len(call.names), info.batch_size
        tensors, dims = parts[:n], in_dims[1 : n + 1]
        tangents = parts[n:], in_dims[n + 1 :]
        if all(dim is None for dim in dims):
            # Many tangents of the same tensors, as in jacfwd.
            each = zip(*_to_front(size, tangents[1], tangents[0]), strict=True)
            rows = [_Tangents.apply(call, *tensors, *one) for one in each]
            found = [torch.stack(part) for part in zip(*rows, strict=True)]
        else:
            folded = (
                call.fold(size, *reversed(p)) for p in ((tensors, dims), tangents)
            )
            found = _Tangents.apply(call, *chain(*folded))
        return tuple(found), (0,) * len(found)
