"""Assumption 3.6 against brute force, and Proposition B.7 against simulation."""

import itertools
import math

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.stats import binom

from sparsedis.identifiability import (
    check_support_variability,
    n_supports_needed,
    support_failure_bound,
    support_matrix,
)


def brute_force(supports):
    """The assumption as it is written, with sets."""
    features = set(range(supports.shape[1]))
    sets = [set(np.flatnonzero(support)) for support in supports]
    return all(
        set().union(*(s for s in sets if j not in s)) == features - {j}
        for j in features
    )


def test_agrees_with_brute_force_on_random_supports():
    rng = np.random.default_rng(0)
    verdicts = []
    for _ in range(1000):
        shape = rng.integers(1, 25), rng.integers(1, 7)
        supports = rng.random(shape) < rng.uniform(0.1, 0.9)
        check = check_support_variability(supports)
        assert (check.verdict == "holds") == brute_force(supports)
        sets = [set(np.flatnonzero(support)) for support in supports]
        pairs = [
            [i, j]
            for i in range(shape[1])
            for j in range(shape[1])
            if i != j and not any(i in s and j not in s for s in sets)
        ]
        assert check.details.unseparated_pairs.tolist() == pairs
        verdicts.append(check.verdict)
    # Both outcomes are common, so that the comparison says something.
    assert min(verdicts.count("holds"), verdicts.count("fails")) > 200


def test_blocks_of_features_are_the_groups():
    # Supports made of whole blocks, as in Section D.2.4 of the paper.
    blocks = np.repeat(np.eye(3, dtype=bool), 2, axis=1)[:, [0, 2, 4, 1, 3, 5]]
    supports = np.vstack([blocks, blocks[0] | blocks[1]])
    check = check_support_variability(supports)
    assert check.verdict == "fails"
    groups = [group.tolist() for group in check.details.groups]
    assert groups == [[0, 3], [1, 4], [2, 5]]
    assert len(check.details.unseparated_pairs) == 6
    assert check.details.n_separating[0, 1] == 1
    assert check.details.n_separating[0, 3] == 0
    check = check_support_variability(np.ones((4, 6)))
    assert [group.tolist() for group in check.details.groups] == [list(range(6))]


def test_one_direction_is_enough_to_fail():
    check = check_support_variability([[1, 1, 0], [0, 1, 0], [0, 0, 1]])
    assert check.verdict == "fails"
    assert check.details.unseparated_pairs.tolist() == [[0, 1]]
    assert "0 is used only with 1" in check.reason
    assert [group.tolist() for group in check.details.groups] == [[0, 1]]


def test_unused_features_are_in_no_group():
    check = check_support_variability([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]])
    assert check.verdict == "fails"
    assert check.details.unused.tolist() == [3]
    assert check.details.groups == []
    assert "no task uses 3" in check.reason
    nothing = check_support_variability(np.zeros((2, 3)))
    assert nothing.verdict == "fails"
    assert nothing.details.unused.tolist() == [0, 1, 2]


def test_long_lists_of_pairs_are_cut():
    check = check_support_variability(np.ones((1, 5)))
    assert check.reason.count("used only with") == 3
    assert "17 more" in check.reason


def test_single_feature_holds():
    check = check_support_variability([[1.0], [0.0]])
    assert check.verdict == "holds"
    assert check.reason == "a single feature has none to be told apart from."


def test_supports_of_coefficients():
    coef = np.array([[2.0, 1e-7, -1e-3], [0.0, 0.0, 0.0], [1e-9, 0.0, 1e-12]])
    expected = np.array([[1, 0, 1], [0, 0, 0], [1, 0, 1]], dtype=bool)
    assert_array_equal(support_matrix(coef), expected)
    assert_array_equal(support_matrix(coef, tol=0), coef != 0)
    assert_array_equal(support_matrix(coef, tol=0.01)[:, 2], False)
    outputs = np.zeros((2, 2, 3))
    outputs[0, 1, 2] = outputs[1, 0, 0] = -1.0
    assert_array_equal(support_matrix(outputs), [[0, 0, 1], [1, 0, 0]])
    coef[1, 1] = np.nan
    with pytest.warns(UserWarning, match="1 of 3 heads in coef are NaN") as caught:
        assert_array_equal(support_matrix(coef), expected[[0, 2]])
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("coef", "message"),
    [
        (np.ones(3), r"got \(3,\)"),
        (np.ones((0, 3)), r"none of them 0; got \(0, 3\)"),
        ([[1.0, np.inf]], "coef contains infinity"),
        ([[1.0, np.nan]], "no head without NaN"),
    ],
)
def test_bad_heads_raise(coef, message):
    for function in (support_matrix, check_support_variability):
        with pytest.raises(ValueError, match=message):
            function(coef)
        with pytest.raises(ValueError, match="tol == -1, must be >= 0"):
            function(np.eye(2), tol=-1)


# Proposition B.7 ---------------------------------------------------------------------


def test_bound_in_closed_form():
    assert support_failure_bound(10, 3, 0.5) == 6 * 0.75**10
    assert support_failure_bound(0, 3, 0.5) == 1
    assert support_failure_bound(5, 1, 0.5) == 0
    assert support_failure_bound(1000, 4, 0.0) == support_failure_bound(9, 4, 1) == 1


def overlap(n_supports, n_features, p):
    """Sum, over all couples of ordered pairs, of the probability that both fail."""
    features = range(n_features)
    supports = np.array(list(itertools.product([False, True], repeat=n_features)))
    probability = np.where(supports, p, 1 - p).prod(axis=1)
    separates = [
        supports[:, i] & ~supports[:, j] for i, j in itertools.permutations(features, 2)
    ]
    return sum(
        probability[~a & ~b].sum() ** n_supports
        for a, b in itertools.combinations(separates, 2)
    )


@pytest.mark.parametrize(
    ("n_supports", "n_features", "p"), [(12, 3, 0.5), (20, 4, 0.5), (30, 5, 0.25)]
)
def test_failure_rate_agrees_with_the_bound(n_supports, n_features, p):
    rng = np.random.default_rng(0)
    n_draws = 2000
    failures = sum(
        check_support_variability(rng.random((n_supports, n_features)) < p).verdict
        == "fails"
        for _ in range(n_draws)
    )
    bound = support_failure_bound(n_supports, n_features, p)
    assert failures <= binom.ppf(0.999, n_draws, bound)
    # The union bound is too large by the overlaps of its events at most.
    least = bound - overlap(n_supports, n_features, p)
    assert least > 0.5 * bound
    assert failures >= binom.ppf(0.001, n_draws, least)


def test_rate_for_two_features_in_closed_form():
    # Two events, each of probability 3/4 per task and both of 1/2.
    rng = np.random.default_rng(1)
    n_draws, q = 4000, 5
    failures = sum(
        check_support_variability(rng.random((q, 2)) < 0.5).verdict == "fails"
        for _ in range(n_draws)
    )
    rate = 2 * 0.75**q - 0.5**q
    assert rate < support_failure_bound(q, 2, 0.5)
    assert abs(failures - n_draws * rate) < 4 * math.sqrt(n_draws * rate * (1 - rate))


@pytest.mark.parametrize("n_features", [2, 6, 50])
@pytest.mark.parametrize("p", [0.01, 0.5, 0.9])
@pytest.mark.parametrize("failure_probability", [0.5, 0.05, 1e-9])
def test_number_needed_inverts_the_bound(n_features, p, failure_probability):
    q = n_supports_needed(n_features, p, failure_probability)
    assert support_failure_bound(q, n_features, p) <= failure_probability
    assert support_failure_bound(q - 1, n_features, p) > failure_probability


def test_number_needed_for_the_pairs_that_are_left():
    assert n_supports_needed(6, n_pairs=30) == n_supports_needed(6)
    assert n_supports_needed(6, n_pairs=0) == 0
    assert n_supports_needed(1) == 0
    q = n_supports_needed(6, 0.5, 0.05, n_pairs=2)
    assert 2 * 0.75**q <= 0.05 < 2 * 0.75 ** (q - 1)


def test_bad_arguments_of_the_bound_raise():
    with pytest.raises(ValueError, match="p == 1, must be < 1"):
        n_supports_needed(3, p=1)
    with pytest.raises(ValueError, match="failure_probability == 0, must be > 0"):
        n_supports_needed(3, failure_probability=0)
    with pytest.raises(ValueError, match="n_pairs == 7, must be <= 6"):
        n_supports_needed(3, n_pairs=7)
    with pytest.raises(ValueError, match=r"p == 1.5, must be <= 1"):
        support_failure_bound(3, 3, 1.5)
    with pytest.raises(TypeError, match="n_supports must be an instance of"):
        support_failure_bound(3.5, 3)
