"""Ensembles of the estimators."""

import pickle

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from scipy.sparse import csr_array
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.cross_decomposition import PLSRegression
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sparsedis import (
    SparseMultiTaskClassifier,
    SparseMultiTaskEnsemble,
    SparseMultiTaskMixed,
    SparseMultiTaskRepresentation,
)
from sparsedis.datasets import make_sparse_tasks
from sparsedis.ensemble._matching import match_features

# The quickest members: two steps, and no rotation.
QUICK = SparseMultiTaskRepresentation(2, rotation=None, max_iter=2, alpha=0.1)

pytestmark = pytest.mark.filterwarnings(
    "ignore:(Warnings of|No head|.* may not be|No feature occurs):UserWarning",
    "ignore:The encoder overfits:UserWarning",
)


@pytest.fixture(scope="module")
def data():
    return make_sparse_tasks(80, 20, n_factors=3, return_bunch=True, random_state=0)


@pytest.fixture(scope="module")
def frame(data):
    return pd.DataFrame(data.data, columns=["u", "v", "w"])


@pytest.fixture(scope="module")
def regression(data, frame):
    Y = np.where(np.random.default_rng(0).random(data.target.shape) < 0.8, 1.0, np.nan)
    base = SparseMultiTaskRepresentation(3, max_iter=40)
    ensemble = SparseMultiTaskEnsemble(base, n_estimators=3, random_state=0)
    return ensemble.fit(frame, data.target * Y)


@pytest.fixture(scope="module")
def classification(data):
    Y = np.where(data.target > 0, "yes", "no").astype(object)
    Y[:30, 0] = None
    base = SparseMultiTaskClassifier(3, rotation=None, max_iter=20)
    return SparseMultiTaskEnsemble(base, n_estimators=2, random_state=0).fit(
        data.data, Y
    )


def test_features_are_the_factors_and_agree(data, frame, regression):
    Z = regression.transform(frame)
    correlation = np.abs(np.corrcoef(data.factors.T, Z.T)[:3, 3:])
    assert (correlation.max(0) > 0.98).all()
    assert sorted(correlation.argmax(0)) == [0, 1, 2]
    assert (regression.agreement_ > 0.95).all()
    assert regression.matching_.shape == (3, 3)
    assert regression.n_components_ == 3
    np.testing.assert_allclose(Z.mean(0), 0, atol=1e-12)


def test_members_are_fits_with_other_seeds(data, frame, regression):
    seeds = [member.random_state for member in regression.estimators_]
    assert len(set(seeds)) == 3
    base = clone(regression.estimator).set_params(random_state=seeds[1])
    Y = np.where(np.random.default_rng(0).random(data.target.shape) < 0.8, 1.0, np.nan)
    alone = base.fit(frame, data.target * Y)
    member = regression.estimators_[1]
    np.testing.assert_array_equal(alone.predict(frame), member.predict(frame))


def test_predictions_are_means(frame, regression):
    each = np.stack([member.predict(frame) for member in regression.estimators_])
    mean, std = regression.predict(frame, return_std=True)
    np.testing.assert_allclose(mean, each.mean(0))
    np.testing.assert_allclose(std, each.std(0), atol=1e-12)
    np.testing.assert_array_equal(regression.predict(frame), mean)
    task = np.arange(80) % 20
    own, own_std = regression.predict(frame, task=task, return_std=True)
    np.testing.assert_allclose(own, mean[np.arange(80), task])
    np.testing.assert_allclose(own_std, std[np.arange(80), task], atol=1e-12)


def test_support_is_the_share_of_the_members(regression):
    share = np.mean(
        [
            member.support_[:, columns] & (columns >= 0)
            for member, columns in zip(
                regression.estimators_, regression.matching_, strict=True
            )
        ],
        axis=0,
    )
    np.testing.assert_allclose(regression.support_, share)
    np.testing.assert_allclose(regression.feature_usage_, share.sum(0))


def test_score_is_the_mean_r2_in_every_form(data, frame, regression):
    prediction = regression.predict(frame)
    Y = data.target.copy()
    Y[::2, 5] = np.nan
    Y[1:, 7] = np.nan
    weight = np.random.default_rng(1).integers(0, 3, 80)
    each = []
    for t in np.delete(np.arange(20), 7):
        at = ~np.isnan(Y[:, t])
        each.append(r2_score(Y[at, t], prediction[at, t], sample_weight=weight[at]))
    expected = pytest.approx(np.mean(each))
    assert regression.score(frame, Y, sample_weight=weight) == expected
    rows, tasks = np.nonzero(~np.isnan(Y))
    table = csr_array((Y[rows, tasks], (rows, tasks)), shape=Y.shape)
    assert regression.score(frame, table, sample_weight=weight) == expected
    long = frame.iloc[rows], Y[rows, tasks], tasks, weight[rows]
    assert regression.score(*long) == expected


def test_score_of_one_member_is_its_own(data, frame, regression, classification):
    for ensemble, X, Y in (
        (regression, frame, data.target),
        (classification, data.data, np.where(data.target > 0, "yes", "no")),
    ):
        single = clone(ensemble).set_params(n_estimators=1)
        single.estimators_ = ensemble.estimators_[:1]
        single.tasks_, single._layout = ensemble.tasks_, "wide"
        if is_classifier(ensemble):
            single.classes_ = ensemble.classes_
        assert single.score(X, Y) == pytest.approx(single.estimators_[0].score(X, Y))


def test_labels_that_cannot_be_scored(frame, regression):
    with pytest.raises(ValueError, match="No task can be scored by 'r2'"):
        regression.score(frame[:1], np.ones((1, 20)))
    with pytest.raises(ValueError, match="a column for each task"):
        regression.score(frame, np.ones((80, 3)))


def test_probabilities_are_means(data, classification):
    X = data.data
    each = [member.predict_proba(X) for member in classification.estimators_]
    p = classification.predict_proba(X)
    assert len(p) == 20
    for t in range(20):
        np.testing.assert_allclose(p[t], (each[0][t] + each[1][t]) / 2)
    labels = classification.predict(X)
    yes = np.stack([own[:, 1] for own in p], axis=1) > 0.5
    np.testing.assert_array_equal(labels, np.where(yes, "yes", "no"))
    task = np.arange(80) % 20
    own = np.arange(80), task
    np.testing.assert_array_equal(classification.predict(X, task=task), labels[own])
    np.testing.assert_allclose(
        classification.predict_proba(X, task=task)[:, 1], np.stack(p)[task, own[0], 1]
    )
    truth = np.where(data.target > 0, "yes", "no")
    expected = pytest.approx((labels == truth).mean())
    assert classification.score(X, truth) == expected
    assert classification.score(X, truth[own], task=task) > 0.8


def test_classes_do_not_deviate(data, classification):
    with pytest.raises(ValueError, match=r"return_std=True needs .* predict_proba"):
        classification.predict(data.data, return_std=True)


def test_kinds_and_methods_are_those_of_the_members(regression, classification):
    assert is_regressor(SparseMultiTaskEnsemble())
    assert is_regressor(regression)
    assert not hasattr(regression, "predict_proba")
    assert is_classifier(classification)
    assert hasattr(clone(classification), "predict_proba")


def test_one_task_keeps_its_form(data):
    y = np.where(data.target[:, 0] > 0, 7, 3)
    base = SparseMultiTaskClassifier(2, rotation=None, max_iter=2, alpha=0.1)
    ensemble = SparseMultiTaskEnsemble(base, 2, random_state=0).fit(data.data, y)
    assert ensemble.classes_.tolist() == [3, 7]
    labels = ensemble.predict(data.data)
    assert labels.shape == (80,)
    p = ensemble.predict_proba(data.data)
    np.testing.assert_array_equal(labels, ensemble.classes_[p.argmax(1)])
    assert ensemble.score(data.data, y) == pytest.approx((labels == y).mean())


def test_names_and_frames(frame, regression):
    assert regression.feature_names_in_.tolist() == ["u", "v", "w"]
    assert regression.n_features_in_ == 3
    names = [f"sparsemultitaskensemble{i}" for i in range(3)]
    assert regression.get_feature_names_out().tolist() == names
    Z = clone(regression)
    Z.__dict__.update(regression.__dict__)
    Z = Z.set_output(transform="pandas").transform(frame)
    assert list(Z.columns) == names
    np.testing.assert_array_equal(Z, regression.transform(frame))


def test_pickled(frame, regression):
    again = pickle.loads(pickle.dumps(regression))
    np.testing.assert_array_equal(again.predict(frame), regression.predict(frame))
    np.testing.assert_array_equal(again.transform(frame), regression.transform(frame))


def test_the_seed_decides(data):
    X, Y = data.data, data.target
    first = SparseMultiTaskEnsemble(QUICK, 2, random_state=3).fit(X, Y)
    with parallel_config("threading"):
        again = SparseMultiTaskEnsemble(QUICK, 3, n_jobs=2, random_state=3).fit(X, Y)
    other = SparseMultiTaskEnsemble(QUICK, 2, random_state=4).fit(X, Y)
    for one, same, different in zip(
        *(e.estimators_ for e in (first, again, other)), strict=False
    ):
        np.testing.assert_array_equal(one.predict(X), same.predict(X))
        assert one.random_state != different.random_state
    assert QUICK.random_state is None


def test_long_form_and_weights_reach_the_members(data):
    X = np.repeat(data.data[:40], 6, axis=0)
    task = np.tile(list("abcdef"), 40)
    y = data.target[:40, :6].ravel()
    weight = np.random.default_rng(0).uniform(size=240)
    ensemble = SparseMultiTaskEnsemble(QUICK, 2, random_state=0)
    ensemble.fit(X, y, task=task, sample_weight=weight)
    assert ensemble.tasks_.tolist() == list("abcdef")
    alone = clone(ensemble.estimators_[1]).fit(X, y, task=task, sample_weight=weight)
    np.testing.assert_array_equal(alone.predict(X), ensemble.estimators_[1].predict(X))
    # A task that is not known does not count.
    with pytest.warns(UserWarning, match="were not seen in fit"):
        score = ensemble.score(
            [*X, X[0]], [*y, 9.0], task=[*task, "z"], sample_weight=[*weight, 1]
        )
    assert score == pytest.approx(ensemble.score(X, y, task, weight))


def test_pipelines_outside_and_inside(data):
    X, Y = 100 * data.data, data.target
    outside = make_pipeline(
        StandardScaler(), SparseMultiTaskEnsemble(QUICK, 2, random_state=0)
    )
    inside = SparseMultiTaskEnsemble(
        make_pipeline(StandardScaler(), QUICK), 2, random_state=0
    )
    outside.fit(X, Y)
    inside.fit(X, Y)
    np.testing.assert_allclose(inside.predict(X), outside.predict(X))
    assert inside.score(X, Y) == pytest.approx(outside.score(X, Y))
    np.testing.assert_array_equal(inside.support_, outside[-1].support_)


def test_grid_search(data):
    search = GridSearchCV(
        SparseMultiTaskEnsemble(QUICK, 2, random_state=0),
        {"estimator__alpha": [0.05, 0.99]},
        cv=KFold(2),
    )
    search.fit(data.data, data.target)
    assert search.best_params_ == {"estimator__alpha": 0.05}
    assert search.best_estimator_.estimators_[0].alpha == 0.05


def test_repr_shows_what_is_set():
    assert (
        repr(SparseMultiTaskEnsemble(n_jobs=2)) == "SparseMultiTaskEnsemble(n_jobs=2)"
    )


def test_invalid_parameters(data):
    X, Y = data.data, data.target
    with pytest.raises(ValueError, match=r"'n_estimators' .* Got 0"):
        SparseMultiTaskEnsemble(QUICK, 0).fit(X, Y)
    with pytest.raises(ValueError, match=r"random_state, .* PLSRegression has none"):
        SparseMultiTaskEnsemble(PLSRegression()).fit(X, Y)
    with pytest.raises(ValueError, match="'estimator'"):
        SparseMultiTaskEnsemble(StandardScaler()).fit(X, Y)


def test_a_failed_fit_changes_nothing(data):
    ensemble = SparseMultiTaskEnsemble(QUICK, 2, random_state=0)
    ensemble.fit(data.data, data.target)
    before = vars(ensemble).copy()
    with pytest.raises(ValueError, match="y holds no label at all"):
        ensemble.fit(data.data, np.full((80, 2), np.nan))
    assert vars(ensemble) == before


def test_weights_of_labels_and_of_tasks_reach_the_members(data):
    X, Y = data.data, data.target
    weight = np.random.default_rng(1).uniform(size=Y.shape)
    weight[weight < 0.2] = 0.0
    of_tasks = np.array([0.0, *np.arange(1.0, Y.shape[1])])
    ensemble = SparseMultiTaskEnsemble(QUICK, n_estimators=2, random_state=0)
    ensemble.fit(X, Y, sample_weight=weight, task_weight=of_tasks)
    for member in ensemble.estimators_:
        alone = clone(member).fit(X, Y, sample_weight=weight, task_weight=of_tasks)
        np.testing.assert_array_equal(alone.transform(X), member.transform(X))
    # Matching takes the rows with the sum of their weights.
    codes = [member.transform(X).astype(float) for member in ensemble.estimators_]
    found = match_features(codes, weight.sum(1))
    np.testing.assert_array_equal(found.agreement, ensemble.agreement_)
    missing = np.where(weight > 0, Y, np.nan)
    assert ensemble.score(X, Y, sample_weight=np.ceil(weight)) == pytest.approx(
        ensemble.score(X, missing)
    )
    stored = csr_array(weight)
    again = clone(ensemble).fit(X, csr_array(Y), sample_weight=stored)
    assert again.n_components_ == ensemble.n_components_


def test_tasks_of_several_types(data):
    X = data.data
    table = pd.DataFrame(data.target, columns=[f"t{i}" for i in range(20)])
    table["kind"] = pd.Categorical(np.where(data.target[:, 0] > 0, "high", "low"))
    table["count"] = np.random.default_rng(0).poisson(
        np.exp(data.target[:, 1].clip(-1, 1))
    )
    table.loc[:10, ["t2", "kind"]] = None
    member = SparseMultiTaskMixed(
        2, rotation=None, max_iter=3, alpha=0.1, task_types={"count": "count"}
    )
    one, two = (
        SparseMultiTaskEnsemble(member, n_estimators=n, random_state=0).fit(X, table)
        for n in (1, 2)
    )
    (only,) = one.estimators_
    pd.testing.assert_frame_equal(one.predict(X), only.predict(X))
    assert one.score(X, table) == pytest.approx(only.score(X, table))
    predicted = two.predict(X)
    assert predicted.dtypes.equals(only.predict(X).dtypes)
    each = [m.predict(X)["t5"] for m in two.estimators_]
    np.testing.assert_allclose(predicted["t5"], np.mean(each, axis=0))
    p = np.mean([m.predict_proba(X)["kind"] for m in two.estimators_], axis=0)
    np.testing.assert_allclose(two.predict_proba(X)["kind"], p)
    np.testing.assert_array_equal(
        predicted["kind"], np.array(["high", "low"])[p.argmax(1)]
    )
    task = np.array(["t5", "kind", "count", "kind", "t0"])
    rows = np.arange(5)
    expected = predicted.to_numpy()[rows, predicted.columns.get_indexer(task)]
    own = two.predict(X[:5], task=task)
    numbers = [0, 2, 4]
    np.testing.assert_allclose(
        own[numbers].astype(float), expected[numbers].astype(float)
    )
    assert own[[1, 3]].tolist() == expected[[1, 3]].tolist()
    score = two.score(X, table[["t5"]])
    assert two.score(X, table["t5"], task=["t5"] * 80) == pytest.approx(score)


def test_rows_of_a_task_in_pipelines(data, classification):
    (X, Y), task = (data.data, data.target > 0), np.arange(len(data.data)) % 20
    member = make_pipeline(StandardScaler(), classification.estimator)
    ensemble = SparseMultiTaskEnsemble(member, 2, random_state=0).fit(X, Y)
    rows = np.arange(len(X))
    expected = ensemble.predict(X)[rows, task]
    np.testing.assert_array_equal(ensemble.predict(X, task=task), expected)
    p = np.stack(ensemble.predict_proba(X))[task, rows]
    np.testing.assert_allclose(ensemble.predict_proba(X, task=task), p)


def test_intervals_and_sets_are_the_medians_and_majorities_of_members(data):
    X, Y = data.data, pd.DataFrame(data.target[:, :4])
    Y[[2, 3]] = Y[[2, 3]] > 0
    member = SparseMultiTaskMixed(2, max_iter=3)
    ensemble = SparseMultiTaskEnsemble(member, 3, random_state=0).fit(X, Y)
    y, intervals = ensemble.predict_interval(X, confidence_level=0.8)
    pd.testing.assert_frame_equal(y, ensemble.predict(X))
    own, ends = ensemble.predict_interval(X[:2], [1, 0], confidence_level=0.8)
    np.testing.assert_allclose(own, [y[1][0], y[0][1]])
    np.testing.assert_allclose(ends, [intervals[1].iloc[0], intervals[0].iloc[1]])
    members = [
        e.predict_interval(X, confidence_level=0.8) for e in ensemble.estimators_
    ]
    for t in (0, 1):
        expected = np.median([found[t] for _, found in members], axis=0)
        np.testing.assert_array_equal(intervals[t], expected)
    y, sets = ensemble.predict_set(X, confidence_level=0.8)
    pd.testing.assert_frame_equal(y, ensemble.predict(X))
    members = [e.predict_set(X, confidence_level=0.8) for e in ensemble.estimators_]
    for t in (2, 3):
        votes = np.sum([found[t] for _, found in members], axis=0)
        own = sets[t].columns.get_indexer(y[t])
        expected = (votes >= 2) | (np.arange(2) == own[:, None])
        np.testing.assert_array_equal(sets[t], expected)


def test_intervals_of_rows_of_a_task(data, frame, regression, classification):
    assert not hasattr(regression, "predict_set")
    assert not hasattr(classification, "predict_interval")
    _, every = regression.predict_interval(frame[:5])
    _, own = regression.predict_interval(frame[:5], task=[3, 1, 0, 2, 2])
    np.testing.assert_allclose(own, every[np.arange(5), [3, 1, 0, 2, 2]])
    with pytest.raises(ValueError, match="held-out rows"):
        classification.predict_set(data.data)
