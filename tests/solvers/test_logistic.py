"""The logistic solver below the layer: derivatives, certificates, stages, limits."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from sparsedis.solvers import _composite
from sparsedis.solvers._celer import start_logistic_celer
from sparsedis.solvers._groups import Rows
from sparsedis.solvers.logistic import (
    Logistic,
    class_basis,
    solve_logistic,
)


def make_problem(n_classes, *, fit_intercept=False, missing=False, shared=False):
    """Ten tasks with 15 samples, 8 features, two of them equal."""
    rng = np.random.default_rng(0)
    Z = torch.tensor(rng.standard_normal((1 if shared else 10, 15, 8)))
    Z[..., 7] = Z[..., 2]
    labels = torch.tensor(rng.integers(0, n_classes, (10, 15)))
    if missing:
        labels[::2] = labels[::2].clamp_max(n_classes - 2)
    weight = torch.tensor(rng.random((10, 15)))
    weight[:, :2] = 0.0
    weight /= weight.sum(-1, keepdim=True)
    l2 = torch.tensor(rng.choice([0.0, 0.01, 1.0], 10))
    how = {"n_classes": n_classes, "fit_intercept": fit_intercept}
    largest = Logistic(Z, labels, weight, l2, l2, **how).alpha_max()
    alpha = torch.tensor(10 ** rng.uniform(-3, 0, 10)) * largest
    return (Z, labels, weight, alpha, l2), how


CASES = [
    {"n_classes": 2},
    {"n_classes": 2, "fit_intercept": True},
    {"n_classes": 4, "shared": True},
    {"n_classes": 4, "fit_intercept": True},
    {"n_classes": 4, "fit_intercept": True, "missing": True},
]


@pytest.fixture(params=CASES, ids=lambda case: ", ".join(map(str, case.items())))
def problem(request):
    return make_problem(**request.param)


def loss(logistic, V):
    """The smooth part, written out for automatic differentiation."""
    eta = logistic.logits(V).masked_fill(logistic.absent.unsqueeze(1), -1e3)
    terms = eta.logsumexp(-1) - (eta * logistic.onehot).sum(-1)
    ridge = (logistic.ridge * (V * V).sum(-1)).sum(-1)
    return (logistic.weight.squeeze(-1) * terms).sum(-1) + 0.5 * ridge


@pytest.mark.parametrize("n_classes", [3, 4, 7])
def test_basis_is_orthonormal_and_sums_to_zero(n_classes):
    B = class_basis(n_classes, torch.zeros((), dtype=torch.float64))
    assert_allclose(B.T @ B, np.eye(n_classes - 1), atol=1e-14)
    assert_allclose(B.sum(0), 0.0, atol=1e-14)


def test_derivatives_are_those_of_the_loss(problem):
    data, how = problem
    logistic = Logistic(*data, **how)
    generator = torch.Generator().manual_seed(0)
    shape = (*logistic.scale.shape, logistic.basis.shape[1])
    V, step = (
        torch.randn(shape, dtype=torch.float64, generator=generator) for _ in range(2)
    )
    V.requires_grad_()
    value = loss(logistic, V)
    (gradient,) = torch.autograd.grad(value.sum(), V, create_graph=True)
    assert_allclose(logistic.gradient(V).detach(), gradient.detach(), atol=1e-12)
    (product,) = torch.autograd.grad((gradient * V.detach()).sum(), V)
    V, gradient = V.detach(), gradient.detach()
    # What the intercept of a missing class does is not in the loss but in the gauge.
    assert_allclose(logistic.linear_term(V), product - gradient, atol=1e-12)
    active = torch.ones_like(logistic.scale, dtype=torch.bool)
    rows = Rows(active)
    hessian = logistic.hessian(V, rows)
    expected = torch.einsum("tjalb,tlb->tja", hessian, V)
    if logistic.gauge is not None:
        gauge = torch.einsum("tab,tb->ta", logistic.gauge.expand(10, -1, -1), V[:, -1])
        expected[:, -1] -= gauge
    assert_allclose(expected, product, atol=1e-12)
    lengths = torch.tensor([[0.0, 0.5, 2.0]], dtype=torch.float64).expand(10, -1)
    along = logistic.along(V, step, lengths)
    for i, t in enumerate((0.0, 0.5, 2.0)):
        assert_allclose(along[:, i], loss(logistic, V + t * step), atol=1e-10)


def test_blocks_of_the_hessian_are_at_most_one(problem):
    data, how = problem
    logistic = Logistic(*data, **how)
    rows = Rows(torch.ones_like(logistic.scale, dtype=torch.bool))
    for V in (logistic.at_zero(), logistic.at_zero() + 0.3):
        hessian = logistic.hessian(V, rows)
        hessian = hessian.diagonal(dim1=1, dim2=3).permute(0, 3, 1, 2)
        assert (torch.linalg.eigvalsh(hessian)[..., -1] <= 1 + 1e-12).all()


def test_gap_bounds_the_suboptimality_from_above(problem):
    data, how = problem
    logistic = Logistic(*data, **how)
    start = logistic.at_zero()
    V, info = _composite.solve(logistic, start, tol=1e-12, max_iter=100)

    def objective(V):
        norm = torch.linalg.vector_norm(V, dim=-1)
        return loss(logistic, V) + (logistic.penalty.threshold * norm).sum(-1)

    best = objective(V)
    assert info.converged.all()
    assert (info.gap <= 1e-12).all()
    generator = torch.Generator().manual_seed(0)
    for size in (1e-4, 1e-2, 0.3):
        noise = torch.randn(V.shape, dtype=V.dtype, generator=generator)
        off = V + size * noise
        excess = (objective(off) - best) / np.log(len(logistic.basis))
        assert (excess > 0).all()
        assert (logistic.gap(off) >= excess).all()
    if how["fit_intercept"]:
        # However far off the intercept is.
        for by in (-20.0, -5.0, 5.0, 20.0):
            off = V.clone()
            off[:, -1, 0] += by
            excess = (objective(off) - best) / np.log(len(logistic.basis))
            assert (logistic.gap(off) >= excess - 1e-12).all()
            # A bound, not a guess.
            assert (logistic.gap(off) <= 10 * excess + 1).all()


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_gap_is_a_bound_without_any_penalty(n_classes, fit_intercept):
    rng = np.random.default_rng(0)
    Z = torch.tensor(rng.standard_normal((1, 80, 3)))
    labels = torch.tensor(rng.integers(0, n_classes, (1, 80)))
    weight, none = torch.full((1, 80), 1 / 80).double(), torch.zeros(1).double()
    logistic = Logistic(Z, labels, weight, none, none, n_classes, fit_intercept)
    V, info = _composite.solve(logistic, logistic.at_zero(), tol=1e-13, max_iter=100)
    assert info.converged.all()
    best = loss(logistic, V)
    for size in (1e-3, 0.1, 3.0, 100.0):
        off = V + size * torch.tensor(rng.standard_normal(V.shape))
        excess = (loss(logistic, off) - best) / np.log(n_classes)
        assert (logistic.gap(off) >= excess - 1e-14).all()
        assert (logistic.gap(off) <= excess + 1).all()


def test_both_stages_find_the_solution(problem):
    data, how = problem
    logistic = Logistic(*data, **how)
    start = logistic.at_zero()
    V, _ = _composite.solve(logistic, start, tol=1e-12, max_iter=100)
    other, info = _composite.solve(logistic, start, tol=1e-12, max_iter=100, n_newton=0)
    assert info.converged.all()
    # Which of two equal features is used is not determined without l2.
    for U in (V, other):
        U[:, 2] += U[:, 7]
    assert_allclose(V[:, :7], other[:, :7], atol=1e-7)


def test_missing_classes_have_no_part_in_the_intercept():
    data, how = make_problem(4, fit_intercept=True, missing=True)
    W, b, info = solve_logistic(*data, **how)
    assert info.converged.all()
    basis = class_basis(4, W)
    assert_allclose((b @ basis.T)[::2, 3], 0.0, atol=1e-10)
    assert_allclose((W @ basis.T)[::2, :, 3], 0.0, atol=1e-10)


def test_no_task_moves_when_others_join(problem):
    data, how = problem
    data = (*data[:4], data[4] + 0.01)
    W, b, _ = solve_logistic(*data, **how)
    for t in range(10):
        part = (data[0] if len(data[0]) == 1 else data[0][t : t + 1],)
        part += tuple(x[t : t + 1] for x in data[1:])
        alone_W, alone_b, _ = solve_logistic(*part, **how)
        assert_allclose(alone_W[0], W[t], atol=1e-9)
        assert_allclose(alone_b[0], b[t], atol=1e-9)


def test_celer_starts_where_newton_ends():
    (Z, labels, weight, alpha, l2), how = make_problem(2)
    weight = (weight > 0).double()
    weight /= weight.sum(-1, keepdim=True)
    alpha[0], l2 = 1e3, 0 * l2
    start = start_logistic_celer(Z, labels, weight, alpha)
    W, _, cold = solve_logistic(Z, labels, weight, alpha, l2, **how)
    again, _, warm = solve_logistic(Z, labels, weight, alpha, l2, start=start, **how)
    for U in (start, W, again):
        U[:, 2] += U[:, 7]
    assert_allclose(start[:, :7], W[:, :7], rtol=0.05, atol=0.01)
    assert_allclose(again[:, :7], W[:, :7], atol=1e-8)
    assert warm.n_iter.sum() < cold.n_iter.sum()
