"""Weights of labels and of tasks in the estimators."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from sparsedis import (
    SparseMultiTaskClassifier,
    SparseMultiTaskMixed,
    SparseMultiTaskRepresentation,
)
from sparsedis.datasets import make_sparse_tasks

RNG = np.random.default_rng(0)

# A few steps are too short for stable features.
pytestmark = [
    pytest.mark.filterwarnings(rf"ignore:{message}")
    for message in (
        r"\d+ of \d+ features may not be factors",
        "A separate Ridge for each task",
        "No head uses features",
        "The encoder overfits",
    )
]

KINDS = {
    "numbers": SparseMultiTaskRepresentation,
    "classes": SparseMultiTaskClassifier,
    "mixed": SparseMultiTaskMixed,
}


@pytest.fixture(scope="module")
def data():
    return make_sparse_tasks(240, 12, n_factors=3, random_state=0)


def make(kind="numbers", **params):
    params = {"n_components": 3, "max_iter": 25, "random_state": 0} | params
    return KINDS[kind](**params)


def labels_of(kind, Y):
    """Labels as a float array, and what makes them missing there."""
    if kind == "classes":
        return (Y > 0).astype(float)
    return Y


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.3, 0.95], ids=["dense", "sparse"])
def test_a_weight_of_zero_is_a_missing_label(data, kind, share):
    X, Y = data
    Y = labels_of(kind, Y)
    out = np.random.default_rng(3).uniform(size=Y.shape) < share
    weighted = make(kind).fit(X, Y, sample_weight=1.0 - out)
    missing = make(kind).fit(X, np.where(out, np.nan, Y))
    np.testing.assert_array_equal(weighted.transform(X), missing.transform(X))
    np.testing.assert_allclose(weighted.coef_, missing.coef_, rtol=1e-6, atol=1e-8)
    np.testing.assert_array_equal(weighted.support_, missing.support_)
    weight = np.where(out, 0.0, 2.0)
    assert weighted.score(X, Y, sample_weight=weight) == pytest.approx(
        missing.score(X, np.where(out, np.nan, Y)), rel=1e-5
    )


@pytest.mark.parametrize("kind", ["numbers", "classes"])
def test_weights_of_labels_count_as_repetitions_in_heads(data, kind):
    X, Y = data
    Y = labels_of(kind, Y)
    est = make(kind, rotation=None, alpha=0.1).fit(X, Y)
    weight = np.random.default_rng(4).integers(1, 4, size=Y.shape)
    rows, tasks = np.nonzero(np.ones(Y.shape))
    times = weight[rows, tasks]
    rows, tasks = np.repeat(rows, times), np.repeat(tasks, times)
    weighted = est.adapt(X, Y, sample_weight=weight)
    repeated = est.adapt(X[rows], Y[rows, tasks], task=tasks)
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-5, atol=1e-6)


def test_the_unit_of_the_weights_of_a_task_does_not_matter(data):
    X, Y = data
    weight = RNG.uniform(0.5, 2, size=Y.shape)
    est = make(rotation=None).fit(X, Y, sample_weight=weight)
    other = make(rotation=None).fit(X, Y, sample_weight=weight * np.logspace(-2, 2, 12))
    np.testing.assert_allclose(est.coef_, other.coef_, rtol=1e-3, atol=1e-4)


def test_columns_of_a_frame_of_weights_are_found_by_name(data):
    X, Y = data
    names = [f"t{i}" for i in range(12)]
    weight = RNG.uniform(0.5, 2, size=Y.shape)
    frame = pd.DataFrame(weight, columns=names).iloc[:, ::-1]
    one = make().fit(X, pd.DataFrame(Y, columns=names), sample_weight=frame)
    other = make().fit(X, Y, sample_weight=weight)
    np.testing.assert_array_equal(one.coef_, other.coef_)


def test_sparse_labels_have_sparse_weights(data):
    X, Y = data
    there = np.random.default_rng(5).uniform(size=Y.shape) < 0.5
    weight = RNG.uniform(0.5, 2, size=Y.shape)
    stored, weights = (
        sparse.csr_array(np.where(there, values, 0.0)) for values in (Y, weight)
    )
    one = make().fit(X, stored, sample_weight=weights)
    other = make().fit(X, np.where(there, Y, np.nan), sample_weight=weight)
    np.testing.assert_allclose(one.coef_, other.coef_, rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_task_of_weight_zero_gets_a_head_and_teaches_nothing(data, kind):
    X, Y = data
    Y = labels_of(kind, Y)
    weight = np.ones(12)
    weight[[3, 11]] = 0.0
    est = make(kind).fit(X, Y, task_weight=weight)
    without = make(kind).fit(X, np.delete(Y, [3, 11], 1))
    np.testing.assert_array_equal(est.transform(X), without.transform(X))
    coef = np.delete(est.coef_, [3, 11], 0)
    np.testing.assert_allclose(coef, without.coef_, rtol=1e-6, atol=1e-8)
    assert np.isfinite(est.coef_).all()


def test_weights_of_tasks_change_features_by_their_ratios_alone(data):
    X, Y = data
    weight = np.linspace(0.5, 3, 12)
    found = [
        make(rotation=None).fit(X, Y, task_weight=w).transform(X)
        for w in (None, np.ones(12), weight, 8 * weight)
    ]
    np.testing.assert_allclose(found[0], found[1], atol=1e-3)
    np.testing.assert_array_equal(found[2], found[3])
    assert np.abs(found[2] - found[0]).max() > 0.01


def test_tasks_are_weighted_by_name(data):
    X, Y = data
    names = [f"t{i}" for i in range(12)]
    table = pd.DataFrame(Y, columns=names)
    one = make(rotation=None).fit(X, table, task_weight={"t2": 5.0})
    weight = np.ones(12)
    weight[2] = 5.0
    other = make(rotation=None).fit(X, Y, task_weight=weight)
    np.testing.assert_array_equal(one.transform(X), other.transform(X))


@pytest.mark.parametrize(
    ("weight", "match"),
    [
        (np.ones(5), r"a number for each of the 12 tasks.* got shape \(5,\)"),
        (np.full(12, -1.0), "finite and not negative, got -1"),
        (np.full(12, np.nan), "finite and not negative, got nan"),
        (np.zeros(12), "positive for some task"),
        ({"nobody": 1.0}, "none of which is in y"),
    ],
)
def test_weights_of_tasks_that_make_no_sense_are_refused(data, weight, match):
    with pytest.raises(ValueError, match=match):
        make().fit(*data, task_weight=weight)


@pytest.mark.parametrize(
    ("weight", "match"),
    [
        (np.ones((240, 5)), r"must have shape \(240,\) or \(240, 12\), got \(240, 5\)"),
        (np.full((240, 12), np.nan), "contains NaN"),
        (-np.ones((240, 12)), "must not be negative"),
        (np.zeros((240, 12)), "all weights are zero"),
    ],
)
def test_weights_of_labels_that_make_no_sense_are_refused(data, weight, match):
    with pytest.raises(ValueError, match=match):
        make().fit(*data, sample_weight=weight)
