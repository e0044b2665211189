"""Encoders of few-shot learning: every pixel of the last feature map is a feature.

Flattened maps come in the order channel, row, column, whatever the memory format.
"""

from __future__ import annotations

from numbers import Integral

import torch
from torch import nn

from ._layers import Layers, check_image_shape, output_layer

# Both architectures halve the image four times.
_HALVINGS = 4


class Conv4(Layers):
    """Four convolutional blocks, as in matching and prototypical networks.

    Each block has 64 filters of 3 x 3, batch normalisation, ReLU and 2 x 2 max
    pooling. The features are the flattened last map: 64 of an image of 28 x 28 pixels,
    1,600 of one of 84 x 84.

    Parameters
    ----------
    input_shape : tuple of int
        ``(channels, height, width)`` of the images, at least 16 x 16 pixels.

    n_components : int, default=None
        Number of features of a linear layer that is appended to the published
        architecture. None: the features are the flattened map.

    n_filters : int, default=64
        Filters of each block.

    Raises
    ------
    ValueError
        When `input_shape` is not that of images, or they are too small.

    References
    ----------
    .. [1] O. Vinyals et al., "Matching Networks for One Shot Learning", NeurIPS 2016,
       Section 4.1.
    .. [2] J. Snell, K. Swersky, R. Zemel, "Prototypical Networks for Few-shot
       Learning", NeurIPS 2017, Section 3.1.

    Examples
    --------
    >>> import torch
    >>> from sparsedis.encoders import Conv4
    >>> Conv4((1, 28, 28))(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 64])
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        n_components: int | None = None,
        n_filters: int = 64,
    ) -> None:
        n_in, *size = check_image_shape(input_shape, "Conv4", 2**_HALVINGS)
        layers = []
        for _ in range(_HALVINGS):
            layers += [
                # The normalisation would cancel a bias.
                nn.Conv2d(n_in, n_filters, 3, padding=1, bias=False),
                nn.BatchNorm2d(n_filters),
                nn.ReLU(inplace=True),
                nn.MaxPool2d(2),
            ]
            n_in = n_filters
        super().__init__(*layers, *_flat(n_in, size, n_components))


class ResNet12(Layers):
    """ResNet-12 of Lee et al. (2019), without the final pooling (Section 5.2).

    Four residual blocks of 64, 160, 320 and 640 filters, each with three convolutions
    of 3 x 3 and batch normalisation, LeakyReLU(0.1), a shortcut with a convolution
    of 1 x 1, and 2 x 2 max pooling. While training, the first two blocks end in
    dropout and the last two in DropBlock. The features are the flattened last map:
    16,000 of an image of 84 x 84 pixels.

    Parameters
    ----------
    input_shape : tuple of int
        ``(channels, height, width)`` of the images, at least 16 x 16 pixels.

    n_components : int, default=None
        Number of features of a linear layer that is appended to the published
        architecture. None: the features are the flattened map.

    drop_rate : float, default=0.1
        Share of the activations that dropout and DropBlock set to zero.

    drop_block_size : int, default=5
        Side of the squares that DropBlock drops, cut to the size of the map.

    drop_warmup : int, default=40_000
        Training steps over which the rate of DropBlock rises linearly from 0 to
        `drop_rate`.

    Raises
    ------
    ValueError
        When `input_shape` is not that of images, they are too small, or an option is
        out of range.

    References
    ----------
    .. [1] K. Lee, S. Maji, A. Ravichandran, S. Soatto, "Meta-Learning with
       Differentiable Convex Optimization", CVPR 2019, Section 4.1.
    .. [2] G. Ghiasi, T.-Y. Lin, Q. Le, "DropBlock: A regularization method for
       convolutional networks", NeurIPS 2018.

    Examples
    --------
    >>> import torch
    >>> from sparsedis.encoders import ResNet12
    >>> encoder = ResNet12((3, 32, 32)).eval()
    >>> encoder(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 2560])
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        n_components: int | None = None,
        drop_rate: float = 0.1,
        drop_block_size: int = 5,
        drop_warmup: int = 40_000,
    ) -> None:
        n_in, *size = check_image_shape(input_shape, "ResNet12", 2**_HALVINGS)
        if not 0 <= drop_rate < 1:
            raise ValueError(f"drop_rate must lie in [0, 1), got {drop_rate!r}.")
        for name, value in (
            ("drop_block_size", drop_block_size),
            ("drop_warmup", drop_warmup),
        ):
            if not isinstance(value, Integral) or value < 1:
                raise ValueError(f"{name} must be an integer >= 1, got {value!r}.")
        drops = [nn.Dropout(drop_rate) for _ in range(2)]
        drops += [_DropBlock(drop_rate, drop_block_size, drop_warmup) for _ in range(2)]
        blocks = []
        for n_out, drop in zip((64, 160, 320, 640), drops, strict=True):
            blocks.append(_ResidualBlock(n_in, n_out, drop))
            n_in = n_out
        super().__init__(*blocks, *_flat(n_in, size, n_components))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(
                    module.weight, mode="fan_out", nonlinearity="leaky_relu"
                )


class _ResidualBlock(nn.Module):
    """Residual block: three convolutions and a shortcut, then pooling and ``drop``."""

    def __init__(self, n_in, n_out, drop):
        super().__init__()
        self.convolutions = nn.Sequential(
            *_normalised(n_in, n_out, 3),
            nn.LeakyReLU(0.1, inplace=True),
            *_normalised(n_out, n_out, 3),
            nn.LeakyReLU(0.1, inplace=True),
            *_normalised(n_out, n_out, 3),
        )
        self.shortcut = nn.Sequential(*_normalised(n_in, n_out, 1))
        self.end = nn.Sequential(nn.LeakyReLU(0.1, inplace=True), nn.MaxPool2d(2), drop)

    def forward(self, images):
        return self.end(self.convolutions(images) + self.shortcut(images))


class _DropBlock(nn.Module):
    """Sets squares of the maps to zero and scales the other pixels up.

    A pixel is dropped with probability ``rate`` or, since squares overlap, a little
    less. The scale is the inverse of the share of pixels that are kept.
    """

    def __init__(self, rate, block_size, warmup):
        super().__init__()
        self.rate = rate
        self.block_size = block_size
        self.warmup = warmup
        self.register_buffer("n_steps", torch.tensor(0))

    def forward(self, maps):
        if not self.training or not self.rate:
            return maps
        self.n_steps += 1
        *shape, height, width = maps.shape
        side = min(self.block_size, height, width)
        # Of the (height - side + 1) (width - side + 1) squares, as many as cover
        # `rate` of the map. A tensor, so that nothing waits for the device.
        corners = (*shape, height - side + 1, width - side + 1)
        rate = self.rate * (self.n_steps / self.warmup).clamp(max=1)
        share = rate * (height * width) / (side**2 * corners[-2] * corners[-1])
        dropped = (torch.rand(corners, device=maps.device) < share).to(maps.dtype)
        padded = nn.functional.pad(dropped, [side - 1] * 4)
        dropped = nn.functional.max_pool2d(padded, side, stride=1)
        kept = 1 - dropped
        return maps * (kept / kept.mean().clamp(min=1 / kept.numel()))


def _normalised(n_in, n_out, kernel):
    """A convolution that keeps the size, and its batch normalisation."""
    return (
        nn.Conv2d(n_in, n_out, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(n_out),
    )


def _flat(n_maps, size, n_components):
    """The layers after the blocks, for images of ``size``."""
    height, width = (pixels // 2**_HALVINGS for pixels in size)
    return nn.Flatten(), *output_layer(n_maps * height * width, n_components)
