"""FactorVAE and BetaVAE scores, from arrays and from functions."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import UndefinedMetricWarning

from sparsedis.metrics import beta_vae_score, factor_vae_score
from sparsedis.metrics._samplers import ArraySampler, FunctionSampler

FAST = {"n_train": 400, "n_test": 200, "random_state": 0}
SCORES = [factor_vae_score, beta_vae_score]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def factors(rng):
    return rng.integers(0, 5, (2000, 3))


def encode(factors):
    """One code per factor, in another order and other units."""
    return factors[:, [2, 0, 1]] * [1.0, -2.0, 4.0]


def sample_factors(n_samples, random_state):
    """Two continuous factors and a binary one."""
    factors = random_state.standard_normal((n_samples, 3))
    factors[:, 2] = factors[:, 2] > 0
    return factors


@pytest.mark.parametrize("score", SCORES)
def test_codes_of_single_factors_score_one(factors, score):
    details = score(factors, encode(factors), return_details=True, **FAST)
    assert details.score == 1
    assert_array_equal(details.per_factor, 1)
    assert score(sample_factors, encode, **FAST) == 1


@pytest.mark.parametrize("score", SCORES)
def test_random_codes_score_as_chance(factors, rng, score):
    codes = rng.standard_normal((2000, 3))
    many = FAST | {"n_train": 2000, "n_test": 2000}
    details = score(factors, codes, return_details=True, **many)
    assert_allclose(details.score, 1 / 3, atol=0.05)


def test_factor_vae_votes_for_the_code_of_the_fixed_factor(factors):
    details = factor_vae_score(factors, encode(factors), return_details=True, **FAST)
    assert details.votes.sum() == FAST["n_train"]
    assert_array_equal(details.votes > 0, np.eye(3, dtype=bool)[[2, 0, 1]])


def test_factor_vae_accuracy_in_closed_form(factors):
    # Factors 0 and 1 share their code: one of the two is always guessed wrong.
    codes = np.column_stack([factors[:, 0] + 5 * factors[:, 1], factors[:, 2]])
    details = factor_vae_score(
        factors, codes, batch_size=256, return_details=True, **FAST
    )
    assert sorted(details.per_factor[:2]) == [0, 1]
    assert details.per_factor[2] == 1


def test_scores_repeat_with_a_random_state(factors, rng):
    codes = rng.standard_normal((2000, 3)) + factors
    for score in SCORES:
        first, again = (score(factors, codes, batch_size=4, **FAST) for _ in range(2))
        other = score(factors, codes, batch_size=4, **FAST | {"random_state": 1})
        assert first == again != other


def test_codes_that_hardly_vary_do_not_vote(factors, rng):
    codes = np.column_stack([factors, 0.01 * rng.integers(0, 2, 2000)])
    details = factor_vae_score(factors, codes, return_details=True, **FAST)
    assert_array_equal(details.code_mask, [True, True, True, False])
    assert_array_equal(details.votes[3], 0)
    # Half of the codes dead: the median is that of the live ones.
    codes = np.hstack([factors, np.full((2000, 5), 0.1)])
    with pytest.warns(UndefinedMetricWarning, match=r"\[3, 4, 5, 6, 7\] of codes"):
        details = factor_vae_score(factors, codes, return_details=True, **FAST)
    assert_array_equal(details.code_mask, np.arange(8) < 3)
    assert details.score == 1


def test_dead_codes(factors):
    dead = np.ones((2000, 2))
    with pytest.warns(UndefinedMetricWarning, match=r"\[0, 1\] of codes"):
        assert factor_vae_score(factors, dead, **FAST) == 0
    with pytest.warns(UndefinedMetricWarning, match=r"\[0, 1\] of codes"):
        assert_allclose(beta_vae_score(factors, dead, **FAST), 1 / 3, atol=0.1)


def test_beta_vae_depends_on_units_unless_standardized(factors):
    codes = 1e-4 * encode(factors)
    assert beta_vae_score(factors, codes, standardize=False, **FAST) < 0.9
    assert beta_vae_score(factors, encode(factors), standardize=False, **FAST) == 1
    assert beta_vae_score(factors, codes, **FAST) == 1


@pytest.mark.parametrize("score", SCORES)
def test_constant_factors_are_left_out(factors, score):
    codes = encode(factors)
    with pytest.warns(UndefinedMetricWarning, match=r"\[1\] of factors"):
        details = score(
            factors * np.array([1, 0, 1]), codes, return_details=True, **FAST
        )
    assert_array_equal(details.factor_mask, [True, False, True])
    assert details.per_factor[1] == 0
    assert details.score == 1
    with pytest.warns(UndefinedMetricWarning, match=r"\[1\] of sample_factors"):
        details = score(
            lambda n, rng: sample_factors(n, rng) * [1, 0, 1],
            lambda z: encode(z) + [0.0, 0.0, 1.0] * np.arange(len(z))[:, None],
            return_details=True,
            **FAST,
        )
    assert_array_equal(details.factor_mask, [True, False, True])


@pytest.mark.parametrize("score", SCORES)
def test_single_factor_and_single_values_warn(rng, score):
    z = rng.integers(0, 3, (50, 1))
    with pytest.warns(UndefinedMetricWarning, match="single factor"):
        assert score(z, z, **FAST) == 1
    z = np.column_stack([np.arange(50), z[:, 0]])
    with pytest.warns(UndefinedMetricWarning, match=r"Column\(s\) \[0\] of factors"):
        assert 0 <= score(z, z, **FAST) <= 1


def test_samplers_hold_the_factor_fixed(factors):
    # Codes equal to the factors show what has been drawn.
    fixed = np.array([0, 2, 1, 1, 0])
    column = fixed[:, None]
    for sampler in (
        ArraySampler(factors, factors, None),
        FunctionSampler(sample_factors, lambda z: z, np.random.RandomState(0)),
    ):
        rng = np.random.RandomState(0)
        batch = sampler.batch(fixed, 200, rng)
        assert batch.shape == (5, 200, 3)
        held = batch[np.arange(5), :, fixed]
        assert_array_equal(held, np.repeat(held[:, :1], 200, axis=1))
        free = batch[np.arange(5), :, (fixed + 1) % 3]
        assert (free.std(axis=1) > 0.4).all()
        first, second = sampler.pairs(fixed, 200, rng)
        shared = first[np.arange(5), :, fixed]
        assert_array_equal(shared, second[np.arange(5), :, fixed])
        assert (shared.std(axis=1) > 0.4).all()
        assert (first != second).mean(axis=1)[column != np.arange(3)].min() > 0.3


@pytest.mark.parametrize("score", SCORES)
def test_bad_arguments_raise(factors, rng, score):
    with pytest.raises(ValueError, match=r"must both be arrays.*got ndarray and func"):
        score(factors, encode)
    with pytest.raises(ValueError, match="column 0 is continuous"):
        score(rng.standard_normal((50, 2)), rng.standard_normal((50, 2)))
    with pytest.raises(ValueError, match="batch_size == 1, must be >= 2"):
        score(factors, factors, batch_size=1)
    with pytest.raises(ValueError, match=r"encode\(factors\) contains NaN"):
        score(sample_factors, lambda z: z * np.nan)
    with pytest.raises(ValueError, match=r"random_state\) must return 10000 rows"):
        score(lambda n, rng: sample_factors(n - 1, rng), encode)
    shapes = iter([3, 2])
    with pytest.raises(ValueError, match=r"encode\(factors\) must return an array"):
        score(sample_factors, lambda z: z[:, : next(shapes)], **FAST)
    continuous = rng.standard_normal((2000, 2))
    binned = score(continuous, continuous, factor_bins=10, **FAST)
    assert binned == 1
