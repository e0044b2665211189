"""Group penalty of a batch of tasks, on the features that may become active.

Symbols are those of :mod:`sparsedis.solvers.svm`.
"""

import torch

from sparsedis.solvers.svm.group_pairs import GroupPairs
from sparsedis.solvers.svm.group_penalty import (
    GroupIterate,
    conjugate,
    gather_columns,
    norm,
    pull,
    take_features,
)

# Features whose ||V_j|| exceeds the first fraction of alpha join the working set, as
# soon as one of them exceeds the second.
_JOIN, _START = 0.9, 0.95
# A feature takes part in Newton's method on the active set from this fraction on.
_NEAR = 0.8
# Smallest multiple of the given direction to start from.
_LEAST = 0.01


class WorkingSet(GroupPairs):
    """Group penalty in the interior-point method, on a working set of features.

    Every other feature has ``W_j = 0`` and adds its conjugate,
    ``(||V_j|| - alpha)_+^2 / (2 l2)``, to the duality gap.

    Parameters
    ----------
    Z : tensor of shape (n_all, n_samples, p) or (1, n_samples, p)
        Features. Products with all features are computed in their dtype. Features that
        join the working set are copied to the dtype of ``weight``.

    tasks : tensor of shape (n_tasks,) of int
        Index in Z of each task.

    weight : tensor of shape (n_tasks, n_samples)
    alpha, l2 : tensor of shape (n_tasks,)
        Penalties, positive.
    """

    # Relative gap below which the interior-point method guesses the active set.
    guess_from = 1e-4

    def __init__(self, Z, tasks, weight, alpha, l2, m):
        super().__init__(weight, alpha, l2, m)
        self.Z, self.tasks = Z, tasks
        self.index = tasks.new_zeros(len(tasks), 0)
        self.member = torch.zeros(
            len(tasks), Z.shape[-1], dtype=torch.bool, device=Z.device
        )
        self.fresh, self.complete = True, False

    def take(self, at):
        """Keep only the tasks ``at``, in place."""
        for name, value in vars(self).items():
            if name not in ("Z", "fresh", "complete"):
                setattr(self, name, value[at])

    def begin(self, X, V, slope):
        """Choose the starting point along a direction, and the first working set.

        The starting point is ``0.9 f X`` with ``f = min_j alpha / ||V_j||``, at most 1.
        There, every ``||V_j||`` is below alpha. If ``0.01 X`` is larger, it is the
        start. The working set consists of the features with the largest ``||V_j||``.

        Parameters
        ----------
        X : tensor of shape (n_tasks, n_samples, m)
            Direction: a feasible point, which may be on the boundary.

        V : tensor of shape (n_tasks, m, p)
            ``Z'(s X)``.

        slope : tensor of shape (n_tasks,)
            Derivative along X of the part of the dual that is linear in beta.

        Returns
        -------
        X : tensor of shape (n_tasks, n_samples, m)
            The starting point, a multiple of the direction.

        pairs : tensor of shape (2, n_tasks, q)
            t and slack of the working set.
        """
        reach = norm(V)
        alpha, l2 = self.alpha.to(reach), self.l2[:, 0].to(reach)
        first = (alpha[:, 0] / reach.amax(-1)).clamp_max(1.0)
        # Features with ||V_j|| > alpha at the maximum of the dual along the direction
        # are likely to be active. `best` is the largest length with a rising dual.
        best = first
        for power in (0.85, 0.7, 0.55, 0.4, 0.2, 0.0):
            length = first**power
            excess = (length.unsqueeze(-1) * reach - alpha).clamp_min(0)
            rising = (excess * reach).sum(-1) < slope * l2
            if not bool(rising.any()):
                break
            best = torch.where(rising, length, best)
        likely = (best.unsqueeze(-1) * reach > _JOIN * alpha).sum(-1)
        # Choose as many features as dual variables, or all likely ones if they are
        # more; all features if this is at least half of them.
        p, room = reach.shape[-1], max(X[0].numel(), int(likely.max()))
        self.complete = p <= 2 * room
        room = p if self.complete else room
        index = reach.topk(room, -1).indices
        # With a small alpha, a start with ||V_j|| > alpha is better than one near 0.
        X = (0.9 * first).clamp_min(_LEAST).to(X)[:, None, None] * X
        everywhere = torch.ones_like(index, dtype=torch.bool)
        return X, self._let_in(X, index, everywhere, self.weight.mean(-1))

    def grow(self, X, mu):
        """Add features with ``||V_j|| > 0.9 alpha``, if one exceeds ``0.95 alpha``.

        A round adds at most half as many features as are in use, or as there are dual
        variables if these are more. Features that stay outside count in the duality
        gap. Return t and slack of the new features, (2, n_tasks, k), or None.
        """
        if self.fresh or self.complete:
            # The working set is that of `begin`, or contains all features.
            self.fresh = False
            return None
        V = pull(self.Z, self.weight, X, self.tasks)
        reach = V.mul_(V).sum(1).masked_fill_(self.member, 0.0).sqrt_()
        alpha = self.alpha.to(reach)
        due = reach.amax(-1, keepdim=True) > _START * alpha
        wanted = due & (reach > _JOIN * alpha)
        count = int(wanted.sum(-1).max())
        self.outside = torch.zeros_like(self.alpha[:, 0])
        if not count:
            return None
        room = max(X[0].numel(), self.S.shape[-1]) // 2 + 1
        score, index = reach.topk(min(room, count), -1)
        pairs = self._let_in(X, index, due & (score > _JOIN * alpha), mu)
        if count > room:
            reach = reach.masked_fill_(self.member, 0.0).to(self.alpha)
            self.outside = conjugate(reach, self.alpha, self.l2).sum(-1)
        return pairs

    def _let_in(self, X, index, real, mu):
        """Add the features `index`, except padding, where `real` is false."""
        self.member.scatter_(1, index, self.member.gather(1, index) | real)
        self.index = torch.cat([self.index, torch.where(real, index, -1)], 1)
        rows = take_features(self.Z, self.tasks, index).to(X)
        return self.join(rows * (self.weight.unsqueeze(-1) * real.unsqueeze(1)), X, mu)

    def excess(self, at, pair, simplices):
        """Return the part of the gap of features outside, the sum of conjugates."""
        X = simplices.coordinates(pair.beta)
        V = pull(self.Z, self.weight[at], X, self.tasks[at])
        reach, index = V.mul_(V).sum(1).sqrt_(), pair.iterate.index
        reach.scatter_reduce_(
            1, index.clamp_min(0), torch.where(index < 0, torch.inf, 0.0).to(V), "amin"
        )
        alpha = self.alpha[at]
        return conjugate(reach.to(alpha), alpha, self.l2[at]).sum(-1)

    def restrict(self, at):
        """Return the iterate of some tasks, for Newton's method on the active set.

        It contains the features that are active, or close to it.
        """
        active, alpha = self.active()[at], self.alpha[at]
        reach = self.reach[at].masked_fill_(active, torch.inf)
        count = int((reach > _NEAR * alpha).sum(-1).max())
        near = reach.topk(count, -1).indices
        S = gather_columns(self.S[at], near)
        W = gather_columns(self.W[at] * active.unsqueeze(1), near)
        index = self.index[at].gather(1, near)
        return GroupIterate(S, W, alpha, self.l2[at], index)
