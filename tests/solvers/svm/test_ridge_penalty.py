"""The penalty without alpha: its equations, with and without rotated features."""

import pytest
import torch
from numpy.testing import assert_allclose

from sparsedis.solvers.svm.ridge_penalty import RidgePenalty, kron_identity


def make(rotated):
    generator = torch.Generator().manual_seed(0)
    F = torch.randn(2, 5, 4, dtype=torch.float64, generator=generator)
    X, dX = torch.randn(2, 2, 5, 3, dtype=torch.float64, generator=generator)
    return RidgePenalty(F, F @ F.mT, rotated=rotated), F, X, dX


# There are no pairs.
EMPTY = torch.zeros(2, 2, 0)


def test_kron_identity():
    A = torch.arange(8.0).reshape(2, 2, 2)
    expected = [torch.kron(part, torch.eye(3)) for part in A]
    assert_allclose(kron_identity(A, 3), torch.stack(expected))


def test_a_full_step_restores_the_link():
    penalty, F, X, dX = make(rotated=False)
    assert_allclose(penalty.evaluate(X, *EMPTY), 0)
    assert penalty.step(dX).shape == (2, 0)
    penalty.advance(torch.tensor([1.0, 1.0]))
    assert_allclose(penalty.W, F.mT @ (X + dX), atol=1e-12)
    scores = penalty.evaluate(X + dX, *EMPTY)
    assert_allclose(scores, F @ F.mT @ (X + dX), atol=1e-12)
    assert_allclose(penalty.gap(), 0, atol=1e-12)
    value = 0.5 * penalty.W.square().sum((1, 2))
    assert_allclose(penalty.conjugate(), value, rtol=1e-12)


def test_scores_move_by_the_shift_and_the_matrix():
    penalty, F, X, dX = make(rotated=False)
    penalty.evaluate(X, *EMPTY)
    penalty.step(dX)
    moved = F @ penalty.dW
    by_matrix = penalty.hessian() @ dX.flatten(1).unsqueeze(-1)
    assert_allclose(
        moved, penalty.shift(EMPTY[0]) + by_matrix.reshape(dX.shape), atol=1e-12
    )


@pytest.mark.parametrize("rotated", [False, True])
def test_gap_of_the_solutions_on_offer(rotated):
    penalty, F, X, dX = make(rotated)
    penalty.evaluate(X, *EMPTY)
    iterate = penalty.restrict(torch.arange(2))
    offers = list(iterate.measure(X))
    # W = F'X always; W itself too unless it is known through X only.
    assert len(offers) == (1 if rotated else 2)
    scores, gap, own = offers[-1]
    assert_allclose(own.W, F.mT @ X)
    assert_allclose(scores, F @ own.W)
    assert_allclose(gap, 0, atol=1e-12)
    if not rotated:
        assert_allclose(offers[0][1], 0.5 * (F.mT @ X).square().sum((1, 2)))
    # One Newton step on the equations ends at their solution.
    iterate.linearise(X)
    assert_allclose(iterate.advance(dX).W, F.mT @ (X + dX), atol=1e-12)
