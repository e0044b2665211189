"""MCC and R against closed forms, references and their defining properties."""

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import ortho_group, rankdata, spearmanr
from sklearn.datasets import make_low_rank_matrix
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score

from sparsedis.metrics import linear_r_score, mean_correlation_coefficient
from sparsedis.metrics._columns import average_ranks


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def brute_force_mcc(correlation):
    """Best mean over all injections of the smaller side into the larger."""
    correlation = np.abs(correlation)
    d, k = correlation.shape
    if d > k:
        return max(
            sum(correlation[i, j] for j, i in enumerate(rows))
            for rows in itertools.permutations(range(d), k)
        )
    return max(
        sum(correlation[i, j] for i, j in enumerate(columns))
        for columns in itertools.permutations(range(k), d)
    )


@pytest.mark.parametrize(("d", "k"), [(1, 1), (1, 3), (3, 1), (3, 5), (5, 3), (4, 4)])
@pytest.mark.parametrize("method", ["pearson", "spearman"])
def test_mcc_agrees_with_brute_force_over_reference_correlations(rng, d, k, method):
    factors, codes = rng.standard_normal((40, d)), rng.standard_normal((40, k)) ** 3
    codes[:, 0] += factors[:, 0]
    both = np.hstack([factors, codes])
    if method == "pearson":
        reference = np.corrcoef(both, rowvar=False)
    elif d == k == 1:
        reference = np.full((2, 2), spearmanr(both).statistic)
    else:
        reference = spearmanr(both).statistic
    total = brute_force_mcc(reference[:d, d:])
    details = mean_correlation_coefficient(
        factors, codes, method=method, return_details=True
    )
    assert_allclose(details.correlation, reference[:d, d:], atol=1e-14)
    assert_allclose(details.score, total / d)
    dropped = mean_correlation_coefficient(
        factors, codes, method=method, unmatched="drop"
    )
    assert_allclose(dropped, total / min(d, k))


def test_ranks_are_those_of_scipy(rng):
    for X in (
        rng.standard_normal((50, 3)),
        rng.integers(0, 4, (50, 3)).astype(float),
        np.zeros((5, 2)),
        np.array([[-0.0], [0.0], [5e-324], [-1.7e308], [1.7e308]]),
        np.array([[3.0]]),
    ):
        assert_array_equal(average_ranks(X), rankdata(X, axis=0))


def test_mcc_of_two_rotated_factors_in_closed_form():
    # On this design the two factors are exactly uncorrelated, with equal variances.
    factors = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    for angle in np.linspace(0, np.pi / 2, 7):
        c, s = np.cos(angle), np.sin(angle)
        score = mean_correlation_coefficient(factors, factors @ [[c, -s], [s, c]])
        assert_allclose(score, max(c, s))


def test_mcc_reports_matching_and_signs(rng):
    factors = rng.standard_normal((200, 3))
    codes = np.column_stack([-factors[:, 2], factors[:, 0], rng.standard_normal(200)])
    details = mean_correlation_coefficient(factors, codes, return_details=True)
    assert_array_equal(details.matching, [1, 2, 0])
    assert_array_equal(details.signs[[0, 2]], [1, -1])
    assert_allclose(details.per_factor[[0, 2]], 1)
    assert_allclose(details.score, details.per_factor.mean())


def test_mcc_of_missing_codes_is_not_flattered_unless_asked(rng):
    factors = rng.standard_normal((300, 6))
    codes = factors[:, :4]
    assert_allclose(mean_correlation_coefficient(factors, codes), 4 / 6)
    assert_allclose(mean_correlation_coefficient(factors, codes, unmatched="drop"), 1)
    details = mean_correlation_coefficient(factors, codes, return_details=True)
    assert_array_equal(details.matching, [0, 1, 2, 3, -1, -1])


def test_dead_codes_count_as_zero_and_constant_factors_are_left_out(rng):
    factors = rng.standard_normal((50, 3))
    codes = factors.copy()
    codes[:, 1] = 0.1  # whose computed standard deviation is positive
    with pytest.warns(UndefinedMetricWarning, match=r"\[1\] of codes"):
        assert_allclose(mean_correlation_coefficient(factors, codes), 2 / 3)
    with pytest.warns(UndefinedMetricWarning, match=r"\[1\] of codes"):
        details = linear_r_score(factors, codes, return_details=True)
    expected = LinearRegression().fit(codes[:, [0, 2]], factors[:, 1])
    r = np.sqrt(expected.score(codes[:, [0, 2]], factors[:, 1]))
    assert_allclose(details.per_factor, [1, r, 1])
    assert_allclose(details.score, (2 + r) / 3)
    factors[:, 1] = 0.1
    codes = factors[:, [0, 2]]
    for metric in (mean_correlation_coefficient, linear_r_score):
        with pytest.warns(UndefinedMetricWarning, match=r"\[1\] of factors"):
            details = metric(factors, codes, return_details=True)
        assert_allclose(details.score, 1)
        assert_array_equal(details.factor_mask, [True, False, True])
        assert_allclose(details.per_factor, [1, 0, 1])


@pytest.mark.parametrize("scale", [5e-324 * 2**20, 1e-200, 1e200, 1e307])
def test_units_do_not_matter(rng, scale):
    factors = rng.standard_normal((50, 2))
    codes = factors * scale if scale > 1e-300 else np.rint(factors * 100) * scale
    assert_allclose(mean_correlation_coefficient(factors, codes), 1, atol=1e-4)
    assert_allclose(linear_r_score(factors, codes), 1, atol=1e-4)


def test_r_agrees_with_linear_regression(rng):
    factors, codes = rng.standard_normal((60, 3)), rng.standard_normal((60, 4))
    codes[:, :2] += factors[:, :2]
    fit = LinearRegression().fit(codes, factors)
    r2 = r2_score(factors, fit.predict(codes), multioutput="raw_values")
    details = linear_r_score(factors, codes, return_details=True)
    assert_allclose(details.r2, r2)
    assert_allclose(details.score, np.sqrt(r2).mean())
    scaled = fit.coef_ * codes.std(axis=0) / factors.std(axis=0)[:, None]
    assert_allclose(details.coef, scaled)


def test_r_on_held_out_samples(rng):
    mixing = rng.standard_normal((3, 4))
    factors, test_factors = rng.standard_normal((2, 20, 3))
    codes, test_codes = (
        z @ mixing + rng.standard_normal((20, 4)) for z in (factors, test_factors)
    )
    test_factors[:, 2] = rng.standard_normal(20)  # nothing to predict: R2 < 0
    fit = LinearRegression().fit(codes, factors)
    r2 = r2_score(test_factors, fit.predict(test_codes), multioutput="raw_values")
    assert r2[2] < 0
    details = linear_r_score(
        factors,
        codes,
        test_factors=test_factors,
        test_codes=test_codes,
        return_details=True,
    )
    assert_allclose(details.r2, r2)
    assert_allclose(details.per_factor, np.sqrt(np.maximum(r2, 0)))


def test_r_sees_through_mixing_and_collinear_codes(rng):
    factors = rng.standard_normal((100, 4))
    rotated = factors @ ortho_group.rvs(4, random_state=0)
    assert_allclose(linear_r_score(factors, rotated), 1)
    assert mean_correlation_coefficient(factors, rotated) < 0.9
    repeated = np.hstack([rotated, rotated @ rng.standard_normal((4, 4))])
    assert_allclose(linear_r_score(factors, repeated), 1)
    rank2 = make_low_rank_matrix(100, 4, effective_rank=1, random_state=0)
    assert 0 < linear_r_score(factors, rank2) < 0.5


def test_r_warns_when_it_is_one_whatever_the_codes(rng):
    factors, codes = rng.standard_normal((5, 2)), rng.standard_normal((5, 4))
    with pytest.warns(UndefinedMetricWarning, match="5 samples and 4 live codes"):
        assert_allclose(linear_r_score(factors, codes), 1)
    # One sample more, and no warning: the suite would turn it into an error.
    factors, codes = rng.standard_normal((6, 2)), rng.standard_normal((6, 4))
    assert linear_r_score(factors, codes) < 1 - 1e-6


def test_only_one_test_array_raises(rng):
    z = rng.standard_normal((10, 2))
    with pytest.raises(ValueError, match="test_codes is None"):
        linear_r_score(z, z, test_factors=z)
    with pytest.raises(ValueError, match="test_factors is None"):
        linear_r_score(z, z, test_codes=z)
    with pytest.raises(ValueError, match="test_codes must have the columns of codes"):
        linear_r_score(z, z, test_factors=z, test_codes=z[:, :1])
    constant = np.zeros((10, 2))
    with pytest.raises(ValueError, match="No column of factors varies on the test"):
        linear_r_score(z, z, test_factors=constant, test_codes=z)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "kendall"}, r"method must be one of .*; got 'kendall'"),
        ({"unmatched": "skip"}, r"unmatched must be one of .*; got 'skip'"),
    ],
)
def test_unknown_options_raise(rng, options, message):
    z = rng.standard_normal((10, 2))
    with pytest.raises(ValueError, match=message):
        mean_correlation_coefficient(z, z, **options)
