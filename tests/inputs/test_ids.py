"""Ids of tasks: told apart whatever they are."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch

from sparsedis import SparseMultiTaskClassifier, SparseMultiTaskRepresentation
from sparsedis.heads import SparseHeads, SparseHeadsClassifier, SparseHeadsCV
from sparsedis.inputs._forms import read_targets
from sparsedis.inputs._ids import column_names, distinct_ids, read_task_ids


@pytest.mark.parametrize(
    ("task", "names"),
    [
        ([3, 1, 3], [1, 3]),
        (["b", "a"], ["a", "b"]),
        (["10", 9, 10, 1.5], [1.5, 9, 10, "10"]),
        (np.array([1, "1"], dtype=object), [1, "1"]),
        (pd.Series([1, "a"]), [1, "a"]),
        (pd.Series([2, 1], dtype="Int64"), [1, 2]),
        (pd.Series(["b", "a"], dtype="category"), ["a", "b"]),
        ([b"a", "a"], [b"a", "a"]),
        (["a", "a\0"], ["a", "a\0"]),
        ([2**63, -1], [-1, 2**63]),
        ([2**53, 2**53 + 1, 0.5], [0.5, 2**53, 2**53 + 1]),
        ([("a", 1), ("a", 2)], [("a", 1), ("a", 2)]),
    ],
)
def test_ids_do_not_merge(task, names):
    if isinstance(task, list) and isinstance(task[0], tuple):
        task = pd.Series(task)
    ids = read_task_ids(task, len(task))
    found, numbers = distinct_ids(ids)
    assert found.tolist() == names
    assert [found.tolist()[i] for i in numbers] == list(task)


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ([1, True], "bool with other numbers"),
        ([1, None], "some are missing"),
        ([1.0, np.nan], "some are missing"),
        (np.array(["2020", "NaT"], dtype="M8[D]"), "some are missing"),
        (np.ma.masked_array([1, 2], [0, 1]), "some are masked"),
        ([1], "each of the 2 rows of X, got 1"),
    ],
)
def test_ids_that_are_refused(task, message):
    with pytest.raises(ValueError, match=message):
        read_task_ids(task, 2)
    with pytest.raises(ValueError, match="can be distinguished"):
        distinct_ids(np.array([{}, 1], dtype=object))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["a", "b", "a"], "several columns of the name 'a'"),
        ([1, 1.0, 2], "several columns of the name 1"),
        (["a", None, "b"], "a name for every column"),
        ([1.0, np.nan, 2.0], "a name for every column"),
    ],
)
@pytest.mark.parametrize("real", [True, False])
def test_columns_need_a_name_each(columns, message, real):
    y = pd.DataFrame(np.eye(3), columns=columns)
    with pytest.raises(ValueError, match=f"y .*{message}"):
        read_targets(y, 3, real=real, estimator="Estimator")
    # As of frames that are not of pandas.
    assert column_names(["a", "b"]).tolist() == ["a", "b"]


def test_tensors_may_hold_ids():
    np.testing.assert_array_equal(read_task_ids(torch.tensor([3, 1]), 2), [3, 1])


RNG = np.random.default_rng(0)
X = pd.DataFrame(RNG.standard_normal((30, 2)), columns=["u", "v"])
Y = pd.DataFrame(X.to_numpy() @ [[1, 0, 1], [0, 1, 1]], columns=["a", "b", "c"])
OPTIONS = {"rotation": None, "n_components": 2, "max_iter": 2, "random_state": 0}


@pytest.mark.parametrize(
    ("cls", "argument", "names"),
    [
        (SparseHeads, "alpha", "abc"),
        (SparseHeads, "feature_weights", "uv"),
        (SparseHeads, "feature_groups", "uv"),
        (SparseHeadsCV, "feature_weights", "uv"),
        (SparseHeadsClassifier, "alpha", "abc"),
        (SparseMultiTaskRepresentation, "alpha", "abc"),
        (SparseMultiTaskClassifier, "alpha", "abc"),
    ],
)
def test_series_must_have_the_order_of_what_they_describe(cls, argument, names):
    trained = issubclass(cls, SparseMultiTaskRepresentation | SparseMultiTaskClassifier)
    y = Y > 0 if "Classifier" in cls.__name__ else Y
    values = pd.Series([0.2, 0.1, 0.3][: len(names)], index=list(names))

    def coef(values):
        est = cls(**(OPTIONS if trained else {})).set_params(**{argument: values})
        return est.fit(X, y).coef_

    expected = coef(values.to_numpy())
    np.testing.assert_array_equal(coef(values), expected)
    np.testing.assert_array_equal(coef(values.reset_index(drop=True)), expected)
    for other in (values[::-1], values.rename(str.upper)):
        with pytest.raises(ValueError, match=f"{argument} is a Series .* in this ord"):
            coef(other)


@pytest.mark.parametrize("cls", [SparseHeads, SparseHeadsCV])
def test_frames_of_weights_must_have_the_order_of_tasks_and_features(cls):
    weights = pd.DataFrame([[1, np.inf], [2, 1], [1, 3]], list("abc"), list("uv"))

    def coef(weights):
        return cls(feature_weights=weights).fit(X, Y).coef_

    expected = coef(weights.to_numpy())
    np.testing.assert_array_equal(coef(weights), expected)
    positions = pd.DataFrame(weights.to_numpy())
    np.testing.assert_array_equal(coef(positions), expected)
    for other, part in (
        (weights[["v", "u"]], r"columns, \['v', 'u'\], must be \['u', 'v'\]"),
        (weights.loc[["a", "c", "b"]], r"index, \['c', 'b'\], must be \['b', 'c'\]"),
        (pl.DataFrame({"v": [1.0] * 3, "u": [1.0] * 3}), "columns"),
    ):
        with pytest.raises(ValueError, match=f"is a frame whose {part}"):
            coef(other)


def test_penalties_that_are_no_numbers_are_named():
    for alpha in ({"a": 0.1}, ["a", "b", "c"]):
        est = SparseMultiTaskRepresentation(**OPTIONS, alpha=alpha)
        with pytest.raises(ValueError, match="alpha must be a number, or an array"):
            est.fit(X, Y)
