"""The Lasso solvers below the layer: certificates, starts and limits."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from sparsedis.solvers import _pivoting, lasso
from sparsedis.solvers._celer import solve_lasso_celer
from sparsedis.solvers._linalg import product
from sparsedis.solvers.lasso import lasso_gap, solve_lasso
from sparsedis.solvers.ridge import solve_ridge


@pytest.fixture
def problem():
    """Twenty tasks with 12 samples, 8 features, two of them equal."""
    rng = np.random.default_rng(0)
    Z = torch.tensor(rng.standard_normal((20, 12, 8)) / np.sqrt(12))
    Z[..., 7] = Z[..., 2]
    y = torch.tensor(rng.standard_normal((20, 12)))
    corr = (Z.mT @ y.unsqueeze(-1)).squeeze(-1)
    alpha = torch.tensor(rng.uniform(0.01, 0.9, 20)) * corr.abs().amax(-1)
    l2 = torch.tensor(rng.choice([0.0, 0.1, 10.0], 20))
    return Z, y, (Z.mT @ Z, corr, (y * y).sum(-1), alpha, l2)


def objective(problem, w):
    Z, y, (*_, alpha, l2) = problem
    residual = y - (Z @ w.unsqueeze(-1)).squeeze(-1)
    return (
        0.5 * (residual**2).sum(-1)
        + alpha * w.abs().sum(-1)
        + 0.5 * l2 * (w * w).sum(-1)
    )


def merged(w):
    """Sum of the coefficients of the copies: which of them is used is arbitrary."""
    return w[..., :7] + w[..., 7:] * (torch.arange(7) == 2)


def test_gap_bounds_the_suboptimality_from_above(problem):
    *_, gram_form = problem
    w, info = solve_lasso(*gram_form)
    best = objective(problem, w)
    generator = torch.Generator().manual_seed(0)
    y_sq = gram_form[2]
    for size in (1e-4, 1e-2, 0.3):
        noise = torch.randn(w.shape, dtype=w.dtype, generator=generator)
        off = w + size * w.abs().amax(-1, keepdim=True) * noise
        excess = (objective(problem, off) - best) / (y_sq / 2)
        gap = lasso_gap(off, *gram_form)
        assert (excess > 0).all()
        assert (gap >= excess).all()
    assert (info.gap <= 1e-12).all()
    assert_allclose(info.gap, lasso_gap(w, *gram_form), atol=1e-15)


def test_gap_is_infinite_where_rounding_would_hide_it(problem):
    *_, gram_form = problem
    assert torch.isinf(lasso_gap(1e12 * torch.ones(20, 8).double(), *gram_form)).all()


def test_gap_of_no_target_is_zero():
    zero = torch.zeros(1, dtype=torch.float64)
    gram = torch.eye(2, dtype=torch.float64).unsqueeze(0)
    corr = torch.zeros(1, 2, dtype=torch.float64)
    w, info = solve_lasso(gram, corr, zero, zero + 1, zero)
    assert not w.any()
    assert info.gap == 0
    assert info.converged


def test_a_start_with_the_right_signs_takes_one_step(problem):
    *_, gram_form = problem
    # With l2 > 0, or both copies of a feature start, and the system is singular.
    gram_form = (*gram_form[:-1], torch.full((20,), 0.1, dtype=torch.float64))
    w, cold = solve_lasso(*gram_form)
    again, warm = solve_lasso(*gram_form, start=w * 1.001)
    assert_allclose(again, w, atol=1e-14)
    assert (warm.n_iter == 1).all()
    assert (cold.n_iter > 1).any()


def test_one_gram_matrix_serves_all_tasks(problem):
    Z, y, (_, _, y_sq, alpha, l2) = problem
    gram = Z[:1].mT @ Z[:1]
    corr = (Z[:1].mT @ y.unsqueeze(-1)).squeeze(-1)
    shared, _ = solve_lasso(gram, corr, y_sq, alpha, l2)
    apart, _ = solve_lasso(gram.expand(20, -1, -1), corr, y_sq, alpha, l2)
    assert_allclose(shared, apart, atol=1e-14)


def test_a_task_is_solved_alike_alone_and_among_others(problem):
    *_, gram_form = problem
    w, _ = solve_lasso(*gram_form)
    for t in range(20):
        alone, _ = solve_lasso(*(part[t : t + 1] for part in gram_form))
        assert_allclose(merged(w[t]), merged(alone[0]), atol=1e-10)


def test_tasks_that_take_longer_go_on_without_the_others(problem):
    *_, (gram, corr, y_sq, alpha, l2) = problem
    # Rounding errors decide which of two copies enters, and in how many steps.
    gram_form = gram[:, :7, :7], corr[:, :7], y_sq, 0.3 * alpha, 0 * l2
    w, info = solve_lasso(*gram_form)
    # The longest of those in which the active sets do not cycle, and so many easy ones
    # that it is left alone.
    hardest = int(info.n_iter.where(info.n_iter < 10, torch.tensor(0)).argmax())
    easy = info.n_iter == info.n_iter.min()
    tasks = [*easy.nonzero().flatten().tolist() * 200, hardest]
    many, many_info = solve_lasso(*(part[tasks] for part in gram_form))
    assert_allclose(many, w[tasks], atol=1e-12)
    assert many_info.n_iter.tolist() == info.n_iter[tasks].tolist()
    assert info.n_iter[hardest] > info.n_iter.min()


def test_no_iterations_give_a_finite_point_with_its_own_gap(problem):
    *_, gram_form = problem
    w, info = solve_lasso(*gram_form, tol=0.0, max_iter=0)
    assert torch.isfinite(w).all()
    assert_allclose(info.gap, lasso_gap(w, *gram_form), atol=1e-15)


def test_celer_ends_where_newton_does(problem):
    Z, y, gram_form = problem
    w, info = solve_lasso_celer(Z, y, *gram_form)
    assert info.converged.all()
    other, _ = solve_lasso(*gram_form)
    assert_allclose(objective(problem, w), objective(problem, other), rtol=1e-12)


def test_ridge_gap_is_that_of_the_normal_equations(problem):
    *_, (gram, corr, y_sq, alpha, _) = problem
    w, info, _ = solve_ridge(gram, corr, y_sq, alpha)
    hessian = gram + alpha[:, None, None] * torch.eye(8).double()
    assert_allclose((hessian @ w.unsqueeze(-1)).squeeze(-1), corr, atol=1e-12)
    assert info.converged.all()
    assert info.support.all()


def test_many_small_tasks_are_neighbours_in_memory_at_every_step(monkeypatch):
    # In another order the same operations take three times as long.
    rng = np.random.default_rng(0)
    Z = torch.tensor(rng.standard_normal((100, 20, 6)))
    y = torch.tensor(rng.standard_normal((100, 20)))
    gram, corr = Z.mT @ Z, (Z.mT @ y.unsqueeze(-1)).squeeze(-1)
    alpha = 0.1 * corr.abs().amax(-1)
    products = []

    def record(A, B):
        products.append((A, B))
        return product(A, B)

    for module in (_pivoting, lasso):
        monkeypatch.setattr(module, "product", record)
    _, info = solve_lasso(gram, corr, (y * y).sum(-1), alpha, 0 * alpha)
    assert info.converged.all()
    large = [pair for pair in products if len(pair[0]) == 100]
    assert len(large) >= 3
    assert all(part.flags.f_contiguous for pair in large for part in pair)
