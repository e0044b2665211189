"""The layer of any loss and penalty against other solvers and finite differences."""

import cvxpy as cp
import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import PoissonRegressor

from sparsedis.implicit import (
    glm,
    glm_alpha_max,
    lasso,
    lasso_alpha_max,
    logistic,
    multitask_lasso,
    ridge,
)
from sparsedis.solvers.losses import (
    Huber,
    Logistic,
    Loss,
    Multinomial,
    Poisson,
    Squared,
)
from sparsedis.solvers.penalties import (
    L1,
    L2,
    MCP,
    ElasticNet,
    GroupL1,
    NonNegativeL1,
    Penalty,
)


def make_tasks(n_tasks=3, n=40, k=5, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def randn(*shape):
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    Z = randn(n_tasks, n, k) @ (torch.eye(k, dtype=torch.float64) + 0.3 * randn(k, k))
    W = randn(n_tasks, k) * (randn(n_tasks, k) > 0)
    scores = (Z @ W.unsqueeze(-1)).squeeze(-1)
    noise = randn(n_tasks, n)
    return Z, {
        "real": scores + 0.5 * noise,
        "two": (scores + noise > 0).double(),
        "three": torch.bucketize(scores + noise, torch.tensor([-0.5, 0.5])).double(),
        "counts": torch.poisson((0.3 * scores).exp(), generator=generator),
    }


LOSSES = {
    "real": [Squared(), Huber(0.5)],
    "two": [Logistic()],
    "three": [Multinomial(3)],
    "counts": [Poisson()],
}
PENALTIES = [L1(), ElasticNet(0.1), NonNegativeL1(), L2(), MCP(), L1([1, 2, 0, 1, 1])]
PAIRS = [
    pytest.param(kind, loss, penalty, id=f"{loss}-{penalty}")
    for kind, losses in LOSSES.items()
    for loss in losses
    for penalty in PENALTIES
    if not (penalty.single and kind == "three")
]


def strength(Z, y, share=0.2, **how):
    alpha = glm_alpha_max(Z, y, **how)
    return torch.where(torch.isfinite(alpha), share * alpha, share)


@pytest.mark.parametrize("fit_intercept", [False, True])
def test_layers_of_their_own_are_met(fit_intercept):
    Z, y = make_tasks()
    how = {"fit_intercept": fit_intercept}

    def compare(found, expected):
        found, expected = (x if fit_intercept else (x,) for x in (found, expected))
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-8)

    alpha = 0.2 * lasso_alpha_max(Z, y["real"], **how)
    squared = {"loss": Squared(), **how}
    compare(
        glm(Z, y["real"], alpha, penalty=L1(), **squared),
        lasso(Z, y["real"], alpha, **how),
    )
    compare(
        glm(Z, y["real"], alpha, penalty=ElasticNet(0.1), **squared),
        lasso(Z, y["real"], alpha, l2=0.1, **how),
    )
    compare(
        glm(Z, y["real"], alpha, penalty=L2(), **squared),
        ridge(Z, y["real"], alpha, **how),
    )
    Y = torch.stack([y["real"], y["real"].flip(0)], -1)
    compare(
        glm(Z, Y, alpha, penalty=GroupL1(), multi_output=True, **squared),
        multitask_lasso(Z, Y, alpha, **how),
    )
    compare(
        glm(Z, y["two"], 0.05, loss=Logistic(), penalty=L1(), **how),
        logistic(Z, y["two"].int(), 0.05, **how),
    )
    compare(
        glm(Z, y["three"], 0.05, loss=Multinomial(3), penalty=GroupL1(), **how),
        logistic(Z, y["three"].int(), 0.05, **how),
    )


def as_cvxpy(loss, penalty, Z, y, alpha, w, b):
    scores = Z @ w + b
    if isinstance(loss, Huber):
        data = 0.5 * cp.huber(scores - y, loss.delta)
    elif isinstance(loss, Poisson):
        data = cp.exp(scores) - cp.multiply(y, scores)
    elif isinstance(loss, Logistic):
        data = cp.logistic(scores) - cp.multiply(y, scores)
    else:
        data = 0.5 * cp.square(scores - y)
    weights = np.array(getattr(penalty, "weights", None) or np.ones(len(Z[0])))
    if isinstance(penalty, L2):
        cost = 0.5 * alpha * cp.sum_squares(w)
    else:
        cost = alpha * weights @ cp.abs(w) + 0.5 * penalty.l2 * cp.sum_squares(w)
    return cp.sum(data) / len(y) + cost


# Several classes are compared to the layer of their own, with heads of all pairs.
@pytest.mark.parametrize(
    ("kind", "loss", "penalty"),
    [p for p in PAIRS if p.values[2].convex and p.values[0] != "three"],
)
def test_convex_solutions_are_those_of_cvxpy(kind, loss, penalty):
    Z, y = make_tasks()
    y = y[kind]
    how = {"loss": loss, "penalty": penalty, "fit_intercept": True}
    alpha = strength(Z, y, **how)
    W, b, info = glm(Z, y, alpha, return_info=True, **how)
    assert info.certificate == "gap"
    assert info.converged.all()
    for t in range(len(Z)):
        w, c = cp.Variable(Z.shape[-1]), cp.Variable()
        objective = as_cvxpy(
            loss, penalty, Z[t].numpy(), y[t].numpy(), float(alpha[t]), w, c
        )
        signs = [w >= 0] if isinstance(penalty, NonNegativeL1) else []
        cp.Problem(cp.Minimize(objective), signs).solve(solver=cp.CLARABEL)
        best = objective.value
        w.value, c.value = W[t].numpy(), float(b[t])
        # The reference itself is good to about 1e-8.
        assert objective.value <= best + 1e-7 * (1 + abs(best))
        if signs:
            assert (W[t] >= 0).all()


def test_poisson_ridge_is_that_of_scikit_learn():
    Z, y = make_tasks()
    W, b = glm(Z, y["counts"], 0.3, loss=Poisson(), penalty=L2(), fit_intercept=True)
    for t in range(len(Z)):
        own = PoissonRegressor(alpha=0.3, tol=1e-10, solver="newton-cholesky")
        own.fit(Z[t].numpy(), y["counts"][t].numpy())
        np.testing.assert_allclose(W[t], own.coef_, atol=1e-6)
        np.testing.assert_allclose(b[t], own.intercept_, atol=1e-6)


def minimum_by_brute_force(Z, y, alpha, gamma, n_starts=30):
    """Least objective that coordinate descent reaches from many starts."""
    rng = np.random.default_rng(0)
    n, k = Z.shape
    gram, corr = Z.T @ Z / n, Z.T @ y / n
    least = np.inf
    for _ in range(n_starts):
        w = 3 * rng.standard_normal(k) * (rng.random(k) < 0.5)
        for _ in range(200):
            for j in range(k):
                h = gram[j, j]
                assert h > 1 / gamma
                r = corr[j] - gram[j] @ w + h * w[j]
                # Minimum of h w^2 / 2 - r w and the penalty, which is convex.
                soft = np.sign(r) * max(abs(r) - alpha, 0) / (h - 1 / gamma)
                w[j] = soft if abs(soft) <= gamma * alpha else r / h
        size = np.minimum(np.abs(w), gamma * alpha)
        cost = (size * (alpha - size / (2 * gamma))).sum()
        least = min(least, 0.5 * ((y - Z @ w) ** 2).mean() + cost)
    return least


def test_mcp_finds_minima_that_brute_force_does_not_beat_by_much():
    Z, y = make_tasks(n_tasks=2, n=60, k=4)
    y = y["real"]
    how = {"loss": Squared(), "penalty": MCP()}
    alpha = strength(Z, y, 0.15, **how)
    W, info = glm(Z, y, alpha, return_info=True, **how)
    assert info.certificate == "violation"
    assert info.converged.all()
    assert (info.gap <= 1e-12).all()
    for t in range(2):
        cost = MCP().value(W[t][None, :, None], alpha[t].reshape(1, 1)).sum()
        found = 0.5 * (y[t] - Z[t] @ W[t]).square().mean() + cost
        best = minimum_by_brute_force(Z[t].numpy(), y[t].numpy(), float(alpha[t]), 3.0)
        np.testing.assert_allclose(found, best, rtol=1e-6)


def test_mcp_does_not_shrink_what_is_large():
    Z, y = make_tasks(n=300)
    y = y["real"]
    alpha = strength(Z, y, 0.05, loss=Squared(), penalty=MCP())
    W, info = glm(Z, y, alpha, loss=Squared(), penalty=MCP(), return_info=True)
    flat = W.abs() > MCP().gamma * alpha.unsqueeze(-1)
    assert (flat | ~info.support).all()
    for t in range(len(Z)):
        at = info.support[t]
        free = torch.linalg.lstsq(Z[t][:, at], y[t].unsqueeze(-1)).solution[:, 0]
        np.testing.assert_allclose(W[t][at], free, atol=1e-8)


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize(("kind", "loss", "penalty"), PAIRS)
def test_gradients_are_those_of_finite_differences(kind, loss, penalty, fit_intercept):
    weights = getattr(penalty, "weights", None)
    if weights is not None:
        penalty = L1(weights[1:4])
    Z, y = make_tasks(n_tasks=2, n=14, k=3)
    y = y[kind]
    how = {"loss": loss, "penalty": penalty, "fit_intercept": fit_intercept}
    alpha = strength(Z, y, **how)
    real = isinstance(loss, Squared | Huber)
    inputs = Z, y, alpha, torch.full((2,), 0.05, dtype=torch.float64)
    inputs = [x.requires_grad_(real or x is not y) for x in inputs]

    def layer(Z, y, alpha, l2):
        return glm(Z, y, alpha, l2=l2, tol=1e-14, **how)

    assert torch.autograd.gradcheck(layer, inputs, atol=1e-5, rtol=1e-4, fast_mode=True)


def test_masks_and_weights_are_those_of_smaller_and_repeated_tasks():
    Z, y = make_tasks()
    y = y["real"]
    how = {"loss": Huber(0.5), "penalty": L1(), "fit_intercept": True}
    mask = torch.ones_like(y, dtype=torch.bool)
    mask[:, 30:] = False
    broken = torch.where(mask, y, torch.nan)
    found = glm(Z, broken, 0.1, mask=mask, **how)
    for one, other in zip(found, glm(Z[:, :30], y[:, :30], 0.1, **how), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-8)
    weight = torch.ones_like(y)
    weight[:, 0] = 3.0
    repeated = (
        torch.cat([Z, Z[:, :1], Z[:, :1]], 1),
        torch.cat([y, y[:, :1], y[:, :1]], 1),
    )
    found = glm(Z, y, 0.1, sample_weight=weight, **how)
    for one, other in zip(found, glm(*repeated, 0.1, **how), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-8)


def test_tasks_may_share_their_features():
    Z, y = make_tasks()
    how = {"loss": Huber(0.5), "penalty": MCP(), "fit_intercept": True}
    shared = Z[0].clone().requires_grad_()
    W, b = glm(shared, y["real"], 0.1, **how)
    (W.sum() + b.sum()).backward()
    each = Z[:1].expand(3, -1, -1).clone().requires_grad_()
    W_each, b_each = glm(each, y["real"], 0.1, **how)
    (W_each.sum() + b_each.sum()).backward()
    np.testing.assert_allclose(W.detach(), W_each.detach(), atol=1e-9)
    np.testing.assert_allclose(shared.grad, each.grad.sum(0), atol=1e-8)


class Cauchy(Loss):
    """A loss of a user, not convex, with nothing but its value."""

    def value(self, scores, y):
        return torch.log1p((scores[..., 0] - y) ** 2)


class SCAD(Penalty):
    """A penalty of a user: Fan and Li (2001), for one score."""

    convex, single, a = False, True, 3.7

    def value(self, W, alpha):
        r, a = W[..., 0].abs(), self.a
        near = alpha * r
        middle = (2 * a * alpha * r - r**2 - alpha**2) / (2 * (a - 1))
        far = alpha**2 * (a + 1) / 2 + 0 * r
        return torch.where(r <= alpha, near, torch.where(r <= a * alpha, middle, far))

    def prox(self, W, alpha, step):
        w, a = W[..., 0], self.a
        best, least = torch.zeros_like(w), 0.5 * w**2
        soft = w.sign() * (w.abs() - alpha * step).clamp_min(0)
        bent = ((a - 1) * w - w.sign() * a * alpha * step) / (a - 1 - step)
        for v in (soft, bent, w):
            cost = 0.5 * (v - w) ** 2 + step * self.value(v.unsqueeze(-1), alpha)
            best, least = torch.where(cost < least, v, best), torch.minimum(cost, least)
        return best.unsqueeze(-1)


def test_a_loss_and_a_penalty_from_outside():
    Z, y = make_tasks(n_tasks=2, n=80)
    y = y["real"].clone()
    y[:, ::8] += 30.0
    how = {"loss": Cauchy(), "penalty": SCAD()}
    alpha = strength(Z, y, 0.2, **how)
    Z.requires_grad_()
    W, info = glm(Z, y, alpha, return_info=True, **how)
    assert info.certificate == "violation"
    assert info.converged.all()
    (gradient,) = torch.autograd.grad(W.square().sum(), Z)
    generator = torch.Generator().manual_seed(1)
    along = torch.randn(Z.shape, dtype=torch.float64, generator=generator)
    with torch.no_grad():
        up, down = (
            glm(Z + sign * 1e-6 * along, y, alpha, **how).square().sum()
            for sign in (1, -1)
        )
    np.testing.assert_allclose((gradient * along).sum(), (up - down) / 2e-6, rtol=1e-4)


def test_at_alpha_max_nothing_is_used_but_what_is_free():
    Z, y = make_tasks()
    for penalty in (L1(), MCP(), NonNegativeL1(), L1([1, 2, 0, 1, 1])):
        how = {"loss": Huber(0.5), "penalty": penalty, "fit_intercept": True}
        largest = glm_alpha_max(Z, y["real"], **how)
        W, _, info = glm(Z, y["real"], largest, return_info=True, **how)
        free = torch.tensor(getattr(penalty, "weights", None) or [1.0] * 5) == 0
        assert (info.support == free).all()
        assert ((W != 0) == free).all()
        below = glm(Z, y["real"], 0.99 * largest, **how)[0]
        assert ((below != 0).sum(-1) == free.sum() + 1).all()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"loss": Poisson()}, "y must not be negative, got -"),
        ({"loss": Logistic()}, "y must hold one label per sample, 0 or 1"),
        ({"penalty": L1([1.0])}, "one number for each of the 5 features, got 1"),
        ({"multi_output": True}, r"y must have shape \(..., 40, n_outputs\)"),
        ({"tol": -1}, "tol must be a finite number of at least 0, got -1"),
    ],
)
def test_bad_arguments(change, match):
    Z, y = make_tasks()
    how = {"loss": Huber(), "penalty": L1()} | change
    with pytest.raises(ValueError, match=match):
        glm(Z, y["real"], 0.1, **how)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"loss": "huber"}, r"loss must be a Loss, such as Squared\(\), got 'huber'"),
        ({"penalty": L1}, r"penalty must be a Penalty, such as L1\(\), got <class"),
    ],
)
def test_what_is_no_loss_and_no_penalty_is_refused(change, match):
    Z, y = make_tasks()
    how = {"loss": Huber(), "penalty": L1()} | change
    with pytest.raises(TypeError, match=match):
        glm(Z, y["real"], 0.1, **how)
    with pytest.raises(TypeError, match=match):
        glm_alpha_max(Z, y["real"], **how)


def test_penalties_of_one_score_refuse_more():
    Z, y = make_tasks()
    with pytest.raises(ValueError, match=r"L1\(\) supports one score only, got 2"):
        glm(Z, y["three"], 0.1, loss=Multinomial(3), penalty=L1())


def test_features_beyond_the_range_of_squares_are_refused():
    Z, y = make_tasks()
    with pytest.raises(ValueError, match="got 1e\\+100: rescale the features"):
        glm(torch.full_like(Z, 1e100), y["real"], 0.1, loss=Squared(), penalty=L1())


def test_a_tolerance_that_is_missed_is_said():
    Z, y = make_tasks()
    with pytest.warns(ConvergenceWarning, match="glm: 3 of 3 .* largest squared viol"):
        glm(Z, y["real"], 0.05, loss=Squared(), penalty=MCP(), tol=0, max_iter=0)
    with pytest.warns(ConvergenceWarning, match="glm: .* the largest relative gap"):
        glm(Z, y["real"], 0.05, loss=Huber(), penalty=L1(), tol=0, max_iter=0)
