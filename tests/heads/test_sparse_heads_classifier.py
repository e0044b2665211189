"""Sparse logistic models of many tasks: against scikit-learn, celer and cvxpy."""

import warnings

import cvxpy as cp
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from celer import LogisticRegression as CelerLogistic
from joblib import parallel_config
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    ShuffleSplit,
    StratifiedGroupKFold,
    StratifiedKFold,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from sparsedis.heads import SparseHeadsClassifier, SparseHeadsClassifierCV
from tests.heads._tables import table_of_classes as table


def objective(X, y, coef, intercept, alpha):
    """Mean log loss and penalty of a model of labels 0 to C - 1."""
    coef, intercept = np.atleast_2d(coef), np.atleast_1d(intercept)
    if len(coef) == 1:
        size = np.abs(coef).sum()
        coef, intercept = np.vstack([0 * coef, coef]), np.append(0.0, intercept)
    else:
        size = np.linalg.norm(coef - coef.mean(0), axis=0).sum()
    logits = X @ coef.T + intercept
    each = np.logaddexp.reduce(logits, 1) - logits[np.arange(len(y)), y.astype(int)]
    return each.mean() + alpha * size


def peer(alpha, n, **params):
    params = {"tol": 1e-9, "max_iter": 10**5, "random_state": 0} | params
    return LogisticRegression(C=1 / (n * alpha), l1_ratio=1, solver="saga", **params)


SHORT = SparseHeadsClassifierCV(4, eps=0.1, cv=2)


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_given_penalties_give_the_model_of_each_task(fit_intercept):
    X, Y = table()
    alpha = np.array([0.003, 0.01, 0.03, 0.1])
    how = {"fit_intercept": fit_intercept}
    heads = SparseHeadsClassifier(alpha, **how).fit(X, Y)
    assert heads.dual_gap_.max() <= 1e-8
    for t in range(4):
        at = ~np.isnan(Y[:, t])
        x, y = X[at], Y[at, t]
        own = heads.coef_[t], heads.intercept_[t]
        model = peer(alpha[t], len(y), **how).fit(x, y)
        ours = objective(x, y, *own, alpha[t])
        theirs = objective(x, y, model.coef_, model.intercept_, alpha[t])
        assert ours == pytest.approx(theirs, abs=1e-8)
        np.testing.assert_allclose(heads.coef_[t], model.coef_[0], atol=1e-3)
        p = heads.predict_proba(X)[t]
        np.testing.assert_allclose(p, model.predict_proba(X), atol=1e-3)
        np.testing.assert_array_equal(heads.predict(X)[:, t], model.predict(X))
        # Labels that are missing take no part.
        alone = SparseHeadsClassifier(alpha[t], **how).fit(x, y)
        np.testing.assert_allclose(alone.coef_[0], heads.coef_[t], atol=1e-8)
        assert alone.intercept_[0] == pytest.approx(heads.intercept_[t], abs=1e-8)


@pytest.mark.parametrize("p", [6, 80])
def test_objectives_are_those_of_celer(p):
    X, Y = table(60, p, 3, missing=0.3)
    heads = SparseHeadsClassifier(0.02, fit_intercept=False).fit(X, Y)
    for t in range(3):
        at = ~np.isnan(Y[:, t])
        x, y = X[at], Y[at, t]
        model = CelerLogistic(C=1 / (0.02 * len(y)), tol=1e-10, fit_intercept=False)
        theirs = objective(x, y, model.fit(x, y).coef_, 0.0, 0.02)
        ours = objective(x, y, heads.coef_[t], 0.0, 0.02)
        assert ours == pytest.approx(theirs, abs=1e-8)


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_several_classes_have_the_group_penalty(fit_intercept):
    X, Y = table(40, 4, 1, 3, missing=0.0)
    heads = SparseHeadsClassifier(0.05, fit_intercept=fit_intercept).fit(X, Y[:, 0])
    W, b = cp.Variable((3, 4)), cp.Variable(3)
    logits = X @ W.T + (np.ones((40, 1)) @ cp.reshape(b, (1, 3), "C"))
    picked = cp.sum(cp.multiply(logits, np.eye(3)[Y[:, 0].astype(int)]))
    loss = (cp.sum(cp.log_sum_exp(logits, axis=1)) - picked) / 40
    penalty = 0.05 * cp.sum(cp.norm(W, 2, axis=0))
    wanted = [] if fit_intercept else [b == 0]
    least = cp.Problem(cp.Minimize(loss + penalty), wanted).solve("CLARABEL")
    ours = objective(X, Y[:, 0], heads.coef_, heads.intercept_, 0.05)
    assert ours == pytest.approx(least, abs=1e-7)
    np.testing.assert_allclose(heads.coef_, W.value, atol=1e-4)
    used = heads.coef_ != 0
    assert (used.all(0) | ~used.any(0)).all()
    np.testing.assert_allclose(heads.coef_.sum(0), 0.0, atol=1e-12)


@pytest.mark.parametrize("refit", ["lasso", "relaxed"])
def test_weights_of_labels_are_repetitions(refit):
    X, Y = table(60, 5, 2, 3, missing=0.0)
    weight = np.random.default_rng(0).integers(0, 3, Y.shape).astype(float)
    model = SparseHeadsClassifier(0.03, refit=refit)
    heads = clone(model).fit(X, Y, sample_weight=weight)
    for t in range(2):
        rows = np.repeat(np.arange(60), weight[:, t].astype(int))
        alone = clone(model).fit(X[rows], Y[rows, t])
        np.testing.assert_allclose(heads.coef_[t], alone.coef_, atol=1e-8)


def test_every_form_of_labels_gives_the_same_heads():
    X, Y = table(60, 4, 3, n_classes=3)
    model = SparseHeadsClassifier(0.1)
    heads = clone(model).fit(X, Y)
    rows, tasks = np.nonzero(~np.isnan(Y))
    names = np.array(["red", "green", "blue"])
    text = np.full(Y.shape, None, dtype=object)
    # Sorted labels: blue, green, red.
    text[rows, tasks] = names[2 - Y[rows, tasks].astype(int)]
    frame = pd.DataFrame(Y, columns=list("abc"))
    forms = [
        frame,
        pd.DataFrame(Y).astype("Int64"),
        pd.DataFrame(text).astype("string"),
        text,
        sp.coo_array((Y[rows, tasks], (rows, tasks)), shape=Y.shape),
    ]
    fits = [clone(model).fit(X, form) for form in forms]
    for form, other in zip(forms, fits, strict=True):
        np.testing.assert_array_equal(other.coef_, heads.coef_)
        assert other.score(X, form) == heads.score(X, Y)
    of_frame, of_text = fits[0], fits[3]
    assert of_text.classes_[0].tolist() == ["blue", "green", "red"]
    expected = names[2 - heads.predict(X).astype(int)]
    np.testing.assert_array_equal(of_text.predict(X), expected)
    assert of_frame.tasks_.tolist() == list("abc")
    assert of_frame.score(X, frame[list("cba")]) == pytest.approx(heads.score(X, Y))


def test_tasks_have_their_own_classes():
    X, Y = table(n_tasks=3, n_classes=2, missing=0.2)
    more = table(n_tasks=1, n_classes=4, missing=0.2)[1][:, 0]
    labels = pd.DataFrame({"two": Y[:, 0], "four": more, "text": Y[:, 1]})
    labels["text"] = labels["text"].map({0: "no", 1: "yes"})
    heads = SparseHeadsClassifier(0.02).fit(X, labels)
    assert [len(own) for own in heads.classes_] == [2, 4, 2]
    assert heads.coef_.shape == (3, 4, 6)
    alone = SparseHeadsClassifier(0.02).fit(X, Y[:, :2])
    logit = heads.coef_[[0, 2], 1] - heads.coef_[[0, 2], 0]
    np.testing.assert_allclose(logit, alone.coef_, atol=1e-10)
    assert (heads.intercept_[[0, 2], 2:] == -np.inf).all()
    for p, expected in zip(
        heads.predict_proba(X)[::2], alone.predict_proba(X), strict=True
    ):
        np.testing.assert_allclose(p, expected, atol=1e-10)
    predicted = heads.predict(X)
    assert predicted.shape == (120, 3)
    assert set(predicted[:, 2]) == {"no", "yes"}
    p = heads.predict_proba(X)[1]
    np.testing.assert_array_equal(predicted[:, 1], heads.classes_[1][p.argmax(1)])


def test_tasks_in_parallel_change_nothing():
    X, Y = table(60)
    one = SparseHeadsClassifier(0.05).fit(X, Y)
    with parallel_config(backend="threading"):
        two = SparseHeadsClassifier(0.05, n_jobs=2).fit(X, Y)
    np.testing.assert_array_equal(one.coef_, two.coef_)


@pytest.mark.parametrize("p", [6, 80])
def test_tasks_that_say_little(p):
    X, Y = table(50, p, 5, missing=0.0)
    Y[:, 0] = np.nan
    Y[1:, 1] = np.nan
    Y[:, 2] = 1
    Y[:, 3] = np.nan
    Y[:2, 3] = [0, 1]
    with pytest.warns(UserWarning, match="2 of 5 tasks have a single class"):
        heads = SparseHeadsClassifierCV(5, eps=0.1).fit(X, Y)
    assert np.isnan(heads.coef_[:3]).all()
    assert np.isnan(heads.alpha_[:3]).all()
    predicted = heads.predict(X)
    assert np.isnan(predicted[:, 0]).all()
    assert (predicted[:, 1] == Y[0, 1]).all()
    assert (predicted[:, 2] == 1).all()
    # No fold can be judged: the others have a single class.
    assert np.isnan(heads.log_loss_path_[3]).all()
    assert heads.alpha_[3] == heads.alphas_[3, 0]
    assert not heads.coef_[3].any()
    p = heads.predict_proba(X)
    assert p[0].shape == (50, 0)
    assert (p[2] == 1).all()
    for own in p[1:]:
        np.testing.assert_allclose(own.sum(1), 1.0)
    assert heads.score(X, Y) > 0.5


def test_separable_classes_have_finite_heads():
    X, _ = table(40, 80, 1)
    y = (X[:, 0] > 0).astype(int)
    for selection in ("cv", "bic"):
        heads = SparseHeadsClassifierCV(
            6, eps=0.05, cv=2, selection=selection, refit="relaxed"
        )
        assert heads.fit(X, y).score(X, y) > 0.9
        assert np.isfinite(heads.coef_).all()
        assert heads.dual_gap_ <= 1e-8


def test_constant_features_are_not_used():
    X, Y = table(n_tasks=2, n_classes=3)
    X[:, 3] = 0.1
    X[~np.isnan(Y[:, 0]), 4] = 1e5
    heads = clone(SHORT).fit(X, Y)
    assert not heads.coef_[..., 3].any()
    assert not heads.coef_[0, :, 4].any()
    assert np.isfinite(heads.coef_).all()
    constant = clone(SHORT).fit(np.ones((120, 2)), Y)
    assert not constant.coef_.any()
    share = np.bincount(Y[~np.isnan(Y[:, 0]), 0].astype(int))
    p = constant.predict_proba(X[:1, :2])[0][0]
    np.testing.assert_allclose(p, share / share.sum())


@pytest.mark.parametrize("where", ["clusters", "outlier"])
def test_rows_far_from_those_of_a_task_change_nothing(where):
    X, Y = table(60, 5, 2, missing=0.0)
    Y[:30, 0] = np.nan
    far = X.copy()
    far[slice(30) if where == "clusters" else 0, 0] += 1e5
    alone, there = (SparseHeadsClassifier().fit(x, Y) for x in (X, far))
    np.testing.assert_allclose(there.coef_[0], alone.coef_[0], rtol=1e-5, atol=1e-8)


@pytest.fixture(scope="module", params=[6, 80])
def fitted(request):
    """Data and a short path of a task, on few and on many features."""
    X, Y = table(50, request.param, 1)
    return X, Y, clone(SHORT).fit(X, Y)


@pytest.mark.parametrize("unit", [1e-120, 1e-8, 1e8])
def test_units_do_not_matter(fitted, unit):
    X, Y, heads = fitted
    other = clone(SHORT).fit(unit * X, Y)
    np.testing.assert_allclose(unit * other.coef_, heads.coef_, rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(other.alpha_, unit * heads.alpha_, rtol=1e-9)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_relaxed_heads_are_those_of_scikit_learn(n_classes, fit_intercept):
    X, Y = table(n_tasks=2, n_classes=n_classes)
    how = {"fit_intercept": fit_intercept}
    alpha = 0.1 * n_classes
    heads = SparseHeadsClassifier(alpha, refit="relaxed", **how).fit(3 * X, Y)
    lasso = SparseHeadsClassifier(alpha, **how).fit(3 * X, Y)
    for t in range(2):
        at = ~np.isnan(Y[:, t])
        used = np.atleast_2d(lasso.coef_[t]).any(0)
        assert 0 < used.sum() < 6
        model = LogisticRegression(tol=1e-10, max_iter=10**4, **how)
        model.fit(3 * X[at][:, used], Y[at, t])
        coef = np.atleast_2d(heads.coef_[t])
        np.testing.assert_allclose(coef[:, used], model.coef_, rtol=1e-4, atol=1e-6)
        assert not coef[:, ~used].any()
    np.testing.assert_array_equal(heads.dual_gap_, lasso.dual_gap_)
    none = SparseHeadsClassifier(1e3, refit="relaxed", **how).fit(X, Y)
    assert not none.coef_.any()


def test_searches_and_pipelines():
    X, Y = table(60, n_tasks=2, missing=0.0)
    model = make_pipeline(StandardScaler(), SparseHeadsClassifier())
    grid = {"sparseheadsclassifier__alpha": [0.01, 10.0]}
    search = GridSearchCV(model, grid, cv=KFold(2)).fit(X, Y)
    assert search.best_params_ == {"sparseheadsclassifier__alpha": 0.01}


def test_a_gap_above_tol_is_said():
    X, Y = table(n_tasks=2)
    with pytest.warns(ConvergenceWarning, match="of 2 tasks .* above tol=1e-300"):
        SparseHeadsClassifier(0.03, tol=1e-300).fit(X, Y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SparseHeadsClassifier(0.03).fit(X, Y)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_small_penalties_have_certificates_down_to_rounding_errors(n_classes):
    X, Y = table(40, 3, 3, n_classes, missing=0.0)
    heads = SparseHeadsClassifier([1e-8, 3e-9, 1e-9]).fit(X, Y)
    assert heads.dual_gap_.max() <= 1e-8
    with pytest.warns(ConvergenceWarning, match="so small that rounding errors hide"):
        SparseHeadsClassifier(1e-15).fit(X, Y[:, 0])


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (SparseHeadsClassifier([1.0, 2.0]), "alpha must be a positive number, or 4"),
        (SparseHeadsClassifier([1, 1, 1, 0]), "alpha must be a positive number"),
        (SparseHeadsClassifier(list("abcd")), "alpha must be a positive number"),
        (SparseHeadsClassifier(-1.0), "'alpha' parameter"),
        (SparseHeadsClassifier(True), "alpha must be a positive number, .* got True"),
        (SparseHeadsClassifierCV(True), "alphas must be a number of .* got True"),
        (SparseHeadsClassifierCV([0.1, np.inf]), "alphas must be a number of"),
        (SparseHeadsClassifierCV([]), "alphas must be a number of penalties"),
        (SparseHeadsClassifierCV(cv=ShuffleSplit(3)), "cv must hold out each row"),
        (SparseHeadsClassifierCV(cv=StratifiedKFold(3)), "classes of a single class"),
        (
            SparseHeadsClassifierCV(cv=StratifiedGroupKFold(3)),
            "a single classification",
        ),
        (SparseHeadsClassifierCV(cv=GroupKFold(3)), "cv=Group.* 'groups' parameter"),
        (SparseHeadsClassifierCV(cv=[([0], [120])]), "cv must give pairs.* split 0"),
        (SparseHeadsClassifierCV(cv=[1]), "failed to divide the rows"),
        (SparseHeadsClassifierCV(selection="aic"), "'selection' parameter"),
    ],
)
def test_wrong_parameters_are_named(estimator, message):
    X, Y = table()
    with pytest.raises(ValueError, match=message):
        estimator.fit(X, Y)
    assert not hasattr(estimator, "coef_")


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.ones(120), "needs labels of at least two classes in some task"),
        (np.linspace(0, 1, 120), "Unknown label type"),
        (np.full(120, np.nan), "y holds no label at all"),
        (np.where(np.arange(120) > 5, np.inf, 1.0), "infinity"),
        (np.zeros((120, 2, 2)), "y must have shape"),
        (np.arange(100) % 2, "same number of rows, got 120 and 100"),
    ],
)
def test_wrong_labels_are_named(y, message):
    with pytest.raises(ValueError, match=message):
        SparseHeadsClassifier().fit(table()[0], y)


@parametrize_with_checks(
    [SparseHeadsClassifier(0.05), SparseHeadsClassifierCV(2, eps=0.2, cv=2)]
)
def test_scikit_learn_accepts_the_estimators(estimator, check):
    check(estimator)
