"""Layers as functions, and their gradients by backward."""

import pytest
import torch

from sparsedis.implicit import (
    glm,
    group_lasso_svm,
    lasso,
    logistic,
    multitask_lasso,
    ridge,
)
from sparsedis.solvers.losses import Huber, Squared
from sparsedis.solvers.penalties import MCP, GroupL1

N_TASKS, N_SAMPLES, K = 3, 20, 4


def both_targets(y):
    return torch.stack([y, -2 * y + y * y], -1)


# Layers as functions of Z, y, alpha and l2.
LAYERS = {
    "lasso": lambda Z, y, alpha, l2: lasso(Z, y, alpha, l2=l2),
    "lasso with intercept": lambda Z, y, alpha, l2: torch.cat(
        [
            part.reshape(*y.shape[:-1], -1)
            for part in lasso(Z, y, alpha, l2=l2, fit_intercept=True)
        ],
        -1,
    ),
    "multitask_lasso": lambda Z, y, alpha, l2: multitask_lasso(
        Z, both_targets(y), alpha, l2=l2
    ),
    "ridge": lambda Z, y, alpha, l2: ridge(Z, y, alpha + l2),
    "logistic": lambda Z, y, alpha, l2: logistic(Z, y > 0, alpha, l2=l2),
    "multinomial": lambda Z, y, alpha, l2: logistic(
        Z, (y > 0).int() + (y > 1), alpha, l2=l2, n_classes=3
    ),
    "glm": lambda Z, y, alpha, l2: glm(Z, y, alpha, loss=Huber(), penalty=MCP(), l2=l2),
    "glm of vectors": lambda Z, y, alpha, l2: glm(
        *(Z, both_targets(y), alpha),
        loss=Squared(),
        penalty=GroupL1(),
        l2=l2,
        multi_output=True,
    ),
    "svm": lambda Z, y, alpha, l2: group_lasso_svm(Z, y > 0, 10 * alpha, l2),
}


def task(inputs, t):
    return [value[t] for value in inputs]


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11)


def score(layer, *inputs):
    """A number that is not linear in the solutions, and in Z."""
    return (layer(*inputs) ** 3).sum() + (inputs[0] ** 2).sum()


def reference(layer, inputs, at=(0, 2, 3)):
    """Gradients of the score by backward."""
    inputs = [value.clone().requires_grad_(i in at) for i, value in enumerate(inputs)]
    return torch.autograd.grad(score(layer, *inputs), [inputs[i] for i in at])


def each(function, inputs):
    """Results for one task after the other, stacked."""
    found = [function(*task(inputs, t)) for t in range(N_TASKS)]
    if isinstance(found[0], torch.Tensor):
        return torch.stack(found)
    return tuple(map(torch.stack, zip(*found, strict=True)))


# torch itself compiles a part of its forward mode by this function.
forward_mode = pytest.mark.filterwarnings(
    "ignore:`torch.jit.script`:DeprecationWarning"
)
