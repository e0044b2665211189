"""The architectures for tables and small images."""

import pytest
import torch
from torch import nn

from sparsedis.encoders import MLP, Conv4, ConvEncoder, ResNet12


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


def test_the_output_of_an_mlp_adds_a_linear_map_of_the_inputs():
    torch.manual_seed(0)
    rows = torch.randn(6, 4, 4)
    encoder = MLP((4, 4), 3, hidden_layer_sizes=(9, 7), skip=True)
    last, plain = encoder[-1], MLP((4, 4), 3, hidden_layer_sizes=(9, 7))
    plain[1].load_state_dict(encoder[1][0].state_dict())
    plain[3].load_state_dict(encoder[1][2].state_dict())
    with torch.no_grad():
        plain[-1].weight.copy_(last.weight[:, :7])
        plain[-1].bias.copy_(last.bias)
    # A norm of 8 in 16 columns.
    linear = 2 * rows.flatten(1) @ last.weight[:, 7:].T
    torch.testing.assert_close(encoder(rows), plain(rows) + linear)


@pytest.mark.parametrize(
    "sizes",
    [{"n_components": 3, "hidden_layer_sizes": ()}, {"hidden_layer_sizes": (5,)}],
)
def test_skipping_nothing_changes_nothing(sizes):
    with_skip, without = MLP((4,), **sizes, skip=True), MLP((4,), **sizes)
    assert str(with_skip) == str(without)


def test_conv_encoder_wants_images():
    with pytest.raises(ValueError, match=r"input_shape must be .* got \(20,\)"):
        ConvEncoder((20,), 3)


@pytest.mark.parametrize(
    ("encoder", "n_hidden"),
    [(MLP((3, 8, 8), hidden_layer_sizes=(7, 5)), 5), (ConvEncoder((3, 8, 8)), 256)],
)
def test_without_n_components_the_last_hidden_layer_is_the_output(encoder, n_hidden):
    features = encoder(torch.randn(4, 3, 8, 8))
    assert features.shape == (4, n_hidden)
    assert features.min() == 0


@pytest.mark.parametrize("make", [MLP, ConvEncoder, Conv4, ResNet12])
def test_a_slice_is_the_sequence_of_its_layers(make):
    encoder = make((3, 16, 16), 4).eval()
    images, last = torch.randn(2, 3, 16, 16), len(encoder) - 1
    body, head = encoder[:-1], encoder[-1]
    torch.testing.assert_close(head(body(images)), encoder(images))
    assert list(body.state_dict()) == [
        name for name in encoder.state_dict() if not name.startswith(f"{last}.")
    ]
