"""The encoders of few-shot learning, against the published architectures."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from sparsedis.encoders import Conv4, ResNet12

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def n_parameters(module):
    return sum(p.numel() for p in module.parameters())


def by_kind(module, kind):
    return [part for part in module.modules() if isinstance(part, kind)]


@pytest.mark.parametrize(
    ("shape", "n_features"),
    [((1, 28, 28), 64), ((3, 84, 84), 1600), ((2, 16, 47), 128)],
)
def test_conv4_is_the_published_architecture(shape, n_features):
    encoder = Conv4(shape)
    images = maps = torch.randn(3, *shape)
    for convolution in by_kind(encoder, nn.Conv2d):
        maps = functional.conv2d(maps, convolution.weight, padding=1)
        mean, variance = maps.mean((0, 2, 3)), maps.var((0, 2, 3), correction=0)
        maps = (maps - mean[:, None, None]) / (variance[:, None, None] + 1e-5).sqrt()
        maps = functional.max_pool2d(maps.relu(), 2)
    features = encoder(images)
    assert features.shape == (3, n_features)
    torch.testing.assert_close(features, maps.flatten(1), atol=1e-4, rtol=0)
    assert n_parameters(encoder) == 64 * 9 * (shape[0] + 3 * 64) + 4 * 2 * 64


def test_resnet12_has_the_published_size():
    # Counted by hand; 12.4 million, as in the literature.
    expected, n_in = 0, 3
    for n_out in (64, 160, 320, 640):
        expected += 9 * (n_in * n_out + 2 * n_out**2) + n_in * n_out + 4 * 2 * n_out
        n_in = n_out
    encoder = ResNet12((3, 84, 84))
    assert n_parameters(encoder) == expected == 12_424_320
    assert encoder.eval()(torch.zeros(1, 3, 84, 84)).shape == (1, 16_000)


def test_resnet12_is_the_published_architecture():
    encoder = ResNet12((3, 33, 20)).eval()
    convolutions = iter(by_kind(encoder, nn.Conv2d))
    images = maps = torch.randn(2, 3, 33, 20)
    normalise = 1 / (1 + 1e-5) ** 0.5  # what new statistics do in evaluation
    for _ in range(4):
        first, second, third, around = (next(convolutions).weight for _ in range(4))
        inner = functional.conv2d(maps, first, padding=1) * normalise
        inner = functional.leaky_relu(inner, 0.1)
        inner = functional.conv2d(inner, second, padding=1) * normalise
        inner = functional.leaky_relu(inner, 0.1)
        inner = functional.conv2d(inner, third, padding=1) * normalise
        maps = inner + functional.conv2d(maps, around) * normalise
        maps = functional.max_pool2d(functional.leaky_relu(maps, 0.1), 2)
    torch.testing.assert_close(encoder(images), maps.flatten(1), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("cls", [Conv4, ResNet12])
def test_a_training_step_is_finite(cls, device):
    torch.manual_seed(0)
    encoder = cls((3, 18, 18)).to(device, memory_format=torch.channels_last)
    images = torch.rand(5, 3, 18, 18, device=device)
    features = encoder(images.to(memory_format=torch.channels_last))
    features.square().mean().backward()
    assert features.isfinite().all()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


@pytest.mark.parametrize("cls", [Conv4, ResNet12])
def test_the_memory_format_changes_nothing(cls):
    encoder = cls((3, 20, 24)).double().eval()
    images = torch.rand(2, 3, 20, 24, dtype=torch.float64)
    expected = encoder(images)
    encoder = encoder.to(memory_format=torch.channels_last)
    last = encoder(images.to(memory_format=torch.channels_last))
    torch.testing.assert_close(last, expected)


@pytest.mark.parametrize("cls", [Conv4, ResNet12])
def test_n_components_appends_a_linear_layer(cls):
    encoder = cls((1, 20, 33), n_components=5)
    assert encoder(torch.rand(2, 1, 20, 33)).shape == (2, 5)
    maps = 64 if cls is Conv4 else 640
    assert encoder[-1].weight.shape == (5, maps * 1 * 2)


def drop_blocks(rate, block_size, n_steps):
    """The DropBlock of a network, after so many of 100 steps of its warmup."""
    encoder = ResNet12(
        (3, 16, 16), drop_rate=rate, drop_block_size=block_size, drop_warmup=100
    )
    drop = encoder[3].end[-1]
    drop.n_steps += n_steps - 1
    return drop


def test_drop_block_drops_whole_squares():
    torch.manual_seed(0)
    maps = torch.ones(40, 3, 9, 11)
    out = drop_blocks(0.2, 3, 100)(maps)
    dropped = (out == 0).float()
    # A dropped pixel lies in some square of 3 x 3 pixels that are all dropped: opening
    # with that square (erosion, then dilation) changes nothing.
    eroded = -functional.max_pool2d(-dropped, 3, stride=1)
    opened = functional.max_pool2d(functional.pad(eroded, [2] * 4), 3, stride=1)
    assert torch.equal(opened, dropped)
    assert 0.1 < dropped.mean() < 0.2  # less than the rate: squares overlap


def test_drop_block_keeps_the_mean():
    torch.manual_seed(0)
    maps = torch.ones(50, 20, 5, 5)
    out = drop_blocks(0.3, 5, 100)(maps)
    torch.testing.assert_close(out.mean(), torch.tensor(1.0))
    # A square as large as the map: channels go as a whole, at the rate itself.
    channels = out.flatten(2)
    assert torch.equal(channels.min(2).values, channels.max(2).values)
    assert abs(float((out == 0).float().mean()) - 0.3) < 0.05


def test_the_rate_of_drop_block_warms_up():
    torch.manual_seed(0)
    maps = torch.ones(200, 20, 4, 4)
    shares = [
        float((drop_blocks(0.4, 1, n_steps)(maps) == 0).float().mean())
        for n_steps in (1, 50, 100, 200)
    ]
    assert shares == pytest.approx([0.004, 0.2, 0.4, 0.4], abs=0.01)


def test_a_map_that_is_dropped_whole_is_zero():
    torch.manual_seed(0)
    drop = drop_blocks(0.9, 5, 100)
    outputs = [drop(torch.ones(1, 1, 2, 2)) for _ in range(20)]
    assert {float(out.mean()) for out in outputs} == {0.0, 1.0}


def test_nothing_is_dropped_in_evaluation_or_at_rate_zero():
    images = torch.rand(4, 1, 16, 16)
    encoder = ResNet12((1, 16, 16), drop_rate=0.5, drop_warmup=1).eval()
    assert torch.equal(encoder(images), encoder(images))
    encoder = ResNet12((1, 16, 16), drop_rate=0.0)
    assert torch.equal(encoder(images), encoder(images))


def test_training_drops_at_random():
    images = torch.rand(4, 1, 16, 16)
    encoder = ResNet12((1, 16, 16))
    torch.manual_seed(0)
    first, second = encoder(images), encoder(images)
    assert not torch.equal(first, second)
    torch.manual_seed(0)
    torch.testing.assert_close(encoder(images), first)


@pytest.mark.parametrize("cls", [Conv4, ResNet12])
@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((20,), r"input_shape must be .* got \(20,\)"),
        ((3, 15, 40), r"at least 16 x 16 pixels, got input_shape=\(3, 15, 40\)"),
    ],
)
def test_inputs_that_are_no_images_or_too_small(cls, shape, message):
    with pytest.raises(ValueError, match=message):
        cls(shape)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"drop_rate": 1}, r"drop_rate must lie in \[0, 1\), got 1"),
        ({"drop_block_size": 0}, "drop_block_size must be an integer >= 1, got 0"),
        ({"drop_block_size": 2.5}, "drop_block_size must be an integer >= 1, got 2.5"),
        ({"drop_warmup": 0}, "drop_warmup must be an integer >= 1, got 0"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        ResNet12((3, 16, 16), **options)
