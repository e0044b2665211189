"""MIG and modularity against closed forms and scikit-learn's mutual information."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import entropy
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import mutual_info_score

from sparsedis.metrics import modularity, mutual_information_gap
from sparsedis.metrics._discrete import bin_values, factor_labels


def grid(*sizes):
    """Every combination of discrete factors, once."""
    return np.stack(np.meshgrid(*map(range, sizes)), axis=-1).reshape(-1, len(sizes))


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_bins_are_those_of_histogram(rng):
    for x in (
        rng.standard_normal(500),
        np.arange(41.0),  # values on the edges of bins, the maximum among them
        np.array([0.0, 1e-310]),
        np.array([-1.7e308, 0.0, 1.7e308]) / 2.1,
    ):
        counts = np.bincount(bin_values(x, 20), minlength=20)
        assert_array_equal(counts, np.histogram(x, bins=20)[0])
    # Beyond what numpy's histogram can do: a range that overflows, and one of an ulp.
    assert_array_equal(bin_values(np.array([-1.7e308, 0.1, 1.7e308]), 2), [0, 1, 1])
    assert len(set(bin_values(np.array([1.0, 1 + 2**-52]), 20))) == 2


def test_mutual_informations_agree_with_scikit_learn(rng):
    factors = np.column_stack([rng.integers(0, 5, 400), rng.integers(-3, 9, 400)])
    codes = factors @ rng.standard_normal((2, 3)) + rng.standard_normal((400, 3))
    expected = np.empty((3, 2))
    for j in range(3):
        edges = np.histogram_bin_edges(codes[:, j], bins=20)[1:-1]
        for i in range(2):
            expected[j, i] = mutual_info_score(
                factors[:, i], np.digitize(codes[:, j], edges)
            )
    details = mutual_information_gap(factors, codes, return_details=True)
    assert_allclose(details.mutual_information, expected)
    entropies = [entropy(np.unique(z, return_counts=True)[1]) for z in factors.T]
    assert_allclose(details.entropy, entropies)
    gaps = (np.sort(expected, axis=0)[-1] - np.sort(expected, axis=0)[-2]) / entropies
    assert_allclose(details.per_factor, gaps)
    assert_allclose(details.score, gaps.mean())
    details = modularity(factors, codes, return_details=True)
    assert_allclose(details.mutual_information, expected)
    small, large = np.sort(expected, axis=1).T
    assert_allclose(details.per_code, 1 - (small / large) ** 2)
    assert_allclose(details.score, details.per_code.mean())


def test_gap_in_closed_form():
    # The second code knows the parity of the factor: information log(2) of log(4).
    factors = grid(4, 3)
    codes = np.column_stack([factors[:, 0], factors[:, 0] % 2, factors[:, 1]])
    details = mutual_information_gap(factors, codes, return_details=True)
    assert_allclose(details.per_factor, [1 - np.log(2) / np.log(4), 1])


def test_modularity_in_closed_form():
    # One code that tells apart the 4 x 3 combinations of the first two factors.
    factors = grid(4, 3, 2)
    code = 3 * factors[:, 0] + factors[:, 1]
    details = modularity(
        factors, np.column_stack([code, factors[:, 2]]), return_details=True
    )
    assert_allclose(details.mutual_information[0], [np.log(4), np.log(3), 0])
    expected = 1 - (np.log(3) / np.log(4)) ** 2 / 2
    assert_allclose(details.per_code, [expected, 1])


def test_uninformative_code_has_no_modularity():
    factors = grid(4, 3, 2)
    for metric in (modularity, mutual_information_gap):
        details = metric(factors[:, :2], factors, return_details=True)
        assert_array_equal(details.mutual_information[2], 0)
        assert details.score == pytest.approx(2 / 3 if metric is modularity else 1)


def test_small_samples_bias_the_gap_downward(rng):
    # Independent factors with twenty values, and codes equal to them.
    factors = rng.integers(0, 20, (20_000, 6))
    few = [mutual_information_gap(z, z) for z in np.split(factors[:2000], 20)]
    assert_allclose(np.mean(few), 0.54, atol=0.05)
    assert mutual_information_gap(factors, factors) > 0.99


def test_dead_codes_and_constant_factors():
    factors = grid(4, 3)
    codes = np.column_stack([factors, np.full(12, 0.1)])
    with pytest.warns(UndefinedMetricWarning, match=r"\[2\] of codes"):
        assert_allclose(modularity(factors, codes), 2 / 3)
    with pytest.warns(UndefinedMetricWarning, match=r"\[2\] of codes"):
        assert_allclose(modularity(factors, codes, dead="drop"), 1)
    with pytest.warns(UndefinedMetricWarning, match=r"\[0, 1\] of codes"):
        assert modularity(factors, np.zeros((12, 2)), dead="drop") == 0
    with pytest.warns(UndefinedMetricWarning, match=r"\[2\] of codes"):
        assert_allclose(mutual_information_gap(factors, codes), 1)
    with pytest.warns(UndefinedMetricWarning, match=r"\[2\] of factors"):
        details = mutual_information_gap(codes, factors, return_details=True)
    assert_allclose(details.per_factor, [1, 1, 0])
    assert_allclose(details.score, 1)
    with pytest.warns(UndefinedMetricWarning, match=r"\[2\] of factors"):
        assert_allclose(modularity(codes, factors), 1)


def test_what_is_undefined_raises():
    factors = grid(4, 3)
    with pytest.raises(ValueError, match="codes must have at least 2 columns"):
        mutual_information_gap(factors, factors[:, :1])
    with pytest.raises(ValueError, match=r"factors must have at least 2 column\(s\)"):
        modularity(factors[:, :1], factors)
    with pytest.raises(ValueError, match=r"dead must be one of .*; got 'ignore'"):
        modularity(factors, factors, dead="ignore")
    with pytest.raises(ValueError, match="n_bins == 1, must be >= 2"):
        modularity(factors, factors, n_bins=1)


def test_continuous_factors_raise_unless_binned(rng):
    factors = rng.standard_normal((200, 2))
    for metric in (mutual_information_gap, modularity):
        with pytest.raises(ValueError, match="column 0 is continuous: 200 distinct"):
            metric(factors, factors)
        binned = np.column_stack([bin_values(z, 8) for z in factors.T])
        assert metric(factors, factors, factor_bins=8) == metric(binned, factors)
        with pytest.raises(TypeError, match="factor_bins must be an instance of"):
            metric(factors, factors, factor_bins="auto")


def test_values_that_recur_are_discrete_whatever_their_type(rng):
    levels = rng.standard_normal(8)
    labels = np.repeat(np.arange(8), 5)
    (found,) = factor_labels(levels[labels][:, None])
    assert_array_equal(found, np.argsort(np.argsort(levels))[labels])
    with pytest.raises(ValueError, match="continuous"):
        factor_labels(levels[labels][:-1, None])  # fewer than five of each
    # All floats above 2**53 are integers: in huge units, this says nothing.
    huge = np.linspace(1e17, 2e17, 40)[:, None]
    with pytest.raises(ValueError, match="column 0 is continuous: 40 distinct"):
        factor_labels(huge)
    (found,) = factor_labels(huge, n_bins=20)
    assert_array_equal(found, np.repeat(np.arange(20), 2))
    (found,) = factor_labels(1e17 * (1 + labels[:, None]))
    assert_array_equal(found, labels)
    (found,) = factor_labels(np.array([[7.0], [3.0], [100.0]]))
    assert_array_equal(found, [1, 0, 2])
    # Discrete factors are not binned, which would merge 0 and 1 here.
    (found,) = factor_labels(np.array([[0.0], [1.0], [100.0]]), n_bins=20)
    assert_array_equal(found, [0, 1, 2])
