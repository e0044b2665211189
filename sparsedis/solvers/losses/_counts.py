"""The loss of counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from sparsedis.solvers.losses._base import Loss, as_scores

if TYPE_CHECKING:
    from torch import Tensor


class Poisson(Loss):
    """Half of the Poisson deviance of counts with mean ``exp(s)``.

    The loss is ``exp(s) - y s`` minus its smallest value, ``y - y log y``.

    Examples
    --------
    >>> import torch
    >>> from sparsedis.solvers.losses import Poisson
    >>> Poisson().value(torch.tensor([[0.0], [0.0]]), torch.tensor([1.0, 3.0]))
    tensor([0.0000, 1.2958])
    """

    has_unit = False

    def value(self, scores: Tensor, y: Tensor) -> Tensor:
        y = as_scores(y, scores)
        return (scores.exp() - y * scores - y + torch.xlogy(y, y)).sum(-1)

    def gradient(self, scores: Tensor, y: Tensor) -> Tensor:
        return scores.exp() - as_scores(y, scores)

    def hessian(self, scores: Tensor, y: Tensor) -> Tensor:
        return torch.diag_embed(scores.exp())

    def conjugate(self, dual: Tensor, y: Tensor) -> Tensor:
        y = as_scores(y, dual)
        mean = (dual + y).clamp_min(0)
        return (torch.xlogy(mean, mean) - mean - torch.xlogy(y, y) + y).sum(-1)

    def check_targets(self, y: Tensor, name: str = "y") -> None:
        super().check_targets(y, name)
        if bool((y < 0).any()):
            raise ValueError(f"{name} must not be negative, got {float(y.min()):g}.")

    def predict(self, scores: Tensor) -> Tensor:
        return scores.exp()
