"""The solver of row-sparse problems below the layer: certificates, stages, limits."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from sparsedis.solvers import _composite
from sparsedis.solvers._celer import solve_multitask_lasso_celer
from sparsedis.solvers._data_gap import data_gap, recertify
from sparsedis.solvers._info import SolverInfo
from sparsedis.solvers._quadratic import Quadratic
from sparsedis.solvers.lasso import lasso_gap
from sparsedis.solvers.multitask_lasso import solve_multitask_lasso


@pytest.fixture
def problem():
    """Twenty tasks with 6 samples, 8 features, two of them equal, and 3 outputs."""
    rng = np.random.default_rng(0)
    Z = torch.tensor(rng.standard_normal((20, 6, 8)) / np.sqrt(6))
    Z[..., 7] = Z[..., 2]
    Y = torch.tensor(rng.standard_normal((20, 6, 3)))
    corr = Z.mT @ Y
    largest = torch.linalg.vector_norm(corr, dim=-1).amax(-1)
    alpha = torch.tensor(10 ** rng.uniform(-4, 0, 20)) * largest
    l2 = torch.tensor(rng.choice([0.0, 0.1, 10.0], 20))
    return Z, Y, (Z.mT @ Z, corr, (Y * Y).sum((1, 2)), alpha, l2)


def objective(problem, W):
    Z, Y, (*_, alpha, l2) = problem
    norm = torch.linalg.vector_norm(W, dim=-1)
    loss = 0.5 * ((Y - Z @ W) ** 2).sum((1, 2))
    return loss + alpha * norm.sum(-1) + 0.5 * l2 * (norm * norm).sum(-1)


def gap_of(W, gram_form):
    """Duality gap relative to the objective at zero."""
    quadratic = Quadratic(*gram_form)
    return quadratic.gap(W / quadratic.scale.unsqueeze(-1))


def test_gap_bounds_the_suboptimality_from_above(problem):
    *_, gram_form = problem
    W, info = solve_multitask_lasso(*gram_form)
    best = objective(problem, W)
    generator = torch.Generator().manual_seed(0)
    for size in (1e-4, 1e-2, 0.3):
        noise = torch.randn(W.shape, dtype=W.dtype, generator=generator)
        off = W + size * W.abs().amax((1, 2), keepdim=True) * noise
        excess = (objective(problem, off) - best) / (gram_form[2] / 2)
        assert (excess > 0).all()
        assert (gap_of(off, gram_form) >= excess).all()
    assert (info.gap <= 1e-12).all()
    assert info.converged.all()


def test_gap_from_the_data_is_that_of_the_gram_matrix(problem):
    Z, Y, gram_form = problem
    W, _ = solve_multitask_lasso(*gram_form)
    half, penalties = gram_form[2] / 2, gram_form[3:]
    assert (data_gap(W, Z, Y, *penalties) <= 1e-12 * half).all()
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(W.shape, dtype=W.dtype, generator=generator)
    off = W + 0.1 * W.abs().amax((1, 2), keepdim=True) * noise
    expected = gap_of(off, gram_form)
    assert_allclose(data_gap(off, Z, Y, *penalties) / half, expected, rtol=1e-9)
    # Where rounding could hide any gap at all, it is what counts.
    nothing = torch.zeros_like(half)
    info = SolverInfo(nothing, nothing, nothing == 0, (off != 0).any(-1))
    gram, _, y_sq, alpha, l2 = gram_form
    info = recertify(info, off, lambda: (Z, Y), gram, y_sq, alpha, l2, tol=0.0)
    assert_allclose(info.gap, expected, rtol=1e-9)
    assert not info.converged.any()


def test_gap_of_one_output_is_that_of_the_lasso(problem):
    *_, (gram, corr, _, alpha, l2) = problem
    y_sq = problem[1][..., 0].pow(2).sum(-1)
    generator = torch.Generator().manual_seed(0)
    w = 0.1 * torch.randn(20, 8, dtype=torch.float64, generator=generator)
    one = gap_of(w[..., None], (gram, corr[..., :1], y_sq, alpha, l2))
    assert_allclose(one, lasso_gap(w, gram, corr[..., 0], y_sq, alpha, l2), rtol=1e-9)


def test_gap_is_infinite_where_rounding_would_hide_it(problem):
    *_, gram_form = problem
    W = 1e12 * torch.ones(20, 8, 3, dtype=torch.float64)
    assert torch.isinf(gap_of(W, gram_form)).all()


def test_both_stages_find_the_solution(problem):
    """Smoothing alone ends where Newton does, and both stages are needed here."""
    *_, gram_form = problem
    quadratic = Quadratic(*gram_form)
    start = torch.zeros_like(gram_form[1])
    how = {"tol": 1e-12, "max_iter": 100}
    V, info = _composite.solve(quadratic, start, **how)
    W = V * quadratic.scale.unsqueeze(-1)
    V, smoothed = _composite.solve(quadratic, start, n_newton=0, **how)
    _, newton = _composite.solve(quadratic, start, tol=1e-12, max_iter=0)
    assert info.converged.all()
    assert smoothed.converged.all()
    assert newton.converged.any()
    assert not newton.converged.all()
    other = V * quadratic.scale.unsqueeze(-1)
    assert_allclose(objective(problem, W), objective(problem, other), rtol=1e-12)
    assert (info.n_iter < 40).all()


def test_a_start_at_the_solution_takes_two_steps(problem):
    *_, gram_form = problem
    gram_form = (*gram_form[:-1], torch.full((20,), 0.1, dtype=torch.float64))
    W, cold = solve_multitask_lasso(*gram_form)
    again, warm = solve_multitask_lasso(*gram_form, start=W)
    assert_allclose(again, W, atol=1e-12)
    assert (warm.n_iter <= 2).all()
    assert (cold.n_iter > 2).any()


def test_one_gram_matrix_serves_all_tasks(problem):
    Z, Y, (_, _, y_sq, alpha, l2) = problem
    gram, corr = Z[:1].mT @ Z[:1], Z[:1].mT @ Y
    shared, _ = solve_multitask_lasso(gram, corr, y_sq, alpha, l2 + 0.01)
    apart, _ = solve_multitask_lasso(
        gram.expand(20, -1, -1), corr, y_sq, alpha, l2 + 0.01
    )
    assert_allclose(shared, apart, atol=1e-12)


def test_no_iterations_give_a_finite_point_with_its_own_gap(problem):
    *_, gram_form = problem
    quadratic = Quadratic(*gram_form)
    start = torch.full_like(gram_form[1], 0.01)
    V, info = _composite.solve(quadratic, start, tol=0.0, max_iter=0, n_newton=0)
    assert torch.equal(V, start)
    assert_allclose(info.gap, quadratic.gap(start))


def test_celer_ends_where_newton_does(problem):
    Z, Y, gram_form = problem
    W, info = solve_multitask_lasso_celer(Z, Y, *gram_form)
    assert info.converged.all()
    other, _ = solve_multitask_lasso(*gram_form)
    assert_allclose(objective(problem, W), objective(problem, other), rtol=1e-10)
