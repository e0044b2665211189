"""Labels of every kind of array and frame, as values and what is missing of them."""

import datetime
import re

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from sparsedis import GroupLassoSVMMetaLearner
from sparsedis.datasets import split_classes
from sparsedis.episodes import EpisodeSampler
from sparsedis.inputs._classes import decode_classes, encode_classes
from sparsedis.inputs._forms import read_targets
from sparsedis.inputs._values import (
    complete_labels,
    is_missing,
    read_values,
    unboxed,
)
from sparsedis.svm import GroupLassoSVC

NAN = np.nan
NAT = np.datetime64("NaT")


def read(y, n, task=None, real=True):
    return read_targets(y, n, task, real=real, estimator="Estimator")


class OtherFrame:
    """A frame of another library than pandas, such as polars."""

    columns = ("a", "b")
    shape = (2, 2)

    def __array__(self, dtype=None, copy=None):
        return np.array([[1, NAN], [0, 2]], dtype=dtype)


@pytest.mark.parametrize(
    "y",
    [
        [[1, NAN], [0, 2]],
        OtherFrame(),
        np.ma.masked_array([[1, -999], [0, 2]], [[0, 1], [0, 0]]),
        np.ma.masked_array([[1.0, NAN], [0.0, 2.0]], [[0, 1], [0, 0]]),
        np.array([[1, None], [0, 2]], dtype=object),
        pd.DataFrame([[1, NAN], [0, 2]]).astype("Int64"),
        pd.DataFrame([[1, NAN], [0, 2]]).astype("Float32"),
        pd.DataFrame([[1, NAN], [0, 2]]).astype({0: "boolean", 1: "Int8"}),
        pd.DataFrame([[1, NAN], [0, 2]]).astype({0: "Int64"}),
        pd.DataFrame([[1, NAN], [0, 2]]).astype(pd.SparseDtype(float, NAN)),
        pd.DataFrame([[1, NAN], [0, 2]]).astype({1: pd.SparseDtype(float, NAN)}),
    ],
)
def test_numbers_are_the_same_in_every_container(y):
    np.testing.assert_array_equal(read(y, 2).values, [[1, NAN], [0, 2]])
    targets = read(y, 2, real=False)
    classes = encode_classes(targets)[1]
    assert [own.tolist() for own in classes] == [[0, 1], [2]]
    assert all(own.dtype.kind in "bif" for own in classes)


@pytest.mark.parametrize(
    ("values", "missing"),
    [
        (np.array([1.0, NAN]), [False, True]),
        (np.array([1 + 0j, NAN]), [False, True]),
        (np.array(["2020", "NaT"], dtype="M8[D]"), [False, True]),
        (np.array([3, "NaT"], dtype="m8[s]"), [False, True]),
        (np.array([0, 1]), [False, False]),
        (np.array(["a", None, pd.NA, pd.NaT, NAN, NAT], dtype=object), [0] + 5 * [1]),
    ],
)
def test_what_is_missing(values, missing):
    np.testing.assert_array_equal(is_missing(values), missing)


@pytest.mark.parametrize(
    "dates",
    [
        np.array(["2020", "2021", "NaT", "2020"], dtype="M8[s]"),
        pd.Series(pd.to_datetime(["2020", "2021", None, "2020"])),
        pd.Series(pd.to_datetime(["2020", "2021", None, "2020"], utc=True)),
        pd.Series([1, 2, None, 1], dtype="timedelta64[ns]"),
        [datetime.date(2020, 1, 1), datetime.date(2021, 1, 1), None] * 1
        + [datetime.date(2020, 1, 1)],
    ],
)
def test_dates_are_classes_but_no_numbers(dates):
    with pytest.raises(ValueError, match="y must hold real numbers"):
        read(dates, 4)
    targets, classes = encode_classes(read(dates, 4, real=False))
    assert targets.rows.tolist() == [0, 1, 3]
    assert targets.values.tolist() == [0, 1, 0]
    assert len(classes[0]) == 2
    with pytest.raises(ValueError, match="y must hold real numbers"):
        read(pd.DataFrame({"a": dates, "b": 1.0}), 4)


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([1, 2], int),
        ([True, False], bool),
        ([1, 2.5], float),
        ([True, 1], object),
        (["a", "b"], object),
        ([1, "a"], object),
        ([2**70, 1], object),
        ([2**63, -1], float),
        ([2**53 + 1, 0.5], object),
    ],
)
def test_objects_become_numbers_where_that_changes_none(values, dtype):
    array = np.array(values, dtype=object)
    assert unboxed(array).dtype == dtype
    assert unboxed(array).tolist() == values


@pytest.mark.parametrize(
    "y",
    [
        [[2**60, 0.0], [2**60 + 1, 1.0]],
        ([2**60, NAN], [2**60 + 1, 1]),
        [[2**63, -1], [2**63 + 1, -2]],
        pd.DataFrame({"a": [2**60, 2**60 + 1], "b": [1.0, 2.0]}),
        pd.DataFrame({"a": np.array([0, 1], np.uint64) + 2**63, "b": [-1, -2]}),
    ],
)
def test_integers_beside_floats_stay_apart(y):
    first = encode_classes(read(y, 2, real=False))[1][0]
    assert first.dtype.kind in "iu"
    assert first[1] - first[0] == 1
    assert first[0] in (2**60, 2**63)


@pytest.mark.parametrize("values", [[0.5, 2**60], [2**60, NAN, 1], [1e300, 2.0]])
def test_large_floats_are_no_other_classes_in_an_array(values):
    y = np.array(values)
    values, missing = read_values(y, real=False)
    assert values.dtype == float
    np.testing.assert_array_equal(values, y)
    np.testing.assert_array_equal(missing, np.isnan(y))


@pytest.mark.parametrize(
    ("classes", "dtype", "labels"),
    [
        ([np.array([3, 4]), np.array([5, 6])], int, [4, 5]),
        ([np.array([3, 2**63 - 1]), np.array([0.5])], object, [2**63 - 1, 0.5]),
        ([np.array([3, 2**63 - 1]), np.array([])], object, [2**63 - 1, None]),
        (
            [np.array([0, 2**63 + 1], np.uint64), np.array([-1])],
            object,
            [2**63 + 1, -1],
        ),
        ([np.array([0, 2**53]), np.array([0.5])], float, [2**53, 0.5]),
        ([np.array([False, True]), np.array([7])], int, [1, 7]),
        ([np.array(["a", "b"]), np.array([7])], object, ["b", 7]),
        ([np.array(["a", "b"]), np.array([])], object, ["b", None]),
    ],
)
def test_labels_of_all_tasks_come_back_as_they_are(classes, dtype, labels):
    decoded = decode_classes(np.array([[1, 0]]), np.arange(2), classes)
    assert decoded.dtype == dtype
    assert decoded.tolist() == [labels]


@pytest.mark.parametrize("unit", ["M8[D]", "m8[s]"])
def test_dates_of_tasks_without_labels_are_not_a_time(unit):
    classes = [np.array([3, 4], dtype=unit), np.array([])]
    decoded = decode_classes(np.array([[1, 0], [0, 0]]), np.arange(2), classes)
    assert decoded.dtype == unit
    assert decoded[:, 0].tolist() == classes[0][::-1].tolist()
    assert np.isnat(decoded[:, 1]).all()


@pytest.mark.parametrize("form", ["wide", "long", "sparse"])
@pytest.mark.parametrize("factor", [1e-200, 1e-170, 1e151, 1e160, 1e300])
def test_numbers_that_cannot_be_squared_are_refused(form, factor):
    y, task = np.array([[1.0, factor], [2.0, -2 * factor]]), None
    if form == "sparse":
        y = sp.csr_array(y)
    elif form == "long":
        y, task = y.ravel(), [0, 1, 0, 1]
    message = re.escape(f"up to {2 * factor:.3g} in magnitude in task 1, whose")
    with pytest.raises(ValueError, match=message):
        read(y, len(y) if task else 2, task)
    # Small ones beside large ones, or zero, are as good as any.
    assert read([[1e-200], [1.0]], 2).counts() == 2
    assert read(np.zeros((2, 1)), 2).counts() == 2


@pytest.mark.parametrize("kind", [sp.coo_array, sp.coo_matrix, sp.csr_array])
def test_entries_that_are_stored_twice_are_refused(kind):
    y = sp.coo_array(([1.0, 3.0, 5.0], ([0, 2, 2], [1, 0, 0])), shape=(3, 2))
    if kind is sp.csr_array:
        indptr, indices = [0, 1, 1, 3], [1, 0, 0]
        y = kind(([1.0, 3.0, 5.0], indices, indptr), shape=(3, 2))
    y = kind(y) if kind is sp.coo_matrix else y
    for real in (True, False):
        with pytest.raises(ValueError, match=r"several entries .* in row 2 of task 0"):
            read(y, 3, real=real)
    y.sum_duplicates()
    assert read(y, 3).values.tolist() == [8.0, 1.0]


@pytest.mark.parametrize("kind", ["coo", "csr", "csc", "lil", "dok", "bsr", "dia"])
def test_sparse_formats_are_read_alike(kind):
    dense = np.diag([3.0, 1.0, 2.0])
    targets = read(sp.coo_array(dense).asformat(kind), 3)
    kept = targets.values != 0
    assert targets.values[kept].tolist() == [3.0, 1.0, 2.0]
    assert targets.rows[kept].tolist() == targets.tasks[kept].tolist() == [0, 1, 2]


def test_masked_weights_and_infinite_classes_are_refused():
    with pytest.raises(ValueError, match="infinity, which is not a class"):
        encode_classes(read(np.array([[1, "a"], [np.inf, "b"]], object), 2, real=False))
    masked = np.ma.masked_array([np.inf, 1.0], [1, 0])
    missing = read_values(masked, real=False)[1]
    assert missing.tolist() == [True, False]


@pytest.mark.parametrize(
    "fit",
    [
        GroupLassoSVC().fit,
        GroupLassoSVMMetaLearner("identity").fit,
        lambda X, y: EpisodeSampler(y, n_ways=2, n_shots=1, n_queries=1),
        lambda X, y: split_classes(y, [0.5, 0.5]),
    ],
)
@pytest.mark.parametrize(
    ("y", "message"),
    [
        (["a", "b", NAN, "b"], "for every sample; 1 of 4 are missing"),
        (("a", "b", None, "b"), "for every sample; 1 of 4 are missing"),
        (pd.Series(["a", "b", pd.NA, "b"], dtype="string"), "1 of 4 are missing"),
        (np.array(["a", "b", NAN, "b"], dtype=object), "1 of 4 are missing"),
        (["a", "b", 1, "b"], r"one type per task, got \['int', 'str'\]"),
    ],
)
def test_labels_of_a_single_task_must_be_complete(fit, y, message):
    with pytest.raises(ValueError, match=message):
        fit(np.eye(4), y)


@pytest.mark.parametrize(
    ("y", "kind"),
    [
        (["a", "b"], "U"),
        ([1, 2], "i"),
        ([True, False], "b"),
        ([np.datetime64("2020-01-01")] * 2, "M"),
        (np.array([1, 2], dtype=object), "i"),
        (pd.Series(["a", "b"], dtype=object), "O"),
        ([[1], [2]], "i"),
    ],
)
def test_complete_labels_have_the_dtype_that_numpy_gives(y, kind):
    found = complete_labels(y)
    assert found.dtype.kind == kind
    assert found.shape == (2,)


def test_text_among_numbers_is_shown_as_it_is():
    with pytest.raises(ValueError, match="could not convert string to float: 'a'"):
        read(np.full((4, 2), "a"), 4)
