"""The Ridge layer against references, finite differences and its limits."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression, Ridge

from sparsedis.implicit import ridge, ridge_alpha_max


def objective(Z, y, w, alpha):
    return 0.5 * np.mean((y - Z @ w) ** 2) + 0.5 * alpha * (w @ w)


def reference_solution(Z, y, alpha):
    """Least squares of the augmented design, in units with columns of norm 1."""
    n, k = Z.shape
    Z = np.concatenate([Z / np.sqrt(n), np.sqrt(alpha) * np.eye(k)])
    scale = np.linalg.norm(Z, axis=0)
    scale = 1 / np.where(scale > 0, scale, 1.0)
    y = np.concatenate([y / np.sqrt(n), np.zeros(k)])
    return scale * np.linalg.lstsq(Z * scale, y)[0]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_hard_problems_against_least_squares(hard_batch, device, dtype):
    y = np.float32(hard_batch.signal + hard_batch.noise).astype(float)
    Z, y_all, alpha, mask = (
        torch.tensor(a, device=device)
        for a in (hard_batch.Z, y, hard_batch.l2, hard_batch.mask)
    )
    w, info = ridge(Z.to(dtype), y_all.to(dtype), alpha, mask=mask, return_info=True)
    assert w.dtype == dtype
    assert info.converged.all()
    assert (info.gap <= 1e-12).all()
    for t in range(len(y)):
        Z_t, y_t = hard_batch.task(t, y)
        penalty = hard_batch.l2[t]
        value = objective(Z_t, y_t, w[t].double().cpu().numpy(), penalty)
        best = objective(Z_t, y_t, reference_solution(Z_t, y_t, penalty), penalty)
        rtol = 1e-6 if dtype == torch.float64 else 1e-4
        # The promise of tol is relative to the objective at zero.
        assert_allclose(value, best, rtol=rtol, atol=1e-11 * np.mean(y_t**2) / 2)


@pytest.fixture
def tasks(device):
    generator = torch.Generator().manual_seed(0)
    Z = torch.randn(5, 12, 4, dtype=torch.float64, generator=generator)
    y = torch.randn(5, 12, dtype=torch.float64, generator=generator)
    return Z.to(device), y.to(device)


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 1e-3, 10.0])
def test_agrees_with_scikit_learn(tasks, fit_intercept, weighted, alpha):
    Z, y = tasks[0] + 2.0, tasks[1] - 3.0
    weight = torch.rand_like(y) + 0.1 if weighted else torch.ones_like(y)
    w, intercept = ridge(Z, y, alpha, sample_weight=weight, fit_intercept=True)
    if not fit_intercept:
        w = ridge(Z, y, alpha, sample_weight=weight if weighted else None)
        intercept = torch.zeros(5)
    for t in range(5):
        s = weight[t].cpu().numpy()
        # scikit-learn's loss is a sum.
        model = Ridge(s.sum() * alpha) if alpha else LinearRegression()
        model.set_params(fit_intercept=fit_intercept)
        model.fit(Z[t].cpu().numpy(), y[t].cpu().numpy(), sample_weight=s)
        assert_allclose(w[t].cpu(), model.coef_, atol=1e-10)
        assert_allclose(intercept[t].cpu(), model.intercept_, atol=1e-10)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_without_penalty_the_norm_is_the_least(tasks, scale):
    Z, y = tasks
    for features in (Z[:, :3], torch.cat([Z, Z[..., :1]], -1), 0 * Z):
        # One column in units of its own must not be taken for a dependent one.
        features = features.clone()
        features[..., 1] *= scale
        target = y[:, : features.shape[1]]
        w = ridge(features, target, 0.0)
        for t in range(5):
            least, *_ = np.linalg.lstsq(features[t].cpu().numpy(), target[t].cpu())
            assert_allclose(w[t].cpu(), least, rtol=1e-6, atol=1e-9)


def test_one_penalty_per_task_and_shared_features(tasks):
    Z, y = tasks
    alpha = torch.linspace(0.0, 1.0, 5).to(Z)
    w, info = ridge(Z[0], y, alpha, return_info=True)
    assert info.support.all()
    for t in range(5):
        assert_allclose(w[t].cpu(), ridge(Z[0], y[t], alpha[t]).cpu(), atol=1e-12)


def test_shared_features_of_which_columns_nearly_agree(tasks):
    Z, y = tasks[0][0], tasks[1]
    Z = torch.cat([Z, Z[:, :1] + 1e-6 * Z[:, 1:2] * Z[:, 2:3]], -1)
    alpha = torch.tensor([0.0, 1e-12, 0.0, 1e-11, 1e-12]).to(Z)
    inputs = [v.clone().requires_grad_() for v in (Z, y, alpha)]
    w, info = ridge(*inputs, return_info=True)
    assert info.converged.all()
    found = torch.autograd.grad(w[:, 0].sum(), inputs)
    single = [ridge(inputs[0], inputs[1][t], inputs[2][t]) for t in range(5)]
    expected = torch.autograd.grad(sum(w[0] for w in single), inputs)
    pairs = (w, torch.stack(single)), *zip(found, expected, strict=True)
    for one, other in pairs:
        size = float(other.detach().abs().max())
        assert_allclose(one.detach().cpu(), other.detach().cpu(), atol=1e-6 * size)


def test_alpha_max_is_the_mean_squared_norm(tasks):
    Z, y = tasks
    expected = (Z**2).sum((1, 2)) / 12
    assert_allclose(ridge_alpha_max(Z, y).cpu(), expected.cpu())
    assert_allclose(ridge_alpha_max(Z[0], y).cpu(), expected[0].expand(5).cpu())
    centred = ((Z - Z.mean(1, keepdim=True)) ** 2).sum((1, 2)) / 12
    assert_allclose(ridge_alpha_max(Z, y, fit_intercept=True).cpu(), centred.cpu())
    mask = torch.arange(12, device=Z.device) < 6
    assert_allclose(
        ridge_alpha_max(Z, y, mask=mask).cpu(),
        ridge_alpha_max(Z[:, :6], y[:, :6]).cpu(),
    )


@pytest.mark.parametrize(
    "case",
    [
        *("plain", "no penalty", "more features", "duplicated", "intercept"),
        *("one system", "all of it"),
    ],
)
def test_gradients_are_those_of_finite_differences(tasks, case):
    Z, y = tasks[0][:2], tasks[1][:2]
    alpha = torch.tensor([0.2, 0.5]).to(Z)
    how = {}
    if case == "no penalty":
        # On both sides of 0 the formula is the same; only the layer refuses one.
        alpha = torch.tensor([1e-5, 1e-5]).to(Z)
    elif case == "more features":
        Z, y = Z[:, :3], y[:, :3]
    elif case == "duplicated":
        Z = torch.cat([Z, Z[..., :1]], -1)
    elif case == "intercept":
        how["fit_intercept"] = True
    elif case == "one system":
        Z, alpha = Z[0], torch.full_like(alpha, 0.2)
    elif case == "all of it":
        Z = Z[0]
        how = {
            "fit_intercept": True,
            "mask": torch.arange(12, device=Z.device) < 9,
            "sample_weight": torch.rand_like(y),
        }
    inputs = [v.clone().requires_grad_() for v in (Z, y, alpha)]
    assert torch.autograd.gradcheck(
        lambda *args: ridge(*args, **how), inputs, atol=1e-7, rtol=1e-5
    )


def test_gradient_without_penalty_is_of_minimum_norm_for_dependent_columns(tasks):
    Z, y = tasks
    Z = torch.cat([Z, Z[..., :1]], -1).requires_grad_()
    y = y.clone().requires_grad_()
    alpha = torch.zeros(5, requires_grad=True, dtype=Z.dtype, device=Z.device)
    w = ridge(Z, y, alpha)
    with pytest.warns(RuntimeWarning, match="linearly dependent"):
        (w * torch.arange(5).to(Z)).sum().backward()
    gradients = [v.grad.cpu() for v in (Z, y, alpha)]
    Z, y, w = (v.detach().cpu().numpy() for v in (Z, y, w))
    for t in range(5):
        inverse = np.linalg.pinv(Z[t], rcond=1e-10)
        assert_allclose(w[t], inverse @ y[t], atol=1e-12)
        # u = (Z'Z / n)^+ g, and the gradients in closed form from it.
        u = 12 * inverse @ inverse.T @ np.arange(5)
        residual = y[t] - Z[t] @ w[t]
        expected = (np.outer(residual, u) - np.outer(Z[t] @ u, w[t])) / 12
        assert_allclose(gradients[0][t], expected, atol=1e-10)
        assert_allclose(gradients[1][t], Z[t] @ u / 12, atol=1e-10)
        assert_allclose(gradients[2][t], -u @ w[t], atol=1e-10)


@pytest.mark.parametrize("alpha", [0.0, 1e-18, 1e-10])
@pytest.mark.parametrize("apart", [1e-3, 1e-6, 1e-8])
def test_columns_that_nearly_agree(apart, alpha, device):
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((30, 3))
    noise = rng.standard_normal(30)
    Z[:, 1] = Z[:, 0] + apart * noise
    # All that there is to explain is what tells the two apart.
    y = (Z[:, 1] - Z[:, 0]) / apart
    expected = reference_solution(Z, y, alpha)
    inputs = [torch.tensor(v, device=device, requires_grad=True) for v in (Z, y)]
    w, info = ridge(*inputs, alpha, return_info=True)
    assert info.converged
    assert info.gap <= 1e-12
    size = np.abs(expected).max()
    assert_allclose(w.detach().cpu(), expected, atol=1e-6 * size)
    # Coefficients of 1e8 cancel: with the digits of doubles the objective is noise.
    long = Z.astype(np.longdouble), y.astype(np.longdouble)
    excess = objective(*long, w.detach().cpu().numpy(), alpha)
    excess -= objective(*long, expected, alpha)
    assert excess <= 1e-12 * np.mean(y**2) / 2
    # dw/dy is the pseudo-inverse of the augmented design.
    w[2].backward()
    augmented = np.concatenate([Z / np.sqrt(30), np.sqrt(alpha) * np.eye(3)])
    inverse = np.linalg.pinv(augmented, rcond=1e-14)[2, :30] / np.sqrt(30)
    size = np.abs(inverse).max()
    assert_allclose(inputs[1].grad.cpu(), inverse, atol=1e-6 * size)


def test_columns_that_nearly_agree_in_one_task_of_several(tasks):
    Z, y = tasks[0].clone(), tasks[1]
    Z[3, :, 1] = Z[3, :, 0] + 1e-7 * Z[3, :, 1]
    w, info = ridge(Z, y, 0.0, return_info=True)
    assert info.converged.all()
    for t in range(5):
        expected = reference_solution(Z[t].cpu().numpy(), y[t].cpu().numpy(), 0.0)
        assert_allclose(w[t].cpu(), expected, rtol=1e-6)


def test_a_gap_counts_what_rounding_leaves_open(device):
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((30, 3))
    Z[:, 1] = Z[:, 0] + 1e-13 * rng.standard_normal(30)
    y = (Z[:, 1] - Z[:, 0]) * 1e13
    with pytest.warns(ConvergenceWarning):
        w, info = ridge(
            *(torch.tensor(v, device=device) for v in (Z, y)), 0.0, return_info=True
        )
    excess = objective(Z, y, w.cpu().numpy(), 0.0) / (np.mean(y**2) / 2)
    assert not info.converged
    assert info.gap >= excess - 1e-4
