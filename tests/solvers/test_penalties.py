"""Penalties against their definitions, by brute force, and published formulas."""

import numpy as np
import pytest
import torch

from sparsedis.solvers.penalties import (
    L1,
    L2,
    MCP,
    ElasticNet,
    GroupL1,
    NonNegativeL1,
    Penalty,
)

SINGLE = [L1(), L1([1.0, 2.0, 0.5]), NonNegativeL1(), L2(), MCP(), MCP(1.5), GroupL1()]
GRID = torch.linspace(-6, 6, 24001, dtype=torch.float64)


def evaluate(penalty, v, j, alpha):
    """Penalty of feature j, at many values of its coefficient."""
    W = torch.zeros(len(v), 3, 1, dtype=torch.float64)
    W[:, j, 0] = v
    return penalty.value(W, torch.full((len(v), 1), alpha, dtype=torch.float64))[:, j]


@pytest.mark.parametrize("penalty", SINGLE, ids=repr)
@pytest.mark.parametrize("step", [0.4, 2.5])
def test_prox_is_the_minimum_on_a_grid(penalty, step):
    x = torch.tensor([[[2.7], [-1.3], [0.3]]], dtype=torch.float64)
    alpha = 0.8
    steps = torch.full((1, 3), step, dtype=torch.float64)
    found = penalty.prox(x, torch.tensor([[alpha]], dtype=torch.float64), steps)
    for j in range(3):
        objective = 0.5 * (GRID - x[0, j]) ** 2
        objective = objective + step * evaluate(penalty, GRID, j, alpha)
        best = GRID[objective.argmin()]
        assert abs(found[0, j, 0] - best) <= 1e-3


@pytest.mark.parametrize(
    "penalty", [GroupL1(), L2(), MCP(), GroupL1([1, 2, 3])], ids=repr
)
def test_penalties_of_rows_do_not_know_directions(penalty):
    generator = torch.Generator().manual_seed(0)
    W = torch.randn(2, 3, 2, dtype=torch.float64, generator=generator)
    angle = torch.tensor(0.7, dtype=torch.float64)
    turn = torch.stack(
        [
            torch.stack([angle.cos(), angle.sin()]),
            torch.stack([-angle.sin(), angle.cos()]),
        ]
    )
    alpha, step = (
        torch.tensor([[0.5], [0.2]]).double(),
        torch.full((2, 3), 0.7).double(),
    )
    np.testing.assert_allclose(
        penalty.value(W @ turn, alpha), penalty.value(W, alpha), rtol=1e-12
    )
    np.testing.assert_allclose(
        penalty.prox(W @ turn, alpha, step), penalty.prox(W, alpha, step) @ turn
    )


def test_mcp_is_flat_beyond_its_knee_and_the_lasso_for_large_gamma():
    alpha = torch.tensor([[0.5]], dtype=torch.float64)
    W = torch.tensor([[[1.5], [4.0], [0.2]]], dtype=torch.float64)
    value = MCP(3.0).value(W, alpha)[0]
    # Zhang (2010): gamma alpha^2 / 2 from gamma alpha on.
    np.testing.assert_allclose(value[:2], 3.0 * 0.25 / 2)
    near = MCP(1e8).value(W, alpha)
    np.testing.assert_allclose(near, L1().value(W, alpha), rtol=1e-6)
    one = torch.ones(1, 3, dtype=torch.float64)
    np.testing.assert_allclose(
        MCP(1e8).prox(W, alpha, one), L1().prox(W, alpha, one), rtol=1e-6
    )


@pytest.mark.parametrize("penalty", [*SINGLE, ElasticNet(0.1)], ids=repr)
def test_alpha_max_is_where_zero_becomes_stationary(penalty):
    gradient = torch.tensor(
        [[[0.3], [-0.9], [0.2]], [[0.4], [-0.1], [0.0]]], dtype=torch.float64
    )
    largest = penalty.alpha_max(gradient)
    if isinstance(penalty, L2):
        assert torch.isinf(largest).all()
        return
    # The bisection of the base class agrees with the closed forms.
    np.testing.assert_allclose(largest, Penalty.alpha_max(penalty, gradient), rtol=1e-9)
    zero = torch.zeros_like(gradient)
    for factor, moves in ((1 + 1e-9, False), (1 - 1e-9, True)):
        alpha = factor * largest.unsqueeze(-1)
        assert ((penalty.violation(zero, gradient, alpha) > 0).any(-1) == moves).all()


def test_zero_needs_no_penalty_where_there_is_no_gradient():
    nothing = torch.zeros(2, 3, 1, dtype=torch.float64)
    for penalty in (L1(), L2(), MCP(), NonNegativeL1()):
        assert (penalty.alpha_max(nothing) == 0).all()
    assert (Penalty.alpha_max(L1(), nothing) == 0).all()


@pytest.mark.parametrize("penalty", [L1(), MCP(), NonNegativeL1()], ids=repr)
def test_derivatives_are_zero_for_features_without_use(penalty):
    W = torch.tensor([[[2.0], [0.0], [0.4]]], dtype=torch.float64)
    alpha = torch.tensor([[0.5]], dtype=torch.float64)
    gradient, hessian = penalty.gradient(W, alpha), penalty.hessian(W, alpha)
    assert gradient[0, 1] == 0
    assert hessian[0, 1] == 0
    assert gradient[0, 2] > 0
    curved = -1 / 3 if isinstance(penalty, MCP) else 0.0
    np.testing.assert_allclose(hessian[0, 2], [[curved]], atol=1e-12)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (
            lambda: L1([1, -1]),
            r"weights must be finite and not negative, got \(1.0, -1",
        ),
        (lambda: GroupL1([np.nan]), r"weights must be finite .* got \(nan"),
        (lambda: ElasticNet(-0.1), "l2 must be finite and not negative, got -0.1"),
        (lambda: MCP(1.0), "gamma must be above 1 and finite, got 1.0"),
        (lambda: L1().check_scores(3), r"L1\(\) supports one score only, got 3"),
        (
            lambda: L1([1, 2]).strengths(torch.ones(1, 1), 3),
            "one number for each of the 3 features, got 2",
        ),
    ],
)
def test_bad_parameters(make, match):
    with pytest.raises(ValueError, match=match):
        make()
