"""Weights of features: against scikit-learn on rescaled columns, and by hand."""

import numpy as np
import pytest
from sklearn.linear_model import Lasso, LassoCV, LassoLarsIC, LinearRegression
from sklearn.model_selection import KFold, PredefinedSplit

from sparsedis.heads import SparseHeads, SparseHeadsCV
from tests.heads._tables import table


def lasso_of(X, y, weights, alpha, **how):
    """Lasso with weights, by rescaled columns."""
    model = Lasso(alpha, tol=1e-12, max_iter=10**6, **how).fit(X / weights, y)
    return model.coef_ / weights, model.intercept_


@pytest.mark.parametrize("p", [8, 300])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("positive", [True, False])
@pytest.mark.parametrize("each", [True, False])
def test_weights_rescale_columns(p, fit_intercept, positive, each):
    X, Y = table(50, p, 2)
    weights = 10 ** np.random.default_rng(1).uniform(-0.5, 0.5, (2, p) if each else p)
    alpha = 0.3 if p < 256 else 1.0
    how = {"fit_intercept": fit_intercept, "positive": positive}
    heads = SparseHeads(alpha, feature_weights=weights, **how).fit(X, Y)
    for t in range(2):
        at = ~np.isnan(Y[:, t])
        own = weights[t] if each else weights
        coef, intercept = lasso_of(X[at], Y[at, t], own, alpha, **how)
        np.testing.assert_allclose(heads.coef_[t], coef, atol=1e-5)
        np.testing.assert_allclose(heads.intercept_[t], intercept, atol=1e-4)
    # Without an intercept, features far from zero leave more rounding errors.
    assert heads.dual_gap_.max() < (1e-12 if fit_intercept else 1e-11)


@pytest.mark.parametrize("p", [8, 300])
def test_cross_validation_with_weights_is_that_of_rescaled_columns(p):
    X, Y = table(50, p, 2)
    weights = np.random.default_rng(1).uniform(0.5, 2, p)
    how = {"alphas": 10, "eps": 0.1, "cv": 3}
    heads = SparseHeadsCV(**how, feature_weights=weights).fit(X, Y)
    for t in range(2):
        at = ~np.isnan(Y[:, t])
        model = LassoCV(**how, tol=1e-9, max_iter=10**6)
        model.fit(X[at] / weights, Y[at, t])
        np.testing.assert_allclose(heads.mse_path_[t], model.mse_path_, rtol=1e-3)
        assert heads.alpha_[t] == pytest.approx(model.alpha_, rel=1e-9)
        np.testing.assert_allclose(heads.coef_[t], model.coef_ / weights, atol=1e-4)


@pytest.mark.parametrize("p", [8, 300])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_without_a_penalty_is_the_limit_of_small_weights(p, fit_intercept):
    X, Y = table(p=p)
    X[:, 7] = X[:, 6] - X[:, 5]
    weights = np.ones(p)
    weights[[0, 5, 6, 7]] = 0
    how = {"fit_intercept": fit_intercept}
    heads = SparseHeads(0.5, feature_weights=weights, **how).fit(X, Y)
    # Without an intercept, features far from zero leave more rounding errors.
    assert heads.dual_gap_.max() < (1e-12 if fit_intercept else 1e-11)
    for t in range(3):
        at = ~np.isnan(Y[:, t])
        x, y, free = X[at], Y[at, t], weights == 0
        # Least squares on what the others leave, and the Lasso on what these leave.
        first = LinearRegression(**how).fit(x[:, free], np.c_[x[:, ~free], y])
        left = np.c_[x[:, ~free], y] - first.predict(x[:, free])
        model = Lasso(0.5, fit_intercept=False, tol=1e-13, max_iter=10**6)
        coef = model.fit(left[:, :-1], left[:, -1]).coef_
        last = LinearRegression(**how).fit(x[:, free], y - x[:, ~free] @ coef)
        np.testing.assert_allclose(heads.coef_[t, ~free], coef, atol=1e-6)
        expected = last.predict(x[:, free]) + x[:, ~free] @ coef
        np.testing.assert_allclose(heads.predict(x)[:, t], expected, atol=1e-5)


@pytest.mark.parametrize("p", [8, 300])
def test_cross_validation_fits_features_without_a_penalty_in_each_fold(p):
    X, Y = table(60, p, 1, missing=0.0)
    weights = np.ones(p)
    weights[:2] = 0
    heads = SparseHeadsCV(8, eps=0.1, cv=3, feature_weights=weights).fit(X, Y)
    y, x, rest = Y[:, 0], X[:, :2], X[:, 2:]
    for f, (train, test) in enumerate(KFold(3).split(X)):
        first = LinearRegression().fit(x[train], np.c_[rest, y][train])
        left = np.c_[rest, y] - first.predict(x)
        for i in (2, 7):
            model = Lasso(heads.alphas_[0, i], fit_intercept=False, tol=1e-10)
            model.set_params(max_iter=10**6).fit(left[train, :-1], left[train, -1])
            error = left[test, -1] - left[test, :-1] @ model.coef_
            mse = (error**2).mean()
            assert heads.mse_path_[0, i, f] == pytest.approx(mse, rel=1e-4)


def test_all_features_without_a_penalty_are_least_squares():
    X, Y = table()
    heads = SparseHeads(1.0, feature_weights=np.zeros(8)).fit(X, Y)
    for t in range(3):
        at = ~np.isnan(Y[:, t])
        model = LinearRegression().fit(X[at], Y[at, t])
        np.testing.assert_allclose(heads.coef_[t], model.coef_, rtol=1e-8)
    # Tasks that differ in nothing but their weights.
    weights = np.ones((3, 8))
    weights[1] = 0
    y = np.nan_to_num(Y[:, [0, 0, 0]])
    mixed = SparseHeads(1.0, feature_weights=weights).fit(X, y)
    model = LinearRegression().fit(X, y[:, 0])
    np.testing.assert_allclose(mixed.coef_[1], model.coef_, rtol=1e-8)
    np.testing.assert_array_equal(mixed.coef_[0], mixed.coef_[2])
    assert not np.allclose(mixed.coef_[0], mixed.coef_[1])


@pytest.mark.parametrize("p", [8, 300])
def test_targets_that_need_no_penalty_are_explained(p):
    X = table(p=p)[0]
    weights = np.ones(p)
    weights[:2] = 0
    y = X[:, 0] - 2 * X[:, 1] + 3
    heads = SparseHeadsCV(5, cv=2, feature_weights=weights).fit(X, y)
    expected = np.r_[1.0, -2.0, np.zeros(p - 2)]
    np.testing.assert_allclose(heads.coef_, expected, atol=1e-10)
    assert not heads.coef_[2:].any()


@pytest.mark.parametrize("p", [8, 300])
def test_infinite_weights_leave_features_out(p):
    X, Y = table(n_tasks=1, p=p)
    weights = np.ones(p)
    weights[:3] = np.inf
    how = {"alphas": 5, "eps": 0.1, "cv": 2}
    heads = SparseHeadsCV(**how, feature_weights=weights).fit(X, Y)
    without = SparseHeadsCV(**how).fit(X[:, 3:], Y)
    assert not heads.coef_[:, :3].any()
    np.testing.assert_allclose(heads.coef_[:, 3:], without.coef_, atol=1e-8)
    np.testing.assert_allclose(heads.alpha_, without.alpha_)


@pytest.mark.parametrize("p", [8, 300])
@pytest.mark.parametrize("positive", [True, False])
def test_adaptive_heads_are_two_lassos(p, positive):
    X, Y = table(p=p)
    alpha, weights = 0.3, np.random.default_rng(0).uniform(0.5, 2, p)
    how = {"positive": positive}
    heads = SparseHeads(alpha, adaptive=True, feature_weights=weights, **how)
    heads.fit(X, Y)
    for t in range(3):
        at = ~np.isnan(Y[:, t])
        x, y = X[at], Y[at, t]
        first = np.abs(lasso_of(x, y, weights, alpha, **how)[0])
        used = first > 0
        own = weights[used] * first.max() / first[used]
        coef, intercept = lasso_of(x[:, used], y, own, alpha, **how)
        np.testing.assert_allclose(heads.coef_[t, used], coef, atol=1e-4)
        assert not heads.coef_[t, ~used].any()
        assert heads.intercept_[t] == pytest.approx(intercept, abs=1e-3)


def adapted(model):
    """Columns in use and their weights by a first Lasso."""
    used = model.coef_ != 0
    size = np.abs(model.coef_[used])
    return used, size.max() / size


@pytest.mark.parametrize("p", [8, 300])
def test_adaptive_cross_validation_is_nested(p):
    X, Y = table(60, p, 1)
    eps = 0.02 if p < 256 else 0.1
    heads = SparseHeadsCV(8, eps=eps, cv=3, adaptive=True).fit(X, Y)
    at = ~np.isnan(Y[:, 0])
    x, y = X[at], Y[at, 0]
    how = {"alphas": 8, "eps": eps, "tol": 1e-9, "max_iter": 10**6}
    used, weights = adapted(LassoCV(cv=3, **how).fit(x, y))
    alphas = LassoCV(cv=3, **how).fit(x[:, used] / weights, y).alphas_
    np.testing.assert_allclose(heads.alphas_[0], alphas, rtol=1e-4)
    fold = np.empty(len(y), dtype=int)
    for f, (_, test) in enumerate(KFold(3).split(x)):
        fold[test] = f
    for f in range(3):
        train, test = fold != f, fold == f
        # The first Lasso of a fold is chosen by the others.
        inner = LassoCV(cv=PredefinedSplit(fold[train]), **how)
        part, own = adapted(inner.fit(x[train], y[train]))
        for i in (2, 4, 6):
            inside = x[train][:, part]
            coef, intercept = lasso_of(inside, y[train], own, alphas[i])
            mse = ((y[test] - x[test][:, part] @ coef - intercept) ** 2).mean()
            assert heads.mse_path_[0, i, f] == pytest.approx(mse, rel=1e-3)
    best = heads.mse_path_[0].mean(1).argmin()
    assert heads.alpha_[0] == heads.alphas_[0, best]
    coef, _ = lasso_of(x[:, used], y, weights, alphas[best])
    np.testing.assert_allclose(heads.coef_[0, used], coef, atol=1e-4)


def test_adaptive_bic_weights_the_features_of_its_own_choice():
    X, Y = table(n_tasks=1, missing=0.0)
    y = Y[:, 0]
    heads = SparseHeadsCV(20, eps=0.01, selection="bic", adaptive=True).fit(X, y)
    first = SparseHeadsCV(20, eps=0.01, selection="bic").fit(X, y)
    used, weights = adapted(first)
    noise = LassoLarsIC("bic").fit(X, y).noise_variance_
    for i in (2, 8, 14):
        own = lasso_of(X[:, used], y, weights, heads.alphas_[i])
        rss = ((y - X[:, used] @ own[0] - own[1]) ** 2).sum()
        expected = 80 * np.log(2 * np.pi * noise) + rss / noise
        expected += np.log(80) * (own[0] != 0).sum()
        assert heads.criterion_[i] == pytest.approx(expected, rel=1e-6)


def test_adaptive_heads_keep_fewer_features():
    X, Y = table(200, 8, 20, missing=0.0)
    plain, adaptive = (
        SparseHeadsCV(30, adaptive=a, cv=3).fit(X, Y) for a in (False, True)
    )
    used = [(heads.coef_[:, 4:] != 0).sum() for heads in (plain, adaptive)]
    assert used[1] < 0.8 * used[0]


@pytest.mark.parametrize("p", [8, 300])
def test_adaptive_tasks_that_say_little(p):
    X, Y = table(50, p, 4, missing=0.0)
    Y[:, 0] = np.nan
    Y[1:, 1] = np.nan
    Y[:, 2] = 1 / 3
    Y[3:, 3] = np.nan
    heads = SparseHeadsCV(5, eps=0.1, cv=3, adaptive=True).fit(X, Y)
    assert np.isnan(heads.coef_[0]).all()
    for t in (1, 2):
        assert not heads.coef_[t].any()
        assert heads.intercept_[t] == pytest.approx(Y[0, t])
    assert np.isfinite(heads.coef_[3]).all()
    # A fold that holds all labels of a task.
    Y[:, 3] = np.nan
    Y[:10, 3] = X[:10, 0]
    heads = SparseHeadsCV(5, eps=0.1, cv=KFold(4), adaptive=True).fit(X, Y)
    assert np.isnan(heads.mse_path_[3]).all()
    assert np.isfinite(heads.coef_[3]).all()


def test_blocks_take_the_weights_of_their_tasks(monkeypatch):
    X, Y = table(50, n_tasks=2)
    weights = np.random.default_rng(0).uniform(0, 2, (2, 8))
    weights[1, 3] = 0
    how = {"feature_weights": weights, "adaptive": True, "cv": 3, "eps": 0.05}
    whole = SparseHeadsCV(4, **how).fit(X, Y)
    monkeypatch.setattr("sparsedis.heads._task_paths._BLOCK", 1)
    parts = SparseHeadsCV(4, **how).fit(X, Y)
    np.testing.assert_allclose(parts.coef_, whole.coef_, atol=1e-12)
    monkeypatch.setattr("sparsedis.heads._task_paths._NARROW", 1)
    single = SparseHeadsCV(4, **how).fit(X, Y)
    np.testing.assert_allclose(single.coef_, whole.coef_, atol=1e-8)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(7), "feature_weights must hold a number for each of 8 features"),
        (np.ones((2, 8)), r"have shape \(3, 8\)"),
        (list("abcdefgh"), "feature_weights must hold a number"),
        ([1] * 7 + [-1.0], "feature_weights must lie in .* got -1"),
        ([1] * 7 + [np.nan], "feature_weights must lie in .* got nan"),
        ([1] * 7 + [1e-60], "feature_weights must lie in .* got 1e-60"),
    ],
)
def test_wrong_weights_are_named(weights, message):
    X, Y = table()
    for estimator in (SparseHeads(), SparseHeadsCV()):
        with pytest.raises(ValueError, match=message):
            estimator.set_params(feature_weights=weights).fit(X, Y)


def test_positive_heads_have_a_penalty_on_every_feature():
    X, Y = table()
    heads = SparseHeads(positive=True, feature_weights=[0] + [1] * 7)
    with pytest.raises(ValueError, match="must be positive with positive=True"):
        heads.fit(X, Y)


def test_adaptive_heads_need_three_folds():
    X, Y = table()
    with pytest.raises(ValueError, match=r"at least 3 folds .* got 2"):
        SparseHeadsCV(cv=2, adaptive=True).fit(X, Y)
    SparseHeadsCV(10, cv=2, adaptive=True, selection="bic").fit(X, Y)
