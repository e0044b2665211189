"""Inner problem of Eq. 4: the heads of a batch of tasks, and their loss."""

from dataclasses import dataclass

import torch

from sparsedis.heads._linear import LinearHead
from sparsedis.solvers._info import SolverInfo
from sparsedis.solvers.losses import Squared
from sparsedis.solvers.penalties import L2

# Tolerance of the layers. If features are nearly dependent, as early in training,
# rounding errors can raise the gap of an exact solution above the default tolerance.
_TOL = 1e-10

# Tolerance of Ridge heads of classes and counts that only serve to train the encoder.
# Relative errors of its gradient are then below 1e-4, far below those that come from
# the choice of samples.
_LOOSE = 1e-5

# Ridge penalty of heads whose own penalty is in the outer problem (Eq. 60), relative to
# `LinearHead.scale`.
_TINY = 1e-6


@dataclass
class HeadBatch:
    """Heads of a batch of tasks.

    Attributes
    ----------
    W : tensor of shape (n_tasks, k, n_outputs)
        Coefficients, with one output for a scalar target or two classes.

    intercept : tensor of shape (n_tasks, n_outputs)

    alpha : tensor of shape (n_tasks,)
        Absolute penalties.

    info : SolverInfo
        Certificates of the heads.
    """

    W: torch.Tensor
    intercept: torch.Tensor
    alpha: torch.Tensor
    info: SolverInfo


@dataclass(frozen=True)
class InnerProblem:
    """Inner problem of an estimator: its heads and the options that it fits them with.

    Parameters
    ----------
    head : LinearHead

    penalty_at : {"inner", "outer"}
        Problem that includes the penalty: that of the heads, or that of the encoder
        (Eq. 60).

    alpha_mode : {"relative", "absolute"}
        Unit of penalties. "relative": the scale of each task.

    fit_intercept : bool

    solver : {"auto", "batched", "celer"}
    """

    head: LinearHead
    penalty_at: str
    alpha_mode: str
    fit_intercept: bool
    solver: str

    def solve(
        self, Z, y, alpha, *, mask=None, weight=None, n_classes=2, training=False
    ):
        """Fit the heads of a batch of tasks.

        Parameters
        ----------
        Z : tensor of shape (n_tasks, n_samples, k), or (n_samples, k) if shared

        y : tensor of shape (n_tasks, n_samples) or (n_tasks, n_samples, n_outputs)

        alpha : tensor of shape (n_tasks,)
            Penalties, in the unit of `alpha_mode`. Gradients do not flow through the
            unit.

        mask : tensor of shape (n_tasks, n_samples) of bool, default=None

        weight : tensor of shape (n_tasks, n_samples), default=None

        n_classes : int, default=2
            Number of classes, the same for all tasks of the batch; ignored if targets
            are numbers.

        training : bool, default=False
            Whether the heads only serve to train the encoder.

        Returns
        -------
        HeadBatch
        """
        how = {
            "mask": mask,
            "sample_weight": weight,
            "fit_intercept": self.fit_intercept,
        }
        alpha = self._absolute(Z, y, alpha, n_classes, how)
        head, strength = self.head, alpha
        if self.penalty_at == "outer":
            head = LinearHead(head.loss, L2())
            strength = _TINY * head.scale(Z, y, n_classes=n_classes, **how)
        tol = _LOOSE if training and self._bears_errors else _TOL
        W, intercept, info = head.fit(
            Z, y, strength, n_classes=n_classes, solver=self.solver, tol=tol, **how
        )
        return HeadBatch(W, intercept, alpha, info)

    def loss(self, Z, y, heads, *, mask=None, weight=None, n_classes=2):
        """Loss of each task at its head, the weighted mean over its samples.

        If the penalty is in the outer problem, the loss includes it.

        Parameters
        ----------
        Z, y, mask, weight, n_classes : object
            As in :meth:`solve`.

        heads : HeadBatch

        Returns
        -------
        tensor of shape (n_tasks,)
        """
        scores = Z @ heads.W + heads.intercept.unsqueeze(1)
        if self.head.is_of_classes and scores.shape[-1] > 1:
            # The heads have one score per class, not the contrasts of the loss.
            each = torch.nn.functional.cross_entropy(
                scores.mT, y.long(), reduction="none"
            )
        else:
            each = self.head.loss_of(n_classes).value(scores, y)
        if mask is None and weight is None:
            loss = each.mean(-1)
        else:
            share = torch.ones_like(each) if weight is None else weight
            if mask is not None:
                share = torch.where(mask, share, 0.0)
                each = torch.where(mask, each, 0.0)
            loss = (share * each).sum(-1) / share.sum(-1)
        if self.penalty_at == "outer":
            loss = loss + heads.alpha * _row_norms(heads.W).sum(-1)
        return loss

    @property
    def _bears_errors(self):
        """Whether heads are found step by step, with a curvature that bounds errors."""
        smooth = isinstance(self.head.penalty, L2) and self.penalty_at == "inner"
        return smooth and not isinstance(self.head.loss, Squared)

    def _absolute(self, Z, y, alpha, n_classes, how):
        """Absolute penalties."""
        if self.alpha_mode == "absolute":
            return alpha
        return alpha * self.head.scale(Z, y, n_classes=n_classes, **how)


def _row_norms(W):
    """Norms of rows, with a gradient of zero instead of NaN for rows of zeros."""
    squared = W.square().sum(-1)
    positive = squared > 0
    return torch.where(positive, torch.where(positive, squared, 1.0).sqrt(), 0.0)
