"""Fitted ensembles that several files test."""

import numpy as np
import pandas as pd
import pytest

from sparsedis import (
    SparseMultiTaskClassifier,
    SparseMultiTaskEnsemble,
    SparseMultiTaskRepresentation,
)
from sparsedis.datasets import make_sparse_tasks


@pytest.fixture(scope="session")
def data():
    return make_sparse_tasks(80, 20, n_factors=3, return_bunch=True, random_state=0)


@pytest.fixture(scope="session")
def frame(data):
    return pd.DataFrame(data.data, columns=["u", "v", "w"])


@pytest.fixture(scope="session")
def regression(data, frame):
    Y = np.where(np.random.default_rng(0).random(data.target.shape) < 0.8, 1.0, np.nan)
    base = SparseMultiTaskRepresentation(3, max_iter=40)
    ensemble = SparseMultiTaskEnsemble(base, n_estimators=3, random_state=0)
    return ensemble.fit(frame, data.target * Y)


@pytest.fixture(scope="session")
def classification(data):
    Y = np.where(data.target > 0, "yes", "no").astype(object)
    Y[:30, 0] = None
    base = SparseMultiTaskClassifier(3, rotation=None, max_iter=20)
    return SparseMultiTaskEnsemble(base, n_estimators=2, random_state=0).fit(
        data.data, Y
    )
