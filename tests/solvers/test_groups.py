"""Algebra of row groups against plain loops and automatic differentiation."""

import pytest
import torch
from numpy.testing import assert_allclose

from sparsedis.solvers._groups import (
    Rows,
    add_blocks,
    directions,
    penalty_hessian,
    smoothed_curvature,
)


@pytest.fixture
def W():
    generator = torch.Generator().manual_seed(0)
    W = torch.randn(3, 5, 2, dtype=torch.float64, generator=generator)
    W[0, 1] = 0.0
    W[1] = 0.0
    W[2, 2:] = 0.0
    return W


def test_directions_are_unit_rows_or_zero(W):
    norm = torch.linalg.vector_norm(directions(W), dim=-1)
    assert_allclose(norm, (W != 0).any(-1))


def test_penalty_hessian_is_the_second_derivative(W):
    blocks = penalty_hessian(W, torch.tensor([[0.5], [1.0], [2.0]]))
    for t, strength in enumerate((0.5, 1.0, 2.0)):
        for j in range(5):
            if not W[t, j].any():
                assert not blocks[t, j].any()
                continue
            expected = torch.autograd.functional.hessian(
                lambda w, strength=strength: strength * w.norm(), W[t, j]
            )
            assert_allclose(blocks[t, j], expected, atol=1e-12)


def test_smoothed_curvature_is_positive_semi_definite(W):
    u, v = directions(W), 0.9 * directions(W.roll(1, -1))
    values = torch.linalg.eigvalsh(smoothed_curvature(u, v, torch.ones(3, 5)))
    assert (values > -1e-12).all()


def test_rows_gather_what_they_scatter(W):
    rows = Rows((W != 0).any(-1))
    assert rows.index.shape == rows.valid.shape == (3, 4)
    assert rows.valid.sum(-1).tolist() == [4, 0, 2]
    assert torch.equal(rows.scatter(rows.gather(W)), W)
    assert rows.index[0].tolist() == [0, 2, 3, 4]
    flat = W[..., 0]
    assert torch.equal(rows.scatter(rows.gather(flat)), flat)
    # What does not belong to a task is dropped on either way.
    assert torch.equal(rows.scatter(torch.ones(3, 4)) > 0, (W != 0).any(-1))
    assert torch.equal(rows.gather(torch.ones(3, 5)) > 0, rows.valid)


@pytest.mark.parametrize("n_matrices", [1, 3])
def test_rows_take_blocks_of_matrices(W, n_matrices):
    rows = Rows((W != 0).any(-1))
    matrix = torch.arange(25.0 * n_matrices).reshape(n_matrices, 5, 5)
    block = rows.block(matrix)
    for t in range(3):
        index = rows.index[t]
        expected = matrix[t if n_matrices > 1 else 0][index][:, index]
        assert torch.equal(block[t], expected)


def test_blocks_are_added_to_the_diagonal(W):
    generator = torch.Generator().manual_seed(0)
    hessian = torch.randn(3, 5, 2, 5, 2, generator=generator)
    blocks = torch.randn(3, 5, 2, 2, generator=generator)
    expected = hessian.clone()
    for j in range(5):
        expected[:, j, :, j] += blocks[:, j]
    assert torch.equal(add_blocks(hessian.clone(), blocks), expected)
