"""Modes of torch that computations do not use."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import TYPE_CHECKING, cast

import torch

if TYPE_CHECKING:
    from sparsedis._typing import Method


@contextmanager
def plain_mode(devices=("cpu", "cuda", "mps", "xpu")):
    """Leave ``torch.inference_mode`` and ``torch.autocast``.

    Parameters
    ----------
    devices : iterable of str, default=("cpu", "cuda", "mps", "xpu")
        Types of the devices on which autocast is left.

    Yields
    ------
    None

    Examples
    --------
    >>> import torch
    >>> from sparsedis.implicit._modes import plain_mode
    >>> with torch.inference_mode(), plain_mode():
    ...     torch.is_inference_mode_enabled()
    False
    """
    with ExitStack() as modes:
        for kind in devices:
            if _is_autocast(kind):
                modes.enter_context(torch.autocast(kind, enabled=False))
        if torch.is_inference_mode_enabled():
            graph = torch.is_grad_enabled()
            modes.enter_context(torch.inference_mode(False))
            modes.enter_context(torch.set_grad_enabled(graph))
        yield


def in_plain_mode(function: Method) -> Method:
    """Run a function outside of ``torch.inference_mode`` and ``torch.autocast``.

    Layers differentiate losses, which inference mode forbids, and autocast would round
    products of float32 features to 16 bits.

    Parameters
    ----------
    function : callable

    Returns
    -------
    callable
        The same function.
    """

    @wraps(function)
    def plain(*args, **kwargs):
        inference = torch.is_inference_mode_enabled()
        devices = {v.device.type for v in (*args, *kwargs.values()) if _is(v)}
        if not inference and not any(map(_is_autocast, devices)):
            return function(*args, **kwargs)
        with plain_mode(devices):
            if inference:
                args = map(_ordinary, args)
                kwargs = {name: _ordinary(value) for name, value in kwargs.items()}
            return function(*args, **kwargs)

    return cast("Method", plain)


def _is_autocast(kind):
    """Whether autocast is on for a type of devices."""
    known = torch.amp.is_autocast_available(kind)
    return known and torch.is_autocast_enabled(kind)


def _is(value):
    return isinstance(value, torch.Tensor)


def _ordinary(value):
    """A tensor that autograd accepts."""
    return value.clone() if _is(value) else value
