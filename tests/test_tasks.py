"""Batches of tasks, and how a table of labels is cut into them."""

from itertools import islice

import numpy as np
import pytest

from sparsedis.tasks import TaskBatch, WideTasks, gather, labelled_rows


@pytest.fixture
def table():
    rng = np.random.RandomState(0)
    X = np.arange(60.0)[:, None]
    Y = 100.0 * np.arange(7) + X  # a label tells its row and its task
    Y[rng.uniform(size=Y.shape) < 0.5] = np.nan
    return X, Y


def pairs(batch):
    """(row, label) of every sample of a batch."""
    index = np.arange(len(batch.rows)) if batch.index is None else batch.index
    index = np.broadcast_to(index, batch.y.shape)
    mask = np.ones(batch.y.shape, bool) if batch.mask is None else batch.mask
    return batch.rows[index[mask], 0], batch.y[mask]


def test_missing_labels_join_the_mask():
    batch = TaskBatch(np.zeros((2, 1)), [[1.0, np.nan], [2.0, 3.0]])
    np.testing.assert_array_equal(batch.mask, [[True, False], [True, True]])
    assert np.isfinite(batch.y).all()


def test_complete_labels_need_no_mask():
    assert (
        TaskBatch(np.zeros((2, 1)), np.ones((3, 2)), mask=np.ones((3, 2))).mask is None
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y": [1.0, 2.0]}, r"y must have shape \(n_tasks, n_samples\), got \(2,\)"),
        ({"y": np.zeros((3, 5))}, r"\(n_tasks, 2\), got \(3, 5\)"),
        ({"y": [[np.inf, 1.0]]}, "y holds an infinite"),
        ({"y": np.zeros((1, 3)), "index": [[0, 1, 2]]}, r"index must lie in \[0, 2\)"),
        ({"y": np.zeros((1, 2)), "index": [[0.0, 1.0]]}, "index must hold integers"),
        ({"y": np.zeros((1, 2)), "index": [[0], [1]]}, "index must hold integers"),
        ({"y": np.zeros((1, 2)), "mask": [[True]]}, "mask must have the shape of y"),
    ],
)
def test_bad_batches(arguments, message):
    with pytest.raises(ValueError, match=message):
        TaskBatch(np.zeros((2, 1)), **arguments)


def test_labelled_rows(table):
    _, Y = table
    indptr, indices = labelled_rows(Y)
    for t in range(Y.shape[1]):
        found = indices[indptr[t] : indptr[t + 1]]
        np.testing.assert_array_equal(found, np.flatnonzero(~np.isnan(Y[:, t])))


def test_gather_takes_each_row_once(table):
    X, Y = table
    rows = [np.flatnonzero(~np.isnan(Y[:, t]))[:n] for t, n in ((2, 5), (6, 9))]
    batch = gather(X, Y, np.array([2, 6]), rows)
    assert len(np.unique(batch.rows)) == len(batch.rows)
    assert batch.mask.sum(1).tolist() == [5, 9]
    position, label = pairs(batch)
    np.testing.assert_array_equal(label % 100, position)


@pytest.mark.parametrize("n_samples", [40, 4], ids=["rows first", "tasks first"])
def test_wide_tasks_keep_labels_with_their_rows(table, n_samples):
    X, Y = table
    source = WideTasks(
        X, Y, n_samples=n_samples, n_tasks=3, random_state=np.random.RandomState(0)
    )
    assert source.rows_first == (n_samples == 40)
    seen = set()
    for batch in islice(source, 200):
        assert batch.n_tasks == 3
        assert batch.y.shape[1] <= n_samples
        position, label = pairs(batch)
        np.testing.assert_array_equal(label % 100, position)
        seen |= set(label)
    # Every label is used sooner or later.
    assert seen == set(Y[~np.isnan(Y)])


def test_wide_tasks_leave_out_what_cannot_be_learned():
    Y = np.full((30, 4), np.nan)
    Y[:, 0] = Y[:20, 2] = 1.0
    Y[0, 3] = 1.0
    source = WideTasks(
        Y, Y, n_samples=30, n_tasks=4, random_state=np.random.RandomState(0)
    )
    np.testing.assert_array_equal(source.tasks, [0, 2])


def test_no_step_is_without_a_task():
    # Half of the tasks label all rows, half only two of them.
    Y = np.full((500, 8), np.nan)
    Y[:, :5] = 1.0
    Y[:2, 5:] = 1.0
    source = WideTasks(
        Y, Y, n_samples=50, n_tasks=1, random_state=np.random.RandomState(0)
    )
    assert source.rows_first
    assert all(batch.n_tasks == 1 for batch in islice(source, 50))
