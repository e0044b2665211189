"""Saddle-point systems: regular, of low rank, with unknowns that do not matter."""

import pytest
import torch
from numpy.testing import assert_allclose

from sparsedis.solvers.svm.saddle import SaddlePoint


@pytest.mark.parametrize("constrained", [False, True])
def test_saddle_point(constrained):
    generator = torch.Generator().manual_seed(0)
    F = torch.randn(2, 6, 9, dtype=torch.float64, generator=generator)
    A = F @ F.mT
    E = torch.randn(2, 6, 2, dtype=torch.float64, generator=generator)
    r = torch.randn(2, 3, 2, dtype=torch.float64, generator=generator)
    q = torch.randn(2, 2, dtype=torch.float64, generator=generator)
    if not constrained:
        x, a = SaddlePoint(A.clone()).solve(r)
        assert a is None
        assert_allclose(A @ x.reshape(2, 6, 1), r.reshape(2, 6, 1), atol=1e-12)
        return
    x, a = SaddlePoint(A.clone(), E).solve(r, q)
    x = x.reshape(2, 6, 1)
    assert_allclose(A @ x + E @ a[..., None], r.reshape(2, 6, 1), atol=1e-12)
    assert_allclose(E.mT @ x, q[..., None], atol=1e-12)


def test_saddle_point_of_low_rank():
    generator = torch.Generator().manual_seed(0)
    F = torch.randn(1, 6, 3, dtype=torch.float64, generator=generator)
    A, right = F @ F.mT, F @ torch.ones(1, 3, 1, dtype=torch.float64)
    system = SaddlePoint(A.clone(), singular=1e-10)
    assert bool(system.singular().all())
    x, _ = system.solve(right)
    assert_allclose(A @ x, right, atol=1e-10)
    assert float(x.norm()) < 10
