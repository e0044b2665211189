"""Sparse linear models of many tasks: against scikit-learn, task by task."""

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Lasso, LinearRegression
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, ShuffleSplit, TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from sparsedis.heads import SparseHeads, SparseHeadsCV
from sparsedis.heads._penalties import warn_of_gaps
from sparsedis.rotation import SparseRotation
from tests.heads._tables import table


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("positive", [True, False])
def test_given_penalties_give_the_lasso_of_each_task(fit_intercept, positive):
    X, Y = table(120, n_tasks=5)
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


def test_every_form_of_labels_gives_the_same_heads():
    X, Y = table(120, n_tasks=5)
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
    X, Y = table(60, p, 5)
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
    X, Y = table(120, n_tasks=5)
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
    X, Y = table(120, n_tasks=5)
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


@pytest.mark.filterwarnings("ignore:.* components may not be factors:UserWarning")
def test_searches_and_pipelines():
    X, Y = table(missing=0.0)
    model = make_pipeline(StandardScaler(), SparseHeads())
    search = GridSearchCV(model, {"sparseheads__alpha": [0.01, 10.0]}, cv=3).fit(X, Y)
    assert search.best_params_ == {"sparseheads__alpha": 0.01}
    model = make_pipeline(SparseRotation(2, random_state=0), SparseHeadsCV(10))
    assert model.fit(X, Y).predict(X).shape == Y.shape


def test_a_gap_above_tol_is_said():
    X, Y = table(120, n_tasks=5)
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
    X, Y = table(120, n_tasks=5)
    with pytest.raises(ValueError, match=message):
        estimator.fit(X, Y)


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
