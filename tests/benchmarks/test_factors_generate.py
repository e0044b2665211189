"""Data of a condition are what the condition says."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import kurtosis

from benchmarks.factors._conditions import DENSE, HARD, MAIN
from benchmarks.factors._generate import Condition, draw_supports, make_data
from benchmarks.factors._inputs import draw_factors, mix_factors

MARGINALS = ("gaussian", "uniform", "heavy", "mixture")
MIXINGS = ("linear", "mlp", "polynomial")


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("marginal", MARGINALS)
@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_factors_are_standardised_and_correlated(marginal, rho):
    condition = Condition(4, rho=rho, marginal=marginal)
    Z = draw_factors(condition, 100_000, rng())
    np.testing.assert_allclose(Z.mean(0), 0, atol=0.02)
    np.testing.assert_allclose(Z.std(0), 1, atol=0.03)
    correlation = np.corrcoef(Z.T)[np.triu_indices(4, 1)]
    np.testing.assert_allclose(correlation, rho, atol=0.05)


@pytest.mark.parametrize(
    ("marginal", "low", "high"),
    [
        ("gaussian", -0.1, 0.1),
        ("uniform", -1.25, -1.15),
        ("heavy", 2.0, 20.0),
        ("mixture", -1.2, -0.5),
    ],
)
def test_marginals_have_their_kurtosis(marginal, low, high):
    Z = draw_factors(Condition(3, marginal=marginal), 100_000, rng())
    assert np.all((kurtosis(Z) > low) & (kurtosis(Z) < high))


@pytest.mark.parametrize("mixing", MIXINGS)
@pytest.mark.parametrize("n_features", [5, 10])
def test_mixing_is_injective(mixing, n_features):
    condition = Condition(5, mixing=mixing, n_features=n_features)
    Z = draw_factors(condition, 300, rng())
    # Of all the Jacobians, none is singular; and no two inputs are near.
    steps = 1e-6 * np.eye(5)
    X, *moved = mix_factors(condition, [Z, *(Z + step for step in steps)], rng(), rng())
    jacobians = np.stack([(table - X) / 1e-6 for table in moved], axis=1)
    assert np.linalg.svd(jacobians, compute_uv=False).min() > 1e-3
    apart = np.linalg.norm(X[:, None] - X, axis=-1) + np.eye(300)
    origins = np.linalg.norm(Z[:, None] - Z, axis=-1) + np.eye(300)
    assert (apart / origins).min() > 1e-2


def test_polynomial_can_be_undone_from_the_first_factor_on():
    from benchmarks.factors._inputs import _draw_warp, _warp

    Z = draw_factors(Condition(6, marginal="heavy"), 200, rng())
    warp = _draw_warp(6, rng(1))
    warped = _warp(Z, *warp)
    assert np.abs(warped - Z)[:, 1:].max(0).min() > 0.1
    found = np.zeros_like(Z)
    for j in range(6):
        found[:, j] = warped[:, j] - (_warp(found, *warp) - found)[:, j]
    np.testing.assert_allclose(found, Z, atol=1e-10)


@pytest.mark.parametrize("mixing", MIXINGS)
def test_only_the_linear_mixing_is_linear(mixing):
    data = make_data(Condition(5, mixing=mixing, n_features=8), 0)
    coef = np.linalg.lstsq(data.X, data.factors)[0]
    is_exact = np.allclose(data.X_test @ coef, data.factors_test, atol=1e-8)
    assert is_exact == (mixing == "linear")


@pytest.mark.parametrize(("support", "mean"), [(0.2, 2.0), (0.5, 5.0), (3, 3), (1, 10)])
def test_supports(support, mean):
    supports = draw_supports(2_000, 10, support, rng())
    sizes = supports.sum(1)
    assert sizes.min() >= 1
    assert sizes.mean() == pytest.approx(mean, abs=0.3)
    if support >= 1:
        assert np.ptp(sizes) == 0


def test_every_factor_serves_two_tasks():
    least = [draw_supports(30, 16, 2, rng(seed)).sum(0).min() for seed in range(10)]
    assert min(least) >= 2
    with pytest.raises(ValueError, match="less than 2 tasks"):
        draw_supports(5, 20, 2, rng())


@pytest.mark.parametrize(
    ("coefficients", "fact"),
    [
        ("gaussian", lambda w: abs(kurtosis(w)) < 0.5),
        ("laplace", lambda w: kurtosis(w) > 1.5),
        ("signs", lambda w: set(w) == {-1.0, 1.0}),
        ("positive", lambda w: w.min() >= 0.5 and w.max() <= 1.5),
    ],
)
def test_coefficients(coefficients, fact):
    data = make_data(Condition(n_tasks=1_000, coefficients=coefficients), 0)
    np.testing.assert_array_equal(data.coef != 0, data.supports)
    assert fact(data.coef[data.supports])
    np.testing.assert_allclose(data.signal, data.factors @ data.coef.T)


@pytest.mark.parametrize(
    ("missing", "n_samples"), [(0.0, 300), (0.5, 300), (0.9, 1_000), (0.99, 50)]
)
def test_labels_are_missing_at_random_but_for_five(missing, n_samples):
    data = make_data(Condition(missing=missing, n_samples=n_samples), 0)
    labelled = np.isfinite(data.Y)
    assert labelled.sum(0).min() >= 5
    assert labelled.mean() == pytest.approx(max(1 - missing, 5 / n_samples), abs=0.01)
    assert np.isfinite(data.Y_test).all()


@pytest.mark.parametrize("noise", [0.05, 0.3])
def test_noise_ratio(noise):
    data = make_data(Condition(noise=noise, n_samples=5_000), 0)
    for Y, signal in ((data.Y, data.signal), (data.Y_test, data.signal_test)):
        ratio = np.linalg.norm(Y - signal, axis=0) / np.linalg.norm(signal, axis=0)
        np.testing.assert_allclose(ratio, noise, rtol=0.15)


def test_units_change_targets_alone():
    condition = Condition(n_tasks=200)
    equal = make_data(condition, 0)
    other = make_data(replace(condition, units="decades"), 0)
    np.testing.assert_array_equal(equal.X, other.X)
    unit = other.coef[equal.supports] / equal.coef[equal.supports]
    assert 1e-3 < unit.min() < 1e-2
    assert 1e2 < unit.max() < 1e3
    slope = np.einsum("nt,nt->t", other.Y - other.Y.mean(0), equal.Y - equal.Y.mean(0))
    slope /= ((equal.Y - equal.Y.mean(0)) ** 2).sum(0)
    np.testing.assert_allclose(
        slope, np.abs(other.coef).max(1) / abs(equal.coef).max(1)
    )
    np.testing.assert_allclose(
        other.signal - other.signal.mean(0),
        (other.factors - other.factors.mean(0)) @ other.coef.T,
        atol=1e-8,
    )


def test_classes_are_halves():
    data = make_data(Condition(classification=True, missing=0.5), 0)
    labels = data.Y[np.isfinite(data.Y)]
    assert set(labels) == {0.0, 1.0}
    assert labels.mean() == pytest.approx(0.5, abs=0.02)
    # The noise, of a tenth, changes some labels, and few.
    changed = (data.Y_test != data.signal_test).mean()
    assert 0 < changed < 0.1


def test_data_depend_on_seed_and_index_alone():
    condition = Condition(3, n_tasks=5, n_samples=20)
    first, again = make_data(condition, 1, 2), make_data(condition, 1, 2)
    np.testing.assert_array_equal(first.Y, again.Y)
    np.testing.assert_array_equal(first.X_test, again.X_test)
    for seed, index in ((2, 1), (1, 3), (0, 2)):
        other = make_data(condition, seed, index)
        assert not np.isin(first.factors, other.factors).any()
    assert not np.isin(first.factors, first.factors_test).any()


def test_conditions_cover_every_value_often():
    values = {
        "rho": (0, 0.5, 0.9),
        "marginal": MARGINALS,
        "mixing": MIXINGS,
        "n_tasks": (30, 50, 100, 200, 300),
        "support": (0.2, 0.5, 2, 3),
        "coefficients": ("gaussian", "signs", "positive", "laplace"),
        "n_samples": (300, 500, 1_000, 2_000, 5_000),
        "missing": (0, 0.5, 0.8),
        "noise": (0.05, 0.1, 0.3),
        "units": ("equal", "decades"),
    }
    assert len(MAIN) >= 40
    for name, expected in values.items():
        found = [getattr(condition, name) for condition in MAIN.values()]
        assert set(found) == set(expected)
        assert min(found.count(value) for value in expected) >= 6
    everything = [*MAIN.values(), *HARD.values(), *DENSE.values()]
    assert len(set(everything)) == len({*MAIN, *HARD, *DENSE}) == len(everything)
    for condition in everything:
        assert 3 <= condition.n_factors <= 20
        extra = condition.n_features - condition.n_factors
        assert extra in (0, 5, condition.n_factors)
        assert condition.support == 1 or condition.support < condition.n_factors
