"""Coordinates of the dual variables, against the same in classes in numpy."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from sparsedis.solvers.svm.simplices import Simplices


def make(fit_intercept, *, absent=False, padded=False):
    y = torch.tensor([[0, 1, 2, 3, 0, 1], [3, 3, 2, 2, 0, 0]])
    if not absent:
        y = torch.tensor([[0, 1, 2, 3, 0, 1], [3, 3, 2, 2, 1, 0]])
    weight = torch.linspace(0.5, 2, 12).double().reshape(2, 6)
    if padded:
        weight[0, -1] = 0
    return Simplices.build(y, weight, 4, fit_intercept=fit_intercept)


def draw_beta(simplices, seed=0):
    """Points in the simplices, with zeros where they cannot move."""
    rng = np.random.default_rng(seed)
    beta = torch.tensor(rng.random(simplices.one_hot.shape)) * simplices.free
    total = beta.sum(-1, keepdim=True)
    return torch.where(total > 0, beta / total, simplices.one_hot)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("absent", [False, True])
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_coordinates_and_back(fit_intercept, absent, padded):
    simplices = make(fit_intercept, absent=absent, padded=padded)
    beta = draw_beta(simplices)
    X = simplices.coordinates(beta)
    assert X.shape == (2, 6, 3)
    assert_allclose(simplices.beta(X), beta, atol=1e-15)
    assert_allclose(simplices.expand(X), simplices.one_hot - beta, atol=1e-15)
    # The basis is orthonormal, and its vectors sum to zero.
    Q = simplices.basis
    assert_allclose(Q.sum(1), 0, atol=1e-15)
    product = Q.mT @ Q
    expected = torch.diag_embed((Q != 0).any(1).double())
    assert_allclose(product, expected, atol=1e-15)
    n_free = 3 if fit_intercept and absent else 4
    assert int(expected[1].sum()) == n_free - 1


@pytest.mark.parametrize("absent", [False, True])
def test_the_border_balances_the_weights_of_the_classes(absent):
    simplices = make(True, absent=absent)
    beta = draw_beta(simplices)
    change = simplices.weight.unsqueeze(-1) * (simplices.one_hot - beta)
    expected = (change.sum(1, keepdim=True) @ simplices.basis).squeeze(1)
    found = simplices.imbalance(simplices.coordinates(beta))
    assert_allclose(found, expected, atol=1e-14)
    assert_allclose(simplices.imbalance(simplices.uniform()), 0, atol=1e-14)


@pytest.mark.parametrize("fit_intercept", [False, True])
def test_shortfall_is_the_hinge_minus_the_linear_part_of_the_dual(fit_intercept):
    simplices = make(fit_intercept)
    beta, scores = (
        draw_beta(simplices),
        torch.tensor(np.random.default_rng(1).standard_normal((2, 6, 4))),
    )
    weight = simplices.weight.unsqueeze(-1)
    margin = 1 - simplices.one_hot
    hinge = (margin + scores).amax(-1) - (simplices.one_hot * scores).sum(-1)
    linear = beta * (margin + scores) - simplices.one_hot * scores
    expected = (weight.squeeze(-1) * (hinge - linear.sum(-1))).sum(-1)
    found = (beta * simplices.shortfall(weight * scores)).sum((1, 2))
    assert_allclose(found, expected, rtol=1e-12)
    assert float(simplices.shortfall(weight * scores).min()) == 0.0


def test_barrier_is_added_to_the_blocks_of_the_samples():
    simplices = make(False)
    curvature = draw_beta(simplices, seed=2)
    matrix = torch.zeros(2, 18, 18).double()
    Q = simplices.basis[0].numpy()
    expected = np.zeros((2, 18, 18))
    for t in range(2):
        for i in range(6):
            block = slice(3 * i, 3 * i + 3)
            expected[t, block, block] = Q.T @ np.diag(curvature[t, i]) @ Q
    assert_allclose(simplices.add_barrier(matrix, curvature), expected, atol=1e-15)
