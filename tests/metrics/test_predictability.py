"""Explicitness and SAP against closed forms and scikit-learn's classifiers."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from sparsedis.metrics import explicitness, sap


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def data(rng):
    factors = np.column_stack([rng.integers(0, 3, 300), rng.integers(0, 2, 300)])
    codes = factors @ rng.standard_normal((2, 3)) + rng.standard_normal((300, 3))
    return factors, codes * [1.0, 30.0, 0.1] + 2.0


def test_explicitness_agrees_with_scikit_learn(data):
    factors, codes = data
    split = np.random.RandomState(0)
    expected = []
    for y in factors.T:
        c, test_c, y_train, y_test = train_test_split(
            codes, y, stratify=y, random_state=split
        )
        model = make_pipeline(StandardScaler(), LogisticRegression()).fit(c, y_train)
        p = model.predict_proba(test_c)
        expected.append(
            roc_auc_score(y_test, p, multi_class="ovr")
            if p.shape[1] > 2
            else roc_auc_score(y_test, p[:, 1])
        )
    details = explicitness(factors, codes, random_state=0, return_details=True)
    assert_allclose(details.per_factor, expected)
    assert_allclose(details.score, np.mean(expected))
    assert 0.6 < details.score < 0.95
    scaled = explicitness(
        factors, codes, scale=True, random_state=0, return_details=True
    )
    assert_allclose(scaled.per_factor, 2 * np.array(expected) - 1)
    assert_allclose(scaled.score, 2 * details.score - 1)


def test_explicitness_of_uninformative_codes_is_chance(rng):
    factors = rng.integers(0, 3, (4000, 2))
    codes = rng.standard_normal((4000, 2))
    assert_allclose(explicitness(factors, codes, random_state=0), 0.5, atol=0.03)
    with pytest.warns(UndefinedMetricWarning, match=r"\[0, 1\] of codes"):
        assert explicitness(factors, np.ones((4000, 2))) == 0.5
    with pytest.warns(UndefinedMetricWarning, match=r"\[0, 1\] of codes"):
        assert explicitness(factors, np.ones((4000, 2)), scale=True) == 0


def test_values_missing_from_a_part_are_left_out_of_the_average():
    # The value 2 occurs once, so that one of the two parts lacks it. Its code lies
    # between those of 0 and 1, and spoils the ranking of neither.
    factors = np.repeat([0, 1], 20)[:, None]
    factors[0] = 2
    codes = np.array([0.0, 1.0, 0.5])[factors]
    for seed in range(4):
        assert_allclose(explicitness(factors, codes, random_state=seed), 1)


def test_factors_that_a_split_leaves_constant_are_left_out():
    balanced = np.arange(40) % 2
    single = np.arange(40) == 0
    factors = np.column_stack([single, balanced])
    codes = np.column_stack([balanced, single])
    with pytest.warns(UndefinedMetricWarning, match=r"Column\(s\) \[0\] of factors do"):
        details = explicitness(factors, codes, random_state=0, return_details=True)
    assert_allclose(details.per_factor, [0, 1])
    assert_allclose(details.score, 1)
    for metric in (explicitness, lambda *a: sap(*a, variant="discrete")):
        with pytest.raises(ValueError, match=r"40 samples with test_size=0.25"):
            metric(factors[:, :1], codes)


def test_continuous_sap_is_the_gap_of_squared_correlations(rng):
    factors = rng.standard_normal((80, 3))
    codes = factors @ rng.standard_normal((3, 4))
    squared = np.corrcoef(factors, codes, rowvar=False)[:3, 3:] ** 2
    details = sap(factors, codes, return_details=True)
    assert_allclose(details.predictability, squared.T)
    gaps = np.sort(squared, axis=1)[:, -1] - np.sort(squared, axis=1)[:, -2]
    assert_allclose(details.per_factor, gaps)
    assert_allclose(details.score, gaps.mean())


@pytest.mark.parametrize("standardize", [False, True])
def test_discrete_sap_agrees_with_scikit_learn(data, standardize):
    factors, codes = data
    split = np.random.RandomState(0)
    expected = np.empty((3, 2))
    for i, y in enumerate(factors.T):
        c, test_c, y_train, y_test = train_test_split(
            codes, y, stratify=y, random_state=split
        )
        for j in range(3):
            svm = LinearSVC(C=0.01, class_weight="balanced", random_state=0)
            model = make_pipeline(StandardScaler() if standardize else None, svm)
            model.fit(c[:, [j]], y_train)
            expected[j, i] = model.score(test_c[:, [j]], y_test)
    details = sap(
        factors,
        codes,
        variant="discrete",
        standardize=standardize,
        random_state=0,
        return_details=True,
    )
    assert_allclose(details.predictability, expected)
    assert_allclose(
        details.score, np.diff(np.sort(expected, axis=0)[-2:], axis=0).mean()
    )


def test_sap_of_dead_codes_and_constant_factors(rng):
    factors = rng.integers(0, 2, (60, 2))
    dead = np.insert(factors, 1, 7, axis=1)
    for variant in ("continuous", "discrete"):
        with pytest.warns(UndefinedMetricWarning, match=r"\[1\] of codes"):
            details = sap(factors, dead, variant=variant, return_details=True)
        assert_array_equal(details.predictability[1], 0)
        assert_allclose(details.predictability[[0, 2], [0, 1]], 1)
        with pytest.warns(UndefinedMetricWarning, match=r"\[1\] of factors"):
            details = sap(dead, factors, variant=variant, return_details=True)
        assert_array_equal(details.factor_mask, [True, False, True])
        assert details.per_factor[1] == 0
        assert_allclose(details.score, details.per_factor[[0, 2]].mean())


def test_what_is_undefined_raises(rng):
    z = rng.standard_normal((40, 2))
    with pytest.raises(ValueError, match="codes must have at least 2 columns"):
        sap(z, z[:, :1])
    with pytest.raises(ValueError, match=r"variant must be one of .*; got 'svm'"):
        sap(z, z, variant="svm")
    for metric in (explicitness, lambda *a: sap(*a, variant="discrete")):
        with pytest.raises(ValueError, match="column 0 is continuous"):
            metric(z, z)
    assert 0.7 < explicitness(z, z, factor_bins=3, random_state=0) <= 1
