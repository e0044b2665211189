"""Layers inside of torch.inference_mode and torch.autocast."""

from functools import partial

import pytest
import torch
from torch.func import vmap

from sparsedis.implicit import (
    glm,
    glm_alpha_max,
    group_lasso_svm,
    group_lasso_svm_alpha_max,
    lasso,
    logistic,
    multitask_lasso,
    ridge,
)
from sparsedis.solvers.losses import Huber, Poisson
from sparsedis.solvers.penalties import L1

LAYERS = {
    "lasso": lambda Z, y: lasso(Z, y, 0.1),
    "multitask_lasso": lambda Z, y: multitask_lasso(Z, y.unsqueeze(-1), 0.1),
    "ridge": lambda Z, y: ridge(Z, y, 0.1),
    "logistic": lambda Z, y: logistic(Z, y > 0, 0.05),
    "glm": lambda Z, y: glm(Z, y, 0.1, loss=Huber(), penalty=L1()),
    "glm by autograd": lambda Z, y: glm(
        Z, y.abs().round(), 0.1, loss=Poisson(), penalty=L1()
    ),
    "svm": lambda Z, y: group_lasso_svm(Z, y > 0, 1.0, 0.5),
}


@pytest.fixture(params=LAYERS)
def layer(request):
    return LAYERS[request.param]


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(0)
    draw = partial(torch.randn, generator=generator, dtype=torch.float64)
    Z = draw(3, 20, 4)
    return Z, Z[..., 0] - Z[..., 1] + 0.3 * draw(3, 20)


@pytest.mark.parametrize("own", [False, True])
def test_inference_mode(layer, data, own):
    expected = layer(*data)
    with torch.inference_mode():
        # With tensors of this mode, or of another one.
        Z, y = (part.clone() for part in data) if own else data
        assert torch.equal(layer(Z, y), expected)
        torch.testing.assert_close(vmap(layer)(Z, y), expected)


def test_penalties_in_inference_mode(data):
    how = {"loss": Huber(), "penalty": L1()}
    expected = glm_alpha_max(*data, **how)
    with torch.inference_mode():
        assert torch.equal(glm_alpha_max(*data, **how), expected)


@pytest.mark.parametrize("alpha", [0.0, 3.0])
def test_autocast_does_not_round_features(alpha):
    generator = torch.Generator().manual_seed(0)
    Z = torch.randn(2, 12, 200, generator=generator)
    y = torch.arange(12) % 3

    def solve(autocast):
        leaf = Z.clone().requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            bound = group_lasso_svm_alpha_max(leaf, y)
            W, b = group_lasso_svm(leaf, y, alpha, 1.0, fit_intercept=True)
            (gradient,) = torch.autograd.grad(W.pow(3).sum() + b[:, 0].sum(), leaf)
        return bound, W, b, gradient

    for found, expected in zip(solve(True), solve(False), strict=True):
        assert torch.equal(found, expected)
