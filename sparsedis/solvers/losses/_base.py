"""Base class of losses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import torch

from sparsedis.solvers._value import Value

if TYPE_CHECKING:
    from torch import Tensor


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


def as_scores(y, scores):
    """Targets with a last axis for the scores."""
    return y if y.ndim == scores.ndim else y.unsqueeze(-1)
