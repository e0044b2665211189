"""Factors of which some are replaced: against numpy."""

import numpy as np
import pytest
import torch

from sparsedis.solvers._cholesky import CholeskyFactors

DEVICES = ["cpu", *(["cuda"] * torch.cuda.is_available())]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("size", [1, 7])
def test_systems_are_solved_with_the_last_factors(device, size):
    rng = np.random.default_rng(0)
    A = rng.standard_normal((4, size, size + 2))
    A, x = A @ A.transpose(0, 2, 1), rng.standard_normal((3, size))
    like = torch.zeros(1, dtype=torch.float64, device=device)
    factors = CholeskyFactors(like, 4, size)
    at = torch.tensor([2, 0, 3], device=device)
    rhs = torch.from_numpy(x).to(like)
    # Those of the identity, at first.
    np.testing.assert_allclose(factors.solve(at, rhs).cpu(), x)
    some = torch.tensor([0, 3], device=device)
    factors.replace(some, torch.from_numpy(A[[0, 3]]).to(like))
    found = factors.solve(at, rhs).cpu()
    np.testing.assert_allclose(found[0], x[0])
    for i, y, b in zip((0, 3), found[1:], x[1:], strict=True):
        np.testing.assert_allclose(y, np.linalg.solve(A[i], b))
    np.testing.assert_array_equal(rhs.cpu(), x)
