"""The homotopy method: against enumeration, least-angle regression and celer."""

import itertools

import numpy as np
import pytest
import torch
from celer import celer_path
from sklearn.linear_model import lars_path

from sparsedis.solvers._homotopy import find_signs
from sparsedis.solvers.lasso import lasso_gap, solve_lasso


def reach(H, c, t, s):
    """Coefficients for given signs, plus the correlations with the residual."""
    v, S = np.zeros(len(c)), s != 0
    v[S] = np.linalg.solve(H[np.ix_(S, S)], (c - t * s)[S])
    return v + c - H @ v


def signs_of(reach, t):
    return np.sign(reach - np.clip(reach, -t, t))


def right_signs(H, c, t):
    """The only consistent signs, by enumeration."""
    every = (np.array(s) for s in itertools.product([-1.0, 0, 1], repeat=len(c)))
    (found,) = (s for s in every if (signs_of(reach(H, c, t, s), t) == s).all())
    return found


def form(X, y, alpha):
    return X.T @ X, X.T @ y, alpha


def solve(problems):
    """Signs of the problems, solved together."""
    signs, n_iter = find_signs(
        *(torch.tensor(np.stack(part)) for part in zip(*problems, strict=True))
    )
    return signs.numpy(), n_iter


def active_sets(H, c, t):
    """Signs of the plain active-set iteration, until they repeat."""
    s, seen = signs_of(c, t), []
    while tuple(s) not in seen:
        seen.append(tuple(s))
        s = signs_of(reach(H, c, t, s), t)
    return seen, tuple(s)


@pytest.mark.parametrize(
    ("X", "y", "alpha"),
    [
        ([[-3, -2], [2, 1]], [4, 0], 2.0),
        ([[0, 0, 1], [-3, 2, -1], [1, 0, 1]], [1, -3, -2], 2.0),
    ],
)
def test_problems_in_which_active_sets_cycle(X, y, alpha):
    H, c, alpha = form(np.array(X, float), np.array(y, float), alpha)
    # As the solver does, in units in which features have norm 1.
    d = np.sqrt(np.diag(H))
    seen, again = active_sets(H / np.outer(d, d), c / d, alpha / d)
    # The signs come back, after others.
    assert seen[-1] != again
    expected = right_signs(H, c, alpha)
    np.testing.assert_array_equal(solve([(H, c, alpha)])[0][0], expected)


def random_problems(n_problems, k, seed):
    """Problems with strong correlations, positive and negative."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_problems, 2 * k, k)) @ rng.standard_normal((k, k))
    y = rng.standard_normal((n_problems, 2 * k))
    largest = np.abs(np.einsum("bnk,bn->bk", X, y)).max(1)
    alpha = largest * rng.choice([0.3, 0.03, 0.001], n_problems)
    return [form(*problem) for problem in zip(X, y, alpha, strict=True)]


@pytest.mark.parametrize("seed", range(3))
def test_signs_are_those_of_enumeration(seed):
    problems = random_problems(30, 4, seed)
    expected = np.stack([right_signs(*problem) for problem in problems])
    np.testing.assert_array_equal(solve(problems)[0], expected)


def test_tasks_do_not_depend_on_those_around_them(monkeypatch):
    problems = random_problems(50, 6, seed=4)
    signs, n_iter = solve(problems)
    # One table for each task; one for all, without those that are at their end.
    for limit in ("_TABLE", "_LARGE"):
        monkeypatch.setattr(f"sparsedis.solvers._homotopy.{limit}", 1)
        alone, n_alone = solve(problems)
        np.testing.assert_array_equal(alone, signs)
        assert n_alone.tolist() == n_iter.tolist()
        monkeypatch.undo()


def test_tasks_with_copies_of_active_features_are_marked():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20, 4))
    X[:, 3] = X[:, 0]
    problems = [form(X, X[:, j], 0.1) for j in range(3)]
    signs, _ = solve(problems)
    assert np.isnan(signs[0]).all()
    assert not np.isnan(signs[1:]).any()


def design(kind, k, rng):
    n = 50 if k <= 20 else 2 * k
    noise = rng.standard_normal((n, k))
    if kind == "equally correlated":
        return 0.95**0.5 * rng.standard_normal((n, 1)) + 0.05**0.5 * noise
    if kind == "neighbours":
        lag = np.abs(np.subtract.outer(np.arange(k), np.arange(k)))
        return noise @ np.linalg.cholesky(0.95**lag).T
    if kind == "factors":
        f = max(2, k // 4)
        factors = rng.standard_normal((n, f)) @ rng.standard_normal((f, k))
        return factors / f**0.5 + 0.3 * noise
    return rng.standard_t(2, (n, 1)) + 0.5 * rng.standard_t(2, (n, k))


@pytest.mark.parametrize("k", [6, 20, 64])
@pytest.mark.parametrize(
    "kind", ["equally correlated", "neighbours", "factors", "heavy tails"]
)
def test_correlated_designs_against_exact_paths_and_celer(kind, k):
    rng = np.random.default_rng(k)
    X = np.stack([design(kind, k, rng) for _ in range(8 if k < 64 else 2)])
    X /= np.sqrt((X**2).sum(1, keepdims=True))
    w = rng.standard_normal((len(X), k)) * (rng.random((len(X), k)) < 0.5)
    y = np.einsum("bnk,bk->bn", X, w) + 0.02 * rng.standard_normal(X.shape[:2])
    corr = np.einsum("bnk,bn->bk", X, y)
    alpha = 0.05 * np.abs(corr).max(1)
    form = np.swapaxes(X, 1, 2) @ X, corr, (y**2).sum(1), alpha, 0 * alpha
    form = [torch.tensor(part) for part in form]
    found, info = solve_lasso(*form)
    # The certificate is that of the point.
    torch.testing.assert_close(info.gap, lasso_gap(found, *form), rtol=0, atol=1e-14)
    assert info.gap.max() < 1e-12
    n = y.shape[1]
    for Z, target, v, penalty in zip(X, y, found.numpy(), alpha, strict=True):
        path = lars_path(Z, target, method="lasso", alpha_min=penalty / n)
        np.testing.assert_allclose(v, path[2][:, -1], rtol=0, atol=1e-9)
        tol = 1e-10 * (target @ target)
        how = {"alphas": [penalty / n], "tol": tol / n}
        other = celer_path(Z, target, "lasso", **how)[1][:, 0]
        best, value = (
            0.5 * ((target - Z @ u) ** 2).sum() + penalty * np.abs(u).sum()
            for u in (v, other)
        )
        assert best - 1e-13 <= value <= best + tol
