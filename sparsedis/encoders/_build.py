"""Torch modules for the ``encoder`` parameter of the estimators."""

import copy
import math
from inspect import signature

import torch
from torch import nn

from ._few_shot import Conv4, ResNet12
from ._layers import check_one_tensor
from ._plain import MLP, ConvEncoder

_NAMED = {"mlp": MLP, "conv": ConvEncoder, "conv4": Conv4, "resnet12": ResNet12}


def build_encoder(encoder, input_shape, n_components=None):
    """Make the torch module for the value of an ``encoder`` parameter.

    Parameters
    ----------
    encoder : str, torch module, or callable
        "auto" ("conv" for images, else "mlp"), "mlp", "conv", "conv4", "resnet12" or
        "identity"; a module, which is copied; or a module class or function, called
        with ``(input_shape, n_components)``.

    input_shape : tuple of int
        Shape of one input.

    n_components : int, default=None
        Number of features that the module must return. None: as many as the
        architecture has, without a linear layer at the end; :func:`n_features_of`
        counts them.

    Returns
    -------
    torch.nn.Module

    Raises
    ------
    ValueError
        When `encoder` is none of these.
    TypeError
        When a class or function does not accept these two arguments.

    Examples
    --------
    >>> from sparsedis.encoders import build_encoder
    >>> type(build_encoder("auto", (3, 32, 32), 6)).__name__
    'ConvEncoder'
    """
    if isinstance(encoder, nn.Module):
        return copy.deepcopy(encoder)
    if isinstance(encoder, str):
        if encoder == "identity":
            if n_components not in (None, math.prod(input_shape)):
                raise ValueError(
                    "encoder='identity' keeps the inputs as features: n_components "
                    f"must be {math.prod(input_shape)}, got {n_components}."
                )
            return nn.Flatten()
        if encoder == "auto":
            encoder = "conv" if len(input_shape) == 3 else "mlp"
        if encoder in _NAMED:
            return _NAMED[encoder](input_shape, n_components)
    elif callable(encoder):
        module = _made(encoder, input_shape, n_components)
        if isinstance(module, nn.Module):
            return module
        raise ValueError(
            f"encoder={encoder!r} must return a torch.nn.Module, got "
            f"{type(module).__name__}."
        )
    raise ValueError(
        "encoder must be 'auto', 'mlp', 'conv', 'conv4', 'resnet12', 'identity', a "
        "torch.nn.Module, or a class or function that makes one from (input_shape, "
        f"n_components); got {encoder!r}."
    )


def _made(encoder, input_shape, n_components):
    try:
        signature(encoder).bind(input_shape, n_components)
    except ValueError:
        # Functions in C may have no signature.
        pass
    except TypeError as error:
        raise TypeError(
            f"encoder={encoder!r} must accept two arguments, (input_shape, "
            f"n_components): {error}. An instance of a module is accepted too."
        ) from error
    return encoder(input_shape, n_components)


def n_features_of(module, input_shape):
    """Number of features that a module returns, found by running it on two inputs.

    Parameters
    ----------
    module : torch.nn.Module
        From inputs ``(n, *input_shape)`` to features ``(n, n_features)``. It is run
        on zeros in evaluation mode, and left unchanged.

    input_shape : tuple of int
        Shape of one input, as the module receives it.

    Returns
    -------
    int
        The number of features.

    Raises
    ------
    ValueError
        If the module fails on such inputs, or returns another shape.

    Examples
    --------
    >>> from sparsedis.encoders import Conv4, n_features_of
    >>> n_features_of(Conv4((3, 84, 84)), (3, 84, 84))
    1600
    """
    like = next((p for p in module.parameters() if p.is_floating_point()), None)
    options = {} if like is None else {"dtype": like.dtype, "device": like.device}
    inputs = torch.zeros(2, *input_shape, **options)
    modes = [(part, part.training) for part in module.modules()]
    try:
        with torch.no_grad():
            features = module.eval()(inputs)
    except (RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            f"encoder failed on inputs of shape {tuple(inputs.shape)}: {error}"
        ) from error
    finally:
        for part, training in modes:
            part.training = training
    check_one_tensor(features)
    shape = tuple(features.shape)
    if len(shape) != 2 or shape[0] != 2:
        raise ValueError(
            "encoder must return features of shape (n_rows, n_components), got "
            f"{shape} from inputs of shape {tuple(inputs.shape)}."
        )
    return shape[1]
