"""Features of several models, matched."""

from itertools import combinations, permutations

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from sparsedis.ensemble._matching import match_features, warn_if_none


@pytest.fixture
def factors():
    return np.random.default_rng(0).standard_normal((200, 3))


def test_order_and_signs_of_noisy_copies(factors):
    rng = np.random.default_rng(1)
    orders = [np.arange(3), np.array([2, 0, 1]), np.array([1, 0, 2])]
    signs = rng.choice([-1.0, 1.0], (3, 3))
    codes = [
        (factors * sign + 0.2 * rng.standard_normal(factors.shape))[:, order] * 7 + 3
        for order, sign in zip(orders, signs, strict=True)
    ]
    found = match_features(codes)
    np.testing.assert_array_equal(found.matching, [np.argsort(o) for o in orders])
    np.testing.assert_array_equal(found.signs, signs * signs[0])
    aligned = [Z[:, np.argsort(o)] for Z, o in zip(codes, orders, strict=True)]
    for j, agreement in enumerate(found.agreement):
        pairs = combinations([Z[:, j] for Z in aligned], 2)
        expected = np.mean([abs(np.corrcoef(a, b)[0, 1]) for a, b in pairs])
        assert agreement == pytest.approx(expected)


def test_the_sum_of_correlations_is_largest():
    rng = np.random.default_rng(0)
    first = rng.standard_normal((100, 1)) + 0.4 * rng.standard_normal((100, 4))
    second = first + 0.3 * rng.standard_normal((100, 4))
    matching = match_features([first, second]).matching[1]
    similarity = np.corrcoef(first.T, second.T)[:4, 4:]
    best = max(permutations(range(4)), key=lambda p: similarity[range(4), p].sum())
    assert similarity[range(4), best].min() >= 0.8
    np.testing.assert_array_equal(matching, best)


def test_features_of_most_models_are_kept(factors):
    a, b, c = factors.T
    codes = [(a,), (b, a), (-b, a, c)]
    found = match_features([np.column_stack(Z) for Z in codes])
    np.testing.assert_array_equal(found.matching, [[0, -1], [1, 0], [1, 0]])
    np.testing.assert_array_equal(found.signs, [[1, 0], [1, 1], [1, -1]])
    np.testing.assert_allclose(found.agreement, [1, 1 / 3])
    two = match_features([np.column_stack(Z) for Z in [(a, b), (b, c)]])
    np.testing.assert_array_equal(two.matching, [[1], [0]])


def test_mean_is_that_of_standardised_features(factors):
    a, b, _ = factors.T
    codes = [a[:, None], np.column_stack([b, a + 0.1]), np.column_stack([a, -b]) * 5]
    found = match_features(codes)
    scaled = [StandardScaler().fit(Z) for Z in codes]
    new = np.random.default_rng(2).standard_normal((9, 2))
    unseen = [new[:, :1], new, new]
    first, second, third = (s.transform(Z) for s, Z in zip(scaled, unseen, strict=True))
    expected = [
        (first[:, 0] + second[:, 1] + third[:, 0]) / 3,
        (second[:, 0] - third[:, 1]) / 2,
    ]
    np.testing.assert_allclose(found.mean(unseen), np.transpose(expected))


def test_one_model_has_all_its_features_and_no_agreement(factors):
    found = match_features([factors])
    np.testing.assert_array_equal(found.matching, [[0, 1, 2]])
    assert np.isnan(found.agreement).all()
    expected = StandardScaler().fit_transform(factors)
    np.testing.assert_allclose(found.mean([factors]), expected)


def test_constant_features_match_nothing(factors):
    dead = np.column_stack([factors[:, 0], np.full(200, 0.1)])
    found = match_features([dead, dead])
    np.testing.assert_array_equal(found.matching, [[0], [0]])


def test_no_common_feature_is_told(factors):
    found = match_features([factors[:, :1], factors[:, 1:2]])
    assert found.mean([factors[:, :1]] * 2).shape == (200, 0)
    with pytest.warns(UserWarning, match="No feature occurs in most of the 2 members"):
        warn_if_none(found.matching.shape[1], 2)


def test_weights_are_repetitions(factors):
    rng = np.random.default_rng(0)
    codes = [factors + 0.3 * rng.standard_normal(factors.shape) for _ in range(3)]
    times = rng.integers(0, 3, 200)
    weighted = match_features(codes, 2.0 * times)
    repeated = match_features([Z.repeat(times, axis=0) for Z in codes])
    np.testing.assert_array_equal(weighted.matching, repeated.matching)
    np.testing.assert_allclose(weighted.agreement, repeated.agreement)
    np.testing.assert_allclose(weighted.mean(codes), repeated.mean(codes))
