"""Penalties of tasks: every layer names a wrong one, and accepts every form."""

import pytest
import torch

from sparsedis.implicit import (
    group_lasso_svm,
    lasso,
    logistic,
    multitask_lasso,
    ridge,
)

generator = torch.Generator().manual_seed(0)
Z = torch.randn(3, 8, 2, generator=generator)
Y = torch.randn(3, 8, generator=generator)


def svm(Z, y, alpha, *, l2=1.0, **how):
    """The SVM with an l2 of its own, as the other layers have."""
    return group_lasso_svm(Z, y, alpha, l2, **how)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (-0.1, "must be finite and >=? 0, got -0.1 for task 0"),
        (torch.tensor([0.1, 0.1, -2.0]), "must be finite and >=? 0, got -2 for task 2"),
        (float("nan"), "must be finite and >=? 0, got nan"),
        (float("inf"), "must be finite and >=? 0, got inf"),
        (
            torch.ones(2),
            r"must be a number or one per task, of shape \(3,\); got shape \(2,\)",
        ),
        (True, "must be real, got torch.bool"),
        (1j, "must be real, got torch.complex"),
        ("0.1", "must be a number or a tensor, got '0.1'"),
        ([None], r"must be a number or a tensor, got \[None\]"),
        (
            [torch.tensor(0.1, requires_grad=True)] * 3,
            "must be a number or a tensor, got",
        ),
        ([0.1, [0.2]], "must be a number or a tensor, got"),
    ],
)
@pytest.mark.parametrize(
    ("layer", "target", "name"),
    [
        (lasso, Y, "alpha"),
        (lasso, Y, "l2"),
        (ridge, Y, "alpha"),
        (multitask_lasso, Y[..., None], "alpha"),
        (multitask_lasso, Y[..., None], "l2"),
        (logistic, Y > 0, "alpha"),
        (logistic, Y > 0, "l2"),
        (svm, Y > 0, "alpha"),
        (svm, Y > 0, "l2"),
    ],
)
def test_bad_penalty(layer, target, name, value, message):
    penalties = {"alpha": 0.1, name: value}
    with pytest.raises(ValueError, match=f"{name} {message}"):
        layer(Z, target, **penalties)


def test_l2_of_the_svm_must_not_be_zero():
    l2 = torch.tensor([1.0, 0.0, 1.0])
    with pytest.raises(ValueError, match="l2 must be finite and > 0, got 0 for task 1"):
        group_lasso_svm(Z, Y > 0, 0.1, l2)


@pytest.mark.parametrize("layer", [lasso, ridge])
def test_a_number_is_not_rounded(layer):
    rng = torch.Generator().manual_seed(0)
    Z = torch.randn(20, 3, generator=rng, dtype=torch.float64)
    y = torch.randn(20, generator=rng, dtype=torch.float64)
    exact = torch.tensor(0.1, dtype=torch.float64)
    assert torch.equal(layer(Z, y, 0.1), layer(Z, y, exact))


@pytest.mark.parametrize("layer", [lasso, ridge, logistic, svm])
def test_penalties_may_come_in_any_form(layer):
    target = Y.sign().clamp_min(0)
    alpha = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)
    expected = layer(Z, target, alpha)
    for form in (alpha.tolist(), alpha.numpy(), alpha.numpy()[::-1].copy()[::-1]):
        assert torch.equal(layer(Z, target, form), expected)
