"""Cholesky factors of a batch of matrices, of which some are replaced at a time."""

import torch
from scipy.linalg.lapack import dpotrf, dpotrs


class CholeskyFactors:
    """Factors of positive definite matrices.

    On a CPU, they are computed in place, since copies of small matrices cost as much
    as their factors.

    Parameters
    ----------
    like : tensor
        Device and dtype, which is float64.

    n_matrices, size : int
    """

    def __init__(self, like, n_matrices, size):
        # Upper triangles, whose transposes are stored by columns.
        eye = torch.eye(size, dtype=like.dtype, device=like.device)
        self.upper = eye.repeat(n_matrices, 1, 1)

    def replace(self, at, matrices):
        """Factorise other matrices.

        Parameters
        ----------
        at : tensor of shape (m,) of int
            Positions of the factors to replace.

        matrices : tensor of shape (m, size, size)
            Overwritten. The result is undefined for those that are not positive
            definite.
        """
        if matrices.device.type == "cpu":
            for matrix in matrices.numpy():
                dpotrf(matrix.T, lower=1, overwrite_a=1, clean=0)
        else:
            matrices = torch.linalg.cholesky_ex(matrices).L.mT
        self.upper.index_copy_(0, at, matrices)

    def solve(self, at, rhs):
        """Solve systems with right-hand sides of shape (m, size), at some positions."""
        if rhs.device.type == "cpu":
            upper, out = self.upper.numpy(), rhs.clone()
            for i, x in zip(at.tolist(), out.numpy(), strict=True):
                dpotrs(upper[i].T, x, lower=1, overwrite_b=1)
            return out
        upper = self.upper[at]
        return torch.cholesky_solve(rhs.unsqueeze(-1), upper.mT).squeeze(-1)
