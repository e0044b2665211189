"""Minimality and sufficiency against scikit-learn and closed forms."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import entropy
from sklearn.metrics import mutual_info_score

from sparsedis.metrics import (
    disentanglement_report,
    interventional_robustness,
    minimality_sufficiency,
    modularity,
    mutual_information_gap,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def binned(code, n_bins=20):
    return np.digitize(code, np.histogram_bin_edges(code, bins=n_bins)[1:-1])


def test_scores_agree_with_informations_of_scikit_learn(rng):
    factors = np.column_stack([rng.integers(0, 5, 400), rng.integers(-3, 9, 400)])
    codes = factors @ rng.standard_normal((2, 3)) + rng.standard_normal((400, 3))
    information, own = np.empty((3, 2)), np.empty(3)
    for j, code in enumerate(codes.T):
        own[j] = entropy(np.bincount(binned(code)))
        for i, factor in enumerate(factors.T):
            information[j, i] = mutual_info_score(factor, binned(code))
    needed = [entropy(np.unique(z, return_counts=True)[1]) for z in factors.T]
    details = minimality_sufficiency(factors, codes, return_details=True)
    assert_allclose(details.mutual_information, information)
    assert_allclose(details.per_code, (information / own[:, None]).max(axis=1))
    assert_allclose(details.per_factor, (information / needed).max(axis=0))
    assert_allclose(details.score.minimality, details.per_code.mean())
    assert_allclose(details.score.sufficiency, details.per_factor.mean())


def test_closed_forms():
    # All combinations of three factors of four values, equally often.
    factors = np.stack(np.meshgrid(*[range(4)] * 3), axis=-1).reshape(-1, 3)
    first, second = factors[:, 0], factors[:, 1]
    # A code with two factors, one with half of what is to know, and a random one.
    codes = np.column_stack([4 * first + second, first % 2, factors[:, 2]])
    details = minimality_sufficiency(factors, codes, n_bins=16, return_details=True)
    assert_allclose(details.per_code, [0.5, 1, 1])
    assert_allclose(details.per_factor, [1, 1, 1])
    halves = minimality_sufficiency(factors, factors % 2)
    assert_allclose(halves, [1, 0.5])
    noise = minimality_sufficiency(factors[:, :2], factors[:, [2]])
    assert_allclose(noise, [0, 0], atol=1e-12)


def test_dependent_factors_in_codes_of_their_own_score_one(rng):
    first = rng.integers(0, 5, 1000)
    factors = np.column_stack([first, (first + rng.integers(0, 2, 1000)) % 5])
    codes = 3.0 - 2.0 * factors[:, ::-1]
    assert_allclose(minimality_sufficiency(factors, codes), 1)
    assert modularity(factors, codes) < 0.8
    assert mutual_information_gap(factors, codes) < 0.6
    # Both in both codes.
    mixed = minimality_sufficiency(factors, factors @ [[1.0, 1.0], [1.0, -1.0]])
    assert mixed.minimality < 0.5


def test_dead_codes_are_left_out_of_minimality(rng):
    factors = rng.integers(0, 3, (100, 2))
    codes = np.column_stack([factors, np.full(100, 0.1)])
    with pytest.warns(UserWarning, match=r"Dead \(constant\) column\(s\) \[2\]"):
        details = minimality_sufficiency(factors, codes, return_details=True)
    assert_allclose(details.score, 1)
    assert details.per_code[2] == 0
    with pytest.warns(UserWarning, match="Dead"):
        assert minimality_sufficiency(factors, codes[:, 2:]) == (0, 0)


@pytest.mark.parametrize("metric", [minimality_sufficiency, interventional_robustness])
def test_as_many_values_as_samples_warn(metric, rng):
    days, codes = rng.permutation(400)[:, None], rng.standard_normal((400, 1))
    with pytest.warns(UserWarning, match=r"\[0\] of factors have fewer") as log:
        misled = metric(days, codes)
    assert log[0].filename == __file__
    assert np.max(misled) > 0.99
    bins = np.digitize(days, [100, 200, 300])
    assert np.max(metric(bins, codes)) < 0.6


def test_report_knows_both(rng):
    factors = rng.standard_normal((200, 2))
    names = ["minimality", "sufficiency"]
    quick = {"n_resamples": 3, "random_state": 0}
    report = disentanglement_report(factors, factors, names, **quick)
    # Codes and factors have the same bins.
    assert_allclose(report.table["score"], 1)
    (doubt,) = [d for d in report.doubts if "mutual information" in d]
    assert "minimality and sufficiency" in doubt
