"""Blocks of inputs on a device."""

import numpy as np
import pytest
import torch

from sparsedis.bilevel._module import device_blocks, encode_blocks, stacked
from sparsedis.encoders import ConvEncoder, Representation


@pytest.mark.parametrize(
    ("shape", "sizes"),
    [
        # Tables stay as they come; 2**21 numbers of images are encoded at a time.
        ((1000, 4000), [1000]),
        ((300, 64, 64, 3), [170, 130]),
        ((2, 1024, 1024, 3), [1, 1]),
    ],
)
def test_large_images_come_in_small_blocks(shape, sizes):
    whole = np.broadcast_to(np.float32(0.5), shape)
    blocks = device_blocks([whole], torch.device("cpu"))
    assert [len(block) for block in blocks] == sizes


def test_features_do_not_depend_on_the_blocks():
    torch.manual_seed(0)
    images = np.random.default_rng(0).integers(256, size=(200, 64, 64, 3))
    images = images.astype(np.uint8)
    module = Representation(ConvEncoder((3, 64, 64), 4), 4, "layer").eval()

    def encode(blocks):
        with torch.no_grad():
            codes = encode_blocks(module, blocks, torch.device("cpu"), wide=False)
            return stacked((block.numpy() for block in codes), 200)

    np.testing.assert_allclose(encode([images]), encode(images[:, None]), atol=1e-5)
