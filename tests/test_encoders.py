"""Architectures, and what surrounds a user's module."""

import numpy as np
import pytest
import torch
from torch import nn

from sparsedis.encoders import (
    MLP,
    ConvEncoder,
    Representation,
    build_encoder,
    input_shape_of,
    prepare_rows,
)


def n_parameters(module):
    return sum(p.numel() for p in module.parameters())


def test_conv_encoder_has_the_published_size():
    # Four convolutions, FC 256 and FC 6, counted by hand.
    expected = (
        (3 * 16 * 32 + 32)
        + (32 * 16 * 32 + 32)
        + (32 * 4 * 64 + 64)
        + (64 * 4 * 64 + 64)
        + (64 * 4 * 4 * 256 + 256)
        + (256 * 6 + 6)
    )
    assert n_parameters(ConvEncoder((3, 64, 64), 6)) == expected


@pytest.mark.parametrize("size", [(64, 64), (33, 47), (5, 1)])
def test_conv_encoder_takes_any_size(size):
    encoder = ConvEncoder((1, *size), 4)
    assert encoder(torch.zeros(2, 1, *size)).shape == (2, 4)


def test_same_padding_is_even_where_it_can_be():
    # On even sizes "same" is one pixel on each side for a kernel of 4.
    encoder = ConvEncoder((3, 16, 16), 2)
    images = torch.randn(2, 3, 16, 16)
    first = encoder[0]
    expected = nn.functional.conv2d(images, first.weight, first.bias, 2, padding=1)
    torch.testing.assert_close(first(images), expected)


def test_same_padding_puts_the_odd_pixel_last():
    encoder = ConvEncoder((1, 5, 5), 2)
    images = torch.randn(1, 1, 5, 5)
    first = encoder[0]
    padded = nn.functional.pad(images, (1, 2, 1, 2))
    expected = nn.functional.conv2d(padded, first.weight, first.bias, 2)
    torch.testing.assert_close(first(images), expected)


def test_mlp_flattens():
    assert MLP((4, 5), 3, hidden_layer_sizes=(7,))(torch.zeros(2, 4, 5)).shape == (2, 3)


def test_conv_encoder_wants_images():
    with pytest.raises(ValueError, match=r"input_shape must be .* got \(20,\)"):
        build_encoder("conv", (20,), 3)


@pytest.mark.parametrize(
    ("shape", "expected"), [((20,), MLP), ((3, 8, 8), ConvEncoder), ((4, 5), MLP)]
)
def test_auto(shape, expected):
    assert type(build_encoder("auto", shape, 3)) is expected


def test_a_module_is_copied():
    module = nn.Linear(4, 3)
    copy = build_encoder(module, (4,), 3)
    assert copy is not module
    torch.testing.assert_close(copy.weight, module.weight)


def test_a_class_is_called_with_shape_and_size():
    module = build_encoder(MLP, (4,), 3)
    assert module[-1].out_features == 3


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        ("resnet", "encoder must be 'auto'.*'resnet'"),
        (None, "encoder must be 'auto'.*None"),
        (lambda shape, k: "no module", "must return a torch.nn.Module, got str"),
        ("identity", "n_components must be 4, got 3"),
    ],
)
def test_bad_encoders(encoder, message):
    with pytest.raises(ValueError, match=message):
        build_encoder(encoder, (4,), 3)


def test_a_wrong_output_is_named():
    module = Representation(nn.Linear(4, 5), 3, None)
    with pytest.raises(ValueError, match=r"\(2, 3\), got \(2, 5\)"):
        module(torch.zeros(2, 4))


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
