"""Sparse linear models of many tasks: against scikit-learn, task by task."""

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from joblib import parallel_config
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import (
    Lasso,
    LassoCV,
    LassoLarsIC,
    LinearRegression,
    lars_path,
)
from sklearn.metrics import r2_score
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    ShuffleSplit,
    TimeSeriesSplit,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from sparsedis.heads import SparseHeads, SparseHeadsCV
from sparsedis.heads._folds import choose
from sparsedis.heads._path_problem import HeadProblem
from sparsedis.heads._penalties import warn_of_gaps
from sparsedis.heads._task_paths import block_size
from sparsedis.rotation import SparseRotation


def table(n=120, p=8, n_tasks=5, missing=0.4, seed=0):
    """Correlated features away from zero, and targets with holes."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 3)) @ rng.standard_normal((3, p))
    X += rng.standard_normal((n, p)) + 5
    Y = X[:, :4] @ rng.standard_normal((4, n_tasks)) + 20
    Y += 2 * rng.standard_normal((n, n_tasks))
    Y[rng.random(Y.shape) < missing] = np.nan
    return X, Y


def cv_of(X, y, weight=None, **params):
    at = ~np.isnan(y)
    model = LassoCV(tol=1e-9, max_iter=10**6, **params)
    own = None if weight is None else weight[at]
    return model.fit(X[at], y[at], sample_weight=own)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("positive", [True, False])
def test_given_penalties_give_the_lasso_of_each_task(fit_intercept, positive):
    X, Y = table()
    alpha = np.array([0.01, 0.1, 0.3, 1.0, 3.0])
    how = {"fit_intercept": fit_intercept, "positive": positive}
    heads = SparseHeads(alpha, **how).fit(X, Y)
    for t in range(5):
        at = ~np.isnan(Y[:, t])
        lasso = Lasso(alpha[t], tol=1e-10, max_iter=10**6, **how)
        lasso.fit(X[at], Y[at, t])
        np.testing.assert_allclose(heads.coef_[t], lasso.coef_, atol=1e-5)
        np.testing.assert_allclose(heads.intercept_[t], lasso.intercept_, atol=1e-4)
    assert heads.dual_gap_.max() < 1e-12


@pytest.mark.parametrize(("p", "n", "eps"), [(8, 120, 0.01), (300, 40, 0.1)])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_cross_validation_chooses_as_scikit_learn_task_by_task(
    p, n, eps, fit_intercept
):
    X, Y = table(n, p, 2, missing=0.3)
    how = {"alphas": 12, "eps": eps, "fit_intercept": fit_intercept}
    heads = SparseHeadsCV(**how).fit(X, Y)
    for t in range(2):
        model = cv_of(X, Y[:, t], **how)
        np.testing.assert_allclose(heads.alphas_[t], model.alphas_, rtol=1e-10)
        np.testing.assert_allclose(heads.mse_path_[t], model.mse_path_, rtol=1e-3)
        assert heads.alpha_[t] == pytest.approx(model.alpha_, rel=1e-10)
        np.testing.assert_allclose(heads.coef_[t], model.coef_, atol=1e-4)


@pytest.mark.parametrize("p", [8, 300])
def test_weights_of_samples_are_those_of_scikit_learn(p):
    X, Y = table(60, p, 2, missing=0.0)
    weight = np.random.default_rng(1).integers(0, 4, 60).astype(float)
    heads = SparseHeadsCV(10, eps=0.05, cv=KFold(3)).fit(X, Y, sample_weight=weight)
    for t in range(2):
        kept = weight > 0
        folds = [
            (np.flatnonzero(train[kept]), np.flatnonzero(test[kept]))
            for train, test in masks(KFold(3), X)
        ]
        model = LassoCV(alphas=10, eps=0.05, cv=folds, tol=1e-9, max_iter=10**6)
        model.fit(X[kept], Y[kept, t], sample_weight=weight[kept])
        np.testing.assert_allclose(heads.mse_path_[t], model.mse_path_, rtol=1e-3)
        assert heads.alpha_[t] == pytest.approx(model.alpha_, rel=1e-9)
        np.testing.assert_allclose(heads.coef_[t], model.coef_, atol=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_folds_count_the_same_whatever_their_weights(seed):
    X, Y = table(60, 5, 1, missing=0.0, seed=seed)
    weight = 10 ** np.random.default_rng(seed).uniform(-2, 2, 60)
    heads = SparseHeadsCV().fit(X, Y[:, 0], sample_weight=weight)
    model = cv_of(X, Y[:, 0], weight, alphas=100)
    assert heads.alpha_ == pytest.approx(model.alpha_, rel=1e-9)


def masks(cv, X, groups=None):
    """Training and test rows as masks."""
    for train, test in cv.split(X, groups=groups):
        yield tuple(np.isin(np.arange(len(X)), part) for part in (train, test))


def test_weights_of_labels_are_repetitions():
    X, Y = table(40, 5, 2, missing=0.0)
    weight = np.random.default_rng(0).integers(0, 3, Y.shape).astype(float)
    heads = SparseHeads(0.1).fit(X, Y, sample_weight=weight)
    for t in range(2):
        rows = np.repeat(np.arange(40), weight[:, t].astype(int))
        alone = SparseHeads(0.1).fit(X[rows], Y[rows, t])
        np.testing.assert_allclose(heads.coef_[t], alone.coef_, atol=1e-10)


@pytest.mark.parametrize("unit", [1e307, 1e-320])
def test_the_unit_of_weights_does_not_matter(unit):
    X, Y = table(40, 5, 2)
    weight = np.arange(40) % 3
    heads = SparseHeads(0.1).fit(X, Y, sample_weight=weight)
    same = SparseHeads(0.1).fit(X, Y, sample_weight=weight * unit)
    np.testing.assert_allclose(same.coef_, heads.coef_, rtol=1e-10)
    score = heads.score(X, Y, sample_weight=weight)
    np.testing.assert_allclose(same.score(X, Y, sample_weight=weight * unit), score)


def test_groups_stay_together():
    X, Y = table(missing=0.5)
    groups = np.repeat(np.arange(12), 10)
    heads = SparseHeadsCV(10, eps=0.05, cv=4).fit(X, Y, groups=groups)
    for t in range(5):
        at = ~np.isnan(Y[:, t])
        folds = [
            (np.flatnonzero(train[at]), np.flatnonzero(test[at]))
            for train, test in masks(GroupKFold(4), X, groups)
        ]
        model = cv_of(X, Y[:, t], alphas=10, eps=0.05, cv=folds)
        assert heads.alpha_[t] == pytest.approx(model.alpha_, rel=1e-9)


def test_every_form_of_labels_gives_the_same_heads():
    X, Y = table()
    heads = SparseHeadsCV(10).fit(X, Y)
    frame = pd.DataFrame(Y, columns=list("abcde"))
    of_frame = SparseHeadsCV(10).fit(X, frame)
    assert of_frame.tasks_.tolist() == list("abcde")
    rows, tasks = np.nonzero(~np.isnan(Y))
    stored = sp.coo_array((Y[rows, tasks], (rows, tasks)), shape=Y.shape)
    of_sparse = SparseHeadsCV(10).fit(X, stored)
    for other in (of_frame, of_sparse):
        np.testing.assert_array_equal(other.coef_, heads.coef_)
        assert other.score(X, Y) == heads.score(X, Y)
    # Columns in another order, and a single one.
    assert of_frame.score(X, frame[list("edcba")]) == pytest.approx(heads.score(X, Y))
    alone = SparseHeadsCV(10).fit(X[~np.isnan(Y[:, 2])], Y[~np.isnan(Y[:, 2]), 2])
    np.testing.assert_allclose(alone.coef_, heads.coef_[2], atol=1e-10)
    assert alone.predict(X).shape == (120,)
    assert isinstance(float(alone.alpha_), float)


@pytest.mark.parametrize("p", [8, 300])
def test_long_labels_are_those_of_a_table(p):
    X, Y = table(60, p)
    rows, tasks = np.nonzero(~np.isnan(Y))
    names = np.array(list("cabed"))[tasks]
    at = X[rows], Y[rows, tasks]
    weight = np.random.default_rng(0).uniform(1, 2, Y.shape)
    own = weight[rows, tasks]
    how = {"alphas": 5, "eps": 0.1, "cv": 2}
    heads = SparseHeadsCV(**how).fit(X, Y, sample_weight=weight)
    long = SparseHeadsCV(**how).fit(*at, sample_weight=own, task=names)
    assert long.tasks_.tolist() == list("abcde")
    order = [1, 2, 0, 4, 3]
    np.testing.assert_allclose(long.mse_path_, heads.mse_path_[order], rtol=1e-9)
    np.testing.assert_allclose(long.coef_, heads.coef_[order], atol=1e-10)
    given = SparseHeads(heads.alpha_[order]).fit(*at, sample_weight=own, task=names)
    np.testing.assert_allclose(given.coef_, heads.coef_[order], atol=1e-10)
    predicted = long.predict(at[0], task=names)
    np.testing.assert_allclose(predicted, heads.predict(X)[rows, tasks], rtol=1e-9)
    scores = long.score(*at, task=names), heads.score(X, Y)
    assert scores[0] == pytest.approx(scores[1])
    weighted = long.score(*at, sample_weight=own, task=names)
    assert weighted == pytest.approx(heads.score(X, Y, sample_weight=weight))
    with pytest.raises(ValueError, match=r"ids of tasks seen in fit; .'z'. are not"):
        long.predict(X[:1], task=["z"])


def test_scores_are_those_of_scikit_learn():
    X, Y = table()
    heads = SparseHeadsCV(10).fit(X, Y)
    each = []
    for t in range(5):
        at = ~np.isnan(Y[:, t])
        each.append(r2_score(Y[at, t], heads.predict(X[at])[:, t]))
    assert heads.score(X, Y) == pytest.approx(np.mean(each), rel=1e-12)
    with pytest.raises(ValueError, match="at least two samples of a task"):
        heads.score(X[:1], np.ones((1, 5)))
    frame = pd.DataFrame(Y, columns=list("abcde"))
    named = SparseHeadsCV(10).fit(X, frame)
    with pytest.warns(UserWarning, match=r"1 tasks of y, such as .'z'."):
        score = named.score(X, frame.assign(z=1.0))
    assert score == pytest.approx(np.mean(each))


def test_blocks_of_tasks_and_threads_change_nothing(monkeypatch):
    X, Y = table(60, n_tasks=5)
    how = {"alphas": 5, "eps": 0.05, "cv": 2}
    whole = SparseHeadsCV(**how).fit(X, Y)
    monkeypatch.setattr("sparsedis.heads._task_paths._BLOCK", 3 * 64 * 2)
    with parallel_config("threading"):
        parts = SparseHeadsCV(**how, n_jobs=2).fit(X, Y)
    np.testing.assert_allclose(parts.coef_, whole.coef_, atol=1e-12)
    monkeypatch.setattr("sparsedis.heads._task_paths._NARROW", 1)
    single = SparseHeadsCV(**how).fit(X, Y)
    np.testing.assert_allclose(single.coef_, whole.coef_, atol=1e-9)
    np.testing.assert_allclose(single.mse_path_, whole.mse_path_, rtol=1e-9)


@pytest.mark.parametrize("p", [8, 300])
def test_tasks_that_say_little(p):
    X, Y = table(50, p, 4, missing=0.0)
    Y[:, 0] = np.nan
    Y[1:, 1] = np.nan
    Y[:, 2] = 1 / 3
    Y[3:, 3] = np.nan
    heads = SparseHeadsCV(10).fit(X, Y)
    assert np.isnan(heads.coef_[0]).all()
    assert np.isnan(heads.alpha_[0])
    for t in (1, 2):
        assert not heads.coef_[t].any()
        assert heads.intercept_[t] == pytest.approx(Y[0, t])
    assert np.isfinite(heads.coef_[3]).all()
    assert np.isnan(heads.predict(X)[:, 0]).all()
    assert np.isfinite(heads.predict(X)[:, 1:]).all()
    assert np.isfinite(heads.score(X, Y))


def test_constant_features_are_not_used():
    X, Y = table()
    X[:, 3] = 0.1
    # Constant where the first task has labels.
    X[~np.isnan(Y[:, 0]), 4] = 1e5
    for p in (1, 40):
        heads = SparseHeadsCV(5, eps=0.1, cv=2).fit(np.hstack([X] * p), Y)
        assert not heads.coef_[:, 3::8].any()
        assert not heads.coef_[0, 4::8].any()
        assert np.isfinite(heads.coef_).all()


@pytest.mark.parametrize("p", [8, 300])
def test_a_constant_takes_part_without_an_intercept(p):
    X, Y = table(60, p, 2, missing=0.0)
    X[:, 3] = 40.0
    heads = SparseHeads(0.5, fit_intercept=False).fit(X, Y)
    for t in range(2):
        lasso = Lasso(0.5, fit_intercept=False, tol=1e-12, max_iter=10**6)
        expected = lasso.fit(X, Y[:, t]).coef_
        np.testing.assert_allclose(heads.coef_[t], expected, atol=1e-4)
    assert heads.coef_[:, 3].all()


@pytest.mark.parametrize("distance", [1e3, 1e6, 1e8])
@pytest.mark.parametrize("where", ["clusters", "outlier"])
def test_rows_far_from_those_of_a_task_change_nothing(where, distance):
    X, Y = table(60, 5, 3, missing=0.0)
    Y[:30, 0] = np.nan
    far = X.copy()
    far[slice(30) if where == "clusters" else 0, 0] += distance
    alone, there = (SparseHeads(0.05).fit(x, Y) for x in (X, far))
    np.testing.assert_allclose(there.coef_[0], alone.coef_[0], rtol=1e-5, atol=1e-8)
    heads = SparseHeadsCV(10, eps=0.05).fit(far, Y[:, 1])
    model = cv_of(far, Y[:, 1], alphas=10, eps=0.05)
    np.testing.assert_allclose(heads.mse_path_, model.mse_path_, rtol=1e-3)


SHORT = SparseHeadsCV(5, eps=0.1, cv=2)


@pytest.fixture(scope="module", params=[8, 300])
def fitted(request):
    """Data and short paths of two tasks, on few and on many features."""
    X, Y = table(50, request.param, 2)
    return X, Y, clone(SHORT).fit(X, Y)


@pytest.mark.parametrize("unit", [1e-130, 1e-60, 1e-8, 1e8, 1e130])
def test_units_do_not_matter(fitted, unit):
    X, Y, heads = fitted
    other = clone(SHORT).fit(unit * X, unit * Y)
    np.testing.assert_allclose(other.coef_, heads.coef_, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(other.alpha_, unit**2 * heads.alpha_, rtol=1e-9)


@pytest.mark.parametrize("unit", [1e-200, 1e-145, 1e145, 1e200])
def test_units_whose_squares_are_lost_are_refused(unit):
    X, Y = table()
    with pytest.raises(ValueError, match="whose squares float64 cannot represent"):
        SparseHeads().fit(unit * X, Y)
    with pytest.raises(ValueError, match="divided by feature_weights"):
        SparseHeads(feature_weights=np.full(8, 1e-40)).fit(1e110 * X, Y)


@pytest.mark.parametrize("size", [1e-308, 1e308])
def test_the_size_of_weights_does_not_matter(fitted, size):
    X, Y, heads = fitted
    other = clone(SHORT).fit(X, Y, sample_weight=np.full(50, size))
    np.testing.assert_allclose(other.coef_, heads.coef_, atol=1e-9)
    np.testing.assert_allclose(other.alpha_, heads.alpha_)


def test_blocks_are_bounded_by_every_array_of_theirs():
    lasso = None, np.ones(8), None, None, False
    problem = HeadProblem(100, 1e-3, *lasso, "cv", False, True, False, 1e-10, None)
    assert block_size(500, 300, 5, problem) == 1
    for n, p, n_folds in [(20_000, 8, 5), (50, 200, 5), (50, 2, 0)]:
        size = block_size(n, p, n_folds, problem)
        arrays = n, (n_folds + 1) * p * p, (n_folds + 1) * p * 100
        assert 2**22 < size * max(arrays) <= 2**23


def test_one_standard_error_selects_fewer_features():
    X, Y = table(n_tasks=12)
    least, fewer = (SparseHeadsCV(selection=s).fit(X, Y) for s in ("cv", "1se"))
    assert (fewer.alpha_ >= least.alpha_).all()
    assert (fewer.coef_ != 0).sum() < (least.coef_ != 0).sum()
    mean = least.mse_path_.mean(2)
    error = least.mse_path_.std(2, ddof=1) / np.sqrt(5)
    for t in range(12):
        best = mean[t].argmin()
        within = mean[t] <= mean[t, best] + error[t, best]
        assert fewer.alpha_[t] == least.alphas_[t][within.argmax()]


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_bic_is_that_of_scikit_learn(fit_intercept):
    X, Y = table(n_tasks=3)
    for t in range(3):
        at = ~np.isnan(Y[:, t])
        x, y = X[at], Y[at, t]
        model = LassoLarsIC("bic", fit_intercept=fit_intercept).fit(x, y)
        if fit_intercept:
            x, y = x - x.mean(0), y - y.mean()
        # Between breakpoints, where rounding errors do not let features in.
        breaks, _, path = lars_path(x, y, method="lasso")
        alphas, coef = (breaks[1:] + breaks[:-1]) / 2, (path[:, 1:] + path[:, :-1]) / 2
        rss, n = ((y[:, None] - x @ coef) ** 2).sum(0), len(y)
        noise = model.noise_variance_
        expected = n * np.log(2 * np.pi * noise) + rss / noise
        expected += np.log(n) * (coef != 0).sum(0)
        heads = SparseHeadsCV(alphas, selection="bic", fit_intercept=fit_intercept)
        heads.fit(X, Y)
        np.testing.assert_allclose(heads.criterion_[t], expected, rtol=1e-8)
        assert heads.alpha_[t] == alphas[expected.argmin()]
    assert not hasattr(heads, "mse_path_")


def test_bic_needs_more_labels_than_features():
    X, Y = table(40, 300)
    with pytest.raises(ValueError, match="'bic' needs more labels than features"):
        SparseHeadsCV(selection="bic").fit(X, Y)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("p", [8, 300])
def test_relaxed_heads_are_least_squares_on_their_features(p, fit_intercept):
    X, Y = table(60, p, 2)
    how = {"fit_intercept": fit_intercept}
    weight = np.random.default_rng(0).uniform(1, 3, 60)
    heads = SparseHeads(2.0, refit="relaxed", **how).fit(X, Y, sample_weight=weight)
    lasso = SparseHeads(2.0, **how).fit(X, Y, sample_weight=weight)
    for t in range(2):
        at, used = ~np.isnan(Y[:, t]), lasso.coef_[t] != 0
        assert used.any()
        model = LinearRegression(**how)
        model.fit(X[at][:, used], Y[at, t], sample_weight=weight[at])
        np.testing.assert_allclose(heads.coef_[t, used], model.coef_, rtol=1e-6)
        assert not heads.coef_[t, ~used].any()
        assert heads.intercept_[t] == pytest.approx(model.intercept_, abs=1e-8)
    np.testing.assert_array_equal(heads.dual_gap_, lasso.dual_gap_)


def test_choice_leaves_out_folds_without_labels():
    errors = np.array([[[3.0, np.nan], [2.0, np.nan], [2.5, np.nan]]])
    assert choose(errors, "cv").tolist() == [1]
    assert choose(np.full((1, 3, 2), np.nan), "cv").tolist() == [0]
    errors = np.array([[[3.0, 1.0], [1.0, 4.0]]])
    assert choose(errors, "cv").tolist() == [0]


@pytest.mark.filterwarnings("ignore:.* components may not be factors:UserWarning")
def test_searches_and_pipelines():
    X, Y = table(missing=0.0)
    model = make_pipeline(StandardScaler(), SparseHeads())
    search = GridSearchCV(model, {"sparseheads__alpha": [0.01, 10.0]}, cv=3).fit(X, Y)
    assert search.best_params_ == {"sparseheads__alpha": 0.01}
    model = make_pipeline(SparseRotation(2, random_state=0), SparseHeadsCV(10))
    assert model.fit(X, Y).predict(X).shape == Y.shape


def test_a_gap_above_tol_is_said():
    X, Y = table()
    with pytest.warns(ConvergenceWarning, match="of 5 tasks .* above tol=1e-300"):
        SparseHeads(0.1, tol=1e-300).fit(X, Y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SparseHeads(0.1).fit(X, Y)


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (SparseHeads([1.0, 2.0]), "alpha must be a positive number, or 5 of them"),
        (SparseHeads([1, 1, 1, 1, 0.0]), "alpha must be a positive number"),
        (SparseHeads([1, 1, 1, 1, np.inf]), "alpha must be a positive number"),
        (SparseHeads(list("abcde")), "alpha must be a positive number"),
        (SparseHeads(-1.0), "'alpha' parameter"),
        (SparseHeads(True), "alpha must be a positive number, .* got True"),
        (SparseHeads([1, 1, 1, 1.0, True]), "alpha must be a positive number"),
        (SparseHeadsCV(True), "alphas must be a number of penalties, .* got True"),
        (SparseHeadsCV([0.1, True]), "alphas must be a number of penalties"),
        (SparseHeadsCV([0.1, np.inf]), "alphas must be a number of penalties"),
        (SparseHeadsCV([0.1, -1.0]), "alphas must be a number of penalties"),
        (SparseHeadsCV(cv=1), "'cv' parameter"),
        (SparseHeadsCV(cv=ShuffleSplit(3)), "cv must hold out each row of X once"),
        (
            SparseHeadsCV(cv=TimeSeriesSplit(3)),
            "cv must train on .* 60 rows, .* 60",
        ),
        (SparseHeadsCV(cv=[(range(120), range(60))] * 2), "cv must train on the rows"),
        (SparseHeadsCV(selection="aic"), "'selection' parameter"),
        (
            SparseHeads(positive=True, refit="relaxed"),
            "use refit='lasso' with positive",
        ),
    ],
)
def test_wrong_parameters_are_named(estimator, message):
    X, Y = table()
    with pytest.raises(ValueError, match=message):
        estimator.fit(X, Y)


@pytest.mark.parametrize("shape", [(5,), (120, 1)])
def test_groups_of_another_shape_are_named(shape):
    X, Y = table()
    with pytest.raises(ValueError, match="groups must hold the group of each"):
        SparseHeadsCV().fit(X, Y, groups=np.ones(shape))


def test_vector_targets_are_refused():
    X, Y = table(missing=0.0)
    with pytest.raises(
        ValueError, match="y must hold a number for each label, got vectors"
    ):
        SparseHeads().fit(X, Y[..., None])


@parametrize_with_checks([SparseHeads(0.01), SparseHeadsCV(5, cv=2)])
def test_scikit_learn_accepts_the_estimators(estimator, check):
    check(estimator)


def test_a_gap_of_nan_is_said():
    gap = np.array([1e-12, np.nan])
    with pytest.warns(ConvergenceWarning, match=r"1 of 2 tasks \(first: \['b'\]\)"):
        warn_of_gaps(np.array(["a", "b"]), gap, 1e-8)
