"""Measurement exclusivity against least squares with tests of its coefficients."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import t as student

from sparsedis.metrics import (
    DisentanglementScorer,
    disentanglement_report,
    measurement_exclusivity,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def correlated(rng, n_samples=300, rho=0.9, n_factors=3):
    covariance = np.full((n_factors, n_factors), rho)
    np.fill_diagonal(covariance, 1)
    return rng.multivariate_normal(np.zeros(n_factors), covariance, n_samples)


def coefficient_p_values(factors, code):
    """Two-sided t tests of the coefficients of least squares with an intercept."""
    X = np.column_stack([np.ones(len(code)), factors])
    inverse = np.linalg.inv(X.T @ X)
    coef = inverse @ X.T @ code
    freedom = len(X) - X.shape[1]
    variance = ((code - X @ coef) ** 2).sum() / freedom
    statistic = coef / np.sqrt(variance * np.diag(inverse))
    return 2 * student.sf(np.abs(statistic[1:]), freedom)


def test_p_values_are_those_of_coefficients(rng):
    factors = correlated(rng)
    codes = factors @ rng.standard_normal((3, 4)) + 5 * rng.standard_normal((300, 4))
    details = measurement_exclusivity(factors, codes, return_details=True)
    expected = [coefficient_p_values(factors, code) for code in codes.T]
    assert_allclose(details.p_values, expected, rtol=1e-9)
    assert_array_equal(details.measured, details.p_values < 0.05)
    strict = measurement_exclusivity(factors, codes, level=0.001, return_details=True)
    assert_array_equal(strict.measured, details.p_values < 0.001)
    assert strict.measured.sum() < details.measured.sum()


def test_count_and_share_of_disagreements(rng):
    factors = correlated(rng)
    # The first code has two factors, the second its own, the third and last none.
    noise = rng.standard_normal((300, 2))
    codes = np.column_stack([factors[:, 0] - factors[:, 1], 2 * factors[:, 1], noise])
    details = measurement_exclusivity(factors, codes, level=1e-3, return_details=True)
    measured = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 0], [0, 0, 0]], bool)
    assert_array_equal(details.measured, measured)
    assert_array_equal(details.model[:2], [[1, 0, 0], [0, 1, 0]])
    assert details.model.sum(axis=0).tolist() == [1, 1, 1]
    # Too much in the first code, and nothing for the last factor.
    assert details.t_mex == 2
    assert_allclose(details.score, 1 - 2 / 12)
    assert_allclose(details.per_factor, [1, 0.75, 0.75])
    options = {"level": 1e-3, "model": measured, "return_details": True}
    asked = measurement_exclusivity(factors, codes, **options)
    assert asked.t_mex == 0
    assert asked.score == 1
    options["model"] = ~measured
    assert measurement_exclusivity(factors, codes, **options).t_mex == 12


def test_correlated_factors_in_codes_of_their_own_are_exclusive(rng):
    factors = correlated(rng)
    assert measurement_exclusivity(factors, 3 - 2 * factors[:, [2, 0, 1]]) == 1
    cubes = (factors + 3) ** 3
    details = measurement_exclusivity(factors, cubes, level=1e-3, return_details=True)
    assert details.score == 1
    # All correlations with the factors are above .9 here.
    mixed = factors @ (0.5 * np.eye(3) + 0.5)
    assert measurement_exclusivity(factors, mixed) == pytest.approx(1 / 3)


def test_level_is_the_share_of_false_rejections(rng):
    shares = []
    for _ in range(200):
        factors = correlated(rng, 60, n_factors=2)
        codes = factors + 0.5 * rng.standard_normal((60, 2))
        measured = measurement_exclusivity(factors, codes, return_details=True).measured
        shares.append(measured[[0, 1], [1, 0]].mean())
    assert 0.03 < np.mean(shares) < 0.07  # four standard errors


def test_constant_columns_and_determined_factors(rng):
    factors = correlated(rng, n_factors=4)
    factors[:, 1] = 0.1
    codes = np.column_stack([factors[:, 0], np.full(300, 0.1), factors[:, 2:]])
    with pytest.warns(UserWarning, match="(Constant|Dead)") as caught:
        details = measurement_exclusivity(factors, codes, return_details=True)
    assert len(caught) == 2
    assert details.score == 1
    assert_array_equal(details.per_factor, [1, 0, 1, 1])
    assert_array_equal(details.p_values[1], 1)
    assert not details.model[1].any()
    factors = factors[:, [0, 2, 3]]
    factors[:, 2] = factors[:, 0] - 3 * factors[:, 1]
    message = r"Column\(s\) \[0, 1, 2\] of factors are linear functions of others"
    with pytest.warns(UserWarning, match=message) as caught:
        details = measurement_exclusivity(
            factors, codes[:, [0, 2]], return_details=True
        )
    assert caught[0].filename == __file__
    assert_array_equal(details.p_values, 1)


@pytest.mark.parametrize("k", [2, 5])
def test_random_codes_agree_a_little_more_than_the_model_leaves_out(rng, k):
    scores = [
        measurement_exclusivity(*rng.standard_normal((2, 500, k))) for _ in range(100)
    ]
    assert 1 - 1 / k < np.mean(scores) < 1 - 1 / k + 0.06


def test_scorer_and_report_know_it(rng):
    factors = correlated(rng)
    scorer = DisentanglementScorer("exclusivity").fit(factors, factors)
    assert scorer.exclusivity_ == 1
    quick = {"n_resamples": 2, "random_state": 0}
    report = disentanglement_report(factors, factors, ["mcc", "exclusivity"], **quick)
    assert report.table["score"].tolist() == [pytest.approx(1), 1]
    assert "exclusivity" in "".join(d for d in report.doubts if "Dependent" in d)
    factors[0, 0] = np.nan
    codes = np.nan_to_num(factors)
    report = disentanglement_report(factors, codes, ["mcc", "exclusivity"], **quick)
    assert np.isnan(report.table["score"]).tolist() == [False, True]


def test_bad_arguments_raise(rng):
    factors = correlated(rng, 20)
    with pytest.raises(
        ValueError, match=r"shape \(n_codes, n_factors\) = \(3, 3\); got"
    ):
        measurement_exclusivity(factors, factors, model=np.eye(3))
    with pytest.raises(ValueError, match=r"got bool of shape \(2, 3\)"):
        measurement_exclusivity(factors, factors, model=np.eye(2, 3, dtype=bool))
    with pytest.raises(ValueError, match="level == 1, must be < 1"):
        measurement_exclusivity(factors, factors, level=1)
    with pytest.raises(ValueError, match="one; got 4 samples and 3 factors"):
        measurement_exclusivity(factors[:4], factors[:4])
    # Without a warning that factors depend on each other.
    with pytest.raises(ValueError, match="one; got 2 samples and 3 factors"):
        measurement_exclusivity(factors[:2], factors[:2])
    factors[0, 0] = np.nan
    with pytest.raises(ValueError, match="a test given all other factors needs all"):
        measurement_exclusivity(factors, np.nan_to_num(factors))
