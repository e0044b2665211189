"""Predictions of ensembles, against those of their members."""

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sparsedis import (
    SparseMultiTaskClassifier,
    SparseMultiTaskEnsemble,
    SparseMultiTaskMixed,
)

pytestmark = pytest.mark.filterwarnings(
    "ignore:(Warnings of|No head|.* may not be|No feature occurs):UserWarning",
    "ignore:The encoder overfits:UserWarning",
)


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
