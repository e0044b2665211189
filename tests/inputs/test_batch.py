"""One step's worth of tasks: what it refuses, and how it is cut."""

import numpy as np
import pytest

from sparsedis.tasks import TaskBatch


def labels(batch):
    """(row, label) pairs of every task, as sets."""
    n_tasks, n_samples = batch.y.shape[:2]
    index = np.arange(n_samples) if batch.index is None else batch.index
    index = np.broadcast_to(index, (n_tasks, n_samples))
    mask = np.ones((n_tasks, n_samples), bool) if batch.mask is None else batch.mask
    return [
        set(zip(batch.rows[i[m], 0], y[m], strict=True))
        for i, y, m in zip(index, batch.y, mask, strict=True)
    ]


def test_missing_labels_join_the_mask():
    batch = TaskBatch(np.zeros((2, 1)), [[1.0, np.nan], [2.0, 3.0]])
    np.testing.assert_array_equal(batch.mask, [[True, False], [True, True]])
    assert np.isfinite(batch.y).all()


def test_missing_vectors_join_the_mask():
    y = np.ones((1, 2, 3))
    y[0, 1] = np.nan
    batch = TaskBatch(np.zeros((2, 1)), y)
    np.testing.assert_array_equal(batch.mask, [[True, False]])
    assert np.isfinite(batch.y).all()


def test_complete_labels_need_no_mask():
    assert (
        TaskBatch(np.zeros((2, 1)), np.ones((3, 2)), mask=np.ones((3, 2))).mask is None
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y": [1.0, 2.0]}, r"y must have shape \(n_tasks, n_samples\) .* got \(2,\)"),
        ({"y": np.zeros((3, 5))}, r"\(n_tasks, 2\), got \(3, 5\)"),
        ({"y": [[np.inf, 1.0]]}, "y holds an infinite"),
        ({"y": [[[1.0, np.nan], [1.0, 1.0]]]}, "only some entries are NaN"),
        ({"y": np.zeros((1, 3)), "index": [[0, 1, 2]]}, r"index must lie in \[0, 2\)"),
        ({"y": np.zeros((1, 2)), "index": [[0.0, 1.0]]}, "index must hold integers"),
        ({"y": np.zeros((1, 2)), "index": [[0], [1]]}, "index must hold integers"),
        ({"y": np.zeros((1, 2)), "mask": [[True]]}, "mask must have the shape of y"),
        ({"y": np.zeros((1, 2)), "weight": [[1.0]]}, r"the shape \(1, 2\) of y"),
        ({"y": np.zeros((1, 2)), "weight": [[1.0, -1.0]]}, "from 0 on, got -1"),
        ({"y": np.zeros((1, 2)), "weight": [[1.0, np.inf]]}, "from 0 on, got inf"),
        ({"y": np.zeros((1, 2)), "task_weight": [1.0, 2.0]}, r"shape \(1,\) of the"),
        ({"y": np.zeros((1, 2)), "task_weight": [-1.0]}, r"from 0 on .* got \[-1\.\]"),
        ({"y": np.zeros((1, 2)), "task_weight": [np.inf]}, "finite numbers from 0 on"),
        ({"y": np.zeros((1, 2)), "task_weight": [np.nan]}, "finite numbers from 0 on"),
        ({"y": np.zeros((1, 2)), "n_classes": 2}, "for each of 1 tasks, got 2"),
        ({"y": np.zeros((1, 2)), "n_classes": [2, 2]}, r"1 tasks, got \[2, 2\]"),
        ({"y": np.zeros((1, 2)), "n_classes": [2.5]}, "an integer from -1 on"),
        ({"y": np.zeros((1, 2)), "n_classes": [-2]}, "an integer from -1 on"),
    ],
)
def test_bad_batches(arguments, message):
    with pytest.raises(ValueError, match=message):
        TaskBatch(np.zeros((2, 1)), **arguments)


def make(form):
    rng = np.random.RandomState(0)
    rows = np.arange(12.0)[:, None]
    y = rng.normal(size=(5, 12))
    index = None
    if form == "own rows":
        index = np.stack([rng.permutation(12) for _ in range(5)])
    if form == "gaps":
        y[rng.uniform(size=y.shape) < 0.4] = np.nan
    weight = rng.uniform(size=y.shape)
    return TaskBatch(rows, y, index, weight=weight, task=np.arange(5) + 10)


@pytest.mark.parametrize("form", ["shared rows", "own rows", "gaps"])
def test_a_split_is_a_partition(form):
    batch = make(form)
    inner, outer = batch.split(0.3, np.random.RandomState(1))
    np.testing.assert_array_equal(inner.task, batch.task)
    np.testing.assert_array_equal(outer.task, batch.task)
    for whole, first, second in zip(*map(labels, (batch, inner, outer)), strict=True):
        assert first | second == whole
        assert not first & second
        assert len(first) == max(1, round(0.3 * len(whole)))
    # Tasks that share their rows go on sharing them.
    assert (inner.mask is None) == (form != "gaps") or form == "own rows"
    again, _ = batch.split(0.3, np.random.RandomState(1))
    assert labels(again) == labels(inner)


def test_weights_go_with_their_samples():
    batch = make("shared rows")
    weight = dict(zip(batch.y.ravel(), batch.weight.ravel(), strict=True))
    for part in batch.split(0.5, np.random.RandomState(0)):
        found = dict(zip(part.y.ravel(), part.weight.ravel(), strict=True))
        assert found.items() <= weight.items()


def test_tasks_with_one_sample_cannot_be_split():
    y = np.array([[1.0, np.nan, np.nan], [1.0, 2.0, np.nan]])
    inner, outer = TaskBatch(np.zeros((3, 1)), y, task=np.arange(2)).split(
        0.5, np.random.RandomState(0)
    )
    assert inner.task.tolist() == outer.task.tolist() == [1]
    alone = TaskBatch(np.zeros((3, 1)), y[:1])
    assert alone.split(0.5, np.random.RandomState(0)) == (None, None)


def test_take_keeps_what_belongs_to_a_task():
    batch = make("own rows").take(np.array([3, 1]))
    assert batch.task.tolist() == [13, 11]
    assert batch.y.shape == batch.index.shape == batch.weight.shape == (2, 12)
