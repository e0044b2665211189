"""The logistic layer against references and its limits."""

import celer
import cvxpy as cp
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.special import log_softmax, softmax, xlogy
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from sparsedis.implicit import logistic, logistic_alpha_max

SOLVERS = ("batched", "celer")


def loss_and_shares(Z, y, W, b):
    """Mean loss, P and Y, the last two for all classes."""
    eta = Z @ W + b
    if eta.ndim == 1:
        eta = np.stack([0 * eta, eta], -1)
    loss = -log_softmax(eta, axis=1)[np.arange(len(y)), y].mean()
    return loss, softmax(eta, axis=1), np.eye(eta.shape[1])[y]


def penalty_of(W, alpha, l2):
    """In a binary problem the norms are those of the only logit."""
    W = W.reshape(len(W), -1)
    return alpha * np.linalg.norm(W, axis=1).sum() + 0.5 * l2 * (W**2).sum()


def duality_gap(Z, y, W, b, alpha, l2):
    """Gap from the data itself, at the better one of two dual points.

    With an intercept, given that it is optimal.
    """
    loss, mean, onehot = loss_and_shares(Z, y, W, b)
    descent = Z.T @ (onehot - mean) / len(y)
    if W.ndim == 1:
        descent, W = descent[:, 1:], W[:, None]
    inner = np.linalg.norm(descent - l2 * W, axis=1).max()
    share = min(1.0, alpha / max(inner, 1e-300))
    mixed = (1 - share) * onehot + share * mean
    dual = -xlogy(mixed, mixed).sum() / len(y) - 0.5 * l2 * share**2 * (W**2).sum()
    if l2 > 0:
        excess = np.maximum(np.linalg.norm(descent, axis=1) - alpha, 0)
        plain = -xlogy(mean, mean).sum() / len(y) - (excess**2).sum() / (2 * l2)
        dual = max(dual, plain)
    return loss + penalty_of(W, alpha, l2) - dual


def reference_objective(Z, y, n_classes, fit_intercept, alpha, l2):
    """The optimal value by cvxpy, in units in which columns have norm 1."""
    if fit_intercept:
        # An intercept of minus infinity rules out a class without samples.
        present, y = np.unique(y, return_inverse=True)
        if len(present) == 1:
            return 0.0
        binary, n_classes = n_classes == 2, len(present)
        # The intercept takes up the shift, and the reference is better for it.
        Z = Z - Z.mean(0)
    else:
        binary = n_classes == 2
    norm = np.sqrt((Z**2).mean(0) + l2)
    scale = (1 / np.where(norm > 0, norm, 1.0))[:, None]
    V = cp.Variable((Z.shape[1], 1 if binary else n_classes))
    W = cp.multiply(np.broadcast_to(scale, V.shape), V)
    eta = (Z * scale.T) @ V
    if fit_intercept:
        eta = eta + np.ones((len(y), 1)) @ cp.Variable((1, V.shape[1]))
    if binary:
        loss = cp.sum(cp.logistic(cp.multiply(1 - 2 * y[:, None], eta)))
    else:
        picked = cp.multiply(np.eye(n_classes)[y], eta)
        loss = cp.sum(cp.log_sum_exp(eta, axis=1)) - cp.sum(picked)
    penalty = alpha * cp.sum(cp.norm2(W, axis=1)) + l2 / 2 * cp.sum_squares(W)
    problem = cp.Problem(cp.Minimize(loss / len(y) + penalty))
    return problem.solve(cp.CLARABEL, tol_gap_abs=1e-9, tol_gap_rel=1e-9)


def labels_of(hard_batch, n_classes):
    """Quantiles of a noisy function of the features; some tasks miss a class."""
    y = hard_batch.signal + hard_batch.noise
    edges = np.quantile(y, np.linspace(0, 1, n_classes + 1)[1:-1], axis=1)
    return (y > edges[..., None]).sum(0)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_hard_problems_against_cvxpy_and_their_own_gap(hard_batch, n_classes, device):
    y = labels_of(hard_batch, n_classes)
    Z, mask, l2, y_all = (
        torch.tensor(a, device=device)
        for a in (hard_batch.Z, hard_batch.mask, hard_batch.l2, y)
    )
    fit_intercept = bool(hard_batch.seed % 2)
    how = {"n_classes": n_classes, "mask": mask, "fit_intercept": fit_intercept}
    alpha = torch.tensor(hard_batch.alpha, device=device)
    # A penalty keeps the solution finite where the classes can be separated.
    alpha = alpha.clamp_min(1e-4) * logistic_alpha_max(Z, y_all, **how)
    found = {}
    for dtype in (torch.float64, torch.float32):
        out = logistic(Z.to(dtype), y_all, alpha, l2=l2, return_info=True, **how)
        found[dtype] = (*out[:-1], 0.0)[:2], out[-1]
    for t in range(len(y)):
        Z_t, y_t = hard_batch.task(t, y)
        penalties = float(alpha[t]), hard_batch.l2[t]
        reference = reference_objective(Z_t, y_t, n_classes, fit_intercept, *penalties)
        for dtype, ((W, b), info) in found.items():
            assert W.dtype == dtype
            assert info.gap[t] <= 1e-12
            W_t = W[t].double().cpu().numpy()
            b_t = b[t].double().cpu().numpy() if fit_intercept else 0.0
            loss, mean, onehot = loss_and_shares(Z_t, y_t, W_t, b_t)
            value = loss + penalty_of(W_t, *penalties)
            rtol = 1e-6 if dtype == torch.float64 else 1e-4
            # The reference is good to 1e-9.
            assert_allclose(value, reference, rtol=rtol, atol=1e-9, err_msg=t)
            if dtype == torch.float64:
                assert duality_gap(Z_t, y_t, W_t, b_t, *penalties) <= 1e-11
                if fit_intercept:
                    assert_allclose(mean.mean(0), onehot.mean(0), atol=1e-12)


@pytest.mark.parametrize("fit_intercept", [False, True])
def test_wide_hard_problems_keep_their_promise(wide_hard_batch, fit_intercept):
    y = labels_of(wide_hard_batch, 4)
    Z, mask, l2, labels = (
        torch.tensor(a)
        for a in (wide_hard_batch.Z, wide_hard_batch.mask, wide_hard_batch.l2, y)
    )
    how = {"n_classes": 4, "mask": mask, "fit_intercept": fit_intercept}
    alpha = torch.tensor(wide_hard_batch.alpha).clamp_min(1e-4)
    alpha = alpha * logistic_alpha_max(Z, labels, **how)
    W, *b, info = logistic(Z, labels, alpha, l2=l2, return_info=True, **how)
    assert info.converged.all()
    for t in range(len(y)):
        W_t, b_t = W[t].numpy(), b[0][t].numpy() if fit_intercept else 0.0
        data = (*wide_hard_batch.task(t, y), W_t, b_t)
        assert duality_gap(*data, float(alpha[t]), float(l2[t])) <= 1e-11


@pytest.fixture
def tasks(device):
    """Five ordinary tasks with three classes; three of six features in use."""
    generator = torch.Generator().manual_seed(0)
    Z = torch.randn(5, 60, 6, dtype=torch.float64, generator=generator)
    W = 2 * torch.randn(6, 3, dtype=torch.float64, generator=generator)
    W[[1, 3, 4]] = 0.0
    eta = Z @ W
    noise = torch.rand(eta.shape, dtype=torch.float64, generator=generator)
    y = (eta - (-noise.log()).log()).argmax(-1)
    return Z.to(device), y.to(device)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("share", [0.05, 0.4])
def test_binary_l1_agrees_with_scikit_learn(tasks, share, weighted):
    Z, y = tasks[0], (tasks[1] == 0).int()
    weight = torch.rand(5, 60, dtype=torch.float64) + 0.1 if weighted else None
    weight = weight.to(Z.device) if weighted else None
    alpha = share * logistic_alpha_max(Z, y, sample_weight=weight)
    w = logistic(Z, y, alpha, sample_weight=weight)
    assert w.shape == (5, 6)
    for t in range(5):
        s = np.ones(60) if weight is None else weight[t].cpu().numpy()
        # The loss of scikit-learn is a sum.
        model = LogisticRegression(
            C=1 / (float(alpha[t]) * s.sum()),
            l1_ratio=1,
            solver="liblinear",
            fit_intercept=False,
            tol=1e-10,
            max_iter=10_000,
        ).fit(Z[t].cpu().numpy(), y[t].cpu().numpy(), sample_weight=s)
        assert_allclose(w[t].cpu(), model.coef_[0], atol=1e-6)


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_ridge_alone_agrees_with_scikit_learn(tasks, fit_intercept, n_classes):
    Z, y = tasks[0] + 0.5, tasks[1].clamp_max(n_classes - 1)
    how = {"l2": 0.05, "fit_intercept": fit_intercept, "n_classes": n_classes}
    W = logistic(Z, y, 0.0, **how)
    b = torch.zeros(5, 1)
    if fit_intercept:
        W, b = W
        b = b.reshape(5, -1)
    for t in range(5):
        model = LogisticRegression(
            C=1 / (0.05 * 60),
            solver="newton-cg",
            fit_intercept=fit_intercept,
            tol=1e-12,
            max_iter=1000,
        ).fit(Z[t].cpu().numpy(), y[t].cpu().numpy())
        found = W[t].reshape(6, -1).T.cpu()
        assert_allclose(found, model.coef_, atol=1e-6)
        if fit_intercept:
            # Intercepts are free up to a constant; ours sum to zero.
            shift = model.intercept_.mean() if n_classes > 2 else 0.0
            assert_allclose(b[t].cpu(), model.intercept_ - shift, atol=1e-6)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_binary_agrees_with_celer(tasks, share, solver):
    Z, y = tasks[0], (tasks[1] == 0).int()
    mask = torch.arange(60, device=Z.device) < 50
    alpha = share * logistic_alpha_max(Z, y, mask=mask)
    w, info = logistic(Z, y, alpha, mask=mask, solver=solver, return_info=True)
    assert info.converged.all()
    for t in range(5):
        model = celer.LogisticRegression(
            C=1 / (50 * float(alpha[t])), fit_intercept=False, tol=1e-12
        ).fit(Z[t, :50].cpu().numpy(), 2 * y[t, :50].cpu().numpy() - 1)
        assert_allclose(w[t].cpu(), model.coef_[0], atol=1e-6)


@pytest.mark.parametrize("solver", SOLVERS)
def test_wide_binary_problems(solver, device):
    generator = torch.Generator().manual_seed(0)
    Z = torch.randn(2, 30, 80, dtype=torch.float64, generator=generator).to(device)
    y = (Z[..., 0] > Z[..., 50]).int()
    alpha = 0.1 * logistic_alpha_max(Z, y)
    w, info = logistic(Z, y, alpha, solver=solver, return_info=True)
    assert info.converged.all()
    for t in range(2):
        data = (a[t].cpu().numpy() for a in (Z, y, w))
        assert duality_gap(*data, 0.0, float(alpha[t]), 0.0) <= 1e-12


@pytest.mark.parametrize("fit_intercept", [False, True])
def test_wide_multinomial_problems(fit_intercept, device):
    generator = torch.Generator().manual_seed(0)
    Z = torch.randn(2, 40, 70, dtype=torch.float64, generator=generator).to(device)
    y = Z[..., :3].argmax(-1)
    alpha = 0.1 * logistic_alpha_max(Z, y, fit_intercept=fit_intercept)
    how = {"fit_intercept": fit_intercept, "return_info": True}
    W, *b, info = logistic(Z, y, alpha, **how)
    assert info.converged.all()
    # Plain steps find the support, and Newton's the digits.
    assert (info.n_iter <= 8).all()
    for t in range(2):
        Z_t, y_t, W_t = (a[t].cpu().numpy() for a in (Z, y, W))
        b_t = b[0][t].cpu().numpy() if fit_intercept else 0.0
        assert duality_gap(Z_t, y_t, W_t, b_t, float(alpha[t]), 0.0) <= 1e-12
        assert 3 <= info.support[t].sum() < 50


def test_two_classes_are_the_multinomial_problem_of_two(tasks):
    """A third class without a sample leaves, in effect, the binary problem."""
    Z, y = tasks[0], (tasks[1] == 0).int()
    alpha = 0.1 * logistic_alpha_max(Z, y, fit_intercept=True)
    how = {"fit_intercept": True, "l2": 0.02}
    w, b = logistic(Z, y, alpha, **how)
    # There the norm of a row (-w/2, w/2, 0) is |w| / sqrt 2, and its square w^2 / 2.
    how["l2"] *= 2
    W, B = logistic(Z, y, alpha * 2**0.5, n_classes=3, **how)
    assert_allclose((W[..., 1] - W[..., 0]).cpu(), w.cpu(), atol=1e-9)
    assert_allclose((B[..., 1] - B[..., 0]).cpu(), b.cpu(), atol=1e-9)
    assert_allclose(W[..., 2].cpu(), 0.0, atol=1e-12)
    assert (B[..., 2] < -30).all()


def test_coefficients_and_intercepts_sum_to_zero(tasks):
    W, b = logistic(*tasks, 0.02, fit_intercept=True)
    assert W.shape == (5, 6, 3)
    assert b.shape == (5, 3)
    assert_allclose(W.sum(-1).cpu(), 0.0, atol=1e-12)
    assert_allclose(b.sum(-1).cpu(), 0.0, atol=1e-12)


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_task_may_lack_classes(tasks, fit_intercept, n_classes):
    Z, y = tasks[0].clone().requires_grad_(), tasks[1].clamp_max(n_classes - 1)
    y[1][y[1] == n_classes - 1] = 0
    y[2] = 0
    how = {"n_classes": n_classes, "fit_intercept": fit_intercept}
    out = logistic(Z, y, 0.02, return_info=True, **how)
    W, info = out[0], out[-1]
    b = out[1] if fit_intercept else torch.zeros_like(W[:, 0])
    assert info.converged.all()
    eta = torch.einsum("tnk,tk...->tn...", Z, W) + b.unsqueeze(1)
    if n_classes == 2:
        loss = torch.nn.functional.binary_cross_entropy_with_logits(eta, y.double())
    else:
        loss = torch.nn.functional.cross_entropy(eta.flatten(0, 1), y.flatten())
    loss.backward()
    assert torch.isfinite(Z.grad).all()
    if fit_intercept:
        # Features have nothing to tell where there is a single class.
        assert not W[2].any()
        probability = eta[2].sigmoid() if n_classes == 2 else eta[2].softmax(-1)[:, 1:]
        assert (probability < 1e-15).all()


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_alpha_max_is_the_boundary(tasks, solver, dtype):
    Z, y = tasks[0].to(dtype), tasks[1]
    for n_classes in (2, 3):
        for fit_intercept in (False, True):
            how = {"n_classes": n_classes, "fit_intercept": fit_intercept}
            labels = y.clamp_max(n_classes - 1)
            alpha_max = logistic_alpha_max(Z, labels, **how)
            assert alpha_max.dtype == dtype
            can = solver == "batched" or (n_classes == 2 and not fit_intercept)
            how["solver"] = solver if can else "batched"
            for factor, n_active in ((1.0, 0), (1 - 1e-6, 1)):
                alpha = factor * alpha_max.double()
                *_, info = logistic(Z, labels, alpha, return_info=True, **how)
                assert (info.support.sum(-1) == n_active).all()


def test_intercept_alone_gives_the_frequencies(tasks):
    Z, y = tasks
    W, b = logistic(Z, y, 10.0, fit_intercept=True)
    assert not W.any()
    share = torch.nn.functional.one_hot(y).double().mean(1).cpu()
    assert_allclose(b.softmax(-1).cpu(), share, atol=1e-12)
    _, b = logistic(Z, (y == 0).int(), 10.0, fit_intercept=True)
    assert_allclose(b.sigmoid().cpu(), share[:, 0], atol=1e-12)


def test_constant_features_get_nothing_beside_an_intercept(tasks):
    Z, y = tasks
    W, b = logistic(Z, y, 1e-4, fit_intercept=True)
    constant = torch.cat([Z, 0 * Z[..., :1] + 0.1], -1)
    wide, c = logistic(constant, y, 1e-4, fit_intercept=True)
    assert not wide[:, 6].any()
    assert_allclose(wide[:, :6].cpu(), W.cpu(), atol=1e-9)
    assert_allclose(c.cpu(), b.cpu(), atol=1e-9)
    assert not logistic_alpha_max(constant[..., 6:], y, fit_intercept=True).any()


def test_leading_axes_masks_and_weights(tasks):
    Z, y = tasks
    W, info = logistic(Z[:4].reshape(2, 2, 60, 6), y[0], 0.02, return_info=True)
    assert W.shape == (2, 2, 6, 3)
    assert info.support.shape == (2, 2, 6)
    assert info.gap.shape == info.n_iter.shape == info.converged.shape == (2, 2)
    assert_allclose(W[1, 1].cpu(), logistic(Z[3], y[0], 0.02).cpu(), atol=1e-10)
    shared = logistic(Z[0], y, 0.02, fit_intercept=True)
    apart = logistic(Z[:1].expand(5, -1, -1), y, 0.02, fit_intercept=True)
    for one, two in zip(shared, apart, strict=True):
        assert_allclose(one.cpu(), two.cpu(), atol=1e-10)

    keep = torch.arange(60, device=Z.device) < 40
    y[:, 50:] = -1
    how = {"fit_intercept": True, "n_classes": 3}
    short = logistic(Z[:, :40], y[:, :40], 0.02, **how)
    masked = logistic(Z, y, 0.02, mask=keep, **how)
    weighted = logistic(Z, y, 0.02, sample_weight=2.5 * keep, **how)
    for one, two, three in zip(short, masked, weighted, strict=True):
        assert_allclose(one.cpu(), two.cpu(), atol=1e-10)
        assert_allclose(one.cpu(), three.cpu(), atol=1e-10)


def test_dead_feature_changes_nothing(tasks):
    Z, y = tasks
    W = logistic(Z, y, 0.02)
    dead = logistic(torch.cat([Z, 0 * Z[..., :1]], -1), y, 0.02)
    assert_allclose(dead[:, :6].cpu(), W.cpu(), atol=1e-10)
    assert not dead[:, 6].any()


def test_missing_the_tolerance_warns(tasks):
    with pytest.warns(ConvergenceWarning, match="logistic: . of 5 problems"):
        W, info = logistic(*tasks, 0.02, tol=0.0, max_iter=1, return_info=True)
    assert not info.converged.all()
    assert torch.isfinite(W).all()


@pytest.mark.parametrize("fit_intercept", [False, True])
def test_correlated_features_seldom_cycle(fit_intercept):
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    Z = draw(50, 60, 6) + 3 * draw(50, 60, 1)
    y = (Z[..., 0] - Z[..., 1] + draw(50, 60) > 0).int()
    how = {"fit_intercept": fit_intercept}
    alpha = 0.1 * logistic_alpha_max(Z, y, **how)
    *_, info = logistic(Z, y, alpha, solver="batched", return_info=True, **how)
    assert info.converged.all()
    # The others are smoothed.
    assert (info.n_iter <= 12).double().mean() > 0.9
