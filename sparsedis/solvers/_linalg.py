"""Linear systems restricted to the support of each task."""

from functools import cached_property

import numpy as np
import torch

from sparsedis.solvers._arrays import namespace, tensors, views
from sparsedis.solvers._elimination import eliminate
from sparsedis.solvers._groups import Rows

# From this number of features on, it is faster to gather the supports first.
_WIDE = 24
# From this number of tasks on, operations run over all of them at once.
_MANY = 64
# Up to this number of multiplications of a task, NumPy multiplies on one thread.
_LARGE = 2**17
# If all squared pivots of a Gram matrix with a unit diagonal are at least this large,
# half of the digits or more are correct.
GOOD_PIVOT = 1e-8


def product(A, B):
    """``A @ B`` of two batches; either may be a single matrix for all tasks.

    Both are arrays of NumPy, or of torch.
    """
    if len(A) == len(B):
        if isinstance(A, torch.Tensor):
            # Without broadcasting, bmm needs half as many calls.
            return torch.bmm(A, B)
        # Without BLAS if the axis of the tasks is that of neighbours in memory.
        apart = A.flags.f_contiguous and len(A) > 1
        return np.einsum("tij,tjc->tic", A, B) if apart else A @ B
    # With a single matrix, one product takes all tasks.
    return (B.mT @ A[0].mT).mT if len(A) == 1 else A @ B[0]


@np.errstate(over="ignore", invalid="ignore")
def gram_matrix(Z):
    """``Z'Z`` of a batch of features, as an array; see :func:`views`."""
    (array,) = views(Z.detach())
    # NumPy would use threads of its own for large products.
    large = Z.shape[1] * Z.shape[2] ** 2 > _LARGE or Z.shape[2] >= _WIDE
    if large or isinstance(array, torch.Tensor):
        return views(torch.bmm(Z.mT, Z))[0]
    # For an array with itself, NumPy calls a routine that is slower for few columns.
    return array.mT @ array.copy()


def tasks_last(*arrays):
    """Give the arrays of many small tasks an order for operations over all tasks.

    The tasks, the first axis, are then neighbours in memory, as in the results of
    elementwise operations. Tensors, and arrays of few or large tasks, stay as they are.
    """
    return tuple(map(np.asfortranarray, arrays)) if _is_many(arrays[0]) else arrays


def gather(at, *arrays):
    """Entries of the tasks with indices `at`, in the order of :func:`tasks_last`."""
    if isinstance(arrays[0], torch.Tensor):
        return tuple(array[at] for array in arrays)
    if len(at) >= _MANY and arrays[0].shape[1] < _WIDE:
        return tuple(np.take(array.T, at, -1).T for array in arrays)
    return tuple(np.take(array, at, 0) for array in arrays)


def _is_many(array):
    """Whether an array of NumPy is that of many small tasks."""
    n_tasks, k = array.shape[:2]
    return isinstance(array, np.ndarray) and n_tasks >= _MANY and k < _WIDE


def take_tasks(part, at):
    """Entries of the tasks with indices `at`; a single entry is that of all tasks."""
    return part if len(part) == 1 else part[at]


class SignedSystem:
    """Systems ``H_SS v_S = r_S``, with ``v = 0`` outside of a support S.

    Unlike :class:`SupportSystem`, this does not treat singular systems: their solutions
    are arbitrary, NaN included.

    Parameters
    ----------
    hessian : array of shape (n_tasks, k, k)
        Matrices with a unit diagonal. All arrays are of NumPy, or of torch.
    signs : array of shape (n_tasks, k, 1)
        1 or -1 in the support, 0 elsewhere.
    """

    def __init__(self, hessian, signs):
        self.rows, self.own, self.many = None, signs, _is_many(hessian)
        if self.many:
            self.hessian, self.inverse = hessian, None
            return
        n_tasks, k, _ = signs.shape
        if k >= _WIDE:
            hessian, signs = tensors(hessian, signs)
            self.rows = Rows(signs.squeeze(-1) != 0)
            hessian, self.own = self.rows.block(hessian), self.rows.gather(signs)
            k = self.own.shape[1]
        # The identity outside of the support.
        self.matrix = self.own * self.own.mT
        self.matrix *= hessian
        self.matrix.reshape(n_tasks, k * k)[:, :: k + 1] = 1.0

    @cached_property
    def _factor(self):
        return torch.linalg.lu_factor_ex(*tensors(self.matrix))[:2]

    def solve(self, rhs):
        """Products of ``v`` and its signs, for ``r`` of shape (n_tasks, k, 1)."""
        if self.many:
            own = self.own[..., 0].T
            size, self.inverse = eliminate(self.hessian.T, abs(own), rhs[..., 0].T)
            return (own * size).T[..., None]
        if isinstance(self.matrix, np.ndarray):
            try:
                return np.linalg.solve(self.matrix, self.own * rhs)
            except np.linalg.LinAlgError:
                # One matrix is singular.
                pass
        (column,) = tensors(rhs)
        if self.rows is not None:
            column = self.rows.gather(column)
        size = torch.linalg.lu_solve(*self._factor, column * tensors(self.own)[0])
        size = size if self.rows is None else self.rows.scatter(size)
        return namespace(rhs).asarray(size)

    def poor(self):
        """Whether a pivot is small, and solutions may be inaccurate, for each task."""
        if self.many:
            if self.inverse is None:
                self.solve(self.own)
            return ~(self.inverse <= 1 / GOOD_PIVOT).all(0)
        if isinstance(self.matrix, np.ndarray):
            # With a unit diagonal, no pivot exceeds 1, nor is one below their product.
            good = np.linalg.det(self.matrix) >= GOOD_PIVOT
            if good.all():
                return ~good
        pivots = self._factor[0].diagonal(dim1=-2, dim2=-1)
        return ~(pivots.abs() >= GOOD_PIVOT).all(-1)


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


def ridge_system(gram, l2, support):
    """Factorise ``G + l2`` on supports, once if all tasks share the whole matrix.

    Parameters
    ----------
    gram : tensor of shape (n_tasks, k, k) or (1, k, k)
    l2 : tensor of shape (n_tasks,)
    support : tensor of shape (n_tasks, k) of bool

    Returns
    -------
    hessian : tensor of shape (n_tasks, k, k) or (1, k, k)

    system : SupportSystem
        One system, or one for each task.
    """
    if len(gram) == 1 and bool((l2 == l2[0]).all() & support.all()):
        l2, support = l2[:1], support[:1]
    hessian = gram.repeat(len(l2), 1, 1) if len(l2) > len(gram) else gram.clone()
    hessian.diagonal(dim1=-2, dim2=-1).add_(l2.unsqueeze(-1))
    return hessian, SupportSystem(hessian, support)


class SupportSystem:
    """Factorised systems ``H_SS u_S = rhs_S``, with ``u = 0`` outside of the support S.

    The solution of a singular system is the minimum-norm least-squares solution, which
    is finite for any rank.

    Parameters
    ----------
    hessian : tensor of shape (n_tasks, k, k)
        Symmetric positive semi-definite; ``n_tasks`` may be 1 and is then shared.

    support : tensor of shape (n_tasks, k) of bool
        A single one that is shared too must hold all features.

    Attributes
    ----------
    singular : tensor of shape (n_tasks,) of bool
        Whether the features of the support are linearly dependent. Zero features do not
        count; their solution is zero.

    poor : tensor of shape (n_tasks,) of bool
        Whether solutions may be inaccurate: a squared pivot of the matrix, scaled to a
        unit diagonal, is small, or the matrix is not positive definite.
    """

    def __init__(self, hessian, support):
        self.rows = self.at = None
        if support.shape[-1] >= _WIDE and not bool(support.all(-1).any()):
            self.rows = Rows(support)
            hessian, support = self.rows.block(hessian), self.rows.valid
        if support.shape[-1] == 0:
            self.singular = support.any(-1)
            self.poor = self.singular
            return
        diagonal = hessian.diagonal(dim1=-2, dim2=-1)
        keep = support & (diagonal > 0)
        # With a unit diagonal, the rank does not depend on the units of the features.
        self.scale = torch.where(keep, diagonal.rsqrt(), 0.0)
        scaled = hessian * (self.scale.unsqueeze(-1) * self.scale.unsqueeze(-2))
        scaled.diagonal(dim1=-2, dim2=-1).add_(~keep)
        self.factor, failed = torch.linalg.cholesky_ex(scaled)
        pivot = self.factor.diagonal(dim1=-2, dim2=-1).amin(-1)
        pivot = torch.where(failed > 0, 0.0, pivot * pivot)
        self.poor = ~(pivot >= GOOD_PIVOT)
        threshold = 100 * support.shape[-1] * torch.finfo(hessian.dtype).eps
        self.singular = ~(pivot > threshold)
        if bool(self.singular.any()):
            # Singular systems are solved separately. The identity replaces their
            # factors, so that the batched substitution is finite.
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
            if len(self.factor) == 1:
                solution = torch.cholesky_solve(rhs.mT, self.factor[0]).mT
            else:
                solution = torch.cholesky_solve(rhs.unsqueeze(-1), self.factor)
                solution = solution.squeeze(-1)
            solution = self.scale * solution
            if self.at is not None:
                at = self.at if len(self.factor) > 1 else slice(None)
                solution[at] = self.least_norm.solve(rhs[at])
            rhs = solution
        return rhs if self.rows is None else self.rows.scatter(rhs)


class _LeastNorm:
    """Least-squares solutions of minimum norm in the units of the features.

    The rank is that of the matrix with a unit diagonal; otherwise a feature in small
    units would count as dependent.

    Parameters
    ----------
    scaled : tensor of shape (n_tasks, k, k)
        Matrices with a unit diagonal.
    scale : tensor of shape (n_tasks, k)
        Factors by which rows and columns were multiplied; 0 for features to leave out.
    threshold : float
        Largest eigenvalue that counts as zero, relative to the largest of its matrix.
    """

    def __init__(self, scaled, scale, threshold):
        self.keep = scale > 0
        scaled = scaled * (self.keep.unsqueeze(-1) & self.keep.unsqueeze(-2))
        values, self.vectors = torch.linalg.eigh(scaled)
        null = values <= threshold * values[:, -1:].clamp_min(1.0)
        self.inverse = torch.where(null, 0.0, values.reciprocal()).unsqueeze(-1)
        self.own = torch.where(self.keep, scale, 1.0).unsqueeze(-1)
        # Null vectors in the original units. They come first, so that the columns of
        # zeros after them do not affect their QR decomposition.
        null = null.unsqueeze(-2)
        # Rounding errors for features in small units would become large.
        rounding = self.vectors.abs() <= threshold
        basis = torch.where(null & ~rounding, self.own * self.vectors, 0.0)
        self.null = torch.linalg.qr(basis).Q * null

    def solve(self, scaled_rhs):
        """Solutions for scaled right-hand sides of shape (n_tasks, k)."""
        rhs = self.own * self._project(scaled_rhs.unsqueeze(-1) / self.own)
        solution = self.vectors @ (self.inverse * (self.vectors.mT @ rhs))
        return self._project(self.own * solution).squeeze(-1) * self.keep

    def _project(self, x):
        """Remove the components along null vectors."""
        return x - self.null @ (self.null.mT @ x)
