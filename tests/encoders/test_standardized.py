"""The first layer of the encoder of tables."""

import numpy as np
import pytest
import torch

from sparsedis.encoders import MLP
from sparsedis.encoders._standardized import Standardized


def standardized(X, n_blocks=1):
    layer = Standardized(X.shape[1])
    blocks = torch.from_numpy(X).tensor_split(n_blocks)
    layer.set_statistics(blocks)
    return layer, layer.double()(torch.from_numpy(X)).numpy()


def test_without_statistics_inputs_stay():
    x = torch.randn(5, 3)
    torch.testing.assert_close(Standardized(3)(x), x, rtol=0, atol=0)


@pytest.mark.parametrize("n_blocks", [1, 7])
def test_columns_have_no_mean_and_unit_variance(n_blocks):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 4)) * [1e-6, 1, 1e3, 1e9] + [1e-6, 0, 1e4, 0]
    Z = standardized(X, n_blocks)[1]
    np.testing.assert_allclose(Z.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(Z.std(0), 1, rtol=1e-6)


@pytest.mark.parametrize("share", [0.5, 0.01])
@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3, 5e4)])
def test_two_values_differ_by_one(share, low, high):
    column = np.where(np.arange(300) < 300 * share, high, low).astype(float)
    Z = standardized(column[:, None])[1]
    np.testing.assert_allclose(np.ptp(Z), 1, rtol=1e-6)


def test_three_values_have_unit_variance():
    column = np.repeat([0.0, 1.0, 1.1], [100, 100, 100])
    np.testing.assert_allclose(standardized(column[:, None])[1].std(), 1, rtol=1e-6)


@pytest.mark.parametrize("value", [0.0, 7.1, 1e12])
def test_constant_columns_are_ignored(value):
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.standard_normal(50), np.full(50, value)])
    layer, Z = standardized(X)
    assert (Z[:, 1] == 0).all()
    new = layer(torch.tensor([[0.0, value + 1e3]], dtype=torch.float64))
    assert new[0, 1] == 0


def test_columns_that_vary_by_rounding_errors_are_ignored():
    rng = np.random.default_rng(0)
    X = 3e5 * (1 + rng.standard_normal((50, 2)) * [1e-5, 1e-9])
    np.testing.assert_allclose(standardized(X)[1].std(0), [1, 0], rtol=1e-2)


def test_columns_below_the_normal_numbers_of_float32_are_ignored():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((50, 3)) * [1e-37, 1e-40, 1e-300]
    layer, Z = standardized(X)
    assert torch.isfinite(layer.scale).all()
    np.testing.assert_allclose(Z.std(0), [1, 0, 0], rtol=1e-6)


def test_some_of_the_rows_leave_constant_columns():
    rng = np.random.default_rng(0)
    X = np.column_stack([5 + 2 * rng.standard_normal(50), np.full(50, 7.0)])
    layer = Standardized(2)
    layer.set_statistics([torch.from_numpy(X)], whole=False)
    found = layer.double()(torch.from_numpy(X + [[0, 3]])).numpy()
    np.testing.assert_allclose(found[:, 0].std(), 1, rtol=1e-6)
    np.testing.assert_allclose(found[:, 1], 3, rtol=1e-6)


def test_few_rows_are_enough_if_they_are_all():
    X = 1e3 * np.random.default_rng(0).standard_normal((5, 2))
    np.testing.assert_allclose(standardized(X)[1].std(0), 1, rtol=1e-6)


@pytest.mark.parametrize("n_rows", [1, 29])
def test_few_of_the_rows_tell_no_units(n_rows):
    layer, X = Standardized(2), torch.randn(n_rows, 2)
    layer.set_statistics([X], whole=False)
    torch.testing.assert_close(layer(X), X, rtol=0, atol=0)


def test_an_mlp_without_it_has_no_buffers():
    assert not list(MLP((3,), 2, standardize=False).buffers())
    assert len(list(MLP((3,), 2).buffers())) == 2
