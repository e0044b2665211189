"""Tables of tasks: the same from every form, and how batches are drawn from them."""

import re
from itertools import islice

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from torch.utils.data import Dataset, TensorDataset

from sparsedis.inputs._classes import encode_classes
from sparsedis.inputs._forms import read_targets
from sparsedis.inputs._labels import DenseLabels, SparseLabels
from sparsedis.inputs._rows import (
    LazyRows,
    blocks_of,
    check_magnitude,
    distinct_rows,
    is_lazy,
    warn_of_offsets,
)
from sparsedis.inputs._table import TaskTable
from sparsedis.inputs._table_source import TableSource


def read(y, n, task=None, weight=None, real=True):
    return read_targets(y, n, task, weight, real=real, estimator="Estimator")


def build(X, y, task=None, weight=None, n_samples=20):
    targets = read(y, len(X), task, weight)
    return TaskTable.build(X, targets, weight, n_samples=n_samples)


def make(density):
    rng = np.random.RandomState(0)
    X = rng.permutation(60)[:, None] * 1.0
    Y = 100.0 * np.arange(1, 8) + X  # a label tells its row and its task
    gaps = rng.uniform(size=Y.shape) > density
    gaps[np.arange(60), np.arange(60) % 7] = False
    Y[gaps] = np.nan
    return X, Y


def forms(X, Y):
    """The same table in every form and another order, as arguments of `build`."""
    rows, tasks = np.nonzero(~np.isnan(Y))
    yield X, Y
    yield X[::-1], pd.DataFrame(Y[::-1], columns=list("abcdefg"))
    sparse = sp.coo_array((Y[rows, tasks], (rows, tasks)), shape=Y.shape)
    yield X, sparse
    yield X, sp.csr_matrix(sparse)
    order = np.random.RandomState(1).permutation(len(rows))
    rows, tasks = rows[order], tasks[order]
    yield X[rows], Y[rows, tasks], np.array(list("abcdefg"))[tasks]


@pytest.mark.parametrize("density", [1.0, 0.7, 0.15])
def test_every_form_gives_the_same_table(density):
    X, Y = make(density)
    tables = [build(*form) for form in forms(X, Y)]
    assert [table.rows_first for table in tables] == [density > 0.5] * len(tables)
    for table in tables:
        # In the order of the rows themselves.
        np.testing.assert_array_equal(table.X[table.at], np.sort(X, 0))
        for t in range(7):
            rows, values, _ = table.labels.of(t)
            mine = ~np.isnan(Y[:, t])
            np.testing.assert_array_equal(rows, np.sort(X[mine, 0]))
            np.testing.assert_array_equal(values, np.sort(Y[mine, t]))


def test_the_order_of_rows_does_not_depend_on_their_dtype():
    X = np.random.RandomState(0).randint(0, 256, (200, 4, 4, 1)).astype(np.uint8)
    expected, _ = distinct_rows(X)
    for other in (X / 255.0, (X / 255.0).astype(np.float32)):
        np.testing.assert_array_equal(distinct_rows(other)[0], expected)


def test_blocks_of_wide_rows_have_few_of_them():
    # Of 16 million numbers, in which computations on large images fit in memory.
    for shape, n_rows in (((3,), 1024), ((64, 64, 3), 1024), ((2048, 2048, 3), 1)):
        row = np.broadcast_to(np.uint8(7), (2000, *shape))
        blocks = blocks_of(row, np.arange(2000))
        assert next(blocks).shape == (n_rows, *shape)
    X = np.broadcast_to(np.arange(40, dtype=np.uint8)[:, None], (40, 2**20))
    blocks = list(blocks_of(X, np.arange(39, -1, -1)))
    assert [len(block) for block in blocks] == [16, 16, 8]
    np.testing.assert_array_equal(np.concatenate(blocks)[:, 0], np.arange(39, -1, -1))


@pytest.mark.parametrize("density", [1.0, 0.15])
@pytest.mark.parametrize("long", [False, True])
def test_weights_are_repetitions(density, long):
    X, Y = make(density)
    weight = np.random.RandomState(0).randint(0, 4, len(X)).astype(float)
    arguments = [X, Y]
    if long:
        rows, tasks = np.nonzero(~np.isnan(Y))
        weight = weight[rows]
        arguments = [X[rows], Y[rows, tasks], tasks]
    weighted = build(*arguments, weight=weight)
    times = weight.astype(int)
    repeated = build(*(part.repeat(times, axis=0) for part in arguments))
    np.testing.assert_array_equal(weighted.X[weighted.at], repeated.X[repeated.at])
    for t in range(7):
        for one, other in zip(
            weighted.labels.of(t), repeated.labels.of(t), strict=True
        ):
            np.testing.assert_array_equal(one, other)


def test_different_labels_at_one_row_all_count():
    table = build(np.zeros((3, 1)), np.array([1.0, 2.0, 2.0]), np.zeros(3))
    rows, values, weight = table.labels.of(0)
    assert (rows.tolist(), values.tolist()) == ([0, 0], [1.0, 2.0])
    assert weight.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("n_outputs", [None, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_both_ways_to_store_labels_agree(n_outputs, weighted):
    rng = np.random.RandomState(0)
    Y = rng.normal(size=(20, 5) if n_outputs is None else (20, 5, n_outputs))
    Y[rng.uniform(size=(20, 5)) < 0.4] = np.nan
    Y[:, 2] = 7.0
    weight = rng.uniform(0.5, 2, size=(20, 5)) if weighted else None
    dense = DenseLabels(Y, weight)
    drawn = [dense.of(t) for t in range(5)]
    rows, values, weights = zip(*drawn, strict=True)
    sparse = SparseLabels(
        np.concatenate([[0], np.cumsum([len(part) for part in rows])]),
        np.concatenate(rows),
        np.concatenate(values),
        np.concatenate(weights) if weighted else None,
    )
    kept = np.array([11, 3, 7, 19])
    pairs = [
        (dense, sparse),
        (dense.divided(np.arange(1, 6)), sparse.divided(np.arange(1, 6))),
        (dense.restrict(kept), sparse.restrict(kept)),
    ]
    for one, other in pairs:
        np.testing.assert_array_equal(one.counts(), other.counts())
        np.testing.assert_allclose(one.scale(), other.scale())
        np.testing.assert_allclose(one.scale(robust=True), other.scale(robust=True))
        for t in range(5):
            expected = one.of(t)
            found = other.of(t)
            order = np.argsort(found[0])
            for a, b in zip(expected, found, strict=True):
                assert (a is None and b is None) or np.array_equal(a, b[order])
    reference = Y[:, 0].reshape(20, -1)
    reference = reference[~np.isnan(reference[:, 0])]
    w = None if weight is None else weight[~np.isnan(Y[:, 0].reshape(20, -1)[:, 0]), 0]
    mean = np.average(reference, 0, w)
    std = np.sqrt(np.average((reference - mean) ** 2, 0, w).mean())
    assert dense.scale()[0] == pytest.approx(std)
    assert dense.scale()[2] == 1.0


def test_the_robust_scale_bears_outliers_and_takes_weights_for_repetitions():
    rng = np.random.default_rng(0)
    Y = 5.0 + 3.0 * rng.standard_normal((2000, 2))
    outliers = np.where(rng.random(Y.shape) < 0.1, 1e6, Y)
    np.testing.assert_allclose(
        DenseLabels(Y, None).scale(robust=True), Y.std(0), rtol=0.05
    )
    # A tenth of outliers on one side raises the quantile, and that is all.
    ratio = DenseLabels(outliers, None).scale(robust=True) / Y.std(0)
    assert ((ratio > 1) & (ratio < 1.3)).all()
    times = rng.integers(0, 4, len(Y))
    weight = np.repeat(times[:, None].astype(float), 2, axis=1)
    repeated = DenseLabels(np.repeat(Y, times, axis=0), None)
    np.testing.assert_array_equal(
        DenseLabels(Y, weight).scale(robust=True), repeated.scale(robust=True)
    )
    # More than half of the labels are the same.
    Y[:1500] = 0.0
    labels = DenseLabels(Y, None)
    np.testing.assert_array_equal(labels.scale(robust=True), labels.scale())


def pairs(batch):
    """(row, label) of every sample of a batch."""
    index = np.arange(len(batch.rows)) if batch.index is None else batch.index
    index = np.broadcast_to(index, batch.y.shape)
    mask = np.ones(batch.y.shape, bool) if batch.mask is None else batch.mask
    return batch.rows[index[mask], 0], batch.y[mask]


def source(table, n_samples, n_tasks=3, **options):
    return TableSource(
        table,
        n_samples=n_samples,
        n_tasks=n_tasks,
        random_state=np.random.RandomState(0),
        **options,
    )


@pytest.mark.parametrize("n_samples", [40, 4], ids=["rows first", "tasks first"])
def test_batches_keep_labels_with_their_rows(n_samples):
    X, Y = make(0.5)
    table = build(X, Y, n_samples=n_samples)
    assert table.rows_first == (n_samples == 40)
    seen = set()
    for batch in islice(source(table, n_samples), 200):
        assert batch.n_tasks == 3
        assert batch.y.shape[1] <= n_samples
        assert len(np.unique(batch.rows)) == len(batch.rows)
        position, label = pairs(batch)
        np.testing.assert_array_equal(label % 100, position)
        seen |= set(label)
    # Every label is used sooner or later.
    assert seen == set(Y[~np.isnan(Y)])


def test_batches_leave_out_what_cannot_be_learned():
    X = np.arange(30.0)[:, None]
    Y = np.full((30, 4), np.nan)
    Y[:, 0] = Y[:20, 2] = 1.0
    Y[0, 3] = 1.0
    np.testing.assert_array_equal(build(X, Y).useful_tasks(), [0, 2])


def test_no_step_is_without_a_task():
    # Half of the tasks label all rows, half only two of them.
    X = np.arange(500.0)[:, None]
    Y = np.full((500, 8), np.nan)
    Y[:, :5] = 1.0
    Y[:2, 5:] = 1.0
    table = build(X, Y, n_samples=50)
    assert table.rows_first
    batches = list(islice(source(table, 50, n_tasks=1), 50))
    assert all(batch.n_tasks == 1 for batch in batches)


def test_classes_that_do_not_vary_are_left_out():
    X = np.arange(40.0)[:, None]
    Y = np.zeros((40, 2))
    Y[::2, 0] = 1.0
    Y[3, 1] = 1.0
    targets, _ = encode_classes(read(Y, 40, real=False))
    table = TaskTable.build(X, targets, n_samples=5, n_classes=np.array([2, 2]))
    for batch in islice(source(table, 5), 50):
        assert all(len(np.unique(y)) == 2 for y in batch.y)


def test_a_table_without_enough_labels_ends_with_an_error():
    table = build(np.arange(9.0)[:, None], np.eye(9)[:, :1])
    with pytest.raises(ValueError, match=r"raise batch_size \(now 2\)"):
        next(iter(source(table, 2, min_labels=3)))


def test_split_keeps_every_row_once():
    for density in (1.0, 0.15):
        X, Y = make(density)
        first, second = build(X, Y).split(0.25, np.random.RandomState(0))
        assert (first.n_rows, second.n_rows) == (45, 15)
        assert first.labels.counts().sum() + second.labels.counts().sum() == (
            np.isfinite(Y).sum()
        )
        for part in (first, second):
            rows, values, _ = part.labels.of(3)
            np.testing.assert_array_equal(part.X[part.at[rows], 0], values % 100)


# Rows on demand


class Pictures(Dataset):
    """Items with a label that is not ours to use."""

    def __init__(self, X):
        self.X = X

    def __len__(self):
        return len(self.X)

    def __getitem__(self, i):
        return torch.from_numpy(self.X[i]), 3


@pytest.fixture(params=["hdf5", "tensors", "items"])
def lazy(request, tmp_path):
    X = np.arange(40, dtype=np.float32).reshape(10, 4)
    if request.param == "hdf5":
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file["x"] = X
            yield X, file["x"]
    elif request.param == "tensors":
        yield X, TensorDataset(torch.from_numpy(X))
    else:
        yield X, Pictures(X)


def test_rows_on_demand_are_the_rows(lazy):
    X, rows = lazy
    assert is_lazy(rows)
    rows = LazyRows(rows)
    assert (len(rows), rows.shape, rows.dtype, rows.ndim) == (10, (10, 4), X.dtype, 2)
    for at in (slice(2, 5), [7, 7, 1], np.array([3])):
        np.testing.assert_array_equal(rows[at], X[at])


def test_rows_on_demand_are_checked():
    X = np.zeros((4, 2))
    X[2, 1] = np.nan
    with pytest.raises(ValueError, match="NaN or infinity in row 2"):
        LazyRows(Pictures(X))[1:4]
    with pytest.raises(ValueError, match=r"must hold floats .* got int64"):
        LazyRows(Pictures(np.zeros((4, 2), dtype=np.int64)))
    with pytest.raises(ValueError, match="at least one item"):
        LazyRows(Pictures(np.zeros((0, 2))))
    ragged = Pictures([np.zeros(3), np.zeros(3), np.zeros(2)])
    with pytest.raises(ValueError, match=r"got \(3,\), then \(2,\) in row 2"):
        LazyRows(ragged)[1:]


def test_rows_on_demand_are_neither_numbers_nor_nothing(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for name, shape in (("numbers", (4,)), ("nothing", (0, 4))):
            file[name] = np.zeros(shape)
            with pytest.raises(ValueError, match=f"got shape {re.escape(str(shape))}"):
                LazyRows(file[name])


@pytest.mark.parametrize("unit", [1e-30, 1e30])
def test_units_of_rows_on_demand_are_those_of_float32(unit):
    X = unit * np.random.default_rng(0).standard_normal((600, 2))
    with pytest.raises(ValueError, match=r"X has values up to \d.*Scale the inputs"):
        check_magnitude(LazyRows(Pictures(X)))
    # What none of the few rows shows is found in training.
    hidden = np.ones((600, 2))
    hidden[1] = 1e30
    rows = LazyRows(Pictures(hidden))
    check_magnitude(rows)
    with pytest.raises(ValueError, match="X has values up to 1e"):
        rows[:5]


def test_columns_that_float32_does_not_resolve_are_named():
    # A time, within seconds of it; one within hours; a constant but for its rounding.
    X = np.random.default_rng(0).random((50, 3)) * [10, 1e4, 1e-7] + 1.7e9
    for inputs, names, shown in (
        (X, None, r"\[0\]"),
        (X, np.array(["t", "u", "v"]), r"\['t'\]"),
        (LazyRows(TensorDataset(torch.from_numpy(X))), None, r"\[0\]"),
    ):
        with pytest.warns(UserWarning, match=f"1 of 3 columns of X .{shown}. vary by"):
            warn_of_offsets(inputs, names)
    # Warnings are errors here.
    warn_of_offsets(X - 1.7e9)
    warn_of_offsets(X.astype(np.float32))
    warn_of_offsets(X[:, :, None])


def test_tensors_on_demand_may_have_gradients_and_16_bits():
    tensor = torch.randn(5, 3).bfloat16().requires_grad_()
    rows = LazyRows(TensorDataset(tensor))
    np.testing.assert_array_equal(rows[:], tensor.detach().float().numpy())


# Forms of labels


def test_labels_of_any_dtype():
    for y in (
        [["a", 1], [None, 2], ["b", 2]],
        pd.DataFrame({"u": ["a", pd.NA, "b"], "v": [1, 2, 2]}),
        pd.DataFrame({"u": pd.Categorical(["a", None, "b"]), "v": [1, 2, 2]}),
        np.array([["a", 1], [np.nan, 2], ["b", 2]], dtype=object),
    ):
        targets, classes = encode_classes(read(y, 3, real=False))
        assert [c.tolist() for c in classes] == [["a", "b"], [1, 2]]
        assert targets.rows.tolist() == [0, 2, 0, 1, 2]
        assert targets.tasks.tolist() == [0, 0, 1, 1, 1]
        assert targets.values.tolist() == [0, 1, 0, 1, 1]
        # What has no weight is not there.
        weight = np.array([1.0, 0, 0])
        _, classes = encode_classes(read(y, 3, weight=weight, real=False))
        assert [c.tolist() for c in classes] == [["a"], [1]]


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([[1, "a"], ["b", 1]], "labels of one type per task"),
        (
            [[0.3, 1], [1.7, 0]],
            r"label type: continuous, such as 0\.3\. .* take each number for a class",
        ),
        (
            [[pd.Interval(0, 1), "a"], [pd.Interval(1, 2), "a"]],
            r"Unknown label type: Interval, such as \(0, 1\].* y.astype\(str\)",
        ),
        ([[np.inf, 1], [1.0, 0]], "infinity"),
    ],
)
def test_what_is_no_class(y, message):
    y = np.array(y, dtype=object) if isinstance(y[0][1], str) else y
    with pytest.raises(ValueError, match=message):
        encode_classes(read(y, 2, real=False))


@pytest.mark.parametrize(
    ("y", "task", "message"),
    [
        (None, None, "requires y to be passed"),
        ([1.0, 2.0], None, "same number of rows, got 3 and 2"),
        (np.zeros((3, 2, 2, 2)), None, r"y must have shape \(n_samples,\)"),
        (np.full(3, np.nan), None, "no label at all"),
        ([1.0, 2.0, np.inf], None, "contains infinity"),
        (["a", "b", "c"], None, "real numbers.*SparseMultiTaskClassifier"),
        (np.where(np.eye(3)[:, None] == 1, np.nan, 1.0), None, "some entries are NaN"),
        (sp.csr_array((3, 4)), None, "no label at all"),
        (sp.csr_array((2, 4)), None, "same number of rows, got 3 and 2"),
        (sp.csr_array([[np.nan], [1.0], [2.0]]), None, "sparse and stores NaN"),
        (sp.csr_array((3, 1)), [0, 1, 1], "y must be dense"),
        ([1.0, 2.0, 3.0], [0, 1], "task of each of the 3 rows of X, got 2"),
        ([1.0, 2.0, 3.0], ["a", None, "b"], "some are missing"),
        ([1.0, 2.0, 3.0], [0.0, np.nan, 1.0], "some are missing"),
        (np.zeros((3, 2, 2)), [0, 1, 1], "one label per row"),
    ],
)
def test_bad_targets(y, task, message):
    with pytest.raises(ValueError, match=message):
        read(y, 3, task)


def test_steps_show_two_different_inputs_at_least():
    X = np.r_[np.zeros(3), np.arange(12), np.arange(12)][:, None]
    task = np.r_[np.zeros(3, int), np.ones(12, int), np.full(12, 2)]
    table = build(X, np.arange(27.0), task)
    options = {"n_samples": 20, "n_tasks": 1, "random_state": np.random.RandomState(0)}
    batches = list(islice(TableSource(table, **options), 30))
    assert {int(batch.task[0]) for batch in batches} == {1, 2}
    assert min(len(batch.rows) for batch in batches) >= 2
    lone = build(np.ones((27, 1)), np.arange(27.0), task)
    with pytest.raises(ValueError, match="two different labelled rows"):
        next(iter(TableSource(lone, **options)))
