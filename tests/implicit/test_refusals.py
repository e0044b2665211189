"""No layer drops a second derivative: each is refused, whatever is asked for."""

from itertools import product

import pytest
import torch

from sparsedis.implicit import (
    group_lasso_svm,
    lasso,
    logistic,
    multitask_lasso,
    ridge,
)

# Layers as functions of Z, y, a sparse penalty and a squared one.
LAYERS = {
    "lasso": lambda Z, y, alpha, l2: lasso(Z, y, alpha, l2=l2),
    "multitask_lasso": lambda Z, y, alpha, l2: multitask_lasso(
        Z, y[:, None] * torch.tensor([1.0, -2.0]), alpha, l2=l2, fit_intercept=True
    )[0],
    "ridge": lambda Z, y, alpha, l2: ridge(Z, y, alpha + l2, fit_intercept=True)[0],
    "logistic": lambda Z, y, alpha, l2: logistic(Z, y > 0, alpha, l2=l2),
    "multinomial": lambda Z, y, alpha, l2: logistic(
        Z, (y > 0).int() + (y > 1), alpha, l2=l2
    ),
    "svm": lambda Z, y, alpha, l2: group_lasso_svm(Z, y > 0, alpha, l2),
    "svm without alpha": lambda Z, y, alpha, l2: group_lasso_svm(
        Z, y > 0, 0 * alpha, l2
    ),
}


def make_inputs():
    generator = torch.Generator().manual_seed(0)
    Z = torch.randn(20, 3, generator=generator, dtype=torch.float64)
    y = Z[:, 0] + torch.randn(20, generator=generator, dtype=torch.float64)
    return [Z, y, torch.tensor(0.05).double(), torch.tensor(0.1).double()]


def inputs_of(layer):
    labels = layer not in ("lasso", "multitask_lasso", "ridge")
    return [i for i in range(4) if not (labels and i == 1)]


PAIRS = [(name, *at) for name in LAYERS for at in product(inputs_of(name), repeat=2)]


@pytest.mark.parametrize(("name", "first", "second"), PAIRS)
def test_second_derivatives_are_refused(name, first, second):
    inputs = make_inputs()
    for i in {first, second}:
        inputs[i].requires_grad_()
    # Linear, so that nothing but the layer makes a second derivative of it.
    outer = LAYERS[name](*inputs).sum()
    # A part that has a second derivative without the layer.
    outer = outer + (inputs[first] ** 3).sum() * (inputs[second] ** 2).sum()
    (gradient,) = torch.autograd.grad(outer, inputs[first], create_graph=True)
    with pytest.raises(RuntimeError, match="no second derivative"):
        torch.autograd.grad(gradient.sum(), inputs[second], retain_graph=True)
    with pytest.raises(RuntimeError, match="no second derivative"):
        gradient.sum().backward()


@pytest.mark.parametrize("name", LAYERS)
def test_gradients_with_a_graph_are_those_without(name):
    inputs = make_inputs()
    wanted = [inputs[i].requires_grad_() for i in inputs_of(name)]
    outer = (LAYERS[name](*inputs) ** 2).sum()
    found = torch.autograd.grad(
        outer, wanted, create_graph=True, allow_unused=True, materialize_grads=True
    )
    expected = torch.autograd.grad(
        outer, wanted, allow_unused=True, materialize_grads=True
    )
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", LAYERS)
def test_what_the_cotangent_depends_on_is_refused_too(name):
    Z, *rest = make_inputs()
    factor = torch.tensor(2.0, dtype=Z.dtype, requires_grad=True)
    outer = (factor * LAYERS[name](Z.requires_grad_(), *rest)).sum()
    (gradient,) = torch.autograd.grad(outer, Z, create_graph=True)
    with pytest.raises(RuntimeError, match="no second derivative"):
        torch.autograd.grad(gradient.sum(), factor)
