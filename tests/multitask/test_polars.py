"""Frames of polars, in and out, give what those of pandas do."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from sparsedis import (
    SparseMultiTaskClassifier,
    SparseMultiTaskMixed,
    SparseMultiTaskRepresentation,
)
from sparsedis.datasets import make_sparse_tasks

# Few steps leave features unsettled.
pytestmark = [
    pytest.mark.filterwarnings(rf"ignore:{message}:UserWarning")
    for message in (
        "No head uses",
        ".* may not be factors",
        "The (tasks use all|encoder|features)",
        "A (separate )?Ridge",
    )
]

N, T = 100, 6
QUICK = {"max_iter": 3, "random_state": 0}


@pytest.fixture(scope="module")
def frames():
    """X and numbers Y with gaps, as frames of pandas."""
    X, Y = make_sparse_tasks(N, T, 3, random_state=0)
    Y[::7, 2] = np.nan
    return pd.DataFrame(X, columns=list("abc")), pd.DataFrame(Y).add_prefix("t")


def to_polars(frame):
    return pl.DataFrame(
        {
            name: [None if pd.isna(v) else v for v in column]
            for name, column in frame.items()
        }
    )


def test_numbers(frames):
    X, Y = map(to_polars, frames)
    assert Y["t2"].null_count() > 0
    est = SparseMultiTaskRepresentation(**QUICK).set_output(transform="polars")
    Z = est.fit(X, Y).transform(X)
    assert isinstance(Z, pl.DataFrame)
    assert Z.columns == est.get_feature_names_out().tolist()
    same = SparseMultiTaskRepresentation(**QUICK).fit(*frames)
    np.testing.assert_array_equal(est.feature_names_in_, same.feature_names_in_)
    np.testing.assert_array_equal(est.tasks_, same.tasks_)
    np.testing.assert_array_equal(est.predict(X), same.predict(frames[0]))
    assert est.score(X, Y) == same.score(*frames)


def test_classes_and_weights(frames):
    labels = frames[1].map(lambda v: None if np.isnan(v) else "yes" if v > 0 else "no")
    weight = pd.DataFrame(
        np.linspace(1, 2, N * T).reshape(N, T), columns=labels.columns
    )
    est, same = (
        SparseMultiTaskClassifier(2, **QUICK).fit(
            make(frames[0]), make(labels), sample_weight=make(weight)
        )
        for make in (to_polars, pd.DataFrame)
    )
    np.testing.assert_array_equal(est.coef_, same.coef_)
    assert [c.tolist() for c in est.classes_] == [c.tolist() for c in same.classes_]


def test_the_long_form(frames):
    X, y = to_polars(frames[0]), pl.Series(frames[1]["t0"].tolist())
    task = pl.Series(["u", "v"] * (N // 2))
    est = SparseMultiTaskRepresentation(2, **QUICK).fit(X, y, task=task)
    assert est.tasks_.tolist() == ["u", "v"]
    assert np.isfinite(est.predict(X, task=task)).all()


def test_tasks_of_several_types(frames):
    mixed = frames[1].copy()
    mixed["t1"] = np.where(mixed["t1"] > 0, "yes", "no")
    mixed["t3"] = mixed["t3"] > 0
    est, same = (
        SparseMultiTaskMixed(2, **QUICK).fit(make(frames[0]), make(mixed))
        for make in (to_polars, pd.DataFrame)
    )
    np.testing.assert_array_equal(est.task_types_, same.task_types_)
    assert est.task_types_[1] == est.task_types_[3] == "binary"
    np.testing.assert_array_equal(est.coef_, same.coef_)
    # A table of pandas is given back only for one of pandas.
    assert isinstance(est.predict(to_polars(frames[0])), np.ndarray)
