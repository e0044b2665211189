"""Moments of heads, against sums task by task."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LinearRegression

from sparsedis.rotation import _moments
from sparsedis.rotation._moments import (
    centred_gram,
    concatenate,
    regression_moments,
    weighted_gram,
)


def make_tasks(n=60, m=4, T=5, C=2, *, missing=0.4, seed=0):
    rng = np.random.default_rng(seed)
    Z = rng.standard_normal((n, m)) + 2
    Y = 10 * rng.standard_normal((n, T, C)) + 3
    Y[rng.random((n, T)) < missing] = np.nan
    return Z, Y, rng.uniform(0.5, 2, n)


@pytest.mark.parametrize("missing", [0.0, 0.4])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("own", [False, True])
def test_heads_are_those_of_linear_regression(missing, weighted, own):
    Z, Y, weight = make_tasks(missing=missing)
    weight = weight if weighted else None
    features = np.stack([(t + 1) * Z + t for t in range(5)]) if own else Z
    moments, units = regression_moments(features, Y, weight)
    coef, intercept = units.restore(moments.solve()[0])
    for t in range(5):
        rows = ~np.isnan(Y[:, t, 0])
        A, w = (
            (features[t] if own else Z)[rows],
            None if weight is None else weight[rows],
        )
        model = LinearRegression().fit(A, Y[rows, t], w)
        assert_allclose(coef[t], model.coef_, rtol=1e-6, atol=1e-8)
        assert_allclose(intercept[t], model.intercept_, rtol=1e-6)
        w = np.ones(rows.sum()) if w is None else w
        assert_allclose(moments.n_labels[t], w.sum())
        # Targets have unit variance.
        assert_allclose(moments.square[t], 2 * w.sum())
    assert len(moments.hessian) == (1 if missing == 0 and not own else 5)


def test_noise_is_that_of_the_residuals():
    Z, Y, _ = make_tasks(T=400, C=1, missing=0.0)
    moments, _ = regression_moments(Z, Y)
    noise = moments.residual_variance(moments.solve()[0])
    # There is nothing but noise, of unit variance with 59 degrees of freedom.
    assert_allclose(noise.mean(), 60 / 59, rtol=0.01)
    known = _moments.replace(moments, noise=np.full(400, 2.0))
    assert_array_equal(known.residual_variance(moments.solve()[0]), 2)


def test_noise_of_few_labels_is_that_of_the_others():
    Z, Y, _ = make_tasks(T=50, C=1, missing=0.0)
    Y[3:, 0] = np.nan
    moments, _ = regression_moments(Z, Y)
    noise = moments.residual_variance(moments.solve()[0])
    assert_allclose(noise[0], noise[1:].mean(), rtol=0.01)


def test_projected_moments_are_those_of_projected_features():
    Z, Y, _ = make_tasks()
    V = np.linalg.qr(np.random.default_rng(0).standard_normal((4, 2)))[0]
    one = regression_moments(Z, Y)[0].project(V)
    other = regression_moments(Z @ V, Y)[0]
    assert one.m == 2
    assert_allclose(one.hessian, other.hessian)
    assert_allclose(one.gradient, other.gradient, atol=1e-12)


def test_parts_are_put_together():
    Z, Y, _ = make_tasks(missing=0.0)
    whole = regression_moments(Z, Y)[0]
    parts = [regression_moments(Z, Y[:, :2])[0], regression_moments(Z, Y[:, 2:])[0]]
    joined = concatenate(parts, 4)
    assert_allclose(joined.solve()[0], whole.solve()[0])
    assert_array_equal(joined.n_outputs, 2)
    mixed = concatenate([parts[0], regression_moments(Z, Y[:, 2:, :1])[0]], 4)
    assert_array_equal(mixed.n_outputs, [2, 2, 1, 1, 1])
    assert_array_equal(mixed.gradient[2:, 1], 0)
    assert len(concatenate([], 4)) == 0
    taken = joined.take([3, 0])
    assert_allclose(taken.gradient, joined.gradient[[3, 0]])
    assert_allclose(taken.hessian, joined.hessian[[3, 0]])


def test_grams_are_sums_over_rows(monkeypatch):
    Z, _, _ = make_tasks()
    share = np.random.default_rng(0).integers(0, 3, (60, 7)).astype(float)
    expected = np.einsum("nt,ni,nj->tij", share, Z, Z)
    assert_allclose(weighted_gram(Z, share), expected)
    monkeypatch.setattr(_moments, "_BLOCK", 100)
    assert_allclose(weighted_gram(Z, share), expected)
    gram, mean = centred_gram(Z + 1e4, share)
    for t in range(7):
        centre = np.average(Z, axis=0, weights=share[:, t])
        assert_allclose(mean[t] - 1e4, centre, rtol=1e-8)
        centred = Z - centre
        assert_allclose(gram[t], centred.T * share[:, t] @ centred, rtol=1e-6)


def test_targets_of_any_size_are_safe():
    Z, Y, _ = make_tasks(T=4, C=1, missing=0.0)
    plain = regression_moments(Z, Y)[0]
    for size in (1e-300, 1e300):
        moments, units = regression_moments(Z, Y / np.abs(Y).max() * size)
        assert_allclose(moments.gradient, plain.gradient, rtol=1e-9, atol=1e-12)
        assert np.isfinite(units.scale).all()
    constant, units = regression_moments(Z, np.full((60, 1, 1), 0.1))
    assert_array_equal(constant.solve()[0], 0)
    assert_allclose(units.restore(constant.solve()[0])[1], 0.1)
    nothing = regression_moments(Z, np.full((60, 2, 1), np.nan))[0]
    assert_array_equal(nothing.solve()[0], 0)
    assert_array_equal(nothing.n_labels, 0)
