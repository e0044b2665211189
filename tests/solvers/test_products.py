"""Products of features that tasks may share equal those of each task."""

import pytest
import torch
from numpy.testing import assert_allclose

from sparsedis.solvers._products import Curvature, forward, pull, spread


def make_features(n_tasks, d):
    generator = torch.Generator().manual_seed(0)
    Z = torch.randn(1, 40, 5, generator=generator).double()
    X = torch.randn(n_tasks, 40, d, generator=generator).double()
    W = torch.randn(n_tasks, 5, d, generator=generator).double()
    return Z, X, W


@pytest.mark.parametrize("n_tasks", [0, 1, 9])
@pytest.mark.parametrize("d", [1, 3])
def test_products_with_shared_features(n_tasks, d):
    Z, X, W = make_features(n_tasks, d)
    assert_allclose(forward(Z, W), Z @ W, rtol=1e-12, atol=1e-13)
    assert_allclose(pull(Z, X), Z.mT @ X, rtol=1e-12, atol=1e-13)
    each = X @ W.mT
    assert_allclose(spread(Z, X, W)[0], each.sum(0), rtol=1e-12, atol=1e-13)
    if n_tasks > 1:
        assert_allclose(spread(each, X, W), each, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("block", [2**22, 100])
@pytest.mark.parametrize("n_tasks", [1, 2, 9])
@pytest.mark.parametrize("d", [1, 3])
def test_curvature(monkeypatch, n_tasks, block, d):
    monkeypatch.setattr("sparsedis.solvers._products._BLOCK", block)
    Z, X, _ = make_features(n_tasks, d)
    bends = X.unsqueeze(-1) * X.unsqueeze(-2)
    expected = torch.einsum("ni,tnab,nj->taibj", Z[0], bends, Z[0])
    expected = expected.reshape(n_tasks, 5 * d, 5 * d)
    assert_allclose(Curvature(Z)(bends), expected, rtol=1e-12, atol=1e-13)
    own = Z.expand(n_tasks, -1, -1)
    assert_allclose(Curvature(own)(bends), expected, rtol=1e-12, atol=1e-13)
