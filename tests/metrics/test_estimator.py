"""DisentanglementScorer as an estimator, and what it learns."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import spearmanr
from sklearn.exceptions import NotFittedError, UndefinedMetricWarning
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from sparsedis.metrics import (
    DisentanglementScorer,
    dci,
    explicitness,
    linear_r_score,
    mean_correlation_coefficient,
    sap,
)


@parametrize_with_checks(
    [DisentanglementScorer(), DisentanglementScorer("r", blocks=[])], xfail_strict=True
)
def test_estimator_checks(estimator, check):
    check(estimator)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def data(rng):
    """Codes in another order, with other signs and units, noise, and one to spare."""
    factors = rng.standard_normal((400, 3)) * [1.0, 5.0, 0.1] + [0.0, 7.0, -1.0]
    codes = factors[:, [1, 2, 0, 0]] * [-2.0, 30.0, 0.5, 1.0] + [0.0, 1.0, 5.0, 0.0]
    codes += codes.std(axis=0) * [0.3, 0.2, 0.1, 2.0] * rng.standard_normal((400, 4))
    return codes, factors


def test_what_fit_learns(data):
    codes, factors = data
    scorer = DisentanglementScorer().fit(codes, factors)
    assert_array_equal(scorer.matching_, [2, 0, 1])
    assert_array_equal(scorer.signs_, [1, -1, 1])
    for i, j in enumerate([2, 0, 1]):
        line = LinearRegression().fit(codes[:, [j]], factors[:, i])
        assert_allclose(scorer.signs_[i] * scorer.scales_[i], line.coef_[0])
        assert_allclose(scorer.shifts_[i], line.intercept_)
        assert_allclose(scorer.coef_[i, j], line.coef_[0])
        assert_allclose(scorer.transform(codes)[:, i], line.predict(codes[:, [j]]))
    assert np.count_nonzero(scorer.coef_) == 3
    assert_array_equal(scorer.intercept_, scorer.shifts_)
    assert_array_equal(
        scorer.get_feature_names_out(), ["factor0", "factor1", "factor2"]
    )


def test_transform_recovers_factors_exactly(rng):
    factors = rng.standard_normal((50, 3))
    codes = 4.0 - factors[:, [2, 0, 1]] * [0.1, 10.0, 3.0]
    scorer = DisentanglementScorer().fit(codes, factors)
    assert_allclose(scorer.transform(codes), factors, atol=1e-12)
    other = rng.standard_normal((5, 3))
    aligned = scorer.transform(4.0 - other[:, [2, 0, 1]] * [0.1, 10.0, 3.0])
    assert_allclose(aligned, other, atol=1e-12)


@pytest.mark.parametrize("method", ["pearson", "spearman"])
@pytest.mark.parametrize("unmatched", ["zero", "drop"])
@pytest.mark.parametrize("n_codes", [2, 4])
def test_mcc_on_the_samples_of_the_fit(data, method, unmatched, n_codes):
    codes, factors = data
    options = {"method": method, "unmatched": unmatched}
    scorer = DisentanglementScorer(**options).fit(codes[:, :n_codes], factors)
    expected = mean_correlation_coefficient(factors, codes[:, :n_codes], **options)
    assert_allclose(scorer.mcc_, expected)
    assert_allclose(scorer.score(codes[:, :n_codes], factors), expected)


def test_mcc_on_other_samples_keeps_the_alignment(data, rng):
    codes, factors = data
    scorer = DisentanglementScorer().fit(codes[:200], factors[:200])
    other = codes[200:], factors[200:]
    correlations = [
        sign * np.corrcoef(other[0][:, j], other[1][:, i])[0, 1]
        for i, (j, sign) in enumerate(zip([2, 0, 1], [1, -1, 1], strict=True))
    ]
    assert_allclose(scorer.score(*other), np.mean(correlations))
    assert_allclose(scorer.score(-other[0], other[1]), -np.mean(correlations))
    # A matching of its own flatters noise, which a learned one does not.
    noise, factors = rng.standard_normal((2, 400, 10))
    scorer = DisentanglementScorer().fit(noise[:200], factors[:200])
    assert abs(scorer.score(noise[200:], factors[200:])) < 0.05
    assert mean_correlation_coefficient(factors[200:], noise[200:]) > 0.1
    assert_allclose(cross_val_score(scorer, noise, factors), 0, atol=0.1)


def test_named_factors_are_scored_by_their_names(data):
    codes, factors = data
    y = pd.DataFrame(factors, columns=["hue", "size", "angle"])
    scorer = DisentanglementScorer().fit(codes, y)
    expected = scorer.score(codes, factors)
    assert expected > 0.9
    assert scorer.score(codes, y[["angle", "hue", "size"]]) == expected
    for other in (y.rename(columns={"hue": "shape"}), y[["hue", "size"]]):
        with pytest.raises(ValueError, match=r"'size', 'angle'\], in any order"):
            scorer.score(codes, other)
    # A fit without names takes columns as they come.
    assert DisentanglementScorer().fit(codes, factors).score(codes, y) == expected


def test_spearman_matching(rng):
    factors = rng.standard_normal((100, 2))
    codes = np.exp(3 * factors[:, [1, 0]]) * [1.0, -1.0]
    scorer = DisentanglementScorer(method="spearman").fit(codes, factors)
    assert_allclose(scorer.mcc_, 1)
    assert_array_equal(scorer.signs_, [-1, 1])
    aligned = scorer.transform(codes)
    assert_allclose(spearmanr(aligned[:, 0], factors[:, 0]).statistic, 1)
    assert_allclose(scorer.score(codes, factors), 1)


def test_unmatched_and_constant_factors_are_their_mean(rng):
    factors = rng.standard_normal((60, 4))
    factors[:, 1] = 0.1
    with pytest.warns(UndefinedMetricWarning, match=r"\[1\] of factors"):
        scorer = DisentanglementScorer().fit(factors[:, [2, 0]], factors)
    assert_array_equal(scorer.matching_, [1, -1, 0, -1])
    assert_array_equal(scorer.signs_, [1, 0, 1, 0])
    assert_array_equal(scorer.scales_[[1, 3]], 0)
    aligned = scorer.transform(factors[:, [2, 0]])
    assert_allclose(aligned[:, [0, 2]], factors[:, [0, 2]], atol=1e-14)
    assert_allclose(aligned[:, 1], 0.1)
    assert_allclose(aligned[:, 3], factors[:, 3].mean())
    with pytest.warns(UndefinedMetricWarning, match=r"\[1\] of y are left out"):
        assert_allclose(scorer.score(factors[:, [2, 0]], factors), 2 / 3)
    with pytest.raises(ValueError, match="y must have a column that varies"):
        scorer.score(factors[:, [2, 0]], np.ones((60, 4)))
    with pytest.warns(UndefinedMetricWarning, match=r"\[0\] of codes"):
        scorer.fit(np.ones((60, 1)), factors[:, [0]])
    assert scorer.mcc_ == scorer.score(np.ones((60, 1)), factors[:, [0]]) == 0
    assert_allclose(scorer.transform(np.ones((2, 1))), factors[:, 0].mean())


def test_blocks(rng):
    factors = rng.standard_normal((200, 4))
    mixing = np.eye(4)
    mixing[:2, :2] = [[1.0, 2.0], [-1.0, 1.0]]
    codes = (factors @ mixing)[:, [2, 0, 3, 1]] + 1.0
    scorer = DisentanglementScorer(blocks=[[0, 1]]).fit(codes, factors)
    assert_allclose(scorer.mcc_, 1)
    assert_allclose(scorer.transform(codes), factors, atol=1e-12)
    assert_allclose(scorer.score(codes, factors), 1)
    assert_array_equal(scorer.block_codes_[0], [1, 3])
    assert not hasattr(scorer, "scales_")
    plain = DisentanglementScorer().fit(codes, factors)
    assert plain.mcc_ < 0.95
    noisy = codes + rng.standard_normal(codes.shape)
    for unmatched in ("zero", "drop"):
        options = {"blocks": [[0, 1], [2, 3]], "unmatched": unmatched}
        for columns in ([0, 1, 2, 3], [0, 2, 3], [0, 2]):
            scorer = DisentanglementScorer(**options).fit(noisy[:, columns], factors)
            expected = mean_correlation_coefficient(
                factors, noisy[:, columns], **options
            )
            assert_allclose(scorer.mcc_, expected)
            assert_allclose(scorer.score(noisy[:, columns], factors), expected)


def test_reported_metrics(data):
    codes, factors = data
    scorer = DisentanglementScorer().fit(codes, factors)
    assert scorer.scores_ == {
        "mcc": mean_correlation_coefficient(factors, codes),
        "r": linear_r_score(factors, codes),
        "dci_disentanglement": dci(factors, codes).disentanglement,
        "dci_completeness": dci(factors, codes).completeness,
        "sap": sap(factors, codes),
    }
    for name, value in scorer.scores_.items():
        assert getattr(scorer, f"{name}_") == value
    assert "sap" not in DisentanglementScorer().fit(codes[:, :1], factors).scores_


def test_other_metrics(data):
    codes, factors = data
    labels = np.digitize(factors[:, :1], [-0.5, 0.5])
    scorer = DisentanglementScorer("explicitness", metric_params={"random_state": 0})
    scorer.fit(codes, labels)
    assert scorer.explicitness_ == explicitness(labels, codes, random_state=0)
    assert scorer.score(codes[:50], labels[:50]) == explicitness(
        labels[:50], codes[:50], random_state=0
    )

    def worst_factor(factors, codes):
        details = mean_correlation_coefficient(factors, codes, return_details=True)
        return details.per_factor.min()

    scorer = DisentanglementScorer(worst_factor).fit(codes, factors)
    assert scorer.worst_factor_ == scorer.score(codes, factors)
    assert scorer.worst_factor_ == worst_factor(factors, codes)


@pytest.mark.parametrize(
    "later", [{"method": "spearman"}, {"unmatched": "drop"}, {"metric": "sap"}]
)
def test_parameters_are_those_of_the_fit(data, later):
    codes, factors = data[0][:, :2] ** 3, data[1]
    scorer = DisentanglementScorer().fit(codes, factors)
    score = scorer.score(codes, factors)
    assert scorer.set_params(**later).score(codes, factors) == score
    assert scorer.fit(codes, factors).score(codes, factors) != score


def test_repr_shows_metrics_and_alignment(data):
    codes, factors = data
    scorer = DisentanglementScorer("r")
    assert repr(scorer) == "DisentanglementScorer(metric='r')"
    names = {"columns": ["hue", "orientation", "size"]}
    scorer.fit(
        pd.DataFrame(codes, columns=["a", "b", "c", "d"]),
        pd.DataFrame(factors, **names),
    )
    first, scores, header, *rows = repr(scorer).splitlines()
    assert first == "DisentanglementScorer(metric='r')"
    assert f"mcc {scorer.mcc_:.3f}" in scores
    assert f"dci_completeness {scorer.dci_completeness_:.3f}" in scores
    assert header.split() == ["factor", "code", "correlation", "scale", "shift"]
    assert [row.split()[:2] for row in rows] == [
        ["hue", "c"],
        ["orientation", "a"],
        ["size", "b"],
    ]
    assert rows[1].split()[2] == f"{scorer.correlation_[1, 0]:+.3f}"
    assert_array_equal(scorer.get_feature_names_out(), names["columns"])
    assert len({len(line) for line in [header, *rows]}) == 1
    text = repr(make_pipeline(StandardScaler(), scorer))
    assert "DisentanglementScorer(metric='r')" in text
    scorer = DisentanglementScorer(blocks=[[0, 1]]).fit(codes[:, :2], factors)
    assert repr(scorer).splitlines()[2].split() == ["factor", "code", "correlation"]
    matched = {row.split()[0]: row.split()[1] for row in repr(scorer).splitlines()[3:]}
    assert matched == {"factor0": "-", "factor1": "0", "factor2": "1"}


def test_bad_arguments_raise(data):
    codes, factors = data
    with pytest.raises(ValueError, match=r"metric must be one of .*got 'matthews'"):
        DisentanglementScorer("matthews").fit(codes, factors)
    with pytest.raises(
        ValueError, match=r"metric must be a name or a function.*\['r'\]"
    ):
        DisentanglementScorer(["r"]).fit(codes, factors)
    with pytest.raises(ValueError, match=r"method must be one of .*got 'kendall'"):
        DisentanglementScorer(method="kendall").fit(codes, factors)
    with pytest.raises(ValueError, match=r"unmatched must be one of .*got 'skip'"):
        DisentanglementScorer(unmatched="skip").fit(codes, factors)
    with pytest.raises(ValueError, match="has no metric_params"):
        DisentanglementScorer(metric_params={"method": "pearson"}).fit(codes, factors)
    with pytest.raises(TypeError, match=r"takes the argument\(s\) \['n_bins'\]"):
        DisentanglementScorer("r", metric_params={"n_bins": 3}).fit(codes, factors)
    with pytest.raises(ValueError, match=r"column\(s\) \[1\] hold NaN alone"):
        DisentanglementScorer().fit(codes, factors * [1, np.nan, 1])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        DisentanglementScorer().fit(codes, factors[1:])
    with pytest.raises(NotFittedError):
        DisentanglementScorer().score(codes, factors)
    scorer = DisentanglementScorer().fit(codes, factors)
    with pytest.raises(
        ValueError, match="y must have the factors of the fit, 3; got 2"
    ):
        scorer.score(codes, factors[:, :2])
    with pytest.raises(ValueError, match=r"must return a number; got DCIScores"):
        DisentanglementScorer(dci).fit(codes, factors)
