"""Newton's method for two classes: optimality, shared features, hostile problems."""

import pytest
import torch
from numpy.testing import assert_allclose

from sparsedis.solvers import _composite
from sparsedis.solvers._logistic_newton import smooth_newton, weighted_gram
from sparsedis.solvers.logistic import Logistic


def make_ridge(l2, *, fit_intercept=False, shared=False, separable=False):
    """Ten tasks with 15 samples and 8 features, two of them equal."""
    generator = torch.Generator().manual_seed(0)
    Z = torch.randn(1 if shared else 10, 15, 8, generator=generator).double()
    Z[..., 7] = Z[..., 2]
    labels = torch.randint(0, 2, (10, 15), generator=generator)
    if separable:
        labels = (Z[..., 0] > 0).long().expand(10, -1)
    weight = torch.rand(10, 15, generator=generator).double()
    weight[:, :3] = 0
    weight /= weight.sum(1, keepdim=True)
    none = torch.zeros_like(l2)
    return Logistic(Z, labels, weight, none, l2, 2, fit_intercept)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("separable", [False, True])
def test_newtons_method_alone_reaches_the_solution(fit_intercept, shared, separable):
    l2 = torch.logspace(-5, 0, 10, dtype=torch.float64)
    problem = make_ridge(
        l2, fit_intercept=fit_intercept, shared=shared, separable=separable
    )
    found, n_iter = smooth_newton(problem, problem.at_zero())
    assert problem.gradient(found).abs().max() < 1e-10
    assert n_iter < 15
    # The general solver, from zero.
    other, info = _composite.solve(problem, problem.at_zero(), tol=1e-14, max_iter=1000)
    assert info.converged.all()
    assert_allclose(found, other, rtol=1e-5, atol=1e-6)


def test_point_stays_where_no_step_helps():
    Z = torch.zeros(1, 4, 2, dtype=torch.float64)  # nothing to learn from
    labels, weight = torch.zeros(1, 4, dtype=torch.long), torch.full((1, 4), 0.25)
    none = torch.zeros(1, dtype=torch.float64)
    problem = Logistic(Z, labels, weight.double(), none, none, 2, True)
    start = problem.at_zero()
    assert torch.equal(smooth_newton(problem, start)[0], start)


@pytest.mark.parametrize("block", [2**22, 100])
@pytest.mark.parametrize("n_tasks", [2, 9])
def test_weighted_gram(monkeypatch, n_tasks, block):
    monkeypatch.setattr("sparsedis.solvers._logistic_newton._BLOCK", block)
    generator = torch.Generator().manual_seed(0)
    Z = torch.randn(1, 40, 5, generator=generator).double()
    weight = torch.rand(n_tasks, 40, generator=generator).double()
    expected = torch.einsum("ni,tn,nj->tij", Z[0], weight, Z[0])
    assert_allclose(weighted_gram(Z, weight), expected, rtol=1e-12)
    own = Z.expand(n_tasks, -1, -1)
    assert_allclose(weighted_gram(own, weight), expected, rtol=1e-12)
