"""The inner problem of Eq. 4: the heads of a batch of tasks, and their loss."""

from dataclasses import dataclass

import torch
from torch.nn import functional

from sparsedis.implicit import (
    lasso,
    lasso_alpha_max,
    logistic,
    logistic_alpha_max,
    multitask_lasso,
    multitask_lasso_alpha_max,
    ridge,
    ridge_alpha_max,
)
from sparsedis.solvers._info import SolverInfo

# Where features nearly depend on each other, as early in training, rounding alone can
# lift the gap of an exact solution above the layers' default.
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
    """One family of heads: a likelihood and a penalty.

    Parameters
    ----------
    likelihood : {"gaussian", "categorical"}
        Squared error, or log loss.

    penalty : {"l1", "elasticnet", "l2"}
        The first two by rows: a feature serves all the outputs of a task or none.

    penalty_at : {"inner", "outer"}
        Whether the heads are penalised, or the loss of the encoder (Eq. 60).

    alpha_mode : {"relative", "absolute"}
        Whether penalties are given as fractions of each task's scale.

    l2 : float
        Squared l2 term of the elastic net.

    fit_intercept : bool

    solver : {"auto", "batched", "celer"}
    """

    likelihood: str
    penalty: str
    penalty_at: str
    alpha_mode: str
    l2: float
    fit_intercept: bool
    solver: str

    def solve(self, Z, y, alpha, *, mask=None, weight=None, n_classes=2):
        """Fit the heads of a batch of tasks.

        Parameters
        ----------
        Z : tensor of shape (n_tasks, n_samples, k), or (n_samples, k) when shared

        y : tensor of shape (n_tasks, n_samples) or (n_tasks, n_samples, n_outputs)

        alpha : tensor of shape (n_tasks,)
            As `alpha_mode` says. No gradient flows through the scale.

        mask : tensor of shape (n_tasks, n_samples) of bool, default=None

        weight : tensor of shape (n_tasks, n_samples), default=None

        n_classes : int, default=2
            Of all these tasks, for the categorical likelihood.

        Returns
        -------
        HeadBatch
        """
        options = {
            "mask": mask,
            "sample_weight": weight,
            "fit_intercept": self.fit_intercept,
        }
        categorical = self.likelihood == "categorical"
        classes = {"n_classes": n_classes} if categorical else {}
        alpha = self._absolute(Z, y, alpha, options | classes)
        penalty, l2 = alpha, self.l2
        if self.penalty_at == "outer":
            penalty, l2 = None, _TINY * self._ridge_scale(Z, y, options)
        elif self.penalty == "l2":
            penalty, l2 = None, alpha
        elif self.penalty == "l1":
            l2 = 0.0
        how = options | {"tol": _TOL, "return_info": True}
        if not categorical and y.ndim == 2:
            if penalty is None:
                W, *rest = ridge(Z, y, l2, **how)
            else:
                W, *rest = lasso(Z, y, penalty, l2=l2, solver=self.solver, **how)
        else:
            layer = logistic if categorical else multitask_lasso
            # A squared l2 term alone is no sparse problem: nothing for celer.
            solver = "batched" if penalty is None else self._solver(n_classes, weight)
            penalty = 0.0 if penalty is None else penalty
            W, *rest = layer(Z, y, penalty, l2=l2, solver=solver, **classes, **how)
        W = W.unsqueeze(-1) if W.ndim == 2 else W
        intercept = rest[0] if self.fit_intercept else torch.zeros_like(W[:, 0])
        intercept = intercept.reshape(len(W), -1)
        return HeadBatch(W, intercept, alpha, rest[-1])

    def loss(self, Z, y, heads, *, mask=None, weight=None):
        """Loss of each task at its head: mean of the samples' negative log-likelihoods.

        Parameters
        ----------
        Z, y, mask, weight : tensor
            As for :meth:`solve`.

        heads : HeadBatch

        Returns
        -------
        tensor of shape (n_tasks,)
        """
        scores = Z @ heads.W + heads.intercept.unsqueeze(1)
        if self.likelihood == "gaussian":
            target = y.unsqueeze(-1) if y.ndim == 2 else y
            each = 0.5 * (target - scores).square().sum(-1)
        elif scores.shape[-1] == 1:
            each = functional.binary_cross_entropy_with_logits(
                scores.squeeze(-1), y, reduction="none"
            )
        else:
            each = functional.cross_entropy(scores.mT, y.long(), reduction="none")
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

    def _absolute(self, Z, y, alpha, options):
        if self.alpha_mode == "absolute":
            return alpha
        if self.penalty == "l2":
            return alpha * self._ridge_scale(Z, y, options)
        if self.likelihood == "categorical":
            scale = logistic_alpha_max
        else:
            scale = lasso_alpha_max if y.ndim == 2 else multitask_lasso_alpha_max
        return alpha * scale(Z.detach(), y, **options)

    def _ridge_scale(self, Z, y, options):
        options = {name: v for name, v in options.items() if name != "n_classes"}
        target = (y if y.ndim == 2 else y[..., 0]).to(Z.dtype)
        return ridge_alpha_max(Z.detach(), target, **options)

    def _solver(self, n_classes, weight):
        """The solver, but for the logistic regressions that celer does not have."""
        if self.likelihood == "gaussian" or self.solver != "celer":
            return self.solver
        lacks = n_classes > 2 or self.fit_intercept or weight is not None
        return "batched" if lacks or self.penalty == "elasticnet" else "celer"


def _row_norms(W):
    """Norms of rows whose gradient at zero is zero, not NaN."""
    squared = W.square().sum(-1)
    positive = squared > 0
    return torch.where(positive, torch.where(positive, squared, 1.0).sqrt(), 0.0)
