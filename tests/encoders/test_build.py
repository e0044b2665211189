"""Valid values of the ``encoder`` parameter."""

import pytest
import torch
from torch import nn

from sparsedis.encoders import (
    MLP,
    Conv4,
    ConvEncoder,
    ResNet12,
    build_encoder,
    n_features_of,
)


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


@pytest.mark.parametrize(
    ("encoder", "shape", "n_features"),
    [
        ("mlp", (20,), 256),
        ("conv", (3, 16, 16), 256),
        ("conv4", (1, 28, 28), 64),
        ("conv4", (3, 84, 84), 1600),
        ("resnet12", (1, 16, 16), 640),
        ("identity", (4, 5), 20),
        (lambda shape, k: nn.Linear(*shape, 7), (20,), 7),
        (nn.Linear(20, 6).double(), (20,), 6),
    ],
)
def test_the_architecture_may_choose_the_number_of_features(encoder, shape, n_features):
    assert n_features_of(build_encoder(encoder, shape), shape) == n_features


@pytest.mark.parametrize(("name", "cls"), [("conv4", Conv4), ("resnet12", ResNet12)])
def test_few_shot_encoders_have_names(name, cls):
    module = build_encoder(name, (3, 16, 16), 5)
    assert type(module) is cls
    assert n_features_of(module, (3, 16, 16)) == 5


def test_counting_features_leaves_the_module_as_it_was():
    module = build_encoder("resnet12", (1, 16, 16))
    module[0].eval()  # as a user who freezes the statistics of a block
    before = {name: value.clone() for name, value in module.state_dict().items()}
    n_features_of(module, (1, 16, 16))
    for name, value in module.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    assert [part.training for part in module] == [False, *[True] * 4]
    assert all(p.grad is None for p in module.parameters())


@pytest.mark.parametrize("encoder", [lambda x: x, lambda: nn.Linear(4, 3)])
def test_functions_of_other_arguments(encoder):
    message = r"encoder=<function.* must accept two arguments, \(input_shape, n_comp"
    with pytest.raises(TypeError, match=message):
        build_encoder(encoder, (4,), 3)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.Linear(3, 2), r"failed on inputs of shape \(2, 4\)"),
        (nn.Unflatten(1, (2, 2)), r"got \(2, 2, 2\) from inputs"),
        (nn.Flatten(0), r"got \(8,\) from inputs"),
        (nn.RNN(4, 3), "one tensor, got tuple: wrap"),
    ],
)
def test_modules_whose_features_cannot_be_counted(module, message):
    with pytest.raises(ValueError, match=message):
        n_features_of(module, (4,))
