"""Stability selection: by hand, and its bound in simulations."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import lars_path

from sparsedis.heads import stability_selection
from sparsedis.heads._stability import _halves


def table(n=80, p=30, n_tasks=20, n_used=3, seed=0):
    """Correlated features, of which each task uses the first ones."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p)) + 0.5 * rng.standard_normal((n, 1))
    Y = X[:, :n_used].sum(1, keepdims=True) + rng.standard_normal((n, n_tasks))
    return X, Y


def test_halves_are_disjoint_and_equal():
    tasks = np.random.default_rng(0).integers(0, 3, 50)
    counts = np.bincount(tasks)
    first, second = _halves(tasks, np.random.default_rng(1))
    assert not set(first) & set(second)
    for half in (first, second):
        assert np.bincount(tasks[half]).tolist() == (counts // 2).tolist()
    other, _ = _halves(tasks, np.random.default_rng(2))
    assert set(first) != set(other)


def test_frequencies_are_those_of_least_angle_regression():
    X, Y = table(n_tasks=1)
    y = Y[:, 0]
    found = stability_selection(X, y, max_false=2, n_pairs=4, random_state=0)
    k = int(np.sqrt(2 * 0.5 * 30))
    assert found.k_features == k == 5
    assert found.max_false == pytest.approx(25 / 15)
    rng, used = np.random.RandomState(0), np.zeros(30)
    for _ in range(4):
        for half in _halves(np.zeros(80, dtype=int), rng):
            x, target = X[half] - X[half].mean(0), y[half] - y[half].mean()
            path = lars_path(x, target, method="lasso")[2]
            inside = (path[:, :-1] != 0) | (path[:, 1:] != 0)
            used += path[:, np.flatnonzero(inside.sum(0) > k)[0]] != 0
    np.testing.assert_array_equal(found.frequencies, used / 8)
    np.testing.assert_array_equal(found.selected, used / 8 >= 0.75)


@pytest.mark.parametrize(("max_false", "threshold"), [(0.5, 0.9), (2.0, 0.6)])
def test_false_selections_keep_to_the_bound(max_false, threshold):
    X, Y = table(n_tasks=40)
    how = {"max_false": max_false, "n_pairs": 10, "random_state": 0}
    found = stability_selection(X, Y, threshold=threshold, **how)
    assert found.max_false <= max_false
    assert found.selected[:, 3:].sum(1).mean() <= found.max_false
    assert found.selected[:, :3].mean() > 0.9


def test_without_any_signal_the_bound_holds():
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((60, 20)), rng.standard_normal((60, 60))
    how = {"max_false": 3, "n_pairs": 10, "random_state": 0}
    found = stability_selection(X, Y, threshold=0.55, **how)
    number = found.selected.sum(1)
    # Of its order, so that it says something.
    assert 0 < number.mean() <= found.max_false
    # What it would be without halves.
    assert number.mean() < found.k_features


def test_every_form_of_labels_gives_the_same():
    X, Y = table(40, 10, 3)
    Y[np.random.default_rng(0).random(Y.shape) < 0.3] = np.nan
    Y[3:, 1] = np.nan
    how = {"n_pairs": 3, "random_state": 0}
    found = stability_selection(X, Y, **how)
    assert np.isnan(found.frequencies[1]).all()
    assert not found.selected[1].any()
    frame = stability_selection(X, pd.DataFrame(Y, columns=list("abc")), **how)
    assert frame.tasks.tolist() == list("abc")
    np.testing.assert_array_equal(frame.frequencies, found.frequencies)
    tasks, rows = np.nonzero(~np.isnan(Y.T))
    names = np.array(list("abc"))[tasks]
    long = stability_selection(X[rows], Y[rows, tasks], task=names, **how)
    np.testing.assert_array_equal(long.frequencies, found.frequencies)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"max_false": 0.01}, r"max_false must be at least 0.0667 with 30 features"),
        ({"max_false": 0}, "'max_false' parameter"),
        ({"threshold": 0.5}, "'threshold' parameter"),
        ({"n_pairs": 0}, "'n_pairs' parameter"),
    ],
)
def test_wrong_parameters_are_named(how, message):
    with pytest.raises(ValueError, match=message):
        stability_selection(*table(), **how)


def test_wrong_shapes_of_x_are_named():
    X, Y = table()
    for wrong in (X[:, 0], X[..., None], X[:, :0]):
        with pytest.raises(ValueError, match=r"X must have shape .* got \("):
            stability_selection(wrong, Y)
    with pytest.raises(TypeError, match=r"X must be an array, .* got int"):
        stability_selection(3, Y)


def test_wrong_targets_are_named():
    X, Y = table()
    with pytest.raises(ValueError, match=r"at least 4 samples of a task; .* is 3"):
        stability_selection(X[:3], Y[:3])
    with pytest.raises(ValueError, match="a number for each label, got vectors"):
        stability_selection(X, Y[..., None])
    for task in ("a", np.zeros((len(X), 2))):
        with pytest.raises(ValueError, match=r"task must hold one name per row.* \("):
            stability_selection(X, Y[:, 0], task=task)
