"""Losses of linear predictors: one value per sample, for a batch of tasks.

A loss is a function ``l(s, y)`` of the scores ``s`` of a sample and its target ``y``.
A custom loss is a subclass of :class:`Loss` that defines `value`. Autograd computes the
derivatives unless the subclass defines them. :func:`sparsedis.heads.check_loss` tests a
custom loss.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import torch

from sparsedis.solvers._value import Value

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "Huber",
    "Logistic",
    "Loss",
    "Multinomial",
    "Poisson",
    "Squared",
    "log_loss",
]


class Loss(Value, ABC):
    """Base class of losses.

    A subclass defines `value`, which is twice differentiable in the scores except at
    single points. A convex loss may also define `conjugate`. Solutions then have a
    duality gap; otherwise their certificate is the violation of the optimality
    conditions.

    Attributes
    ----------
    curvature : float or None
        Upper bound of the second derivative in the scores. None: unbounded or
        unknown.

    has_unit : bool
        Whether an estimator may divide the targets by a unit, and multiply the
        predictions by it. False for counts and classes.

    robust : bool
        Whether outliers are expected. If true, the unit of the targets is their median
        absolute deviation instead of their standard deviation.

    Examples
    --------
    >>> import torch
    >>> from sparsedis.solvers.losses import Loss
    >>> class Quartic(Loss):
    ...     def value(self, scores, y):
    ...         return (scores[..., 0] - y) ** 4
    >>> Quartic().gradient(torch.tensor([[3.0]]), torch.tensor([2.0]))
    tensor([[4.]])
    """

    curvature: float | None = None
    has_unit = True
    robust = False

    @abstractmethod
    def value(self, scores: Tensor, y: Tensor) -> Tensor:
        """Loss of every sample.

        Parameters
        ----------
        scores : tensor of shape (..., n_samples, n_scores)
            Scores of the samples.

        y : tensor of shape (..., n_samples) or (..., n_samples, n_scores)
            Targets. Their leading axes broadcast against those of `scores`.

        Returns
        -------
        tensor of shape (..., n_samples)
            One number per sample.
        """

    def gradient(self, scores: Tensor, y: Tensor) -> Tensor:
        """Derivative of `value` in the scores.

        Autograd must be able to differentiate the result.

        Parameters
        ----------
        scores : tensor of shape (..., n_samples, n_scores)
            Scores of the samples.

        y : tensor of shape (..., n_samples) or (..., n_samples, n_scores)
            Targets.

        Returns
        -------
        tensor of shape (..., n_samples, n_scores)
            The derivative.
        """
        wanted = torch.is_grad_enabled() and (scores.requires_grad or y.requires_grad)
        with torch.enable_grad():
            scores = scores if scores.requires_grad else scores.detach().clone()
            scores = scores.requires_grad_()
            total = self.value(scores, y).sum()
            (gradient,) = torch.autograd.grad(total, scores, create_graph=True)
        return gradient if wanted else gradient.detach()

    def hessian(self, scores: Tensor, y: Tensor) -> Tensor:
        """Second derivative of `value` in the scores.

        Parameters
        ----------
        scores : tensor of shape (..., n_samples, n_scores)
            Scores of the samples.

        y : tensor of shape (..., n_samples) or (..., n_samples, n_scores)
            Targets.

        Returns
        -------
        tensor of shape (..., n_samples, n_scores, n_scores)
            A matrix per sample.
        """
        with torch.enable_grad():
            scores = scores.detach().clone().requires_grad_()
            gradient = self.gradient(scores, y)
            parts = []
            for one in gradient.unbind(-1):
                if one.requires_grad:
                    part = torch.autograd.grad(
                        one.sum(), scores, retain_graph=True, allow_unused=True
                    )[0]
                else:
                    part = None
                parts.append(torch.zeros_like(scores) if part is None else part)
        return torch.stack(parts, -2).detach()

    def conjugate(self, dual: Tensor, y: Tensor) -> Tensor:
        """Fenchel conjugate ``sup_s u's - l(s, y)`` of every sample.

        Optional, and only for convex losses.

        Parameters
        ----------
        dual : tensor of shape (..., n_samples, n_scores)
            Points u: derivatives of the loss, which may be multiplied by a factor in
            [0, 1].

        y : tensor of shape (..., n_samples) or (..., n_samples, n_scores)
            Targets.

        Returns
        -------
        tensor of shape (..., n_samples)
            One number per sample.
        """
        raise NotImplementedError

    def n_scores(self, y: Tensor) -> int:
        """Number of scores of a sample.

        Parameters
        ----------
        y : tensor of shape (n_tasks, n_samples) or (n_tasks, n_samples, n_outputs)
            Targets.

        Returns
        -------
        int
            By default, the length of a target.
        """
        return 1 if y.ndim == 2 else y.shape[-1]

    def check_targets(self, y: Tensor, name: str = "y") -> None:
        """Raise an error if targets are not valid for the loss.

        Parameters
        ----------
        y : tensor of shape (n_tasks, n_samples) or (n_tasks, n_samples, n_outputs)
            Targets.

        name : str, default="y"
            Name of the targets in error messages.

        Raises
        ------
        ValueError
            When targets are not valid for the loss.
        """
        if not y.is_floating_point():
            raise ValueError(f"{name} must be of a floating dtype, got {y.dtype}.")

    def predict(self, scores: Tensor) -> Tensor:
        """Predictions of the targets from the scores.

        Parameters
        ----------
        scores : tensor of shape (..., n_scores)
            Scores of the samples.

        Returns
        -------
        tensor
            By default, the scores. Other losses return the mean of the target, or the
            probabilities of the classes.
        """
        return scores

    def expand(self, coef: Tensor) -> Tensor:
        """Coefficients in the form that estimators report.

        Parameters
        ----------
        coef : tensor of shape (..., n_scores)
            Coefficients, or intercepts, of the scores.

        Returns
        -------
        tensor
            By default, `coef`. For several classes, the coefficients of each class.
        """
        return coef


def _as_scores(y, scores):
    """Targets with a last axis for the scores."""
    return y if y.ndim == scores.ndim else y.unsqueeze(-1)


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
        return 0.5 * (scores - _as_scores(y, scores)).square().sum(-1)

    def gradient(self, scores: Tensor, y: Tensor) -> Tensor:
        return scores - _as_scores(y, scores)

    def hessian(self, scores: Tensor, y: Tensor) -> Tensor:
        eye = torch.eye(scores.shape[-1], dtype=scores.dtype, device=scores.device)
        return eye.expand(*scores.shape, -1)

    def conjugate(self, dual: Tensor, y: Tensor) -> Tensor:
        return (dual * (_as_scores(y, dual) + 0.5 * dual)).sum(-1)


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
        size = (scores - _as_scores(y, scores)).abs()
        near = size.clamp(max=self.delta)
        return (near * (size - 0.5 * near)).sum(-1)

    def gradient(self, scores: Tensor, y: Tensor) -> Tensor:
        return (scores - _as_scores(y, scores)).clamp(-self.delta, self.delta)

    def hessian(self, scores: Tensor, y: Tensor) -> Tensor:
        near = (scores - _as_scores(y, scores)).abs() <= self.delta
        return torch.diag_embed(near.to(scores.dtype))

    def conjugate(self, dual: Tensor, y: Tensor) -> Tensor:
        return (dual * (_as_scores(y, dual) + 0.5 * dual)).sum(-1)


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
        y = _as_scores(y, scores)
        return (scores.exp() - y * scores - y + torch.xlogy(y, y)).sum(-1)

    def gradient(self, scores: Tensor, y: Tensor) -> Tensor:
        return scores.exp() - _as_scores(y, scores)

    def hessian(self, scores: Tensor, y: Tensor) -> Tensor:
        return torch.diag_embed(scores.exp())

    def conjugate(self, dual: Tensor, y: Tensor) -> Tensor:
        y = _as_scores(y, dual)
        mean = (dual + y).clamp_min(0)
        return (torch.xlogy(mean, mean) - mean - torch.xlogy(y, y) + y).sum(-1)

    def check_targets(self, y: Tensor, name: str = "y") -> None:
        super().check_targets(y, name)
        if bool((y < 0).any()):
            raise ValueError(f"{name} must not be negative, got {float(y.min()):g}.")

    def predict(self, scores: Tensor) -> Tensor:
        return scores.exp()


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
