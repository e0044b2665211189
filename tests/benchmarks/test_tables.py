"""Rows of the benchmark of tables."""

import pytest

from benchmarks.paper._runner import ADDED
from benchmarks.tables.__main__ import _CLASSES, _NUMBERS


@pytest.mark.parametrize("results", [_NUMBERS, _CLASSES])
def test_no_column_occurs_twice(results):
    columns = [*results, *ADDED]
    assert len(set(columns)) == len(columns)
