"""Quadratic problems with a penalty on groups of features, in Gram form."""

import torch

from sparsedis.solvers._quadratic import Quadratic
from sparsedis.solvers._terms import Norms, Scaled


class Groups:
    """Groups of features, as rows of a table.

    Parameters
    ----------
    groups : tensor of shape (k,) of int
        Group of each feature, from 0.

    Attributes
    ----------
    index : tensor of shape (n_groups, c)
        Features of each group, padded with k to the size c of the largest group.
    """

    def __init__(self, groups):
        counts = groups.bincount()
        order = groups.argsort(stable=True)
        first = counts.cumsum(0) - counts
        rank = torch.arange(len(groups), device=groups.device) - first[groups[order]]
        self.groups, self.n_features = groups, len(groups)
        self.index = groups.new_full((len(counts), int(counts.max())), len(groups))
        self.index[groups[order], rank] = order

    def rows(self, x):
        """Table of features: (..., k) to (..., n_groups, c), with zeros in padding."""
        return torch.nn.functional.pad(x, (0, 1))[..., self.index]

    def flat(self, V):
        """Undo ``rows``."""
        x = V.new_zeros(*V.shape[:-2], self.n_features + 1)
        x[..., self.index] = V
        return x[..., :-1]

    def norms(self, x):
        """Norms of the groups of vectors of features: (..., k) to (..., n_groups)."""
        if self.index.shape[1] == 1:
            return x[..., self.index[:, 0]].abs()
        return torch.linalg.vector_norm(self.rows(x), dim=-1)


class Grouped(Quadratic):
    """``1/2 w'Gw - c'w + sum_g p(||w_g||)``, whose rows are groups of features.

    Parameters
    ----------
    gram : tensor of shape (n_tasks, k, k)
        ``G``.
    corr : tensor of shape (n_tasks, k)
        ``c``.
    y_sq : tensor of shape (n_tasks,)
        ``||y||^2 / n``: twice the loss at zero.
    groups : Groups
    own : MCP or None
        The function p; None: alpha times the norm.

    Attributes
    ----------
    scale : tensor of shape (n_tasks, n_groups)
        ``W = unit * scale * V`` for the V of this problem, in whose Hessian the largest
        eigenvalue of the block of each group is 1.
    unit : tensor of shape (n_tasks,)
        Unit of the targets, in which the largest norm of a group of ``scale * c`` is 1.
    """

    # Rows are groups here, and single features there.
    sweeps = False

    def __init__(self, gram, corr, y_sq, groups, own):
        self.groups, self.own = groups, own
        # Padding refers to a last feature, which is zero.
        gram = torch.nn.functional.pad(gram, (0, 1, 0, 1))
        at = groups.index
        blocks = gram[:, at[:, :, None], at[:, None, :]]
        largest = blocks[..., 0, 0]
        if at.shape[1] > 1:
            largest = torch.linalg.eigvalsh(blocks)[..., -1]
        # A zero feature has no correlation with targets, so it never becomes active.
        self.scale = torch.where(largest > 0, largest.rsqrt(), 1.0)
        each = torch.nn.functional.pad(self.scale[:, groups.groups], (0, 1))
        self.gram = gram * (each.unsqueeze(-1) * each.unsqueeze(-2))
        corr = groups.rows(corr) * self.scale.unsqueeze(-1)
        largest = torch.linalg.vector_norm(corr, dim=-1).amax(-1)
        self.unit = torch.where(largest > 0, largest, 1.0)
        self.corr = corr / self.unit[:, None, None]
        self.y_sq = y_sq / self.unit.square()
        self.ridge = torch.zeros_like(self.scale)

    def penalise(self, alpha):
        """Set the strengths of the penalty, of shape (n_tasks,)."""
        alpha = alpha / self.unit
        if self.own is None:
            self.penalty = Norms(alpha.unsqueeze(-1) * self.scale)
        else:
            n_groups = self.scale.shape[1]
            self.penalty = Scaled(self.own, alpha, self.scale, n_groups)

    def take(self, at):
        part = super().take(at)
        part.groups, part.own = self.groups, self.own
        return part

    def product(self, V):
        flat = torch.nn.functional.pad(self.groups.flat(V), (0, 1))
        return (self.gram @ flat.unsqueeze(-1))[:, self.groups.index, 0]

    def hessian(self, V, rows):
        at = self.groups.index[rows.index]
        n_tasks, s, c = at.shape
        at = at.reshape(n_tasks, -1)
        task = torch.arange(n_tasks, device=at.device)[:, None, None]
        blocks = self.gram[task, at.unsqueeze(-1), at.unsqueeze(-2)]
        return blocks.reshape(n_tasks, s, c, s, c)

    def gap(self, V):
        if self.own is None:
            return super().gap(V)
        # Without convexity there is no dual: the largest violation by a group.
        return self.penalty.violation(V, self.gradient(V)).amax(-1)
