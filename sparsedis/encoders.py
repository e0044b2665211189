"""Encoders: torch modules from inputs to ``n_components`` features.

An encoder is built from ``(input_shape, n_components)``, where ``input_shape`` is the
shape of one input as its module receives it: ``(n_features,)``, or
``(channels, height, width)`` for images. Estimators append the normalisation.
"""

import copy
import itertools
import math

import torch
from torch import nn

__all__ = ["MLP", "ConvEncoder"]


class MLP(nn.Sequential):
    """Multilayer perceptron with ReLU activations.

    Parameters
    ----------
    input_shape : tuple of int
        Shape of one input; inputs of several axes are flattened.

    n_components : int
        Number of output features.

    hidden_layer_sizes : tuple of int, default=(256, 256)
        Widths of the hidden layers.

    Examples
    --------
    >>> import torch
    >>> from sparsedis.encoders import MLP
    >>> MLP((20,), n_components=3)(torch.zeros(5, 20)).shape
    torch.Size([5, 3])
    """

    def __init__(self, input_shape, n_components, hidden_layer_sizes=(256, 256)):
        widths = [math.prod(input_shape), *hidden_layer_sizes]
        layers = [nn.Flatten()]
        for n_in, n_out in itertools.pairwise(widths):
            layers += [nn.Linear(n_in, n_out), nn.ReLU()]
        super().__init__(*layers, nn.Linear(widths[-1], n_components))


class ConvEncoder(nn.Sequential):
    """Convolutional encoder of Locatello et al. (2019), as used in Appendix D.2.

    Four convolutions with stride 2 and "same" padding (32 channels of 4 x 4, twice,
    then 64 of 2 x 2, twice), a hidden layer of 256 units and a linear output, with
    ReLU activations in between.

    Parameters
    ----------
    input_shape : tuple of int
        ``(channels, height, width)`` of the images, of any size.

    n_components : int
        Number of output features.

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

    def __init__(self, input_shape, n_components):
        if len(input_shape) != 3:
            raise ValueError(
                "ConvEncoder takes images: input_shape must be (channels, height, "
                f"width), got {tuple(input_shape)}."
            )
        channels, height, width = input_shape
        layers, n_in = [], channels
        for n_out, kernel in ((32, 4), (32, 4), (64, 2), (64, 2)):
            layers += [_SameConv2d(n_in, n_out, kernel, stride=2), nn.ReLU()]
            n_in, height, width = n_out, math.ceil(height / 2), math.ceil(width / 2)
        super().__init__(
            *layers,
            nn.Flatten(),
            nn.Linear(n_in * height * width, 256),
            nn.ReLU(),
            nn.Linear(256, n_components),
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


_NAMED = {"mlp": MLP, "conv": ConvEncoder}


def build_encoder(encoder, input_shape, n_components):
    """Make the torch module that an ``encoder`` parameter asks for.

    Parameters
    ----------
    encoder : str, torch module, or callable
        "auto" (convolutional for images, else an MLP), "mlp", "conv" or "identity"; a
        module, which is copied; or a module class or function, called with
        ``(input_shape, n_components)``.

    input_shape : tuple of int
        Shape of one input.

    n_components : int
        Number of features that the module must return.

    Returns
    -------
    torch.nn.Module

    Raises
    ------
    ValueError
        When `encoder` is none of these.

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
            if math.prod(input_shape) != n_components:
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
        module = encoder(input_shape, n_components)
        if isinstance(module, nn.Module):
            return module
        raise ValueError(
            f"encoder={encoder!r} must return a torch.nn.Module, got "
            f"{type(module).__name__}."
        )
    raise ValueError(
        "encoder must be 'auto', 'mlp', 'conv', 'identity', a torch.nn.Module, or a "
        "class or function that makes one from (input_shape, n_components); got "
        f"{encoder!r}."
    )


class Representation(nn.Module):
    """An encoder followed by the normalisation that bounds the norm of its features.

    Parameters
    ----------
    encoder : torch.nn.Module
        From inputs ``(n, ...)`` to features ``(n, n_components)``.

    n_components : int
        Number of features.

    normalization : {"batch", "layer", None}
        Over the rows of a step (running means when evaluating), over the features of
        a row, or none. Without learned scale and shift: the product of features and
        heads is invariant to rescaling, and only a fixed scale keeps a sparsity
        penalty meaningful (Appendix D.2.3).

    Examples
    --------
    >>> import torch
    >>> from sparsedis.encoders import Representation
    >>> module = Representation(torch.nn.Identity(), 2, "batch")
    >>> Z = module(torch.tensor([[1.0, 8.0], [3.0, 2.0]]))
    >>> Z.detach().round().tolist()
    [[-1.0, 1.0], [1.0, -1.0]]
    """

    def __init__(self, encoder, n_components, normalization):
        super().__init__()
        self.encoder = encoder
        self.n_components = n_components
        if normalization == "batch":
            self.normalization = nn.BatchNorm1d(n_components, affine=False)
        elif normalization == "layer":
            self.normalization = nn.LayerNorm(n_components, elementwise_affine=False)
        else:
            self.normalization = nn.Identity()

    def forward(self, rows):
        """Encode and normalise rows of shape (n, ...) to (n, n_components)."""
        return self.normalization(self.encode(rows))

    def encode(self, rows):
        """Features before the normalisation, checked."""
        raw = self.encoder(prepare_rows(rows))
        if raw.shape != (len(rows), self.n_components):
            raise ValueError(
                "encoder must return features of shape (n_rows, n_components) = "
                f"{(len(rows), self.n_components)}, got {tuple(raw.shape)}."
            )
        return raw

    @torch.no_grad()
    def set_statistics(self, blocks):
        """Set the running statistics to those of the given blocks of rows.

        Parameters
        ----------
        blocks : iterable of tensor of shape (n, ...)
            Inputs; all of them together count as one batch.
        """
        if not isinstance(self.normalization, nn.BatchNorm1d):
            return
        training = self.training
        self.eval()
        raw = torch.cat([self.encode(rows).double() for rows in blocks])
        self.train(training)
        if len(raw) > 1:
            # float64 sums: features with a large mean must not lose their variance.
            self.normalization.running_mean.copy_(raw.mean(0))
            self.normalization.running_var.copy_(raw.var(0, correction=0))


def prepare_rows(rows):
    """Turn stored inputs into what a module receives.

    Images ``(n, height, width, channels)`` become ``(n, channels, height, width)``
    with channels last in memory, at no cost; unsigned 8-bit values become [0, 1].

    Parameters
    ----------
    rows : tensor of shape (n, ...)

    Returns
    -------
    tensor

    Examples
    --------
    >>> import torch
    >>> from sparsedis.encoders import prepare_rows
    >>> prepare_rows(torch.full((2, 8, 8, 3), 255, dtype=torch.uint8)).shape
    torch.Size([2, 3, 8, 8])
    """
    if rows.ndim == 4:
        rows = rows.permute(0, 3, 1, 2)
    if rows.dtype == torch.uint8:
        rows = rows.float().div_(255)
    return rows


def input_shape_of(X):
    """Shape of one input as its encoder receives it.

    Parameters
    ----------
    X : array of shape (n, ...)

    Returns
    -------
    tuple of int

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.encoders import input_shape_of
    >>> input_shape_of(np.zeros((10, 64, 32, 3)))
    (3, 64, 32)
    """
    shape = tuple(X.shape[1:])
    return (shape[2], shape[0], shape[1]) if len(shape) == 3 else shape
