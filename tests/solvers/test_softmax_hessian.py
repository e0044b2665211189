"""Newton steps of many classes against factorised Hessians and scikit-learn."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.linear_model import LogisticRegression

from sparsedis.implicit import logistic
from sparsedis.solvers import _softmax_hessian
from sparsedis.solvers._smooth_newton import own_hessian, smooth_newton, solve_hessian
from sparsedis.solvers._softmax_hessian import SoftmaxHessian, has_many_classes
from sparsedis.solvers.logistic import Logistic


def make_problem(*, n_classes=9, shared=True, fit_intercept=True, l2=1e-3, absent=()):
    """Four tasks with 6 features."""
    generator = torch.Generator().manual_seed(0)
    Z = torch.randn(1 if shared else 4, 60, 6, generator=generator).double()
    labels = torch.randint(0, n_classes, (4, 60), generator=generator)
    for c in absent:
        labels[0][labels[0] == c] = c - 1
    weight = torch.rand(4, 60, generator=generator).double()
    weight[:, :3] = 0
    weight = weight / weight.sum(1, keepdim=True)
    l2 = torch.full((4,), l2, dtype=torch.float64)
    return Logistic(Z, labels, weight, 0 * l2, l2, n_classes, fit_intercept)


def draw(problem, seed=1):
    shape = *problem.scale.shape, problem.basis.shape[1]
    generator = torch.Generator().manual_seed(seed)
    X = torch.randn(shape, generator=generator).double()
    X = X.expand(len(problem.weight), -1, -1).clone()
    if problem.gauge is not None:
        # Contrasts that change no probability have no curvature.
        X[:, -1:] -= X[:, -1:] @ problem.gauge
    return X


@pytest.fixture(params=[False, True], ids=["own", "shared"])
def shared(request):
    return request.param


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("absent", [(), (4, 7)])
def test_products_and_solutions(shared, fit_intercept, absent):
    problem = make_problem(shared=shared, fit_intercept=fit_intercept, absent=absent)
    scores = problem.scores(draw(problem, 2))
    hessian = own_hessian(problem, problem.derivatives(scores)[1])
    X = draw(problem)
    expected = (hessian @ X.mT.reshape(4, -1, 1)).reshape(X.mT.shape).mT
    if problem.gauge is not None:
        expected[:, -1:] -= expected[:, -1:] @ problem.gauge
    system = SoftmaxHessian(problem, scores)
    found = system(X @ problem.basis.T) @ problem.basis
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    solution = system.solve(expected, 1e-12)
    torch.testing.assert_close(solution, X, rtol=1e-7, atol=1e-7)
    assert system.solved.all()
    # Some of the tasks.
    part = system.take(torch.tensor([0, 2]))
    alone = part.solve(expected[[0, 2]], 1e-12)
    torch.testing.assert_close(alone, X[[0, 2]], rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("l2", [1e-6, 1e-2, 1.0])
def test_same_solutions_and_adjoints_as_with_a_factor(monkeypatch, shared, l2):
    problem = make_problem(shared=shared, l2=l2, absent=(4, 7))
    rhs = draw(problem)
    assert has_many_classes(problem)
    found, n_iter = smooth_newton(problem, problem.at_zero())
    adjoint, singular = solve_hessian(problem, found, rhs)
    assert n_iter.max() < 20
    assert problem.gradient(found).abs().max() < 1e-10
    assert not singular.any()
    monkeypatch.setattr(_softmax_hessian, "_MANY", 100)
    assert not has_many_classes(problem)
    expected, _ = smooth_newton(problem, problem.at_zero())
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)
    size = adjoint.abs().max()
    expected = solve_hessian(problem, found, rhs)[0]
    torch.testing.assert_close(adjoint / size, expected / size, rtol=0, atol=1e-7)


def test_systems_that_products_do_not_solve_get_a_factor(monkeypatch):
    problem = make_problem(l2=1e-9)
    V, _ = smooth_newton(problem, problem.at_zero())
    rhs = draw(problem)
    expected, _ = solve_hessian(problem, V, rhs)
    monkeypatch.setattr(_softmax_hessian, "_PRODUCTS", 3)
    found, singular = solve_hessian(problem, V, rhs)
    size = expected.abs().max()
    torch.testing.assert_close(found / size, expected / size, rtol=0, atol=1e-6)
    assert not singular.any()


def test_many_classes_of_scikit_learn():
    problem = make_problem(n_classes=12)
    V, _ = smooth_newton(problem, problem.at_zero())
    W = (problem.scale.unsqueeze(-1) * V) @ problem.basis.T
    for t in range(4):
        # A sum of losses, and a squared norm without a factor.
        model = LogisticRegression(C=1e3, tol=1e-12, max_iter=10**4)
        model.fit(
            problem.Z[0, :, :-1].numpy(),
            problem.onehot[t].argmax(-1).numpy(),
            problem.weight[t, :, 0].numpy(),
        )
        assert_allclose(W[t, :-1].mT.numpy(), model.coef_, rtol=1e-4, atol=1e-5)


def test_gradients_of_finite_differences():
    generator = torch.Generator().manual_seed(0)
    Z = torch.randn(2, 40, 3, generator=generator).double().requires_grad_()
    y = torch.randint(0, 10, (2, 40), generator=generator)
    direction = torch.randn(2, 40, 3, generator=generator).double()

    def loss(Z):
        W, b = logistic(Z, y, 0.0, l2=0.01, n_classes=10, fit_intercept=True)
        return W.pow(2).sum() + b.pow(3).sum()

    (gradient,) = torch.autograd.grad(loss(Z), Z)
    h = 1e-5
    with torch.no_grad():
        change = (loss(Z + h * direction) - loss(Z - h * direction)) / (2 * h)
    assert np.isclose(float((gradient * direction).sum()), float(change), rtol=1e-6)


def test_gradients_with_classes_that_some_tasks_lack():
    generator = torch.Generator().manual_seed(0)
    Z = torch.randn(3, 5, 2, generator=generator).double()
    y = torch.randint(0, 12, (3, 5), generator=generator)
    # Its sum over the classes of a task is not zero.
    cotangent = torch.randn(3, 12, generator=generator).double()

    def loss(l2):
        _, b = logistic(Z, y, 0.0, l2=l2, n_classes=12, fit_intercept=True, tol=1e-14)
        return (b * cotangent).sum()

    l2 = torch.tensor(0.01, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(loss(l2), l2)
    h = 1e-6
    with torch.no_grad():
        change = (loss(l2 + h) - loss(l2 - h)) / (2 * h)
    assert np.isclose(float(gradient), float(change), rtol=1e-5)
