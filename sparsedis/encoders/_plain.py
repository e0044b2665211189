"""Encoders of tables and of small images."""

from __future__ import annotations

import itertools
import math

import torch
from torch import nn

from ._layers import Layers, check_image_shape, output_layer
from ._standardized import Standardized

# Norm of the inputs beside hidden units, for columns of unit variance.
_INPUT_NORM = 8.0


class MLP(Layers):
    """Multilayer perceptron with ReLU activations.

    Parameters
    ----------
    input_shape : tuple of int
        Shape of one input; inputs of several axes are flattened.

    n_components : int, default=None
        Number of output features. None: the width of the last hidden layer.

    hidden_layer_sizes : tuple of int, default=(256, 256)
        Widths of the hidden layers.

    dropout : float in [0, 1), default=0.0
        Share of the hidden units that are set to zero at random in each step of
        training.

    skip : bool, default=False
        Give the output layer the inputs beside the last hidden units, divided by the
        root of their number and multiplied by 8. What is linear in the inputs then
        needs no hidden units. Without an output layer, or without hidden ones, this
        changes nothing.

    standardize : bool, default=True
        Let `fit` of an estimator that makes the encoder standardise the columns of its
        table: subtract the mean and divide by the standard deviation, or by the
        difference if there are two values. Elsewhere inputs are taken as they are.

    Examples
    --------
    >>> import torch
    >>> from sparsedis.encoders import MLP
    >>> MLP((20,), n_components=3)(torch.zeros(5, 20)).shape
    torch.Size([5, 3])
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        n_components: int | None = None,
        hidden_layer_sizes: tuple[int, ...] = (256, 256),
        dropout: float = 0.0,
        skip: bool = False,
        standardize: bool = True,
    ) -> None:
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), got {dropout!r}.")
        widths = [math.prod(input_shape), *hidden_layer_sizes]
        first = Standardized(widths[0]) if standardize else nn.Flatten()
        hidden = []
        for n_in, n_out in itertools.pairwise(widths):
            hidden += [nn.Linear(n_in, n_out), _ReLU(dropout) if dropout else nn.ReLU()]
        width = widths[-1]
        if skip and hidden and n_components is not None:
            hidden = [_BesideInputs(*hidden)]
            width += widths[0]
        super().__init__(first, *hidden, *output_layer(width, n_components))
        self.n_hidden = widths[-1]


class _BesideInputs(nn.Sequential):
    """Hidden layers whose units come with their inputs."""

    def forward(self, x):
        scaled = x * (_INPUT_NORM / x.shape[1] ** 0.5)
        return torch.cat([super().forward(x), scaled], 1)


class _ReLU(nn.ReLU):
    """ReLU and dropout in one, so that weights have the same names without it."""

    def __init__(self, dropout):
        super().__init__()
        self.dropout = dropout

    def forward(self, x):
        return nn.functional.dropout(super().forward(x), self.dropout, self.training)

    def extra_repr(self):
        return f"dropout={self.dropout:g}"


class ConvEncoder(Layers):
    """Convolutional encoder of Locatello et al. (2019), as used in Appendix D.2.

    Four convolutions with stride 2 and "same" padding (32 channels of 4 x 4, twice,
    then 64 of 2 x 2, twice), a hidden layer of 256 units and a linear output, with
    ReLU activations in between.

    Parameters
    ----------
    input_shape : tuple of int
        ``(channels, height, width)`` of the images, of any size.

    n_components : int, default=None
        Number of output features. None: the 256 hidden units.

    References
    ----------
    .. [1] F. Locatello et al., "Challenging Common Assumptions in the Unsupervised
       Learning of Disentangled Representations", ICML 2019.

    Examples
    --------
    >>> import torch
    >>> from sparsedis.encoders import ConvEncoder
    >>> ConvEncoder((3, 64, 64), n_components=6)(torch.zeros(2, 3, 64, 64)).shape
    torch.Size([2, 6])
    """

    def __init__(
        self, input_shape: tuple[int, ...], n_components: int | None = None
    ) -> None:
        n_in, height, width = check_image_shape(input_shape, "ConvEncoder")
        layers = []
        for n_out, kernel in ((32, 4), (32, 4), (64, 2), (64, 2)):
            layers += [_SameConv2d(n_in, n_out, kernel, stride=2), nn.ReLU()]
            n_in, height, width = n_out, math.ceil(height / 2), math.ceil(width / 2)
        super().__init__(
            *layers,
            nn.Flatten(),
            nn.Linear(n_in * height * width, 256),
            nn.ReLU(),
            *output_layer(256, n_components),
        )


class _SameConv2d(nn.Conv2d):
    """Strided convolution whose output has ``ceil(size / stride)`` pixels.

    The padding goes to the end first when it is odd, as in TensorFlow, for which the
    architecture was defined.
    """

    def forward(self, images):
        total = [
            max((math.ceil(size / step) - 1) * step + kernel - size, 0)
            for size, step, kernel in zip(
                images.shape[-2:], self.stride, self.kernel_size, strict=True
            )
        ]
        if all(pad % 2 == 0 for pad in total):
            padding = [pad // 2 for pad in total]
            return nn.functional.conv2d(
                images, self.weight, self.bias, self.stride, padding
            )
        (top, bottom), (left, right) = ((pad // 2, pad - pad // 2) for pad in total)
        images = nn.functional.pad(images, (left, right, top, bottom))
        return nn.functional.conv2d(images, self.weight, self.bias, self.stride)
