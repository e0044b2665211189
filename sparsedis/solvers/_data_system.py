"""Least squares from the data, for nearly dependent columns.

A Gram matrix contains the squares of the differences between such columns. Relative
differences below 1e-8 are lost in its rounding errors.
"""

import torch


class DataSystem:
    """Solve ``min_w ||y - Zw||^2 + l2 ||w||^2`` for some tasks, by singular values.

    If the rank is deficient up to rounding errors, solutions have minimum norm.

    Parameters
    ----------
    Z : tensor of shape (n_tasks, n_samples, k) or (1, n_samples, k)
        Columns of zeros get coefficients of zero.

    l2 : tensor of shape (n_tasks,)
        All positive, or all zero.

    support : tensor of shape (n_tasks, k) of bool, default=None
        Features to use; all by default.

    Attributes
    ----------
    singular : tensor of shape (n_tasks,) or (1,) of bool
        Whether the rank is deficient, not counting columns of zeros.
    """

    def __init__(self, Z, l2, support=None):
        self.penalised = bool((l2 > 0).all())
        if len(Z) == 1 and support is None and bool((l2 == l2[0]).all()):
            # A matrix shared by all tasks is factorised once.
            l2 = l2[:1]
        if support is not None:
            Z = Z * support.unsqueeze(1)
        self.A = A = Z.expand(len(l2), -1, -1)
        n, k = A.shape[1:]
        if self.penalised:
            part = torch.ones_like(A[:, 0]) if support is None else support.to(A)
            root = torch.diag_embed(l2.sqrt().unsqueeze(-1) * part)
            self.A = A = torch.cat([A, root], 1)
        # With columns of norm 1, the rank does not depend on the units of the features.
        self.norm = torch.linalg.vector_norm(A, dim=1)
        alive = self.norm > 0
        self.scale = torch.where(alive, self.norm.reciprocal(), 1.0).unsqueeze(-1)
        self.U, size, Vt = torch.linalg.svd(A * self.scale.mT, full_matrices=False)
        self.eps = torch.finfo(A.dtype).eps
        rank = size > max(n, k) * self.eps * size[:, :1]
        self.singular = rank.sum(-1) < alive.sum(-1)
        rank = rank.unsqueeze(-1)
        self.inverse = torch.where(rank, size.unsqueeze(-1).reciprocal(), 0.0)
        self.U, self.V = self.U * rank.mT, Vt.mT * rank.mT
        self.row_space = None
        if bool(self.singular.any()):
            # In the original units, in which the norm is minimised. Columns of V beyond
            # the rank are zero and do not affect those before them.
            self.row_space = torch.linalg.qr(self.V / self.scale).Q * rank.mT

    def solve(self, y):
        """Solutions and their suboptimality, for targets (n_tasks, n_samples).

        The solutions are refined once. The suboptimality refers to half of the
        objective.
        """
        k = self.A.shape[-1]
        y = y.unsqueeze(-1)
        if self.penalised:
            y = torch.cat([y, y.new_zeros(len(y), k, 1)], 1)
        w, left = y.new_zeros(len(y), k, 1), y
        for _ in range(2):
            step = self.scale * (self.V @ (self.inverse * (self.U.mT @ left)))
            w = w + self._project(step)
            left = y - self.A @ w
        # The suboptimality is half of the squared residual in the range of the
        # features, which includes the rounding errors of the residual.
        within = torch.linalg.vector_norm(self.U.mT @ left, dim=(1, 2))
        rounding = self.eps * (self.norm.unsqueeze(-1) * w.abs()).sum((1, 2))
        return w.squeeze(-1), 0.5 * (within + rounding) ** 2

    def solve_normal(self, rhs):
        """Solve ``(Z'Z + l2) u = rhs`` for right-hand sides of shape (n_tasks, k)."""
        rhs = self.scale * self._project(rhs.unsqueeze(-1))
        u = self.V @ (self.inverse * self.inverse * (self.V.mT @ rhs))
        # Rows of V outside of the support are zero, and so is the solution there.
        return self._project(self.scale * u).squeeze(-1)

    def _project(self, x):
        """Project on the row space, in which solutions have minimum norm."""
        if self.row_space is None:
            return x
        return self.row_space @ (self.row_space.mT @ x)
