"""The multi-task Lasso layer against references, finite differences and its limits."""

import warnings

import cvxpy as cp
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import MultiTaskElasticNet

from sparsedis.implicit import (
    lasso,
    multitask_lasso,
    multitask_lasso_alpha_max,
    ridge,
)

SOLVERS = ("batched", "celer")


def objective(Z, Y, W, alpha, l2):
    loss = 0.5 * ((Y - Z @ W) ** 2).sum() / len(Y)
    return loss + alpha * np.linalg.norm(W, axis=1).sum() + 0.5 * l2 * (W**2).sum()


def duality_gap(Z, Y, W, alpha, l2):
    """Gap from the data itself, at the better one of two dual points."""
    n, k = Z.shape
    residual = (Y - Z @ W) / np.sqrt(n)
    inner = np.linalg.norm(Z.T @ residual, axis=1) / np.sqrt(n)
    dual = (residual * Y).sum() / np.sqrt(n) - 0.5 * (residual**2).sum()
    if l2 > 0:
        dual -= (np.maximum(inner - alpha, 0) ** 2).sum() / (2 * l2)
    else:
        dual = -np.inf
    # The other one is that of the augmented design, scaled.
    Z = np.concatenate([Z / np.sqrt(n), np.sqrt(l2) * np.eye(k)])
    Y = np.concatenate([Y / np.sqrt(n), np.zeros((k, Y.shape[1]))])
    residual = Y - Z @ W
    primal = 0.5 * (residual**2).sum() + alpha * np.linalg.norm(W, axis=1).sum()
    largest = np.linalg.norm(Z.T @ residual, axis=1).max()
    theta = residual * min(1.0, alpha / max(largest, 1e-300))
    return primal - max(dual, (theta * Y).sum() - 0.5 * (theta**2).sum())


def reference_objective(Z, Y, alpha, l2):
    """The optimal value by cvxpy, in units in which columns and targets have norm 1."""
    norm = np.sqrt((Z**2).mean(0) + l2)
    scale = (1 / np.where(norm > 0, norm, 1.0))[:, None]
    unit = np.sqrt((Y**2).mean())
    V = cp.Variable((Z.shape[1], Y.shape[1]))
    W = cp.multiply(np.broadcast_to(scale, V.shape), V)
    loss = cp.sum_squares((Y / unit - (Z * scale.T) @ V) / np.sqrt(len(Y))) / 2
    penalty = alpha / unit * cp.sum(cp.norm2(W, axis=1)) + l2 / 2 * cp.sum_squares(W)
    problem = cp.Problem(cp.Minimize(loss + penalty))
    problem.solve(cp.CLARABEL, tol_gap_abs=1e-11, tol_gap_rel=1e-10)
    return objective(Z, Y, unit * scale * V.value, alpha, l2)


def test_hard_problems_against_cvxpy_and_their_own_gap(hard_batch, device):
    noise = hard_batch.rng.standard_normal((*hard_batch.signal.shape, 3))
    Y = np.float32(hard_batch.signal[..., None] * [1.0, -2.0, 0.0] + noise)
    Y = Y.astype(float)
    Z, mask, l2, Y_all = (
        torch.tensor(a, device=device)
        for a in (hard_batch.Z, hard_batch.mask, hard_batch.l2, Y)
    )
    alpha = torch.tensor(hard_batch.alpha, device=device)
    alpha = alpha * multitask_lasso_alpha_max(Z, Y_all, mask=mask)
    found = {
        (solver, dtype): multitask_lasso(
            Z.to(dtype),
            Y_all.to(dtype),
            alpha,
            l2=l2,
            mask=mask,
            solver=solver,
            return_info=True,
        )
        for solver in SOLVERS
        for dtype in (torch.float64, torch.float32)
    }
    for t in range(len(Y)):
        Z_t, Y_t = hard_batch.task(t, Y)
        penalties = float(alpha[t]), hard_batch.l2[t]
        at_zero = 0.5 * (Y_t**2).sum() / len(Y_t)
        reference = reference_objective(Z_t, Y_t, *penalties)
        for (solver, dtype), (W, info) in found.items():
            assert W.dtype == dtype
            assert info.gap[t] <= 1e-12
            W_t = W[t].double().cpu().numpy()
            value = objective(Z_t, Y_t, W_t, *penalties)
            rtol = 1e-6 if dtype == torch.float64 else 1e-4
            # The promise of tol is relative to the objective at zero.
            assert_allclose(
                value, reference, rtol=rtol, atol=1e-11 * at_zero, err_msg=(t, solver)
            )
            if dtype == torch.float64 and penalties[0] > 0:
                assert duality_gap(Z_t, Y_t, W_t, *penalties) <= 1e-11 * at_zero
        # Where the solution is unique the solvers agree on it.
        if hard_batch.l2[t] > 0:
            one, other = (found[s, torch.float64][0][t].cpu() for s in SOLVERS)
            assert_allclose(one, other, atol=1e-7 * float(one.abs().max()))


def test_wide_hard_problems_keep_their_promise(wide_hard_batch):
    noise = wide_hard_batch.rng.standard_normal((*wide_hard_batch.signal.shape, 3))
    Y = wide_hard_batch.signal[..., None] * [1.0, -2.0, 0.0] + noise
    Z, mask, l2, targets = (
        torch.tensor(a)
        for a in (wide_hard_batch.Z, wide_hard_batch.mask, wide_hard_batch.l2, Y)
    )
    alpha = torch.tensor(wide_hard_batch.alpha)
    alpha = alpha * multitask_lasso_alpha_max(Z, targets, mask=mask)
    how = {"l2": l2, "mask": mask, "solver": "batched", "return_info": True}
    W, info = multitask_lasso(Z, targets, alpha, **how)
    assert info.converged.all()
    for t in (alpha > 0).nonzero().flatten():
        data = (
            *wide_hard_batch.task(t, Y),
            W[t].numpy(),
            float(alpha[t]),
            float(l2[t]),
        )
        at_zero = 0.5 * (data[1] ** 2).sum() / len(data[1])
        assert duality_gap(*data) <= 1e-11 * at_zero


@pytest.fixture
def tasks(device):
    """Five ordinary tasks with three outputs; three of six features in use."""
    generator = torch.Generator().manual_seed(0)
    Z = torch.randn(5, 30, 6, dtype=torch.float64, generator=generator)
    W = torch.randn(6, 3, dtype=torch.float64, generator=generator)
    W[[1, 3, 4]] = 0.0
    Y = Z @ W + 0.1 * torch.randn(5, 30, 3, dtype=torch.float64, generator=generator)
    return Z.to(device), Y.to(device)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("l2", [0.0, 0.3])
def test_agrees_with_scikit_learn(tasks, solver, fit_intercept, l2):
    Z, Y = tasks[0] + 2.0, tasks[1] - 3.0
    alpha = 0.1 * multitask_lasso_alpha_max(Z, Y, fit_intercept=fit_intercept)
    W = multitask_lasso(Z, Y, alpha, l2=l2, solver=solver, fit_intercept=fit_intercept)
    intercept = torch.zeros(5, 3)
    if fit_intercept:
        W, intercept = W
    for t in range(5):
        both = float(alpha[t]) + l2
        reference = MultiTaskElasticNet(
            alpha=both,
            l1_ratio=float(alpha[t]) / both,
            fit_intercept=fit_intercept,
            tol=1e-14,
            max_iter=100_000,
        ).fit(Z[t].cpu().numpy(), Y[t].cpu().numpy())
        assert_allclose(W[t].cpu(), reference.coef_.T, atol=1e-7)
        assert_allclose(intercept[t].cpu(), reference.intercept_, atol=1e-7)


@pytest.mark.parametrize("share", [1e-4, 0.1, 0.5])
def test_one_output_is_the_lasso(tasks, share):
    Z, y = tasks[0], tasks[1][..., 0]
    alpha = share * multitask_lasso_alpha_max(Z, y[..., None])
    for how in ({}, {"l2": 0.1}, {"fit_intercept": True}):
        one = multitask_lasso(Z, y[..., None], alpha, **how)
        other = lasso(Z, y, alpha, **how)
        if "fit_intercept" in how:
            (one, intercept), (other, expected) = one, other
            assert_allclose(intercept[..., 0].cpu(), expected.cpu(), atol=1e-10)
        assert_allclose(one[..., 0].cpu(), other.cpu(), atol=1e-10)


def test_no_group_penalty_is_a_ridge_for_each_output(tasks):
    Z, Y = tasks
    for features in (Z, Z[:, :4], torch.cat([Z, Z[..., :1]], -1)):
        for l2 in (0.0, 0.1):
            targets = Y[:, : features.shape[1]]
            W = multitask_lasso(features, targets, 0.0, l2=l2)
            for i in range(3):
                expected = ridge(features, targets[..., i], l2)
                assert_allclose(W[..., i].cpu(), expected.cpu(), atol=1e-12)


def test_rotating_the_outputs_rotates_the_solution(tasks):
    Z, Y = tasks
    Q, _ = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64, device=Z.device))
    W = multitask_lasso(Z, Y, 0.3, l2=0.01)
    assert_allclose(
        multitask_lasso(Z, Y @ Q, 0.3, l2=0.01).cpu(), (W @ Q).cpu(), atol=1e-10
    )


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_alpha_max_is_the_boundary(tasks, solver, dtype, fit_intercept):
    Z, Y = (tensor.to(dtype) for tensor in tasks)
    how = {"fit_intercept": fit_intercept}
    alpha_max = multitask_lasso_alpha_max(Z, Y, **how)
    assert alpha_max.dtype == dtype
    for factor, n_active in ((1.0, 0), (1 - 1e-6, 1)):
        *_, info = multitask_lasso(
            Z, Y, factor * alpha_max.double(), solver=solver, return_info=True, **how
        )
        assert (info.support.sum(-1) == n_active).all()


def test_leading_axes_masks_and_weights(tasks):
    Z, Y = tasks
    W, info = multitask_lasso(Z[:4].reshape(2, 2, 30, 6), Y[0], 0.1, return_info=True)
    assert W.shape == (2, 2, 6, 3)
    assert info.support.shape == (2, 2, 6)
    assert info.gap.shape == info.n_iter.shape == info.converged.shape == (2, 2)
    apart = multitask_lasso(Z[3], Y[0], 0.1)
    assert_allclose(W[1, 1].cpu(), apart.cpu(), atol=1e-12)

    keep = torch.arange(30, device=Z.device) < 20
    Y[:, 25:] = torch.nan
    short = multitask_lasso(Z[:, :20], Y[:, :20], 0.1, fit_intercept=True)
    masked = multitask_lasso(Z, Y, 0.1, fit_intercept=True, mask=keep)
    weighted = multitask_lasso(Z, Y, 0.1, fit_intercept=True, sample_weight=2.5 * keep)
    for one, two, three in zip(short, masked, weighted, strict=True):
        assert_allclose(one.cpu(), two.cpu(), atol=1e-10)
        assert_allclose(one.cpu(), three.cpu(), atol=1e-10)


def test_dead_feature_changes_nothing(tasks):
    Z, Y = tasks
    W = multitask_lasso(Z, Y, 0.1)
    dead = multitask_lasso(torch.cat([Z, 0 * Z[..., :1]], -1), Y, 0.1)
    assert_allclose(dead[:, :6].cpu(), W.cpu(), atol=1e-12)
    assert not dead[:, 6].any()


@pytest.mark.parametrize("solver", SOLVERS)
def test_wide_problems(solver, device):
    generator = torch.Generator().manual_seed(0)
    Z = torch.randn(2, 20, 60, dtype=torch.float64, generator=generator).to(device)
    Y = Z[..., :2] - 2 * Z[..., 50:52]
    alpha = 0.05 * multitask_lasso_alpha_max(Z, Y)
    W, info = multitask_lasso(Z, Y, alpha, solver=solver, return_info=True)
    assert info.converged.all()
    for t in range(2):
        gap = duality_gap(*(a[t].cpu().numpy() for a in (Z, Y, W)), float(alpha[t]), 0)
        assert gap <= 1e-12 * float((Y[t] ** 2).sum())
        assert 2 <= info.support[t].sum() < 60


def test_missing_the_tolerance_warns(tasks):
    with pytest.warns(ConvergenceWarning, match="multitask_lasso: . of 5 problems"):
        W, info = multitask_lasso(*tasks, 0.1, tol=0.0, max_iter=1, return_info=True)
    assert not info.converged.all()
    assert torch.isfinite(W).all()


@pytest.mark.parametrize(
    "case",
    [
        "plain",
        "without l2",
        "empty support",
        "all active",
        "more features than samples",
        "duplicated columns",
        "all of it",
    ],
)
def test_gradients_are_those_of_finite_differences(case, device):
    generator = torch.Generator().manual_seed(3)
    n, k = (4, 6) if case == "more features than samples" else (8, 4)
    Z = torch.randn(2, n, k, dtype=torch.float64, generator=generator)
    W = torch.tensor([[1.0, 0.5], [-2.0, 1.0], [0.0, 0.0], [0.0, 0.0]]).double()
    Y = Z[..., :4] @ W
    Y = Y + 0.3 * torch.randn(2, n, 2, dtype=torch.float64, generator=generator)
    share = {"empty support": 1.1, "all active": 1e-4}.get(case, 0.2)
    l2 = torch.tensor([0.1, 0.2], dtype=torch.float64)
    how = {}
    if case == "duplicated columns":
        Z[..., 1] = Z[..., 0]
    if case == "all of it":
        how = {
            "fit_intercept": True,
            "mask": (torch.arange(8) < torch.tensor([[8], [6]])).to(device),
            "sample_weight": torch.rand(2, 8, generator=generator).to(device),
        }
        Z = Z[0]
    alpha = share * multitask_lasso_alpha_max(Z, Y, **how)
    inputs = [Z, Y, alpha, l2][: 3 if case == "without l2" else 4]
    inputs = [v.to(device).requires_grad_() for v in inputs]

    def solve(Z, Y, alpha, l2=0.0):
        return multitask_lasso(Z, Y, alpha, l2=l2, **how)

    *_, info = multitask_lasso(*inputs[:3], l2=l2.to(device), return_info=True, **how)
    active = info.support.double().mean()
    if case in ("empty support", "all active"):
        assert active == (case == "all active")
    else:
        assert active > 0
    assert torch.autograd.gradcheck(solve, inputs, atol=1e-7, rtol=1e-5)


def backward(Z, Y, alpha, **how):
    """Gradients of a generic function of the solution."""
    inputs = [v.clone().requires_grad_() for v in (Z, Y, torch.as_tensor(alpha).to(Y))]
    l2 = torch.zeros((), dtype=Z.dtype, device=Z.device, requires_grad=True)
    W = multitask_lasso(*inputs, l2=l2, **how)
    (W * torch.arange(1, W[0].numel() + 1).to(W).reshape(W[0].shape)).sum().backward()
    return [v.grad for v in (*inputs, l2)]


def test_gradient_is_finite_at_kinks(tasks):
    Z, Y = tasks
    kinks = {
        "at alpha_max": (Z, Y, multitask_lasso_alpha_max(Z, Y)),
        "no target": (Z, 0 * Y, 0.1),
        "no target, no penalty": (Z, 0 * Y, 0.0),
        "no features": (0 * Z, Y, 0.1),
        "a dead feature": (Z * (torch.arange(6, device=Z.device) > 0), Y, 0.1),
    }
    for case, problem in kinks.items():
        for gradient in backward(*problem):
            assert torch.isfinite(gradient).all(), case


@pytest.mark.parametrize("solver", SOLVERS)
def test_gradient_at_duplicated_columns_is_finite(tasks, solver):
    Z, Y = tasks
    double = torch.cat([Z, Z], -1)
    with warnings.catch_warnings(record=True) as log:
        warnings.simplefilter("always")
        gradients = backward(double, Y, 1e-3, solver=solver)
    # celer may keep one of two equal columns; then the support is regular.
    assert {w.category for w in log} <= {RuntimeWarning}
    if solver == "batched":
        assert ["linearly dependent" in str(w.message) for w in log] == [True]
    for gradient in gradients:
        assert torch.isfinite(gradient).all()
