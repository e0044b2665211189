"""Permutation importance of input columns, against that of scikit-learn."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.inspection import permutation_importance
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from sparsedis import (
    SparseMultiTaskClassifier,
    SparseMultiTaskEnsemble,
    SparseMultiTaskMixed,
    SparseMultiTaskRepresentation,
)
from sparsedis.datasets import make_sparse_tasks
from sparsedis.inspection import input_importance

QUICK = {"rotation": None, "alpha": 0.02, "max_iter": 5, "random_state": 0}
QUICK["n_components"] = 3
WITHOUT_LABELS = 5


@pytest.fixture(scope="module")
def data():
    X, Y = make_sparse_tasks(120, 8, n_factors=3, labelled=0.8, random_state=0)
    Y[:, WITHOUT_LABELS] = np.nan
    return X, Y


@pytest.fixture(scope="module")
def regressor(data):
    with pytest.warns(UserWarning, match=f"{WITHOUT_LABELS}"):
        return SparseMultiTaskRepresentation(**QUICK).fit(*data)


def scorers(Y, tasks, metric):
    """Scorers of scikit-learn for single tasks, on their labels."""

    def scorer(t):
        at = ~np.isnan(Y[:, t].reshape(len(Y), -1)).any(1)
        return lambda est, X, y: metric(y[at, t], np.asarray(est.predict(X))[at, t])

    return {str(t): scorer(t) for t in tasks}


def check_tasks(est, X, Y, tasks, metric, found):
    expected = permutation_importance(
        est, X, Y, scoring=scorers(Y, tasks, metric), n_repeats=3, random_state=1
    )
    for t in tasks:
        for name, value in found.tasks.items():
            assert_allclose(value[t], expected[str(t)][name], atol=1e-12)


def test_tasks_of_numbers(data, regressor):
    X, Y = data
    found = input_importance(regressor, X, Y, n_repeats=3, random_state=1)
    assert found.tasks.importances.shape == (8, X.shape[1], 3)
    check_tasks(regressor, X, Y, [0, 3, 7], r2_score, found)
    assert_allclose(np.nanmean(found.baseline), regressor.score(X, Y))
    assert np.isnan(found.tasks.importances[WITHOUT_LABELS]).all()


def test_tasks_of_classes(data):
    X, Y = data
    C = np.where(np.isnan(Y), np.nan, (Y > 0) * 1.0)[:, :4]
    est = SparseMultiTaskClassifier(**QUICK).fit(X, C)
    found = input_importance(est, X, C, n_repeats=3, random_state=1)
    check_tasks(est, X, C, range(4), accuracy_score, found)


def test_tasks_of_several_types(data):
    X, Y = data
    mixed = pd.DataFrame(Y[:, :4])
    mixed[3] = np.where(np.isnan(Y[:, 3]), None, np.where(Y[:, 3] > 0, "a", "b"))
    est = SparseMultiTaskMixed(**QUICK).fit(X, mixed)
    found = input_importance(est, X, mixed, n_repeats=3, random_state=1)
    numbers = Y[:, :4] * [1, 1, 1, np.nan]
    check_tasks(est, X, numbers, range(3), r2_score, found)
    assert_allclose(found.baseline, est.task_scores(X, mixed)["d2"])
    assert (found.tasks.importances_mean[3] != 0).any()


def test_vectors(data):
    X, Y = data
    vectors = np.stack([Y[:, :2], Y[:, 1::-1]], -1)
    vectors[np.isnan(vectors).any(-1)] = np.nan
    est = SparseMultiTaskRepresentation(**QUICK).fit(X, vectors)
    found = input_importance(est, X, vectors, n_repeats=3, random_state=1)
    check_tasks(est, X, vectors, range(2), r2_score, found)


def test_a_single_target(data):
    X, Y = data
    y = np.nan_to_num(Y[:, 0])
    est = SparseMultiTaskRepresentation(**QUICK | {"n_components": 1}).fit(X, y)
    found = input_importance(est, X, y, n_repeats=3, random_state=1)
    expected = permutation_importance(est, X, y, n_repeats=3, random_state=1)
    assert_allclose(found.tasks.importances, [expected.importances], atol=1e-12)


@pytest.mark.filterwarnings("ignore:.*may not be factors:UserWarning")
def test_linear_models_that_share_the_predictions(data):
    X, Y = make_sparse_tasks(200, 20, n_factors=3, random_state=0)
    est = SparseMultiTaskRepresentation(3, max_iter=20, random_state=0).fit(X, Y)
    assert (est.linear_.share < 1).any()
    found = input_importance(est, X, Y, n_repeats=3, random_state=1)
    check_tasks(est, X, Y, [0, 19], r2_score, found)


def test_features(data, regressor):
    X, _ = data
    found = input_importance(regressor, X, n_repeats=2, random_state=1)
    assert list(found) == ["features"]
    order = np.random.RandomState(np.random.RandomState(1).randint(2**31)).permutation
    moved = X.copy()
    moved[:, 1] = X[order(len(X)), 1]
    Z, other = regressor.transform(X), regressor.transform(moved)
    correlation = np.corrcoef(Z.T, other.T)[:3, 3:].diagonal()
    expected = 1 - correlation**2
    assert_allclose(found.features.importances[:, 1, 0], expected, rtol=1e-6)
    assert found.features.importances.min() >= 0
    assert found.features.importances.max() <= 1


class First(nn.Module):
    """Features: the first column, and a constant."""

    def forward(self, rows):
        return rows[:, [0, 0]] * rows.new_tensor([2.0, 0.0])


def test_features_of_one_column_or_none(data):
    X, Y = data
    est = SparseMultiTaskRepresentation(
        **QUICK | {"n_components": 2}, encoder=First(), normalization=None
    ).fit(X, Y[:, :4])
    effect = input_importance(est, X, random_state=0).features.importances_mean
    assert effect[0, 0] > 0.9
    assert_array_equal(effect[0, 1:], 0)
    assert_array_equal(effect[1], 0)


def test_each_shuffled_table_is_encoded_once(data, regressor, monkeypatch):
    X, Y = data
    calls = []
    encoded = type(regressor)._encoded
    monkeypatch.setattr(
        type(regressor),
        "_encoded",
        lambda self, X: calls.append(len(X)) or encoded(self, X),
    )
    input_importance(regressor, X, Y, n_repeats=2, random_state=0)
    assert calls == [len(X)] * (1 + 2 * X.shape[1])


def test_other_forms_of_labels(data, regressor):
    X, Y = data
    expected = input_importance(regressor, X, Y, n_repeats=2, random_state=0)
    columns = [f"t{t}" for t in range(8)]
    frame = pd.DataFrame(Y, columns=columns)
    found = input_importance(regressor, X, frame, n_repeats=2, random_state=0)
    assert_allclose(found.tasks.importances, expected.tasks.importances)
    # In the long form rows are repeated, and shuffled as such: a weight of zero leaves
    # out what has no label.
    task = np.arange(len(X)) % 8
    y = Y[np.arange(len(X)), task]
    table = np.where(task[:, None] == np.arange(8), Y, np.nan)
    expected = input_importance(regressor, X, table, n_repeats=2, random_state=0)
    found = input_importance(regressor, X, y, task=task, n_repeats=2, random_state=0)
    assert_allclose(found.tasks.importances, expected.tasks.importances, atol=1e-9)
    weight = (np.arange(len(X)) < 60) * 2.0
    found = input_importance(regressor, X, Y, sample_weight=weight, n_repeats=1)
    assert_allclose(np.nanmean(found.baseline), regressor.score(X[:60], Y[:60]))


def test_columns_of_a_pipeline_in_a_search(data):
    X, Y = data
    frame = pd.DataFrame(X, columns=[f"c{j}" for j in range(X.shape[1])])
    frame.index += 7
    pipeline = make_pipeline(StandardScaler(), SparseMultiTaskRepresentation(**QUICK))
    search = GridSearchCV(
        pipeline, {"sparsemultitaskrepresentation__max_iter": [3]}, cv=KFold(2)
    ).fit(frame, Y[:, :4])
    before = frame.copy()
    found = input_importance(search, frame, Y[:, :4], n_repeats=3, random_state=1)
    check_tasks(search, frame, Y[:, :4], [0, 2], r2_score, found)
    pd.testing.assert_frame_equal(frame, before)


def test_an_ensemble_of_tasks_of_several_types(data):
    X, Y = data
    table = pd.DataFrame(Y[:, :3]).assign(high=np.where(Y[:, 0] > 0, "yes", "no"))
    member = SparseMultiTaskMixed(**QUICK)
    ensemble = SparseMultiTaskEnsemble(member, 1).fit(X, table)
    options = {"n_repeats": 2, "random_state": 0}
    found = input_importance(ensemble, X, table, **options)
    expected = input_importance(ensemble.estimators_[0], X, table, **options)
    assert_allclose(found.baseline, expected.baseline)
    assert_allclose(found.tasks.importances, expected.tasks.importances, atol=1e-9)


def test_a_frame_of_polars(data):
    X, Y = data
    frame = pl.DataFrame(X, schema=["a", "b", "c"])
    est = SparseMultiTaskRepresentation(**QUICK).fit(frame, Y[:, :4])
    options = {"n_repeats": 2, "random_state": 0}
    found = input_importance(est, frame, Y[:, :4], **options)
    expected = input_importance(
        est, pd.DataFrame(X, columns=["a", "b", "c"]), Y[:, :4], **options
    )
    assert_allclose(found.tasks.importances, expected.tasks.importances)
    assert frame.equals(pl.DataFrame(X, schema=["a", "b", "c"]))


def test_an_ensemble(data):
    X, Y = data
    est = SparseMultiTaskEnsemble(SparseMultiTaskRepresentation(**QUICK), 2)
    est.set_params(random_state=0).fit(X, Y[:, :4])
    found = input_importance(est, X, Y[:, :4], n_repeats=3, random_state=1)
    check_tasks(est, X, Y, [1], r2_score, found)
    assert found.features.importances.shape[0] == est.n_components_


def test_bad_input_raises(data, regressor):
    X, Y = data
    with pytest.raises(ValueError, match="n_repeats == 0, must be >= 1"):
        input_importance(regressor, X, Y, n_repeats=0)
    with pytest.raises(ValueError, match=r"got shape \(2, 8, 8, 3\)"):
        input_importance(regressor, np.zeros((2, 8, 8, 3)))
