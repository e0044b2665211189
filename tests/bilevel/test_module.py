"""Blocks of inputs on a device."""

import numpy as np
import pytest
import torch

from sparsedis import SparseMultiTaskRepresentation
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


@pytest.mark.parametrize("n_components", [2, "auto"])
@pytest.mark.parametrize("make", [lambda *_: torch.nn.Linear(7, 2), None])
def test_an_encoder_of_another_width_is_named(n_components, make):
    encoder = make or torch.nn.Linear(7, 2)
    est = SparseMultiTaskRepresentation(n_components, encoder=encoder, max_iter=2)
    message = r"encoder failed on inputs of shape \(2, 3\): "
    with pytest.raises(ValueError, match=message):
        est.fit(np.eye(3), np.eye(3)[:, :2])
    assert not hasattr(est, "module_")


def test_lazy_weights_get_their_shape_in_training():
    encoder = torch.nn.LazyLinear(2)
    est = SparseMultiTaskRepresentation(
        2, encoder=encoder, max_iter=2, rotation=None, random_state=0
    )
    assert est.fit(np.eye(3), np.eye(3)[:, :2]).transform(np.eye(3)).shape == (3, 2)
