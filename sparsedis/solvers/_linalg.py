"""Linear systems restricted to the support of each task."""

import torch

from sparsedis.solvers._groups import Rows

# With at least this many features it is faster to gather the supports first.
_WIDE = 24
# With at least this squared pivot, in units in which the diagonal is 1, a Gram matrix
# keeps half of the digits or more.
GOOD_PIVOT = 1e-8


def product(A, B):
    """``A @ B`` of two batches; either may be a single matrix for all tasks."""
    # Without broadcasting, bmm needs half as many calls.
    return torch.bmm(A, B) if len(A) == len(B) else A @ B


def solve_active(hessian, rhs, keep):
    """Solve ``H_SS u_S = rhs_S`` with ``u = 0`` outside of the support S, unguarded.

    Parameters
    ----------
    hessian : tensor of shape (n_tasks, k, k)
        Matrices with a unit diagonal.
    rhs : tensor of shape (n_tasks, k, 1)
    keep : tensor of shape (n_tasks, k, 1)
        1 in the support, else 0.

    Returns
    -------
    tensor of shape (n_tasks, k, 1)
        Arbitrary values, NaN included, if the system is singular.
    """
    if keep.shape[1] >= _WIDE:
        rows = Rows(keep.squeeze(-1) != 0)
        part = _solve_masked(rows.block(hessian), rows.gather(rhs), rows.gather(keep))
        return rows.scatter(part)
    return _solve_masked(hessian, rhs * keep, keep)


def _solve_masked(hessian, rhs, keep):
    hessian = hessian * (keep * keep.mT)
    hessian.diagonal(dim1=-2, dim2=-1).fill_(1.0)
    return torch.linalg.solve_ex(hessian, rhs)[0]


def solve_on_support(hessian, rhs, support):
    """Solve ``H_SS u_S = rhs_S`` with ``u = 0`` outside of the support S.

    Parameters
    ----------
    hessian : tensor of shape (n_tasks, k, k)
    rhs : tensor of shape (n_tasks, k)
    support : tensor of shape (n_tasks, k) of bool
        As in :class:`SupportSystem`.

    Returns
    -------
    solution : tensor of shape (n_tasks, k)

    singular : tensor of shape (n_tasks,) of bool
    """
    system = SupportSystem(hessian, support)
    return system.solve(rhs), system.singular


class SupportSystem:
    """Systems ``H_SS u_S = rhs_S``, ``u = 0`` outside of the support S, factorised.

    A singular system gets its minimum-norm least-squares solution, which is finite
    whatever the rank.

    Parameters
    ----------
    hessian : tensor of shape (n_tasks, k, k)
        Symmetric positive semi-definite; ``n_tasks`` may be 1 and is then shared.

    support : tensor of shape (n_tasks, k) of bool

    Attributes
    ----------
    singular : tensor of shape (n_tasks,) of bool
        Whether the features of the support are linearly dependent. Zero features do not
        count, and get zero.

    pivot : tensor of shape (n_tasks,)
        Smallest squared pivot in units in which the diagonal is 1; 0 if the matrix is
        not positive definite.
    """

    def __init__(self, hessian, support):
        self.rows = self.at = None
        if support.shape[-1] >= _WIDE:
            rows = Rows(support)
            if rows.index.shape[-1] < support.shape[-1]:
                self.rows, hessian, support = rows, rows.block(hessian), rows.valid
        if support.shape[-1] == 0:
            self.singular = support.any(-1)
            self.pivot = torch.ones_like(self.singular, dtype=hessian.dtype)
            return
        diagonal = hessian.diagonal(dim1=-2, dim2=-1)
        keep = support & (diagonal > 0)
        # In units in which the diagonal is 1, the rank does not depend on those of the
        # features.
        self.scale = torch.where(keep, diagonal.rsqrt(), 0.0)
        scaled = hessian * (self.scale.unsqueeze(-1) * self.scale.unsqueeze(-2))
        scaled.diagonal(dim1=-2, dim2=-1).add_(~keep)
        self.factor, failed = torch.linalg.cholesky_ex(scaled)
        pivot = self.factor.diagonal(dim1=-2, dim2=-1).amin(-1)
        self.pivot = torch.where(failed > 0, 0.0, pivot * pivot)
        threshold = 100 * support.shape[-1] * torch.finfo(hessian.dtype).eps
        self.singular = ~(self.pivot > threshold)
        if bool(self.singular.any()):
            # A replacement keeps the batched substitution finite.
            eye = torch.eye(len(scaled[0]), dtype=scaled.dtype, device=scaled.device)
            self.factor = torch.where(self.singular[:, None, None], eye, self.factor)
            self.at = self.singular.nonzero().flatten()
            self.least_norm = _LeastNorm(
                scaled[self.at], self.scale[self.at], threshold
            )

    def solve(self, rhs):
        """Solutions for right-hand sides of shape (n_tasks, k)."""
        if self.rows is not None:
            rhs = self.rows.gather(rhs)
        if rhs.shape[-1]:
            rhs = self.scale * rhs
            solution = torch.cholesky_solve(rhs.unsqueeze(-1), self.factor).squeeze(-1)
            solution = self.scale * solution
            if self.at is not None:
                solution[self.at] = self.least_norm.solve(rhs[self.at])
            rhs = solution
        return rhs if self.rows is None else self.rows.scatter(rhs)


class _LeastNorm:
    """Minimum-norm least-squares solutions, of minimum norm in the features' own units.

    The rank is determined in units in which the diagonal is 1; otherwise a feature in
    small units would count as dependent.
    """

    def __init__(self, scaled, scale, threshold):
        self.keep = scale > 0
        scaled = scaled * (self.keep.unsqueeze(-1) & self.keep.unsqueeze(-2))
        values, self.vectors = torch.linalg.eigh(scaled)
        null = values <= threshold * values[:, -1:].clamp_min(1.0)
        self.inverse = torch.where(null, 0.0, values.reciprocal()).unsqueeze(-1)
        self.own = torch.where(self.keep, scale, 1.0).unsqueeze(-1)
        # Null vectors in the original units. They come first, so that the zero columns
        # after them do not affect their QR decomposition.
        null = null.unsqueeze(-2)
        self.null = torch.linalg.qr(self.own * self.vectors * null).Q * null

    def solve(self, scaled_rhs):
        rhs = self.own * self._project(scaled_rhs.unsqueeze(-1) / self.own)
        solution = self.vectors @ (self.inverse * (self.vectors.mT @ rhs))
        return self._project(self.own * solution).squeeze(-1) * self.keep

    def _project(self, x):
        return x - self.null @ (self.null.mT @ x)
