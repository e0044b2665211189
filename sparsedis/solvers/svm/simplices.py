"""Simplices of the dual variables ``beta`` of a batch of SVMs, one per sample.

Symbols are those of :mod:`sparsedis.solvers.svm`.
"""

import math
from dataclasses import dataclass, fields

import torch


@dataclass
class Simplices:
    """Domain of the dual variables, and the linear part of the dual objective.

    Unknowns are the coordinates ``X`` of ``Y - beta = X Q'``. This saves one unknown
    per sample and the equality constraint of each simplex.

    Attributes
    ----------
    one_hot : tensor of shape (n_tasks, n_samples, n_classes)
        Labels ``Y``.

    weight : tensor of shape (n_tasks, n_samples)
        Weights ``s`` of the samples; 0 for padding.

    basis : tensor of shape (n_tasks, n_classes, m)
        ``Q``, with ``m = n_classes - 1``. With intercepts, the row of a class without
        samples is zero.

    free : tensor of shape (n_tasks, n_samples, n_classes) of bool
        Entries of ``beta`` that may change.

    cost : tensor of shape (n_tasks, n_samples, n_classes)
        ``s (1 - Y)``, the weighted margins.

    border : tensor of shape (n_tasks, n_samples * m, m) or None
        ``E``, with ``E'X = sum_i s_i X_i``, which must be zero with intercepts. None
        without intercepts.

    all_free : bool
        Whether every entry of `free` is true.
    """

    one_hot: torch.Tensor
    weight: torch.Tensor
    basis: torch.Tensor
    free: torch.Tensor
    cost: torch.Tensor
    border: torch.Tensor | None
    all_free: bool

    @classmethod
    def build(cls, y, weight, n_classes, *, fit_intercept):
        """Build from labels (n_tasks, n_samples) and weights of the same shape."""
        one_hot = torch.nn.functional.one_hot(y, n_classes).to(weight)
        exists = weight > 0
        present = torch.ones_like(one_hot[:, 0], dtype=torch.bool)
        if fit_intercept:
            # The intercept of a class without samples can be arbitrarily low, so that
            # the dual variables of the class are zero.
            present = (one_hot * exists.unsqueeze(-1)).any(1)
        basis = _helmert(present, weight.dtype)
        free = exists.unsqueeze(-1) & present.unsqueeze(1)
        border = None
        if fit_intercept:
            columns = (basis != 0).any(1).to(weight)
            border = torch.einsum("ti,tk,kl->tikl", weight, columns, _eye(basis, -1))
            border = border.flatten(1, 2)
        cost = weight.unsqueeze(-1) * (1 - one_hot) * free
        return cls(one_hot, weight, basis, free, cost, border, bool(free.all()))

    def take(self, at):
        """Return the simplices of the tasks ``at``."""
        values = [getattr(self, field.name) for field in fields(self)]
        return Simplices(*(v[at] if isinstance(v, torch.Tensor) else v for v in values))

    @property
    def total(self):
        """Objective at ``W = 0``, which is the sum of the weights."""
        return self.weight.sum(-1)

    def coordinates(self, beta):
        """Return ``X = (Y - beta) Q``, of shape (n_tasks, n_samples, m)."""
        # In the entry of the label, 1 - beta is computed as the sum of the other
        # entries. The difference has few correct digits if the classes are almost
        # separated.
        others = self.where_free(torch.addcmul(beta, self.one_hot, beta, value=-1))
        lacking = self.one_hot * others.sum(-1, keepdim=True) - others
        return torch.bmm(lacking, self.basis)

    def beta(self, X):
        """Return ``beta = Y - X Q'``, the inverse of :meth:`coordinates`."""
        return torch.baddbmm(self.one_hot, X, self.basis.mT, alpha=-1)

    def expand(self, X):
        """Return ``X Q'``, of shape (n_tasks, n_samples, n_classes)."""
        return torch.bmm(X, self.basis.mT)

    def where_free(self, values):
        """Return the values with zeros in entries that are not free."""
        return values if self.all_free else torch.where(self.free, values, 0.0)

    def add_intercept(self, scores, intercept):
        """Return ``s Z W + s b``, all in coordinates; b is zero if None."""
        if intercept is None:
            return scores
        return scores + self.weight.unsqueeze(-1) * intercept.unsqueeze(1)

    def imbalance(self, X):
        """Return ``E'X``, which is zero if X is feasible for intercepts."""
        return (self.border.mT @ X.flatten(1).unsqueeze(-1)).squeeze(-1)

    def uniform(self):
        """Return the coordinates of a beta with the same row for all samples.

        Its entries are ``1 / n_classes``. With intercepts, they are the frequencies of
        the classes, so that ``E'X = 0``.
        """
        if self.border is None:
            beta = torch.full_like(self.one_hot, 1 / self.one_hot.shape[-1])
        else:
            share = self.weight / self.total.clamp_min(_tiny(self.weight)).unsqueeze(-1)
            beta = (share.unsqueeze(-2) @ self.one_hot).expand_as(self.one_hot)
        return self.coordinates(beta)

    def shortfall(self, scores):
        """Return ``max_l (s (1 - Y) + scores)_il - (s (1 - Y) + scores)``.

        `scores` are ``s F``. The inner product of the result with beta is the hinge
        loss minus the part of the dual that is linear in beta. It is zero if and only
        if beta is optimal for the scores.
        """
        raised = self.cost + scores
        if self.all_free:
            return raised.amax(-1, keepdim=True) - raised
        best = torch.where(self.free, raised, -torch.inf).amax(-1, keepdim=True)
        return torch.where(self.free, best - raised, 0.0)

    def blocks(self, values):
        """Return ``Q' diag(values_i) Q`` of every sample i, (n_tasks, n, m, m)."""
        pairs = (self.basis.unsqueeze(-1) * self.basis.unsqueeze(-2)).flatten(2)
        m = self.basis.shape[-1]
        return torch.bmm(values, pairs).unflatten(-1, (m, m))

    def add_barrier(self, matrix, curvature):
        """Add ``Q' diag(curvature_i) Q`` to the block of each sample i, in place."""
        blocks = self.blocks(curvature)
        n_tasks, n, m, _ = blocks.shape
        blocks = blocks.permute(0, 2, 3, 1)
        matrix.view(n_tasks, n, m, n, m).diagonal(dim1=1, dim2=3).add_(blocks)
        return matrix


def _helmert(present, dtype):
    """Return Q for the classes that are present, with zeros for the others."""
    rank = present.cumsum(-1)
    columns = []
    for k in range(1, present.shape[-1]):
        below = (rank <= k) & present
        at = (rank == k + 1) & present
        column = (below.to(dtype) - k * at.to(dtype)) / math.sqrt(k * (k + 1))
        columns.append(column * at.any(-1, keepdim=True))
    return torch.stack(columns, -1)


def _eye(like, axis):
    return torch.eye(like.shape[axis], dtype=like.dtype, device=like.device)


def _tiny(like):
    return torch.finfo(like.dtype).tiny
