"""The minimax concave penalty."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from sparsedis.solvers.penalties._base import Penalty
from sparsedis.solvers.penalties._norms import shrink

if TYPE_CHECKING:
    from torch import Tensor


class MCP(Penalty):
    r"""Minimax concave penalty of the norms of rows.

    .. math::

        p(W_j) = \begin{cases} \alpha r - r^2 / (2 \gamma) & r = \|W_j\| \le \gamma
        \alpha \\ \gamma \alpha^2 / 2 & \text{otherwise} \end{cases}

    The penalty shrinks small coefficients as the Lasso does, and does not shrink large
    ones (Zhang, 2010). It is not convex, so that the solver finds a stationary point.

    Parameters
    ----------
    gamma : float, default=3.0
        Concavity parameter, above 1. For large values, the penalty approaches that of
        the Lasso.

    Raises
    ------
    ValueError
        When `gamma` is not above 1 and finite.

    Examples
    --------
    >>> import torch
    >>> from sparsedis.solvers.penalties import MCP
    >>> W = torch.tensor([[[9.0], [2.0], [0.5]]])
    >>> MCP().prox(W, torch.tensor([[1.0]]), torch.ones(1, 3)).flatten()
    tensor([9.0000, 1.5000, 0.0000])
    """

    convex = False

    def __init__(self, gamma: float = 3.0) -> None:
        if not 1 < gamma < math.inf:
            raise ValueError(f"gamma must be above 1 and finite, got {gamma!r}.")
        self.gamma = gamma

    def get_params(self, deep: bool = True) -> dict[str, float]:
        """Parameters by their names, as scikit-learn's searches need them.

        Parameters
        ----------
        deep : bool, default=True
            Without an effect.

        Returns
        -------
        params : dict
            `gamma`.

        Examples
        --------
        >>> from sparsedis.solvers.penalties import MCP
        >>> MCP(2.0).get_params()
        {'gamma': 2.0}
        """
        return {"gamma": self.gamma}

    def set_params(self, **params: float) -> MCP:
        """Change parameters in place, such as ``penalty__gamma`` of an estimator.

        Parameters
        ----------
        **params : dict
            `gamma`.

        Returns
        -------
        self : object
            The penalty.

        Raises
        ------
        TypeError
            When a parameter has another name.
        ValueError
            When `gamma` is not above 1 and finite.

        Examples
        --------
        >>> from sparsedis.heads import SparseHeadsCV
        >>> from sparsedis.solvers.penalties import MCP
        >>> SparseHeadsCV(penalty=MCP()).set_params(penalty__gamma=2.0).penalty
        MCP(gamma=2.0)
        """
        self.gamma = MCP(**{**self.get_params(), **params}).gamma
        return self

    def value(self, W: Tensor, alpha: Tensor) -> Tensor:
        norm = torch.linalg.vector_norm(W, dim=-1)
        near = torch.minimum(norm, self.gamma * alpha)
        return near * (alpha - near / (2 * self.gamma))

    def prox(self, W: Tensor, alpha: Tensor, step: Tensor) -> Tensor:
        norm = torch.linalg.vector_norm(W, dim=-1, keepdim=True)
        alpha, step = alpha.unsqueeze(-1), step.unsqueeze(-1)
        # With a step of at least gamma, the problem is concave for norms up to
        # gamma * alpha: the result is zero or W.
        soft = shrink(W, (alpha * step).squeeze(-1)) / (1 - step / self.gamma)
        firm = torch.where(norm <= self.gamma * alpha, soft, W)
        hard = torch.where(norm <= alpha * (self.gamma * step).sqrt(), 0.0, W)
        return torch.where(step < self.gamma, firm, hard)

    def gradient(self, W: Tensor, alpha: Tensor) -> Tensor:
        _, towards, slope = self._slope(W, alpha)
        return slope.unsqueeze(-1) * towards

    def hessian(self, W: Tensor, alpha: Tensor) -> Tensor:
        norm, towards, slope = self._slope(W, alpha)
        bend = torch.where(slope > 0, 1 / self.gamma, 0.0)
        outer = towards.unsqueeze(-1) * towards.unsqueeze(-2)
        eye = torch.eye(W.shape[-1], dtype=W.dtype, device=W.device)
        across = (slope / norm)[..., None, None] * (eye - outer)
        used = (W != 0).any(-1)[..., None, None]
        return torch.where(used, across - bend[..., None, None] * outer, 0.0).detach()

    def _slope(self, W, alpha):
        """Norms and directions of rows, and the derivative of the penalty in the norm.

        Rows of zeros have the norm 1, for derivatives that are finite.
        """
        used = (W != 0).any(-1)
        norm = torch.linalg.vector_norm(torch.where(used.unsqueeze(-1), W, 1.0), dim=-1)
        norm = torch.where(used, norm, 1.0)
        slope = (alpha - norm / self.gamma).clamp_min(0)
        return norm, W / norm.unsqueeze(-1), slope

    def violation(self, W: Tensor, gradient: Tensor, alpha: Tensor) -> Tensor:
        used = (W != 0).any(-1)
        slope = gradient + self.gradient(W, alpha)
        slope = torch.linalg.vector_norm(slope, dim=-1)
        excess = torch.linalg.vector_norm(gradient, dim=-1) - alpha
        return torch.where(used, slope, excess.clamp_min(0))

    def alpha_max(self, gradient: Tensor) -> Tensor:
        return torch.linalg.vector_norm(gradient, dim=-1).amax(-1)
