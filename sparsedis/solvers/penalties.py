"""Penalties on the coefficients of a task: one term per feature.

A penalty is a sum ``sum_j p(W_j; alpha)`` over the features. ``W_j`` contains the
coefficients of feature j, one for each score. A custom penalty is a subclass of
:class:`Penalty` that defines `value` and `prox`; all other methods have defaults.
:func:`sparsedis.heads.check_penalty` tests a custom penalty.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import torch

from sparsedis.solvers._value import Value

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from torch import Tensor

__all__ = ["L1", "L2", "MCP", "ElasticNet", "GroupL1", "NonNegativeL1", "Penalty"]


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


# Numbers of doublings and halvings in the search for alpha_max. They reach large
# multiples of the norm of the gradient, and the precision of float64.
_DOUBLINGS, _HALVINGS = 20, 80


class GroupL1(Penalty):
    r"""Norms of the rows, :math:`\alpha \sum_j m_j \|W_j\|_2`.

    All scores of a task use the same features.

    Parameters
    ----------
    weights : sequence of float of shape (k,), default=None
        The factors :math:`m_j`, finite and not negative. A feature with factor 0 has no
        penalty. None: all factors are 1.

    Raises
    ------
    ValueError
        When a weight is negative or not finite.

    Examples
    --------
    >>> import torch
    >>> from sparsedis.solvers.penalties import GroupL1
    >>> W = torch.tensor([[[3.0, 4.0], [0.0, 0.0]]])
    >>> GroupL1().value(W, torch.tensor([[0.5]]))
    tensor([[2.5000, 0.0000]])
    >>> GroupL1().prox(W, torch.tensor([[1.0]]), torch.ones(1, 2))[0, 0]
    tensor([2.4000, 3.2000])
    """

    def __init__(self, weights: ArrayLike | None = None) -> None:
        if weights is not None:
            weights = tuple(float(weight) for weight in weights)
            if not all(0 <= weight < math.inf for weight in weights):
                raise ValueError(
                    f"weights must be finite and not negative, got {weights}."
                )
        self.weights = weights

    def strengths(self, alpha: Tensor, n_features: int) -> Tensor:
        """Strength of the penalty of each feature.

        Parameters
        ----------
        alpha : tensor of shape (n_tasks, 1)
            Strength.

        n_features : int
            Number of features.

        Returns
        -------
        tensor of shape (n_tasks, n_features)
            Products of `alpha` and the weights.
        """
        if self.weights is None:
            return alpha.expand(-1, n_features)
        if len(self.weights) != n_features:
            raise ValueError(
                f"weights must hold one number for each of the {n_features} features, "
                f"got {len(self.weights)}."
            )
        weights = torch.tensor(self.weights, dtype=alpha.dtype, device=alpha.device)
        return alpha * weights

    def polar(self, U: Tensor) -> Tensor:
        """Part of a dual point that the penalty bounds.

        Parameters
        ----------
        U : tensor of shape (n_tasks, k, n_scores)
            Dual point, in the coordinates of the features.

        Returns
        -------
        tensor of shape (n_tasks, k, n_scores)
            By default, the whole point.
        """
        return U

    def value(self, W: Tensor, alpha: Tensor) -> Tensor:
        norm = torch.linalg.vector_norm(W, dim=-1)
        return self.strengths(alpha, W.shape[1]) * norm

    def prox(self, W: Tensor, alpha: Tensor, step: Tensor) -> Tensor:
        return shrink(W, step * self.strengths(alpha, W.shape[1]))

    def alpha_max(self, gradient: Tensor) -> Tensor:
        size = torch.linalg.vector_norm(self.polar(-gradient), dim=-1)
        weights = self.strengths(torch.ones_like(size[:, :1]), size.shape[1])
        # alpha has no effect on a feature without a penalty.
        return torch.where(weights > 0, size / weights, 0.0).amax(-1)


class L1(GroupL1):
    r"""Absolute values of the coefficients, :math:`\alpha \sum_j m_j |w_j|`.

    The penalty supports only one score.

    Parameters
    ----------
    weights : sequence of float of shape (k,), default=None
        The factors :math:`m_j`, as in :class:`GroupL1`. With factors, the penalty is
        that of the weighted, or adaptive, Lasso.

    Examples
    --------
    >>> import torch
    >>> from sparsedis.solvers.penalties import L1
    >>> W = torch.tensor([[[4.0], [0.5]]])
    >>> L1().prox(W, torch.tensor([[1.0]]), torch.ones(1, 2)).flatten()
    tensor([3., 0.])
    """

    single = True


class ElasticNet(GroupL1):
    r"""Norms of the rows and their squares, :math:`\alpha \sum_j m_j \|W_j\| + l_2 / 2
    \|W\|^2`.

    Parameters
    ----------
    l2 : float, default=0.01
        Strength of the squared norm, which does not depend on `alpha`.

    weights : sequence of float of shape (k,), default=None
        The factors :math:`m_j`, as in :class:`GroupL1`.

    Raises
    ------
    ValueError
        When `l2`, or a weight, is negative or not finite.

    Examples
    --------
    >>> from sparsedis.solvers.penalties import ElasticNet
    >>> ElasticNet(0.1).l2
    0.1
    """

    def __init__(self, l2: float = 0.01, weights: ArrayLike | None = None) -> None:
        super().__init__(weights)
        if not 0 <= l2 < math.inf:
            raise ValueError(f"l2 must be finite and not negative, got {l2!r}.")
        self.l2 = l2


class NonNegativeL1(GroupL1):
    r"""L1 penalty on coefficients that must not be negative.

    The penalty supports only one score.

    Parameters
    ----------
    weights : sequence of float of shape (k,), default=None
        The factors :math:`m_j`, as in :class:`GroupL1`.

    Examples
    --------
    >>> import torch
    >>> from sparsedis.solvers.penalties import NonNegativeL1
    >>> W = torch.tensor([[[4.0], [-5.0]]])
    >>> NonNegativeL1().prox(W, torch.tensor([[1.0]]), torch.ones(1, 2)).flatten()
    tensor([3., 0.])
    """

    single = True

    def polar(self, U: Tensor) -> Tensor:
        return U.clamp_min(0)

    def value(self, W: Tensor, alpha: Tensor) -> Tensor:
        return torch.where((W < 0).any(-1), torch.inf, super().value(W, alpha))

    def prox(self, W: Tensor, alpha: Tensor, step: Tensor) -> Tensor:
        return super().prox(W.clamp_min(0), alpha, step)


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


def shrink(W, threshold):
    """Reduce the norms of rows by a threshold, the proximal operator of the norms.

    Parameters
    ----------
    W : tensor of shape (n_tasks, k, c)

    threshold : tensor of shape (n_tasks, k)

    Returns
    -------
    tensor of shape (n_tasks, k, c)
    """
    norm = torch.linalg.vector_norm(W, dim=-1)
    kept = torch.where(norm > threshold, 1 - threshold / norm, 0.0)
    return kept.unsqueeze(-1) * W
