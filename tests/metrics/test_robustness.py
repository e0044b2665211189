"""IRS against a direct computation and closed forms."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import UndefinedMetricWarning

from sparsedis.metrics import interventional_robustness


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def reference(factors, codes, quantile):
    """The definition, one pair of columns at a time."""
    n_codes, n_factors = codes.shape[1], factors.shape[1]
    robustness = np.empty((n_codes, n_factors))
    largest = np.abs(codes - codes.mean(axis=0)).max(axis=0)
    for j in range(n_codes):
        for i in range(n_factors):
            quantiles = []
            for value in sorted(set(factors[:, i])):
                group = codes[factors[:, i] == value, j]
                quantiles.append(np.quantile(np.abs(group - group.mean()), quantile))
            robustness[j, i] = 1 - np.mean(quantiles) / largest[j]
    per_code = robustness.max(axis=1)
    return robustness, per_code, largest


@pytest.mark.parametrize("quantile", [0.5, 0.99, 1])
def test_agrees_with_the_definition(rng, quantile):
    factors = np.column_stack([rng.integers(0, 4, 200), rng.integers(-2, 5, 200)])
    codes = factors @ rng.standard_normal((2, 3)) + rng.standard_normal((200, 3))
    codes *= [1.0, 10.0, 0.1]
    robustness, per_code, largest = reference(factors, codes, quantile)
    details = interventional_robustness(
        factors, codes, quantile=quantile, return_details=True
    )
    assert_allclose(details.robustness, robustness)
    assert_allclose(details.per_code, per_code)
    assert_allclose(details.weights, largest / largest.sum())
    assert_allclose(details.score, np.average(per_code, weights=largest))
    standardized = interventional_robustness(
        factors, codes, quantile=quantile, standardize=True
    )
    weights = largest / codes.std(axis=0)
    assert_allclose(standardized, np.average(per_code, weights=weights))


def test_sum_of_two_factors_is_half_robust():
    factors = np.stack(np.meshgrid(range(5), range(5)), axis=-1).reshape(-1, 2)
    details = interventional_robustness(
        factors,
        np.column_stack([factors.sum(axis=1), factors[:, 1]]),
        quantile=1,
        return_details=True,
    )
    assert_allclose(details.robustness, [[0.5, 0.5], [0, 1]], atol=1e-15)
    assert_allclose(details.weights, [4 / 6, 2 / 6])


def test_continuous_factors_are_binned(rng):
    factors = rng.uniform(-1, 1, (20_000, 2))
    score = interventional_robustness(factors, factors, quantile=1)
    # Within a bin of width .1 a code deviates from its middle by .05 at most.
    assert_allclose(score, 0.95, atol=0.01)
    wide = interventional_robustness(factors, factors, quantile=1, factor_bins=4)
    assert_allclose(wide, 0.75, atol=0.01)


def test_random_codes_do_not_score_zero(rng):
    factors, codes = rng.integers(0, 10, (10_000, 3)), rng.uniform(size=(10_000, 3))
    assert 0 < interventional_robustness(factors, codes) < 0.1
    normal = rng.standard_normal((10_000, 3))
    assert 0.3 < interventional_robustness(factors, normal) < 0.5


def test_score_can_be_negative():
    # Three ones and an outlier at -1, of each value of the factor.
    factors = np.repeat([0, 1], 4)[:, None]
    codes = np.array([1.0, 1, 1, -1, -1, -1, -1, 1])[:, None]
    assert_allclose(interventional_robustness(factors, codes, quantile=1), -0.5)


def test_dead_codes_and_constant_factors(rng):
    factors = rng.integers(0, 4, (100, 2))
    codes = np.insert(factors @ rng.standard_normal((2, 2)), 1, 0.1, axis=1)
    with pytest.warns(UndefinedMetricWarning, match=r"\[1\] of codes"):
        details = interventional_robustness(factors, codes, return_details=True)
    assert_array_equal(details.robustness[1], 0)
    assert details.weights[1] == details.per_code[1] == 0
    live = interventional_robustness(factors, codes[:, [0, 2]])
    assert_allclose(details.score, live)
    with pytest.warns(UndefinedMetricWarning, match=r"\[0, 1\] of codes"):
        assert interventional_robustness(factors, np.ones((100, 2))) == 0
    with pytest.warns(UndefinedMetricWarning, match=r"\[1\] of factors"):
        details = interventional_robustness(
            np.insert(factors, 1, 3, axis=1), codes[:, [0, 2]], return_details=True
        )
    assert_array_equal(details.robustness[:, 1], 0)
    assert_allclose(details.score, live)


def test_bad_quantile_raises(rng):
    z = rng.integers(0, 3, (20, 2))
    with pytest.raises(ValueError, match=r"quantile == 99, must be <= 1"):
        interventional_robustness(z, z, quantile=99)
