"""Encoders with the preparation of their inputs and the scaling of their features."""

import torch
from torch import nn

from sparsedis.encoders._layers import check_one_tensor
from sparsedis.encoders._moments import moments
from sparsedis.inputs._arrays import is_8bit_image


class Representation(nn.Module):
    """An encoder followed by the normalisation that bounds the norm of its features.

    Parameters
    ----------
    encoder : torch.nn.Module
        From inputs ``(n, ...)`` to features ``(n, n_components)``.

    n_components : int
        Number of features.

    normalization : {"batch", "layer", None}
        Normalise over the rows of a step (with running means in evaluation), over the
        features of a row, or not at all. There is no learned scale and shift: the
        product of features and heads is invariant to rescaling, and only a fixed scale
        keeps a sparsity penalty meaningful (Appendix D.2.3).

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
        inputs = prepare_rows(rows)
        raw = self._features(inputs)
        if raw.dtype != inputs.dtype:
            raise ValueError(
                "encoder must return features of the dtype of its inputs, "
                f"{inputs.dtype}, got {raw.dtype}: let its forward end with "
                ".to(inputs.dtype)."
            )
        return self.normalization(raw)

    def encode(self, rows):
        """Return the features before the normalisation, and check their shape."""
        return self._features(prepare_rows(rows))

    def _features(self, inputs):
        raw = self.encoder(inputs)
        check_one_tensor(raw)
        # Not len(inputs): that would fix the number of rows under torch.export.
        shape = (inputs.shape[0], self.n_components)
        if raw.shape != shape:
            raise ValueError(
                "encoder must return features of shape (n_rows, n_components) = "
                f"{shape}, got {tuple(raw.shape)}."
            )
        return raw

    def to_float32(self):
        """Cast the weights to float32, the dtype of the inputs.

        The buffers of an encoder with float32 weights keep their dtype.

        Returns
        -------
        Representation
            The module itself.
        """
        self.normalization.float()
        weights = (p.dtype for p in self.encoder.parameters() if p.is_floating_point())
        if any(dtype != torch.float32 for dtype in weights):
            self.encoder.float()
        return self

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
        found = moments(self.encode(rows) for rows in blocks)
        self.train(training)
        if found.n_rows > 1:
            self.normalization.running_mean.copy_(found.mean)
            self.normalization.running_var.copy_(found.variance)


class RotatedRepresentation(nn.Module):
    """A representation followed by the linear map from its features to the factors.

    Parameters
    ----------
    representation : Representation
        The trained representation.

    components : tensor of shape (n_components, n_features)
        The map, for the features of `representation`.

    mean : tensor of shape (n_features,)
        Subtracted from the features before the map.

    Examples
    --------
    >>> import torch
    >>> from sparsedis.encoders import Representation, RotatedRepresentation
    >>> wide = Representation(torch.nn.Identity(), 2, None)
    >>> module = RotatedRepresentation(wide, torch.tensor([[1.0, 2.0]]), torch.ones(2))
    >>> module(torch.tensor([[1.0, 1.0], [2.0, 3.0]])).tolist()
    [[0.0], [5.0]]
    """

    def __init__(self, representation, components, mean):
        super().__init__()
        self.representation = representation
        self.register_buffer("components", components)
        self.register_buffer("mean", mean)

    @property
    def n_components(self):
        """Number of factors."""
        return len(self.components)

    @property
    def encoder(self):
        """Encoder of the representation."""
        return self.representation.encoder

    def forward(self, rows):
        """Factors of rows of shape (n, ...), as (n, n_components)."""
        return (self.representation(rows) - self.mean) @ self.components.T


def prepare_rows(rows):
    """Convert stored inputs to the layout and dtype that a module receives.

    Images ``(n, height, width, channels)`` become ``(n, channels, height, width)``
    with channels last in memory, at no cost; those of 8-bit integers become [0, 1].

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
    scaled = is_8bit_image(rows)
    if rows.ndim == 4:
        rows = rows.permute(0, 3, 1, 2)
    if rows.dtype == torch.uint8:
        rows = rows.float()
    return rows.div_(255) if scaled else rows


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
