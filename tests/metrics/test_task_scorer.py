"""The scorer of many tasks inside scikit-learn's model selection."""

import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import sklearn
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.metrics import get_scorer, log_loss, r2_score, roc_auc_score
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    cross_val_score,
    cross_validate,
)
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sparsedis import SparseMultiTaskClassifier, SparseMultiTaskRepresentation
from sparsedis.datasets import make_sparse_tasks
from sparsedis.metrics import make_task_scorer, task_scores
from sparsedis.rotation import SparseRotation

REGRESSOR = SparseMultiTaskRepresentation(3, rotation=None, max_iter=15, random_state=0)
CLASSIFIER = SparseMultiTaskClassifier(3, rotation=None, max_iter=2, random_state=0)


@pytest.fixture(scope="module")
def data():
    return make_sparse_tasks(120, 6, n_factors=3, labelled=0.7, random_state=0)


@pytest.fixture(scope="module")
def complete():
    return make_sparse_tasks(120, 6, n_factors=3, random_state=0)


def classes_of(Y):
    """Two classes in some tasks, three in others."""
    bounds = np.where(np.arange(Y.shape[1]) % 2, -9.0, -0.4)
    return np.where(np.isnan(Y), np.nan, np.add(Y > 0, bounds < Y, dtype=float))


@pytest.mark.parametrize("metric", ["r2", "neg_rmse", "neg_mse", "neg_mae"])
@pytest.mark.parametrize("est", [Ridge(), MultiOutputRegressor(Ridge())])
def test_complete_labels_of_any_regressor(complete, metric, est):
    X, Y = complete
    long = {
        "neg_rmse": "neg_root_mean_squared_error",
        "neg_mse": "neg_mean_squared_error",
        "neg_mae": "neg_mean_absolute_error",
    }
    found = cross_val_score(est, X, Y, scoring=make_task_scorer(metric))
    expected = cross_val_score(est, X, Y, scoring=long.get(metric, metric))
    assert_allclose(found, expected)


@pytest.mark.parametrize(
    "metric", ["accuracy", "balanced_accuracy", "roc_auc", "neg_log_loss"]
)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_one_task_of_a_classifier(complete, metric, n_classes):
    X, Y = complete
    y = np.array(["lo", "mid", "hi"])[
        np.digitize(Y[:, 0], [-0.3, 0.3][: n_classes - 1])
    ]
    name = "roc_auc_ovr" if metric == "roc_auc" and n_classes > 2 else metric
    est = LogisticRegression().fit(X[:80], y[:80])
    expected = get_scorer(name)(est, X[80:], y[80:])
    scorer = make_task_scorer(metric)
    assert_allclose(scorer(est, X[80:], y[80:]), expected)
    missing = np.where(np.arange(40) % 3, y[80:].astype(object), None)
    kept = np.arange(40) % 3 > 0
    expected = get_scorer(name)(est, X[80:][kept], y[80:][kept])
    assert_allclose(scorer(est, X[80:], missing), expected)


@pytest.mark.parametrize(
    "est",
    [
        RandomForestClassifier(5, random_state=0),
        MultiOutputClassifier(LogisticRegression()),
        make_pipeline(StandardScaler(), RidgeClassifier()),
    ],
)
def test_many_tasks_of_any_classifier(complete, est):
    X, Y = complete
    est = clone(est).fit(X[:80], (Y[:80] > 0).astype(int))
    truth, X = (Y[80:] > 0).astype(float), X[80:]
    if hasattr(est, "predict_proba"):
        p = np.stack([p[:, 1] for p in est.predict_proba(X)], 1)
    else:
        p = est.decision_function(X)
    given = np.where(np.arange(truth.size).reshape(truth.shape) % 4, truth, np.nan)
    each = [
        roc_auc_score(y[own], q[own])
        for y, q, own in zip(truth.T, p.T, ~np.isnan(given).T, strict=True)
    ]
    assert_allclose(make_task_scorer("roc_auc")(est, X, given), np.mean(each))


@pytest.mark.parametrize("average", ["mean", "labels"])
def test_averages(data, average):
    X, Y = data
    Y = Y.copy()
    Y[1:, 2] = np.nan
    Y[0, 2], Y[40:, 3] = 1.0, np.nan
    est = Ridge().fit(X, np.nan_to_num(Y))
    found = make_task_scorer(average=average)(est, X, Y)
    each = task_scores(Y, est.predict(X))
    scored = [0, 1, 3, 4, 5]
    assert np.isnan(each[2])
    counts = (~np.isnan(Y)).sum(0)[scored] if average == "labels" else None
    assert_allclose(found, np.average(each[scored], weights=counts))


@pytest.mark.filterwarnings(
    "ignore:(No head uses|.* tasks have|.* may not be|1 of 6 tasks):UserWarning"
)
def test_the_score_of_our_estimators(data):
    X, Y = data
    weight = np.random.default_rng(0).integers(0, 3, len(X))
    labels = classes_of(Y)
    # One task without any label, one with a single class.
    Y = Y.copy()
    Y[:80, 4], labels[:80, 4], labels[:80, 5] = np.nan, np.nan, 1.0
    for est, y, metric in [
        (REGRESSOR, Y, "r2"),
        (CLASSIFIER, labels, "accuracy"),
        (SparseRotation(3), Y, "r2"),
    ]:
        est = clone(est).fit(X[:80], y[:80])
        scorer = make_task_scorer(metric)
        for w in (None, weight[80:]):
            found = scorer(est, X[80:], y[80:], sample_weight=w)
            assert_allclose(found, est.score(X[80:], y[80:], sample_weight=w))
        stored = np.nonzero(~np.isnan(y[80:]))
        sparse = sp.csr_array((y[80:][stored], stored), shape=y[80:].shape)
        assert_allclose(scorer(est, X[80:], sparse), scorer(est, X[80:], y[80:]))


def test_probabilities_of_our_classifier(data):
    X, Y = data
    labels = classes_of(Y)
    est = clone(CLASSIFIER).fit(X[:80], labels[:80])
    p = est.predict_proba(X[80:])
    each, aucs = [], []
    for t, y in enumerate(labels[80:].T):
        own = ~np.isnan(y)
        each.append(log_loss(y[own], p[t][own], labels=est.classes_[t]))
        q = p[t][own] if p[t].shape[1] > 2 else p[t][own, 1]
        aucs.append(roc_auc_score(y[own], q, multi_class="ovr"))
    found = make_task_scorer(["neg_log_loss", "roc_auc"])(est, X[80:], labels[80:])
    assert list(found) == ["neg_log_loss", "roc_auc"]
    assert_allclose(found["neg_log_loss"], -np.mean(each))
    assert_allclose(found["roc_auc"], np.mean(aucs))


def test_frames_are_matched_by_name(data):
    X, Y = data
    frame = pd.DataFrame(Y, columns=list("abcdef"))
    for est, y, metric in [
        (REGRESSOR, frame, "neg_mae"),
        (CLASSIFIER, classes_of(frame), "neg_log_loss"),
    ]:
        y = pd.DataFrame(y, columns=frame.columns)
        est, scorer = clone(est).fit(X, y), make_task_scorer(metric)
        found = scorer(est, X, y)
        assert_allclose(scorer(est, X, y[list("fbacde")]), found)
        assert_allclose(scorer(make_pipeline(est), X, y[list("fbacde")]), found)
        some = y[["e", "b"]].assign(new=1.0)
        with pytest.warns(UserWarning, match="'new'.* were not seen"):
            found = scorer(est, X, some)
        one_by_one = [scorer(est, X, y[[name]]) for name in "eb"]
        assert_allclose(found, np.mean(one_by_one))


def test_grid_search_with_missing_labels(data):
    X, Y = data
    search = GridSearchCV(
        REGRESSOR,
        {"alpha": [0.01, 0.9]},
        scoring={"r2": make_task_scorer(), "mae": make_task_scorer("neg_mae")},
        refit="mae",
        cv=KFold(2),
        error_score="raise",
    ).fit(X, Y)
    default = GridSearchCV(
        REGRESSOR, {"alpha": [0.01, 0.9]}, cv=KFold(2), error_score="raise"
    ).fit(X, Y)
    assert_allclose(
        search.cv_results_["mean_test_r2"], default.cv_results_["mean_test_score"]
    )
    assert search.best_params_ == {"alpha": 0.01}
    each = task_scores(Y, search.predict(X), metric="mae")
    assert_allclose(search.score(X, Y), -each.mean())
    assert_allclose(make_task_scorer("neg_mae")(search, X, Y), -each.mean())


@pytest.mark.parametrize("words", [False, True])
def test_several_metrics_of_a_pipeline(data, words):
    X, Y = data
    y = classes_of(Y)
    if words:
        y = np.where(np.isnan(Y), None, np.where(Y > 0, "yes", "no"))
    names = ["accuracy", "balanced_accuracy", "roc_auc", "neg_log_loss"]
    result = cross_validate(
        make_pipeline(StandardScaler(), CLASSIFIER),
        X,
        y,
        scoring=make_task_scorer(names),
        cv=KFold(2),
        error_score="raise",
        return_estimator=True,
        return_indices=True,
    )
    for name in names:
        alone = [
            make_task_scorer(name)(est, X[test], y[test])
            for est, test in zip(
                result["estimator"], result["indices"]["test"], strict=True
            )
        ]
        assert_allclose(result[f"test_{name}"], alone)


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


@pytest.mark.parametrize("several", [False, True])
def test_weights_are_routed(complete, routing, several):
    X, Y = complete
    weight = np.random.default_rng(0).random(len(X))
    scorer = make_task_scorer().set_score_request(sample_weight=True)
    est = Ridge().set_fit_request(sample_weight=True)
    found = cross_validate(
        est,
        X,
        Y,
        scoring={"r2": scorer} if several else scorer,
        params={"sample_weight": weight},
        cv=KFold(3),
    )["test_r2" if several else "test_score"]
    expected = []
    for train, test in KFold(3).split(X):
        est.fit(X[train], Y[train], sample_weight=weight[train])
        score = r2_score(Y[test], est.predict(X[test]), sample_weight=weight[test])
        expected.append(score)
    assert_allclose(found, expected)
    # Weights of each label go to the scorer alone.
    own = np.random.default_rng(1).random(Y.shape)
    scorer.set_score_request(sample_weight="label_weight")
    est = Ridge()
    found = cross_val_score(
        est, X, Y, scoring=scorer, params={"label_weight": own}, cv=KFold(3)
    )
    _, test = list(KFold(3).split(X))[-1]
    est.fit(np.delete(X, test, 0), np.delete(Y, test, 0))
    each = task_scores(Y[test], est.predict(X[test]), sample_weight=own[test])
    assert_allclose(found[-1], each.mean())


def test_weights_must_be_requested(complete, routing):
    X, Y = complete
    with pytest.raises(ValueError, match=r"sample_weight.*not explicitly set"):
        cross_val_score(
            Ridge().set_fit_request(sample_weight=True),
            X,
            Y,
            scoring=make_task_scorer(),
            params={"sample_weight": np.ones(len(X))},
            error_score="raise",
        )


@pytest.mark.parametrize("in_pipeline", [False, True])
@pytest.mark.parametrize(
    ("est", "metric"), [(REGRESSOR, "r2"), (CLASSIFIER, "neg_log_loss")]
)
def test_the_long_form_is_routed(data, routing, est, metric, in_pipeline):
    X, Y = data
    Y = Y if metric == "r2" else classes_of(Y)
    names = np.array(list("abcdef"))
    rows, tasks = np.nonzero(~np.isnan(Y))
    est = clone(est).set_fit_request(task=True).set_predict_request(task=True)
    if metric != "r2":
        est.set_predict_proba_request(task=True)
    model = make_pipeline(est) if in_pipeline else est
    y, cv = Y[rows, tasks], KFold(2, shuffle=True, random_state=0)
    scorer = make_task_scorer(metric)
    found = cross_val_score(
        model,
        X[rows],
        y,
        scoring=scorer,
        params={"task": names[tasks]},
        cv=cv,
        error_score="raise",
    )
    train, test = list(cv.split(y))[-1]
    est.fit(X[rows[train]], y[train], task=names[tasks[train]])
    # The same labels, of rows that occur several times, as a table.
    wide = np.full((len(test), 6), np.nan)
    wide[np.arange(len(test)), tasks[test]] = y[test]
    assert_allclose(found[-1], scorer(est, X[rows[test]], wide), rtol=1e-6)


@pytest.mark.filterwarnings("ignore:No head uses:UserWarning")
def test_long_labels_of_tasks_without_a_fit(data):
    X, Y = data
    task = np.repeat(["a", "b"], [100, 20])
    est = clone(REGRESSOR).fit(X[:90], Y[:90, 0], task=task[:90])
    y = np.nan_to_num(Y[:, 0])
    with pytest.warns(UserWarning, match="'b'.* were not seen"):
        found = make_task_scorer()(est, X[90:], y[90:], task=task[90:])
    assert_allclose(found, r2_score(y[90:100], est.predict(X[90:100])[:, 0]))


def test_nothing_to_score(data):
    X, Y = data
    est = clone(REGRESSOR).fit(X, Y)
    with pytest.raises(ValueError, match=r"No task .* by 'r2': y must hold two labels"):
        make_task_scorer()(est, X[:1], np.ones((1, 6)))
    labels = classes_of(Y)
    labels[:, 0] = 1.0
    with pytest.warns(UserWarning, match="single class"):
        est = clone(CLASSIFIER).fit(X, labels)
    only = np.full(labels.shape, np.nan)
    only[:, 0] = 1.0
    with pytest.raises(
        ValueError, match=r"No task .* by 'accuracy': y must hold a lab"
    ):
        make_task_scorer("accuracy")(est, X, only)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"metric": "rmse"}, "metric must be one of .*'neg_rmse'.*; got 'rmse'"),
        ({"metric": []}, r"metric must name metrics, each once; got \[\]"),
        ({"metric": ["r2", "r2"]}, "each once; got"),
        (
            {"metric": ["r2", "accuracy"]},
            "of regression or of classification, not both",
        ),
        ({"average": None}, r"average must be one of .*'labels'\]; got None"),
    ],
)
def test_errors_of_parameters(params, message):
    with pytest.raises(ValueError, match=message):
        make_task_scorer(**params)


def test_errors_of_estimators(complete):
    X, Y = complete
    est = Ridge().fit(X, Y)
    with pytest.raises(TypeError, match="a method predict_proba; got Ridge"):
        make_task_scorer("neg_log_loss")(est, X, Y > 0)
    with pytest.raises(TypeError, match=r"task= needs .* in tasks_; got Ridge\(\)"):
        make_task_scorer()(est, X, Y[:, 0], task=np.zeros(len(X)))
    forest = RandomForestClassifier(2).fit(X, Y > 0)
    with pytest.raises(ValueError, match=r"a column for each of the 6 tasks .*; got 2"):
        make_task_scorer("accuracy")(forest, X, Y[:, :2] > 0)


def test_scorers_are_estimators(complete):
    X, Y = complete
    est, scorer = Ridge().fit(X, Y), make_task_scorer("neg_mae", average="labels")
    for copy in (clone(scorer), pickle.loads(pickle.dumps(scorer))):
        assert copy(est, X, Y) == scorer(est, X, Y)
    assert repr(scorer) == "TaskScorer(average='labels', metric='neg_mae')"
