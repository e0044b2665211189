"""Gradients of the logistic layer against finite differences, and at kinks."""

import weakref

import pytest
import torch

from sparsedis.implicit import logistic, logistic_alpha_max
from sparsedis.solvers._products import Curvature
from sparsedis.solvers.logistic import Logistic

CASES = ["plain", "without l2", "empty support", "all active", "missing class"]
CASES += ["more features than samples", "duplicated columns", "all of it"]


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


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("case", CASES)
def test_gradients_are_those_of_finite_differences(case, n_classes, device):
    generator = torch.Generator().manual_seed(3)
    n, k = (4, 5) if case == "more features than samples" else (6, 3)
    Z = torch.randn(2, n, k, dtype=torch.float64, generator=generator)
    noise = torch.randn(2, n, dtype=torch.float64, generator=generator)
    y = torch.bucketize(Z[..., :2].sum(-1) + noise, torch.tensor([0.0, 1.0]).double())
    y = y.clamp_max(n_classes - 1)
    how = {"n_classes": n_classes}
    share = {"empty support": 1.1, "all active": 1e-3}.get(case, 0.2)
    l2 = torch.tensor([0.1, 0.2], dtype=torch.float64)
    if case == "duplicated columns":
        Z[..., 1] = Z[..., 0]
    if case == "missing class":
        y[1] = y[1].clamp_max(n_classes - 2)
        how["fit_intercept"] = n_classes > 2
    if case == "all of it":
        how |= {
            "fit_intercept": True,
            "mask": (torch.arange(n) < torch.tensor([[n], [n - 3]])).to(device),
            "sample_weight": torch.rand(2, n, generator=generator).to(device),
        }
        Z = Z[0]
    Z, y = Z.to(device), y.to(device)
    alpha = share * logistic_alpha_max(Z, y, **how)
    inputs = [Z, alpha, l2.to(device)][: 2 if case == "without l2" else 3]

    *_, info = logistic(Z, y, alpha, l2=l2.to(device), return_info=True, **how)
    active = info.support.double().mean()
    if case in ("empty support", "all active"):
        assert active == (case == "all active")
    else:
        assert active > 0

    def solve(Z, alpha, l2=0.0):
        return logistic(Z, y, alpha, l2=l2, **how)

    inputs = [v.requires_grad_() for v in inputs]
    # Every entry of the gradient where all comes together, else a projection of it.
    fast = case != "all of it"
    assert torch.autograd.gradcheck(solve, inputs, atol=1e-7, rtol=1e-5, fast_mode=fast)


def backward(Z, y, alpha, **how):
    """Gradients of a generic function of the solution."""
    inputs = [v.clone().requires_grad_() for v in (Z, torch.as_tensor(alpha).to(Z))]
    l2 = torch.zeros((), dtype=Z.dtype, device=Z.device, requires_grad=True)
    out = logistic(inputs[0], y, inputs[1], l2=l2, **how)
    loss = 0.0
    for value in out if isinstance(out, tuple) else (out,):
        loss = loss + (value * torch.arange(1, value.shape[-1] + 1).to(Z)).sum()
    loss.backward()
    return [v.grad for v in (*inputs, l2)]


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_gradient_is_finite_at_kinks(tasks, n_classes, fit_intercept):
    Z, y = tasks[0], tasks[1].clamp_max(n_classes - 1)
    how = {"n_classes": n_classes, "fit_intercept": fit_intercept}
    kinks = {
        "at alpha_max": (Z, y, logistic_alpha_max(Z, y, **how)),
        "no features": (0 * Z, y, 0.1),
        "a dead feature": (Z * (torch.arange(6, device=Z.device) > 0), y, 0.01),
        "one class": (Z, 0 * y, 0.01),
    }
    for case, problem in kinks.items():
        for gradient in backward(*problem, **how):
            assert torch.isfinite(gradient).all(), case


@pytest.mark.parametrize("n_classes", [2, 3])
def test_gradient_at_duplicated_columns_is_finite(tasks, n_classes):
    Z, y = tasks[0], tasks[1].clamp_max(n_classes - 1)
    with pytest.warns(RuntimeWarning, match="linearly dependent") as log:
        gradients = backward(torch.cat([Z, Z], -1), y, 1e-3)
    assert len(log) == 1
    for gradient in gradients:
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 0.02])
def test_backward_pass_needs_no_second_problem(
    monkeypatch, tasks, n_classes, shared, alpha
):
    Z, y = tasks[0][0] if shared else tasks[0], tasks[1].clamp_max(n_classes - 1)
    parts = Z, torch.full_like(y[:, 0], alpha, dtype=Z.dtype), y.new_ones(5).to(Z) / 10
    made, make = [], Logistic.__init__

    def count(self, *args):
        made.append(self)
        make(self, *args)

    monkeypatch.setattr(Logistic, "__init__", count)

    def gradients():
        inputs = [part.clone().requires_grad_() for part in parts]
        W, b = logistic(
            *(inputs[0], y, inputs[1]), l2=inputs[2], n_classes=n_classes, **how
        )
        return torch.autograd.grad(W.square().sum() + b.cos().sum(), inputs)

    how = {"fit_intercept": True}
    found = gradients()
    assert len(made) == 1
    # Those of autograd.
    monkeypatch.delattr(Logistic, "cotangents")
    for own, expected in zip(found, gradients(), strict=True):
        torch.testing.assert_close(own, expected, rtol=1e-9, atol=1e-11)


def test_graph_keeps_no_products_of_features(monkeypatch, tasks):
    made, make = [], Curvature._pairs

    def note(self, rows):
        pairs = make(self, rows)
        made.append(weakref.ref(pairs))
        return pairs

    monkeypatch.setattr(Curvature, "_pairs", note)
    Z = tasks[0][0].clone().requires_grad_()
    W = logistic(Z, tasks[1], 0.0, l2=0.1, n_classes=3)
    assert len(made) == 1
    assert made[0]() is None
    W.sum().backward()
    assert torch.isfinite(Z.grad).all()
