"""The penalty ``sum_j t_j ||W_j||`` over the rows of W, and algebra on its support."""

import torch


def directions(W):
    """Rows ``W_j / ||W_j||``, the gradient of the norms; zero for rows of zeros."""
    norm = torch.linalg.vector_norm(W, dim=-1, keepdim=True)
    return W / torch.where(norm > 0, norm, 1.0)


def curvature(towards, strength):
    """Blocks ``s_j (I - v_j v_j')``.

    With ``v_j = W_j / ||W_j||`` and ``s_j = t_j / ||W_j||``, they are the Hessian of
    the penalty.

    Parameters
    ----------
    towards : tensor of shape (n_tasks, k, c)
        Unit rows ``v_j``.
    strength : tensor of shape (n_tasks, k)
        Factors ``s_j``.

    Returns
    -------
    tensor of shape (n_tasks, k, c, c)
    """
    eye = torch.eye(towards.shape[-1], dtype=towards.dtype, device=towards.device)
    outer = towards.unsqueeze(-1) * towards.unsqueeze(-2)
    return strength[..., None, None] * (eye - outer)


def smoothed_curvature(u, v, strength):
    """Blocks ``s_j (I - (u_j v_j' + v_j u_j') / 2)``.

    They are the symmetric part of the curvature of smoothed norms, whose directions
    ``u_j`` are separate unknowns.

    Parameters
    ----------
    u, v : tensor of shape (n_tasks, k, c)
        Rows in the unit ball.
    strength : tensor of shape (n_tasks, k)
        Factors ``s_j``.

    Returns
    -------
    tensor of shape (n_tasks, k, c, c)
        Positive semi-definite.
    """
    eye = torch.eye(u.shape[-1], dtype=u.dtype, device=u.device)
    outer = u.unsqueeze(-1) * v.unsqueeze(-2)
    return strength[..., None, None] * (eye - 0.5 * (outer + outer.mT))


def penalty_hessian(W, penalty):
    """Blocks of the penalty's Hessian; zero for rows of zeros.

    Parameters
    ----------
    W : tensor of shape (n_tasks, k, c)
    penalty : tensor of shape (n_tasks, k) or (n_tasks, 1)
        Factors ``t_j``.

    Returns
    -------
    tensor of shape (n_tasks, k, c, c)
    """
    norm = torch.linalg.vector_norm(W, dim=-1)
    strength = torch.where(norm > 0, penalty / norm, 0.0)
    return curvature(directions(W), strength)


def add_blocks(hessian, blocks):
    """Add ``blocks`` (n_tasks, s, c, c) to the diagonal of (n_tasks, s, c, s, c)."""
    hessian.diagonal(dim1=1, dim2=3).add_(blocks.permute(0, 2, 3, 1))
    return hessian


class Rows:
    """Indices of the active rows of each task.

    In sparse problems few rows are active. The cost of linear systems then depends on
    the largest number of active rows in the batch, not on the number of features.

    Parameters
    ----------
    active : tensor of shape (n_tasks, k) of bool

    Attributes
    ----------
    index : tensor of shape (n_tasks, s)
        Active rows of each task, padded with other rows to the largest number s.
    valid : tensor of shape (n_tasks, s) of bool
        False for padding.
    """

    def __init__(self, active):
        size = int(active.sum(-1).max())
        order = active.sort(dim=-1, descending=True, stable=True).indices
        self.n_rows = active.shape[-1]
        self.index = order[:, :size]
        self.valid = active.gather(-1, self.index)

    def gather(self, X):
        """Active rows of a tensor (n_tasks, k, ...); padding is zero."""
        index, valid = self._like(X)
        return X.gather(1, index.expand(-1, -1, *X.shape[2:])) * valid

    def scatter(self, x):
        """Undo ``gather``: (n_tasks, s, ...) to (n_tasks, k, ...), zero elsewhere."""
        index, valid = self._like(x)
        out = x.new_zeros(len(x), self.n_rows, *x.shape[2:])
        return out.scatter(1, index.expand_as(x), x * valid)

    def _like(self, x):
        """Index and mask, with as many axes as x."""
        shape = (*self.index.shape, *[1] * (x.ndim - 2))
        return self.index.reshape(shape), self.valid.reshape(shape)

    def block(self, matrix):
        """Active rows and columns of (n_tasks, k, k) or (1, k, k): (n_tasks, s, s)."""
        rows, columns = self.index.unsqueeze(-1), self.index.unsqueeze(-2)
        if len(matrix) == 1:
            return matrix[0][rows, columns]
        tasks = torch.arange(len(matrix), device=matrix.device)
        return matrix[tasks[:, None, None], rows, columns]
