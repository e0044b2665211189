"""Heads with given numbers of features: against least-angle regression."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, lars_path
from sklearn.model_selection import KFold

from sparsedis.heads import SparseHeads, SparseHeadsCV
from tests.heads._tables import table


def lars_point(X, y, k, positive=False):
    """Last point of scikit-learn's path until more than k features are in use."""
    x_mean, y_mean = X.mean(0), y.mean()
    alphas, _, path = lars_path(
        X - x_mean, y - y_mean, method="lasso", positive=positive
    )
    # A feature counts from the breakpoint on at which it enters.
    inside = (path[:, :-1] != 0) | (path[:, 1:] != 0)
    full = np.flatnonzero(inside.sum(0) > k)
    i = full[0] if len(full) else len(alphas) - 1
    return alphas[i], path[:, i], y_mean - path[:, i] @ x_mean


@pytest.mark.parametrize("p", [12, 300])
@pytest.mark.parametrize("positive", [True, False])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_points_are_those_of_least_angle_regression(p, positive, k):
    X, Y = table(p=p)
    heads = SparseHeads(k_features=k, positive=positive).fit(X, Y)
    assert heads.dual_gap_.max() < 1e-12
    for t in range(3):
        at = ~np.isnan(Y[:, t])
        alpha, coef, intercept = lars_point(X[at], Y[at, t], k, positive)
        assert heads.alpha_[t] == pytest.approx(alpha, rel=1e-9)
        np.testing.assert_allclose(heads.coef_[t], coef, atol=1e-9)
        assert heads.intercept_[t] == pytest.approx(intercept, abs=1e-7)
        assert (heads.coef_[t] != 0).sum() <= k


@pytest.mark.parametrize("seed", range(4))
def test_features_that_leave_make_room(seed):
    # With many correlated features some leave the path before others enter.
    X, Y = table(60, 40, 4, missing=0.0, seed=seed)
    for k in (8, 15, 25):
        heads = SparseHeads(k_features=k).fit(X, Y)
        for t in range(4):
            alpha, coef, _ = lars_point(X, Y[:, t], k)
            assert heads.alpha_[t] == pytest.approx(alpha, rel=1e-7)
            np.testing.assert_allclose(heads.coef_[t], coef, atol=1e-7)


def test_wide_paths_are_those_of_narrow_ones(monkeypatch):
    X, Y = table(60, 40, 3)
    how = {"k_features": [1, 4, 9, 30], "cv": 3}
    narrow = SparseHeadsCV(**how).fit(X, Y)
    monkeypatch.setattr("sparsedis.heads._task_paths._NARROW", 1)
    wide = SparseHeadsCV(**how).fit(X, Y)
    np.testing.assert_allclose(wide.alphas_, narrow.alphas_, rtol=1e-7)
    np.testing.assert_allclose(wide.mse_path_, narrow.mse_path_, rtol=1e-6)
    np.testing.assert_allclose(wide.coef_, narrow.coef_, atol=1e-8)


def test_enough_features_reach_least_squares():
    X, Y = table(p=12, missing=0.0)
    heads = SparseHeads(k_features=12).fit(X, Y)
    model = LinearRegression().fit(X, Y)
    np.testing.assert_allclose(heads.coef_, model.coef_, atol=1e-4)


def test_more_features_than_there_are_count_as_all():
    X, Y = table(40, 6)
    with pytest.warns(UserWarning, match=r"k_features=100 is larger .* instead: 6"):
        heads = SparseHeads(k_features=100).fit(X, Y)
    expected = SparseHeads(k_features=6).fit(X, Y)
    np.testing.assert_array_equal(heads.coef_, expected.coef_)
    with pytest.warns(UserWarning, match=r"k_features=\[1, 6, 9\] is larger"):
        heads = SparseHeadsCV(k_features=[1, 6, 9]).fit(X, Y)
    expected = SparseHeadsCV(k_features=[1, 6]).fit(X, Y)
    np.testing.assert_array_equal(heads.mse_path_, expected.mse_path_)
    assert heads.k_features_.max() == 6


def test_features_without_a_penalty_do_not_count():
    X, Y = table(p=12)
    weights = np.ones(12)
    weights[[6, 7]] = 0
    heads = SparseHeads(k_features=2, feature_weights=weights).fit(X, Y)
    assert heads.coef_[:, 6:8].all()
    assert ((heads.coef_ != 0).sum(1) == 4).all()


@pytest.mark.parametrize("p", [12, 300])
@pytest.mark.parametrize("refit", ["lasso", "relaxed"])
def test_folds_choose_the_number(p, refit):
    X, Y = table(p=p, n_tasks=2)
    sizes = [1, 3, 6]
    heads = SparseHeadsCV(k_features=sizes[::-1], cv=3, refit=refit).fit(X, Y)
    assert heads.alphas_.shape == (2, 3)
    for t in range(2):
        at = ~np.isnan(Y[:, t])
        x, y = X[at], Y[at, t]
        for f, (train, test) in enumerate(KFold(3).split(x)):
            for i, k in enumerate(sizes):
                _, coef, intercept = lars_point(x[train], y[train], k)
                predicted = x[test] @ coef + intercept
                if refit == "relaxed":
                    used = coef != 0
                    model = LinearRegression().fit(x[train][:, used], y[train])
                    predicted = model.predict(x[test][:, used])
                mse = ((y[test] - predicted) ** 2).mean()
                assert heads.mse_path_[t, i, f] == pytest.approx(mse, rel=1e-7)
        best = heads.mse_path_[t].mean(1).argmin()
        assert heads.k_features_[t] == sizes[best]
        assert heads.alpha_[t] == heads.alphas_[t, best]
        assert heads.alpha_[t] == pytest.approx(lars_point(x, y, sizes[best])[0])


def test_one_standard_error_keeps_fewer():
    X, Y = table(p=12, n_tasks=10)
    least, fewer = (
        SparseHeadsCV(k_features=range(1, 12), selection=s).fit(X, Y)
        for s in ("cv", "1se")
    )
    assert (fewer.k_features_ <= least.k_features_).all()
    assert fewer.k_features_.sum() < least.k_features_.sum()


@pytest.mark.parametrize("refit", ["lasso", "relaxed"])
def test_bic_judges_the_heads_of_each_number(refit):
    X, Y = table(p=12, n_tasks=1, missing=0.0)
    y = Y[:, 0]
    heads = SparseHeadsCV(k_features=[1, 2, 4], selection="bic", refit=refit)
    heads.fit(X, y)
    full = LinearRegression().fit(X, y)
    noise = ((y - full.predict(X)) ** 2).sum() / (80 - 13)
    for i, k in enumerate([1, 2, 4]):
        own = SparseHeads(k_features=k, refit=refit).fit(X, y)
        expected = 80 * np.log(2 * np.pi * noise) + np.log(80) * (own.coef_ != 0).sum()
        expected += ((y - own.predict(X)) ** 2).sum() / noise
        assert heads.criterion_[i] == pytest.approx(expected, rel=1e-9)


def test_adaptive_heads_choose_a_number_in_the_second_lasso():
    X, Y = table(p=12, missing=0.0)
    heads = SparseHeadsCV(20, k_features=[3], adaptive=True).fit(X, Y)
    first = SparseHeadsCV(20).fit(X, Y)
    for t in range(3):
        size = np.abs(first.coef_[t])
        used = size > 0
        weights = size.max() / size[used]
        own = SparseHeadsCV(k_features=3).fit(X[:, used] / weights, Y[:, t])
        np.testing.assert_allclose(heads.coef_[t, used], own.coef_ / weights, atol=1e-9)


@pytest.mark.parametrize("p", [12, 300])
def test_tasks_that_say_little(p):
    X, Y = table(50, p, 3, missing=0.0)
    Y[:, 0] = np.nan
    Y[:, 1] = 1 / 3
    Y[3:, 2] = np.nan
    heads = SparseHeadsCV(k_features=[2, 4]).fit(X, Y)
    assert np.isnan(heads.k_features_[0])
    assert not heads.coef_[1].any()
    assert heads.intercept_[1] == pytest.approx(1 / 3)
    assert np.isfinite(heads.coef_[2]).all()
    alone = SparseHeadsCV(k_features=2).fit(X, np.r_[Y[:3, 2], Y[:47, 1]])
    assert alone.k_features_ == 2
    assert alone.mse_path_.shape == (1, 5)


@pytest.mark.parametrize("p", [3, 300])
def test_heads_without_a_path_are_exact(p):
    rng = np.random.default_rng(0)
    y = rng.standard_normal(40)
    against = -y[:, None] + 0.01 * rng.standard_normal((40, p))
    # Features that are constant, or that no positive coefficient may use.
    for X, positive in ((np.ones((40, p)), False), (against, True)):
        heads = SparseHeads(k_features=2, positive=positive).fit(X, y)
        assert not heads.coef_.any()
        assert heads.intercept_ == pytest.approx(y.mean())
        assert heads.dual_gap_ < 1e-15


def test_tasks_with_few_features_do_not_wait_for_others():
    X, Y = table(p=12, missing=0.0)
    # The path of the first task ends after a step, and its first feature is not used.
    weights = np.ones((3, 12))
    weights[0] = np.where(np.arange(12) == 4, 1.0, np.inf)
    heads = SparseHeads(k_features=9, feature_weights=weights).fit(X, Y)
    for t in range(3):
        one = SparseHeads(k_features=9, feature_weights=weights[t]).fit(X, Y[:, t])
        np.testing.assert_allclose(heads.coef_[t], one.coef_, rtol=1e-9, atol=1e-12)
    assert (heads.coef_ != 0).sum(1).tolist() == [1, 9, 9]


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (SparseHeads(k_features=0), "'k_features' parameter"),
        (SparseHeads(k_features=3, adaptive=True), "adaptive=True needs a penalty"),
        (SparseHeads(k_features=True), "k_features must be .* got True"),
        (SparseHeadsCV(k_features=[True]), r"k_features must be .* got \[True\]"),
        (SparseHeadsCV(k_features=0), "'k_features' parameter"),
        (SparseHeadsCV(k_features=[]), "k_features must be a positive integer"),
        (SparseHeadsCV(k_features=[1, 0]), "k_features must be a positive integer"),
        (SparseHeadsCV(k_features=[1.5]), "k_features must be a positive integer"),
        (SparseHeadsCV(k_features=[[1]]), "k_features must be a positive integer"),
    ],
)
def test_wrong_numbers_are_named(estimator, message):
    X, Y = table(p=12)
    with pytest.raises(ValueError, match=message):
        estimator.fit(X, Y)
