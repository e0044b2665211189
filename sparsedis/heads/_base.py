"""Base class of heads that are fitted to the classes of an episode."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from sparsedis._deprecated import warn_renamed
from sparsedis.solvers._value import Value

if TYPE_CHECKING:
    from torch import Tensor


class Head(Value, ABC):
    """Base class of heads that are fitted to the classes of an episode.

    A subclass defines `fit_classes`, whose results must be differentiable with respect
    to the features and penalties.

    Attributes
    ----------
    penalties : tuple of str
        Names of the penalties that the head uses, among "alpha" and "l2".

    logit_scale : float
        Initial value of the factor of the scores, which is learned in training. If a
        head separates the classes of its support, their scores differ by about 1, but
        the cross-entropy needs larger differences.

    Examples
    --------
    >>> import torch
    >>> from sparsedis.heads import Head
    >>> class Means(Head):
    ...     def fit_classes(self, Z, y, n_classes, alpha, l2, *, relative):
    ...         onehot = torch.nn.functional.one_hot(y, n_classes).to(Z)
    ...         centres = (onehot / onehot.sum(1, keepdim=True)).mT @ Z
    ...         return 2 * centres.mT, -centres.square().sum(-1)
    >>> Means()
    Means()
    """

    penalties: tuple[str, ...] = ()
    logit_scale = 10.0

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        if isinstance(cls.penalties, tuple) and "l1" in cls.penalties:
            warn_renamed(f"'l1' in the penalties of {cls.__name__}", "'alpha'")
            names = ("alpha" if name == "l1" else name for name in cls.penalties)
            cls.penalties = tuple(names)

    @abstractmethod
    def fit_classes(
        self,
        Z: Tensor,
        y: Tensor,
        n_classes: int,
        alpha: float | Tensor,
        l2: float | Tensor,
        *,
        relative: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """Fit the head of every task.

        Parameters
        ----------
        Z : tensor of shape (n_tasks, n_samples, k)
            Features.

        y : tensor of shape (n_tasks, n_samples) of int64
            Labels from 0 to ``n_classes - 1``.

        n_classes : int
            Number of classes.

        alpha, l2 : float or scalar tensor
            Penalties. The loss is a sum over the samples.

        relative : bool
            Whether `alpha` is a fraction of the smallest penalty at which the head of a
            task is zero.

        Returns
        -------
        W : tensor of shape (n_tasks, k, n_classes)
            Coefficients.

        b : tensor of shape (n_tasks, n_classes) or None
            Intercepts.
        """
