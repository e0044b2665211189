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
    penalty.evaluate(X, *penalty.pairs)
    change, kept = draw(*penalty.pairs[0].shape, seed=3), None
    if corrected:
        penalty.shift(-penalty.slack[:, 0])
        penalty.step(draw(1, N, M_, seed=4))
        kept = torch.ones(1, dtype=torch.float64)
    last = (penalty.dg, penalty.dt) if corrected else ()
    penalty.shift(change, kept)
    dt = penalty.step(dX)
    dW, dg = penalty.dW, penalty.dg
    if corrected:
        penalty.dg, penalty.dt = last
    # dW = M dV + fixed solves the equations of the primal solver.
    check_equations(penalty, dX, dW, penalty.drive(change, kept))
    assert_allclose(penalty.complete(dX, dW[0]), dt, rtol=1e-12)
    assert_allclose(penalty.dg, dg, rtol=1e-12)
    W, g = penalty.W, penalty.g
    penalty.advance(torch.tensor([0.5]).double())
    assert_allclose(penalty.W, W + 0.5 * dW, atol=1e-12)
    assert_allclose(penalty.g, g + 0.5 * dg, atol=1e-12)


def test_ridge_penalty_takes_the_steps_of_the_dual():
    penalty, X, weight = make(0.0)
    penalty.evaluate(draw(1, N, M_, seed=1), *penalty.pairs)
    dX = draw(1, N, M_, seed=2)
    sZ = weight[:, None].numpy() * X
    assert_allclose(penalty.design(), sZ / np.sqrt(0.5), atol=1e-12)
    empty = penalty.pairs[0]
    assert penalty.step(dX).shape == empty.shape
    expected = penalty.dW
    check_equations(penalty, dX, expected, penalty.drive(empty))
    assert penalty.complete(dX, expected[0].T).shape == empty.shape
    assert_allclose(penalty.dW, expected)


def test_solutions_come_with_their_scores_and_gaps():
    for alpha in (0.0, 20.0):
        penalty, X, weight = make(alpha)
        dual = draw(1, N, M_, seed=1)
        penalty.evaluate(dual, *penalty.pairs)
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
