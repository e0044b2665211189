"""Directions along faces of the simplices, against their definition in classes."""

import numpy as np
import torch
from numpy.testing import assert_allclose

from sparsedis.solvers.svm.faces import face_projector, face_system, project_gram
from sparsedis.solvers.svm.simplices import Simplices

FACE = torch.tensor(
    [
        [[1, 1, 1, 1], [1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 1, 1]],
        [[0, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 1], [1, 1, 0, 1]],
    ]
).bool()


def make_simplices(fit_intercept=False):
    y = torch.tensor([[0, 1, 2, 3], [3, 1, 0, 2]])
    weight = torch.tensor([[1.0, 2.0, 0.5, 1.0], [1.0, 1.0, 3.0, 2.0]]).double()
    return Simplices.build(y, weight, 4, fit_intercept=fit_intercept)


def make_hessian():
    generator = torch.Generator().manual_seed(0)
    F = torch.randn(2, 12, 12, dtype=torch.float64, generator=generator)
    return F @ F.mT


def test_projector_keeps_the_moves_that_stay_on_the_face():
    simplices = make_simplices()
    blocks = face_projector(FACE, simplices)
    assert_allclose(blocks @ blocks, blocks, atol=1e-14)
    assert_allclose(blocks.mT, blocks, atol=1e-15)
    # A face with k vertices has k - 1 dimensions.
    rank = torch.linalg.matrix_rank(blocks)
    assert np.array_equal(rank, FACE.sum(-1) - 1)
    # In classes, a projected move leaves the entries off the face where they are.
    moves = simplices.basis.unsqueeze(1) @ blocks
    assert_allclose(moves * ~FACE.unsqueeze(-1), 0, atol=1e-15)
    assert_allclose(moves.sum(2), 0, atol=1e-15)


def project(H):
    """Return ``Pi H Pi`` as a function of the blocks of Pi."""
    return lambda blocks: torch.stack(
        [
            torch.block_diag(*P) @ A @ torch.block_diag(*P)
            for P, A in zip(blocks, H, strict=True)
        ]
    )


def test_project_gram_applies_the_projector_on_both_sides():
    blocks, H = face_projector(FACE, make_simplices()), make_hessian()
    gram = H[:, :4, :4]
    expected = project([torch.kron(A, torch.eye(3).double()) for A in gram])(blocks)
    assert_allclose(project_gram(gram, blocks), expected, atol=1e-13)


def test_system_of_a_face_is_solved_on_the_face():
    simplices, H = make_simplices(fit_intercept=True), make_hessian()
    matrix, border, blocks = face_system(simplices, FACE, project(H))
    for t in range(2):
        P = torch.block_diag(*blocks[t])
        assert_allclose(border[t], P @ simplices.border[t], atol=1e-14)
        right = P @ torch.arange(12.0).double()
        x = torch.linalg.solve(matrix[t], right)
        # The minimum-norm solution on the range of the projector.
        expected = torch.linalg.pinv(P @ H[t] @ P, rtol=1e-10) @ right
        assert_allclose(x, expected, atol=1e-10)


def test_system_of_a_matrix_of_zeros_leaves_everything_where_it_is():
    simplices = make_simplices()
    zeros = torch.zeros(2, 12, 12).double()
    matrix, border, _ = face_system(simplices, FACE, project(zeros))
    assert border is None
    assert_allclose(torch.linalg.solve(matrix, torch.zeros(2, 12, 1).double()), 0)
