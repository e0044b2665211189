"""Rows of features, with sizes and slacks: every derivative against autograd."""

import pytest
import torch
from numpy.testing import assert_allclose

from sparsedis.solvers.svm.group_pairs import GroupPairs
from sparsedis.solvers.svm.group_penalty import conjugate, fenchel_gap, norm

N, M_, Q = 6, 3, 5


def draw(*shape, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def double(values):
    return torch.tensor(values, dtype=torch.float64)


def make():
    """Features of two tasks, X, and pairs, all of which have residuals."""
    weight = draw(2, N, seed=0).abs() + 0.1
    alpha, l2 = double([1.0, 2.0]), double([0.3, 1.5])
    penalty, X = GroupPairs(weight, alpha, l2, M_), 0.5 * draw(2, N, M_, seed=6)
    penalty.join(draw(2, N, Q, seed=1), X, double([0.1, 0.2]))
    penalty.W = draw(2, M_, Q, seed=3)
    penalty.g = 0.4 * draw(2, M_, Q, seed=4)
    return penalty, X, 2 * draw(2, 2, Q, seed=5).abs() + 1


def equations(penalty, X, W, g, t, slack):
    """The left-hand sides of the module's docstring minus the right-hand sides."""
    alpha, l2 = penalty.alpha, penalty.l2
    V = (penalty.S.mT @ X).mT
    first = l2.unsqueeze(1) * W + alpha.unsqueeze(1) * g - V
    third = slack - alpha * (1 - g.square().sum(1)) / 2
    return first, W - t.unsqueeze(1) * g, third


def test_features_join_inside_of_the_ball_with_w_at_zero():
    weight, X = double([[1.0, 1.0, 0.0]]), double([[[0.6, -0.8], [0, 0], [0, 0]]])
    penalty = GroupPairs(weight, double([1.0]), double([2.0]), 2)
    # The second feature has ||V_j|| > alpha, the third is one of padding.
    S = double([[[1e-3, 2.0, 0.0], [0, 0, 0], [0, 0, 0]]])
    t, slack = penalty.join(S, X, double([1e-2]))
    assert not bool(penalty.W.any())
    # That one starts with the conjugate, (2 - 1)^2 / (2 l2), as complementarity.
    assert_allclose(t[0], [1e-2, 0.25, 1e-2])
    lengths = double([1e-3, 0.95, 0.0])
    assert_allclose(penalty.g, X[:, 0].unsqueeze(-1) * lengths)
    assert_allclose(slack[0], (1 - lengths**2) / 2)
    # With a tiny alpha, ``l2 t g`` is still not longer than V.
    penalty = GroupPairs(weight, double([1e-30]), double([2.0]), 2)
    t, slack = penalty.join(S, X, double([1e-2]))
    V = X[:, 0].unsqueeze(-1) * double([1e-3, 2.0, 0.0])
    assert_allclose(2 * t.unsqueeze(1) * penalty.g, V)
    assert float(slack.min()) > 0


def test_scores_gap_and_conjugate():
    penalty, X, pairs = make()
    penalty.outside = double([1.0, 2.0])
    scores = penalty.evaluate(X, *pairs)
    V, alpha, l2 = (penalty.S.mT @ X).mT, penalty.alpha, penalty.l2
    assert_allclose(scores, penalty.S @ penalty.W.mT, atol=1e-12)
    gap = fenchel_gap(V, penalty.W, alpha, l2)
    assert bool((norm(V) > alpha).any())
    assert bool((norm(V) < alpha).any())
    assert_allclose(penalty.gap(), gap.sum(-1) + penalty.outside, rtol=1e-12)
    value = conjugate(norm(V), alpha, l2).sum(-1) + penalty.outside
    assert_allclose(penalty.conjugate(), value, rtol=1e-12)


@pytest.mark.parametrize("factor", [None, 1.0, 0.3])
def test_steps_solve_the_linearised_equations(factor):
    penalty, X, (t, slack) = make()
    penalty.evaluate(X, t, slack)
    kept, turn = None, torch.zeros(2, M_, Q, dtype=torch.float64)
    grown = torch.zeros_like(t)
    if factor is not None:
        kept = double([factor, factor])
        penalty.shift(-slack)
        grown = penalty.step(draw(2, N, M_, seed=8))
        turn = penalty.dg
    change, dX = draw(2, Q, seed=9), draw(2, N, M_, seed=7)
    shift = penalty.shift(change, kept)
    dt = penalty.step(dX)
    d_slack = change - slack / t * dt
    point = (X, penalty.W, penalty.g, t, slack)
    step = (dX, penalty.dW, penalty.dg, dt, d_slack)
    values, slopes = torch.autograd.functional.jvp(
        lambda *point: equations(penalty, *point), point, step
    )
    first, second, third = (v + s for v, s in zip(values, slopes, strict=True))
    # Half the second derivative along the last step.
    second = second - (factor or 0) * grown.unsqueeze(1) * turn
    third = third + (factor or 0) * penalty.alpha * turn.square().sum(1) / 2
    for left in (first, second, third):
        assert_allclose(left, torch.zeros_like(left), atol=1e-10)
    moved = penalty.hessian() @ dX.flatten(1).unsqueeze(-1)
    moved = shift + moved.reshape(dX.shape)
    assert_allclose(moved, penalty.S @ penalty.dW.mT, atol=1e-10)
    W, g = penalty.W, penalty.g
    penalty.advance(double([0.5, 1.0]))
    share = double([0.5, 1.0])[:, None, None]
    assert_allclose(penalty.W, W + share * penalty.dW)
    assert_allclose(penalty.g, g + share * penalty.dg)


def test_slacks_rise_to_those_of_g():
    penalty, X, (t, slack) = make()
    penalty.g = 0.5 * penalty.g / norm(penalty.g).unsqueeze(1)
    penalty.g[:, :, 0] *= 4
    own = penalty.alpha * (1 - norm(penalty.g) ** 2) / 2
    slack = torch.full_like(own, 0.01)
    penalty.evaluate(X, t, slack)
    # The first g is outside of the ball.
    assert slack[:, 0].tolist() == [0.01, 0.01]
    assert_allclose(slack[:, 1:], own[:, 1:])


def test_the_matrix_is_positive_definite_far_from_the_solution():
    penalty, X, pairs = make()
    g = penalty.g
    for scale in (1e-8, 1.0, 1e8):
        penalty.g = scale * g
        penalty.evaluate(X, *pairs)
        values = torch.linalg.eigvalsh(penalty.hessian())
        assert float((values / values[:, -1:]).min()) > -1e-12


def test_active_features_have_small_slacks():
    penalty, X, _ = make()
    penalty.g = penalty.g / norm(penalty.g).unsqueeze(1)
    t = double([[1.0, 1e-9, 0.5, 1e-9, 1e-9]] * 2)
    penalty.evaluate(X, t, 1e-9 / t)
    expected = [[True, False, True, False, False]] * 2
    assert penalty.active().tolist() == expected
    # Without rows that stay, all sizes are small compared with the slacks.
    small = torch.full_like(t, 1e-9)
    penalty.evaluate(X, small, torch.ones_like(t))
    assert not bool(penalty.active().any())
