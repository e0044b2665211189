"""Batches of streams: the same data in other containers, and what is refused."""

import re

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, ClassifierMixin

from sparsedis.inputs._stream import StreamTasks
from sparsedis.tasks import TaskBatch

RNG = np.random.default_rng(0)
X = RNG.standard_normal((8, 2))
Y = RNG.standard_normal((8, 3))
GAPS = np.where(RNG.random(Y.shape) < 0.3, np.nan, Y)
WIDE = pd.DataFrame(X, columns=["a", "b"])


def first(X, Y):
    return StreamTasks([(X, Y)], 1, BaseEstimator()).first


@pytest.mark.parametrize(
    "form",
    [
        pd.DataFrame,
        lambda array: pd.DataFrame(array).astype("Float64"),
        torch.tensor,
        np.ndarray.tolist,
        lambda array: np.ma.masked_invalid(array) if np.isnan(array).any() else array,
    ],
)
def test_containers_agree(form):
    batch = first(form(X), form(GAPS))
    assert_allclose(batch.rows, X)
    assert_array_equal(batch.mask, ~np.isnan(GAPS.T))
    assert_allclose(batch.y[batch.mask], GAPS.T[batch.mask])


def test_tensors_with_gradients_and_of_16_bits_are_read():
    tensor = torch.tensor(X, dtype=torch.bfloat16, requires_grad=True)
    assert_allclose(first(tensor, Y).rows, tensor.detach().float().numpy())


def test_entries_that_a_sparse_matrix_stores_are_labels():
    dense = np.nan_to_num(GAPS)
    stored = sp.coo_array((GAPS[~np.isnan(GAPS)], np.nonzero(~np.isnan(GAPS))))
    batch = first(X, sp.csr_array(stored))
    assert_array_equal(batch.mask, ~np.isnan(GAPS.T))
    assert_allclose(batch.y, dense.T)


def test_tasks_without_labels_are_left_out():
    lacking = Y.copy()
    lacking[:, 1] = np.nan
    assert_allclose(first(X, lacking).y, Y.T[[0, 2]])
    weight = np.ones(Y.T.shape)
    weight[2] = 0
    batch = TaskBatch(X, lacking.T, weight=weight)
    assert_allclose(StreamTasks([batch], 1, BaseEstimator()).first.y, Y.T[:1])


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ((X, Y + 1j), "Complex data not supported"),
        ((X, Y.astype("M8[s]")), "y must hold real numbers, got datetime64"),
        ((np.where(X > 1, np.nan, X), Y), r"contains NaN, in column\(s\)"),
        ((X, np.full(Y.shape, "a")), "y must hold real numbers: could not convert"),
        ((WIDE.assign(b="u"), Y), r"column\(s\) b hold text, such as 'u'"),
        ((WIDE.astype("category"), Y), r"column\(s\) a, b hold categories"),
        ((X, Y[:-1]), "same number of rows, got 8 and 7"),
        ((X, Y[:, :0]), r"y must have shape .* got \(8, 0\)"),
        ((X, 1e200 * Y), "numbers up to .* whose squares float64 cannot"),
        (TaskBatch(X, 1e-200 * Y.T), "numbers up to .* whose squares float64 cannot"),
        ((X, np.nan * Y), "y holds no label at all"),
        (TaskBatch(X, np.nan * Y.T), "some task has a label .* labelled=0"),
        (TaskBatch(X, Y.T, weight=np.zeros((3, 8))), "some task has a label"),
        ((X[:1], Y[:1]), "at least two rows of inputs, .* got 1"),
    ],
)
@pytest.mark.parametrize("number", [0, 2])
def test_batches_that_fit_would_refuse(batch, message, number):
    framed = isinstance(batch, tuple) and isinstance(batch[0], pd.DataFrame)
    source = [*[(WIDE if framed else X, Y)] * number, batch]
    with pytest.raises(ValueError, match=message) as caught:
        list(StreamTasks(source, 1, BaseEstimator()))
    assert f"In batch {number} of source" in caught.value.__notes__[0]


def test_columns_must_keep_their_order():
    source = [(WIDE, Y), (WIDE[["b", "a"]], Y)]
    with pytest.raises(ValueError, match="must be in the same order as"):
        list(StreamTasks(source, 1, BaseEstimator()))


@pytest.mark.parametrize("other", [np.zeros((8, 5, 6, 3)), np.zeros((8, 4))])
def test_images_must_keep_their_size(other):
    images = RNG.random((8, 4, 6, 3))
    message = r"of one shape; got \(4, 6, 3\), then \("
    with pytest.raises(ValueError, match=message):
        list(StreamTasks([(images, Y), (other, Y)], 1, BaseEstimator()))


@pytest.mark.parametrize(
    ("n_rows", "kept"), [(1, [6]), (6, [6]), (7, [5, 6]), (np.inf, [4, 5, 6])]
)
def test_inputs_of_the_last_batches(n_rows, kept):
    stream = StreamTasks([(X[:n], Y[:n]) for n in range(2, 7)], 3, BaseEstimator())
    assert len(list(stream)) == 5
    found = stream.last_inputs(n_rows)
    assert [len(rows) for rows in found] == kept
    assert_array_equal(found[-1], X[:6])


class Classifier(ClassifierMixin, BaseEstimator):
    pass


def test_classes_are_numbered_without_gaps():
    codes = np.array([[7.0, 7, 1e6], [2, np.nan, 7], [2, 7, 2]])
    batch = StreamTasks([(X[:3], codes)], 1, Classifier()).first
    assert_array_equal(batch.y, [[1, 0, 0], [1, 0, 1], [2, 1, 0]])
    assert_array_equal(batch.mask[1], [True, False, True])
    # A number of classes that is given belongs to codes as they are.
    codes, n_classes = np.array([[0.0, 2, 2]]), np.array([3])
    batch = TaskBatch(X[:3], codes, n_classes=n_classes)
    assert_array_equal(StreamTasks([batch], 1, Classifier()).first.y, codes)


def test_numbers_of_classes_that_no_memory_holds_are_refused():
    batch = TaskBatch(X, (Y.T > 0).astype(float), n_classes=[10**9] * Y.shape[1])
    with pytest.raises(ValueError, match="at most 10000, got 1000000000"):
        StreamTasks([batch], 1, Classifier())


@pytest.mark.parametrize("wrong", [-1, 0.5, 1e16])
def test_other_classes_are_refused_with_their_batch(wrong):
    source = [(X, np.where(Y > 0, 1, wrong))]
    with pytest.raises(ValueError, match=re.escape(f"below 2**53, got {wrong}.")):
        StreamTasks(source, 1, Classifier())
