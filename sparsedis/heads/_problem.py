"""The inner problem of Eq. 4: the heads of a batch of tasks, and their loss."""

from dataclasses import dataclass

import torch

from sparsedis.heads._linear import LinearHead
from sparsedis.solvers._info import SolverInfo
from sparsedis.solvers.penalties import L2

# If features are nearly dependent, as early in training, rounding errors alone can
# raise the gap of an exact solution above the layers' default tolerance.
_TOL = 1e-10

# Ridge term of the heads whose penalty is in the outer problem (Eq. 60), as a share of
# its natural scale.
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
        Certificate of the inner problem.
    """

    W: torch.Tensor
    intercept: torch.Tensor
    alpha: torch.Tensor
    info: SolverInfo


@dataclass(frozen=True)
class InnerProblem:
    """The heads of an estimator, and how it uses them.

    Parameters
    ----------
    head : LinearHead

    penalty_at : {"inner", "outer"}
        Whether the heads are penalised, or the loss of the encoder (Eq. 60).

    alpha_mode : {"relative", "absolute"}
        Whether penalties are given as fractions of each task's scale.

    fit_intercept : bool

    solver : {"auto", "batched", "celer"}
    """

    head: LinearHead
    penalty_at: str
    alpha_mode: str
    fit_intercept: bool
    solver: str

    def solve(self, Z, y, alpha, *, mask=None, weight=None, n_classes=2):
        """Fit the heads of a batch of tasks.

        Parameters
        ----------
        Z : tensor of shape (n_tasks, n_samples, k), or (n_samples, k) when shared

        y : tensor of shape (n_tasks, n_samples) or (n_tasks, n_samples, n_outputs)

        alpha : tensor of shape (n_tasks,)
            Penalties, in the units of `alpha_mode`. No gradient flows through the
            scale.

        mask : tensor of shape (n_tasks, n_samples) of bool, default=None

        weight : tensor of shape (n_tasks, n_samples), default=None

        n_classes : int, default=2
            Number of classes of all these tasks, if targets are classes.

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
        W, intercept, info = head.fit(
            Z, y, strength, n_classes=n_classes, solver=self.solver, tol=_TOL, **how
        )
        return HeadBatch(W, intercept, alpha, info)

    def loss(self, Z, y, heads, *, mask=None, weight=None, n_classes=2):
        """Loss of each task at its head: mean of the losses of its samples.

        Parameters
        ----------
        Z, y, mask, weight, n_classes : object
            As for :meth:`solve`.

        heads : HeadBatch

        Returns
        -------
        tensor of shape (n_tasks,)
        """
        scores = Z @ heads.W + heads.intercept.unsqueeze(1)
        if self.head.is_of_classes and scores.shape[-1] > 1:
            # One score per class, instead of contrasts.
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

    def _absolute(self, Z, y, alpha, n_classes, how):
        if self.alpha_mode == "absolute":
            return alpha
        return alpha * self.head.scale(Z, y, n_classes=n_classes, **how)


def _row_norms(W):
    """Norms of rows whose gradient at zero is zero, not NaN."""
    squared = W.square().sum(-1)
    positive = squared > 0
    return torch.where(positive, torch.where(positive, squared, 1.0).sqrt(), 0.0)
