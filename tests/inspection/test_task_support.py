"""TaskSupportDisplay: which task uses which feature, similar tasks together."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import Lasso

from sparsedis.inspection import TaskSupportDisplay
from sparsedis.rotation import SparseRotation


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def names(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def test_cells_follow_the_order():
    supports = np.array([[1, 1, 0], [0, 0, 1], [1, 1, 0], [0, 1, 1]], dtype=bool)
    display = TaskSupportDisplay(
        supports=supports, task_names="wxyz", feature_names=["a", "b", "c"]
    ).plot()
    assert sorted(display.order) == [0, 1, 2, 3]
    assert_array_equal(display.im_.get_array(), supports[display.order])
    assert names(display.ax_.yaxis) == ["wxyz"[t] for t in display.order]
    assert names(display.ax_.xaxis) == ["a", "b", "c"]
    heights = [bar.get_height() for bar in display.bars_]
    assert_allclose(heights, supports.mean(0))
    centres = [bar.get_x() + bar.get_width() / 2 for bar in display.bars_]
    assert_allclose(centres, [0, 1, 2])
    assert display.usage_ax_.get_xlim() == display.ax_.get_xlim()


def test_the_features_keep_their_names_below_the_bars():
    display = TaskSupportDisplay(supports=np.eye(3)).plot()
    display.figure_.canvas.draw()
    below = [label for label in display.ax_.get_xticklabels() if label.get_visible()]
    assert [label.get_text() for label in below] == ["0", "1", "2"]


def test_groups_of_tasks_stand_together(rng):
    patterns = rng.random((4, 40)) < 0.3
    group = rng.integers(0, 4, 200)
    supports = patterns[group] ^ (rng.random((200, 40)) < 0.02)
    order = TaskSupportDisplay(supports=supports).order
    assert (np.diff(group[order]) != 0).sum() == 3


def test_equal_supports_are_neighbours_however_many(rng):
    supports = np.repeat(rng.random((1_200, 12)) < 0.5, 2, axis=0)
    rng.shuffle(supports)
    shown = supports[TaskSupportDisplay(supports=supports).order]
    n_changes = (shown[1:] != shown[:-1]).any(1).sum()
    assert n_changes == len(np.unique(supports, axis=0)) - 1 > 1_000


@pytest.mark.parametrize("supports", [[[1, 0]], [[1, 0], [1, 0]], [[1, 0], [0, 1]]])
def test_few_distinct_supports(supports):
    display = TaskSupportDisplay(supports=supports).plot()
    assert sorted(display.order) == list(range(len(supports)))


def test_coefficients_of_several_outputs():
    coef = np.zeros((2, 3, 2))
    coef[0, 1, 0], coef[1, 2, 1] = -2.0, 1e-3
    assert_array_equal(TaskSupportDisplay(supports=coef).supports, np.eye(2))


def test_heads_with_nan_are_left_out():
    coef = [[1.0, 0.0], [np.nan, np.nan], [0.0, 2.0]]
    with pytest.warns(UserWarning, match="1 of 3 heads in coef are NaN"):
        display = TaskSupportDisplay(supports=coef, task_names=["a", "b", "c"])
    assert display.task_names == ["a", "c"]
    assert_array_equal(display.supports, np.eye(2))


def test_from_estimator(fitted):
    est = fitted(
        # The second task has no label.
        coef_=np.array([[1.0, 0.3], [np.nan, np.nan], [0.0, 2.0]]),
        support_=np.array([[True, False], [False, False], [False, True]]),
    )
    display = TaskSupportDisplay.from_estimator(est)
    assert_array_equal(display.supports, np.eye(2))
    assert display.task_names == ["0", "2"]
    display = TaskSupportDisplay.from_estimator(
        est, task_names=["a", "b", "c"], feature_names=["x", "y"]
    )
    assert sorted(names(display.ax_.yaxis)) == ["a", "c"]
    est.tasks_ = np.array(["t", "u", "v"])
    assert TaskSupportDisplay.from_estimator(est).task_names == ["t", "v"]
    with pytest.raises(ValueError, match="task_names must hold 3 names; got 1"):
        TaskSupportDisplay.from_estimator(est, task_names=["a"])


def test_a_model_with_one_head(rng):
    X = rng.standard_normal((50, 3))
    display = TaskSupportDisplay.from_estimator(Lasso(alpha=0.1).fit(X, X[:, 1]))
    assert_array_equal(display.supports, [[False, True, False]])


def test_names_where_there_is_room(rng):
    supports = rng.random((31, 21)) < 0.5
    display = TaskSupportDisplay(supports=supports).plot()
    assert names(display.ax_.yaxis) == []
    assert display.ax_.get_ylabel() == "31 tasks, similar ones together"
    display.figure_.canvas.draw()
    assert len(names(display.ax_.xaxis)) < 21


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"supports": [1, 0]}, r"must have shape \(n_tasks, n_features\)"),
        ({"supports": [[1, np.inf]]}, "infinity"),
        ({"supports": [[1, 0]], "task_names": "ab"}, "task_names must hold 1 names"),
        ({"supports": [[1, 0]], "feature_names": "a"}, "feature_names must hold 2"),
    ],
)
def test_bad_input_raises(arguments, message):
    with pytest.raises(ValueError, match=message):
        TaskSupportDisplay(**arguments)


def test_an_ensemble_uses_what_most_members_use(fitted):
    coef = np.array([[1.0, 0.3], [np.nan, np.nan], [0.0, 2.0]])
    est = fitted(
        estimators_=[fitted(coef_=coef), fitted(coef_=coef)],
        support_=np.array([[1.0, 0.5], [0.0, 0.0], [0.2, 0.6]]),
    )
    display = TaskSupportDisplay.from_estimator(est)
    assert_array_equal(display.supports, np.eye(2))
    assert display.task_names == ["0", "2"]


def test_heads_of_a_rotation(rng):
    Y = rng.standard_normal((80, 3)) @ (
        rng.random((3, 12)) * (rng.random((3, 12)) > 0.5)
    )
    rotation = SparseRotation(2, random_state=0).fit(Y[:, :3], Y)
    display = TaskSupportDisplay.from_estimator(rotation)
    assert_array_equal(display.supports, rotation.support_)
