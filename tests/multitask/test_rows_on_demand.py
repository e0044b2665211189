"""Inputs that do not fit in memory."""

import h5py
import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from sparsedis.datasets import make_sparse_tasks
from sparsedis.inputs._rows import distinct_rows
from tests.multitask._few_steps import quick

# After a few steps features are not used, or not to be trusted.
pytestmark = pytest.mark.filterwarnings(
    "ignore:(No head|.* may not be|The encoder overfits|A separate Ridge):UserWarning"
)


@pytest.fixture(scope="module")
def data():
    return make_sparse_tasks(150, 12, n_factors=4, return_bunch=True, random_state=0)


@pytest.fixture(scope="module")
def in_memory(data, rotation):
    """A table, and an estimator that was fitted to it in memory."""
    # In memory, rows are put in an order of their own.
    order, _ = distinct_rows(data.data)
    X, Y = data.data[order].astype(np.float32), data.target[order]
    return X, Y, quick(rotation=rotation).fit(X, Y)


@pytest.mark.parametrize("kind", ["memory map", "hdf5", "dataset"])
def test_inputs_are_read_on_demand(in_memory, kind, tmp_path, rotation):
    X, Y, expected = in_memory
    if kind == "memory map":
        np.save(tmp_path / "x.npy", X)
        lazy = np.load(tmp_path / "x.npy", mmap_mode="r")
    elif kind == "hdf5":
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file["x"] = X
        lazy = h5py.File(tmp_path / "x.h5")["x"]
    else:
        lazy = TensorDataset(torch.from_numpy(X))
    est = quick(rotation=rotation).fit(lazy, Y)
    np.testing.assert_array_equal(est.transform(lazy), expected.transform(X))
    np.testing.assert_array_equal(est.predict(lazy), expected.predict(X))
    assert est.score(lazy, Y) == expected.score(X, Y)
    assert est.n_features_in_ == 4
    if kind == "hdf5":
        lazy.file.close()
