"""Paths of two classes: against the solver of single penalties, and its gap."""

import pytest
import torch

from sparsedis.solvers import _composite
from sparsedis.solvers.logistic import solve_logistic
from sparsedis.solvers.two_class_path import TwoClassPath


def tasks(n_tasks=3, n=60, k=12, shuffled=False):
    """Correlated features, labels, and weights of all rows and of two parts."""
    rng = torch.Generator().manual_seed(0)
    Z = torch.randn(n_tasks, n, k, generator=rng, dtype=torch.float64)
    Z += torch.randn(n_tasks, n, 1, generator=rng, dtype=torch.float64)
    noise = torch.randn(n_tasks, n, generator=rng, dtype=torch.float64)
    labels = (2 * Z[..., 0] - 2 * Z[..., 1] + noise > 0).long()
    if shuffled:
        labels = labels[:, torch.randperm(n, generator=rng)]
    weight = torch.rand(n_tasks, 3, n, generator=rng, dtype=torch.float64)
    weight[:, 1, : n // 3] = 0
    weight[:, 2, n // 2 :] = 0
    # The tasks have different numbers of rows.
    for t in range(n_tasks):
        weight[t, :, n - 3 * t :] = 0
    return Z, labels, weight / weight.sum(-1, keepdim=True)


@pytest.mark.parametrize("k", [12, 80])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_each_point_is_the_solution(k, fit_intercept):
    Z, labels, weight = tasks(2, k=k)
    path = TwoClassPath(Z, labels, weight, fit_intercept, 1e-10)
    for share in (1.2, 0.3, 0.02):
        alpha = share * path.largest[:, 0]
        path.go(alpha)
        for t in range(2):
            W, b, info = solve_logistic(
                *(Z[t : t + 1], labels[t].expand(3, -1), weight[t]),
                *(alpha[t].expand(3), torch.zeros(3, dtype=Z.dtype)),
                n_classes=2,
                fit_intercept=fit_intercept,
            )
            assert bool(info.converged.all())
            logits = (Z[t] @ W).squeeze(-1) + b
            torch.testing.assert_close(path.scores[t], logits, atol=1e-6, rtol=1e-5)
            own, intercept = path.coefficients(path.V[:, 0])
            torch.testing.assert_close(own[t], W[0, :, 0], atol=1e-7, rtol=1e-6)
            torch.testing.assert_close(intercept[t], b[0, 0], atol=1e-7, rtol=1e-6)
        assert float(path.gap(path.V[:, 0], alpha).max()) < 1e-10


def test_tasks_hardly_depend_on_those_around_them():
    Z, labels, weight = tasks()
    together = TwoClassPath(Z, labels, weight, True, 1e-10)
    alone = TwoClassPath(Z[1:2], labels[1:2], weight[1:2], True, 1e-10)
    for share in (0.5, 0.1):
        alone.go(share * alone.largest[:, 0])
        together.go(share * together.largest[:, 0])
        torch.testing.assert_close(together.V[1:2], alone.V, atol=1e-8, rtol=1e-8)


def test_losses_are_those_of_the_scores():
    Z, labels, weight = tasks()
    path = TwoClassPath(Z, labels, weight, True, 1e-10)
    path.go(0.1 * path.alpha[:, 0])
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        path.scores, labels.double().unsqueeze(1).expand(-1, 3, -1), reduction="none"
    )
    torch.testing.assert_close(path.losses(), expected)


def test_rounding_errors_of_the_largest_penalty_select_nothing():
    Z, labels, weight = tasks()
    path = TwoClassPath(Z, labels, weight, True, 1e-8)
    shares = torch.tensor([1 - 1e-15, 0.5, 0.1], dtype=Z.dtype)
    path.go(shares * path.alpha[:, 0])
    W, _ = path.coefficients(path.V[:, 0])
    assert W.any(1).tolist() == [False, True, True]


@pytest.mark.parametrize("k", [12, 80])
@pytest.mark.parametrize("shuffled", [False, True])
def test_a_path_does_not_need_the_general_solver(monkeypatch, k, shuffled):
    calls, solve = [], _composite.solve
    monkeypatch.setattr(
        _composite, "solve", lambda *args, **how: calls.append(1) or solve(*args, **how)
    )
    Z, labels, weight = tasks(k=k, shuffled=shuffled)
    path = TwoClassPath(Z, labels, weight, True, 1e-10)
    for alpha in path.alpha[:, 0] * torch.logspace(0, -2, 20).unsqueeze(-1):
        path.go(alpha.double())
    assert not calls


def test_features_that_the_strong_rule_discards_are_checked():
    rng = torch.Generator().manual_seed(0)
    n, k = 60, 80
    Z = 0.01 * torch.randn(n, k, generator=rng, dtype=torch.float64)
    labels = torch.arange(n) % 2
    left = labels.double() - 0.5
    first = left + torch.randn(n, generator=rng, dtype=torch.float64)
    # Twice the first feature, plus what cancels its correlation with the labels: it is
    # correlated with what the first one leaves of them.
    across = left - (first @ left) / (first @ first) * first
    across *= -2 * (first @ left) / (across @ left)
    Z[:, 0], Z[:, 1] = first, 2 * first + across
    weight = torch.full((1, 1, n), 1 / n, dtype=torch.float64)
    path = TwoClassPath(Z[None], labels[None], weight, False, 1e-10)
    alpha = 0.6 * path.alpha[:, 0]
    path.go(alpha)
    assert float(path.gap(path.V[:, 0], alpha)) < 1e-10
    assert path.coefficients(path.V[:, 0])[0][0].nonzero().flatten().tolist() == [0, 1]


@pytest.mark.parametrize("n_descent", [0, 1, 200])
@pytest.mark.parametrize("k", [12, 80])
def test_other_solvers_go_on_after_too_few_steps(monkeypatch, n_descent, k):
    monkeypatch.setattr("sparsedis.solvers.two_class_path.STEPS", 1)
    monkeypatch.setattr("sparsedis.solvers.two_class_path.DESCENT", n_descent)
    Z, labels, weight = tasks(k=k)
    path = TwoClassPath(Z, labels, weight, True, 1e-10)
    for share in (0.5, 0.1):
        alpha = share * path.largest[:, 0]
        path.go(alpha)
        assert float(path.gap(path.V[:, 0], alpha).max()) < 1e-10


@pytest.mark.parametrize("k", [2, 3])
def test_features_that_are_nearly_equal_and_separate_the_classes(k):
    rng = torch.Generator().manual_seed(32)
    Z = torch.randn(1, 4, 1, generator=rng, dtype=torch.float64)
    Z = Z + 1e-5 * torch.randn(1, 4, 8, generator=rng, dtype=torch.float64)
    labels = (Z[..., 0] > 0).long()
    weight = torch.full((1, 1, 4), 0.25, dtype=torch.float64)
    path = TwoClassPath(Z[..., :k], labels, weight, False, 1e-8)
    # Newton's equations are almost singular: a step may lead far away.
    alpha = 1e-4 * path.alpha[:, 0]
    path.go(alpha)
    assert float(path.gap(path.V[:, 0], alpha)) < 1e-7
    W, _ = path.coefficients(path.V[:, 0])
    expected, _, _ = solve_logistic(
        *(path.Z, labels, weight[:, 0], alpha, 0 * alpha),
        n_classes=2,
        fit_intercept=False,
    )
    assert float(W.sum()) == pytest.approx(float(expected.sum()), rel=1e-3)
