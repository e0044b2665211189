"""Common properties of all metrics of factors and codes."""

import warnings
from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose
from scipy.stats import ortho_group
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.linear_model import LinearRegression
from sklearn.neighbors import KNeighborsRegressor

import sparsedis.metrics
from sparsedis.metrics import (
    beta_vae_score,
    dci,
    dci_explicitness,
    explicitness,
    factor_vae_score,
    infomec,
    interventional_robustness,
    linear_r_score,
    mean_correlation_coefficient,
    measurement_exclusivity,
    minimality_sufficiency,
    modularity,
    mutual_information_gap,
    sap,
)

SAMPLED = {"batch_size": 32, "n_train": 300, "n_test": 200, "random_state": 0}

PROBES = [(0, LinearRegression()), (1, KNeighborsRegressor(2))]

# Each under a name, with options that make it fast, repeatable and free of units.
METRICS = {
    "mcc": mean_correlation_coefficient,
    "mcc_drop": partial(mean_correlation_coefficient, unmatched="drop"),
    "mcc_spearman": partial(mean_correlation_coefficient, method="spearman"),
    "mcc_blocks": partial(mean_correlation_coefficient, blocks=[[0]]),
    "r": linear_r_score,
    "dci": partial(dci, random_state=0),
    "dci_uniform": partial(dci, weighting="uniform", random_state=0),
    "dci_lasso": partial(dci, importance="lasso", random_state=0),
    "dci_explicitness": partial(dci_explicitness, probes=PROBES, random_state=0),
    "mig": mutual_information_gap,
    "infomec": partial(infomec, explicitness=False, random_state=0),
    "minimality": minimality_sufficiency,
    "modularity": modularity,
    "explicitness": partial(explicitness, random_state=0),
    "sap": sap,
    "sap_discrete": partial(sap, variant="discrete", standardize=True, random_state=0),
    "exclusivity": measurement_exclusivity,
    "irs": partial(interventional_robustness, standardize=True),
    "factor_vae": partial(factor_vae_score, **SAMPLED),
    "beta_vae": partial(beta_vae_score, **SAMPLED),
}
CLOSED_FORM = [
    "mcc",
    "mcc_drop",
    "mcc_spearman",
    "mcc_blocks",
    "r",
    "sap",
    "irs",
    "exclusivity",
]
every_metric = pytest.mark.parametrize("name", METRICS)
repeatable = settings(derandomize=True, database=None, deadline=None, max_examples=20)


def score(name, factors, codes):
    """The score, or the two of several that need no split, as an array."""
    value = METRICS[name](factors, codes)
    return np.atleast_1d(value[:2] if isinstance(value, tuple) else value)


def make_data(seed=0, n_samples=200, n_factors=3, n_codes=4, n_values=4):
    """Discrete factors, and codes that mix them with some noise."""
    rng = np.random.default_rng(seed)
    factors = rng.integers(0, n_values, (n_samples, n_factors))
    mixing = rng.standard_normal((n_factors, n_codes))
    return factors, factors @ mixing + 0.3 * rng.standard_normal((n_samples, n_codes))


# Inputs ------------------------------------------------------------------------------


@every_metric
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda z, c: (z[1:], c), r"got 199 rows in factors and 200 in codes"),
        (lambda z, c: (z, c * np.where(c == c[0, 0], np.nan, 1)), "codes contains NaN"),
        (lambda z, c: (np.nan * z, c), "factors (must have at least|contains NaN)"),
        (
            lambda z, c: (z, np.where(c == c[0, 0], np.inf, c)),
            "codes contains infinity",
        ),
        (lambda z, c: (np.where(z == 1, -np.inf, z), c), "factors contains infinity"),
        (lambda z, c: (z[:, 0], c), "factors must .* numbers.* got 1D array"),
        (lambda z, c: (z.astype(str).astype(object) + "x", c), "factors must .* '.x'"),
        (lambda z, c: (z, c[:, :0]), r"codes must .* 0 feature\(s\)"),
        (lambda z, c: (z[:1], c[:1]), "factors must .* minimum of 2 is required"),
        (lambda z, c: (0 * z, c), "factors must have at least"),
    ],
)
def test_bad_inputs_raise(name, spoil, message):
    with pytest.raises(ValueError, match=message):
        METRICS[name](*spoil(*make_data()))


@every_metric
def test_kinds_of_arrays_give_the_same_score(name):
    factors, codes = make_data(n_samples=60)
    codes = codes.astype(np.float32)
    expected = score(name, factors, codes.astype(np.float64))
    factors.flags.writeable = codes.flags.writeable = False
    for z, c in [
        (factors, codes),
        (factors.tolist(), codes.tolist()),
        (pd.DataFrame(factors), pd.DataFrame(codes)),
        (np.asfortranarray(factors, dtype=np.int8), np.asfortranarray(codes)),
    ]:
        assert_allclose(score(name, z, c), expected, rtol=1e-12)


# Degenerate shapes and columns -------------------------------------------------------


def dead_code(z, c):
    """One code constant, at a value that is no multiple of a power of two."""
    c = c.copy()
    c[:, 1] = 0.1
    return z, c


CASES = {
    "dead_code": lambda: dead_code(*make_data()),
    "all_dead": lambda: (make_data()[0], np.full((200, 4), 0.1)),
    "constant_factor": lambda: dead_code(*make_data())[::-1],
    "fewer_codes": lambda: make_data(n_codes=2),
    "more_codes": lambda: make_data(n_codes=7),
    "equal_codes": lambda: (
        make_data()[0],
        np.repeat(make_data()[1][:, :1], 4, axis=1),
    ),
    "one_code": lambda: make_data(n_codes=1),
    "one_factor": lambda: make_data(n_factors=1),
    "one_of_each": lambda: make_data(n_factors=1, n_codes=1),
    "ten_samples": lambda: make_data(n_samples=10, n_values=2),
    "more_codes_than_samples": lambda: make_data(n_samples=10, n_codes=15, n_values=2),
}
RAISE = {
    "one_code": {"mig", "sap", "sap_discrete"},
    "one_of_each": {"mig", "sap", "sap_discrete", "modularity"},
    "one_factor": {"modularity"},
}


@every_metric
@pytest.mark.parametrize("case", CASES)
def test_degenerate_data_have_a_defined_score(name, case):
    factors, codes = CASES[case]()
    if case == "constant_factor":  # made of codes, which are continuous
        factors = np.where(factors > 0, 1.0, 0.0) * (factors != 0.1)
    if name in RAISE.get(case, ()):
        with pytest.raises(ValueError, match="must have at least 2 column"):
            METRICS[name](factors, codes)
        return
    with warnings.catch_warnings():
        # Any other warning is an error throughout the suite.
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        value = score(name, factors, codes)
    assert (value >= 0).all()
    assert (value <= 1 + 1e-12).all()


@every_metric
@pytest.mark.parametrize("case", ["dead_code", "constant_factor"])
def test_warnings_point_at_the_caller(name, case):
    factors, codes = CASES[case]()
    if case == "constant_factor":
        factors = np.where(factors > 0, 1.0, 0.0) * (factors != 0.1)
    with pytest.warns(UndefinedMetricWarning) as caught:
        METRICS[name](factors, codes)
    assert {w.filename for w in caught} == {__file__}
    what = "codes carry no" if case == "dead_code" else "factors are left out"
    assert sum(what in str(w.message) for w in caught) == 1


@every_metric
def test_details_hold_the_score_and_have_the_shapes_of_the_inputs(name):
    factors, codes = make_data(n_samples=300)
    details = METRICS[name](factors, codes, return_details=True)
    assert details.score == METRICS[name](factors, codes)
    assert details.factor_mask.shape == (3,)
    assert details.code_mask.shape == (4,)
    assert "per_factor" in details or "per_code" in details
    shapes = {
        "per_factor": (3,),
        "per_code": (4,),
        "r2": (3,),
        "correlation": (3, 4),
        "importance": (4, 3),
        "mutual_information": (4, 3),
        "predictability": (4, 3),
        "robustness": (4, 3),
        "votes": (4, 3),
    }
    for key in details.keys() & shapes.keys():
        assert details[key].shape == shapes[key]


# Invariances -------------------------------------------------------------------------

seeds = st.integers(0, 2**32 - 1)
factor_orders = st.permutations(range(3))
code_orders = st.permutations(range(4))
signs = st.lists(st.sampled_from([-1.0, 1.0]), min_size=4, max_size=4)
units = st.lists(st.floats(1e-3, 1e3), min_size=4, max_size=4)
shifts = st.lists(st.floats(-100, 100), min_size=4, max_size=4)


# InfoMEC leaves out codes of a small range, and has a test of its own.
@pytest.mark.parametrize("name", [name for name in METRICS if name != "infomec"])
@repeatable
@given(seeds, code_orders, signs, units, shifts)
def test_order_signs_units_and_shifts_of_codes_do_not_matter(
    name, seed, order, signs, units, shifts
):
    factors, codes = make_data(seed, n_samples=120)
    other = codes[:, order] * signs * units + shifts
    # Votes of codes that hardly vary are barred: that score sees units by design.
    if name == "factor_vae":
        other = codes[:, order] * signs + shifts
    assert_allclose(
        score(name, factors, other), score(name, factors, codes), rtol=1e-6, atol=1e-9
    )


@pytest.mark.parametrize(
    "name", [*CLOSED_FORM, "dci", "dci_uniform", "mig", "minimality", "modularity"]
)
@repeatable
@given(seeds, factor_orders)
def test_order_of_factors_does_not_matter(name, seed, order):
    factors, codes = make_data(seed, n_samples=120)
    expected = score(name, factors, codes)
    assert_allclose(score(name, factors[:, order], codes), expected, rtol=1e-9)


@repeatable
@given(seeds, st.sampled_from([np.exp, np.cbrt, np.arctan, lambda c: c**3]))
def test_increasing_functions_of_codes_do_not_change_ranks(seed, warp):
    factors, codes = make_data(seed)
    before = score("mcc_spearman", factors, codes)
    assert score("mcc_spearman", factors, warp(codes)) == before
    assert score("mcc_spearman", warp(factors / 3), codes) == before
    assert score("mcc", factors, warp(codes)) != score("mcc", factors, codes)


@repeatable
@given(seeds, seeds)
def test_r_does_not_change_under_invertible_mixing(seed, mixing_seed):
    factors, codes = make_data(seed)
    mixing = ortho_group.rvs(4, random_state=mixing_seed) @ np.diag([1.0, 2, 0.5, 3])
    expected = linear_r_score(factors, codes)
    assert_allclose(linear_r_score(factors, codes @ mixing), expected)
    assert mean_correlation_coefficient(factors, codes) <= expected


finite = st.floats(allow_nan=False, allow_infinity=False)
few = st.sampled_from([0.0, 1.0, -1.0, 0.1, 5e-324, 1.7e308, -1.7e308])
matrices = hnp.arrays(np.float64, (12, 3), elements=st.one_of(finite, few))


@pytest.mark.parametrize(
    "name", [*CLOSED_FORM, "dci", "dci_uniform", "mig", "minimality", "modularity"]
)
@settings(repeatable, max_examples=60)
@given(matrices, matrices, st.integers(0, 3))
def test_scores_of_any_finite_numbers_are_defined(name, factors, codes, dead):
    codes[:, :dead] = codes[0, :dead]
    factors[:2] = [[0.0] * 3, [1.0] * 3]  # so that all of them vary
    if name in ("mig", "minimality", "modularity"):
        factors = np.sign(factors)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        if name.startswith("dci"):
            # In sample: predictions elsewhere may be too large for a float.
            held_out = {"test_factors": factors, "test_codes": codes}
            value = np.array(METRICS[name](factors, codes, **held_out))[:2]
        else:
            value = score(name, factors, codes)
    assert np.isfinite(value).all()
    assert (value <= 1 + 1e-12).all()
    # Outliers within groups make the robustness negative.
    assert name == "irs" or (value >= 0).all()


# Ranking of representations ----------------------------------------------------------

# Where a rotation is as good as the factors, and where it need not beat noise.
ROTATION_IS_PERFECT = {"r", "explicitness", "dci_explicitness"}
ROTATION_MAY_LOSE_TO_NOISE = {
    "dci",
    "dci_uniform",
    "dci_lasso",
    "dci_explicitness",
    "sap",
    "modularity",
    "infomec",
    "irs",
    "exclusivity",
}
# Linear classifiers hardly find the middle values of a factor on a single code, and
# neighbours find a little information where there is none.
PERFECT_IS_BELOW_ONE = {"explicitness", "sap_discrete", "infomec"}
# With importances of almost no code, they are those of single codes; where nothing can
# be predicted, simple regressors predict as well as others.
NOISE_MAY_BE_PERFECT = {"dci_lasso", "dci_explicitness"}


@every_metric
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_perfect_rotated_and_random_codes_are_ranked_right(name, seed):
    # Every combination of the factors equally often: they are exactly independent.
    factors = np.stack(np.meshgrid(*[range(5)] * 3), axis=-1).reshape(-1, 3)
    factors = np.repeat(factors, 16, axis=0)
    # A reflection that mixes all factors in all codes, and no code like another.
    rotation = np.eye(3) - 2 / 3
    perfect = score(name, factors, factors[:, [2, 0, 1]] * [1.0, -2.0, 3.0])
    rotated = score(name, factors, factors @ rotation)
    noise = np.random.default_rng(seed).standard_normal((2000, 3))
    random = score(name, factors, noise)
    if name not in PERFECT_IS_BELOW_ONE:
        assert_allclose(perfect, 1, atol=1e-6)
    if name in ROTATION_IS_PERFECT:
        assert_allclose(rotated, perfect, atol=0.02)
    else:
        assert (perfect > rotated + 0.1).all()
    if name not in NOISE_MAY_BE_PERFECT:
        assert (perfect > random + 0.1).all()
    if name not in ROTATION_MAY_LOSE_TO_NOISE:
        assert (rotated > random).all()


# The package -------------------------------------------------------------------------


def test_public_names_exist_and_are_sorted():
    assert sorted(sparsedis.metrics.__all__) == sparsedis.metrics.__all__
    for name in sparsedis.metrics.__all__:
        assert getattr(sparsedis.metrics, name).__doc__


def test_integers_that_floats_merge_are_refused():
    factors = np.random.default_rng(0).integers(0, 4, (50, 2))
    codes = factors + 0.1 * np.random.default_rng(1).standard_normal((50, 2))
    expected = mutual_information_gap(factors, codes)
    large = factors.copy()
    large[:, 1] += 2**60
    message = r"factors holds integers beyond 2\*\*53 in column 1, such as 115"
    for wrong in (large, pd.DataFrame(large), large.astype(np.uint64)):
        with pytest.raises(ValueError, match=message):
            mutual_information_gap(wrong, codes)
    # Large integers that stay distinct are as good as any.
    apart = factors * 2**40 + 2**60
    assert mutual_information_gap(apart, codes) == expected
