"""Outer loss of heads that are parameters, trained together with the encoder."""

import numpy as np
import torch

from sparsedis.heads._problem import HeadBatch
from sparsedis.multitask._objective import TaskObjective
from sparsedis.solvers._info import SolverInfo


class KeptHeads(TaskObjective):
    """Loss of heads that are kept from one step to the next.

    The heads of a batch fit its labels better than those of other rows, the more so the
    fewer labels a task has there, and the encoder learns from that. Kept heads are
    those of all labels. They have no penalty, so they must start near their solution.

    Parameters
    ----------
    problem : InnerProblem

    alpha : float or array of shape (n_tasks,)
        Penalty of the heads that judge held-out rows.

    coef : ndarray of shape (n_tasks, n_outputs, k)
        Initial coefficients; NaN for tasks without labels.

    intercept : ndarray of shape (n_tasks, n_outputs)
        Initial intercepts; not finite where a task lacks labels, or a class.

    device : torch.device
    """

    def __init__(self, problem, alpha, coef, intercept, device):
        super().__init__(problem, alpha)
        # Gradients are small at first, and Adam would amplify their rounding errors.
        dtype = torch.float32 if device.type == "mps" else self.dtype
        self.W, self.intercept = (
            torch.nn.Parameter(
                torch.tensor(np.where(np.isfinite(part), part, 0.0), dtype=dtype)
            )
            for part in (coef.swapaxes(1, 2), intercept)
        )

    def forward(self, Z, batch, warmth, step):
        found = super().forward(Z, batch, warmth, step)
        # `alpha` is that of the heads that judge.
        found.record["alpha"] = 0.0
        return found

    def _trained_heads(self, samples, batch, tasks, n_classes, warmth):
        number = batch.task if tasks is None else batch.task[tasks]
        number = torch.as_tensor(number, device=self.W.device)
        W, intercept = (
            part[number][..., :n_classes].to(samples.Z)
            for part in (self.W, self.intercept)
        )
        none = W.detach().new_zeros(len(W))
        used = torch.ones(W.shape[:2], dtype=torch.bool, device=W.device)
        return HeadBatch(W, intercept, none, SolverInfo(none, none, none == 0, used))
