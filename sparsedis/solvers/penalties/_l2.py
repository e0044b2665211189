"""The squared penalty."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from sparsedis.solvers.penalties._base import Penalty

if TYPE_CHECKING:
    from torch import Tensor


class L2(Penalty):
    r"""Squared norm, :math:`\alpha / 2 \|W\|_F^2`.

    Solutions use all features.

    Examples
    --------
    >>> import torch
    >>> from sparsedis.solvers.penalties import L2
    >>> L2().prox(torch.tensor([[[3.0]]]), torch.tensor([[0.5]]), torch.ones(1, 1))
    tensor([[[2.]]])
    """

    def value(self, W: Tensor, alpha: Tensor) -> Tensor:
        return 0.5 * alpha * W.square().sum(-1)

    def prox(self, W: Tensor, alpha: Tensor, step: Tensor) -> Tensor:
        return W / (1 + alpha * step).unsqueeze(-1)

    def alpha_max(self, gradient: Tensor) -> Tensor:
        zero = ~(gradient != 0).flatten(1).any(-1)
        return torch.where(zero, 0.0, torch.inf).to(gradient.dtype)
