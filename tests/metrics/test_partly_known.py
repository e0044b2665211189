"""Factors that are not known on all samples, in all metrics."""

from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import linear_sum_assignment

from sparsedis.metrics import (
    DisentanglementScorer,
    beta_vae_score,
    bootstrap_interval,
    chance_level,
    dci,
    disentanglement_report,
    explicitness,
    factor_vae_score,
    infomec,
    interventional_robustness,
    linear_r_score,
    mean_correlation_coefficient,
    minimality_sufficiency,
    modularity,
    mutual_information_gap,
    sap,
)
from sparsedis.metrics._validation import known_groups

# What each metric computes for a factor: a number, or one for each code.
COLUMNS = {
    "mcc": (mean_correlation_coefficient, "correlation"),
    "spearman": (
        partial(mean_correlation_coefficient, method="spearman"),
        "per_factor",
    ),
    "r": (linear_r_score, "r2"),
    "dci": (partial(dci, random_state=0), "importance"),
    "raw": (partial(dci, standardize=False, random_state=0), "importance"),
    "lasso": (partial(dci, importance="lasso", random_state=0), "importance"),
    "mig": (mutual_information_gap, "mutual_information"),
    "minimality": (minimality_sufficiency, "mutual_information"),
    "sufficiency": (minimality_sufficiency, "per_factor"),
    "infom": (partial(infomec, explicitness=False, random_state=0), "information"),
    "infoe": (partial(infomec, random_state=0), "explicitness"),
    "auc": (partial(explicitness, random_state=0), "per_factor"),
    "sap": (sap, "predictability"),
    "svm": (partial(sap, variant="discrete", random_state=0), "predictability"),
    "irs": (interventional_robustness, "robustness"),
}


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def data(rng):
    """Three discrete factors, each known on other samples, and four codes."""
    factors = rng.integers(0, 4, (300, 3)).astype(float)
    codes = factors @ rng.standard_normal((3, 4)) + 0.3 * rng.standard_normal((300, 4))
    factors[rng.random((300, 3)) < [0.5, 0.2, 0.0]] = np.nan
    return factors, codes


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("i", range(3))
def test_each_factor_counts_on_its_own_rows(data, name, i):
    factors, codes = data
    metric, key = COLUMNS[name]
    # First, so that what is drawn for it is drawn first, with or without the others.
    order = np.roll(range(3), -i)
    column = (
        0 if key in ("r2", "correlation", "per_factor", "explicitness") else (..., 0)
    )
    found = metric(factors[:, order], codes, return_details=True)[key][column]
    rows = ~np.isnan(factors[:, i])
    alone = metric(factors[rows][:, [i]], codes[rows], return_details=True)[key][column]
    if name == "spearman":  # alone, it has the choice of all codes
        assert found <= alone + 1e-12
    else:
        assert_allclose(found, alone, rtol=1e-9, atol=1e-12)


def test_scores_put_the_factors_together(data):
    factors, codes = data
    known = [~np.isnan(z) for z in factors.T]
    parts = [(factors[rows][:, [i]], codes[rows]) for i, rows in enumerate(known)]
    for metric in (linear_r_score, mutual_information_gap, sap):
        expected = np.mean([metric(*part) for part in parts])
        assert_allclose(metric(factors, codes), expected)
    both = [np.corrcoef(z.T, c.T)[0, 1:] for z, c in parts]
    pairs = linear_sum_assignment(np.abs(both), maximize=True)
    expected = np.abs(both)[pairs].mean()
    assert_allclose(mean_correlation_coefficient(factors, codes), expected)
    information = mutual_information_gap(factors, codes, return_details=True)
    ratio = information.mutual_information
    ratio = ratio / ratio.max(axis=1, keepdims=True)
    expected = np.mean(1 - ((ratio**2).sum(axis=1) - 1) / 2)
    assert_allclose(modularity(factors, codes), expected)


@pytest.mark.parametrize("metric", [linear_r_score, dci])
def test_test_sets_may_have_gaps_too(data, metric):
    factors, codes = data
    tests = {"test_factors": factors[150:], "test_codes": codes[150:]}
    r2 = metric(factors[:150], codes[:150], **tests, return_details=True).r2
    for i, z in enumerate(factors.T):
        train, test = np.split(~np.isnan(z), 2)
        alone = metric(
            z[:150][train][:, None],
            codes[:150][train],
            test_factors=z[150:][test][:, None],
            test_codes=codes[150:][test],
            return_details=True,
        )
        assert_allclose(r2[i], alone.r2[0])


@pytest.mark.parametrize("metric", [factor_vae_score, beta_vae_score])
def test_scores_that_fix_a_factor_refuse_gaps(data, metric):
    with pytest.raises(
        ValueError, match="factors contains NaN, and a score that holds"
    ):
        metric(*data)
    with pytest.raises(ValueError, match="factors contains NaN, and blocks needs all"):
        mean_correlation_coefficient(*data, blocks=[[0, 1]])


def test_few_known_rows(data):
    factors, codes = data
    factors[5:, 0] = np.nan
    with pytest.warns(UserWarning, match=r"With [2-5] samples and 4 live codes"):
        linear_r_score(factors, codes)
    factors[:, 0] = np.nan
    factors[0, 0] = 1.0
    with pytest.warns(UserWarning, match=r"Constant column\(s\) \[0\] of factors"):
        score = linear_r_score(factors, codes)
    assert score == linear_r_score(factors[:, 1:], codes)


def test_masked_entries_are_not_known(data):
    factors, codes = data
    masked = np.ma.masked_invalid(factors)
    assert linear_r_score(masked, codes) == linear_r_score(factors, codes)
    codes = np.ma.masked_greater(codes, 3.0)
    with pytest.raises(ValueError, match=r"codes holds .* masked entries"):
        linear_r_score(factors, codes)


def test_groups_of_columns():
    nan = np.nan
    factors = np.array([[1.0, nan, 1.0, nan], [2.0, 2.0, 2.0, 2.0], [nan, 3, nan, nan]])
    groups = {tuple(columns): rows for columns, rows in known_groups(factors)}
    assert groups.keys() == {(0, 2), (1,)}  # and the last one is known only once
    assert_array_equal(groups[0, 2], [True, True, False])
    assert_array_equal(groups[(1,)], [False, True, True])


def test_resampling_and_the_report(data):
    factors, codes = data
    options = {"n_resamples": 5, "random_state": 0}
    chance = chance_level(factors, codes, "mcc", **options)
    assert chance.score == mean_correlation_coefficient(factors, codes)
    assert chance.high < chance.score
    interval = bootstrap_interval(factors, codes, "mcc", **options)
    assert interval.low < interval.score < interval.high
    names = ["mcc", "mig", "factor_vae"]
    report = disentanglement_report(factors, codes, names, **options)
    assert_array_equal(np.isnan(report.table["score"]), [False, False, True])
    known = (~np.isnan(factors[:, 0])).sum()
    text = "\n".join(report.doubts)
    assert f"Partly known factors: 0 is known on {known} of 300 samples." in text
    assert "Not defined on partly known factors: factor_vae." in text


def test_dependent_factors_are_found_on_the_rows_of_both(rng):
    factors = rng.standard_normal((300, 3))
    factors[:, 2] = factors[:, 0] + rng.standard_normal(300)
    factors[:100, 0] = factors[200:, 2] = np.nan
    rows = slice(100, 200)
    expected = mean_correlation_coefficient(
        factors[rows][:, [0]], factors[rows][:, [2]], method="spearman"
    )
    report = disentanglement_report(
        factors, rng.standard_normal((300, 3)), ["mcc"], n_resamples=2, random_state=0
    )
    assert f"0 and 2 have a rank correlation of {expected:.2f}" in "".join(
        report.doubts
    )


def test_scorer_aligns_each_factor_on_its_rows(data, rng):
    factors = data[0]
    codes = 3.0 - 2.0 * np.nan_to_num(factors, nan=7.0)[:, [1, 2, 0]]
    codes += 0.1 * rng.standard_normal(codes.shape)
    scorer = DisentanglementScorer().fit(codes, factors)
    assert_array_equal(scorer.matching_, [2, 0, 1])
    aligned = scorer.transform(codes)
    for i, j in enumerate(scorer.matching_):
        rows = ~np.isnan(factors[:, i])
        slope, intercept = np.polyfit(codes[rows, j], factors[rows, i], 1)
        assert_allclose(aligned[:, i], slope * codes[:, j] + intercept)
    expected = mean_correlation_coefficient(factors, codes)
    assert_allclose([scorer.score(codes, factors), scorer.mcc_], expected)
    assert_allclose(scorer.r_, linear_r_score(factors, codes))


@pytest.mark.parametrize("metric", [mean_correlation_coefficient, dci])
def test_codes_must_be_complete(data, metric):
    factors, codes = data
    codes[0, 0] = np.nan
    with pytest.raises(ValueError, match="codes contains NaN"):
        metric(factors, codes)
