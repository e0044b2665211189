"""Lasso with far more features than samples, on working sets of features.

Products of all pairs of features are never computed. The problem is solved on a few
features; those whose correlation with the residual exceeds the penalty join them, and
those with a coefficient of zero leave, until none is left that should join.
"""

from functools import cached_property

import torch

from sparsedis.solvers._data_gap import certified_gap
from sparsedis.solvers._groups import Rows
from sparsedis.solvers._info import SolverInfo
from sparsedis.solvers._linalg import SupportSystem, product, take_tasks
from sparsedis.solvers.lasso import solve_lasso

# Size of the first working set, at least and as a share of the samples.
_FIRST, _SHARE = 32, 0.5
# Features that may join a small support; at most as many join as are in the support.
_JOIN = 16
# Relative excess of a correlation over the penalty from which a feature joins.
_EXCESS = 1e-10
_MAX_ROUNDS = 50


def solve_wide_lasso(Z, y, corr, y_sq, alpha, l2, *, start=None, tol=1e-12, max_iter):
    """Solve a batch of Lasso or elastic-net problems with many features.

    Parameters
    ----------
    Z : tensor of shape (n_tasks, n_samples, k) or (1, n_samples, k)
        Features, divided by ``sqrt(n)``.

    y : tensor of shape (n_tasks, n_samples)
        Targets, divided by ``sqrt(n)``.

    corr, y_sq, alpha, l2 : tensor
        As in :func:`~sparsedis.solvers.lasso.solve_lasso`; penalties `alpha` must be
        positive.

    start : tensor of shape (n_tasks, k), default=None
        Starting point; zero by default.

    tol, max_iter
        As in :func:`~sparsedis.solvers.lasso.solve_lasso`.

    Returns
    -------
    w : tensor of shape (n_tasks, k)

    info : SolverInfo
        With gaps that are computed from the data. A task remains above `tol` if the
        working sets do not settle, or the problem on one is not solved.

    system : SupportGram
        The systems of the gradients of ``w``.
    """
    n, k = Z.shape[1:]
    w = torch.zeros_like(corr) if start is None else start.clone()
    n_iter = torch.zeros(len(w), dtype=torch.long, device=w.device)
    at = torch.arange(len(w), device=w.device)
    first = max(_FIRST, int(_SHARE * n))
    slope = corr if start is None else _slope(Z, y, w, l2)
    size = max(first, int((w != 0).sum(-1).max()))
    for _ in range(_MAX_ROUNDS):
        own = w[at]
        # Features of the support come first, then those with the largest correlations.
        rank = torch.where(own != 0, torch.inf, slope.abs())
        index = rank.topk(min(size, k), dim=1).indices
        part = take_tasks(Z, at)
        columns = part.expand(len(at), -1, -1)
        columns = columns.gather(2, index.unsqueeze(1).expand(-1, n, -1))
        found, info = solve_lasso(
            torch.bmm(columns.mT, columns),
            *(corr[at].gather(1, index), y_sq[at], alpha[at], l2[at]),
            start=own.gather(1, index),
            tol=tol,
            max_iter=max_iter,
        )
        own = torch.zeros_like(own).scatter_(1, index, found)
        w[at] = own
        n_iter[at] += info.n_iter
        slope = _slope(part, y[at], own, l2[at])
        beyond = slope.abs() > (1 + _EXCESS) * alpha[at].unsqueeze(-1)
        # Features of the working set have been solved.
        n_beyond = beyond.scatter(1, index, False).sum(-1)
        left = n_beyond.nonzero().flatten()
        if len(left) == 0:
            break
        n_used = (own[left] != 0).sum(-1)
        size = int((n_used + n_beyond[left].minimum(n_used.clamp_min(_JOIN))).max())
        at, slope = at[left], slope[left]
    norm = torch.linalg.vector_norm(Z, dim=1)
    gap = certified_gap(w.unsqueeze(-1), Z, y.unsqueeze(-1), y_sq, alpha, l2, norm)
    info = SolverInfo(gap, n_iter, gap <= tol, w != 0)
    return w, info, SupportGram(Z, w != 0, l2)


def _slope(Z, y, w, l2):
    """Correlations with the residual, minus the derivative of the squared penalty."""
    residual = y.unsqueeze(-1) - product(Z, w.unsqueeze(-1))
    return product(Z.mT, residual).squeeze(-1) - l2.unsqueeze(-1) * w


class SupportGram:
    """Systems of the gradients of solutions, with products of their features only.

    Parameters
    ----------
    Z : tensor of shape (n_tasks, n_samples, k) or (1, n_samples, k)
        Features, divided by ``sqrt(n)``.
    support : tensor of shape (n_tasks, k) of bool
    l2 : tensor of shape (n_tasks,)
    """

    def __init__(self, Z, support, l2):
        self.Z, self.support, self.l2 = Z, support, l2.detach()

    @cached_property
    def _rows(self):
        return Rows(self.support)

    @cached_property
    def _system(self):
        rows = self._rows
        columns = self.Z.expand(len(self.l2), -1, -1)
        index = rows.index.unsqueeze(1).expand(-1, columns.shape[1], -1)
        columns = columns.gather(2, index)
        hessian = torch.bmm(columns.mT, columns)
        hessian.diagonal(dim1=-2, dim2=-1).add_(self.l2.unsqueeze(-1))
        return SupportSystem(hessian, rows.valid)

    @property
    def poor(self):
        """Tasks with a small pivot, whose solutions may be inaccurate."""
        return self._system.poor

    def solve(self, rhs):
        """Solutions for right-hand sides of shape (n_tasks, k)."""
        rows = self._rows
        return rows.scatter(self._system.solve(rows.gather(rhs)))
