"""Chance levels and intervals against closed forms and explicit loops."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import norm
from sklearn.tree import DecisionTreeRegressor

from sparsedis.metrics import (
    bootstrap_interval,
    chance_level,
    dci,
    linear_r_score,
    mean_correlation_coefficient,
    mutual_information_gap,
)
from sparsedis.metrics._registry import METRICS, resolve_metrics

both = pytest.mark.parametrize("function", [chance_level, bootstrap_interval])


def gaussian(rng, n_samples=100, rho=0.8, n_factors=3):
    """Independent factors, each with a code of correlation `rho`."""
    factors, noise = rng.standard_normal((2, n_samples, n_factors))
    return factors, rho * factors + np.sqrt(1 - rho**2) * noise


def test_chance_level_is_the_score_of_random_codes():
    rng = np.random.default_rng(0)
    factors = rng.integers(0, 4, (200, 3))
    names = ["mcc", "r", "dci_disentanglement", "mig", "modularity", "sap", "irs"]

    def random_codes():
        # Independent columns with the values of a normal distribution.
        values = norm.ppf((np.arange(200) + 0.5) / 200)
        return rng.permuted(np.tile(values, (4, 1)), axis=1).T

    chance = chance_level(
        factors, random_codes(), names, random_state=0, n_resamples=60
    )
    codes = [random_codes() for _ in range(60)]
    for name, metric in resolve_metrics(names).items():
        random = np.array([metric(factors, c) for c in codes])
        # The difference of two means of 60 scores has .18 of their deviation.
        assert_allclose(chance[name].mean, random.mean(), atol=0.55 * random.std())
        inside = (random >= chance[name].low) & (random <= chance[name].high)
        assert inside.mean() > 0.8


def test_chance_level_of_r_is_that_of_the_beta_distribution():
    # R2 of k independent codes has the distribution Beta(k / 2, (n - 1 - k) / 2).
    rng = np.random.default_rng(0)
    chance = chance_level(
        rng.standard_normal((60, 1)),
        rng.standard_normal((60, 9)),
        lambda factors, codes: linear_r_score(factors, codes) ** 2,
        n_resamples=400,
        random_state=0,
    )
    assert_allclose(chance.mean, 9 / 59, atol=0.01)


def test_permutation_keeps_the_codes_as_they_are():
    rng = np.random.default_rng(0)
    factors, codes = gaussian(rng)
    seen = []

    def metric(z, c):
        seen.append((z, c))
        return 0.0

    chance_level(factors, codes, metric, n_resamples=3, random_state=0)
    assert_array_equal(seen[0][1], codes)
    for z, c in seen[1:]:
        assert_array_equal(z, factors)
        assert (c != codes).any()
        assert_array_equal(c[np.argsort(c[:, 0])], codes[np.argsort(codes[:, 0])])


def test_bootstrap_draws_pairs_of_rows():
    rng = np.random.default_rng(0)
    factors = rng.standard_normal((50, 2))

    def metric(z, c):
        assert_array_equal(c, -z)
        return len(np.unique(z[:, 0])) / len(z) / 2

    drawn = bootstrap_interval(factors, -factors, metric, random_state=0)
    # The share of distinct rows in a sample with replacement.
    assert_allclose(drawn.mean, (1 - (1 - 1 / 50) ** 50) / 2, atol=0.01)
    low, high = np.quantile(drawn.scores, [0.025, 0.975])
    assert_allclose([drawn.low, drawn.high], [1 - high, 1 - low])
    # A bias that large would move both ends beyond the largest score.
    doubled = bootstrap_interval(
        factors, -factors, lambda z, c: 2 * metric(z, c), random_state=0
    )
    assert doubled.low == doubled.high == 1


def coverage(make, truth, metric, n_trials, **options):
    rng = np.random.default_rng(0)
    found = []
    for seed in range(n_trials):
        interval = bootstrap_interval(*make(rng), metric, random_state=seed, **options)
        found.append(interval.low <= truth <= interval.high)
    return np.mean(found)


def flipped(rng, p=0.1, n_samples=200):
    """Binary factors, and codes in which each bit is flipped with probability `p`."""
    factors = rng.integers(0, 2, (n_samples, 2))
    return factors, factors ^ (rng.random(factors.shape) < p)


def test_interval_covers_the_value_of_the_population():
    # Up to three binomial deviations below the nominal .9 of the mean of products,
    # whose interval is right in large samples; and likewise for MIG.
    level = {"confidence_level": 0.9}
    found = coverage(
        gaussian, 0.8, lambda z, c: (z * c).mean(), 100, n_resamples=60, **level
    )
    assert 0.81 <= found <= 0.97
    entropy = -(0.1 * np.log2(0.1) + 0.9 * np.log2(0.9))
    found = coverage(flipped, 1 - entropy, "mig", 25, n_resamples=40, **level)
    assert 0.72 <= found < 1


def test_interval_corrects_the_bias_of_small_samples():
    rng = np.random.default_rng(0)
    # The correlation is 0, and no score is: quantiles alone never cover it.
    factors, codes = rng.standard_normal((2, 100, 2))
    interval = bootstrap_interval(factors, codes, "r", random_state=0)
    assert interval.mean > interval.score > 0
    assert interval.low < 0 < np.quantile(interval.scores, 0.025)


@both
def test_all_metrics_of_the_registry(function):
    rng = np.random.default_rng(0)
    factors = rng.integers(0, 3, (150, 2))
    codes = factors @ [[1.0, 0.3], [0.2, 1.0]] + 0.3 * rng.standard_normal((150, 2))
    few = {"n_train": 100, "n_test": 100, "batch_size": 16}
    few["probes"] = [(m, DecisionTreeRegressor(max_depth=m)) for m in (1, 4)]
    options = {"n_resamples": 2, "random_state": 0, **few}
    names = list(METRICS)
    found = function(factors, codes, names, **options)
    again = function(factors, codes, names, **options)
    assert list(found) == names
    for name, result in found.items():
        assert result.scores.shape == (2,)
        assert result.low <= result.high <= 1
        assert_array_equal(result.scores, again[name].scores)
        assert result.score == again[name].score
    other = function(factors, codes, names, **options | {"random_state": 1})
    assert (other["mcc"].scores != found["mcc"].scores).any()


@both
def test_metrics_get_their_arguments(function):
    rng = np.random.default_rng(0)
    factors, codes = gaussian(rng, n_samples=40)
    found = function(
        factors,
        codes[:, :2],
        ["mcc", "mig"],
        n_resamples=2,
        unmatched="drop",
        factor_bins=3,
    )
    drop = mean_correlation_coefficient(factors, codes[:, :2], unmatched="drop")
    assert found["mcc"].score == drop
    mig = mutual_information_gap(factors, codes[:, :2], factor_bins=3)
    assert found["mig"].score == mig
    single = function(factors, codes, dci_sum, n_resamples=2, random_state=3)
    assert (
        single.score
        == function(factors, codes, dci_sum, n_resamples=2, random_state=3).score
    )


def dci_sum(factors, codes, random_state):
    return sum(dci(factors, codes, random_state=random_state))


@both
def test_constant_columns_warn_once(function):
    rng = np.random.default_rng(0)
    factors, codes = gaussian(rng)
    codes[:, 0] = 0.1
    with pytest.warns(UserWarning, match="Dead") as caught:
        function(factors, codes, ["mcc", "r"], random_state=0, n_resamples=3)
    assert [w.filename for w in caught] == [__file__]


def test_resamples_without_a_rare_value_are_named():
    factors = np.zeros((50, 1))
    factors[0] = 1
    codes = np.random.default_rng(0).standard_normal((50, 2))
    with pytest.raises(ValueError, match="defined on the data, but not on rows drawn"):
        bootstrap_interval(factors, codes, "mcc", random_state=0)


@both
def test_bad_input_raises(function):
    factors, codes = gaussian(np.random.default_rng(0))
    with pytest.raises(ValueError, match="n_resamples == 1, must be >= 2"):
        function(factors, codes, n_resamples=1)
    with pytest.raises(ValueError, match="confidence_level == 1"):
        function(factors, codes, confidence_level=1)
    with pytest.raises(ValueError, match=r"must be one of .* got 'matthews'"):
        function(factors, codes, "matthews")
    with pytest.raises(TypeError, match=r"takes the argument\(s\) \['unmatch'\]"):
        function(factors, codes, unmatch="drop")
    with pytest.raises(ValueError, match="column 0 is continuous"):
        function(factors, codes, "mig")
    with pytest.raises(ValueError, match="99 rows in factors"):
        function(factors[1:], codes)
