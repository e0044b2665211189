"""What is no number in a table is named, with its column and a cure."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data

from sparsedis import SparseMultiTaskClassifier, SparseMultiTaskRepresentation
from sparsedis.inputs._numbers import validate_numbers
from sparsedis.rotation import SparseRotation
from sparsedis.svm import GroupLassoSVC

X = np.random.default_rng(0).standard_normal((8, 3))
GAPS = np.where(np.arange(24).reshape(8, 3) % 11 == 1, np.nan, X)
FRAME = pd.DataFrame(X, columns=["age", "income", "size"])
WORDS = ["a", "b"] * 4


def with_column(values):
    return FRAME.assign(extra=values)


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        (GAPS, r"0 \(1 of 8\), 1 \(1 of 8\), 2 \(1 of 8\)"),
        (GAPS.tolist(), r"0 \(1 of 8\), .*"),
        (np.where(np.isnan(GAPS), None, GAPS), r"0 \(1 of 8\), .*"),
        (FRAME.assign(size=np.nan), r"size \(8 of 8\)"),
        (FRAME.astype("Float64").mask(FRAME.iloc[2, 1] == FRAME), r"income \(1 of 8\)"),
        (
            with_column(pd.array([1, None] * 4, dtype="Int64")),
            r"extra \(4 of 8\)",
        ),
        (with_column(pd.Series([1, None] * 4, dtype=object)), r"extra \(4 of 8\)"),
        (np.full((2, 9), np.nan), r"(\d \(2 of 2\), ){5}\.\.\."),
    ],
)
def test_gaps(table, columns):
    message = (
        rf"^Input X contains NaN, in column\(s\) {columns}\. BaseEstimator needs .*"
        r"SimpleImputer\(add_indicator=True\), StandardScaler\(\), BaseEstimator"
    )
    with pytest.raises(ValueError, match=message):
        validate_numbers(BaseEstimator(), table)


def test_gaps_of_a_sparse_matrix():
    table = sp.csr_array(np.where(np.isnan(GAPS), np.nan, 0.0))
    with pytest.raises(ValueError, match=r"NaN, in column\(s\) 0 \(1 of 8\), 1 "):
        validate_numbers(BaseEstimator(), table, accept_sparse="csr")


@pytest.mark.parametrize(
    ("table", "found"),
    [
        (with_column(WORDS), r"extra hold text, such as 'a'\. .* \['extra'\]\)"),
        (with_column(pd.array(WORDS, dtype="string")), "extra hold text, such as 'a'"),
        (with_column(pd.Series([1, "x"] * 4, dtype=object)), "extra hold .* 'x'"),
        (with_column([None, "x"] * 4), "extra hold text, such as 'x'"),
        (with_column(pd.Categorical(WORDS)), r"extra hold categories\. .* \['extra'\]"),
        (with_column(pd.Categorical([1, 2] * 4)), r"extra hold .*, or .*astype\(float"),
        (np.array([["1", "u"], ["2", "v"]]), r"1 hold text, such as 'u'\. .* \[1\]\)"),
        ([["1", "u"], ["2", "v"]], "1 hold text, such as 'u'"),
    ],
)
def test_what_is_no_number(table, found):
    message = rf"^X must hold numbers; column\(s\) {found}"
    with pytest.raises(ValueError, match=message) as raised:
        validate_numbers(BaseEstimator(), table, dtype=float)
    assert "OneHotEncoder(handle_unknown='ignore'" in str(raised.value)


def test_frames_of_sparse_columns():
    table = FRAME.astype(pd.SparseDtype(float, np.nan))
    with pytest.raises(ValueError, match=r"sparse columns .* X.sparse.to_dense\(\)"):
        validate_numbers(BaseEstimator(), table, dtype=float)


@pytest.mark.parametrize(
    "table",
    [
        X,
        FRAME,
        FRAME.astype("Float64"),
        with_column(pd.array([True, False] * 4, dtype="boolean")),
        [["1", "2"], ["3", "4"]],
    ],
)
def test_numbers_are_those_of_scikit_learn(table):
    found = validate_numbers(BaseEstimator(), table, dtype=float)
    expected = validate_data(BaseEstimator(), table, dtype=float)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"X": np.where(X[0, 0] == X, np.inf, X)}, "^Input X contains infinity"),
        ({"X": X[0]}, "^Expected 2D array"),
        ({"X": np.full((2, 2, 2), np.nan), "allow_nd": True}, "^Input X contains NaN."),
        ({"X": X, "y": np.full(8, np.nan)}, "^Input y contains NaN"),
        (
            {"X": X, "y": np.array(WORDS, dtype=object), "y_numeric": True},
            "^could not convert string",
        ),
    ],
)
def test_other_errors_are_those_of_scikit_learn(params, message):
    with pytest.raises(ValueError, match=message):
        validate_numbers(BaseEstimator(), **params)


@pytest.mark.parametrize(
    "est",
    [
        SparseMultiTaskRepresentation(2, rotation=None, max_iter=1, random_state=0),
        SparseMultiTaskClassifier(2, rotation=None, max_iter=1, random_state=0),
        SparseRotation(2),
        GroupLassoSVC(),
    ],
)
@pytest.mark.filterwarnings("ignore:(No head uses|.* may not be factors):UserWarning")
def test_estimators_in_fit_and_predict(est):
    Y = np.stack([X[:, 0] > 0, X[:, 1] > 0], 1).astype(float)
    y = Y[:, 0] if isinstance(est, GroupLassoSVC) else Y
    gaps = FRAME.assign(size=np.nan)
    name = type(est).__name__
    message = rf"column\(s\) size \(8 of 8\)\. {name} needs"
    with pytest.raises(ValueError, match=message):
        est.fit(gaps, y)
    with pytest.raises(ValueError, match="extra hold text"):
        est.fit(with_column(WORDS), y)
    est.fit(FRAME, y)
    with pytest.raises(ValueError, match=message):
        est.predict(gaps)
