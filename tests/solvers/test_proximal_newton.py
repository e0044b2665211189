"""Proximal Newton steps: against the general solver and scikit-learn."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.linear_model import LogisticRegression

from sparsedis.solvers import _arrays, _composite, _proximal_newton
from sparsedis.solvers._linear import Linear
from sparsedis.solvers._proximal_newton import proximal_newton, solve_sparse
from sparsedis.solvers.logistic import Logistic
from sparsedis.solvers.losses import Huber, Poisson
from sparsedis.solvers.penalties import L1

HOW = {"tol": 1e-12, "max_iter": 1000, "warm": False}


def make_problem(n_classes, *, correlation, noise=0.5, share=0.1, fit_intercept=True):
    """Ten tasks with 60 samples and 8 features, the last of them equal to the first."""
    generator = torch.Generator().manual_seed(0)
    draw = {"generator": generator, "dtype": torch.float64}
    Z = (1 - correlation) ** 0.5 * torch.randn(10, 60, 8, **draw)
    Z = Z + correlation**0.5 * torch.randn(10, 60, 1, **draw)
    Z[..., 7] = Z[..., 0]
    scores = Z[..., :n_classes] + noise * torch.randn(10, 60, n_classes, **draw)
    weight = torch.rand(10, 60, **draw)
    weight /= weight.sum(1, keepdim=True)
    alpha, l2 = torch.ones(10).double(), torch.full((10,), 0.01).double()
    parts = Z, scores.argmax(-1), weight
    largest = Logistic(*parts, alpha, l2, n_classes, fit_intercept).alpha_max()
    return Logistic(*parts, share * largest, l2, n_classes, fit_intercept), parts


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("correlation", [0.0, 0.95])
@pytest.mark.parametrize("noise", [0.0, 0.5])
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_solutions_are_those_of_the_general_solver(
    n_classes, correlation, noise, fit_intercept
):
    how = {"correlation": correlation, "noise": noise, "fit_intercept": fit_intercept}
    problem, _ = make_problem(n_classes, **how)
    start = problem.at_zero()
    V, info = solve_sparse(problem, start, **HOW)
    other, expected = _composite.solve(problem, start, **HOW)
    assert bool((info.converged & expected.converged).all())
    assert_allclose(V, other, atol=1e-8)
    assert torch.equal(info.support, expected.support)


@pytest.mark.parametrize("correlation", [0.0, 0.95])
@pytest.mark.parametrize("share", [0.3, 0.01])
def test_two_classes_need_no_other_solver_whatever_the_correlation(correlation, share):
    problem, _ = make_problem(2, correlation=correlation, share=share)
    V, n_iter = proximal_newton(problem, problem.at_zero())
    assert float(problem.gap(V).max()) <= 1e-14
    assert int(n_iter.max()) <= 12


@pytest.mark.parametrize("loss", [Huber(0.5), Poisson()])
@pytest.mark.parametrize("correlation", [0.0, 0.95])
def test_numbers_and_counts_need_no_other_solver(loss, correlation):
    _, (Z, y, weight) = make_problem(4, correlation=correlation)
    weights = (0.0, *[1.0] * 7)
    alpha, l2 = torch.full((10,), 0.05).double(), torch.full((10,), 0.01).double()
    problem = Linear(loss, L1(weights), Z, y.double(), weight, alpha, l2, True)
    start = problem.null()
    V, n_iter = proximal_newton(problem, start)
    assert float(problem.gap(V).max()) <= 1e-14
    assert int(n_iter.max()) <= 12
    other, expected = _composite.solve(problem, start, **HOW)
    assert bool(expected.converged.all())
    assert_allclose(V, other, atol=1e-8)


def test_two_classes_are_those_of_scikit_learn():
    problem, (Z, labels, weight) = make_problem(2, correlation=0.9)
    problem.ridge = torch.zeros_like(problem.ridge)
    V, _ = solve_sparse(problem, problem.at_zero(), **HOW)
    W = V[..., 0] * problem.scale
    for t in range(3):
        alpha = float(problem.penalty.threshold[t, 0] / problem.scale[t, 0])
        model = LogisticRegression(
            C=1 / alpha, l1_ratio=1, solver="saga", tol=1e-10, max_iter=100_000
        ).fit(Z[t], labels[t], sample_weight=weight[t])
        # Two features are equal: only the sum of their coefficients is unique.
        fitted = Z[t] @ W[t, :8] + W[t, 8]
        assert_allclose(fitted, model.decision_function(Z[t]), atol=1e-4)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_no_step_raises_the_objective(monkeypatch, n_classes):
    # Classes without noise: whole steps from far away are too long.
    problem, _ = make_problem(n_classes, correlation=0.5, noise=0.0, share=1e-3)
    start = problem.at_zero()
    start[:, 0] = 30.0
    monkeypatch.setattr(_proximal_newton, "_STEPS", 1)
    V, values = start, []
    for _ in range(15):
        norms = (problem.penalty.threshold * torch.linalg.vector_norm(V, dim=-1)).sum(1)
        zero = torch.zeros(10, 1).double()
        values.append(problem.along(V, V, zero)[:, 0] + norms)
        V, _ = proximal_newton(problem, V)
    values = torch.stack(values)
    assert bool((values.diff(dim=0) <= 1e-12 * values[0]).all())
    assert bool((values[-1] < 0.1 * values[0]).all())


def test_tasks_whose_steps_fail_go_to_the_general_solver(monkeypatch):
    problem, _ = make_problem(2, correlation=0.9)
    expected, _ = solve_sparse(problem, problem.at_zero(), **HOW)

    def fail(hessian, corr, bound, start):
        return np.full_like(start, np.nan), None

    monkeypatch.setattr(_proximal_newton, "find_active", fail)
    start = problem.at_zero()
    V, n_iter = proximal_newton(problem, start)
    assert torch.equal(V, start)
    # The same step is not taken again.
    assert int(n_iter.max()) == 1
    V, info = solve_sparse(problem, start, **HOW)
    assert bool(info.converged.all())
    assert_allclose(V, expected, atol=1e-8)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_same_on_a_device_that_numpy_cannot_read(monkeypatch, n_classes):
    problem, _ = make_problem(n_classes, correlation=0.9)
    expected, _ = solve_sparse(problem, problem.at_zero(), **HOW)
    monkeypatch.setattr(_arrays, "_HOST", "none")
    V, info = solve_sparse(problem, problem.at_zero(), **HOW)
    assert bool(info.converged.all())
    assert_allclose(V, expected, atol=1e-8)
