"""Blocks of inputs on a device."""

from functools import partial

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

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


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    "mode", [torch.inference_mode, torch.no_grad, partial(torch.autocast, "cpu")]
)
def test_modes_of_torch_do_not_change_a_fit(mode, precision):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 8, 8, 1)).astype(np.float32)
    Y = X[:, 0, :3, 0]
    est = SparseMultiTaskRepresentation(
        2, max_iter=4, rotation=None, alpha=0.1, precision=precision, random_state=0
    )
    expected = est.fit(X, Y).transform(X)
    with mode():
        found = est.fit(X, Y).transform(X)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("callbacks", [[1], ["progress"], [("name", None)]])
def test_callbacks_that_are_none(callbacks):
    est = SparseMultiTaskRepresentation(2, callbacks=callbacks, max_iter=2)
    with pytest.raises(ValueError, match=r"callbacks must hold skorch callbacks.*got"):
        est.fit(np.eye(3), np.eye(3)[:, :2])


def test_steps_of_all_weights_at_once_change_no_result():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 4))
    Y = X @ rng.standard_normal((4, 5))

    def fit(optimizer):
        record = Record()
        est = SparseMultiTaskRepresentation(
            2,
            optimizer=optimizer,
            rotation=None,
            alpha=0.1,
            max_iter=20,
            callbacks=[record],
            random_state=0,
        )
        return est.fit(X, Y).transform(X), record.fused

    found, fused = fit(torch.optim.AdamW)
    # A function may make any optimiser, so it is called as it is.
    expected, plain = fit(partial(torch.optim.AdamW))
    assert fused
    assert not plain
    np.testing.assert_allclose(found, expected, atol=1e-3)


class Record(Callback):
    def on_train_end(self, net, **kwargs):
        self.fused = net.optimizer_.defaults["fused"]
