"""Scores of heads, in blocks of rows."""

import numpy as np
import pytest

from sparsedis._head_scores import head_scores


@pytest.mark.parametrize("n_outputs", [None, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scores_keep_large_intercepts(n_outputs, dtype):
    rng = np.random.default_rng(0)
    shape = (5,) if n_outputs is None else (5, n_outputs)
    Z = rng.standard_normal((20, 2)).astype(dtype)
    coef, intercept = rng.standard_normal((*shape, 2)), 1.7e9 + rng.random(shape)
    expected = np.einsum("nk,...k->n...", Z.astype(float), coef) + intercept
    scores = head_scores(Z, coef, intercept)
    assert scores.dtype == np.float64
    np.testing.assert_allclose(scores, expected, rtol=1e-15)
    tasks = rng.integers(0, 5, 20)
    np.testing.assert_allclose(
        head_scores(Z, coef, intercept, tasks),
        expected[np.arange(20), tasks],
        rtol=1e-15,
    )
