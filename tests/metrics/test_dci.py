"""DCI against closed forms, scipy's entropy and scikit-learn's regressors."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import entropy
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.linear_model import Lasso, LinearRegression, Ridge
from sklearn.metrics import r2_score
from sklearn.neighbors import KNeighborsRegressor
from sklearn.preprocessing import StandardScaler

from sparsedis.metrics import dci


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def data(rng):
    """Factors of different units, and five codes that mix three of them."""
    factors = rng.standard_normal((120, 3)) * [1.0, 10.0, 0.1]
    codes = factors @ rng.standard_normal((3, 5)) + rng.standard_normal((120, 5))
    return factors, codes


@pytest.mark.parametrize("weighting", ["importance", "uniform"])
def test_scores_of_an_importance_matrix(rng, weighting):
    factors, codes = rng.standard_normal((30, 3)), rng.standard_normal((30, 4))
    importance = np.array([[4.0, 0, 0], [1, 1, 2], [0, 3, 3], [1, 1, 1]])
    per_code = 1 - entropy(importance, base=3, axis=1)
    per_factor = 1 - entropy(importance, base=4, axis=0)
    assert_allclose(per_code[[0, 3]], [1, 0], atol=1e-15)
    uniform = weighting == "uniform"
    details = dci(
        factors, codes, importance=importance, weighting=weighting, return_details=True
    )
    assert_allclose(details.per_code, per_code, atol=1e-9)
    assert_allclose(details.per_factor, per_factor, atol=1e-9)
    assert_allclose(
        details.disentanglement,
        np.average(per_code, weights=None if uniform else importance.sum(axis=1)),
    )
    assert_allclose(
        details.completeness,
        np.average(per_factor, weights=None if uniform else importance.sum(axis=0)),
    )
    assert details.score == (
        details.disentanglement,
        details.completeness,
        details.informativeness,
    )


def test_linear_importance_is_that_of_least_squares(data):
    factors, codes = data
    details = dci(factors, codes, return_details=True)
    fit = LinearRegression().fit(
        StandardScaler().fit_transform(codes), StandardScaler().fit_transform(factors)
    )
    assert_allclose(details.importance, np.abs(fit.coef_.T))
    raw = dci(factors, codes, standardize=False, return_details=True)
    assert_allclose(
        raw.importance, np.abs(LinearRegression().fit(codes, factors).coef_.T)
    )
    # The same, through the path of regressors given by the user.
    other = dci(factors, codes, importance=LinearRegression(), return_details=True)
    assert_allclose(other.importance, details.importance)


@pytest.mark.parametrize(
    ("importance", "regressor"),
    [
        ("linear", LinearRegression()),
        ("lasso", Lasso(alpha=0.01, tol=1e-10)),
        (Ridge(alpha=3.0), Ridge(alpha=3.0)),
    ],
)
def test_informativeness_on_a_test_set(rng, data, importance, regressor):
    factors, codes = data
    train, test = slice(80), slice(80, None)
    details = dci(
        factors[train],
        codes[train],
        importance=importance,
        test_factors=factors[test],
        test_codes=codes[test],
        return_details=True,
    )
    z, c = StandardScaler().fit(factors[train]), StandardScaler().fit(codes[train])
    fit = regressor.fit(c.transform(codes[train]), z.transform(factors[train]))
    assert_allclose(details.importance, np.abs(fit.coef_.T), rtol=1e-5)
    r2 = r2_score(
        z.transform(factors[test]),
        fit.predict(c.transform(codes[test])),
        multioutput="raw_values",
    )
    assert_allclose(details.r2, r2)
    assert_allclose(details.informativeness, r2.mean())


@pytest.mark.parametrize("importance", ["linear", LinearRegression()])
def test_informativeness_in_the_units_of_the_data(data, importance):
    factors, codes = data[0] + 5, data[1] - 3
    details = dci(
        factors[:80],
        codes[:80],
        importance=importance,
        standardize=False,
        test_factors=factors[80:],
        test_codes=codes[80:],
        return_details=True,
    )
    fit = LinearRegression().fit(codes[:80], factors[:80])
    assert_allclose(details.importance, np.abs(fit.coef_.T))
    prediction = fit.predict(codes[80:])
    r2 = r2_score(factors[80:], prediction, multioutput="raw_values")
    assert_allclose(details.r2, r2)


@pytest.mark.parametrize(
    ("importance", "regressor"),
    [
        ("random_forest", RandomForestRegressor),
        ("gradient_boosting", GradientBoostingRegressor),
    ],
)
def test_importance_of_ensembles(rng, importance, regressor):
    codes = rng.uniform(-1, 1, (150, 2))
    # No linear model sees the second factor.
    factors = np.column_stack([codes[:, 0], codes[:, 1] ** 2])
    options = {
        "test_factors": factors[:30],
        "test_codes": codes[:30],
        "random_state": 0,
        "return_details": True,
    }
    details = dci(factors, codes, importance=importance, **options)
    expected = dci(factors, codes, importance=regressor(), **options)
    assert_array_equal(details.importance, expected.importance)
    assert_allclose(details.importance.sum(axis=0), 1)
    assert details.disentanglement > 0.8
    assert details.informativeness > 0.95
    assert dci(factors, codes, **options).informativeness < 0.6


def test_random_state_moves_informativeness_alone(data):
    first, again, other = (dci(*data, random_state=seed) for seed in (0, 0, 1))
    assert first == again
    assert first[:2] == other[:2]
    assert first.informativeness != other.informativeness


def test_dead_codes_have_no_weight_and_keep_the_base(rng):
    factors = rng.standard_normal((60, 3))
    codes = np.insert(factors @ rng.standard_normal((3, 3)), 1, 0.1, axis=1)
    for weighting in ("importance", "uniform"):
        with pytest.warns(UndefinedMetricWarning, match=r"\[1\] of codes"):
            details = dci(factors, codes, weighting=weighting, return_details=True)
        live = dci(
            factors,
            codes[:, [0, 2, 3]],
            weighting=weighting,
            return_details=True,
        )
        assert_array_equal(details.importance[1], 0)
        assert_allclose(details.disentanglement, live.disentanglement)
        # Entropies to the base 4 instead of 3.
        assert_allclose(
            1 - details.per_factor,
            (1 - live.per_factor) * np.log(3) / np.log(4),
            atol=1e-9,
        )


def test_constant_factors_are_left_out(rng):
    factors = np.insert(rng.standard_normal((60, 2)), 1, 0.1, axis=1)
    codes = factors @ rng.standard_normal((3, 4))
    with pytest.warns(UndefinedMetricWarning, match=r"\[1\] of factors"):
        details = dci(factors, codes, random_state=0, return_details=True)
    assert_allclose(details.score, dci(factors[:, [0, 2]], codes, random_state=0))
    assert_array_equal(details.importance[:, 1], 0)


def test_codes_without_importance_score_zero(rng):
    factors = rng.standard_normal((40, 2))
    with (
        pytest.warns(UndefinedMetricWarning, match=r"\[0, 1, 2\] of codes"),
        pytest.warns(UndefinedMetricWarning, match="No code is important"),
    ):
        scores = dci(factors, np.zeros((40, 3)), random_state=0)
    assert scores[:2] == (0, 0)
    assert scores.informativeness <= 0
    with (
        pytest.warns(UndefinedMetricWarning, match=r"\[0, 1, 2\] of codes"),
        pytest.warns(UndefinedMetricWarning, match="No code is important"),
    ):
        other = dci(factors, np.zeros((40, 3)), importance=Ridge(), random_state=0)
    assert_allclose(other, scores)
    with pytest.warns(UndefinedMetricWarning, match="No code is important"):
        scores = dci(factors, factors, importance=Lasso(alpha=2.0))
    assert scores[:2] == (0, 0)


def test_factors_constant_on_the_test_samples(rng):
    factors = rng.standard_normal((40, 2))
    test = factors[:10].copy()
    test[:, 1] = 0.1
    for importance in ("linear", LinearRegression()):
        with pytest.warns(UndefinedMetricWarning, match=r"Column\(s\) \[1\] of fac"):
            details = dci(
                factors,
                factors,
                importance=importance,
                test_factors=test,
                test_codes=test,
                return_details=True,
            )
        assert_allclose(details.r2, [1, 0])
        assert_allclose(details.score, 1)


def test_bad_importances_raise(rng):
    z = rng.standard_normal((20, 2))
    with pytest.raises(ValueError, match=r"importance must be one of .*; got 'tree'"):
        dci(z, z, importance="tree")
    with pytest.raises(ValueError, match=r"n_factors\) = \(2, 2\).*got shape \(2, 3\)"):
        dci(z, z, importance=np.ones((2, 3)))
    with pytest.raises(ValueError, match="minimum -1"):
        dci(z, z, importance=-np.eye(2))
    with pytest.raises(ValueError, match="got KNeighborsRegressor"):
        dci(z, z, importance=KNeighborsRegressor())
    with pytest.raises(ValueError, match=r"weighting must be one of .*; got 'mean'"):
        dci(z, z, weighting="mean")
    with pytest.raises(ValueError, match="test_codes is None"):
        dci(z, z, test_factors=z)
