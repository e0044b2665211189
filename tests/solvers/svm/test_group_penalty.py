"""The group penalty and what is derived from it against cvxpy, autograd and einsum."""

from itertools import pairwise

import cvxpy as cp
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from sparsedis.solvers.svm.group_penalty import (
    GroupIterate,
    apply_curvature,
    conjugate,
    fenchel_gap,
    link,
    link_curvature,
    norm,
    pull,
    take_features,
    weighted_gram,
)

L1, L2 = 1.5, 0.4


def draw(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def penalties(n_tasks=1):
    return torch.full((n_tasks, 1), L1).double(), torch.full((n_tasks, 1), L2).double()


def test_link_and_conjugate_solve_the_problem_that_defines_them():
    V = draw(1, 3, 6)
    W = cp.Variable((3, 6))
    penalty = L1 * cp.sum(cp.norm(W, axis=0)) + L2 / 2 * cp.sum_squares(W)
    inner = cp.sum(cp.multiply(V[0].numpy(), W))
    problem = cp.Problem(cp.Maximize(inner - penalty))
    problem.solve(solver=cp.CLARABEL)
    linked = link(V, *penalties())
    assert_allclose(linked[0], W.value, atol=1e-6)
    assert 0 < int((linked != 0).any(1).sum()) < 6
    value = conjugate(norm(V), *penalties()).sum()
    assert_allclose(float(value), problem.value, rtol=1e-6)


def test_fenchel_gap_is_zero_at_the_link_only():
    V, W = 2 * draw(2, 3, 6), draw(2, 3, 6, seed=1)
    value = L1 * W.norm(dim=1) + L2 / 2 * W.square().sum(1)
    expected = value + (V.norm(dim=1) - L1).clamp_min(0) ** 2 / (2 * L2)
    expected = expected - (V * W).sum(1)
    assert_allclose(fenchel_gap(V, W, *penalties(2)), expected, atol=1e-12)
    assert float(expected.min()) > 0
    linked = link(V, *penalties(2))
    assert_allclose(fenchel_gap(V, linked, *penalties(2)), 0, atol=1e-12)


def test_link_curvature_is_the_jacobian_of_the_link():
    V = draw(1, 3, 6)

    def row(v):
        length = torch.linalg.vector_norm(v)
        return (1 - L1 / length).clamp_min(0) * v / L2

    linked = link(V, *penalties())
    a, d, direction = link_curvature(linked, *penalties())
    other = draw(1, 3, 6, seed=1)
    applied = apply_curvature(a, d, direction, other)
    for j in range(6):
        J = torch.autograd.functional.jacobian(row, V[0, :, j])
        w = direction[0, :, j]
        own = a[0, j] * torch.eye(3).double() + d[0, j] * torch.outer(w, w)
        assert_allclose(own, J, atol=1e-12)
        assert_allclose(applied[0, :, j], J @ other[0, :, j], atol=1e-12)


@pytest.mark.parametrize("q", [1, 7])
def test_weighted_gram_is_the_sum_over_features(q):
    S = draw(2, 4, q)
    a, d = draw(2, 2, q, seed=2).abs().unbind(1)
    direction = torch.nn.functional.normalize(draw(2, 3, q, seed=3), dim=1)
    blocks = torch.einsum("tj,kl->tjkl", a, torch.eye(3).double())
    blocks = blocks + torch.einsum("tj,tkj,tlj->tjkl", d, direction, direction)
    expected = torch.einsum("tij,thj,tjkl->tikhl", S, S, blocks).reshape(2, 12, 12)
    assert_allclose(weighted_gram(S, a, d, direction), expected, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("p", [5, 6000])
def test_pull_multiplies_the_features_of_each_task(p, dtype):
    Z, weight, X = draw(4, 3, p), draw(2, 3).abs(), draw(2, 3, 2, seed=1)
    tasks = torch.tensor([1, 3])
    sX = weight.unsqueeze(-1) * X
    expected = (Z[tasks].mT @ sX).mT
    rtol, atol = (1e-12, 1e-12) if dtype == torch.float64 else (1e-5, 1e-5)
    chosen = pull(Z.to(dtype), weight, X, tasks)
    assert chosen.dtype == dtype
    assert_allclose(chosen, expected, rtol=rtol, atol=atol)
    assert_allclose(pull(Z[tasks], weight, X), expected, atol=1e-12)
    shared = torch.stack([Z[0].T @ sX[t] for t in range(2)]).mT
    assert_allclose(pull(Z[:1], weight, X), shared, atol=1e-12)


def test_newton_on_the_active_rows_converges_quadratically():
    # For a fixed X the equations of the rows alone: their solution is the link.
    Z, weight, X = draw(1, 5, 8), torch.ones(1, 5).double(), draw(1, 5, 2, seed=1)
    index = torch.arange(8)[None]
    V = pull(Z, weight, X)
    exact = link(V, *penalties())
    noise = 0.2 * draw(1, 2, 8, seed=2) * (exact != 0)
    iterate = GroupIterate(Z, exact + noise, *penalties(), index)
    errors = []
    for _ in range(6):
        scores, fixed = iterate.linearise(X)
        assert_allclose(scores, Z @ iterate.W.mT, atol=1e-12)
        before = iterate
        iterate = iterate.advance(torch.zeros_like(X))
        # `fixed` is the change of the scores, up to rows that leave.
        moved = Z @ (iterate.W - before.W).mT
        assert_allclose(fixed, moved, atol=1e-12)
        errors.append(float((iterate.W - exact).abs().max()))
    assert errors[-1] < 1e-14
    assert all(b < 10 * a * a + 1e-14 for a, b in pairwise(errors))


def test_the_matrix_of_a_face_is_that_of_the_active_rows():
    Z, weight, index = draw(1, 5, 8), torch.ones(1, 5).double(), torch.arange(8)[None]
    X, F = draw(1, 5, 2, seed=1), draw(1, 5, 2, 2, seed=2)
    iterate = GroupIterate(Z, draw(1, 2, 8, seed=3), *penalties(), index)
    iterate.W[:, :, ::2] = link(pull(Z, weight, X), *penalties())[:, :, ::2]
    iterate.linearise(X)
    blocks = F @ F.mT
    P = torch.block_diag(*blocks[0])
    full = weighted_gram(Z, *iterate.curvature)[0]
    assert not bool((iterate.curvature[1] > 0).all())
    assert_allclose(iterate.hessian(blocks)[0], P @ full @ P, atol=1e-12)


def test_an_iterate_offers_its_own_rows_and_the_link():
    Z, weight, X = draw(1, 5, 8), torch.ones(1, 5).double(), draw(1, 5, 2, seed=1)
    V = pull(Z, weight, X)
    W = draw(1, 2, 8, seed=2)
    iterate = GroupIterate(Z, W, *penalties(), torch.arange(8)[None])
    (scores, gap, own), (_, zero, linked) = iterate.measure(X)
    assert own is iterate
    assert_allclose(scores, Z @ W.mT, atol=1e-12)
    assert_allclose(gap, fenchel_gap(V, W, *penalties()).sum(-1))
    assert_allclose(zero, 0, atol=1e-12)
    assert_allclose(linked.W, link(V, *penalties()))
    both = iterate.replace(linked, torch.tensor([True]))
    assert np.array_equal(both.W, linked.W)


def test_features_are_taken_from_the_matrix_of_each_task():
    Z, index = draw(4, 3, 10), torch.tensor([[0, 7], [9, 9]])
    for matrices, tasks in ((Z, [1, 3]), (Z[:2], [0, 1]), (Z[:1], [0, 1])):
        found = take_features(matrices, torch.tensor(tasks), index)
        shared = len(matrices) == 1
        expected = [
            matrices[0 if shared else t][:, index[i]] for i, t in enumerate(tasks)
        ]
        assert torch.equal(found, torch.stack(expected))
