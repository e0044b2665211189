"""Dataclasses of arrays and numbers come back from files, and nothing else does."""

import io
from dataclasses import dataclass

import numpy as np
import pytest

from sparsedis import SparseMultiTaskRepresentation
from sparsedis._persistence._saved_records import join_records, split_records
from sparsedis._persistence._saved_state import Malformed
from sparsedis.datasets import make_sparse_tasks


@dataclass
class Found:
    heads: np.ndarray
    criterion: float
    criteria: dict
    n: int


RECORDS = (("found_", Found), ("other_", Found))


class Recorded(SparseMultiTaskRepresentation):
    _saved = SparseMultiTaskRepresentation._saved._replace(
        records=(*SparseMultiTaskRepresentation._saved.records, *RECORDS)
    )


@pytest.mark.filterwarnings("ignore:No head uses features:UserWarning")
def test_records_come_back_with_a_model():
    X, Y = make_sparse_tasks(60, 5, n_factors=3, random_state=0)
    params = {"n_components": 3, "rotation": None, "max_iter": 1, "random_state": 0}
    est = Recorded(**params).fit(X, Y)
    est.found_ = Found(np.eye(2), np.float64(0.5), {"random": np.float32(1.5)}, 3)
    file = io.BytesIO()
    est.save_params(file)
    file.seek(0)
    copy = Recorded(**params)
    copy.other_ = "of an earlier fit"
    copy.load_params(file)
    assert vars(copy).keys() == vars(est).keys()
    np.testing.assert_array_equal(copy.found_.heads, np.eye(2))
    assert (copy.found_.criterion, copy.found_.n) == (0.5, 3)
    assert copy.found_.criteria == {"random": 1.5}


def test_both_halves_of_a_record_are_needed():
    record = Found(np.eye(2), 0.5, {}, 3)
    arrays, plain = split_records({"found_": record, "x_": 1}, RECORDS)
    assert list(arrays) == ["found_.heads"]
    assert plain == {"found_": {"criterion": 0.5, "criteria": {}, "n": 3}}
    for change, message in (
        ({"found_": None}, "found_ is a NoneType, not a dict"),
        ({"found_": {}}, "it lacks 'criteria', 'criterion', 'n'"),
        ({"found_": plain["found_"] | {"x": 1}}, "it holds 'x', which no model has"),
        ({"found_": plain["found_"] | {"n": 3.5}}, "n of found_ is 3.5"),
        ({"found_": plain["found_"] | {"n": True}}, "n of found_ is True"),
        ({"found_": plain["found_"] | {"criteria": []}}, r"criteria of found_ is \[\]"),
        ({"other_": plain["found_"]}, "it lacks 'heads'"),
    ):
        with pytest.raises(Malformed, match=message):
            join_records(dict(arrays), plain | change, RECORDS)
    with pytest.raises(Malformed, match="found_ is a NoneType"):
        join_records(dict(arrays), {}, RECORDS)
    assert join_records({}, {}, RECORDS) == {}
