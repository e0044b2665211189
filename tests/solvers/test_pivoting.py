"""Block principal pivoting: against exact paths, and where it gives up."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.linear_model import lars_path

from sparsedis.solvers import _pivoting
from sparsedis.solvers._pivoting import find_active
from sparsedis.solvers.lasso import lasso_gap, solve_lasso


def problems(n_tasks, n, k, share, correlation, seed=0):
    """Features of norm 1, all pairs with the same correlation, and sparse targets."""
    rng = np.random.default_rng(seed)
    Z = np.sqrt(1 - correlation) * rng.standard_normal((n_tasks, n, k))
    Z += np.sqrt(correlation) * rng.standard_normal((n_tasks, n, 1))
    Z /= np.linalg.norm(Z, axis=1, keepdims=True)
    w = rng.standard_normal((n_tasks, k)) * (rng.random((n_tasks, k)) < 0.5)
    y = (Z @ w[..., None])[..., 0] + 0.02 * rng.standard_normal((n_tasks, n))
    corr = np.einsum("tnk,tn->tk", Z, y)
    return Z, y, corr, share * np.abs(corr).max(1)


def columns(Z, corr, alpha):
    """Arguments of the solver."""
    hessian = torch.tensor(np.swapaxes(Z, 1, 2) @ Z)
    hessian.diagonal(dim1=1, dim2=2).fill_(1.0)
    penalty = np.broadcast_to(alpha[:, None, None], (*corr.shape, 1))
    return hessian, *(torch.tensor(a) for a in (corr[..., None], penalty.copy()))


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.95])
@pytest.mark.parametrize("k", [6, 30])
def test_solutions_are_those_of_exact_paths(k, correlation):
    Z, y, corr, alpha = problems(6, 2 * k, k, 0.1, correlation)
    system = columns(Z, corr, alpha)
    v, n_iter = find_active(*system)
    assert (n_iter >= 1).all()
    for t in range(6):
        at = alpha[t] / y.shape[1]
        path = lars_path(Z[t], y[t], method="lasso", alpha_min=at)
        assert_allclose(v[t, :, 0], path[2][:, -1], rtol=0, atol=1e-10)


@pytest.mark.parametrize("share", [0.02, 0.3])
def test_correlated_features_do_not_cycle(share):
    Z, _, corr, alpha = problems(500, 50, 6, share, 0.95)
    system = columns(Z, corr, alpha)
    v, n_iter = find_active(*system)
    # Semismooth Newton steps cycle in more than half of these tasks.
    assert torch.isfinite(v).all()
    assert n_iter.max() <= 8


def test_tasks_that_take_longer_go_on_alone(monkeypatch):
    Z, _, corr, alpha = problems(200, 50, 8, 0.1, 0.8)
    system = columns(Z, corr, alpha)
    found = {}
    for limit in (1, 10**9):
        monkeypatch.setattr(_pivoting, "_LARGE", limit)
        found[limit] = find_active(*system)
    for one, other in zip(*found.values(), strict=True):
        assert torch.equal(one, other)
    n_iter = found[1][1].flatten()
    t = int(n_iter.argmax())
    assert n_iter[t] > n_iter.min() + 2
    v, alone = find_active(*(part[t : t + 1] for part in system))
    assert torch.equal(v[0], found[1][0][t])
    assert alone[0] == n_iter[t]


@pytest.mark.parametrize("copies", [False, True])
def test_the_homotopy_solves_what_is_left(monkeypatch, copies):
    Z, y, corr, alpha = problems(40, 40, 6, 0.1, 0.7)
    if copies:
        # Both enter at once, and the system is singular.
        Z[..., 5], corr[..., 5] = Z[..., 4], corr[..., 4]
    gram = torch.tensor(np.swapaxes(Z, 1, 2) @ Z)
    form = [torch.tensor(a) for a in (corr, (y**2).sum(1), alpha, 0 * alpha)]
    expected, _ = solve_lasso(gram, *form)
    monkeypatch.setattr(_pivoting, "_MAX_STEPS", 1)
    v, _ = find_active(*columns(Z, corr, alpha))
    assert torch.isnan(v).all(1).sum() >= 15
    found, info = solve_lasso(gram, *form)
    assert info.converged.all()
    assert_allclose(info.gap, lasso_gap(found, gram, *form), atol=1e-14)
    fitted = [torch.tensor(Z) @ w.unsqueeze(-1) for w in (found, expected)]
    assert_allclose(*fitted, rtol=0, atol=1e-10)


@pytest.mark.parametrize("correlation", [0.0, 0.9])
def test_few_features_enter_at_once_if_there_are_many(monkeypatch, correlation):
    Z, y, corr, alpha = problems(6, 40, 100, 0.2, correlation)
    system = columns(Z, corr, alpha)
    v, _ = find_active(*system)
    for t in range(6):
        path = lars_path(Z[t], y[t], method="lasso", alpha_min=alpha[t] / 40)
        assert_allclose(v[t, :, 0], path[2][:, -1], rtol=0, atol=1e-10)
    # From the solution, all features of the support at once.
    again, n_iter = find_active(*system, v)
    assert (n_iter == 1).all()
    assert_allclose(again, v, rtol=0, atol=1e-12)
    # More features than samples at once depend on each other.
    monkeypatch.setattr(_pivoting, "_WIDE", 1000)
    v, _ = find_active(*system)
    assert torch.isnan(v).any()


@pytest.mark.parametrize("k", [6, 40])
def test_arrays_of_numpy_give_the_same_solutions(k):
    Z, _, corr, alpha = problems(200, 50, k, 0.1, 0.9)
    # The system of the first task is singular if both copies enter.
    Z[0, :, 1], corr[0, 1] = Z[0, :, 0], corr[0, 0]
    system = columns(Z, corr, alpha)
    v, n_iter = find_active(*(part.numpy() for part in system))
    expected, steps = find_active(*system)
    assert isinstance(v, np.ndarray)
    assert_allclose(v[1:], expected[1:], rtol=0, atol=1e-12)
    assert_allclose(n_iter[1:], steps[1:])


def test_the_first_step_waits_for_what_one_feature_explains():
    # Of three features with the same correlation, one explains the target.
    hessian = torch.full((1, 3, 3), 0.9).double()
    hessian.diagonal(dim1=1, dim2=2).fill_(1.0)
    corr = hessian[:, :, :1].clone()
    v, n_iter = find_active(hessian, corr, torch.full((1, 3, 1), 0.1).double())
    assert n_iter == 1
    assert_allclose(v.flatten(), [0.9, 0.0, 0.0], atol=1e-15)


def test_the_first_signs_wait_for_what_two_features_explain():
    # Those of what the first feature leaves take four steps.
    hessian = torch.tensor([[[1.0, 0.8, 0.0], [0.8, 1.0, -0.5], [0.0, -0.5, 1.0]]])
    corr = torch.tensor([[[4.0], [2.0], [3.0]]]).double()
    penalty = torch.full((1, 3, 1), 0.5).double()
    v, n_iter = find_active(hessian.double(), corr, penalty)
    assert n_iter == 1
    assert_allclose(v.flatten(), [3.5, 0.0, 2.5], atol=1e-14)
