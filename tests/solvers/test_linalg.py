"""Systems on a support against numpy's pseudo-inverse."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from sparsedis.solvers._linalg import (
    SignedSystem,
    gather,
    gram_matrix,
    product,
    ridge_system,
    solve_on_support,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("k", [5, 40])
def test_signed_solution_is_zero_elsewhere(rng, k):
    factors = rng.standard_normal((3, 2 * k, k))
    factors /= np.linalg.norm(factors, axis=1, keepdims=True)
    hessian = np.einsum("tij,tik->tjk", factors, factors)
    active = rng.random((3, k)) < np.array([[0.5], [0.2], [0.0]])
    rhs = rng.standard_normal((3, k))
    signs = torch.tensor(rng.choice([-1.0, 1.0], (3, k)) * active)
    system = SignedSystem(torch.tensor(hessian), signs[..., None])
    u = signs * system.solve(torch.tensor(rhs)[..., None]).squeeze(-1)
    for t, S in enumerate(active):
        H = hessian[t][np.ix_(S, S)]
        assert_allclose(u[t][S], np.linalg.solve(H, rhs[t][S]), atol=1e-12)
        assert not u[t][~S].any()


@pytest.mark.parametrize("n_tasks", [5, 100])
@pytest.mark.parametrize("solved", [False, True])
def test_small_pivots_count_only_in_the_support(n_tasks, solved):
    # The squared pivots are 1 and 1 - r^2.
    r = np.sqrt(1 - np.array([1e-6, 1e-9, 1e-9, 0.0, 0.0]))
    hessian = np.moveaxis(np.array([[r**0, r], [r, r**0]]), 2, 0)
    signs = np.array([[1.0, 1.0], [1.0, 1.0], [1.0, 0.0], [-1.0, 1.0], [0.0, 0.0]])
    more = np.arange(n_tasks) % 5
    system = SignedSystem(hessian[more], signs[more, :, None])
    if solved:
        system.solve(signs[more, :, None])
    expected = np.array([False, True, False, True, False])
    assert_array_equal(system.poor(), expected[more])


@pytest.mark.parametrize(("n", "k"), [(7, 1), (7, 4), (3000, 8), (7, 30)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_products_of_features(rng, n, k, dtype):
    Z = torch.tensor(rng.standard_normal((3, n, k)), dtype=dtype)
    before, found = Z.clone(), gram_matrix(Z)
    error = 10 * n * torch.finfo(dtype).eps
    assert_allclose(found, Z.mT @ Z, rtol=0, atol=error)
    assert torch.equal(Z, before)


def test_large_products_run_on_the_threads_of_torch(rng, monkeypatch):
    calls = []
    monkeypatch.setattr(torch, "bmm", lambda A, B: calls.append(A) or A @ B)
    for n in (100, 10_000):
        gram_matrix(torch.tensor(rng.standard_normal((1, n, 6))))
    assert [A.shape[-1] for A in calls] == [10_000]


@pytest.mark.parametrize("n_tasks", [70, 10])
def test_tasks_that_are_taken_keep_the_order_for_their_number(rng, n_tasks):
    matrices = np.asfortranarray(rng.standard_normal((100, 4, 4)))
    at = rng.permutation(100)[:n_tasks]
    (found,) = gather(at, matrices)
    assert_array_equal(found, matrices[at])
    assert found.flags.f_contiguous == (n_tasks == 70)
    (found,) = gather(torch.tensor(at), torch.tensor(matrices))
    assert torch.equal(found, torch.tensor(matrices[at]))


@pytest.mark.parametrize("shared", [False, True])
def test_solution_is_that_of_the_pseudo_inverse(rng, shared):
    # Ranks 5 (regular), 3 and 0; every other feature in the support, all, and none.
    factors = rng.integers(-9, 10, (3, 5, 5)).astype(float)
    factors[1, 3:] = 0.0
    factors[2] = 0.0
    hessian = np.einsum("tij,tik->tjk", factors, factors)
    if shared:
        hessian = hessian[1:2]
    support = np.array([[1, 0, 1, 0, 1], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]], dtype=bool)
    rhs = rng.standard_normal((3, 5))
    u, singular = solve_on_support(*map(torch.tensor, (hessian, rhs, support)))
    for t, S in enumerate(support):
        H = hessian[0 if shared else t][np.ix_(S, S)]
        assert_allclose(u[t][S], np.linalg.pinv(H) @ rhs[t][S], rtol=1e-9, atol=1e-12)
        assert not u[t][~S].any()
        rank = np.linalg.matrix_rank(H) if S.any() else 0
        assert bool(singular[t]) == (rank < S.sum())


@pytest.mark.parametrize("unit", [1e-6, 1e-3, 1e3, 1e6])
def test_units_do_not_decide_about_the_rank(rng, unit):
    Z = rng.integers(-9, 10, (20, 4)).astype(float)
    Z[:, 3] = Z[:, 0]
    Z[:, 1] *= unit
    w = rng.standard_normal(4)
    # All features have effects of similar sizes, which rounding errors are relative to.
    w[1] /= unit
    w[3] = w[0]
    hessian = torch.tensor(Z.T @ Z).unsqueeze(0)
    rhs = torch.tensor(Z.T @ (Z @ w)).unsqueeze(0)
    u, singular = solve_on_support(hessian, rhs, torch.ones(1, 4, dtype=torch.bool))
    assert singular
    # The least norm shares a coefficient between the two copies.
    assert_allclose(u[0], w, rtol=1e-11)


@pytest.mark.parametrize("rank", [5, 3])
def test_tasks_that_share_everything_share_one_system(rng, rank):
    factors = rng.integers(-9, 10, (rank, 5)).astype(float)
    gram, l2 = factors.T @ factors, np.full(4, 0.0 if rank < 5 else 0.5)
    rhs = rng.standard_normal((4, rank)) @ factors
    every = torch.ones(4, 5, dtype=torch.bool)
    given = torch.tensor(gram)[None], torch.tensor(l2)
    hessian, system = ridge_system(*given, every)
    assert len(hessian) == 1
    expected = rhs @ np.linalg.pinv(gram + l2[0] * np.eye(5))
    assert_allclose(system.solve(torch.tensor(rhs)), expected, atol=1e-10)
    assert system.singular.tolist() == [rank < 5]
    # Another support, or another penalty, has a system of its own.
    every[2, 1] = False
    hessian, system = ridge_system(*given, every)
    assert len(hessian) == 4
    assert not system.solve(torch.tensor(rhs))[2, 1]


@pytest.mark.parametrize("shapes", [(1, 3), (3, 1), (3, 3)])
def test_product_with_one_matrix_for_all_tasks(rng, shapes):
    A = rng.standard_normal((shapes[0], 4, 5))
    B = rng.standard_normal((shapes[1], 5, 2))
    assert_allclose(product(torch.tensor(A), torch.tensor(B)), A @ B, atol=1e-14)
