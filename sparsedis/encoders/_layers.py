"""Checks and layers that several encoders use."""

from collections import OrderedDict

import torch
from torch import nn


def check_image_shape(input_shape, name, minimum=1):
    """Check that a shape is that of an image with at least ``minimum`` pixels a side.

    Parameters
    ----------
    input_shape : tuple of int
        Expected to be ``(channels, height, width)``.

    name : str
        Name of the encoder in error messages.

    minimum : int, default=1
        Smallest height and width.

    Returns
    -------
    tuple of int
        The shape.

    Raises
    ------
    ValueError
        When it has another number of axes, or the image is too small.
    """
    shape = tuple(input_shape)
    if len(shape) != 3:
        raise ValueError(
            f"{name} takes images: input_shape must be (channels, height, width), got "
            f"{shape}."
        )
    if min(shape[1:]) < minimum:
        raise ValueError(
            f"{name} takes images of at least {minimum} x {minimum} pixels, got "
            f"input_shape={shape} (channels, height, width)."
        )
    return shape


def output_layer(n_in, n_components):
    """Make the linear layer to ``n_components`` features, or none if that is None.

    Parameters
    ----------
    n_in : int
        Number of features that the architecture has.

    n_components : int or None
        Number of features to return.

    Returns
    -------
    tuple of torch.nn.Module
        The layer, or nothing.
    """
    return () if n_components is None else (nn.Linear(n_in, n_components),)


def check_one_tensor(features):
    """Refuse what an encoder returns unless it is a tensor."""
    if not isinstance(features, torch.Tensor):
        raise ValueError(
            "encoder must return features alone, one tensor, got "
            f"{type(features).__name__}: wrap it in a module that returns them."
        )


class Layers(nn.Sequential):
    """A sequence of layers that its subclasses make from other arguments."""

    def __getitem__(self, at):
        if isinstance(at, slice):
            # Torch would pass the layers to the constructor of the subclass.
            return nn.Sequential(OrderedDict(self._modules))[at]
        return super().__getitem__(at)
