"""Second derivatives of the layers."""

import pytest
import torch
from torch.autograd import gradgradcheck

from sparsedis.implicit import glm, lasso, logistic, multitask_lasso, ridge
from sparsedis.solvers.losses import Huber, Loss, Poisson, Squared
from sparsedis.solvers.penalties import L2, MCP, GroupL1, NonNegativeL1


class Quartic(Loss):
    """A loss with nothing but its value."""

    def value(self, scores, y):
        residual = scores[..., 0] - y
        return residual.square() + residual.square().square() / 8


def outputs(y):
    return torch.stack([y, -2 * y + y * y], -1)


# Layers as functions of Z, y, a sparse penalty and a squared one.
LAYERS = {
    "lasso": lambda Z, y, alpha, l2: lasso(Z, y, alpha, l2=l2),
    "lasso with intercept": lambda Z, y, alpha, l2: lasso(
        Z, y, alpha, l2=l2, fit_intercept=True
    ),
    "weighted lasso": lambda Z, y, alpha, l2: lasso(
        Z, y, alpha, sample_weight=torch.arange(len(Z)) % 4.0
    ),
    "multitask_lasso": lambda Z, y, alpha, l2: multitask_lasso(
        Z, outputs(y), 5 * alpha, l2=l2
    ),
    "ridge": lambda Z, y, alpha, l2: ridge(Z, y, alpha + l2, fit_intercept=True),
    "logistic": lambda Z, y, alpha, l2: logistic(Z, y > 0, alpha, l2=l2),
    "multinomial": lambda Z, y, alpha, l2: logistic(
        Z, (y > 0).int() + (y > 1), alpha, l2=l2, fit_intercept=True
    ),
    "Huber and MCP": lambda Z, y, alpha, l2: glm(
        Z, y, alpha, loss=Huber(), penalty=MCP(), l2=l2
    ),
    "Poisson and L2": lambda Z, y, alpha, l2: glm(
        Z, y.abs(), alpha, loss=Poisson(), penalty=L2(), l2=l2, fit_intercept=True
    ),
    "signs": lambda Z, y, alpha, l2: glm(
        Z, y, alpha, loss=Squared(), penalty=NonNegativeL1(), l2=l2
    ),
    "own loss": lambda Z, y, alpha, l2: glm(
        Z, y, alpha, loss=Quartic(), penalty=GroupL1(), l2=l2
    ),
}


@pytest.fixture
def inputs():
    generator = torch.Generator().manual_seed(0)
    Z = torch.randn(12, 3, generator=generator, dtype=torch.float64)
    noise = torch.randn(12, generator=generator, dtype=torch.float64)
    y = Z[:, 0] - Z[:, 1] + 0.3 * noise
    penalties = torch.tensor([0.06, 0.1], dtype=torch.float64)
    return [value.requires_grad_() for value in (Z, y, *penalties.unbind())]


@pytest.mark.parametrize("name", LAYERS)
def test_second_derivatives(name, inputs):
    inputs = [value.detach().requires_grad_() for value in inputs]
    results = LAYERS[name](*inputs)
    results = results if isinstance(results, tuple) else (results,)
    assert any(bool(part.any()) for part in results)
    assert gradgradcheck(LAYERS[name], inputs, fast_mode=True)


def test_second_derivatives_of_batches(inputs):
    Z, y, alpha, l2 = (value.detach() for value in inputs)
    # Tasks with different supports, which share their features.
    y, alpha = torch.stack([y, Z[:, 2], y]), alpha * torch.tensor([1, 5, 100])
    inputs = [value.requires_grad_() for value in (Z, y, alpha, l2)]
    used = LAYERS["lasso"](*inputs) != 0
    assert used.sum(-1).tolist() == [2, 1, 0]
    assert gradgradcheck(LAYERS["lasso"], inputs, fast_mode=True)


def test_wide_supports():
    # So many features that those of the support are gathered.
    generator = torch.Generator().manual_seed(0)
    Z = torch.randn(20, 30, generator=generator, dtype=torch.float64)
    y = Z[:, :3].sum(-1)
    inputs = [value.requires_grad_() for value in (Z, y)]
    for solver in ("batched", "celer"):
        assert gradgradcheck(
            lambda Z, y, solver=solver: lasso(Z, y, 0.2, solver=solver),
            inputs,
            fast_mode=True,
        )


def test_the_hessian_in_closed_form():
    # w = y / (1 + alpha): the loss w^2 / 2 has the derivatives below.
    y, alpha = torch.tensor([3.0], dtype=torch.float64), torch.tensor(0.5).double()
    Z = torch.ones(1, 1, dtype=torch.float64)

    def loss(alpha):
        return 0.5 * ridge(Z, y, alpha).square().sum()

    found = torch.autograd.functional.hessian(loss, alpha)
    torch.testing.assert_close(found, 3 * 9 / (1 + alpha) ** 4)


@pytest.mark.parametrize("name", LAYERS)
def test_gradients_with_a_graph_are_those_without(name, inputs):
    results = LAYERS[name](*inputs)
    results = results if isinstance(results, tuple) else (results,)
    outer = sum((part**2).sum() for part in results)
    how = {"allow_unused": True, "materialize_grads": True}
    found = torch.autograd.grad(outer, inputs, create_graph=True, **how)
    expected = torch.autograd.grad(outer, inputs, **how)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_products_in_forward_direction(inputs):
    # Twice in reverse mode; gradients of layers have no derivative in forward mode.
    Z, y, alpha, l2 = (value.detach() for value in inputs)
    direction = Z.flip(0)
    solve = LAYERS["lasso"]
    _, found = torch.autograd.functional.jvp(
        lambda Z: solve(Z, y, alpha, l2), Z, direction
    )
    step = 1e-6 * direction
    ahead, behind = (solve(Z + part, y, alpha, l2) for part in (step, -step))
    torch.testing.assert_close(found, (ahead - behind) / 2e-6, rtol=1e-6, atol=1e-8)
