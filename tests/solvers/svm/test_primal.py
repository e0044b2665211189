"""The primal solver against the dual one, and against cvxpy."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from sparsedis.solvers.svm.dual import solve_svm_dual
from sparsedis.solvers.svm.features import Features
from sparsedis.solvers.svm.null import alpha_bound
from sparsedis.solvers.svm.primal import solve_svm_primal


def make_problem(n, p, n_classes, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % n_classes
    means = rng.standard_normal((n_classes, p)) * (np.arange(p) < 5)
    X = rng.standard_normal((n, p)) + 0.7 * means[y]
    return X, torch.tensor(y), torch.tensor(rng.uniform(0.5, 2, n))


def solve_both(X, y, weight, share, l2, **how):
    n_classes = int(y.max()) + 1
    data = torch.tensor(X)[None], y[None], weight[None]
    alpha = share * alpha_bound(*data, n_classes, **how)
    l2 = torch.full_like(alpha, l2)
    dual = solve_svm_dual(*data, alpha, l2, n_classes, **how)
    primal = solve_svm_primal(
        Features(X),
        y,
        weight,
        float(alpha),
        float(l2),
        n_classes,
        **{"fit_intercept": False, **how},
        tol=1e-9,
        max_iter=100,
    )
    return dual, primal


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("l2", [1e-5, 1.0])
@pytest.mark.parametrize("share", [0.0, 0.1])
@pytest.mark.parametrize("kind", ["plain", "scales", "copies", "low rank", "weights"])
def test_agrees_with_the_dual(kind, share, l2, fit_intercept):
    X, y, weight = make_problem(40, 10, 3)
    if kind == "scales":
        X = X * 10.0 ** np.linspace(-2, 2, 10)
    elif kind == "copies":
        X[:, 5:], X[:, 9], X[::2] = X[:, :5], 0, X[1::2]
    elif kind == "low rank":
        X = X[:, :3] @ np.random.default_rng(1).standard_normal((3, 10))
    elif kind == "weights":
        weight = 10.0 ** torch.linspace(-2, 2, 40, dtype=torch.float64)
    dual, primal = solve_both(X, y, weight, share, l2, fit_intercept=fit_intercept)
    W, intercept, gap, n_iter = primal
    assert gap <= 1e-9
    assert 0 < n_iter <= 60
    size = float(dual.W.abs().max())
    assert_allclose(W, dual.W[0], atol=1e-6 * size + 1e-15)
    assert_allclose(W.sum(-1), 0, atol=1e-12 * size)
    if not fit_intercept:
        assert not bool(intercept.any())


@pytest.mark.parametrize("share", [0.2, 1.3])
@pytest.mark.parametrize("seed", range(8))
def test_rare_classes_and_weights_over_decades(seed, share):
    rng = np.random.default_rng(seed)
    y = torch.tensor(np.repeat(np.arange(5), (4, 1, 3, 3, 1)))
    X = rng.standard_normal((12, 12)) * (rng.random((12, 12)) < 0.3)
    weight = torch.tensor(10 ** rng.uniform(-1.5, 1, 12))
    _, (_, _, gap, n_iter) = solve_both(X, y, weight, share, 5.0, fit_intercept=True)
    assert gap <= 1e-9
    assert n_iter <= 40


@pytest.mark.parametrize("fit_intercept", [False, True])
def test_features_join_when_they_are_needed(fit_intercept):
    # More active features than the 32 of the first working set.
    rng = np.random.default_rng(0)
    X, y, weight = make_problem(50, 200, 3)
    X += 0.3 * rng.standard_normal((3, 200))[y]
    dual, primal = solve_both(X, y, weight, 0.05, 10.0, fit_intercept=fit_intercept)
    W, _, gap, _ = primal
    assert gap <= 1e-9
    assert_allclose(W, dual.W[0], atol=1e-7)
    assert 32 < int((W != 0).any(-1).sum()) < 200
