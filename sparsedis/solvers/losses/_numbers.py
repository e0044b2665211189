"""Losses of numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from sparsedis.solvers.losses._base import Loss, as_scores

if TYPE_CHECKING:
    from torch import Tensor


class Squared(Loss):
    """Squared error, ``1/2 ||s - y||^2``.

    Examples
    --------
    >>> import torch
    >>> from sparsedis.solvers.losses import Squared
    >>> Squared().value(torch.tensor([[1.0], [3.0]]), torch.tensor([1.0, 1.0]))
    tensor([0., 2.])
    """

    curvature = 1.0

    def value(self, scores: Tensor, y: Tensor) -> Tensor:
        return 0.5 * (scores - as_scores(y, scores)).square().sum(-1)

    def gradient(self, scores: Tensor, y: Tensor) -> Tensor:
        return scores - as_scores(y, scores)

    def hessian(self, scores: Tensor, y: Tensor) -> Tensor:
        eye = torch.eye(scores.shape[-1], dtype=scores.dtype, device=scores.device)
        return eye.expand(*scores.shape, -1)

    def conjugate(self, dual: Tensor, y: Tensor) -> Tensor:
        return (dual * (as_scores(y, dual) + 0.5 * dual)).sum(-1)


class Huber(Loss):
    r"""Huber's loss: squared for residuals up to `delta`, linear for larger ones.

    .. math::

        l(s, y) = \begin{cases} (s - y)^2 / 2 & |s - y| \le \delta \\
        \delta |s - y| - \delta^2 / 2 & \text{otherwise} \end{cases}

    Parameters
    ----------
    delta : float, default=1.35
        Residual, in the units of the targets, above which the loss is linear. For
        Gaussian noise of unit variance, 1.35 has an efficiency of 95 %.

    Raises
    ------
    ValueError
        When `delta` is not positive and finite.

    Examples
    --------
    >>> import torch
    >>> from sparsedis.solvers.losses import Huber
    >>> Huber(1.0).value(torch.tensor([[0.5], [3.0]]), torch.tensor([0.0, 0.0]))
    tensor([0.1250, 2.5000])
    """

    curvature = 1.0
    robust = True

    def __init__(self, delta: float = 1.35) -> None:
        if not 0 < delta < math.inf:
            raise ValueError(f"delta must be positive and finite, got {delta!r}.")
        self.delta = delta

    def value(self, scores: Tensor, y: Tensor) -> Tensor:
        size = (scores - as_scores(y, scores)).abs()
        near = size.clamp(max=self.delta)
        return (near * (size - 0.5 * near)).sum(-1)

    def gradient(self, scores: Tensor, y: Tensor) -> Tensor:
        return (scores - as_scores(y, scores)).clamp(-self.delta, self.delta)

    def hessian(self, scores: Tensor, y: Tensor) -> Tensor:
        near = (scores - as_scores(y, scores)).abs() <= self.delta
        return torch.diag_embed(near.to(scores.dtype))

    def conjugate(self, dual: Tensor, y: Tensor) -> Tensor:
        return (dual * (as_scores(y, dual) + 0.5 * dual)).sum(-1)
