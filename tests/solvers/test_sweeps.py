"""Block coordinate descent: against cvxpy, the closed form, and its own objective."""

import cvxpy as cp
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from sparsedis.solvers import _arrays, _sweeps
from sparsedis.solvers._sweeps import sweep, sweep_blocks
from sparsedis.solvers.multitask_lasso import solve_multitask_lasso


def problem(n_tasks=3, n=30, k=6, correlation=0.0, share=0.2):
    """Features of norm 1, and penalties as shares of their largest values."""
    rng = np.random.default_rng(0)
    Z = np.sqrt(1 - correlation) * rng.standard_normal((n_tasks, n, k))
    Z += np.sqrt(correlation) * rng.standard_normal((n_tasks, n, 1))
    Z /= np.linalg.norm(Z, axis=1, keepdims=True)
    W = rng.standard_normal((n_tasks, k, 2)) * (rng.random((n_tasks, k, 1)) < 0.4)
    Y = Z @ W + 0.1 * rng.standard_normal((n_tasks, n, 2))
    gram = np.swapaxes(Z, 1, 2) @ Z
    gram[:, np.arange(k), np.arange(k)] = 1.0
    corr = np.swapaxes(Z, 1, 2) @ Y
    alpha = share * np.linalg.norm(corr, axis=2).max(1, keepdims=True)
    return Z, Y, gram, corr, np.repeat(alpha, k, 1)


def objective(V, gram, corr, threshold):
    penalty = (threshold * np.linalg.norm(V, axis=2)).sum(1)
    return (0.5 * V * (gram @ V) - V * corr).sum((1, 2)) + penalty


@pytest.mark.parametrize("correlation", [0.0, 0.9])
def test_sweeps_converge_to_the_minimum(monkeypatch, correlation):
    monkeypatch.setattr(_sweeps, "_SAME", 2.0)
    Z, Y, *form = problem(correlation=correlation)
    V = sweep(*form, np.zeros_like(form[1]), 2000)
    for t in range(3):
        W = cp.Variable((6, 2))
        loss = 0.5 * cp.sum_squares(Y[t] - Z[t] @ W)
        penalty = form[2][t, 0] * cp.sum(cp.norm2(W, axis=1))
        cp.Problem(cp.Minimize(loss + penalty)).solve(
            cp.CLARABEL, tol_gap_abs=1e-12, tol_gap_rel=1e-12
        )
        assert_allclose(V[t], W.value, atol=1e-6)


def test_no_sweep_increases_the_objective():
    _, _, *form = problem(correlation=0.95)
    V = np.random.default_rng(1).standard_normal(form[1].shape)
    values = [objective(V, *form)]
    for _ in range(30):
        V = sweep(*form, V, 1)
        values.append(objective(V, *form))
    assert (np.diff(values, axis=0) <= 1e-12).all()
    assert (values[-1] < values[0]).all()


def test_many_tasks_take_the_same_sweeps_as_each_alone(monkeypatch):
    monkeypatch.setattr(_sweeps, "_SAME", 2.0)
    _, _, *form = problem(n_tasks=100, correlation=0.5)
    V = sweep(*form, np.zeros_like(form[1]), 20)
    for t in range(3):
        one = [part[t : t + 1] for part in form]
        alone = sweep(*one, np.zeros_like(one[1]), 20)
        assert_allclose(V[t], alone[0], atol=1e-13)


def test_orthogonal_features_need_one_sweep():
    _, _, _, corr, threshold = problem()
    eye = np.eye(6)[None]
    norm = np.linalg.norm(corr, axis=2, keepdims=True)
    expected = corr * np.maximum(0, 1 - threshold[..., None] / norm)
    found = sweep(eye, corr, threshold, np.ones_like(corr), 1)
    assert_allclose(found, expected, atol=1e-14)
    assert (found == 0).all(2).any()


def test_tasks_may_share_features_and_end_when_supports_stay(monkeypatch):
    _, _, gram, corr, threshold = problem(correlation=0.5)
    how = corr, threshold, np.zeros_like(corr)
    shared, repeated = gram[:1], np.repeat(gram[:1], 3, 0)
    found = sweep(shared, *how, 10_000)
    assert_allclose(found, sweep(repeated, *how, 10_000), atol=1e-14)
    monkeypatch.setattr(_sweeps, "_SAME", 2.0)
    exact = sweep(shared, *how, 1000)
    assert np.abs(found - exact).max() > 1e-14
    assert ((found != 0) == (exact != 0)).all()


@pytest.mark.parametrize("c", [1, 3])
@pytest.mark.parametrize("correlation", [0.0, 0.99])
def test_solutions_do_not_depend_on_sweeps(monkeypatch, correlation, c):
    generator = torch.Generator().manual_seed(0)
    Z = torch.randn(4, 40, 8, generator=generator, dtype=torch.float64)
    Z = Z + (1 / (1 - correlation) - 1) ** 0.5 * Z[..., :1]
    Z[0, :, 7] = Z[0, :, 1]
    Y = Z[..., :3] @ torch.randn(4, 3, c, generator=generator).double()
    Y = Y + torch.randn(4, 40, c, generator=generator)
    corr, y_sq = Z.mT @ Y / 40, (Y * Y).sum((1, 2)) / 40
    alpha = 0.05 * torch.linalg.vector_norm(corr, dim=-1).amax(-1)
    found = []
    for host in ("cpu", "none"):
        monkeypatch.setattr(_arrays, "_HOST", host)
        W, info = solve_multitask_lasso(Z.mT @ Z / 40, corr, y_sq, alpha, 0 * alpha)
        assert bool(info.converged.all())
        found.append(Z @ W)
    torch.testing.assert_close(*found, rtol=0, atol=1e-6)


@pytest.mark.parametrize("correlation", [0.0, 0.9])
def test_sweeps_of_coupled_columns_converge_to_the_minimum(correlation):
    _, _, gram, corr, threshold = problem(correlation=correlation)
    coupling = np.array([[0.6, 0.3], [0.3, 0.5]])  # eigenvalues of at most one
    hessian = np.kron(coupling, gram)
    V = sweep_blocks(hessian, corr, threshold, np.zeros_like(corr), 5000)
    for t in range(3):
        W = cp.Variable((6, 2))
        root = np.linalg.cholesky(hessian[t] + 1e-14 * np.eye(12)).T
        loss = 0.5 * cp.sum_squares(root @ cp.vec(W, order="F"))
        loss -= cp.sum(cp.multiply(corr[t], W))
        penalty = threshold[t, 0] * cp.sum(cp.norm2(W, axis=1))
        cp.Problem(cp.Minimize(loss + penalty)).solve(
            cp.CLARABEL, tol_gap_abs=1e-12, tol_gap_rel=1e-12
        )
        assert_allclose(V[t], W.value, atol=1e-6)


def test_columns_without_coupling_need_no_blocks(monkeypatch):
    monkeypatch.setattr(_sweeps, "_SAME", 2.0)
    _, _, gram, corr, threshold = problem(correlation=0.5)
    hessian = np.kron(np.eye(2), gram)
    start = np.random.default_rng(1).standard_normal(corr.shape)
    found = sweep_blocks(hessian, corr, threshold, start, 3)
    assert_allclose(found, sweep(gram, corr, threshold, start, 3), atol=1e-13)
