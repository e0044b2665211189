"""Linear systems restricted to the support of each task."""

import torch


def restrict(hessian, support):
    """Put identity rows and columns outside of the support.

    Parameters
    ----------
    hessian : tensor of shape (n_tasks, k, k)
    support : tensor of shape (n_tasks, k) of bool

    Returns
    -------
    tensor of shape (n_tasks, k, k)
    """
    keep = support.to(hessian.dtype)
    return hessian * (keep.unsqueeze(-1) * keep.unsqueeze(-2)) + torch.diag_embed(
        1.0 - keep
    )


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
    """
    keep = support.to(hessian.dtype)
    rhs = rhs * keep
    # Jacobi scaling makes the test of singularity blind to the features' units.
    scale = hessian.diagonal(dim1=-2, dim2=-1).clamp_min(0).sqrt() * keep
    scale = torch.where(scale > 0, scale, 1.0).reciprocal()
    restricted = restrict(
        hessian * (scale.unsqueeze(-1) * scale.unsqueeze(-2)), support
    )
    factor, failed = torch.linalg.cholesky_ex(restricted)
    smallest = factor.diagonal(dim1=-2, dim2=-1).amin(-1)
    eps = torch.finfo(hessian.dtype).eps
    singular = (failed > 0) | ~(smallest**2 > 100 * rhs.shape[-1] * eps)
    if bool(singular.any()):
        # A stand-in keeps the batched substitution below finite.
        eye = torch.eye(rhs.shape[-1], dtype=rhs.dtype, device=rhs.device)
        factor = torch.where(singular[:, None, None], eye, factor)
    solution = scale * torch.cholesky_solve(
        (scale * rhs).unsqueeze(-1), factor
    ).squeeze(-1)
    if bool(singular.any()):
        at = singular.nonzero().flatten()
        solution[at] = _least_norm(
            hessian.expand(len(rhs), -1, -1)[at], rhs[at], keep[at], scale[at]
        )
    return solution, singular


def _least_norm(hessian, rhs, keep, scale):
    """Minimum-norm least-squares solutions of ``H_SS u_S = rhs_S``.

    The rank is judged after scaling, or one feature in small units would count as a
    dependent one; the norm is that of the solution in its own units.
    """
    eps = torch.finfo(hessian.dtype).eps
    scale = scale * keep
    scaled = hessian * (scale.unsqueeze(-1) * scale.unsqueeze(-2))
    values, vectors = torch.linalg.eigh(scaled)
    null = values <= 100 * hessian.shape[-1] * eps * values[:, -1:].clamp_min(eps)
    # The null vectors come first, so that the others, zeroed, leave their QR alone.
    directions = scale.unsqueeze(-1) * vectors * null.unsqueeze(-2)
    basis = torch.linalg.qr(directions).Q * null.unsqueeze(-2)

    def project(x):
        return x - basis @ (basis.mT @ x)

    inverse = torch.where(null, 0.0, values.reciprocal()).unsqueeze(-1)
    rhs = scale.unsqueeze(-1) * project(rhs.unsqueeze(-1))
    solution = scale.unsqueeze(-1) * (vectors @ (inverse * (vectors.mT @ rhs)))
    return (project(solution)).squeeze(-1) * keep
