"""Paths of the Lasso: against scikit-learn, closed forms and the other solver."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Lasso, lars_path
from sklearn.linear_model import lasso_path as sklearn_path

from sparsedis.solvers._grid_path import GridPath
from sparsedis.solvers._wide_path import solve_wide_path
from sparsedis.solvers._working_path import follow_wide_path
from sparsedis.solvers.lasso import lasso_gap, solve_lasso
from sparsedis.solvers.lasso_path import path_gap, solve_lasso_path


def problems(n_problems, n, k, seed, rho=0.5):
    """Problems with correlated features, in Gram form, and their data."""
    rng = np.random.default_rng(seed)
    shared = rng.standard_normal((n_problems, n, 1))
    X = np.sqrt(rho) * shared + np.sqrt(1 - rho) * rng.standard_normal(
        (n_problems, n, k)
    )
    y = X[..., :3].sum(-1) - X[..., 3] + rng.standard_normal((n_problems, n))
    X -= X.mean(1, keepdims=True)
    y -= y.mean(1, keepdims=True)
    form = np.swapaxes(X, 1, 2) @ X / n, np.einsum("bnk,bn->bk", X, y) / n
    return X, y, [torch.tensor(a) for a in (*form, (y**2).mean(1))]


def grid(corr, n_alphas=30, eps=1e-3):
    decades = torch.logspace(0, np.log10(eps), n_alphas, dtype=corr.dtype)
    return corr.abs().amax(1, keepdim=True) * decades


@pytest.mark.parametrize("device", ["cpu", *(["cuda"] * torch.cuda.is_available())])
@pytest.mark.parametrize(("n", "k"), [(60, 8), (20, 30), (40, 40)])
def test_paths_are_those_of_scikit_learn(n, k, device):
    X, y, form = problems(4, n, k, seed=k)
    alphas = grid(form[1])
    coef, info = solve_lasso_path(*(a.to(device) for a in (*form, alphas)))
    coef = coef.cpu()
    assert bool(info.converged.all())
    assert float(info.gap.max()) < 1e-12
    for b in range(4):
        _, expected, _ = sklearn_path(
            X[b], y[b], alphas=alphas[b].numpy(), tol=1e-12, max_iter=10**6
        )
        np.testing.assert_allclose(coef[b], expected.T, atol=2e-6)


def test_breakpoints_are_those_of_least_angle_regression():
    X, y, form = problems(1, 50, 10, seed=0)
    breaks, _, expected = lars_path(X[0], y[0], method="lasso")
    breaks, expected = breaks[:-1], expected[:, :-1]  # the last is no penalty
    coef, _ = solve_lasso_path(*form, torch.tensor(breaks)[None])
    np.testing.assert_allclose(coef[0], expected.T, atol=1e-12)
    _, info = solve_lasso_path(*form, torch.tensor([[breaks[-2:].mean()]]))
    assert int(info.n_iter[0, 0]) == len(breaks) - 1


def test_independent_features_have_a_closed_form():
    corr = torch.tensor([[3.0, -1.0, 0.2], [0.0, 0.0, 0.0]], dtype=torch.float64)
    gram = torch.eye(3, dtype=torch.float64).expand(2, 3, 3)
    alphas = torch.tensor([[4.0, 2.0, 1.0, 0.1]], dtype=torch.float64).expand(2, 4)
    coef, info = solve_lasso_path(gram, corr, corr.square().sum(1), alphas)
    size = (corr.abs()[:, None] - alphas[..., None]).clamp_min(0)
    torch.testing.assert_close(coef, size * corr.sign()[:, None])
    assert bool(info.converged.all())


def test_positive_heads_are_those_of_scikit_learn():
    X, y, form = problems(2, 40, 12, seed=1)
    alphas = form[1].amax(1, keepdim=True) * torch.tensor([0.5, 0.1, 0.01]).double()
    coef, info = solve_lasso_path(*form, alphas, positive=True)
    assert float(info.gap.max()) < 1e-12
    for b in range(2):
        for i, alpha in enumerate(alphas[b].tolist()):
            lasso = Lasso(alpha, positive=True, tol=1e-12, max_iter=10**6)
            np.testing.assert_allclose(
                coef[b, i], lasso.fit(X[b], y[b]).coef_, atol=1e-6
            )


def test_the_gap_is_that_of_the_other_solver():
    _, _, form = problems(3, 30, 6, seed=2)
    alphas = grid(form[1], 5, 0.01)
    coef = torch.randn(3, 5, 6, generator=torch.manual_seed(0)).double() / 10
    gap = path_gap(coef, *form, alphas)
    for i in range(5):
        expected = lasso_gap(coef[:, i], *form, alphas[:, i], torch.zeros(3).double())
        torch.testing.assert_close(gap[:, i], expected, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("copies", ["copies", "near copies", "a constant"])
def test_dependent_features_are_solved_too(copies):
    X, y, _ = problems(1, 40, 6, seed=3)
    rng = np.random.default_rng(0)
    other = {
        "copies": X[0],
        "near copies": X[0] + 1e-7 * rng.standard_normal(X[0].shape),
        "a constant": np.zeros((40, 1)),
    }[copies]
    Z = np.hstack([X[0], other])
    form = [torch.tensor(a)[None] for a in (Z.T @ Z / 40, Z.T @ y[0] / 40)]
    form.append(torch.tensor((y**2).mean(1)))
    alphas = grid(form[1])
    coef, info = solve_lasso_path(*form, alphas)
    assert bool(info.converged.all())
    alone, _ = solve_lasso(
        *(a.expand(30, *a.shape[1:]) for a in form),
        alphas[0],
        torch.zeros(30).double(),
    )
    Z = torch.tensor(Z)
    torch.testing.assert_close(coef[0] @ Z.T, alone @ Z.T, rtol=0, atol=1e-4)


def test_equal_correlations_enter_together():
    # An orthogonal design of signs: all breakpoints coincide.
    H = torch.tensor([[1.0, 1], [1, -1]]).double()
    H = torch.kron(torch.kron(H, H), H)
    y = H[:, 1:5].sum(1)
    form = (H.T @ H / 8)[None], (H.T @ y / 8)[None], y.square().mean()[None]
    coef, info = solve_lasso_path(*form, torch.tensor([[0.75, 0.25]]).double())
    expected = torch.zeros(2, 8).double()
    expected[0, 1:5], expected[1, 1:5] = 0.25, 0.75
    torch.testing.assert_close(coef[0], expected)
    assert bool(info.converged.all())


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize(("n", "k"), [(30, 200), (60, 20)])
def test_wide_paths_are_those_of_all_features(n, k, positive):
    X, y, form = problems(1, n, k, seed=k)
    Z, target = torch.tensor(X[0]) / n**0.5, torch.tensor(y[0]) / n**0.5
    alphas = grid(form[1])
    coef, gap = solve_wide_path(Z, target, alphas[0], positive=positive)
    expected, info = solve_lasso_path(*form, alphas, positive=positive)
    torch.testing.assert_close(coef, expected[0], rtol=0, atol=1e-10)
    torch.testing.assert_close(gap, info.gap[0], rtol=0, atol=1e-12)
    # One penalty far down, without those between.
    (last,), _ = solve_wide_path(Z, target, alphas[0, -1:], positive=positive)
    torch.testing.assert_close(last, coef[-1], rtol=0, atol=1e-10)


def test_wide_features_that_are_near_copies():
    X, y, _ = problems(1, 30, 60, seed=4)
    rng = np.random.default_rng(0)
    Z = np.hstack([X[0], X[0] + 1e-7 * rng.standard_normal(X[0].shape)]) / 30**0.5
    Z, target = torch.tensor(Z), torch.tensor(y[0]) / 30**0.5
    alphas = grid((Z.T @ target)[None])[0]
    _, gap = solve_wide_path(Z, target, alphas)
    assert float(gap.max()) <= 1e-10


def test_features_that_enter_unexpectedly_are_found(monkeypatch):
    X, y, form = problems(1, 30, 100, seed=5)
    Z, target = torch.tensor(X[0]) / 30**0.5, torch.tensor(y[0]) / 30**0.5
    alphas = grid(form[1])
    # No feature is predicted to enter.
    monkeypatch.setattr("sparsedis.solvers._wide_path._NEAR", 1e9)
    coef, gap = solve_wide_path(Z, target, alphas[0])
    expected, _ = solve_lasso_path(*form, alphas)
    torch.testing.assert_close(coef, expected[0], rtol=0, atol=1e-10)
    assert float(gap.max()) < 1e-12


def test_one_small_penalty_needs_few_features(monkeypatch):
    X, y, form = problems(1, 40, 400, seed=6)
    Z, target = torch.tensor(X[0]) / 40**0.5, torch.tensor(y[0]) / 40**0.5
    added, extend = [], GridPath.extend

    def count(self, gram, corr):
        added.append(len(corr))
        extend(self, gram, corr)

    monkeypatch.setattr(GridPath, "extend", count)
    coef, _ = solve_wide_path(Z, target, 1e-3 * form[1].abs().max()[None])
    assert 20 < int((coef != 0).sum()) <= sum(added) < 250


def test_wide_paths_take_few_steps(monkeypatch):
    X, y, form = problems(1, 120, 150, seed=8)
    Z, target = torch.tensor(X[0]) / 120**0.5, torch.tensor(y[0]) / 120**0.5
    alphas, steps, use = grid(form[1], 20)[0], [], GridPath._use

    def count(self, sign):
        steps.append(1)
        use(self, sign)

    monkeypatch.setattr(GridPath, "_use", count)
    coef, gap = solve_wide_path(Z, target, alphas)
    breaks, _, expected = lars_path(
        X[0], y[0], method="lasso", alpha_min=float(alphas[-1])
    )
    np.testing.assert_allclose(coef[-1], expected[:, -1], atol=1e-9)
    assert float(gap.max()) < 1e-12
    assert len(steps) < len(breaks) / 2


@pytest.mark.parametrize("positive", [False, True])
def test_wide_features_that_are_copies_are_left_to_the_homotopy(positive):
    X, y, _ = problems(1, 50, 8, seed=9)
    rng = np.random.default_rng(0)
    Z = np.hstack([X[0], X[0], X[0] + 1e-4 * rng.standard_normal(X[0].shape)])
    Z, target = torch.tensor(Z) / 50**0.5, torch.tensor(y[0]) / 50**0.5
    alphas = grid((Z.T @ target)[None], 10)[0]
    how = {"positive": positive}
    coef, gap = solve_wide_path(Z, target, alphas, **how)
    expected, least = follow_wide_path(Z, target, alphas, **how)
    assert float(gap.max()) <= max(1e-10, float(least.max()))
    torch.testing.assert_close(coef @ Z.T, expected @ Z.T, rtol=0, atol=1e-4)
