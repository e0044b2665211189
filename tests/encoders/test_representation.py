"""Representation around a user's module."""

import numpy as np
import pytest
import torch
from torch import nn

from sparsedis.encoders import (
    Representation,
    _moments,
    input_shape_of,
    prepare_rows,
)


def n_parameters(module):
    return sum(p.numel() for p in module.parameters())


def test_a_wrong_output_is_named():
    module = Representation(nn.Linear(4, 5), 3, None)
    with pytest.raises(ValueError, match=r"\(2, 3\), got \(2, 5\)"):
        module(torch.zeros(2, 4))


def test_another_dtype_is_named():
    class Wide(nn.Linear):
        def forward(self, rows):
            return super().forward(rows).double()

    for normalization in ("batch", "layer", None):
        module = Representation(Wide(4, 3), 3, normalization)
        with pytest.raises(ValueError, match=r"float32, got torch.float64: let its"):
            module(torch.zeros(2, 4))
        assert module.double()(torch.zeros(2, 4).double()).shape == (2, 3)


def test_normalisation_has_nothing_to_learn():
    for normalization in ("batch", "layer", None):
        assert n_parameters(Representation(nn.Identity(), 4, normalization)) == 0


def test_layer_normalisation_is_per_row():
    Z = Representation(nn.Identity(), 4, "layer")(torch.randn(7, 4))
    torch.testing.assert_close(Z.mean(1), torch.zeros(7), atol=1e-6, rtol=0)


def test_statistics_are_those_of_all_blocks_together():
    rng = torch.Generator().manual_seed(0)
    # A large mean, in which float32 sums of squares would drown the variance.
    rows = 300.0 + torch.randn(90, 2, generator=rng)
    module = Representation(nn.Identity(), 2, "batch")
    module.set_statistics(rows.split(40))
    raw = rows.double()
    statistics = module.normalization
    torch.testing.assert_close(statistics.running_mean.double(), raw.mean(0))
    torch.testing.assert_close(
        statistics.running_var.double(), raw.var(0, correction=0)
    )
    # Evaluation on the training rows is what training on all of them would see.
    evaluated = module.eval()(rows)
    torch.testing.assert_close(evaluated, module.train()(rows), atol=1e-4, rtol=0)


def test_images_become_channels_first_without_a_copy():
    images = torch.rand(2, 5, 6, 3)
    rows = prepare_rows(images)
    assert rows.shape == (2, 3, 5, 6)
    assert rows.data_ptr() == images.data_ptr()
    assert rows.is_contiguous(memory_format=torch.channels_last)


def test_8_bit_images_are_scaled_to_one():
    images = torch.tensor([0, 51, 255], dtype=torch.uint8).reshape(1, 1, 3, 1)
    torch.testing.assert_close(
        prepare_rows(images).flatten(), torch.tensor([0.0, 0.2, 1.0])
    )


def test_input_shape():
    assert input_shape_of(np.zeros((9, 4))) == (4,)
    assert input_shape_of(np.zeros((9, 8, 7, 3))) == (3, 8, 7)


@pytest.mark.parametrize("held", [1, 100, 2**24])
def test_statistics_are_those_of_all_the_rows(monkeypatch, held):
    monkeypatch.setattr(_moments, "_HELD", held)
    rng = np.random.default_rng(0)
    rows = torch.from_numpy(1e4 + rng.standard_normal((103, 5))).float()
    module = Representation(nn.Identity(), 5, "batch")
    module.set_statistics(rows.split(10))
    assert module.training
    exact = rows.double().numpy()
    norm = module.normalization
    np.testing.assert_allclose(norm.running_mean, exact.mean(0), rtol=1e-7)
    np.testing.assert_allclose(norm.running_var, exact.var(0), rtol=1e-6)
