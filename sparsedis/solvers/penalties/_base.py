"""Base class of penalties."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import torch

from sparsedis.solvers._value import Value

if TYPE_CHECKING:
    from torch import Tensor


# Numbers of doublings and halvings in the search for alpha_max. They reach large
# multiples of the norm of the gradient, and the precision of float64.
_DOUBLINGS, _HALVINGS = 20, 80


class Penalty(Value, ABC):
    """Base class of penalties.

    A subclass defines `value`, which is twice differentiable at nonzero coefficients,
    and `prox`. In all methods ``W`` has shape (n_tasks, k, n_scores). `alpha` has shape
    (n_tasks, 1) and broadcasts over the features.

    Attributes
    ----------
    convex : bool
        Whether the penalty is convex. If not, a solution is a stationary point that the
        solver finds from zero coefficients.

    l2 : float
        Strength of an additional term ``l2 / 2 ||W||^2``, which `value` and `prox` do
        not include.

    single : bool
        Whether the penalty supports only one score.

    Examples
    --------
    >>> import torch
    >>> from sparsedis.solvers.penalties import Penalty
    >>> class Square(Penalty):
    ...     def value(self, W, alpha):
    ...         return alpha * W.square().sum(-1)
    ...
    ...     def prox(self, W, alpha, step):
    ...         return W / (1 + 2 * alpha * step).unsqueeze(-1)
    >>> Square().gradient(torch.tensor([[[3.0]]]), torch.tensor([[0.5]]))
    tensor([[[3.]]])
    """

    convex = True
    l2 = 0.0
    single = False

    @abstractmethod
    def value(self, W: Tensor, alpha: Tensor) -> Tensor:
        """Penalty of every feature.

        Parameters
        ----------
        W : tensor of shape (n_tasks, k, n_scores)
            Coefficients.

        alpha : tensor of shape (n_tasks, 1)
            Strength.

        Returns
        -------
        tensor of shape (n_tasks, k)
            One number per feature.
        """

    @abstractmethod
    def prox(self, W: Tensor, alpha: Tensor, step: Tensor) -> Tensor:
        r"""Proximal operator :math:`\mathrm{arg}\min_V \|V - W\|^2 / 2 + step \, p(V)`.

        Parameters
        ----------
        W : tensor of shape (n_tasks, k, n_scores)
            Starting point.

        alpha : tensor of shape (n_tasks, 1)
            Strength.

        step : tensor of shape (n_tasks, k)
            Lengths of the steps, positive.

        Returns
        -------
        tensor of shape (n_tasks, k, n_scores)
            The minimiser.
        """

    def gradient(self, W: Tensor, alpha: Tensor) -> Tensor:
        """Derivative of `value` for nonzero features.

        Parameters
        ----------
        W : tensor of shape (n_tasks, k, n_scores)
            Coefficients.

        alpha : tensor of shape (n_tasks, 1)
            Strength.

        Returns
        -------
        tensor of shape (n_tasks, k, n_scores)
            The derivative; zero for features with zero coefficients.
        """
        wanted = W.requires_grad or alpha.requires_grad
        wanted = wanted and torch.is_grad_enabled()
        with torch.enable_grad():
            W = W if W.requires_grad else W.detach().clone().requires_grad_()
            gradient = self._derivative(W, alpha)
        return gradient if wanted else gradient.detach()

    def _derivative(self, W, alpha):
        used = (W.detach() != 0).any(-1, keepdim=True)
        # Unused features get one instead of zero, where the derivative may be NaN.
        safe = torch.where(used, W, 1.0)
        total = self.value(safe, alpha)
        (gradient,) = torch.autograd.grad(
            total.sum(), safe, create_graph=True, allow_unused=True
        )
        if gradient is None:
            return torch.zeros_like(W)
        return torch.where(used, gradient, 0.0)

    def hessian(self, W: Tensor, alpha: Tensor) -> Tensor:
        """Second derivatives of `value` for nonzero features.

        Parameters
        ----------
        W : tensor of shape (n_tasks, k, n_scores)
            Coefficients.

        alpha : tensor of shape (n_tasks, 1)
            Strength.

        Returns
        -------
        tensor of shape (n_tasks, k, n_scores, n_scores)
            A matrix per feature; zero for features with zero coefficients.
        """
        with torch.enable_grad():
            W = W.detach().clone().requires_grad_()
            gradient = self._derivative(W, alpha.detach())
            parts = []
            for one in gradient.unbind(-1):
                part = None
                if one.requires_grad:
                    part = torch.autograd.grad(
                        one.sum(), W, retain_graph=True, allow_unused=True
                    )[0]
                parts.append(torch.zeros_like(W) if part is None else part)
        return torch.stack(parts, -2).detach()

    def violation(self, W: Tensor, gradient: Tensor, alpha: Tensor) -> Tensor:
        """Violation of the optimality conditions by every feature.

        Parameters
        ----------
        W : tensor of shape (n_tasks, k, n_scores)
            Coefficients.

        gradient : tensor of shape (n_tasks, k, n_scores)
            Gradient of the loss.

        alpha : tensor of shape (n_tasks, 1)
            Strength.

        Returns
        -------
        tensor of shape (n_tasks, k)
            Zero at a stationary point. For features with nonzero coefficients, the norm
            of the gradient of loss plus penalty. For the others, the norm of the result
            of a proximal gradient step of length 1.
        """
        used = (W != 0).any(-1)
        slope = gradient + self.gradient(W, alpha)
        one = torch.ones_like(W[..., 0])
        there = self.prox(-gradient, alpha, one)
        slope = torch.where(used.unsqueeze(-1), slope, there)
        return torch.linalg.vector_norm(slope, dim=-1)

    def alpha_max(self, gradient: Tensor) -> Tensor:
        """Smallest `alpha` at which zero is stationary.

        Parameters
        ----------
        gradient : tensor of shape (n_tasks, k, n_scores)
            Gradient of the loss at zero coefficients.

        Returns
        -------
        tensor of shape (n_tasks,)
            Found by bisection. Infinite if no finite value is large enough.
        """
        zero, one = torch.zeros_like(gradient), torch.ones_like(gradient[..., 0])

        def stays(alpha):
            alpha = alpha.unsqueeze(-1)
            moved = self.prox(zero - gradient, alpha, one)
            return ~(moved != 0).flatten(1).any(-1)

        size = torch.linalg.vector_norm(gradient, dim=-1).amax(-1)
        low, high = torch.zeros_like(size), torch.where(size > 0, size, 1.0)
        for _ in range(_DOUBLINGS):
            high = torch.where(stays(high), high, 2 * high)
        for _ in range(_HALVINGS):
            middle = 0.5 * (low + high)
            at = stays(middle)
            low, high = torch.where(at, low, middle), torch.where(at, middle, high)
        high = torch.where(stays(high), high, torch.inf)
        return torch.where(stays(torch.zeros_like(size)), 0.0, high)

    def check_scores(self, n_scores: int) -> None:
        """Raise an error if there are more scores than the penalty supports.

        Parameters
        ----------
        n_scores : int
            Number of scores of a sample.

        Raises
        ------
        ValueError
            When the penalty does not support this number.
        """
        if self.single and n_scores > 1:
            raise ValueError(
                f"penalty={self!r} supports one score only, got {n_scores}: use "
                "GroupL1 or MCP, which penalise norms of rows."
            )
