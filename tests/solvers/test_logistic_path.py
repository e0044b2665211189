"""Paths of logistic problems: against the solver of single penalties, and its gap."""

import pytest
import torch

from sparsedis.solvers import _composite
from sparsedis.solvers.logistic import solve_logistic
from sparsedis.solvers.logistic_path import LogisticPath


def problems(n=60, k=12, n_classes=3, seed=0):
    """Correlated features, labels, and weights of all rows and of two parts."""
    rng = torch.Generator().manual_seed(seed)
    Z = torch.randn(n, k, generator=rng, dtype=torch.float64)
    Z += torch.randn(n, 1, generator=rng, dtype=torch.float64)
    noise = torch.randn(n, n_classes, generator=rng, dtype=torch.float64)
    labels = (2 * Z[:, :n_classes] + noise).argmax(1).expand(3, -1)
    weight = torch.rand(3, n, generator=rng, dtype=torch.float64)
    weight[1, : n // 3] = 0
    weight[2, n // 2 :] = 0
    return Z, labels, weight / weight.sum(1, keepdim=True)


@pytest.mark.parametrize("k", [12, 80])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_each_point_is_the_solution(k, n_classes, fit_intercept):
    Z, labels, weight = problems(k=k, n_classes=n_classes)
    path = LogisticPath(Z, labels, weight, n_classes, fit_intercept, 1e-10)
    largest = path.alpha
    zero = torch.zeros(3, dtype=Z.dtype)
    for share in (1.2, 0.8, 0.3, 0.02):
        path.go(share * largest)
        W, intercept = path.coefficients(path.V)
        expected, b, info = solve_logistic(
            *(Z[None], labels, weight, share * largest, zero),
            n_classes=n_classes,
            fit_intercept=fit_intercept,
        )
        assert bool(info.converged.all())
        torch.testing.assert_close(W, expected, atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(intercept, b, atol=1e-6, rtol=1e-5)
        assert float(path.gap(path.V[:1], path.alpha[:1])) < 1e-10


@pytest.mark.parametrize("n_classes", [2, 3])
def test_rounding_errors_of_the_largest_penalty_select_nothing(n_classes):
    Z, labels, weight = problems(n_classes=n_classes)
    path = LogisticPath(Z, labels, weight, n_classes, True, 1e-8)
    shares = torch.tensor([1 - 1e-15, 0.5, 0.1], dtype=Z.dtype)
    path.go(shares * path.alpha)
    W, _ = path.coefficients(path.V)
    assert not bool(W[0].any())
    assert bool(W[1].any() & W[2].any())


@pytest.mark.parametrize("k", [12, 80])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("shuffled", [False, True])
def test_a_path_does_not_need_the_general_solver(monkeypatch, k, n_classes, shuffled):
    calls, solve = [], _composite.solve
    monkeypatch.setattr(
        _composite, "solve", lambda *args, **how: calls.append(1) or solve(*args, **how)
    )
    Z, labels, weight = problems(k=k, n_classes=n_classes)
    if shuffled:
        labels = labels[
            :, torch.randperm(60, generator=torch.Generator().manual_seed(0))
        ]
    path = LogisticPath(Z, labels, weight, n_classes, True, 1e-10)
    for alpha in path.alpha * torch.logspace(0, -2, 20).unsqueeze(-1):
        path.go(alpha.double())
    assert not calls


def test_features_that_the_strong_rule_discards_are_checked():
    rng = torch.Generator().manual_seed(0)
    n, k = 60, 80
    Z = 0.01 * torch.randn(n, k, generator=rng, dtype=torch.float64)
    labels = (torch.arange(n) % 2)[None]
    left = labels[0].double() - 0.5
    first = left + torch.randn(n, generator=rng, dtype=torch.float64)
    # Twice the first feature, plus what cancels its correlation with the labels: it is
    # correlated with what the first one leaves of them.
    across = left - (first @ left) / (first @ first) * first
    across *= -2 * (first @ left) / (across @ left)
    Z[:, 0], Z[:, 1] = first, 2 * first + across
    weight = torch.full((1, n), 1 / n, dtype=torch.float64)
    path = LogisticPath(Z, labels, weight, 2, False, 1e-10)
    path.go(0.6 * path.alpha)
    assert float(path.gap(path.V, path.alpha)) < 1e-10
    assert path.coefficients(path.V)[0].flatten().nonzero().flatten().tolist() == [0, 1]


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("n_descent", [0, 1, 200])
def test_other_solvers_go_on_after_too_few_steps(monkeypatch, n_classes, n_descent):
    monkeypatch.setattr("sparsedis.solvers.logistic_path.STEPS", 1)
    monkeypatch.setattr("sparsedis.solvers.logistic_path.DESCENT", n_descent)
    Z, labels, weight = problems(n_classes=n_classes)
    path = LogisticPath(Z, labels, weight, n_classes, True, 1e-10)
    path.go(0.1 * path.alpha)
    assert float(path.gap(path.V[:1], path.alpha[:1])) < 1e-10


def test_a_class_without_a_sample_is_left_out():
    Z, labels, weight = problems()
    weight = torch.where(labels == 2, 0.0, weight)
    weight[0] = 1 / len(Z)
    weight[1:] /= weight[1:].sum(1, keepdim=True)
    path = LogisticPath(Z, labels, weight, 3, True, 1e-10)
    path.go(0.1 * path.alpha)
    log_probability = path.log_probability()
    assert bool((log_probability[1:, :, 2] == -torch.inf).all())
    assert bool(torch.isfinite(log_probability[0]).all())
    alone = LogisticPath(Z, labels[1:] % 2, weight[1:], 2, True, 1e-10)
    two = log_probability[1:, :, :2]
    # The norm of the difference of two classes is root two of their norm.
    alone.go(path.alpha[1:] / 2**0.5)
    torch.testing.assert_close(alone.log_probability(), two, atol=1e-6, rtol=1e-5)
