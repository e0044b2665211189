"""Losses of classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from sparsedis.solvers.losses._base import Loss

if TYPE_CHECKING:
    from torch import Tensor


class Logistic(Loss):
    """Log loss of two classes, ``log(1 + exp(s)) - y s`` for ``y`` in {0, 1}.

    Examples
    --------
    >>> import torch
    >>> from sparsedis.solvers.losses import Logistic
    >>> Logistic().value(torch.tensor([[0.0], [2.0]]), torch.tensor([1.0, 1.0]))
    tensor([0.6931, 0.1269])
    """

    curvature = 0.25
    has_unit = False

    def value(self, scores: Tensor, y: Tensor) -> Tensor:
        s = scores[..., 0]
        return torch.nn.functional.softplus(s) - y * s

    def gradient(self, scores: Tensor, y: Tensor) -> Tensor:
        return torch.sigmoid(scores) - y.unsqueeze(-1)

    def hessian(self, scores: Tensor, y: Tensor) -> Tensor:
        p = torch.sigmoid(scores)
        return torch.diag_embed(p * (1 - p))

    def conjugate(self, dual: Tensor, y: Tensor) -> Tensor:
        p = (dual[..., 0] + y).clamp(0, 1)
        return -torch.special.entr(p) - torch.special.entr(1 - p)

    def n_scores(self, y: Tensor) -> int:
        return 1

    def check_targets(self, y: Tensor, name: str = "y") -> None:
        wrong = (y != 0) & (y != 1)
        if y.ndim != 2 or bool(wrong.any()):
            got = f"shape {tuple(y.shape)}" if y.ndim != 2 else f"{y[wrong][0]:g}"
            raise ValueError(
                f"{name} must hold one label per sample, 0 or 1; got {got}."
            )

    def predict(self, scores: Tensor) -> Tensor:
        return torch.sigmoid(scores)


class Multinomial(Loss):
    r"""Log loss of several classes, :math:`\log \sum_c e^{\eta_c} - \eta_y`.

    The logits :math:`\eta` sum to zero. The `n_classes` - 1 scores are the coordinates
    of the logits in an orthonormal basis. Scores are therefore unique, and their norms
    equal those of the logits.

    Parameters
    ----------
    n_classes : int
        Number of classes, at least 2. Labels are 0 to ``n_classes - 1``.

    Raises
    ------
    ValueError
        When `n_classes` is below 2.

    Examples
    --------
    >>> import torch
    >>> from sparsedis.solvers.losses import Multinomial
    >>> Multinomial(3).value(torch.zeros(1, 2), torch.tensor([2.0]))
    tensor([1.0986])
    """

    curvature = 0.5
    has_unit = False

    def __init__(self, n_classes: int) -> None:
        if n_classes < 2:
            raise ValueError(f"n_classes must be at least 2, got {n_classes!r}.")
        self.n_classes = n_classes

    def _basis(self, like):
        return contrasts(self.n_classes, like)

    def _onehot(self, y, like):
        return torch.nn.functional.one_hot(y.long(), self.n_classes).to(like.dtype)

    def value(self, scores: Tensor, y: Tensor) -> Tensor:
        eta = self.expand(scores)
        picked = (eta * self._onehot(y, eta)).sum(-1)
        return eta.logsumexp(-1) - picked

    def gradient(self, scores: Tensor, y: Tensor) -> Tensor:
        eta = self.expand(scores)
        return (eta.softmax(-1) - self._onehot(y, eta)) @ self._basis(scores)

    def hessian(self, scores: Tensor, y: Tensor) -> Tensor:
        p = self.expand(scores).softmax(-1)
        basis = self._basis(scores)
        mean = p @ basis
        outer = mean.unsqueeze(-1) * mean.unsqueeze(-2)
        return basis.T @ (p.unsqueeze(-1) * basis) - outer

    def conjugate(self, dual: Tensor, y: Tensor) -> Tensor:
        p = dual @ self._basis(dual).T + self._onehot(y, dual)
        return -torch.special.entr(p.clamp_min(0)).sum(-1)

    def n_scores(self, y: Tensor) -> int:
        return self.n_classes - 1

    def check_targets(self, y: Tensor, name: str = "y") -> None:
        wrong = (y < 0) | (y >= self.n_classes) | (y != y.long())
        if y.ndim != 2 or bool(wrong.any()):
            got = f"shape {tuple(y.shape)}" if y.ndim != 2 else f"{y[wrong][0]:g}"
            raise ValueError(
                f"{name} must hold one label per sample, a whole number from 0 to "
                f"{self.n_classes - 1}; got {got}."
            )

    def predict(self, scores: Tensor) -> Tensor:
        return self.expand(scores).softmax(-1)

    def expand(self, coef: Tensor) -> Tensor:
        return coef @ self._basis(coef).T


def contrasts(n_classes, like):
    """Orthonormal basis of the vectors of length `n_classes` that sum to zero.

    This is Helmert's basis: column i contrasts class i + 1 with all classes before it.

    Parameters
    ----------
    n_classes : int

    like : tensor
        Tensor with the dtype and device of the result.

    Returns
    -------
    tensor of shape (n_classes, n_classes - 1)
    """
    i = torch.arange(1, n_classes, dtype=like.dtype, device=like.device)
    basis = torch.ones(n_classes, n_classes - 1, dtype=like.dtype, device=like.device)
    basis = basis.triu() - torch.diag_embed(i, offset=-1)[:, :-1]
    return basis / (i * (i + 1)).sqrt()


def log_loss(n_classes: int) -> Loss:
    """Log loss for a number of classes, with a single score for two classes.

    Parameters
    ----------
    n_classes : int
        Number of classes, at least 2.

    Returns
    -------
    Logistic or Multinomial
        The loss.

    Examples
    --------
    >>> from sparsedis.solvers.losses import log_loss
    >>> log_loss(2), log_loss(4)
    (Logistic(), Multinomial(n_classes=4))
    """
    return Logistic() if n_classes == 2 else Multinomial(n_classes)
