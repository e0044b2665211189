"""Norms of the coefficients of a feature."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from sparsedis.solvers.penalties._base import Penalty

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from torch import Tensor


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
