"""The best points so far of a batch of problems, and Newton steps from them."""

import torch

from sparsedis.solvers._newton_step import newton_step

# After several Newton steps in a row without progress, the method probably cycles or
# diverges.
_MAX_STALLED = 3
# Relative increase of the objective that rounding errors may cause.
_RISE = 1e-10


class Best:
    """The best point of each task so far, and its certificate.

    Attributes
    ----------
    V : tensor of shape (n_tasks, k, c)
    gap : tensor of shape (n_tasks,)
        Infinite before the first point.
    n_iter : tensor of shape (n_tasks,) of int
        Number of points.
    stalled : tensor of shape (n_tasks,) of int
        Number of points since the gap last fell by 10 % or more.
    settled : tensor of shape (n_tasks,) of bool
        Whether the last step was much smaller than ``tol ** 0.5``, relative to V.
    """

    def __init__(self, start, tol):
        self.V, self.tol = start.clone(), tol
        self.gap = torch.full_like(start[:, 0, 0], torch.inf)
        self.n_iter = torch.zeros(len(start), dtype=torch.long, device=start.device)
        self.stalled = torch.zeros_like(self.n_iter)
        self.settled = torch.zeros_like(self.n_iter, dtype=torch.bool)

    @property
    def good(self):
        """Tasks whose gap is at most the tolerance."""
        return self.gap <= self.tol

    def offer(self, problem, at, X, gap, last):
        """Keep the points X of tasks for which they are better.

        ``last`` are the points one step before X.
        """
        uphill = self._uphill(problem, at, X)
        # Gaps below tol differ by rounding errors only: then the later point is better.
        better = (gap < self.gap[at]) | (gap <= self.tol)
        better &= ~uphill
        self.V[at] = torch.where(better[:, None, None], X, self.V[at])
        progress = gap < 0.9 * self.gap[at]
        self.stalled[at] = torch.where(progress, 0, self.stalled[at] + 1)
        self.gap[at] = torch.where(better, gap, self.gap[at])
        self.n_iter[at] += 1
        change, size = (torch.linalg.vector_norm(D, dim=(1, 2)) for D in (X - last, X))
        self.settled[at] = change <= 1e-2 * self.tol**0.5 * size

    def _uphill(self, problem, at, X):
        """Whether the objective at X is larger than at the best point.

        Without convexity, a point with a smaller violation may still be worse.
        """
        if problem.penalty.convex:
            return torch.zeros_like(self.good[at])
        new, old = problem.objective(X), problem.objective(self.V[at])
        return ~(new <= old + _RISE * old.abs()) & (self.gap[at] < torch.inf)

    def improve(self, problem, which, n_steps):
        """Take Newton steps from the best points of some tasks."""
        at = which.nonzero().flatten()
        problem, X = problem.take(at), self.V[at]
        self.stalled[at] = 0
        for _ in range(n_steps):
            if len(at) == 0:
                break
            last, X = X, newton_step(problem, X)
            self.offer(problem, at, X, problem.gap(X), last)
            hopeful = self.stalled[at] < _MAX_STALLED
            left = hopeful & ~(self.good[at] & self.settled[at])
            left = left.nonzero().flatten()
            if len(left) < len(at):
                at, X, problem = at[left], X[left], problem.take(left)
