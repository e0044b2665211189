"""Penalties relative to the largest, inside of torch.func."""

from functools import partial

import pytest
import torch
from torch.func import grad, jvp, vmap

from sparsedis.implicit import (
    glm,
    glm_alpha_max,
    group_lasso_svm,
    group_lasso_svm_alpha_max,
    lasso,
    lasso_alpha_max,
    logistic,
    logistic_alpha_max,
    multitask_lasso,
    multitask_lasso_alpha_max,
    ridge,
    ridge_alpha_max,
)
from sparsedis.solvers.losses import Huber
from sparsedis.solvers.penalties import L1
from tests.implicit._transforms import (
    N_SAMPLES,
    both_targets,
    close,
    each,
    forward_mode,
)

RELATIVE = {
    "lasso": lambda Z, y: lasso(Z, y, 0.1 * lasso_alpha_max(Z, y)),
    "multitask_lasso": lambda Z, y: multitask_lasso(
        Z, both_targets(y), 0.1 * multitask_lasso_alpha_max(Z, both_targets(y))
    ),
    "ridge": lambda Z, y: ridge(Z, y, 0.1 * ridge_alpha_max(Z, y)),
    "logistic": lambda Z, y: logistic(Z, y > 0, 0.1 * logistic_alpha_max(Z, y > 0)),
    "glm": lambda Z, y: glm(Z, y, 0.1 * glm_alpha_max(Z, y, **HUBER), **HUBER),
}

HUBER = {"loss": Huber(), "penalty": L1()}


@forward_mode
@pytest.mark.parametrize("name", RELATIVE)
def test_relative_penalties_are_constants(name, inputs):
    layer, (Z, y, *_) = RELATIVE[name], inputs
    leaf = Z.clone().requires_grad_()
    (expected,) = torch.autograd.grad((layer(leaf, y) ** 3).sum(), leaf)
    close(grad(lambda Z: (layer(Z, y) ** 3).sum())(Z), expected)
    total = (expected * Z.sin()).sum()
    close(jvp(lambda Z: (layer(Z, y) ** 3).sum(), (Z,), (Z.sin(),))[1], total)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(Z, Z.sin())
        slope = torch.autograd.forward_ad.unpack_dual((layer(dual, y) ** 3).sum())
    close(slope.tangent, total)


def svm_by_alpha_max(Z, y):
    alpha = 0.1 * group_lasso_svm_alpha_max(Z, y > 0)
    return group_lasso_svm(Z, y > 0, alpha, 1.0)


@pytest.mark.parametrize("name", [*RELATIVE, "svm"])
def test_vmap_of_relative_penalties_is_a_loop(name, inputs):
    layer = {**RELATIVE, "svm": svm_by_alpha_max}[name]
    close(vmap(layer)(*inputs[:2]), each(layer, inputs[:2]))
    slope = grad(lambda Z, y: (layer(Z, y) ** 3).sum())
    close(vmap(slope)(*inputs[:2]), each(slope, inputs[:2]))


def test_vmap_of_a_bound_with_shared_arguments(inputs):
    Z, y, *_ = inputs
    mask = torch.arange(N_SAMPLES) < 12
    bound = partial(lasso_alpha_max, mask=mask, fit_intercept=True)
    close(vmap(bound, (0, None))(Z, y[0]), bound(Z, y[0]))
    both = vmap(vmap(bound, (None, 0)), (0, None))(Z, y)
    close(both, torch.stack([bound(one, y) for one in Z]))
