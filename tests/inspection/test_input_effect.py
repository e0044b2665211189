"""InputEffectDisplay: what depends on which input column."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from numpy.testing import assert_allclose, assert_array_equal

from sparsedis import SparseMultiTaskRepresentation
from sparsedis.datasets import make_sparse_tasks
from sparsedis.inspection import InputEffectDisplay, input_importance

FEATURES = np.array([[1.0, 0.2, 0.0], [0.0, 0.0, 0.7]])
TASKS = np.array([[0.1, 0.0, 0.4], [0.6, 0.2, -0.001], [0.0, 0.1, 0.9]])


def ticks(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def test_the_matrices():
    display = InputEffectDisplay(
        features=FEATURES,
        tasks=TASKS,
        input_names="abc",
        task_names=["x", "y", "z"],
        score_name="R2",
    ).plot()
    left, right = display.axes_
    assert_allclose(display.im_[0].get_array(), FEATURES.T)
    assert display.im_[0].get_clim() == (0, 1)
    # By the most important column, then by its importance.
    assert_array_equal(display.order, [1, 2, 0])
    assert_allclose(display.im_[1].get_array(), TASKS[[1, 2, 0]].T)
    assert display.im_[1].get_clim() == (0, 0.9)
    assert ticks(left.yaxis) == ["a", "b", "c"]
    assert ticks(right.yaxis) == []
    assert ticks(left.xaxis) == ["0", "1"]
    assert ticks(right.xaxis) == ["y", "z", "x"]
    assert [text.get_text() for text in display.text_[1][:, 0]] == [
        *("0.60", "0.20", "0.00")
    ]
    assert right.child_axes[0].get_xlabel() == "drop in R2"


def test_features_alone_on_given_axes():
    _, ax = plt.subplots()
    display = InputEffectDisplay(features=FEATURES).plot(
        ax=ax, include_values=False, colorbar=False
    )
    assert list(display.axes_) == [ax]
    assert display.text_ == [None]
    assert not ax.child_axes


def test_many_tasks_and_columns_have_no_names():
    rng = np.random.default_rng(0)
    display = InputEffectDisplay(
        features=rng.random((3, 60)), tasks=rng.random((30, 60))
    ).plot()
    assert ticks(display.axes_[0].yaxis) == []
    assert ticks(display.axes_[1].xaxis) == []
    assert display.axes_[1].get_xlabel() == "30 tasks"
    assert display.text_ == [None, None]


def test_from_estimator_names_columns_and_leaves_out_tasks_without_score():
    X, Y = make_sparse_tasks(80, 5, n_factors=3, random_state=0)
    Y[:, 2] = np.nan
    X = pd.DataFrame(X, columns=["u", "v", "w"])
    Y = pd.DataFrame(Y, columns=list("abcde"))
    est = SparseMultiTaskRepresentation(
        3, rotation=None, alpha=0.02, max_iter=5, random_state=0
    )
    with pytest.warns(UserWarning, match="c"):
        est.fit(X, Y)
    display = InputEffectDisplay.from_estimator(est, X, Y, random_state=0)
    found = input_importance(est, X, Y, random_state=0)
    assert display.input_names == ["u", "v", "w"]
    assert display.task_names == ["a", "b", "d", "e"]
    assert_allclose(display.features, found.features.importances_mean)
    assert_allclose(display.tasks, found.tasks.importances_mean[[0, 1, 3, 4]])
    assert display.score_name == "R2"
    alone = InputEffectDisplay.from_estimator(est, X, random_state=0)
    assert alone.tasks is None
    assert_allclose(alone.features, display.features)


def test_bad_input_raises():
    with pytest.raises(ValueError, match=r"in \[0, 1\]; got values from 0 to 1\.5"):
        InputEffectDisplay(features=[[0.0, 1.5]])
    with pytest.raises(ValueError, match="each of the 3 columns of features; got 2"):
        InputEffectDisplay(features=FEATURES, tasks=[[0.0, 1.0]])
    with pytest.raises(ValueError, match="input_names must hold 3 names"):
        InputEffectDisplay(features=FEATURES, input_names=["a"])
