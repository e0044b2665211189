"""Heads with groups of features and MCP: against celer and optimality conditions."""

import numpy as np
import pytest
from celer import GroupLasso
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from sparsedis.heads import SparseHeads, SparseHeadsCV
from sparsedis.inspection import CoefPathDisplay
from sparsedis.solvers import group_path
from sparsedis.solvers.penalties import L1, MCP
from tests.heads._tables import table


def groups_of(p, seed=0):
    """Groups of different sizes, with names, which are not in order."""
    rng = np.random.default_rng(seed)
    return rng.choice(list("abcdefghij"[: max(2, p // 3)]), p)


def group_lasso(X, y, groups, alpha):
    lists = [np.flatnonzero(groups == g).tolist() for g in np.unique(groups)]
    return GroupLasso(lists, alpha, tol=1e-10, max_iter=1000).fit(X, y)


def slopes(X, y, coef, intercept):
    """Minus the gradient of the squared error; also that of the intercept."""
    left = y - X @ coef - intercept
    return X.T @ left / len(y), left.mean()


@pytest.mark.parametrize("p", [8, 300])
def test_cross_validation_chooses_as_celer_task_by_task(p):
    X, Y = table(60, p, 2)
    groups = groups_of(p)
    heads = SparseHeadsCV(6, eps=0.1, cv=3, feature_groups=groups).fit(X, Y)
    assert heads.dual_gap_.max() <= 1e-10
    for t in range(2):
        at = ~np.isnan(Y[:, t])
        x, y, alphas = X[at], Y[at, t], heads.alphas_[t]
        errors = np.empty((6, 3))
        for f, (train, test) in enumerate(KFold(3).split(x)):
            for i, alpha in enumerate(alphas):
                peer = group_lasso(x[train], y[train], groups, alpha)
                errors[i, f] = ((y[test] - peer.predict(x[test])) ** 2).mean()
        np.testing.assert_allclose(heads.mse_path_[t], errors, rtol=1e-3)
        assert heads.alpha_[t] == alphas[errors.mean(1).argmin()]
        peer = group_lasso(x, y, groups, heads.alpha_[t])
        np.testing.assert_allclose(heads.coef_[t], peer.coef_, atol=1e-4)
        np.testing.assert_allclose(heads.intercept_[t], peer.intercept_, atol=1e-3)
        used = [len(set(heads.coef_[t, groups == g] != 0)) for g in set(groups)]
        assert used == [1] * len(used)


def test_the_largest_penalty_is_the_smallest_at_which_heads_are_zero():
    X, Y = table()
    groups = groups_of(8)
    largest = SparseHeadsCV(3, feature_groups=groups).fit(X, Y).alphas_[:, 0]
    for factor, zero in ((1 + 1e-9, True), (0.999, False)):
        heads = SparseHeads(factor * largest, feature_groups=groups).fit(X, Y)
        assert ((heads.coef_ == 0).all(1) == zero).all()


@pytest.mark.parametrize(("p", "fit_intercept"), [(8, True), (8, False), (300, True)])
def test_mcp_is_stationary(p, fit_intercept):
    X, Y = table(60, p, 2)
    alpha = np.array([0.1, 0.5])
    how = {"penalty": MCP(2.5), "fit_intercept": fit_intercept}
    heads = SparseHeads(alpha, **how).fit(X, Y)
    assert heads.dual_gap_.max() <= 1e-10
    for t in range(2):
        at, w = ~np.isnan(Y[:, t]), heads.coef_[t]
        descent, mean = slopes(X[at], Y[at, t], w, heads.intercept_[t])
        assert abs(mean) < 1e-9 or not fit_intercept
        assert (np.abs(descent)[w == 0] <= alpha[t] * (1 + 1e-6)).all()
        expected = np.sign(w) * np.maximum(alpha[t] - np.abs(w) / 2.5, 0)
        np.testing.assert_allclose(descent[w != 0], expected[w != 0], atol=1e-7)
        assert 0 < (w != 0).sum() < 60


@pytest.mark.parametrize("p", [8, 80])
def test_units_of_targets_have_no_effect(p):
    X, Y = table(60, p, 3)
    groups, units = groups_of(p), np.array([1e-6, 1.0, 1e6])
    how = {"penalty": MCP(), "feature_groups": groups}
    heads = SparseHeads(0.5, **how).fit(X, Y)
    other = SparseHeads(0.5 * units, **how).fit(X, Y * units)
    assert other.dual_gap_.max() <= 1e-10
    np.testing.assert_allclose(other.coef_ / units[:, None], heads.coef_, atol=1e-8)


def test_mcp_does_not_shrink_large_coefficients():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 10))
    y = 5 * X[:, 0] - 4 * X[:, 1] + rng.standard_normal(200)
    heads = SparseHeads(0.5, penalty=MCP()).fit(X, y)
    assert heads.coef_.nonzero()[0].tolist() == [0, 1]
    least = LinearRegression().fit(X[:, :2], y)
    np.testing.assert_allclose(heads.coef_[:2], least.coef_, rtol=1e-9)


@pytest.mark.parametrize("penalty", [None, MCP()])
@pytest.mark.parametrize("p", [8, 300])
def test_weights_rescale_columns(penalty, p):
    X, Y = table(50, p, 2)
    weights = 10 ** np.random.default_rng(1).uniform(-0.2, 0.2, p)
    how = {"penalty": penalty, "feature_groups": groups_of(p)}
    heads = SparseHeads(0.5, **how, feature_weights=weights).fit(X, Y)
    plain = SparseHeads(0.5, **how).fit(X / weights, Y)
    np.testing.assert_allclose(heads.coef_ * weights, plain.coef_, atol=1e-6)


@pytest.mark.parametrize("penalty", [None, MCP()])
def test_features_without_a_penalty_and_those_left_out(penalty):
    X, Y = table()
    weights = np.ones(8)
    weights[0], weights[1] = 0, np.inf
    how = {"penalty": penalty, "feature_groups": list("aabbccdd")}
    heads = SparseHeads(0.3, **how, feature_weights=weights).fit(X, Y)
    assert not heads.coef_[:, 1].any()
    for t in range(3):
        at = ~np.isnan(Y[:, t])
        descent, _ = slopes(X[at], Y[at, t], heads.coef_[t], heads.intercept_[t])
        assert abs(descent[0]) < 1e-8
        for pair in (slice(2, 4), slice(4, 6), slice(6, 8)):
            w, size = heads.coef_[t, pair], np.linalg.norm(heads.coef_[t, pair])
            slope = 0.3 if penalty is None else max(0.3 - size / 3, 0)
            if size:
                np.testing.assert_allclose(descent[pair], slope * w / size, atol=1e-6)
            else:
                assert np.linalg.norm(descent[pair]) <= 0.3


@pytest.mark.parametrize(
    "how", [{"penalty": MCP()}, {"feature_groups": groups_of(8)}], ids=["mcp", "groups"]
)
def test_relaxed_heads_are_least_squares_on_the_features_in_use(how):
    X, Y = table()
    heads = SparseHeadsCV(8, selection="bic", **how).fit(X, Y)
    relaxed = SparseHeadsCV(8, selection="bic", refit="relaxed", **how).fit(X, Y)
    assert (relaxed.alpha_ == heads.alpha_).all()
    for t in range(3):
        at, used = ~np.isnan(Y[:, t]), heads.coef_[t] != 0
        least = LinearRegression().fit(X[at][:, used], Y[at, t])
        np.testing.assert_allclose(relaxed.coef_[t, used], least.coef_, atol=1e-9)
        assert not relaxed.coef_[t, ~used].any()


def test_adaptive_groups_are_those_of_rescaled_columns():
    X, Y = table(n_tasks=1, missing=0)
    groups = groups_of(8)
    how = {"alphas": 8, "eps": 0.05, "selection": "bic", "feature_groups": groups}
    pilot = SparseHeadsCV(**how).fit(X, Y[:, 0])
    heads = SparseHeadsCV(**how, adaptive=True).fit(X, Y[:, 0])
    sizes = {g: np.linalg.norm(pilot.coef_[groups == g]) for g in groups}
    sizes = np.array([sizes[g] for g in groups])
    expected = np.full(8, np.inf)
    expected[sizes > 0] = sizes.max() / sizes[sizes > 0]
    np.testing.assert_allclose(heads.feature_weights_, expected, rtol=1e-6)
    kept = np.isfinite(expected)
    unit = expected[kept]
    peer = group_lasso(X[:, kept] / unit, Y[:, 0], groups[kept], heads.alpha_)
    np.testing.assert_allclose(heads.coef_[kept], peer.coef_ / unit, atol=1e-4)


@pytest.mark.parametrize(("p", "refit"), [(8, "lasso"), (8, "relaxed"), (300, "lasso")])
def test_paths_pass_through_the_chosen_heads_and_are_drawn(p, refit):
    X, Y = table(60, p, 2)
    how = {"penalty": MCP(), "feature_groups": groups_of(p), "refit": refit}
    heads = SparseHeadsCV(3, eps=0.5, cv=2, **how).fit(X, Y)
    alphas, coefs = heads.coef_path(X, Y)
    for t in range(2):
        own = coefs[t][:, alphas[t] == heads.alpha_[t]][:, 0]
        if refit == "lasso":
            np.testing.assert_allclose(own, heads.coef_[t], atol=1e-8)
        assert ((own != 0) == (heads.coef_[t] != 0)).all()
    display = CoefPathDisplay.from_estimator(heads, X, Y)
    drawn = [line.get_ydata() for line in display.lines_[0]]
    np.testing.assert_allclose(drawn, coefs[0])


def test_tasks_do_not_depend_on_each_other():
    X, Y = table()
    how = {"penalty": MCP(), "feature_groups": groups_of(8)}
    heads = SparseHeadsCV(5, **how).fit(X, Y)
    for t in range(3):
        alone = SparseHeadsCV(5, **how).fit(X, Y[:, t])
        assert alone.alpha_ == pytest.approx(heads.alpha_[t], rel=1e-9)
        np.testing.assert_allclose(alone.coef_, heads.coef_[t], atol=1e-7)


def test_a_violation_above_tol_is_said(monkeypatch):
    monkeypatch.setattr(group_path, "_CONCAVE_STEPS", 1)
    X, Y = table(20, 4, 1)
    with pytest.warns(ConvergenceWarning, match="above tol=1e-300"):
        SparseHeads(1.0, penalty=MCP(), tol=1e-300).fit(X, Y)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"penalty": MCP(), "positive": True}, "positive=True .* leave out penalty"),
        (
            {"feature_groups": groups_of(8), "positive": True},
            "positive=True .* leave out feature_groups",
        ),
        ({"penalty": MCP(), "k_features": 2}, "k_features .* leave out penalty"),
        (
            {"feature_groups": groups_of(8), "k_features": 2},
            "k_features .* leave out feature_groups",
        ),
        (
            {"penalty": MCP(), "adaptive": True},
            r"adaptive=True .* penalty=MCP\(gamma=3.0\)",
        ),
        ({"penalty": L1()}, "'penalty' parameter .* must be .*MCP.* Got"),
        ({"penalty": "mcp"}, "'penalty' parameter .* must be .*MCP.* Got"),
        ({"feature_groups": [0, 1]}, "feature_groups must hold the group of each of 8"),
        ({"feature_groups": [[0, 1]] * 4}, "feature_groups must hold"),
        ({"feature_groups": [0, 1, 2]}, r"all numbers or all text; got \[0, 1, 2\]"),
        ({"feature_groups": [0.0] * 7 + [np.nan]}, "feature_groups must hold"),
        ({"feature_groups": ["a"] * 7 + [None]}, "feature_groups must hold"),
        ({"feature_groups": ["a"] * 7 + [np.nan]}, "feature_groups must hold"),
        ({"feature_groups": ["a", 1] * 4}, "feature_groups must hold"),
        ({"feature_groups": [[0, 1], [2]] * 4}, "feature_groups must hold"),
        ({"feature_groups": [None] * 8}, "feature_groups must hold"),
    ],
)
@pytest.mark.parametrize("estimator", [SparseHeads(), SparseHeadsCV()])
def test_parameters_that_do_not_go_together(estimator, params, message):
    X, Y = table()
    with pytest.raises(ValueError, match=message):
        clone(estimator).set_params(**params).fit(X, Y)


@parametrize_with_checks([SparseHeads(0.1, penalty=MCP())])
def test_scikit_learn_accepts_mcp(estimator, check):
    check(estimator)


def test_searches_choose_the_concavity():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 5))
    y = 2 * X[:, 0] + 0.1 * rng.standard_normal(60)
    given, gammas = MCP(), [1.5, 100.0]
    model = SparseHeads(0.5, penalty=given)
    search = GridSearchCV(model, {"penalty__gamma": gammas}, cv=3).fit(X, y)
    # Large coefficients are not shrunk.
    assert search.best_params_ == {"penalty__gamma": 1.5}
    for gamma in gammas:
        at = gammas.index(gamma)
        expected = cross_val_score(SparseHeads(0.5, penalty=MCP(gamma)), X, y, cv=3)
        found = search.cv_results_["mean_test_score"][at]
        assert found == pytest.approx(expected.mean(), rel=1e-12)
    assert given == MCP()
    with pytest.raises(ValueError, match=r"gamma must be above 1 .* got 0\.5"):
        model.set_params(penalty__gamma=0.5)
    with pytest.raises(TypeError, match="slope"):
        model.set_params(penalty__slope=1.0)
    assert given == MCP()
