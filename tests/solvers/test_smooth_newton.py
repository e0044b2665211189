"""Newton's method without sparse penalties: optimality, hostile problems, fallback."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.linear_model import LogisticRegression, PoissonRegressor

from sparsedis.solvers import _composite, _smooth_newton
from sparsedis.solvers._linear import Linear, solve_linear
from sparsedis.solvers._newton_systems import Factorised, shared_system
from sparsedis.solvers._smooth_newton import own_hessian, smooth_newton, solve_smooth
from sparsedis.solvers.logistic import Logistic, class_basis, solve_logistic
from sparsedis.solvers.losses import Multinomial, Poisson
from sparsedis.solvers.penalties import L2

KINDS = (2, 3, 4, "counts")


def make_data(*, shared=False, n=15):
    """Ten tasks with 8 features, two of them equal, and weights, some of them zero."""
    generator = torch.Generator().manual_seed(0)
    Z = torch.randn(1 if shared else 10, n, 8, generator=generator).double()
    Z[..., 7] = Z[..., 2]
    weight = torch.rand(10, n, generator=generator).double()
    weight[:, :3] = 0
    return Z, weight / weight.sum(1, keepdim=True), generator


def make_ridge(kind, l2, *, fit_intercept=False, shared=False, separable=False):
    """Classes of a number, or counts, under ridge penalties."""
    Z, weight, generator = make_data(shared=shared)
    none = torch.zeros_like(l2)
    if kind == "counts":
        rate = 2 * torch.rand(10, 15, generator=generator)
        y = torch.poisson(rate, generator=generator).double()
        return Linear(Poisson(), L2(), Z, y, weight, l2, none, fit_intercept)
    y = torch.randint(0, kind, (10, 15), generator=generator)
    if separable:
        y = ((Z[..., 0] > 0) + (kind > 2) * (Z[..., 0] > 1).long()).expand(10, -1)
    return Logistic(Z, y, weight, none, l2, kind, fit_intercept)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("separable", [False, True])
def test_newtons_method_alone_reaches_the_solution(
    kind, fit_intercept, shared, separable
):
    l2 = torch.logspace(-4, 0, 10, dtype=torch.float64)
    problem = make_ridge(
        kind, l2, fit_intercept=fit_intercept, shared=shared, separable=separable
    )
    # A fourth class is absent from separable tasks.
    start = problem.null() if kind == "counts" else problem.at_zero()
    found, n_iter = smooth_newton(problem, start)
    assert problem.gradient(found).abs().max() < 1e-10
    assert n_iter.max() < 20
    # The general solver, from the same start.
    other, info = _composite.solve(problem, start, tol=1e-14, max_iter=1000)
    assert info.converged.all()
    assert_allclose(found, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_heads_of_classes_equal_those_of_scikit_learn(n_classes):
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((60, 5))
    y = rng.integers(0, n_classes, (3, 60))
    weight, l2 = torch.full((3, 60), 1 / 60).double(), torch.full((3,), 0.02).double()
    W, b, info = solve_logistic(
        *(torch.tensor(Z)[None], torch.tensor(y), weight, 0 * l2, l2),
        n_classes=n_classes,
        fit_intercept=True,
    )
    assert info.converged.all()
    basis = class_basis(n_classes, W)
    # scikit-learn has one logit for two classes too.
    basis = basis if n_classes > 2 else basis[1:]
    for t in range(3):
        peer = LogisticRegression(C=1 / (60 * 0.02), tol=1e-12, max_iter=10000)
        peer.fit(Z, y[t])
        assert_allclose(basis @ W[t].T, peer.coef_, atol=1e-6)
        assert_allclose(basis @ b[t], peer.intercept_, atol=1e-6)


def test_heads_of_counts_equal_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((60, 5))
    y = rng.poisson(np.exp(Z[:, :3].T))
    weight, l2 = torch.full((3, 60), 1 / 60).double(), torch.full((3,), 0.02).double()
    problem = Linear(
        *(Poisson(), L2(), torch.tensor(Z)[None], torch.tensor(y).double()),
        *(weight, l2, 0 * l2, True),
    )
    W, info = solve_linear(problem, l2)
    assert info.converged.all()
    for t in range(3):
        peer = PoissonRegressor(
            alpha=0.02, solver="newton-cholesky", tol=1e-12, max_iter=1000
        ).fit(Z, y[t])
        assert_allclose(W[t, :5, 0], peer.coef_, atol=1e-6)
        assert_allclose(W[t, 5, 0], peer.intercept_, atol=1e-6)


def test_large_counts_after_a_start_that_is_far_off():
    Z, weight, generator = make_data(shared=True, n=60)
    y = torch.poisson((6 + 2 * Z[..., 0]).exp().expand(10, -1), generator=generator)
    l2 = torch.logspace(-4, 0, 10, dtype=torch.float64)
    problem = Linear(Poisson(), L2(), Z, y, weight, l2, 0 * l2, True)
    V, info = solve_smooth(problem, problem.null(), tol=1e-10, max_iter=1000)
    assert info.converged.all()
    assert (problem.gap(V) <= 1e-10).all()


@pytest.mark.parametrize("kind", KINDS)
def test_general_solver_takes_the_tasks_that_are_left(monkeypatch, kind):
    monkeypatch.setattr(_smooth_newton, "_STEPS", 4)
    l2 = torch.logspace(-4, 0, 10, dtype=torch.float64)
    problem = make_ridge(kind, l2, fit_intercept=True)
    start = problem.null() if kind == "counts" else problem.at_zero()
    n_iter = smooth_newton(problem, start)[1]
    V, info = solve_smooth(problem, start, tol=1e-12, max_iter=1000)
    assert info.converged.all()
    assert (problem.gap(V) <= 1e-12).all()
    assert (info.n_iter > n_iter).any()


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("n_tasks", [1, 10])
def test_first_step_of_tasks_that_share_features_takes_one_factor(n_classes, n_tasks):
    Z, _, generator = make_data(shared=True)
    y = torch.randint(0, n_classes, (n_tasks, 15), generator=generator)
    y[:, :n_classes] = torch.arange(n_classes)
    weight = torch.full((n_tasks, 15), 1 / 15).double()
    l2 = torch.full((n_tasks,), 1e-12).double()
    problem = Logistic(Z[..., :7], y, weight, 0 * l2, l2, n_classes, True)
    V = problem.at_zero()
    W, ridge = problem.scale.unsqueeze(-1) * V, 0 * V[..., :1]
    bends = problem.derivatives(problem.scores(V))[1]
    gradient = problem.gradient(V) / problem.scale.unsqueeze(-1)
    system = shared_system(problem, ridge, W, bends)
    assert system.factor.shape == (8, 8)
    step, expected = (
        own.step(gradient, None)
        for own in (system, Factorised(own_hessian(problem, bends)))
    )
    assert_allclose(step, expected, atol=1e-9)
    # Not where features are in use, nor where the tasks have other weights.
    assert shared_system(problem, ridge, W + 1, bends) is None
    problem.weight = problem.weight * torch.linspace(1, 2, 15).unsqueeze(-1)
    assert shared_system(problem, ridge, W, bends) is not None
    problem.weight = problem.weight.clone()
    problem.weight[-1, 0] += 0.1
    assert (shared_system(problem, ridge, W, bends) is None) == (n_tasks > 1)


def test_point_stays_where_no_step_helps():
    Z = torch.zeros(1, 4, 2, dtype=torch.float64)  # nothing to learn from
    labels, weight = torch.zeros(1, 4, dtype=torch.long), torch.full((1, 4), 0.25)
    none = torch.zeros(1, dtype=torch.float64)
    problem = Logistic(Z, labels, weight.double(), none, none, 2, True)
    start = problem.at_zero()
    assert torch.equal(smooth_newton(problem, start)[0], start)


def test_several_scores_of_a_loss_without_a_solver_of_its_own():
    Z, weight, generator = make_data()
    y = torch.randint(0, 3, (10, 15), generator=generator)
    l2 = torch.logspace(-3, 0, 10, dtype=torch.float64)
    general = Linear(Multinomial(3), L2(), Z, y, weight, l2, 0 * l2, True)
    own = Logistic(Z, y, weight, 0 * l2, l2, 3, True)
    found, info = solve_linear(general, l2)
    assert info.converged.all()
    V, _ = smooth_newton(own, own.at_zero())
    assert_allclose(found, V * own.scale.unsqueeze(-1), atol=1e-7)
