"""Every layer names the argument that is wrong, and the task it is wrong in."""

import pytest
import torch

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


def svm(Z, y, alpha, *, l2=1.0, **how):
    """The SVM with an l2 of its own, as the other layers have."""
    return group_lasso_svm(Z, y, alpha, l2, **how)


LAYERS = (lasso, ridge, logistic, svm)
ALPHA_MAX = (
    lasso_alpha_max,
    ridge_alpha_max,
    logistic_alpha_max,
    group_lasso_svm_alpha_max,
)


def make_tasks():
    generator = torch.Generator().manual_seed(0)
    Z = torch.randn(3, 8, 2, generator=generator)
    return Z, torch.randn(3, 8, generator=generator)


def broken(tensor, at, value):
    tensor = tensor.clone()
    tensor[at] = value
    return tensor


Z, Y = make_tasks()
EMPTY_MASK = broken(torch.ones(3, 8, dtype=torch.bool), 2, False)
BAD_DATA = {
    "NaN in Z": ((broken(Z, (1, 3, 0), torch.nan), Y), {}, "Z must be finite.*task 1"),
    "inf in Z": ((broken(Z, (2, 3, 0), torch.inf), Y), {}, "Z must be finite.*task 2"),
    "NaN in a shared Z": ((broken(Z[0], 3, torch.nan), Y), {}, "Z must be finite"),
    "inf in y": ((Z, broken(Y, (2, 0), -torch.inf)), {}, "y must be finite.*task 2"),
    "NaN in y": ((Z, broken(Y, (0, 0), torch.nan)), {}, "y must be finite.*task 0"),
    "integer Z": ((Z.int(), Y), {}, "Z must be .*floating dtype, got torch.int32"),
    "complex Z": ((Z.cfloat(), Y), {}, "Z must be .*floating dtype, got .*complex64"),
    "array Z": ((Z.numpy(), Y), {}, "Z must be a tensor .*got ndarray"),
    "array y": ((Z, Y.numpy()), {}, "y must be a tensor, got ndarray"),
    "sparse Z": ((Z.to_sparse(), Y), {}, "Z must be a dense .* torch.sparse_coo"),
    "Z without values": ((Z.to("meta"), Y), {}, "Z must be a dense .* device meta"),
    "8-bit Z": ((Z.to(torch.float8_e4m3fn), Y), {}, "Z must have one .* got .*float8"),
    "y without values": ((Z, Y.to("meta")), {}, "y must be a dense .* device meta"),
    "mask without values": (
        (Z, Y),
        {"mask": EMPTY_MASK.to("meta")},
        "mask must be a dense .* device meta",
    ),
    "flat Z": ((Z[0, 0], Y), {}, r"Z must have shape .*got \(2,\)"),
    "no samples": ((Z[:, :0], Y[:, :0]), {}, r"Z must .*got \(3, 0, 2\)"),
    "no features": ((Z[..., :0], Y), {}, r"Z must .*got \(3, 8, 0\)"),
    "samples differ": ((Z, Y[:, :7]), {}, r"y must have shape \(\.\.\., 8\).*\(3, 7\)"),
    "scalar y": ((Z, Y[0, 0]), {}, r"y must have shape .*got \(\)"),
    "tasks differ": ((Z, Y[:2]), {}, r"must broadcast, got Z: \(3,\), y: \(2,\)"),
    "short mask": (
        (Z, Y),
        {"mask": EMPTY_MASK[:, :7]},
        r"mask must have shape \(\.\.\., 8\), got \(3, 7\)",
    ),
    "mask of other tasks": (
        (Z, Y),
        {"mask": EMPTY_MASK[:2]},
        r"must broadcast, got .*mask: \(2,\)",
    ),
    "empty mask": ((Z, Y), {"mask": EMPTY_MASK}, "mask leaves task 2 without"),
    "short weight": (
        (Z, Y),
        {"sample_weight": torch.ones(7)},
        r"sample_weight must have shape \(\.\.\., 8\), got \(7,\)",
    ),
    "negative weight": (
        (Z, Y),
        {"sample_weight": broken(torch.ones(8), 1, -1.0)},
        "sample_weight must be finite and not negative",
    ),
    "NaN weight": (
        (Z, Y),
        {"sample_weight": broken(torch.ones(8), 1, torch.nan)},
        "sample_weight must be finite and not negative",
    ),
    "zero weight": (
        (Z, Y),
        {"sample_weight": broken(torch.ones(3, 8), 1, 0.0)},
        "sample_weight leaves task 1 without",
    ),
}


@pytest.mark.parametrize("case", BAD_DATA)
@pytest.mark.parametrize("layer", LAYERS)
def test_bad_data(layer, case):
    data, how, message = BAD_DATA[case]
    with pytest.raises(ValueError, match=message):
        layer(*data, 0.1, **how)


@pytest.mark.parametrize("case", BAD_DATA)
@pytest.mark.parametrize("alpha_max", ALPHA_MAX)
def test_bad_data_for_alpha_max(alpha_max, case):
    data, how, message = BAD_DATA[case]
    with pytest.raises(ValueError, match=message):
        alpha_max(*data, **how)


@pytest.mark.parametrize("layer", [lasso, ridge])
def test_integer_targets_are_refused(layer):
    with pytest.raises(ValueError, match="y must be of a floating dtype"):
        layer(Z, Y.int(), 0.1)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_single_task_is_not_numbered(layer):
    target = Y[0].sign().clamp_min(0)
    with pytest.raises(ValueError, match=r"alpha must be .* got -1\."):
        layer(Z[0], target, -1.0)
    with pytest.raises(ValueError, match=r"it holds NaN or inf\."):
        layer(Z[0] / 0, target, 1.0)


@pytest.mark.parametrize(
    ("layer", "target"),
    [
        (lasso, Y),
        (ridge, Y),
        (multitask_lasso, Y[..., None]),
        (logistic, Y > 0),
        (svm, Y > 0),
    ],
)
def test_bad_limits(layer, target):
    for tol in (-1.0, float("nan"), float("inf"), "tight"):
        with pytest.raises(ValueError, match="tol must be a finite number of at"):
            layer(Z, target, 0.1, tol=tol)
    if layer is not ridge:
        for max_iter in (-1, 2.5):
            with pytest.raises(ValueError, match="max_iter must be an int of at least"):
                layer(Z, target, 0.1, max_iter=max_iter)


@pytest.mark.parametrize("solver", ["adam", None])
@pytest.mark.parametrize(
    ("layer", "target"),
    [(lasso, Y), (multitask_lasso, Y[..., None]), (logistic, Y > 0)],
)
def test_unknown_solver(layer, target, solver):
    with pytest.raises(ValueError, match=r"solver must be one of .* got"):
        layer(Z, target, 0.1, solver=solver)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (Y, r"Y must have shape \(\.\.\., 8, n_outputs\)"),
        (Y[:, :7, None], r"Y must have shape \(\.\.\., 8, n_outputs\).*\(3, 7, 1\)"),
        (Y[:2, :, None], r"must broadcast, got Z: \(3,\), Y: \(2,\)"),
        (broken(Y[..., None], (2, 0), torch.inf), r"Y must be finite.* task 2"),
        (Y[..., None].tolist(), "Y must be a tensor, got list"),
        (Y[..., None].int(), "Y must be of a floating dtype"),
        (Y[..., None][..., :0], r"Y must have shape .*\(3, 8, 0\)"),
    ],
)
def test_bad_vector_targets(target, message):
    with pytest.raises(ValueError, match=message):
        multitask_lasso(Z, target, 0.1)
    if "dtype" not in message:
        with pytest.raises(ValueError, match=message):
            multitask_lasso_alpha_max(Z, target)


def test_celer_says_what_it_lacks():
    with pytest.raises(
        ValueError, match=r"not support logistic .* more than two classes, an l2"
    ):
        logistic(Z, (Y > 0).int(), 0.1, n_classes=3, l2=1.0, solver="celer")
    how = {"fit_intercept": True, "sample_weight": torch.ones(8)}
    with pytest.raises(
        ValueError, match=r"not support logistic .* an intercept, sample weights"
    ):
        logistic(Z, (Y > 0).int(), 0.1, solver="celer", **how)
