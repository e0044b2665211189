"""Linear systems restricted to the support of each task."""

import torch

from sparsedis.solvers._groups import Rows

# From this many features on it pays to copy those of the supports together first.
_WIDE = 24


def solve_active(hessian, rhs, active):
    """Solve ``H_SS u_S = rhs_S`` with ``u = 0`` outside of the support S, unguarded.

    Parameters
    ----------
    hessian : tensor of shape (n_tasks, k, k)
        With a unit diagonal.
    rhs : tensor of shape (n_tasks, k)
    active : tensor of shape (n_tasks, k) of bool

    Returns
    -------
    tensor of shape (n_tasks, k)
        Anything, NaN included, where the system is singular.
    """
    if active.shape[-1] >= _WIDE:
        rows = Rows(active)
        part = _solve_masked(
            rows.block(hessian), rows.gather(rhs), rows.valid.to(rhs.dtype)
        )
        return rows.scatter(part)
    keep = active.to(rhs.dtype)
    return _solve_masked(hessian, rhs * keep, keep)


def _solve_masked(hessian, rhs, keep):
    hessian = hessian * (keep.unsqueeze(-1) * keep.unsqueeze(-2))
    hessian.diagonal(dim1=-2, dim2=-1).fill_(1.0)
    return torch.linalg.solve_ex(hessian, rhs)[0]


def solve_on_support(hessian, rhs, support):
    """Solve ``H_SS u_S = rhs_S`` with ``u = 0`` outside of the support S.

    A singular system gets its minimum-norm least-squares solution, which is finite
    whatever the rank.

    Parameters
    ----------
    hessian : tensor of shape (n_tasks, k, k)
        Symmetric positive semi-definite; ``n_tasks`` may be 1 and is then shared.

    rhs : tensor of shape (n_tasks, k)

    support : tensor of shape (n_tasks, k) of bool

    Returns
    -------
    solution : tensor of shape (n_tasks, k)

    singular : tensor of shape (n_tasks,) of bool
        Whether the features of the support are linearly dependent; those that are
        zero throughout do not count, and get zero.
    """
    if support.shape[-1] == 0:
        return rhs, support.any(-1)
    if support.shape[-1] >= _WIDE:
        rows = Rows(support)
        if rows.index.shape[-1] < support.shape[-1]:
            part, singular = solve_on_support(
                rows.block(hessian), rows.gather(rhs), rows.valid
            )
            return rows.scatter(part), singular
    diagonal = hessian.diagonal(dim1=-2, dim2=-1)
    keep = support & (diagonal > 0)
    # Units in which the diagonal is 1: the test of the rank is blind to the features'.
    scale = torch.where(keep, diagonal.rsqrt(), 0.0)
    scaled = hessian * (scale.unsqueeze(-1) * scale.unsqueeze(-2))
    scaled.diagonal(dim1=-2, dim2=-1).add_(~keep)
    rhs = scale * rhs
    factor, failed = torch.linalg.cholesky_ex(scaled)
    pivot = factor.diagonal(dim1=-2, dim2=-1).amin(-1)
    threshold = 100 * rhs.shape[-1] * torch.finfo(rhs.dtype).eps
    singular = (failed > 0) | ~(pivot * pivot > threshold)
    if not bool(singular.any()):
        return scale * _substitute(factor, rhs), singular
    # A stand-in keeps the batched substitution finite.
    eye = torch.eye(rhs.shape[-1], dtype=rhs.dtype, device=rhs.device)
    factor = torch.where(singular[:, None, None], eye, factor)
    solution = scale * _substitute(factor, rhs)
    at = singular.nonzero().flatten()
    solution[at] = _least_norm(scaled[at], rhs[at], scale[at], threshold)
    return solution, singular


def _substitute(factor, rhs):
    return torch.cholesky_solve(rhs.unsqueeze(-1), factor).squeeze(-1)


def _least_norm(scaled, scaled_rhs, scale, threshold):
    """Minimum-norm least-squares solutions, of minimum norm in the features' own units.

    The rank is judged in the scaled ones, or a feature in small units would count as
    dependent.
    """
    keep = scale > 0
    scaled = scaled * (keep.unsqueeze(-1) & keep.unsqueeze(-2))
    values, vectors = torch.linalg.eigh(scaled)
    null = values <= threshold * values[:, -1:].clamp_min(1.0)
    # Null vectors in own units. They come first: the columns after them, zeroed, do
    # not disturb their QR decomposition.
    own = torch.where(keep, scale, 1.0).unsqueeze(-1)
    basis = torch.linalg.qr(own * vectors * null.unsqueeze(-2)).Q * null.unsqueeze(-2)

    def project(x):
        return x - basis @ (basis.mT @ x)

    scale = scale.unsqueeze(-1)
    rhs = scale * project(scaled_rhs.unsqueeze(-1) / own)
    inverse = torch.where(null, 0.0, values.reciprocal()).unsqueeze(-1)
    solution = scale * (vectors @ (inverse * (vectors.mT @ rhs)))
    return project(solution).squeeze(-1) * keep
