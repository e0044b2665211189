"""No layer drops a derivative that it does not have: each is refused."""

from itertools import product

import pytest
import torch

from sparsedis.implicit import group_lasso_svm, lasso, logistic

# Layers as functions of Z, y, a sparse penalty and a squared one.
LAYERS = {
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


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize(("first", "second"), [*product([0, 2, 3], repeat=2)])
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
    wanted = [inputs[i].requires_grad_() for i in (0, 2, 3)]
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


@pytest.mark.parametrize("layer", [lasso, lambda Z, y, a: logistic(Z, y > 0, a)])
def test_third_derivatives_are_refused(layer):
    Z, y, alpha, _ = make_inputs()
    outer = (layer(Z.requires_grad_(), y, alpha) ** 2).sum()
    (first,) = torch.autograd.grad(outer, Z, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), Z, create_graph=True)
    with pytest.raises(RuntimeError, match="no third derivative"):
        torch.autograd.grad(second.sum(), Z)


@pytest.mark.parametrize(
    "layer", [lasso, lambda Z, y, a: logistic(Z, y > 0, a, solver="batched")]
)
def test_dependent_features_have_no_second_derivative(layer):
    Z, y, *_ = make_inputs()
    # At zero, alpha leaves both copies in the support.
    Z = Z[:, [0, 0]].requires_grad_()
    outer = (layer(Z, y, 0.0) ** 2).sum()
    with pytest.warns(RuntimeWarning, match="the minimum-norm gradient is used"):
        (first,) = torch.autograd.grad(outer, Z, create_graph=True)
    with pytest.raises(RuntimeError, match="has no second derivative"):
        torch.autograd.grad(first.sum(), Z)
