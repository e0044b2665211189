"""Features of either kind against dense algebra in numpy."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from numpy.testing import assert_allclose

from sparsedis.solvers.svm.features import Features


@pytest.mark.parametrize("mean", [False, True])
def test_features_are_read_as_they_are(mean):
    X = np.random.default_rng(0).standard_normal((20, 7)) * (np.arange(7) % 2)
    mean = X.mean(0) if mean else None
    D = torch.randn(20, 3, dtype=torch.float64)
    expected = X if mean is None else X - mean
    for features in (Features(X, mean), Features(sp.csr_array(X), mean)):
        assert_allclose(features.pull(D), D.numpy().T @ expected, atol=1e-12)
        assert_allclose(features.columns(), expected, atol=1e-15)
        index = np.array([4, 1])
        assert_allclose(features.columns(index), expected[:, index], atol=1e-15)
