"""MCC by blocks of factors: between the plain MCC and R."""

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import ortho_group
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.linear_model import LinearRegression

from sparsedis.metrics import linear_r_score, mean_correlation_coefficient


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_blocks_of_one_factor_give_the_plain_score(rng):
    for d, k in [(4, 4), (3, 5), (5, 3)]:
        factors, codes = rng.standard_normal((30, d)), rng.standard_normal((30, k))
        for unmatched in ("zero", "drop"):
            plain, single, implied = (
                mean_correlation_coefficient(
                    factors,
                    codes,
                    unmatched=unmatched,
                    blocks=blocks,
                    return_details=True,
                )
                for blocks in (None, [[i] for i in range(d)], [])
            )
            assert_allclose(single.score, plain.score)
            assert_allclose(single.per_factor, plain.per_factor)
            assert_array_equal(single.matching, plain.matching)
            assert_array_equal(single.signs, plain.signs)
            assert single.score == implied.score


def test_one_block_gives_r(rng):
    factors, codes = rng.standard_normal((30, 4)), rng.standard_normal((30, 4))
    score = mean_correlation_coefficient(factors, codes, blocks=[range(4)])
    assert_allclose(score, linear_r_score(factors, codes))


def test_mixed_blocks_are_found(rng):
    factors = rng.standard_normal((200, 5))
    codes = factors.copy()
    codes[:, [0, 3]] = factors[:, [0, 3]] @ rng.standard_normal((2, 2))
    codes[:, [1, 2]] = factors[:, [1, 2]] @ rng.standard_normal((2, 2))
    order = np.array([3, 1, 0, 4, 2])
    details = mean_correlation_coefficient(
        factors, codes[:, order], blocks=[[3, 0], [1, 2]], return_details=True
    )
    assert_allclose(details.score, 1)
    for block, expected in zip(details.blocks, [[3, 0], [1, 2], [4]], strict=True):
        assert_array_equal(block, expected)
    for found, expected in zip(details.block_codes, [[0, 2], [1, 4], [3]], strict=True):
        assert_array_equal(found, expected)
    # The wrong blocks do not explain the mixture.
    assert mean_correlation_coefficient(factors, codes, blocks=[[0, 1], [2, 3]]) < 0.95


@pytest.mark.parametrize("seed", range(20))
def test_score_lies_between_mcc_and_r(seed):
    rng = np.random.default_rng(seed)
    factors = rng.standard_normal((25, 4))
    codes = factors @ rng.standard_normal((4, 5)) + rng.standard_normal((25, 5))
    mcc, r = (
        mean_correlation_coefficient(factors, codes),
        linear_r_score(factors, codes),
    )
    blocks = [[0, 2], [1, 3]]
    details = mean_correlation_coefficient(
        factors, codes, blocks=blocks, return_details=True
    )
    assert mcc <= details.score <= r
    # No assignment does better than the best; ours is close to it.
    best = max(
        (
            _multiple(factors[:, blocks[0]], codes[:, [a, b]])
            + _multiple(factors[:, blocks[1]], codes[:, [c, e]])
        )
        / 4
        for a, b, c, e in itertools.permutations(range(5), 4)
        if a < b and c < e
    )
    assert best - 0.05 < details.score < best + 1e-12
    direct = sum(
        _multiple(factors[:, block], codes[:, columns])
        for block, columns in zip(blocks, details.block_codes, strict=True)
    )
    assert_allclose(details.score, direct / 4)


def _multiple(factors, codes):
    """Sum over the factors of their multiple correlation with the codes."""
    return sum(
        np.sqrt(LinearRegression().fit(codes, z).score(codes, z)) for z in factors.T
    )


def test_codes_that_repeat_each_other_do_not_find_a_block(rng):
    factors = rng.standard_normal((400, 2))
    total = factors.sum(axis=1)
    codes = np.column_stack([total, -2 * total])
    score = mean_correlation_coefficient(factors, codes, blocks=[[0, 1]])
    assert_allclose(score, linear_r_score(factors, codes))
    assert score < 0.8


def test_too_few_codes(rng):
    factors = rng.standard_normal((300, 4))
    codes = ortho_group.rvs(2, random_state=0) @ factors[:, :2].T
    blocks = [[0, 1], [2, 3]]
    details = mean_correlation_coefficient(
        factors, codes.T, blocks=blocks, return_details=True
    )
    assert_allclose(details.score, 0.5)
    assert_array_equal(details.matching[2:], -1)
    assert len(details.block_codes[1]) == 0
    dropped = mean_correlation_coefficient(
        factors, codes.T, blocks=blocks, unmatched="drop"
    )
    assert_allclose(dropped, 1)


def test_dead_codes_and_constant_factors(rng):
    factors = rng.standard_normal((100, 4))
    mixed = np.column_stack([factors[:, :2] @ [[1.0, 1], [1, -1]], factors[:, 2:]])
    dead = mixed.copy()
    dead[:, 3] = 0.1
    with pytest.warns(UndefinedMetricWarning, match=r"\[3\] of codes"):
        score = mean_correlation_coefficient(factors, dead, blocks=[[0, 1]])
    assert_allclose(score, 0.75)
    factors[:, 3] = 0.1
    with pytest.warns(UndefinedMetricWarning, match=r"\[3\] of factors"):
        details = mean_correlation_coefficient(
            factors, mixed, blocks=[[0, 1], [2, 3]], return_details=True
        )
    assert_allclose(details.score, 1)
    assert_array_equal(details.blocks[1], [2])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"blocks": [[0, 1], [1, 2]]}, r"must be disjoint; got column\(s\) \[1\]"),
        ({"blocks": [[0, 3]]}, "integers from 0 to 2; got 3"),
        ({"blocks": [[-1]]}, "integers from 0 to 2; got -1"),
        ({"blocks": [["hue"]]}, "integers from 0 to 2; got 'hue'"),
        ({"blocks": [[0, 1]], "method": "spearman"}, "blocks needs method='pearson'"),
    ],
)
def test_bad_blocks_raise(rng, options, message):
    z = rng.standard_normal((10, 3))
    with pytest.raises(ValueError, match=message):
        mean_correlation_coefficient(z, z, **options)
