"""Counts as weighted numbers that are linear in the features."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, PoissonRegressor

from sparsedis.rotation._counts import linear_counts
from sparsedis.rotation._moments import regression_moments


def make(n=400, holes=0.0, seed=0):
    rng = np.random.default_rng(seed)
    Z = rng.standard_normal((n, 3))
    W = np.array([[0.8, 0.0, -0.4], [0.0, 0.5, 0.0]])
    y = rng.poisson(np.exp(Z @ W.T + [1.0, 3.0])).astype(float)
    y[rng.random(y.shape) < holes] = np.nan
    return Z, y


@pytest.mark.parametrize("holes", [0.0, 0.3])
@pytest.mark.parametrize("weighted", [False, True])
def test_least_squares_on_them_is_poisson_regression(holes, weighted):
    Z, y = make(holes=holes)
    weight = np.random.default_rng(1).integers(1, 4, y.shape) if weighted else None
    numbers, own = linear_counts(Z, y[..., None], weight)
    assert np.array_equal(np.isnan(numbers[..., 0]), np.isnan(y))
    for t in range(2):
        has = ~np.isnan(y[:, t])
        given = weight[has, t] if weighted else np.ones(has.sum())
        assert own[has, t].sum() == pytest.approx(given.sum())
        found = LinearRegression().fit(Z[has], numbers[has, t, 0], own[has, t])
        # The prior of unit variance, as a penalty of the mean deviance.
        expected = PoissonRegressor(alpha=1e-12, tol=1e-10, max_iter=1000)
        expected.fit(Z[has], y[has, t], given)
        # At a head with a prior, one step away from that without.
        np.testing.assert_allclose(found.coef_, expected.coef_, atol=1e-4)
        assert found.intercept_ == pytest.approx(expected.intercept_, abs=1e-4)


def test_the_noise_is_that_of_poisson_and_of_what_varies_more():
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((4000, 2))
    mean = np.exp(1.0 + Z @ [[0.5], [0.0]])
    # A negative binomial of twice the variance of Poisson's.
    more = rng.negative_binomial(mean, 0.5)
    for y, dispersion in [(rng.poisson(mean), 1.0), (more, 2.0)]:
        numbers, own = linear_counts(Z, y[..., None].astype(float))
        moments, units = regression_moments(Z, numbers, own)
        heads, _ = moments.solve()
        noise = moments.residual_variance(heads) * units.scale**2
        # Weights are means of counts, divided by their own mean.
        assert noise[0] * y.mean() == pytest.approx(dispersion, rel=0.1)


def test_zeros_and_large_counts_stay_finite():
    Z = np.random.default_rng(0).standard_normal((30, 5))
    y = np.zeros((30, 2))
    y[0, 0], y[:, 1] = 1.0, 1e6
    y[1, 1] = 0.0
    numbers, own = linear_counts(Z, y[..., None])
    assert np.isfinite(numbers).all()
    assert np.isfinite(own).all()
    assert (own > 0).all()
