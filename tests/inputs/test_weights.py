"""Weights of samples, labels and tasks, in every form."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from sparsedis.inputs._weights import (
    check_weights,
    label_weights,
    read_task_weights,
)

Y = np.arange(6.0).reshape(3, 2)
W = np.array([[1.0, 0.0], [2.0, 0.5], [0.0, 3.0]])


@pytest.mark.parametrize(
    ("weight", "y"),
    [
        (W, Y),
        (W.tolist(), Y.tolist()),
        (W, np.ones((3, 2, 4))),
        (W, pd.DataFrame(Y)),
        (pd.DataFrame(W, columns=["a", "b"]), Y),
        (pd.DataFrame(W, columns=["a", "b"]), pd.DataFrame(Y, columns=["a", "b"])),
        (
            pd.DataFrame(W[:, ::-1], columns=["b", "a"]).assign(c=-1.0),
            pd.DataFrame(Y, columns=["a", "b"]),
        ),
        (pd.DataFrame(W).astype("Float64"), Y),
        (sp.csr_matrix(W), Y),
        (sp.coo_array(W), Y),
        (sp.csc_matrix(W), sp.csr_matrix(Y)),
        (sp.coo_array(W), sp.coo_array(Y)),
        (W, sp.csc_array(Y)),
    ],
)
def test_every_form_gives_the_same_weights(weight, y):
    found = check_weights(weight, 3, y)
    rows, tasks = np.indices(W.shape).reshape(2, -1)
    of_labels = label_weights(found, rows, tasks)
    assert type(of_labels) is np.ndarray
    np.testing.assert_array_equal(of_labels, W.ravel())
    # What is not sparse may be as large as y only where y is.
    assert sp.issparse(found) == (sp.issparse(y) and sp.issparse(weight))


def test_weights_of_samples():
    weight = np.array([1.0, 0.0, 2.0])
    for y in (None, Y, Y[:, 0]):
        for given in (weight, weight.tolist(), pd.Series(weight)):
            np.testing.assert_array_equal(check_weights(given, 3, y), weight)
        np.testing.assert_array_equal(check_weights(2.0, 3, y), np.full(3, 2.0))
    assert check_weights(None, 3, Y) is None
    rows, tasks = np.array([2, 0, 2]), np.array([0, 1, 1])
    np.testing.assert_array_equal(label_weights(weight, rows, tasks), [2.0, 1.0, 2.0])


FRAME = pd.DataFrame(Y, columns=["a", "b"])


@pytest.mark.parametrize(
    ("weight", "y", "message"),
    [
        ([1.0, 2.0], None, r"shape \(3,\), got \(2,\)"),
        ([1.0, 2.0], Y, r"shape \(3,\) or \(3, 2\), got \(2,\)"),
        (np.ones((3, 3)), Y, r"shape \(3,\) or \(3, 2\), got \(3, 3\)"),
        (np.ones((3, 2, 4)), np.ones((3, 2, 4)), r"or \(3, 2\), got \(3, 2, 4\)"),
        (np.ones((3, 1)), Y[:, 0], "1D array"),
        (np.ones((3, 1)), None, "1D array"),
        ([1.0, -2.0, 1.0], None, "not be negative, got -2"),
        (-W, Y, "not be negative, got -3"),
        ([1.0, np.nan, 1.0], None, "contains NaN; .* 0 leaves a label out"),
        (np.where(W > 0, W, np.nan), Y, "contains NaN"),
        ([1.0, np.inf, 1.0], None, "infinity"),
        ([0.0, 0.0, 0.0], None, "all weights are zero"),
        (sp.csr_array((3, 2)), sp.csr_array(Y), "all weights are zero"),
        (FRAME[["a"]], FRAME, r"a column for each column of y; \['b'\] are not"),
        (np.ma.masked_array(np.ones(3), [0, 1, 0]), None, "holds masked"),
    ],
)
def test_bad_weights(weight, y, message):
    with pytest.raises(ValueError, match=message):
        check_weights(weight, 3, y)


NAMES = np.array(["a", "b", "c"])


def test_task_weights_by_order_or_name():
    assert read_task_weights(None, NAMES) is None
    for given in ([2, 0, 1], {"b": 0, "a": 2}, pd.Series({"c": 1, "b": 0, "a": 2})):
        np.testing.assert_array_equal(read_task_weights(given, NAMES), [2.0, 0.0, 1.0])
    numbers = np.array([10, 20])
    np.testing.assert_array_equal(read_task_weights({20: 5.0}, numbers), [1.0, 5.0])
    mixed = np.array([1, "1"], dtype=object)
    np.testing.assert_array_equal(read_task_weights({"1": 5.0}, mixed), [1.0, 5.0])


def test_task_weights_of_unknown_tasks():
    with pytest.warns(UserWarning, match=r"such as \['z'\], which are not in y"):
        weight = read_task_weights({"z": 3.0, "b": 2.0}, NAMES)
    np.testing.assert_array_equal(weight, [1.0, 2.0, 1.0])
    with pytest.raises(ValueError, match=r"such as \['z'\], none of which is in y"):
        read_task_weights({"z": 3.0}, NAMES)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ([1.0, 2.0], r"each of the 3 tasks, .* got shape \(2,\)"),
        (2.0, r"got shape \(\)"),
        ([1.0, -1.0, 1.0], "not negative, got -1 for task b"),
        ({"c": np.nan}, "finite and not negative, got nan for task c"),
        ([0, 0, 0], "positive for some task, got only zeros"),
    ],
)
def test_bad_task_weights(weight, message):
    with pytest.raises(ValueError, match=message):
        read_task_weights(weight, NAMES)
