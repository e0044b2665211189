"""Numbers whose squares are none, weights beyond any sum, and narrow dtypes."""

import re

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.exceptions import ConvergenceWarning

from sparsedis.implicit import (
    group_lasso_svm,
    group_lasso_svm_alpha_max,
    lasso,
    lasso_alpha_max,
    logistic,
    logistic_alpha_max,
    multitask_lasso,
    multitask_lasso_alpha_max,
    ridge,
    ridge_alpha_max,
)
from sparsedis.implicit._inputs import read_tasks


def two_outputs(y):
    return torch.stack([y, -2 * y], -1)


# Each layer of Z, y, a penalty of norms and one of squares.
LAYERS = {
    "lasso": lambda Z, y, alpha, l2, **how: lasso(Z, y, alpha, l2=l2, **how),
    "multitask_lasso": lambda Z, y, alpha, l2, **how: multitask_lasso(
        Z, two_outputs(y), alpha, l2=l2, **how
    ),
    "ridge": lambda Z, y, alpha, l2, **how: ridge(Z, y, l2, **how),
    "logistic": lambda Z, y, alpha, l2, **how: logistic(Z, y > 0, alpha, l2=l2, **how),
    "multinomial": lambda Z, y, alpha, l2, **how: logistic(
        Z, (y > 0).int() + (y > 0.5 * y.max()), alpha, l2=l2, **how
    ),
    "svm": lambda Z, y, alpha, l2, **how: group_lasso_svm(Z, y > 0, alpha, l2, **how),
}
SQUARED = ("lasso", "multitask_lasso", "ridge")
LARGEST = {
    "lasso": lasso_alpha_max,
    "multitask_lasso": lambda Z, y, **how: multitask_lasso_alpha_max(
        Z, two_outputs(y), **how
    ),
    "ridge": ridge_alpha_max,
    "logistic": lambda Z, y, **how: logistic_alpha_max(Z, y > 0, **how),
    "svm": lambda Z, y, **how: group_lasso_svm_alpha_max(Z, y > 0, **how),
}


def make_data(dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    Z = torch.randn(3, 30, 4, generator=generator, dtype=torch.float64)
    noise = torch.randn(3, 30, generator=generator, dtype=torch.float64)
    return Z.to(dtype), (Z[..., 0] - 0.5 * Z[..., 1] + 0.3 * noise).to(dtype)


def penalties(name):
    return (0.5, 1.0) if name == "svm" else (0.05, 0.01)


UNITS = [(500, 0), (-500, 0), (0, -560), (-400, -500), (450, 450)]
CASES = [(name, *unit) for name in LAYERS for unit in UNITS]
# Labels have no unit, and without an l2 that is a number there is no SVM.
CASES = [
    (name, s, v)
    for name, s, v in CASES
    if name in SQUARED or (v == 0 and name != "svm") or (name == "svm" and v == s == 0)
] + [("svm", 480, 0), ("svm", -480, 0)]


# Powers of 2, so that the problem stays the same to the last digit.
@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize(("name", "s", "v"), CASES)
def test_units_of_features_and_targets_do_not_matter(name, s, v, fit_intercept):
    Z, y = make_data()
    alpha, l2 = penalties(name)
    if name != "svm":
        # As a number in those units l2 may be none.
        l2 = 0.0 if abs(s) > 490 else l2
        alpha = 0.0 if abs(s + v) > 990 else alpha
    how = {"fit_intercept": fit_intercept, "return_info": True}
    expected, *_ = LAYERS[name](Z, y, alpha, l2, **how)
    inputs = [(Z * 2.0**s).requires_grad_(), (y * 2.0**v).requires_grad_()]
    scaled = alpha * 2.0**s * 2.0**v, l2 * 2.0**s * 2.0**s
    W, *_, info = LAYERS[name](*inputs, *scaled, **how)
    assert info.converged.all()
    W = W * 2.0 ** (s - v)
    assert_allclose(W.detach(), expected, rtol=1e-9, atol=1e-12)
    W.square().sum().backward()
    assert torch.isfinite(inputs[0].grad).all()


@pytest.mark.parametrize("name", LAYERS)
def test_tasks_of_zeros_beside_large_ones(name):
    Z, y = make_data()
    Z[0], y[1] = 0.0, 0.0
    alpha, l2 = penalties(name)
    expected = LAYERS[name](Z, y, alpha, l2)
    found = LAYERS[name](Z * 2.0**300, y, alpha * 2.0**300, l2 * 2.0**600)
    assert_allclose(found * 2.0**300, expected, rtol=1e-9, atol=1e-12)
    assert not found[0].any()


@pytest.mark.parametrize("factor", [1e30, 1e155, 1e307, 1e-300])
@pytest.mark.parametrize("name", LAYERS)
def test_equal_weights_are_none(name, factor):
    Z, y = make_data()
    alpha, l2 = penalties(name)
    expected = LAYERS[name](Z, y, alpha, l2)
    if name == "svm":
        # Its loss is a sum.
        alpha, l2 = alpha * factor, l2 * factor
    weight = torch.full_like(y, factor)
    found, info = LAYERS[name](Z, y, alpha, l2, sample_weight=weight, return_info=True)
    assert info.converged.all()
    assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("name", LAYERS)
def test_narrow_dtypes_are_rounded_at_the_end(name, dtype):
    Z, y = make_data(dtype)
    expected = LAYERS[name](Z.double(), y.double(), *penalties(name))
    found, info = LAYERS[name](Z, y, *penalties(name), return_info=True)
    assert found.dtype == dtype
    assert info.converged.all()
    assert_allclose(
        found.double(), expected, rtol=2 * torch.finfo(dtype).eps, atol=1e-5
    )


@pytest.mark.parametrize("name", SQUARED)
def test_what_the_dtype_cannot_hold_is_refused(name):
    Z, y = make_data()
    data = (1e-4 * Z).half(), (1e3 * y).half()
    with pytest.raises(
        ValueError, match=r"task 0 is beyond 6.6e\+04.*float16.*Rescale"
    ):
        LAYERS[name](*data, 0.0, 0.0)
    with pytest.raises(ValueError, match=r"beyond 1.8e\+308"):
        LAYERS[name](Z * 1e-200, y * 1e200, 0.0, 0.0)
    large = Z.half() * 1e4, y.half() * 1e4
    with pytest.raises(ValueError, match=r"This penalty.* is beyond 6.6e\+04"):
        LARGEST[name](*large)


@pytest.mark.parametrize("name", LARGEST)
def test_largest_penalties_have_their_units(name):
    Z, y = make_data()
    found = LARGEST[name](Z * 2.0**300, y)
    power = 600 if name == "ridge" else 300
    assert_allclose(found, LARGEST[name](Z, y) * 2.0**power, rtol=1e-12)
    weight = torch.full_like(y, 2.0**800)
    found = LARGEST[name](Z, y, sample_weight=weight)
    expected = LARGEST[name](Z, y) * (2.0**800 if name == "svm" else 1)
    assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("name", [name for name in LAYERS if name != "svm"])
def test_features_that_vanish_beside_others(name):
    Z, y = make_data()
    Z[..., 0] *= 1e-200
    with pytest.raises(ValueError, match=r"too different sizes.* task 0: feature 0"):
        LAYERS[name](Z, y, 0.0, 0.0)
    # Left out by the penalty, or of no use beside it.
    rest = LAYERS[name](Z[..., 1:], y, *penalties(name))
    found = LAYERS[name](Z, y, *penalties(name))[:, 1:]
    assert_allclose(found, rest, atol=1e-9)


@pytest.mark.parametrize("k", [3, 20])
def test_features_of_zeros_have_no_size(k):
    Z = torch.ones(2, 4, k).double()
    Z[0, :, 1] = 0.0
    y = torch.zeros(2, 4).double()
    assert read_tasks(Z, y).squares == {"Z": (4.0, 4.0), "y": (0.0, 0.0)}
    # The square of a small number is zero, too.
    Z[0, 2, 1] = 1e-200
    assert read_tasks(Z, y).squares["Z"] == (0.0, 4.0)
    assert read_tasks(0 * Z, y).squares["Z"] == (0.0, 0.0)


@pytest.mark.parametrize("alpha", [1e-30, 1e-150, 1e-300])
@pytest.mark.parametrize("name", [name for name in LAYERS if name != "ridge"])
def test_penalties_below_rounding_errors_are_none(name, alpha):
    Z, y = make_data()
    l2 = penalties(name)[1]
    found, info = LAYERS[name](Z, y, alpha, l2, return_info=True)
    assert info.converged.all()
    assert_allclose(found, LAYERS[name](Z, y, 0.0, l2), atol=1e-9)


def test_an_l2_that_vanishes_is_refused():
    Z, y = make_data()
    with pytest.raises(
        ValueError, match=r"l2 is too small .* got 1e-100 for task 0"
    ) as error:
        LAYERS["svm"](Z, y, 0.5, 1e-100)
    (least,) = re.findall("at least (.*), got", str(error.value))
    with pytest.raises(ValueError, match=f"at least {least}, got"):
        LAYERS["svm"](Z, y, 0.5, 0.9 * float(least))
    # Nearly all features take part: few iterations show that it is taken.
    with pytest.warns(ConvergenceWarning):
        LAYERS["svm"](Z, y, 0.5, 1.1 * float(least), max_iter=1)


# The smallest are beyond what rounding allows, which the solver says.
@pytest.mark.filterwarnings(
    "ignore:group_lasso_svm:sklearn.exceptions.ConvergenceWarning"
)
@pytest.mark.parametrize("l2", [1e-3, 1e-8, 1e-12, 1e-20, 1e-30])
def test_a_small_l2_does_not_hide_errors_from_the_gap(l2):
    generator = torch.Generator().manual_seed(1)
    Z = torch.randn(40, 3, generator=generator, dtype=torch.float64)
    y = (torch.rand(40, generator=generator) > 0.5).long()

    def objective(W):
        raised = Z @ W + 1 - torch.nn.functional.one_hot(y)
        own = (Z @ W).gather(1, y[:, None]).squeeze(1)
        return float((raised.amax(1) - own).sum() + 0.5 * l2 * W.square().sum())

    W, info = group_lasso_svm(Z, y, 0.0, l2, return_info=True)
    other = objective(group_lasso_svm(Z, y, 0.0, 1e-5))
    assert float(info.gap) >= (objective(W) - other) / 40 - 1e-12


@pytest.mark.parametrize("name", ["lasso", "logistic"])
def test_forms_of_masks_and_weights(name):
    Z, y = make_data()
    keep = np.arange(30) < 20
    expected = LAYERS[name](Z[:, :20], y[:, :20], *penalties(name))
    forms = {
        "mask": [keep, keep.tolist(), torch.tensor(keep).float(), keep[::-1]],
        "sample_weight": [keep * 1.0, keep.tolist(), (keep * 1.0)[::-1], keep[::-1]],
    }
    for argument, values in forms.items():
        for value in values:
            flip = isinstance(value, np.ndarray) and not value[0]
            data = (Z.flip(1), y.flip(1)) if flip else (Z, y)
            found = LAYERS[name](*data, *penalties(name), **{argument: value})
            assert_allclose(found, expected, atol=1e-9)
    for mask in (torch.tensor([0, 2] * 15), [0.5] * 30):
        with pytest.raises(ValueError, match="mask must be boolean, or hold only 0"):
            LAYERS[name](Z, y, *penalties(name), mask=mask)
    for argument, value in (("sample_weight", "ones"), ("mask", [[1], [1, 0]])):
        with pytest.raises(ValueError, match=f"{argument} must"):
            LAYERS[name](Z, y, *penalties(name), **{argument: value})
    weight = torch.ones(30, dtype=torch.cfloat)
    with pytest.raises(ValueError, match="sample_weight must be real"):
        LAYERS[name](Z, y, *penalties(name), sample_weight=weight)
