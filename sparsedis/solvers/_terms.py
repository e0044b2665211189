"""Penalties of a batch of problems, in the units of the solver."""

import torch

from sparsedis.solvers._groups import (
    curvature,
    directions,
    penalty_hessian,
    smoothed_curvature,
)
from sparsedis.solvers.penalties._norms import shrink


class Norms:
    """Norms of rows, ``sum_j t_j ||V_j||``.

    Parameters
    ----------
    threshold : tensor of shape (n_tasks, k)
        Factors ``t_j``. Rows with ``t_j = 0`` are always active.

    positive : bool, default=False
        Whether coefficients must not be negative. Rows then have one coefficient.

    Attributes
    ----------
    convex : bool
        Whether the penalty is convex.

    smooths : bool
        Whether the solver may replace the norms by smooth functions.
    """

    convex = smooths = True

    def __init__(self, threshold, positive=False):
        self.threshold = threshold
        self.positive = positive
        # A smoothed norm is finite for negative coefficients, so that it would not
        # enforce the constraint.
        self.smooths = not positive

    def take(self, at):
        """Return the penalty of the tasks with indices ``at``."""
        part = self.threshold
        return Norms(part if len(part) == 1 else part[at], self.positive)

    @property
    def free(self):
        """Rows without a penalty, of shape (n_tasks, k)."""
        return self.threshold == 0

    def value(self, V):
        """Value of the penalty of every task, of shape (n_tasks,)."""
        return (self.threshold * torch.linalg.vector_norm(V, dim=-1)).sum(-1)

    def gradient(self, V):
        """Derivative with respect to nonzero rows, of the shape of V."""
        return self.threshold.unsqueeze(-1) * directions(V)

    def prox(self, V, length):
        """Proximal operator, with step lengths of shape (n_tasks, 1)."""
        threshold = self.threshold * length
        if not self.positive:
            return shrink(V, threshold)
        # A row without a penalty, such as an intercept, has no constraint on its sign.
        free = (self.threshold == 0).unsqueeze(-1)
        return shrink(torch.where(free, V, V.clamp_min(0)), threshold)

    def active(self, V, reach):
        """Rows that are nonzero after a gradient step from V to ``reach``."""
        size = reach.clamp_min(0) if self.positive else reach
        norm = torch.linalg.vector_norm(size, dim=-1)
        return (norm > self.threshold) | (self.threshold == 0)

    def linearise(self, V, reach, rows):
        """Linear model ``slope + blocks V`` of the gradient of the penalty.

        The model of a norm is that at the proximal point of ``reach``. Its gradient is
        ``t_j v_j``, and its curvature ``t_j / ||V_j|| (I - v_j v_j')``, with the unit
        vector ``v_j`` along ``reach`` and ``||V_j|| = ||reach_j|| - t_j``.

        Parameters
        ----------
        V, reach : tensor of shape (n_tasks, k, c)
            The point, and the result of a gradient step from it.

        rows : Rows
            Active rows.

        Returns
        -------
        slope : tensor of shape (n_tasks, s, c)

        blocks : tensor of shape (n_tasks, s, c, c)
        """
        towards = directions(rows.gather(reach))
        threshold = rows.gather(self.threshold)
        beyond = torch.linalg.vector_norm(rows.gather(reach), dim=-1) - threshold
        strength = torch.where(threshold > 0, threshold / beyond, 0.0)
        return threshold.unsqueeze(-1) * towards, curvature(towards, strength)

    def curvature(self, V, rows):
        """Second derivatives of nonzero rows, of shape (n_tasks, s, c, c)."""
        return penalty_hessian(rows.gather(V), rows.gather(self.threshold))

    def smoothed(self, u, towards, norm):
        """Blocks of curvature of the smoothed norms; see ``smoothed_curvature``."""
        return smoothed_curvature(u, towards, self.threshold / norm)


class Scaled:
    """Penalty on coefficients ``W = scale * V`` as a function of V.

    Parameters
    ----------
    penalty : Penalty

    alpha : tensor of shape (n_tasks,)

    scale : tensor of shape (n_tasks, k)

    n_penalised : int
        Number of penalised rows. They come first; the others, such as that of an
        intercept, have no penalty.
    """

    smooths = False

    def __init__(self, penalty, alpha, scale, n_penalised):
        self.own, self.alpha, self.scale = penalty, alpha.unsqueeze(-1), scale
        self.n_penalised, self.convex = n_penalised, penalty.convex

    def take(self, at):
        """Return the penalty of the tasks with indices ``at``."""
        part = object.__new__(Scaled)
        vars(part).update(vars(self))
        part.alpha, part.scale = (
            value if len(value) == 1 else value[at]
            for value in (self.alpha, self.scale)
        )
        return part

    @property
    def free(self):
        """Rows without a penalty, of shape (n_tasks, k)."""
        at = torch.arange(self.scale.shape[1], device=self.scale.device)
        return (at >= self.n_penalised).expand_as(self.scale)

    def _split(self, V):
        """Return the penalised rows of W, the other rows of V, and the scale."""
        k = self.n_penalised
        scale = self.scale.unsqueeze(-1)
        return (V * scale)[:, :k], V[:, k:], scale[:, :k]

    def value(self, V):
        """Value of the penalty of every task, of shape (n_tasks,)."""
        W, _, _ = self._split(V)
        return self.own.value(W, self.alpha).sum(-1)

    def prox(self, V, length):
        """Proximal operator, with step lengths of shape (n_tasks, 1)."""
        W, free, scale = self._split(V)
        W = self.own.prox(W, self.alpha, length * scale.squeeze(-1) ** 2)
        return torch.cat([W / scale, free], 1)

    def active(self, V, reach):
        """Nonzero rows. Proximal gradient steps find them; Newton steps keep them."""
        active = (V != 0).any(-1)
        active[:, self.n_penalised :] = True
        return active

    def linearise(self, V, reach, rows):
        """Linear model of the gradient at V, see :meth:`Norms.linearise`."""
        blocks = self._hessian(V)
        slope = self.gradient(V) - (blocks @ V.unsqueeze(-1)).squeeze(-1)
        return rows.gather(slope), rows.gather(blocks)

    def gradient(self, V):
        """Derivative with respect to nonzero rows, of the shape of V."""
        W, free, scale = self._split(V)
        slope = scale * self.own.gradient(W, self.alpha)
        return torch.cat([slope, torch.zeros_like(free)], 1)

    def curvature(self, V, rows):
        """Second derivatives of nonzero rows, of shape (n_tasks, s, c, c)."""
        return rows.gather(self._hessian(V))

    def _hessian(self, V):
        """Second derivatives of all rows, of shape (n_tasks, k, c, c)."""
        W, _, scale = self._split(V)
        blocks = scale.unsqueeze(-1) ** 2 * self.own.hessian(W, self.alpha)
        free = V.shape[1] - self.n_penalised
        return torch.nn.functional.pad(blocks, (0, 0, 0, 0, 0, free))

    def violation(self, V, gradient):
        """Violation of the optimality conditions by each row, of shape (n_tasks, k).

        ``gradient`` is that of the smooth part of the objective.
        """
        W, _, scale = self._split(V)
        k = self.n_penalised
        own = self.own.violation(W, gradient[:, :k] / scale, self.alpha)
        free = torch.linalg.vector_norm(gradient[:, k:], dim=-1)
        return torch.cat([scale.squeeze(-1) * own, free], 1)
