"""Rows that the labels of two tasks share."""

import numpy as np
import pytest
import scipy.sparse as sp

from sparsedis.inspection import _label_overlap as module


@pytest.mark.parametrize("pairs", [1, 40, 2**24])
@pytest.mark.parametrize("n_tasks", [2, 3, 9])
def test_agrees_with_all_the_pairs(pairs, n_tasks, monkeypatch):
    monkeypatch.setattr(module, "_PAIRS", pairs)
    rng = np.random.default_rng(n_tasks)
    labelled = (rng.random((12, n_tasks)) < 0.4).astype(int)
    labelled[0] = 1
    labelled[:, 0] = np.arange(12) < 1
    shared = (labelled.T @ labelled)[np.triu_indices(n_tasks, 1)]
    # Several labels at one row count once.
    assert module.label_overlap(sp.csc_array(3 * labelled)) == {
        "smallest": shared.min(),
        "median": np.median(shared),
        "n_pairs": len(shared),
        "n_disjoint": 0,
    }


def test_disjoint_tasks():
    found = module.label_overlap(sp.csc_array(np.eye(3, dtype=int)))
    assert found == {"smallest": 0, "median": 0.0, "n_pairs": 3, "n_disjoint": 3}


def test_no_pair():
    assert module.label_overlap(sp.csc_array([[1, 0], [1, 0]])) is None
