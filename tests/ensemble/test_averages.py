"""Means over the predictions of several estimators."""

import numpy as np
import pandas as pd
import pytest

from sparsedis.ensemble._averages import (
    combined,
    majority,
    mean_and_std,
    mean_probabilities,
    predict_by_probability,
)

RNG = np.random.default_rng(0)


class Known:
    """Predicts what it is given; its probabilities are in a dict."""

    def __init__(self, y, p):
        self.y, self.p = y, p

    def predict(self, X, task=None):
        if task is None:
            return self.y.copy()
        column = {"a": 0, "b": 1, "c": 2}
        values = np.asarray(self.y, dtype=object)
        return np.array([values[i, column[t]] for i, t in enumerate(task)], object)

    def predict_proba(self, X):
        return self.p


# Tasks of numbers, of classes, and of classes of which there is no label.
TASKS = np.array(["a", "b", "c"])
CLASSES = [np.array([]), np.array(["no", "yes"]), np.array([])]
X = np.zeros((2, 1))


@pytest.fixture(params=["frame", "array"])
def members(request):
    def member(numbers, p):
        y = pd.DataFrame(
            {
                "a": numbers,
                "b": pd.Categorical(["no", "no"], ["yes", "no"]),
                "c": [None, None],
            }
        )
        p = {"b": np.array(p), "c": np.empty((2, 0))}
        return Known(y if request.param == "frame" else y.to_numpy(dtype=object), p)

    return [
        member([1.0, 5.0], [[0.6, 0.4], [0.9, 0.1]]),
        member([3.0, 5.0], [[0.3, 0.7], [0.7, 0.3]]),
    ]


def test_mean_and_std_are_those_of_numpy():
    arrays = 1e3 + np.random.default_rng(0).standard_normal((4, 5, 3))
    arrays[:, 0, 0] = np.nan
    mean, std = mean_and_std(iter(arrays))
    np.testing.assert_allclose(mean, arrays.mean(0), rtol=1e-14)
    np.testing.assert_allclose(std, arrays.std(0), rtol=1e-10)


def test_equal_arrays_do_not_deviate():
    assert mean_and_std([np.full(3, 0.1)] * 5)[1].tolist() == [0, 0, 0]


def test_probabilities_keep_their_form(members):
    p = mean_probabilities(members, X)
    np.testing.assert_allclose(p["b"], [[0.45, 0.55], [0.8, 0.2]])
    assert p["c"].shape == (2, 0)


def test_several_types_of_tasks(members):
    y, std = predict_by_probability(members, X, None, TASKS, CLASSES)
    assert type(y) is type(members[0].y)
    if isinstance(y, pd.DataFrame):
        assert y.dtypes.tolist() == members[0].y.dtypes.tolist()
    values = np.asarray(y, dtype=object)
    assert values[:, :2].tolist() == [[2.0, "yes"], [5.0, "no"]]
    assert pd.isna(values[:, 2]).all()
    np.testing.assert_array_equal(std, [[1, np.nan, np.nan], [0, np.nan, np.nan]])


def test_several_types_of_tasks_in_the_long_form(members):
    task = ["b", "a"]
    y, std = predict_by_probability(members, X, task, TASKS, CLASSES)
    assert y.tolist() == ["yes", 5.0]
    np.testing.assert_array_equal(std, [np.nan, 0])


@pytest.mark.parametrize("form", [list, dict, pd.DataFrame])
def test_results_are_combined_in_their_form(form):
    def result(values):
        values = np.array(values)
        if form is list:
            return [values, values[0]]
        if form is dict:
            return {"a": values, "b": pd.DataFrame(values)}
        return pd.DataFrame(values, index=[7, 8], columns=["lower", "upper"])

    arrays = RNG.standard_normal((3, 2, 2))
    found = combined(lambda parts: np.median(parts, axis=0), list(map(result, arrays)))
    expected = result(np.median(arrays, axis=0))
    if form is pd.DataFrame:
        pd.testing.assert_frame_equal(found, expected)
        return
    if form is dict:
        assert list(found) == ["a", "b"]
        found, expected = list(found.values()), list(expected.values())
        pd.testing.assert_frame_equal(found[1], expected[1])
    else:
        np.testing.assert_array_equal(found[1], np.median(arrays[:, 0], axis=0))
    np.testing.assert_array_equal(found[0], expected[0])


def test_majority_holds_a_label_unless_most_members_miss_it():
    sets = RNG.uniform(size=(4, 50, 5)) < 0.6
    p = RNG.dirichlet(np.ones(5), size=50)
    found = majority([*sets, p])
    for i in range(50):
        for k in range(5):
            most = sum(own[i, k] for own in sets) >= 2
            assert found[i, k] == (most or k == p[i].argmax())
    # A task without labels.
    assert majority([np.empty((3, 0), dtype=bool), np.empty((3, 0))]).shape == (3, 0)
