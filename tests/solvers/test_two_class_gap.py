"""Duality gap of two classes: a bound that is sharp near the solution."""

import math

import pytest
import torch

from sparsedis.solvers._smooth_newton import smooth_newton
from sparsedis.solvers.logistic import Logistic


def make_problem(fit_intercept, *, shared=True):
    generator = torch.Generator().manual_seed(0)
    Z = torch.randn(1 if shared else 12, 50, 4, generator=generator).double()
    noise = torch.randn(12, 50, generator=generator)
    labels = (2 * Z[..., 0] + Z[..., 1] + noise > 1).long()
    weight = torch.rand(12, 50, generator=generator).double()
    weight[:, :5] = 0
    weight /= weight.sum(1, keepdim=True)
    l2 = torch.logspace(-3, 0, 12, dtype=torch.float64)
    return Logistic(Z, labels, weight, 0 * l2, l2, 2, fit_intercept), generator


def objective(problem, V):
    log_probability = problem.log_probability(V)
    loss = -(problem.weight * problem.onehot * log_probability).sum((1, 2))
    return loss + 0.5 * (problem.ridge * V.squeeze(-1).square()).sum(1)


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("shared", [False, True])
def test_gap_bounds_the_distance_from_the_least_objective(fit_intercept, shared):
    problem, generator = make_problem(fit_intercept, shared=shared)
    best = smooth_newton(problem, problem.at_zero())[0]
    assert (problem.gap(best) < 1e-14).all()
    for size in (1e-6, 1e-3, 0.1, 3.0, 30.0):
        V = best + size * torch.randn(best.shape, generator=generator)
        excess = (objective(problem, V) - objective(problem, best)) / math.log(2)
        assert (problem.gap(V) >= excess - 1e-14).all()


@pytest.mark.parametrize("size", [1e-6, 1e-4])
def test_gap_is_of_the_order_of_the_square_of_an_error(size):
    problem, generator = make_problem(True)
    best = smooth_newton(problem, problem.at_zero())[0]
    V = best + size * torch.randn(best.shape, generator=generator)
    # Also if some samples are far from the boundary of the classes.
    least = problem.ridge[:, :-1].amin(1)
    assert (problem.gap(V) <= 100 * size**2 / least).all()
