"""Sparse heads on every device of this machine, against those on the CPU."""

import numpy as np
import pytest
import torch

from sparsedis.heads import (
    SparseHeads,
    SparseHeadsClassifier,
    SparseHeadsClassifierCV,
    SparseHeadsCV,
)
from sparsedis.solvers.penalties import MCP

DEVICES = ["cpu", *(["cuda"] * torch.cuda.is_available())]

REGRESSORS = {
    "alpha": SparseHeads(0.3),
    "sizes": SparseHeads(k_features=2),
    "groups": SparseHeads(0.3, feature_groups=list("aabbcc")),
    "mcp": SparseHeads(0.3, penalty=MCP()),
    "weights": SparseHeads(0.3, feature_weights=[0, np.inf, 1, 1, 1, 2]),
    "cv": SparseHeadsCV(5, eps=0.1, cv=2),
    "relaxed": SparseHeadsCV(cv=2, k_features=[1, 2], refit="relaxed"),
    "adaptive": SparseHeadsCV(5, eps=0.1, selection="bic", adaptive=True),
}
CLASSIFIERS = {
    "alpha": SparseHeadsClassifier(0.05),
    "cv": SparseHeadsClassifierCV(3, eps=0.3, cv=2),
    "relaxed": SparseHeadsClassifier(0.05, refit="relaxed"),
}


def table(p):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, p))
    Y = 2 * X[:, :2] + X[:, 2:4] + rng.standard_normal((40, 2))
    Y[rng.random(Y.shape) < 0.3] = np.nan
    return X, Y


def compare(estimator, X, Y, device):
    expected = estimator.set_params(device="cpu").fit(X, Y)
    expected = dict(vars(expected))
    # A tensor that does not follow the device has no values.
    with torch.device("meta"):
        found = estimator.set_params(device=device).fit(X, Y)
    for name in ("coef_", "intercept_", "dual_gap_"):
        value = getattr(found, name)
        assert isinstance(value, np.ndarray)
        np.testing.assert_allclose(value, expected[name], atol=1e-8)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", REGRESSORS)
def test_regressions(name, device):
    compare(REGRESSORS[name], *table(6), device)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ["alpha", "sizes", "mcp", "cv", "relaxed"])
def test_many_features(name, device):
    compare(REGRESSORS[name], *table(260), device)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifications(name, n_classes, device):
    X, Y = table(6)
    Y = np.where(np.isnan(Y), np.nan, np.digitize(Y, [0, 2][: n_classes - 1]))
    compare(CLASSIFIERS[name], X, Y, device)


@pytest.mark.parametrize(
    "estimator",
    [
        SparseHeads(),
        SparseHeadsCV(),
        SparseHeadsClassifier(),
        SparseHeadsClassifierCV(),
    ],
)
@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("gpu", "device must be 'auto', or a device of torch .* got 'gpu'"),
        ("meta", "device must have float64, such as 'cpu' or 'cuda'; got 'meta'"),
        (3, "'device' parameter .* must be"),
    ],
)
def test_devices_that_do_not_exist(estimator, device, message):
    X, Y = table(6)
    with pytest.raises(ValueError, match=message):
        estimator.set_params(device=device).fit(X, np.where(np.isnan(Y), Y, Y > 0))
