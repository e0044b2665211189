"""The interior point of many samples: the other solver, and its Newton systems."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from numpy.testing import assert_allclose

from sparsedis.solvers import _svm_primal_rows
from sparsedis.solvers._svm_primal import solve_svm_primal
from sparsedis.solvers._svm_primal_rows import Features
from sparsedis.solvers._svm_primal_system import PrimalSystem
from sparsedis.solvers._svm_simplices import Simplices
from sparsedis.solvers.group_lasso_svm import (
    group_lasso_svm_bound,
    solve_group_lasso_svm,
)


def make_problem(n, p, n_classes, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % n_classes
    means = rng.standard_normal((n_classes, p)) * (np.arange(p) < 5)
    X = rng.standard_normal((n, p)) + 0.7 * means[y]
    return X, torch.tensor(y), torch.tensor(rng.uniform(0.5, 2, n))


def solve_both(X, y, weight, share, l2, **how):
    n_classes = int(y.max()) + 1
    data = torch.tensor(X)[None], y[None], weight[None]
    l1 = share * group_lasso_svm_bound(*data, n_classes, **how)
    l2 = torch.full_like(l1, l2)
    dual = solve_group_lasso_svm(*data, l1, l2, n_classes, **how)
    primal = solve_svm_primal(
        Features(X),
        y,
        weight,
        float(l1),
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


@pytest.mark.parametrize("share", [0.05, 0.4])
def test_features_join_when_they_are_needed(share, monkeypatch):
    monkeypatch.setattr(_svm_primal_rows, "_START", 3)
    X, y, weight = make_problem(50, 200, 3)
    dual, (W, _, gap, _) = solve_both(X, y, weight, share, 0.1)
    assert gap <= 1e-9
    assert_allclose(W, dual.W[0], atol=1e-7)
    assert 3 < int((W != 0).any(-1).sum()) < 200


@pytest.mark.parametrize("mean", [False, True])
def test_features_are_read_as_they_are(mean):
    X = np.random.default_rng(0).standard_normal((20, 7)) * (np.arange(7) % 2)
    mean = X.mean(0) if mean else None
    D = torch.randn(20, 3, dtype=torch.float64)
    expected = X if mean is None else X - mean
    for features in (Features(X, mean), Features(sp.csr_array(X), mean)):
        assert_allclose(features.pull(D), D.numpy().T @ expected, atol=1e-12)
        assert_allclose(features.columns(), expected, atol=1e-15)
        index = np.array([4, 1])
        assert_allclose(features.columns(index), expected[:, index], atol=1e-15)


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("stiff", [0, 10])
def test_newton_systems(stiff, intercept):
    # With samples whose weight is next to nothing, as towards the end.
    rng = np.random.default_rng(0)
    n, k, c = 40, 5, 4
    simplices = Simplices.build(
        torch.zeros(1, n, dtype=torch.long),
        torch.ones(1, n).double(),
        c,
        fit_intercept=False,
    )
    basis, m = simplices.basis[0], c - 1
    d = torch.tensor(10.0 ** rng.uniform(-stiff, stiff / 2, (n, c)))
    R = torch.tensor(rng.standard_normal((n, k + intercept)))
    a, b = torch.tensor(rng.uniform(1, 2, (2, k)))
    direction = torch.nn.functional.normalize(torch.tensor(rng.standard_normal((m, k))))
    b = -0.5 * b / direction.square().sum(0)
    r, g = torch.tensor(rng.standard_normal((n, c))), rng.standard_normal((m, k))
    # Small where the system is stiff.
    r = r / (1 + d)
    balance = torch.tensor(rng.standard_normal(m)) if intercept else None
    system = PrimalSystem(R, d, basis, (a, b, direction))
    x, w, alpha = system.solve(r, torch.tensor(g), balance)

    size = n * c
    blocks = [
        a_j * np.eye(m) + b_j * np.outer(u, u)
        for a_j, b_j, u in zip(a.numpy(), b.numpy(), direction.T.numpy(), strict=True)
    ]
    # Unknowns: x, the levels of its rows, w and the intercepts, feature by feature.
    P = np.zeros(((k + intercept) * m,) * 2)
    for j, block in enumerate(blocks):
        P[j * m : (j + 1) * m, j * m : (j + 1) * m] = block
    to_scores = np.kron(R.numpy(), basis.numpy())
    ones = np.kron(np.eye(n), np.ones((c, 1)))
    matrix = np.block(
        [
            [np.diag(1 / d.numpy().ravel()), ones, to_scores],
            [ones.T, np.zeros((n, n + len(P)))],
            [-to_scores.T, np.zeros((len(P), n)), P],
        ]
    )
    ends = [] if balance is None else -balance.numpy()
    right = np.concatenate([r.numpy().ravel(), np.zeros(n), g.T.ravel(), ends])
    solution = np.linalg.solve(matrix, right)
    expected = solution[size + n :].reshape(-1, m).T
    assert_allclose(w, expected[:, :k], rtol=1e-6, atol=1e-8)
    assert_allclose(x, solution[:size].reshape(n, c), rtol=1e-5, atol=1e-7)
    assert_allclose(x.sum(-1), 0, atol=1e-9)
    if intercept:
        assert_allclose(alpha, expected[:, -1], rtol=1e-6, atol=1e-8)
