"""Weights that an encoder with fewer features takes over."""

import pytest
import torch
from torch import nn

from sparsedis.encoders import MLP, ConvEncoder, Representation
from sparsedis.multitask._narrowing import take_over


def plain_linear(n_in, n_out):
    return nn.Linear(n_in, n_out, bias=False)


def beside_inputs(input_shape, n_out):
    return MLP(input_shape, n_out, skip=True)


def trained(encoder, n_components, normalization, rows):
    """A representation with statistics that are its own."""
    module = Representation(encoder, n_components, normalization)
    for _ in range(5):
        module(3 * rows + 1)
    return module.eval()


@pytest.mark.parametrize("normalization", ["batch", None])
@pytest.mark.parametrize(
    "encoder", [nn.Linear, plain_linear, MLP, beside_inputs, ConvEncoder]
)
def test_fewer_features_take_over_the_weights(encoder, normalization):
    torch.manual_seed(0)
    is_image = encoder is ConvEncoder
    shape = (3, 16, 16) if is_image else (4,)
    rows = torch.rand(50, 16, 16, 3) if is_image else torch.randn(50, 4)
    n_in = 4 if encoder in (nn.Linear, plain_linear) else shape
    wide = trained(encoder(n_in, 6), 6, normalization, rows)
    narrow = Representation(encoder(n_in, 2), 2, normalization)
    components, mean = torch.randn(2, 6), torch.randn(6)
    before = [p.clone() for p in wide.parameters()]
    assert take_over(narrow, wide, components, mean, rows)
    assert narrow.training
    due = (wide(rows) - mean) @ components.T
    found = narrow.eval().encode(rows)
    if encoder is plain_linear:
        due, found = due - due.mean(0), found - found.mean(0)
    torch.testing.assert_close(found, due, atol=1e-4, rtol=1e-4)
    # They share nothing.
    with torch.no_grad():
        for parameter in narrow.parameters():
            parameter.zero_()
    for parameter, earlier in zip(wide.parameters(), before, strict=True):
        torch.testing.assert_close(parameter, earlier)


def behind_relu(n_in, n_out):
    return nn.Sequential(nn.Linear(n_in, n_out), nn.ReLU())


def two_layers(n_in, n_out):
    return nn.Sequential(nn.Linear(n_in, n_out), nn.Linear(n_out, n_out))


def other_names(n_in, n_out):
    return nn.Sequential(*[nn.Identity()] * n_out, nn.Linear(n_in, n_out))


def no_layer(n_in, n_out):
    class Slope(nn.Module):
        def __init__(self):
            super().__init__()
            self.slope = nn.Parameter(torch.ones(n_out))

        def forward(self, rows):
            return rows[:, :1] * self.slope

    return Slope()


@pytest.mark.parametrize(
    ("encoder", "normalization"),
    [
        (behind_relu, "batch"),
        (two_layers, "batch"),
        (other_names, "batch"),
        (no_layer, "batch"),
        (nn.Linear, "layer"),
    ],
)
def test_other_encoders_keep_their_own_weights(encoder, normalization):
    torch.manual_seed(0)
    rows = torch.randn(50, 4)
    wide = trained(encoder(4, 6), 6, normalization, rows)
    narrow = Representation(encoder(4, 2), 2, normalization)
    before = [p.clone() for p in narrow.parameters()]
    assert not take_over(narrow, wide, torch.randn(2, 6), torch.randn(6), rows)
    for parameter, earlier in zip(narrow.parameters(), before, strict=True):
        torch.testing.assert_close(parameter, earlier)
