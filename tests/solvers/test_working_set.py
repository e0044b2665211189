"""Working sets of features: against exact paths, and the same problems without them."""

import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.linear_model import lars_path

from sparsedis.implicit import _lasso, _squared, lasso, lasso_alpha_max
from sparsedis.solvers import _working_set
from sparsedis.solvers._working_set import SupportGram, solve_wide_lasso


def problem(n_tasks=4, n=20, k=90, correlation=0.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    Z = torch.randn(n_tasks, n, k, generator=generator, dtype=torch.float64)
    common = torch.randn(n_tasks, n, 1, generator=generator, dtype=torch.float64)
    Z = (1 - correlation) ** 0.5 * Z + correlation**0.5 * common
    noise = torch.randn(n_tasks, n, generator=generator, dtype=torch.float64)
    return Z, Z[..., :4].sum(-1) + 0.3 * noise


def gram_free(Z, y, share):
    """Arguments of the solver, with Z and y divided by sqrt(n)."""
    Z, y = (part / y.shape[1] ** 0.5 for part in (Z, y))
    corr = (Z.mT @ y.unsqueeze(-1)).squeeze(-1)
    alpha = share * corr.abs().amax(-1)
    return Z, y, corr, (y * y).sum(-1), alpha, torch.zeros_like(alpha)


@pytest.mark.parametrize("correlation", [0.0, 0.9])
@pytest.mark.parametrize("share", [0.02, 0.3])
def test_solutions_are_those_of_exact_paths(share, correlation):
    Z, y = problem(correlation=correlation)
    args = gram_free(Z, y, share)
    w, info, _ = solve_wide_lasso(*args, max_iter=1000)
    assert (info.gap <= 1e-12).all()
    assert (info.n_iter >= 1).all()
    for t in range(4):
        at = float(args[4][t])
        path = lars_path(Z[t].numpy(), y[t].numpy(), method="lasso", alpha_min=at)
        assert_allclose(w[t], path[2][:, -1], rtol=0, atol=1e-10)
    assert torch.equal(info.support, w != 0)


def test_a_start_saves_steps_and_zero_is_found():
    Z, y = problem()
    args = gram_free(Z, y, 0.1)
    w, cold, _ = solve_wide_lasso(*args, max_iter=1000)
    again, warm, _ = solve_wide_lasso(*args, start=w, max_iter=1000)
    torch.testing.assert_close(again, w)
    assert (warm.n_iter < cold.n_iter).all()
    w, info, _ = solve_wide_lasso(*gram_free(Z, y, 1.1), max_iter=1000)
    assert not w.any()
    assert not info.gap.any()


def test_systems_of_supports():
    Z, _ = problem(k=40)
    support = torch.rand(4, 40, generator=torch.Generator().manual_seed(0)) < 0.2
    support[0] = False
    generator = torch.Generator().manual_seed(1)
    rhs = torch.randn(4, 40, generator=generator, dtype=torch.float64)
    l2 = torch.tensor([0, 0.1, 0, 1])
    system = SupportGram(Z, support, l2.double())
    found = system.solve(rhs)
    assert not system.poor.any()
    for t, S in enumerate(support):
        H = Z[t].T @ Z[t] + float(l2[t]) * torch.eye(40)
        expected = torch.linalg.solve(H[S][:, S], rhs[t][S])
        assert_allclose(found[t][S], expected, rtol=1e-9, atol=1e-12)
        assert not found[t][~S].any()


FAULTS = ("none", "copies", "zeros", "scales", "no targets", "one sample")


@pytest.mark.parametrize("how", [{}, {"l2": 0.1}, {"fit_intercept": True}])
@pytest.mark.parametrize("fault", FAULTS)
def test_layers_do_not_depend_on_working_sets(monkeypatch, fault, how):
    Z, y = problem(n=1 if fault == "one sample" else 20, correlation=0.5)
    if fault == "copies":
        Z[..., 45:] = Z[..., :45]
    elif fault == "zeros":
        Z[..., ::3] = 0.0
    elif fault == "scales":
        Z = Z * torch.logspace(-2, 2, 90).double()
    elif fault == "no targets":
        y[0] = 0.0
    alpha = (0.05 * lasso_alpha_max(Z, y, **how_of(how))).clamp_min(0.01)
    found = []
    for function in (_squared.is_wide, lambda *_: False):
        monkeypatch.setattr(_lasso, "is_wide", function)
        leaf = Z.clone().requires_grad_()
        w, *_, info = lasso(leaf, y, alpha, solver="batched", return_info=True, **how)
        assert info.converged.all()
        fitted = (leaf @ w.unsqueeze(-1)).squeeze(-1)
        results = [fitted.detach()]
        if fault != "copies" or "l2" in how:
            gradient = torch.autograd.grad(fitted.sin().sum(), leaf, create_graph=True)
            results += gradient
            results += torch.autograd.grad(gradient[0].sin().sum(), leaf)
        found.append(results)
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-6, atol=1e-8)


def how_of(how):
    return {name: value for name, value in how.items() if name == "fit_intercept"}


def test_products_of_all_features_are_not_computed(monkeypatch):
    Z, y = problem()

    def gram(self):
        raise AssertionError("All products were computed.")

    monkeypatch.setattr(_squared.SquaredLoss, "gram", property(gram))
    alpha = 0.1 * lasso_alpha_max(Z, y)
    leaf = Z.clone().requires_grad_()
    gradient = torch.autograd.grad(lasso(leaf, y, alpha).sum(), leaf, create_graph=True)
    torch.autograd.grad(gradient[0].sin().sum(), leaf)
    # Tasks that share features share their products, and Ridge uses all features.
    for features, penalty in ((Z[:1], alpha), (Z, 0.0)):
        with pytest.raises(AssertionError, match="products"):
            lasso(features, y, penalty)


def test_tasks_that_do_not_settle_are_solved_without(monkeypatch):
    monkeypatch.setattr(_working_set, "_MAX_ROUNDS", 1)
    Z, y = problem()
    args = gram_free(Z, y, 0.02)
    _, info, _ = solve_wide_lasso(*args, max_iter=1000)
    assert not info.converged.all()
    _, info = lasso(Z, y, args[4], solver="batched", return_info=True)
    assert info.converged.all()
