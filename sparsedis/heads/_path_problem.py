"""What the heads of all tasks on their paths have in common."""

from dataclasses import dataclass, replace

import numpy as np
import torch

from sparsedis.heads._task_rows import ROUNDING
from sparsedis.solvers._grouped import Groups
from sparsedis.solvers.penalties import MCP

# Penalty of heads that are zero whatever it is, as in scikit-learn.
SMALLEST = float(np.finfo(float).resolution)


@dataclass(frozen=True, eq=False)
class HeadProblem:
    """What the heads of all tasks have in common.

    Attributes
    ----------
    alphas : int, or ndarray of shape (n_alphas,) or (n_tasks, n_alphas)
        Number of penalties of each task, or penalties in decreasing order.

    eps : float
        Smallest penalty of a task, relative to the largest, if `alphas` is a number.

    sizes : ndarray of shape (n_sizes,) of int, or None
        Numbers of features, in increasing order, to choose from instead of penalties.

    feature_weights : ndarray of shape (p,) or (n_tasks, p)
        Factors of the penalty: 0 for features without a penalty, inf for those to
        leave out.

    groups : ndarray of shape (p,) of int, or None
        Group of each feature, from 0. None: the penalty is that of the Lasso, on each
        feature alone.

    mcp : MCP or None
        Penalty of the norms of the groups; None: the norms themselves.

    adaptive : bool
        Whether to weight features by the coefficients of a first fit.

    rule : {"cv", "1se", "bic"}
        Choice among several penalties.

    relaxed : bool
        Whether to fit the chosen heads again, on their features and without penalty.

    fit_intercept, positive : bool

    tol : float

    device : torch.device
        Device that follows the paths.
    """

    alphas: object
    eps: float
    sizes: np.ndarray | None
    feature_weights: np.ndarray
    groups: np.ndarray | None
    mcp: MCP | None
    adaptive: bool
    rule: str
    relaxed: bool
    fit_intercept: bool
    positive: bool
    tol: float
    device: torch.device

    def take(self, tasks):
        """The same for some of the tasks."""
        alphas, weights = self.alphas, self.feature_weights
        alphas = alphas[tasks] if np.ndim(alphas) == 2 else alphas
        weights = weights[tasks] if weights.ndim == 2 else weights
        return replace(self, alphas=alphas, feature_weights=weights)

    @property
    def relaxes_points(self):
        """Whether heads with given numbers of features are chosen after a fit again."""
        return self.relaxed and self.sizes is not None

    def norms(self, x):
        """Sizes of what the penalty acts on, for vectors of shape (..., p).

        They are absolute values, or norms of groups.
        """
        if self.groups is None:
            return x.abs()
        return Groups(torch.from_numpy(self.groups).to(x.device)).norms(x)

    def penalties(self, corr, scale):
        """Penalties of some tasks, of shape (n_tasks, n_alphas).

        Parameters
        ----------
        corr : tensor of shape (n_tasks, p)
            Correlations of the features with the targets.

        scale : tensor of shape (n_tasks,)
            Their bound: less than its rounding errors is 0.
        """
        if isinstance(self.alphas, np.ndarray):
            alphas = torch.from_numpy(self.alphas).to(corr)
            return alphas.expand(len(corr), -1)
        largest = (corr if self.positive else self.norms(corr)).amax(1)
        how = {"dtype": corr.dtype, "device": corr.device}
        grid = torch.logspace(0, np.log10(self.eps), self.alphas, **how)
        varies = (largest > ROUNDING * scale)[:, None]
        return torch.where(varies, largest[:, None] * grid, SMALLEST)

    def of_groups(self):
        """Arguments of the solvers of groups."""
        groups = torch.from_numpy(self.groups).to(self.device)
        return {"groups": groups, "mcp": self.mcp, "tol": self.tol}


def units(weights):
    """Factors of features for a penalty without weights; 0 for those without any.

    Parameters
    ----------
    weights : tensor
        Factors of the penalty.

    Returns
    -------
    tensor of the same shape
    """
    return torch.where(weights > 0, 1 / weights, 0.0)
