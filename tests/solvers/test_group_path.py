"""Paths with groups and MCP: against celer, cvxpy, closed forms and conditions."""

import cvxpy as cp
import numpy as np
import pytest
import torch
from celer import GroupLasso

from sparsedis.solvers.group_path import (
    _Candidates,
    _Path,
    solve_group_path,
    solve_wide_group_path,
)
from sparsedis.solvers.lasso_path import solve_lasso_path
from sparsedis.solvers.penalties import MCP

DEVICES = ["cpu", *(["cuda"] * torch.cuda.is_available())]


def design(n, k, n_problems=3, seed=0):
    """Correlated features, targets, and groups of different sizes."""
    rng = np.random.default_rng(seed)
    Z = rng.standard_normal((n, 3)) @ rng.standard_normal((3, k))
    Z += rng.standard_normal((n, k))
    Z[:, 1] = 0.0  # a constant feature
    Y = Z[:, :6] @ rng.standard_normal((6, n_problems))
    Y += 2 * rng.standard_normal((n, n_problems))
    groups = np.unique(rng.integers(0, k // 3, k), return_inverse=True)[1]
    return Z / np.sqrt(n), Y / np.sqrt(n), groups


def gram_form(Z, Y, groups=None, n_alphas=8, eps=0.01):
    Z, Y = torch.from_numpy(Z), torch.from_numpy(Y)
    gram, corr = (Z.T @ Z).expand(Y.shape[1], -1, -1), (Z.T @ Y).T
    size = corr.abs()
    if groups is not None:
        size = corr.new_zeros(len(corr), groups.max() + 1)
        size = size.index_add(1, torch.from_numpy(groups), corr**2).sqrt()
    grid = torch.logspace(0, np.log10(eps), n_alphas, dtype=Z.dtype)
    return gram, corr, Y.square().sum(0), size.amax(1, keepdim=True) * grid


@pytest.mark.parametrize(("n", "k"), [(60, 12), (25, 40)])
@pytest.mark.parametrize("device", DEVICES)
def test_groups_are_those_of_celer(n, k, device):
    Z, Y, groups = design(n, k)
    form = [part.to(device) for part in gram_form(Z, Y, groups)]
    coef, gap = solve_group_path(*form, torch.from_numpy(groups).to(device))
    assert float(gap.max()) <= 1e-10
    lists = [np.flatnonzero(groups == g).tolist() for g in range(groups.max() + 1)]
    for t in range(Y.shape[1]):
        for i in (0, 3, 7):
            how = {"tol": 1e-13, "max_iter": 1000, "fit_intercept": False}
            alpha = float(form[-1][t, i])
            peer = GroupLasso(lists, alpha, **how)
            peer.fit(Z * np.sqrt(n), Y[:, t] * np.sqrt(n))
            found = coef[t, i].cpu()
            np.testing.assert_allclose(found, peer.coef_, atol=1e-5)


def test_groups_are_those_of_cvxpy():
    Z, Y, groups = design(30, 10, 1)
    *form, alphas = gram_form(Z, Y, groups)
    coef, _ = solve_group_path(*form, alphas[:, [5]], torch.from_numpy(groups))
    w = cp.Variable(10)
    norms = [cp.norm(w[groups == g]) for g in range(groups.max() + 1)]
    loss = cp.sum_squares(Y[:, 0] - Z @ w) / 2
    problem = cp.Problem(cp.Minimize(loss + float(alphas[0, 5]) * sum(norms)))
    problem.solve(solver=cp.CLARABEL)
    np.testing.assert_allclose(coef[0, 0], w.value, atol=1e-5)


def test_single_groups_are_the_lasso():
    Z, Y, _ = design(60, 12)
    form = gram_form(Z, Y)
    coef, _ = solve_group_path(*form, torch.arange(12))
    np.testing.assert_allclose(coef, solve_lasso_path(*form)[0], atol=1e-7)


@pytest.mark.parametrize("gamma", [1.5, 3.0, 10.0])
def test_mcp_of_orthonormal_features_in_closed_form(gamma):
    corr = np.array([[5.0, -2.0, 1.2, 0.5, 0.0]])
    alphas = np.array([[6.0, 2.5, 1.0, 0.1]])
    form = torch.eye(5)[None].double(), torch.from_numpy(corr)
    coef, gap = solve_group_path(
        *(*form, torch.from_numpy((corr**2).sum(1)), torch.from_numpy(alphas)),
        *(torch.arange(5),),
        mcp=MCP(gamma),
    )
    alphas = alphas.T
    firm = np.sign(corr) * np.maximum(np.abs(corr) - alphas, 0) / (1 - 1 / gamma)
    expected = np.where(np.abs(corr) <= gamma * alphas, firm, corr)
    np.testing.assert_allclose(coef[0], expected, atol=1e-9)
    assert float(gap.max()) <= 1e-10


def test_mcp_of_groups_in_closed_form():
    corr, gamma = np.array([[3.0, 4.0, 0.6, 0.8, 6.0, 8.0]]), 3.0
    form = torch.eye(6)[None].double(), torch.from_numpy(corr)
    alphas, groups = torch.tensor([[2.0]]).double(), torch.tensor([0, 0, 1, 1, 2, 2])
    coef, _ = solve_group_path(
        *form, form[1].square().sum(1), alphas, groups, mcp=MCP(gamma)
    )
    # Norms 5, 1 and 10: shrunk, zero, and beyond gamma * alpha.
    factor = np.repeat([(5 - 2) / (1 - 1 / gamma) / 5, 0, 1], 2)
    np.testing.assert_allclose(coef[0, 0], corr[0] * factor, atol=1e-9)


@pytest.mark.parametrize(("n", "k"), [(60, 12), (25, 40)])
@pytest.mark.parametrize("grouped", [True, False])
def test_mcp_is_stationary_and_a_local_minimum(n, k, grouped):
    Z, Y, groups = design(n, k)
    groups = groups if grouped else np.arange(k)
    *form, alphas = gram_form(Z, Y, groups)
    coef, gap = solve_group_path(*form, alphas, torch.from_numpy(groups), mcp=MCP())
    assert float(gap.max()) <= 1e-10
    rng, member = np.random.default_rng(1), np.eye(groups.max() + 1)[groups]

    def objective(w, alpha, y):
        r = np.sqrt(w**2 @ member)
        near = np.minimum(r, 3 * alpha)
        penalty = (alpha * near - near**2 / 6).sum(-1)
        return 0.5 * ((y - w @ Z.T) ** 2).sum(-1) + penalty

    for t in range(Y.shape[1]):
        for i, alpha in enumerate(alphas[t].numpy()):
            w, y = coef[t, i].numpy(), Y[:, t]
            descent, norm = Z.T @ (y - Z @ w), np.sqrt(w**2 @ member)
            used = norm > 0
            assert (np.sqrt(descent**2 @ member)[~used] <= alpha * (1 + 1e-8)).all()
            slope = np.maximum(alpha - norm / 3, 0) / np.where(used, norm, 1)
            each = used[groups]
            np.testing.assert_allclose(
                descent[each], (slope[groups] * w)[each], atol=1e-9 * alphas[t, 0]
            )
            near = w + 1e-3 * rng.standard_normal((50, k)) * (w != 0)
            assert (objective(near, alpha, y) >= objective(w, alpha, y) - 1e-12).all()


def test_mcp_with_a_large_gamma_is_the_lasso():
    Z, Y, _ = design(60, 12)
    form = gram_form(Z, Y)
    coef, _ = solve_group_path(*form, torch.arange(12), mcp=MCP(1e9))
    np.testing.assert_allclose(coef, solve_lasso_path(*form)[0], atol=1e-6)


@pytest.mark.parametrize("mcp", [None, MCP()])
@pytest.mark.parametrize(("n", "k"), [(60, 12), (25, 40)])
def test_candidates_give_the_path_of_all_features(mcp, n, k):
    Z, Y, groups = design(n, k)
    *form, alphas = gram_form(Z, Y, groups)
    groups = torch.from_numpy(groups)
    coef, _ = solve_group_path(*form, alphas, groups, mcp=mcp)
    data = torch.from_numpy(Z).expand(Y.shape[1], -1, -1), torch.from_numpy(Y.T)
    wide, gap = solve_wide_group_path(*data, alphas, groups, mcp=mcp)
    np.testing.assert_allclose(wide, coef, atol=1e-8)
    assert float(gap.max()) <= 1e-10


@pytest.mark.parametrize("mcp", [None, MCP()])
def test_problems_without_a_signal_are_zero(mcp):
    form = torch.eye(4)[None].double(), torch.zeros(1, 4).double()
    alphas, groups = torch.tensor([[1.0, 0.1]]).double(), torch.tensor([0, 0, 1, 1])
    coef, gap = solve_group_path(
        *form, torch.tensor([1.0]).double(), alphas, groups, mcp=mcp
    )
    assert not coef.any()
    assert not gap.any()


@pytest.mark.parametrize("mcp", [None, MCP()])
def test_equal_features_do_not_stop_the_path(mcp):
    Z, Y, _ = design(30, 8)
    Z = np.concatenate([Z, Z], 1)
    form = gram_form(Z, Y, groups := np.arange(16) % 8)
    _, gap = solve_group_path(*form, torch.from_numpy(groups), mcp=mcp)
    assert float(gap.max()) <= 1e-10


@pytest.mark.parametrize("mcp", [None, MCP()])
def test_groups_that_are_not_candidates_are_checked(mcp):
    # The second group has no correlation with the target, until the first is fitted.
    Z = torch.linalg.cholesky(torch.tensor([[1.0, 0.6], [0.6, 1.0]]).double()).T
    y, groups = Z @ torch.tensor([1.0, -0.6]).double(), torch.arange(2)
    path, alpha = _Candidates(Z[None], y[None], groups, mcp), torch.tensor([0.05])
    alpha = alpha.double()
    assert (path.sizes > alpha).tolist() == [[True, False]]
    gap = path.go(alpha, 1e-10)
    assert path.chosen.all()
    assert float(gap) <= 1e-10
    form = (Z.T @ Z)[None], (Z.T @ y)[None], y.square().sum()[None]
    expected, _ = solve_group_path(*form, alpha[None], groups, mcp=mcp)
    np.testing.assert_allclose(path.coef, expected[0], atol=1e-8)


def hard(name):
    """Features and targets that are hard to fit, and groups."""
    rng = np.random.default_rng(0)
    n, k, share, groups = 40, 24, 0.3, np.arange(24) // 4
    if name == "correlated":
        share = 0.99
    if name == "unequal groups":
        groups = np.repeat([0, 1, 2, 3], [1, 2, 5, 16])
    if name == "a group larger than the rows":
        n, groups = 12, np.repeat([0, 1, 2], [16, 4, 4])
    if name == "fewer rows than features":
        n, groups = 12, np.arange(24) // 2
    if name == "groups that are not contiguous":
        groups = np.arange(24) % 5
    Z = np.sqrt(share) * rng.standard_normal((n, 1))
    Z = Z + np.sqrt(1 - share) * rng.standard_normal((n, k))
    if name == "constant":
        Z[:, groups == 1], Z[:, 0] = 0.0, 0.0
    if name == "duplicates in a group":
        Z[:, 1] = Z[:, 0]
    if name == "duplicates across groups":
        Z[:, 12:] = Z[:, :12]
    if name == "units":
        Z *= 10.0 ** rng.uniform(-4, 4, k)
    Y = Z[:, :8] @ rng.standard_normal((8, 2)) / Z.std()
    Y += 0.5 * Y.std(0) * rng.standard_normal(Y.shape)
    return Z / np.sqrt(n), Y / np.sqrt(n), groups


@pytest.mark.parametrize(
    "name",
    [
        *("correlated", "unequal groups", "a group larger than the rows"),
        *("fewer rows than features", "groups that are not contiguous", "constant"),
        *("duplicates in a group", "duplicates across groups", "units"),
    ],
)
@pytest.mark.parametrize("wide", [True, False])
def test_hard_problems_are_solved(name, wide):
    Z, Y, groups = hard(name)
    *form, alphas = gram_form(Z, Y, groups, 15, 1e-3)
    index = torch.from_numpy(groups)
    if wide:
        data = torch.from_numpy(Z).expand(Y.shape[1], -1, -1), torch.from_numpy(Y.T)
        coef, _ = solve_wide_group_path(*data, alphas, index)
    else:
        coef, _ = solve_group_path(*form, alphas, index)
    member = np.eye(groups.max() + 1)[groups]
    # The duality gap from the data.
    for w, y, grid in zip(coef.numpy(), Y.T, alphas.numpy(), strict=True):
        left = y - w @ Z.T
        largest = np.sqrt((left @ Z) ** 2 @ member).max(1)
        dual = left * np.minimum(1, grid / largest)[:, None]
        primal = (left**2).sum(1) / 2 + grid * np.sqrt(w**2 @ member).sum(1)
        gap = primal - (dual @ y - (dual**2).sum(1) / 2)
        assert gap.max() <= 1.1e-10 * (y @ y) / 2
        assert gap.min() >= -1e-12 * (y @ y)


@pytest.mark.parametrize("wide", [True, False])
def test_newton_steps_suffice(wide, monkeypatch):
    def descend(*_):
        raise AssertionError("Newton steps failed.")

    monkeypatch.setattr(_Path, "_descend", descend)
    Z, Y, groups = design(60, 30)
    *form, alphas = gram_form(Z, Y, groups, 30, 1e-3)
    groups = torch.from_numpy(groups)
    if wide:
        data = torch.from_numpy(Z).expand(Y.shape[1], -1, -1), torch.from_numpy(Y.T)
        coef, gap = solve_wide_group_path(*data, alphas, groups)
    else:
        coef, gap = solve_group_path(*form, alphas, groups)
    assert float(gap.max()) <= 1e-10
    assert coef.any()


def test_blocks_of_problems_are_solved_as_one(monkeypatch):
    Z, Y, groups = design(60, 12)
    *form, alphas = gram_form(Z, Y, groups)
    groups = torch.from_numpy(groups)
    coef, gap = solve_group_path(*form, alphas, groups)
    monkeypatch.setattr("sparsedis.solvers.group_path._TABLE", 2 * 12**2)
    again, certificates = solve_group_path(*form, alphas, groups)
    np.testing.assert_allclose(again, coef, atol=1e-9)
    assert certificates.shape == gap.shape


def test_the_general_solver_solves_what_is_left(monkeypatch):
    Z, Y, groups = design(40, 9)
    form, at = gram_form(Z, Y, groups, n_alphas=3, eps=0.1), torch.from_numpy(groups)
    expected, _ = solve_group_path(*form, at)

    def fail(self, start, guessed, alpha, tol):
        return start.clone(), torch.full_like(alpha, torch.inf)

    monkeypatch.setattr(_Path, "_step", fail)
    monkeypatch.setattr("sparsedis.solvers.group_path._STEPS", 0)
    found, gap = solve_group_path(*form, at)
    assert float(gap.max()) < 1e-10
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
