"""The dual variables of a batch of multiclass SVMs: one simplex per sample."""

import math
from dataclasses import dataclass, fields

import torch


@dataclass
class Simplices:
    """Where the dual variables live, and the linear part of the objective.

    The dual variable of a sample is ``weight * beta`` with ``beta`` in the unit simplex
    of the classes. All algebra is on the coordinates ``X`` of ``one_hot - beta`` in an
    orthonormal basis of the vectors that sum to zero: one unknown per sample less, and
    no equality constraint on the simplices.

    Attributes
    ----------
    one_hot : tensor of shape (n_tasks, n_samples, n_classes)
        Labels.

    weight : tensor of shape (n_tasks, n_samples)
        Weights of the samples; 0 for those that do not exist.

    basis : tensor of shape (n_tasks, n_classes, m)
        Orthonormal, ``m = n_classes - 1``. Classes that are out have a zero row.

    free : tensor of shape (n_tasks, n_samples, n_classes) of bool
        Entries of ``beta`` that may move.

    cost : tensor of shape (n_tasks, n_samples, n_classes)
        ``weight * (1 - one_hot)``: what a score has to exceed.

    border : tensor of shape (n_tasks, n_samples * m, m) or None
        Column k sums ``weight * X[:, k]``; the dual of an intercept keeps it at zero.

    all_free : bool
        Whether everything is free.
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
        """Set up from labels (n_tasks, n_samples) and weights of the same shape."""
        one_hot = torch.nn.functional.one_hot(y, n_classes).to(weight)
        exists = weight > 0
        present = torch.ones_like(one_hot[:, 0], dtype=torch.bool)
        if fit_intercept:
            # The intercept of a class without samples drops to where no score of it
            # matters; its dual variables are zero and have no interior.
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
        """Keep some tasks."""
        values = [getattr(self, field.name) for field in fields(self)]
        return Simplices(*(v[at] if isinstance(v, torch.Tensor) else v for v in values))

    @property
    def total(self):
        """Objective at zero: the sum of the weights."""
        return self.weight.sum(-1)

    def coordinates(self, beta):
        """``X`` of shape (n_tasks, n_samples, m)."""
        # What a sample's own class lacks, as a sum: 1 - beta has few correct digits
        # where the solution is close to separating the classes.
        others = self.where_free(torch.where(self.one_hot > 0, 0.0, beta))
        lacking = self.one_hot * others.sum(-1, keepdim=True) - others
        return torch.bmm(lacking, self.basis)

    def beta(self, X):
        """Inverse of :meth:`coordinates`."""
        return torch.baddbmm(self.one_hot, X, self.basis.mT, alpha=-1)

    def expand(self, X):
        """From coordinates to classes."""
        return torch.bmm(X, self.basis.mT)

    def where_free(self, values):
        """Zero what cannot move."""
        return values if self.all_free else torch.where(self.free, values, 0.0)

    def lift(self, scores, alpha):
        """Add intercepts, in coordinates, to weighted scores."""
        if alpha is None:
            return scores
        return scores + self.weight.unsqueeze(-1) * alpha.unsqueeze(1)

    def imbalance(self, X):
        """What an intercept's dual wants to be zero."""
        return (self.border.mT @ X.flatten(1).unsqueeze(-1)).squeeze(-1)

    def uniform(self):
        """Coordinates of the ``beta`` that has the frequencies of an intercept."""
        if self.border is None:
            beta = torch.full_like(self.one_hot, 1 / self.one_hot.shape[-1])
        else:
            share = self.weight / self.total.clamp_min(_tiny(self.weight)).unsqueeze(-1)
            beta = (share.unsqueeze(-2) @ self.one_hot).expand_as(self.one_hot)
        return self.coordinates(beta)

    def shortfall(self, scores):
        """How far weighted scores plus costs stay below the largest of their sample."""
        raised = self.cost + scores
        if self.all_free:
            return raised.amax(-1, keepdim=True) - raised
        best = torch.where(self.free, raised, -torch.inf).amax(-1, keepdim=True)
        return torch.where(self.free, best - raised, 0.0)

    def add_barrier(self, matrix, curvature):
        """Add to a Newton matrix that of a function of the single entries of beta."""
        pairs = (self.basis.unsqueeze(-1) * self.basis.unsqueeze(-2)).flatten(2)
        n_tasks, n, _ = curvature.shape
        m = self.basis.shape[-1]
        blocks = torch.bmm(curvature, pairs).reshape(n_tasks, n, m, m)
        blocks = blocks.permute(0, 2, 3, 1)
        matrix.view(n_tasks, n, m, n, m).diagonal(dim1=1, dim2=3).add_(blocks)
        return matrix


def _helmert(present, dtype):
    """Orthonormal basis of the zero-sum vectors on the classes present, zero-padded."""
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
