"""Labels of tasks: what is refused, and the dtypes that are accepted."""

import pytest
import torch

from sparsedis.implicit import (
    group_lasso_svm,
    group_lasso_svm_alpha_max,
    logistic,
    logistic_alpha_max,
)

generator = torch.Generator().manual_seed(0)
Z = torch.randn(3, 8, 2, generator=generator)
LABELS = (torch.randn(3, 8, generator=generator) > 0).int()


def svm(Z, y, alpha, *, l2=1.0, **how):
    """The SVM with an l2 of its own, as the other layers have."""
    return group_lasso_svm(Z, y, alpha, l2, **how)


def broken(tensor, at, value):
    tensor = tensor.clone()
    tensor[at] = value
    return tensor


@pytest.mark.parametrize(
    ("target", "n_classes", "message"),
    [
        (
            broken(LABELS, (2, 3), 5),
            4,
            r"labels from 0 to 3; got labels of task 2 from 0 to 5",
        ),
        (broken(LABELS, (2, 3), -1), None, r"from 0 to 1; got .* of task 2 from -1"),
        (LABELS + 0.5, None, "y must hold whole numbers"),
        (LABELS, 1, "n_classes must be an int of at least 2, got 1"),
        (LABELS, 2.5, r"n_classes must be an int of at least 2, got 2\.5"),
    ],
)
@pytest.mark.parametrize(
    ("layer", "alpha_max"),
    [(logistic, logistic_alpha_max), (svm, group_lasso_svm_alpha_max)],
)
def test_bad_labels(layer, alpha_max, target, n_classes, message):
    with pytest.raises(ValueError, match=message):
        layer(Z, target, 0.1, n_classes=n_classes)
    with pytest.raises(ValueError, match=message):
        alpha_max(Z, target, n_classes=n_classes)


@pytest.mark.parametrize("layer", [logistic, svm])
@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float32])
def test_labels_may_come_in_any_dtype(layer, dtype):
    expected = layer(Z, LABELS, 0.01)
    assert expected.any()
    assert torch.equal(layer(Z, LABELS.to(dtype), 0.01), expected)
