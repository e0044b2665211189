"""Penalties of the primal solver: the steps are those of the dual's elimination."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from sparsedis.solvers.svm.features import Features
from sparsedis.solvers.svm.primal_penalties import PrimalRidge, PrimalWorkingSet

N, P, M_ = 30, 50, 2


def draw(*shape, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def make(alpha):
    X = np.random.default_rng(0).standard_normal((N, P))
    weight = torch.linspace(0.5, 2, N).double()
    features, start = Features(X), draw(1, N, M_, seed=0)
    if alpha:
        return PrimalWorkingSet(features, weight, alpha, 0.5, start), X, weight
    return PrimalRidge(features, weight, 0.5), X, weight


def check_equations(penalty, dX, dW, g):
    """``P w - R'x = g`` for the steps that the dual solver would take."""
    a, b, direction = penalty.curvature()
    w = dW[0] if isinstance(penalty, PrimalWorkingSet) else dW[0].T
    left = a * w + b * (direction * w).sum(0) * direction
    assert_allclose(left - dX[0].T @ penalty.design(), g, atol=1e-8)


@pytest.mark.parametrize("corrected", [False, True])
def test_group_penalty_takes_the_steps_of_the_dual(corrected):
    penalty, _, _ = make(20.0)
    X, dX = draw(1, N, M_, seed=1), draw(1, N, M_, seed=2)
    penalty.W = 0.1 * draw(*penalty.W.shape, seed=3)
    penalty.evaluate(X)
    penalty.shift()
    how = ()
    if corrected:
        how = torch.tensor([0.3]).double(), penalty.step(draw(1, N, M_, seed=4))
    penalty.shift(*how)
    expected = penalty.step(dX)
    g = penalty.drive(*how)
    check_equations(penalty, dX, expected[1], g)
    found = penalty.complete(dX, expected[1][0])
    for one, other in zip(found, expected, strict=True):
        assert_allclose(one, other, atol=1e-10)


def test_ridge_penalty_takes_the_steps_of_the_dual():
    penalty, X, weight = make(0.0)
    penalty.evaluate(draw(1, N, M_, seed=1))
    dX = draw(1, N, M_, seed=2)
    sZ = weight[:, None].numpy() * X
    assert_allclose(penalty.design(), sZ / np.sqrt(0.5), atol=1e-12)
    expected = penalty.step(dX)
    check_equations(penalty, dX, expected, penalty.drive())
    assert_allclose(penalty.complete(dX, expected[0].T), expected)


def test_solutions_come_with_their_scores_and_gaps():
    for alpha in (0.0, 20.0):
        penalty, X, weight = make(alpha)
        dual = draw(1, N, M_, seed=1)
        penalty.evaluate(dual)
        V = X.T @ (weight[:, None] * dual[0]).numpy()
        norms = np.linalg.norm(V, axis=1)
        conjugate = (np.maximum(norms - alpha, 0) ** 2).sum() / (2 * 0.5)
        if alpha:
            # As for the features outside at this dual point.
            penalty.outside = penalty._cost(penalty._reach(dual))
        for W, scores, gap in penalty.solutions():
            own = np.zeros((P, M_))
            own[penalty.index] = W.T
            sZ = weight[:, None].numpy() * X
            assert_allclose(scores[0], sZ @ own, atol=1e-10)
            value = alpha * np.linalg.norm(own, axis=1).sum() + 0.25 * (own**2).sum()
            assert_allclose(float(gap), value + conjugate - (V * own).sum(), rtol=1e-9)


def test_the_working_set_grows_until_nothing_is_violated():
    penalty, X, weight = make(20.0)
    dual = 3 * draw(1, N, M_, seed=5)
    V = X.T @ (weight[:, None] * dual[0]).numpy()
    norms = np.linalg.norm(V, axis=1)
    violated = norms > 20.0
    assert violated[~penalty.member.numpy()].any()
    for _ in range(5):
        penalty.grow(dual, torch.tensor(1.0).double(), 0.0)
    assert penalty.member.numpy()[violated].all()
    assert float(penalty.outside) == 0.0
