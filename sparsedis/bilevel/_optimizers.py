"""Optimisers of torch whose steps do not load its compiler."""

import inspect

import torch

# Methods that torch keeps out of the graphs of its compiler.
_KEPT_OUT = "add_param_group", "zero_grad", "state_dict", "load_state_dict"


def _without_compiler(optimizer):
    """Take the steps of an optimiser as they are defined.

    Torch wraps them to guide ``torch.compile``. The wrappers import the compiler, which
    takes longer than many a fit, though the nets here do not compile their steps.
    """
    for name in _KEPT_OUT:
        setattr(optimizer, name, inspect.unwrap(getattr(optimizer, name)))
    optimizer.step = torch.no_grad()(inspect.unwrap(optimizer.step))
    return optimizer


@_without_compiler
class Adam(torch.optim.Adam):
    """Adam, see :class:`torch.optim.Adam`."""


@_without_compiler
class AdamW(torch.optim.AdamW):
    """Adam with decoupled weight decay, see :class:`torch.optim.AdamW`."""


@_without_compiler
class SGD(torch.optim.SGD):
    """Stochastic gradient descent, see :class:`torch.optim.SGD`."""


def light(optimizer):
    """The class here that does the same as one of torch.

    Parameters
    ----------
    optimizer : callable
        Class of an optimiser, or a function that makes one.

    Returns
    -------
    type or None
        None if there is no such class. Those there are can take a step of all weights
        in one call, ``fused=True``.

    Examples
    --------
    >>> import torch
    >>> from sparsedis.bilevel._optimizers import light
    >>> issubclass(light(torch.optim.SGD), torch.optim.SGD)
    True
    """
    for own in (Adam, AdamW, SGD):
        if optimizer is own.__base__:
            return own
    return None


def takes_groups(optimizer, lr):
    """Whether an optimiser can treat some weights differently, as LBFGS cannot.

    Parameters
    ----------
    optimizer : callable
        Class of an optimiser, or a function that makes one.

    lr : float
        Learning rate.

    Returns
    -------
    bool
        The result.

    Examples
    --------
    >>> import torch
    >>> from sparsedis.bilevel._optimizers import takes_groups
    >>> takes_groups(torch.optim.SGD, 0.1), takes_groups(torch.optim.LBFGS, 0.1)
    (True, False)
    """
    groups = [{"params": [torch.zeros(1, requires_grad=True)]} for _ in range(2)]
    try:
        optimizer(groups, lr=lr)
    except ValueError:
        return False
    return True
