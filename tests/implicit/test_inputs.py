"""Every layer names the argument that is wrong, and the task it is wrong in."""

import pytest
import torch

from sparsedis.implicit import lasso, lasso_alpha_max, ridge, ridge_alpha_max

LAYERS = (lasso, ridge)
ALPHA_MAX = (lasso_alpha_max, ridge_alpha_max)


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


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (-0.1, "must be finite and >= 0, got -0.1 for task 0"),
        (torch.tensor([0.1, 0.1, -2.0]), "must be finite and >= 0, got -2 for task 2"),
        (float("nan"), "must be finite and >= 0, got nan"),
        (float("inf"), "must be finite and >= 0, got inf"),
        (
            torch.ones(2),
            r"must be a number or one per task, of shape \(3,\); got shape \(2,\)",
        ),
        (True, "must be real, got torch.bool"),
        (1j, "must be real, got torch.complex"),
    ],
)
@pytest.mark.parametrize(
    ("layer", "name"), [(lasso, "alpha"), (lasso, "l2"), (ridge, "alpha")]
)
def test_bad_penalty(layer, name, value, message):
    penalties = {"alpha": 0.1, name: value}
    with pytest.raises(ValueError, match=f"{name} {message}"):
        layer(Z, Y, **penalties)


@pytest.mark.parametrize("layer", LAYERS)
def test_integer_targets_are_refused(layer):
    with pytest.raises(ValueError, match="y must be of a floating dtype"):
        layer(Z, Y.int(), 0.1)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_single_task_is_not_numbered(layer):
    with pytest.raises(ValueError, match=r"alpha must be .* got -1\."):
        layer(Z[0], Y[0], -1.0)
    with pytest.raises(ValueError, match=r"it holds NaN or inf\."):
        layer(Z[0] / 0, Y[0], 1.0)
