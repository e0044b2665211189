"""The Lasso layer against references, finite differences and its limits."""

import celer
import cvxpy as cp
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import ElasticNet, Lasso

from sparsedis.implicit import lasso, lasso_alpha_max, ridge

SOLVERS = ("batched", "celer")


def objective(Z, y, w, alpha, l2):
    loss = 0.5 * np.mean((y - Z @ w) ** 2)
    return loss + alpha * np.abs(w).sum() + 0.5 * l2 * (w @ w)


def duality_gap(Z, y, w, alpha, l2):
    """Gap of the Lasso of the augmented design, from the data itself."""
    n, k = Z.shape
    Z = np.concatenate([Z / np.sqrt(n), np.sqrt(l2) * np.eye(k)])
    y = np.concatenate([y / np.sqrt(n), np.zeros(k)])
    residual = y - Z @ w
    primal = 0.5 * residual @ residual + alpha * np.abs(w).sum()
    theta = residual * min(1.0, alpha / max(np.abs(Z.T @ residual).max(), 1e-300))
    return primal - theta @ y + 0.5 * theta @ theta


def reference_objective(Z, y, alpha, l2):
    """The optimal value by cvxpy, in units in which columns and targets have norm 1."""
    norm = np.sqrt((Z**2).mean(0) + l2)
    scale = 1 / np.where(norm > 0, norm, 1.0)
    unit = np.sqrt((y**2).mean())
    v = cp.Variable(Z.shape[1])
    loss = cp.sum_squares((y / unit - (Z * scale) @ v) / np.sqrt(len(y))) / 2
    penalty = alpha / unit * cp.norm1(cp.multiply(scale, v))
    penalty += l2 / 2 * cp.sum_squares(cp.multiply(scale, v))
    problem = cp.Problem(cp.Minimize(loss + penalty))
    problem.solve(cp.CLARABEL, tol_gap_abs=1e-11, tol_gap_rel=1e-10)
    return objective(Z, y, unit * scale * v.value, alpha, l2)


def test_hard_problems_against_cvxpy_and_their_own_gap(hard_batch, device):
    Z, mask, l2 = (
        torch.tensor(a, device=device)
        for a in (hard_batch.Z, hard_batch.mask, hard_batch.l2)
    )
    y = np.float32(hard_batch.signal + hard_batch.noise).astype(float)
    y_all = torch.tensor(y, device=device)
    alpha = torch.tensor(hard_batch.alpha, device=device)
    alpha = alpha * lasso_alpha_max(Z, y_all, mask=mask)
    found = {
        (solver, dtype): lasso(
            Z.to(dtype),
            y_all.to(dtype),
            alpha,
            l2=l2,
            mask=mask,
            solver=solver,
            return_info=True,
        )
        for solver in SOLVERS
        for dtype in (torch.float64, torch.float32)
    }
    for t in range(len(y)):
        Z_t, y_t = hard_batch.task(t, y)
        penalties = float(alpha[t]), hard_batch.l2[t]
        at_zero = objective(Z_t, y_t, np.zeros(Z_t.shape[1]), *penalties)
        reference = reference_objective(Z_t, y_t, *penalties)
        for (solver, dtype), (w, info) in found.items():
            assert w.dtype == dtype
            assert info.converged[t]
            assert info.gap[t] <= 1e-12
            w_t = w[t].double().cpu().numpy()
            value = objective(Z_t, y_t, w_t, *penalties)
            rtol = 1e-6 if dtype == torch.float64 else 1e-4
            # The promise of tol is relative to the objective at zero.
            assert_allclose(
                value, reference, rtol=rtol, atol=1e-11 * at_zero, err_msg=(t, solver)
            )
            if dtype == torch.float64 and penalties[0] > 0:
                assert duality_gap(Z_t, y_t, w_t, *penalties) <= 1e-11 * at_zero
        # Where the solution is unique the solvers agree on it.
        if hard_batch.l2[t] > 0:
            one, other = (found[s, torch.float64][0][t].cpu() for s in SOLVERS)
            assert_allclose(one, other, atol=1e-8 * float(one.abs().max()))


@pytest.fixture
def tasks(device):
    """Ten ordinary tasks, three of their six features in use."""
    generator = torch.Generator().manual_seed(0)
    Z = torch.randn(10, 30, 6, dtype=torch.float64, generator=generator)
    w = torch.tensor([1.0, 0.0, -2.0, 0.0, 0.0, 0.5], dtype=torch.float64)
    y = Z @ w + 0.1 * torch.randn(10, 30, dtype=torch.float64, generator=generator)
    return Z.to(device), y.to(device)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_agrees_with_scikit_learn(tasks, solver, fit_intercept, weighted):
    Z, y = tasks[0] + 2.0, tasks[1] - 3.0
    weight = torch.rand_like(y) + 0.1 if weighted else None
    how = {"sample_weight": weight, "fit_intercept": fit_intercept}
    alpha = 0.1 * lasso_alpha_max(Z, y, **how)
    for l2 in (0.0, 0.3):
        w = lasso(Z, y, alpha, l2=l2, solver=solver, **how)
        intercept = torch.zeros(10)
        if fit_intercept:
            w, intercept = w
        for t in range(10):
            both = float(alpha[t]) + l2
            reference = ElasticNet(
                alpha=both,
                l1_ratio=float(alpha[t]) / both,
                fit_intercept=fit_intercept,
                tol=1e-14,
                max_iter=100_000,
            ).fit(
                Z[t].cpu().numpy(),
                y[t].cpu().numpy(),
                sample_weight=weight[t].cpu().numpy() if weighted else None,
            )
            assert_allclose(w[t].cpu(), reference.coef_, atol=1e-7)
            assert_allclose(intercept[t].cpu(), reference.intercept_, atol=1e-7)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_agrees_with_celer(tasks, share):
    Z, y = tasks
    alpha = share * lasso_alpha_max(Z, y)
    w = lasso(Z, y, alpha, solver="batched").cpu()
    for t in range(10):
        model = celer.Lasso(alpha=float(alpha[t]), fit_intercept=False, tol=1e-12)
        model.fit(Z[t].cpu().numpy(), y[t].cpu().numpy())
        assert_allclose(w[t], model.coef_, atol=1e-6)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_alpha_max_is_the_boundary(tasks, solver, dtype, fit_intercept):
    Z, y = (tensor.to(dtype) for tensor in tasks)
    how = {"fit_intercept": fit_intercept}
    alpha_max = lasso_alpha_max(Z, y, **how)
    assert alpha_max.dtype == dtype
    _, info = lasso(Z, y, alpha_max, solver=solver, return_info=True, **how)[-2:]
    assert not info.support.any()
    below = alpha_max.double() * (1 - 1e-6)
    _, info = lasso(Z, y, below, solver=solver, return_info=True, **how)[-2:]
    assert (info.support.sum(-1) == 1).all()


def test_alpha_max_of_a_batch_is_that_of_a_single_task(tasks):
    Z, y = (part.cpu() for part in tasks)
    for t, alpha in enumerate(lasso_alpha_max(Z, y)):
        assert not lasso(Z[t], y[t], alpha).any()


def test_no_l1_penalty_is_ridge(tasks):
    Z, y = tasks
    for features in (Z, Z[:, :4], torch.cat([Z, Z[..., :1]], -1)):
        for l2 in (0.0, 0.1):
            args = features, y[:, : features.shape[1]]
            assert_allclose(
                lasso(*args, 0.0, l2=l2).cpu(), ridge(*args, l2).cpu(), atol=1e-12
            )


@pytest.mark.parametrize("solver", SOLVERS)
def test_penalties_may_differ_by_task_and_be_zero(tasks, solver):
    Z, y = tasks
    alpha = torch.linspace(0, 1, 10).to(Z)
    l2 = torch.linspace(1, 0, 10).to(Z)
    together = lasso(Z, y, alpha, l2=l2, solver=solver)
    for t in range(10):
        alone = lasso(Z[t], y[t], float(alpha[t]), l2=float(l2[t]), solver=solver)
        assert alone.shape == (6,)
        assert_allclose(together[t].cpu(), alone.cpu(), atol=1e-12)


def test_leading_axes_broadcast(tasks):
    Z, y = tasks
    w, info = lasso(Z[0], y.reshape(2, 5, 30), 0.1, return_info=True)
    assert w.shape == info.support.shape == (2, 5, 6)
    assert info.gap.shape == info.n_iter.shape == info.converged.shape == (2, 5)
    apart = lasso(Z[0].expand(10, -1, -1), y, 0.1)
    assert_allclose(w.reshape(10, 6).cpu(), apart.cpu(), atol=1e-12)


def test_weights_of_zero_and_masks_leave_samples_out(tasks):
    Z, y = tasks
    keep = torch.arange(30, device=Z.device) < 20
    short = lasso(Z[:, :20], y[:, :20], 0.1, fit_intercept=True)
    masked = lasso(Z, y, 0.1, fit_intercept=True, mask=keep)
    weighted = lasso(Z, y, 0.1, fit_intercept=True, sample_weight=2.5 * keep)
    for one, two, three in zip(short, masked, weighted, strict=True):
        assert_allclose(one.cpu(), two.cpu(), atol=1e-12)
        assert_allclose(one.cpu(), three.cpu(), atol=1e-12)


def test_weight_of_two_is_a_sample_twice(tasks):
    Z, y = tasks
    weight = torch.ones_like(y)
    weight[:, :5] = 2
    twice = torch.cat([Z, Z[:, :5]], 1), torch.cat([y, y[:, :5]], 1)
    for one, two in zip(
        lasso(Z, y, 0.1, sample_weight=weight, fit_intercept=True),
        lasso(*twice, 0.1, fit_intercept=True),
        strict=True,
    ):
        assert_allclose(one.cpu(), two.cpu(), atol=1e-12)


def test_constant_features_and_targets_get_nothing_beside_an_intercept(tasks):
    Z, y = tasks
    Z[..., 2] = 0.1
    y[3] = 1 / 3
    w, intercept, info = lasso(Z, y, 1e-6, fit_intercept=True, return_info=True)
    assert not info.support[:, 2].any()
    assert not w[3].any()
    assert float(intercept[3]) == pytest.approx(1 / 3)


def test_dead_feature_changes_nothing(tasks):
    Z, y = tasks
    w = lasso(Z, y, 0.1)
    dead = lasso(torch.cat([Z, 0 * Z[..., :1]], -1), y, 0.1)
    assert_allclose(dead[:, :6].cpu(), w.cpu(), atol=1e-14)
    assert not dead[:, 6].any()


@pytest.mark.parametrize("solver", SOLVERS)
def test_wide_problems(solver, device):
    generator = torch.Generator().manual_seed(0)
    Z = torch.randn(3, 20, 80, dtype=torch.float64, generator=generator).to(device)
    y = Z[..., 0] - Z[..., 50]
    alpha = 0.01 * lasso_alpha_max(Z, y)
    w, info = lasso(Z, y, alpha, solver=solver, return_info=True)
    assert info.converged.all()
    for t in range(3):
        model = Lasso(float(alpha[t]), fit_intercept=False, tol=1e-14, max_iter=10**6)
        model.fit(Z[t].cpu().numpy(), y[t].cpu().numpy())
        assert_allclose(w[t].cpu(), model.coef_, atol=1e-6)


def test_missing_the_tolerance_warns_and_names_the_tasks(tasks):
    Z, y = tasks
    with pytest.warns(ConvergenceWarning) as log:
        _, info = lasso(Z, y, 0.1, tol=0.0, max_iter=1, return_info=True)
    missed = (~info.converged).nonzero().flatten().tolist()
    assert missed
    assert len(log) == 1
    named = ", ".join(map(str, missed[:5])) + ", ..." * (len(missed) > 5)
    said = f"lasso: {len(missed)} of 10 problems (task {named}) stopped above tol=0;"
    assert str(log[0].message).startswith(said)


# Each case is a problem whose solution is unique and smooth around the data.
@pytest.fixture(
    params=[
        "plain",
        "empty support",
        "all active",
        "more features than samples",
        "duplicated columns",
        "intercept",
        "mask",
        "weights",
        "shared features",
        "all of it",
    ]
)
def smooth_problem(request, device):
    case = request.param
    generator = torch.Generator().manual_seed(3)
    n, k = (4, 7) if case == "more features than samples" else (9, 4)
    Z = torch.randn(3, n, k, dtype=torch.float64, generator=generator)
    w = torch.tensor([1.0, -2.0, 0.0, 0.0], dtype=torch.float64)
    y = Z[..., :4] @ w + 0.3 * torch.randn(
        3, n, dtype=torch.float64, generator=generator
    )
    share = {"empty support": 1.1, "all active": 1e-4}.get(case, 0.2)
    alpha = share * lasso_alpha_max(Z, y)
    l2 = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)
    how = {}
    if case == "duplicated columns":
        Z[..., 1] = Z[..., 0]
    if case in ("intercept", "all of it"):
        how["fit_intercept"] = True
    if case in ("mask", "all of it"):
        how["mask"] = torch.arange(9) < torch.tensor([[9], [7], [5]])
    if case in ("weights", "all of it"):
        how["sample_weight"] = torch.rand(3, 9, generator=generator)
    if case in ("shared features", "all of it"):
        Z = Z[0]
    how = {name: getattr(v, "to", lambda _, v=v: v)(device) for name, v in how.items()}
    return case, [v.to(device).requires_grad_() for v in (Z, y, alpha, l2)], how


def test_gradients_are_those_of_finite_differences(smooth_problem):
    case, inputs, how = smooth_problem

    def solve(Z, y, alpha, l2):
        return lasso(Z, y, alpha, l2=l2, **how)

    out = solve(*inputs)
    w = out[0] if isinstance(out, tuple) else out
    active = (w != 0).double().mean()
    if case in ("empty support", "all active"):
        assert active == (case == "all active")
    else:
        assert 0 < active <= 1
    assert torch.autograd.gradcheck(solve, inputs, atol=1e-7, rtol=1e-5)


def test_gradient_without_l2(tasks):
    Z, y = tasks[0][:2, :9, :4], tasks[1][:2, :9]
    Z, y = Z.clone().requires_grad_(), y.clone().requires_grad_()
    alpha = (0.1 * lasso_alpha_max(Z, y)).requires_grad_()
    assert torch.autograd.gradcheck(lasso, (Z, y, alpha), atol=1e-7, rtol=1e-5)


def backward(Z, y, alpha, **how):
    """Gradients of a generic function of the solution."""
    inputs = [v.clone().requires_grad_() for v in (Z, y, torch.as_tensor(alpha).to(y))]
    l2 = torch.zeros((), dtype=Z.dtype, device=Z.device, requires_grad=True)
    w = lasso(*inputs, l2=l2, **how)
    w = w[0] if isinstance(w, tuple) else w
    (w * torch.arange(1, w.shape[-1] + 1, device=w.device)).sum().backward()
    return [v.grad for v in (*inputs, l2)]


def test_gradient_is_finite_at_kinks(tasks):
    Z, y = tasks
    kinks = {
        "at alpha_max": (Z, y, lasso_alpha_max(Z, y)),
        "no target": (Z, 0 * y, 0.1),
        "no target, no penalty": (Z, 0 * y, 0.0),
        "no features": (0 * Z, y, 0.1),
        "a dead feature": (Z * (torch.arange(6, device=Z.device) > 0), y, 0.1),
        "many features": (Z.repeat(1, 1, 5), y, 2 * lasso_alpha_max(Z, y)),
        # w = (0, 0) with both correlations exactly at alpha
        "degenerate": (torch.eye(2).to(Z), torch.tensor([2.0, 2.0]).to(Z), 1.0),
    }
    for case, problem in kinks.items():
        for gradient in backward(*problem):
            assert torch.isfinite(gradient).all(), case


def test_coefficients_at_kinks_have_no_share_in_the_gradient(device):
    rng = np.random.default_rng(0)
    n_kinks = 0
    for _ in range(60):
        Z = rng.integers(-3, 4, (8, 4)).astype(float)
        signs, w = rng.choice([-1, 1], 4), rng.integers(0, 3, 4)
        # All correlations are exactly 1 at this solution, also those of zeros.
        y = Z @ (signs * w) + 8 * Z @ np.linalg.solve(Z.T @ Z, signs)
        arrays = (torch.tensor(a, device=device) for a in (Z, y, 1.0))
        gradients = backward(*arrays, solver="batched")
        found = lasso(*(torch.tensor(a) for a in (Z, y)), 1.0).numpy()
        assert_allclose(found, signs * w, atol=1e-12)
        at = found != 0
        n_kinks += at.sum() < 4
        u = 8 * np.linalg.solve(Z[:, at].T @ Z[:, at], np.arange(1, 5)[at])
        assert_allclose(gradients[2].cpu(), -u @ np.sign(found[at]), atol=1e-8)
    assert n_kinks > 10


@pytest.mark.parametrize("solver", SOLVERS)
def test_gradient_at_duplicated_columns_is_of_minimum_norm(tasks, solver):
    Z, y = tasks
    double = torch.cat([Z, Z], -1)
    # Each task has a penalty of its own, for its own derivative.
    alpha = torch.full_like(y[:, 0], 1e-3)
    with pytest.warns(RuntimeWarning, match="linearly dependent") as log:
        gradients = backward(double, y, alpha, solver=solver)
    assert len(log) == 1
    w = lasso(double, y, alpha, solver=solver).cpu().numpy()
    double, y, gradients = (
        [v.cpu().numpy() for v in part] for part in (double, y, gradients)
    )
    l2 = 0.0
    for t in range(10):
        at = w[t] != 0
        assert at.sum() > 6
        # What the pseudo-inverse gives in least squares on the support.
        inverse = np.linalg.pinv(double[t][:, at], rcond=1e-10)
        u = np.zeros(12)
        u[at] = 30 * inverse @ inverse.T @ np.arange(1, 13)[at]
        fitted, residual = double[t] @ u, y[t] - double[t] @ w[t]
        expected = (np.outer(residual, u) - np.outer(fitted, w[t])) / 30
        assert_allclose(gradients[0][t], expected, atol=1e-8)
        assert_allclose(gradients[1][t], fitted / 30, atol=1e-8)
        assert_allclose(gradients[2][t], -u @ np.sign(w[t]), atol=1e-8)
        l2 -= u @ w[t]
    assert_allclose(gradients[3], l2, atol=1e-7)


def test_large_cotangents_do_not_overflow_at_a_dead_feature(tasks):
    Z, y = tasks
    Z[..., 0] = 0
    Z.requires_grad_()
    (1e160 * lasso(Z, y, 0.1)).sum().backward()
    assert torch.isfinite(Z.grad).all()
    assert Z.grad.any()


def test_masked_values_may_be_nan_and_get_no_gradient(tasks):
    Z, y = tasks
    mask = torch.arange(30, device=Z.device) < 20
    Z[:, 25:], y[:, 25:] = torch.nan, torch.inf
    for how in ({}, {"fit_intercept": True}):
        grad_Z, grad_y, *_ = backward(Z, y, 0.1, mask=mask, **how)
        assert torch.isfinite(grad_Z).all()
        assert not grad_Z[:, 20:].any()
        assert not grad_y[:, 20:].any()
        assert grad_Z[:, :20].any()


def test_gradient_has_the_dtype_of_its_input(tasks):
    Z, y = (tensor.float() for tensor in tasks)
    gradients = backward(Z, y, 0.1)
    exact = backward(Z.double(), y.double(), 0.1)
    for gradient, reference in zip(gradients, exact, strict=True):
        assert gradient.dtype == torch.float32
        assert_allclose(gradient.cpu(), reference.cpu(), rtol=1e-5, atol=1e-6)


def test_gradients_of_many_tasks_are_those_of_each_alone(device):
    generator = torch.Generator().manual_seed(0)
    Z = torch.randn(300, 30, 6, dtype=torch.float64, generator=generator)
    Z = (Z + 2 * torch.randn(300, 30, 1, generator=generator)).to(device)
    y = Z[..., 0] - Z[..., 4] + 0.5 * Z[..., 1] * Z[..., 2]
    alpha = 0.05 * lasso_alpha_max(Z, y)
    grad_Z, grad_y, grad_alpha, _ = backward(Z, y, alpha)
    _, info = lasso(Z, y, alpha, return_info=True)
    order = info.n_iter.argsort().tolist()
    # Tasks that take longer go on without the others.
    assert info.n_iter[order[-1]] > info.n_iter[order[0]] + 2
    for t in order[:3] + order[-3:]:
        alone = backward(Z[t], y[t], alpha[t])[:3]
        for one, other in zip((grad_Z, grad_y, grad_alpha), alone, strict=True):
            scale = float(other.abs().max())
            assert_allclose(one[t].cpu(), other.cpu(), atol=1e-10 * scale)
