"""Duality gaps from the data, for problems that their Gram form cannot certify."""

from dataclasses import replace

import numpy as np
import torch

from sparsedis.solvers._arrays import namespace, tensors, views
from sparsedis.solvers._linalg import product, take_tasks


@np.errstate(all="ignore")
def recertify(info, W, data, gram, y_sq, alpha, l2, *, tol):
    """Compute gaps from the data if rounding errors of the Gram form may exceed `tol`.

    Let ``m = sum_j ||W_j|| ||Z_j||``. The terms of the Gram form are at most ``m^2``,
    and its rounding errors are ``m^2`` times the machine precision. They are large if
    columns are nearly dependent and their coefficients cancel. The rounding errors of a
    gap from the data are about the machine precision times ``m`` times the norm of the
    residual. The gap includes this bound.

    Parameters
    ----------
    info : SolverInfo
    W : tensor of shape (n_tasks, k, c)
    data : callable
        Returns ``Z / sqrt(n)`` of shape (n_tasks, n_samples, k) or (1, n_samples, k),
        and ``Y / sqrt(n)`` of shape (n_tasks, n_samples, c).
    gram, y_sq, alpha, l2 : tensor
        As in :func:`~sparsedis.solvers.multitask_lasso.solve_multitask_lasso`.
    tol : float
        Tolerance on the gap.

    Returns
    -------
    SolverInfo
    """
    arrays = views(W, gram, y_sq, alpha)
    xp, norm = namespace(arrays[0]), abs(arrays[0][..., 0])
    if W.shape[-1] > 1:
        norm = xp.linalg.vector_norm(arrays[0], axis=-1)
    size = xp.einsum("tk,tk->t", norm, xp.sqrt(arrays[1].diagonal(0, 1, 2)))
    # Without a norm penalty, the certificate is that of Ridge.
    doubted = is_doubtful(size, arrays[2], tol) & (arrays[3] > 0)
    if not bool(doubted.any()):
        return info
    at = tensors(doubted)[0].nonzero().flatten()
    Z, Y = data()
    part = take_tasks(Z, at)
    norm = take_tasks(gram, at).diagonal(dim1=-2, dim2=-1).sqrt()
    gap = certified_gap(W[at], part, Y[at], y_sq[at], alpha[at], l2[at], norm)
    gap = info.gap.index_put((at,), gap)
    return replace(info, gap=gap, converged=gap <= tol)


def is_doubtful(size, y_sq, tol):
    """Whether rounding errors of a Gram form may exceed a tenth of `tol`, per task.

    `size` is the ``m`` of :func:`recertify`.
    """
    eps = namespace(size).finfo(size.dtype).eps
    return eps * size * size > 0.1 * tol * y_sq


def certified_gap(W, Z, Y, y_sq, alpha, l2, norm):
    """Gap from the data, relative to the objective at zero, with its rounding errors.

    Parameters
    ----------
    W, Z, Y, alpha, l2 : tensor
        As in :func:`data_gap`.
    y_sq : tensor of shape (n_tasks,)
        ``||Y||^2``.
    norm : tensor of shape (n_tasks, k) or (1, k)
        Norms of the columns of Z.

    Returns
    -------
    tensor of shape (n_tasks,)
    """
    gap = data_gap(W, Z, Y, alpha, l2)
    residual = torch.linalg.vector_norm(Y - product(Z, W), dim=(1, 2))
    size = (torch.linalg.vector_norm(W, dim=-1) * norm).sum(-1)
    eps = torch.finfo(W.dtype).eps
    rounding = eps * size * (2 * residual + eps * size)
    return (gap + rounding) / torch.where(y_sq > 0, 0.5 * y_sq, 1.0)


def data_gap(W, Z, Y, alpha, l2):
    """Absolute duality gap of the multi-task Lasso, computed from the residual.

    Parameters
    ----------
    W : tensor of shape (n_tasks, k, c)
    Z : tensor of shape (n_tasks, n_samples, k) or (1, n_samples, k)
        Features, divided by ``sqrt(n)`` as Y is.
    Y : tensor of shape (n_tasks, n_samples, c)
    alpha, l2 : tensor of shape (n_tasks,)

    Returns
    -------
    tensor of shape (n_tasks,)
    """
    residual = Y - Z @ W
    loss = 0.5 * residual.square().sum((1, 2))
    norm = torch.linalg.vector_norm(W, dim=-1)
    ridge = 0.5 * l2 * norm.square().sum(-1)
    primal = loss + alpha * norm.sum(-1) + ridge
    against = (residual * Y).sum((1, 2))
    descent = Z.mT @ residual
    # The larger dual value of two points: the residual of the features augmented by
    # sqrt(l2) I, scaled to be feasible, and the residual without scaling.
    inner = descent - l2[:, None, None] * W
    inner = torch.linalg.vector_norm(inner, dim=-1).amax(-1)
    share = torch.where(inner > alpha, alpha / inner, 1.0)
    dual = share * (against - share * (loss + ridge))
    excess = torch.linalg.vector_norm(descent, dim=-1) - alpha.unsqueeze(-1)
    excess = excess.clamp_min(0).square().sum(-1) / (2 * l2)
    plain = torch.where(l2 > 0, against - loss - excess, -torch.inf)
    return (primal - torch.maximum(dual, plain)).clamp_min(0)
