"""Warnings of a fit: features, overfitting, predictions below Ridge."""

import warnings

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score

from sparsedis import SparseMultiTaskRepresentation
from sparsedis.inputs._forms import read_targets
from sparsedis.inputs._table import TaskTable
from sparsedis.multitask._diagnosis import (
    doubts_about_features,
    doubts_about_rows,
    doubts_about_tasks,
    doubts_without_rows,
    warn_of,
)
from sparsedis.multitask._linear import LinearPart


def tables(X, Y, n_held_out):
    targets = read_targets(Y, len(X), real=True, estimator="me")
    table = TaskTable.build(X, targets, n_samples=100)
    rows = np.arange(table.n_rows)
    return [
        TaskTable(X, table.at[part], table.labels.restrict(part))
        for part in (rows[n_held_out:], rows[:n_held_out])
    ]


@pytest.fixture(scope="module")
def linear():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 5))
    Y = X @ rng.standard_normal((5, 8)) + 0.1 * rng.standard_normal((200, 8))
    return X, Y


@pytest.mark.parametrize("mean", [None, 0.5, 1.0, 100.0, 1e9])
def test_weights_that_count_as_repetitions(mean):
    weight = None if mean is None else np.array([0.5, 1.5]) * mean
    (doubt,) = doubts_about_features(np.array([0.9]), 40, weight)
    assert ("mean of 100 count as so many repetitions" in doubt) == (mean == 100)


def test_unstable_features_are_named_and_others_are_not():
    (doubt,) = doubts_about_features(np.array([0.99, 0.94, 0.95]), 40)
    assert doubt.startswith(
        "1 of 3 features may not be factors ([1]): halves of the 40"
    )
    assert doubts_about_features(np.array([0.99, 0.95]), 40) == []


def test_a_single_task_has_no_halves():
    (doubt,) = doubts_about_features(np.array([0.99, 0.0]), 1)
    assert "may not be factors ([1]): a single task cannot tell" in doubt


@pytest.mark.filterwarnings("ignore:.* may not be factors")
def test_too_few_rows_to_hold_out_are_said():
    X, Y = np.random.default_rng(0).standard_normal((2, 24, 4))
    est = SparseMultiTaskRepresentation(2, max_iter=2, random_state=0)
    with pytest.warns(
        UserWarning, match="24 different rows are too few to hold any out"
    ):
        est.fit(X, Y)
    with pytest.raises(AttributeError, match=r"needs linear='auto', .* 25 rows"):
        _ = est.linear_
    with pytest.raises(ValueError, match=r"needs linear='auto', .* 25 rows"):
        est.predict_interval(X)
    # Where it was asked for, there is nothing to say.
    assert doubts_without_rows(False, 24) == []


def test_features_that_hold_the_inputs_raise_no_doubt(linear):
    X, Y = linear
    support = np.ones((8, 5), dtype=bool)
    parts = tables(X, Y, 40)
    assert doubts_about_rows(lambda table: X[table.at], X, *parts, support) == []


def test_features_without_an_input_lose_to_ridge_by_what_is_said(linear):
    X, Y = linear
    trained, held_out = tables(X, Y, 40)
    support = np.ones((8, 2), dtype=bool)
    (doubt,) = doubts_about_rows(
        lambda table: X[table.at][:, :2], X, trained, held_out, support
    )
    head = LinearRegression().fit(X[trained.at][:, :2], Y[trained.at])
    # Of all tasks together, about the mean of the rows that heads are fitted on.
    target, guess = Y[held_out.at], head.predict(X[held_out.at][:, :2])
    spread = (target - Y[trained.at].mean(0)) ** 2
    own = 1 - ((target - guess) ** 2).mean(0).sum() / spread.mean(0).sum()
    assert "separate Ridge for each task on X predicts held-out rows better" in doubt
    assert f"here {own:.2f}." in doubt
    assert r2_score(target, guess) < 0.9  # so that there is something to say


def test_features_that_number_the_rows_are_learned_by_heart():
    rng = np.random.default_rng(1)
    X, Y = rng.standard_normal((120, 3)), rng.standard_normal((120, 6))
    trained, held_out = tables(X, Y, 40)

    def by_heart(table):
        # The targets themselves where rows were trained on, noise elsewhere.
        seen = np.isin(table.at, trained.at)[:, None]
        return np.where(seen, Y[table.at], rng.standard_normal((len(table.at), 6)))

    doubts = doubts_about_rows(
        by_heart, X, trained, held_out, np.ones((6, 6), dtype=bool)
    )
    assert doubts[0].startswith(
        "The encoder overfits: R2 1.00 on the rows it was trained on"
    )


def test_tasks_with_too_few_held_out_labels_are_left_out(linear):
    X, Y = linear
    parts = tables(X, Y, 4)
    support = np.ones((8, 2), dtype=bool)
    assert doubts_about_rows(lambda table: X[table.at][:, :2], X, *parts, support) == []


def test_doubts_come_in_one_warning():
    with pytest.warns(UserWarning, match="^One. Two.$") as record:
        warn_of(["One.", "Two."])
    assert len(record) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of([])


def test_fit_warns_where_targets_are_noise():
    rng = np.random.default_rng(2)
    X, Y = rng.standard_normal((150, 10)), rng.standard_normal((150, 20))
    est = SparseMultiTaskRepresentation(
        4, max_iter=60, weight_decay=0.0, n_iter_no_change=50, random_state=0
    )
    with pytest.warns(UserWarning, match="may not be factors"):
        est.fit(X, Y)


def linear_part(heads, linear, n_held_out):
    """Shares of linear models, with these scores on so many held-out labels."""
    n_tasks = len(heads)
    first = np.arange(n_tasks + 1) * n_held_out
    zero = np.zeros(n_tasks)
    return LinearPart(
        *(np.zeros((n_tasks, 3)), zero, np.zeros((n_tasks, 3)), zero),
        *(np.zeros((0, 3)), np.ones(3), np.zeros((n_tasks, 0)), zero, zero, zero),
        *(np.array(heads), np.array(linear), zero, zero),
        *(np.zeros(first[-1]), first, zero, zero, zero > 0, 1.0),
    )


def test_tasks_that_linear_models_predict_better_lack_a_feature():
    part = linear_part([0.9, 0.3, np.nan, 0.1], [0.5, 0.8, 0.9, 0.5], 20)
    (doubt,) = doubts_about_tasks(part, 3)
    assert doubt.startswith("The features miss what 2 of 4 tasks depend on ([1, 3]): ")
    assert "linear models on X score 0.65, the heads 0.20" in doubt
    assert doubt.endswith("Raise n_components (now 3), or max_iter.")
    # Too few labels, or too small a difference.
    assert doubts_about_tasks(linear_part([0.3], [0.8], 19), 3) == []
    assert doubts_about_tasks(linear_part([0.3], [0.49], 20), 3) == []


def test_fit_asks_for_more_features_where_factors_have_none():
    rng = np.random.default_rng(0)
    factors = rng.standard_normal((300, 4))
    heads = np.eye(4)[np.arange(24) % 4]
    X = factors @ rng.standard_normal((4, 8))
    Y = factors @ heads.T + 0.1 * rng.standard_normal((300, 24))
    with pytest.warns(UserWarning, match="Raise n_components \\(now 2\\)") as record:
        SparseMultiTaskRepresentation(2, max_iter=100, random_state=0).fit(X, Y)
    assert not any("fewer" in str(w.message) for w in record)
