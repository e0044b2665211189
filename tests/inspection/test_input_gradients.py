"""Gradients of features with respect to input columns, against differences."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from sparsedis import SparseMultiTaskEnsemble, SparseMultiTaskRepresentation
from sparsedis.datasets import make_sparse_tasks
from sparsedis.inspection import _input_gradients as module
from sparsedis.inspection import input_gradients

QUICK = {"rotation": None, "alpha": 0.02, "max_iter": 5, "random_state": 0}


@pytest.fixture(scope="module")
def data():
    return make_sparse_tasks(80, 6, n_factors=3, random_state=0)


def differences(est, X):
    """Central differences of each feature in each column, at every row."""
    found = []
    for j, step in enumerate(1e-6 * X.std(0)):
        up, down = X.copy(), X.copy()
        up[:, j] += step
        down[:, j] -= step
        found.append((est.transform(up) - est.transform(down)) / (2 * step))
    return np.stack(found, -1)


@pytest.mark.parametrize("rows", [1024, 32])
@pytest.mark.filterwarnings("ignore:.*may not be factors:UserWarning")
@pytest.mark.parametrize("rotation", [None, "sparsest"])
def test_agrees_with_finite_differences(data, rotation, rows, monkeypatch):
    monkeypatch.setattr(module, "_ROWS", rows)
    X, Y = data
    X = X * [1.0, 10.0, 0.1]
    est = SparseMultiTaskRepresentation(3, **QUICK | {"rotation": rotation}).fit(X, Y)
    weights = [p.clone() for p in est.module_.parameters()]
    found = input_gradients(est, X)
    raw = differences(est, X)
    unit = X.std(0) / est.transform(X).std(0)[:, None]
    assert_allclose(found.mean, raw.mean(0) * unit, atol=1e-5)
    assert_allclose(found.mean_absolute, np.abs(raw).mean(0) * unit, atol=1e-5)
    for before, after in zip(weights, est.module_.parameters(), strict=True):
        assert torch.equal(before, after)
        assert after.requires_grad


def test_a_linear_encoder_has_standardised_coefficients(data):
    X, Y = data
    encoder = nn.Linear(3, 2)
    est = SparseMultiTaskRepresentation(2, encoder=encoder, **QUICK).fit(X, Y)
    found = input_gradients(est, X)
    S, Z = StandardScaler().fit_transform(X), est.transform(X)
    coef = LinearRegression().fit(S, Z / Z.std(0)).coef_
    assert_allclose(found.mean, coef, rtol=1e-9)
    assert_allclose(found.mean_absolute, np.abs(coef), rtol=1e-9)
    # Units do not matter, so nor does a scaler before the estimator.
    scaled = make_pipeline(StandardScaler(), est.__class__(2, encoder=encoder, **QUICK))
    scaled.fit(X, Y)
    inner = input_gradients(scaled[-1], StandardScaler().fit_transform(X))
    assert_allclose(input_gradients(scaled, X).mean, inner.mean)


class Constant(nn.Module):
    """A feature that varies, and one that does not."""

    def forward(self, rows):
        return torch.stack([rows[:, 0] ** 2, 0 * rows[:, 1]], 1)


class Step(nn.Module):
    """Features without a gradient."""

    def forward(self, rows):
        return (rows[:, :2] > 0).to(rows.dtype)


def test_a_feature_that_does_not_vary_has_no_gradient(data):
    X, Y = data
    est = SparseMultiTaskRepresentation(
        2, encoder=Constant(), normalization=None, **QUICK
    ).fit(X, Y)
    found = input_gradients(est, X)
    assert found.mean_absolute[0, 0] > 2 * abs(found.mean[0, 0])
    assert (found.mean_absolute[0, 1:] == 0).all()
    assert (found.mean_absolute[1] == 0).all()


def test_bad_input_raises(data):
    X, Y = data
    with pytest.raises(ValueError, match=r"got shape \(2, 8, 8, 3\)"):
        input_gradients(
            SparseMultiTaskRepresentation(2, **QUICK).fit(X, Y), np.zeros((2, 8, 8, 3))
        )
    est = SparseMultiTaskRepresentation(
        2, encoder=Step(), normalization=None, **QUICK
    ).fit(X, Y)
    with pytest.raises(ValueError, match=r"Step\(\) have none"):
        input_gradients(est, X)
    members = SparseMultiTaskEnsemble(est, 1).fit(X, Y)
    with pytest.raises(ValueError, match="one encoder, module_; got SparseMulti"):
        input_gradients(members, X)


def test_read_only_inputs(data):
    X, Y = data
    est = SparseMultiTaskRepresentation(3, **QUICK).fit(X, Y)
    expected = input_gradients(est, X)
    X = X.copy()
    X.flags.writeable = False
    assert_allclose(input_gradients(est, X).mean, expected.mean)
