"""Quadratic problems with a penalty on the norms of rows, in Gram form."""

import numpy as np
import torch

from sparsedis.solvers._arrays import views
from sparsedis.solvers._problem import Problem
from sparsedis.solvers._relative_gap import relative_gap
from sparsedis.solvers._sweeps import sweep
from sparsedis.solvers._terms import Norms


class Quadratic(Problem):
    """``1/2 <W, GW> - <C, W> + alpha sum_j ||W_j|| + l2/2 ||W||^2``, normalised.

    Parameters
    ----------
    gram : tensor of shape (n_tasks, k, k) or (1, k, k)
        ``G``.
    corr : tensor of shape (n_tasks, k, c)
        ``C``.
    y_sq : tensor of shape (n_tasks,)
        ``||Y||^2 / n``: twice the loss at zero.
    alpha, l2 : tensor of shape (n_tasks,)

    Attributes
    ----------
    scale : tensor of shape (n_tasks, k)
        ``W = scale * V`` for the V of this problem, whose Hessian has a unit diagonal.
    """

    names = ("gram", "corr", "y_sq", "penalty", "ridge", "scale")

    def __init__(self, gram, corr, y_sq, alpha, l2):
        diagonal = gram.diagonal(dim1=-2, dim2=-1) + l2.unsqueeze(-1)
        # A zero feature has no correlation with targets, so it never becomes active.
        scale = torch.where(diagonal > 0, diagonal.rsqrt(), 1.0)
        # The diagonal includes the ridge term.
        self.gram = gram * (scale.unsqueeze(-1) * scale.unsqueeze(-2))
        self.gram.diagonal(dim1=-2, dim2=-1).fill_(1.0)
        self.corr = corr * scale.unsqueeze(-1)
        self.y_sq, self.scale = y_sq, scale
        self.penalty = Norms(alpha.unsqueeze(-1) * scale)
        self.ridge = l2.unsqueeze(-1) * scale * scale

    @property
    def sweeps(self):
        """Whether NumPy can read the data."""
        return isinstance(views(self.gram)[0], np.ndarray)

    def sweep(self, V, n_sweeps):
        """Point after coordinate descent; see :mod:`~sparsedis.solvers._sweeps`."""
        data = views(self.gram, self.corr, self.penalty.threshold, V)
        return torch.as_tensor(sweep(*data, n_sweeps))

    def product(self, V):
        """Product of the Hessian and a tensor of shape (n_tasks, k, c)."""
        return self.gram @ V

    def gradient(self, V):
        return self.product(V) - self.corr

    def linear_term(self, V):
        return self.corr

    def hessian(self, V, rows):
        eye = torch.eye(V.shape[-1], dtype=V.dtype, device=V.device)
        return rows.block(self.gram)[:, :, None, :, None] * eye[:, None, :]

    def along(self, V, step, lengths):
        slope = (self.gradient(V) * step).sum((1, 2)).unsqueeze(-1)
        bend = (self.product(step) * step).sum((1, 2)).unsqueeze(-1)
        # Up to a constant.
        return lengths * (slope + 0.5 * lengths * bend)

    def gap(self, V):
        descent = self.ridge.unsqueeze(-1) * V - self.gradient(V)
        explained = (V * self.corr).sum((1, 2))
        residual_y = self.y_sq - explained
        residual_sq = (self.y_sq - explained - (V * descent).sum((1, 2))).clamp_min(0)
        gap = relative_gap(
            V,
            value=0.5 * residual_sq,
            dual=lambda share: share * (residual_y - 0.5 * share * residual_sq),
            descent=descent,
            penalty=self.penalty.threshold,
            ridge=self.ridge,
            at_zero=0.5 * self.y_sq,
        )
        # A point with such a large fit is worse than zero, and its gap could be lost in
        # rounding errors.
        fitted_sq = explained - (V * descent).sum((1, 2))
        norm = torch.linalg.vector_norm(V, dim=-1)
        sane = (fitted_sq <= 5 * self.y_sq) & (
            (self.penalty.threshold * norm + 0.5 * self.ridge * norm * norm).sum(-1)
            <= self.y_sq
        )
        return torch.where(sane, gap, torch.inf)
