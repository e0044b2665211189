"""Heads of few-shot tasks: linear classifiers fitted to the support of an episode."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from sparsedis._deprecated import renamed_keywords
from sparsedis.heads._base import Head
from sparsedis.heads._linear import LinearHead
from sparsedis.implicit import group_lasso_svm, group_lasso_svm_alpha_max
from sparsedis.solvers.losses import log_loss
from sparsedis.solvers.penalties import GroupL1

if TYPE_CHECKING:
    from torch import Tensor


class GroupLassoSVMHead(Head):
    """Group Lasso SVM (Eqs. 6-8).

    With ``alpha=0`` it is the dense SVM of MetaOptNet.

    See Also
    --------
    sparsedis.implicit.group_lasso_svm : The problem, as a layer.

    Examples
    --------
    >>> import torch
    >>> from sparsedis.heads import GroupLassoSVMHead
    >>> Z, y = torch.eye(4)[None], torch.tensor([[0, 0, 1, 1]])
    >>> W, b = GroupLassoSVMHead().fit_classes(Z, y, 2, 0.1, 1.0, relative=True)
    >>> (Z @ W).argmax(-1)
    tensor([[0, 0, 1, 1]])
    """

    penalties = ("alpha", "l2")

    @renamed_keywords(l1="alpha")
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
        if relative:
            alpha = alpha * group_lasso_svm_alpha_max(Z, y, n_classes=n_classes)
        return group_lasso_svm(Z, y, alpha, l2, n_classes=n_classes), None


class RidgeHead(Head):
    """Ridge regression on one-hot labels, in closed form.

    Its only penalty is ``l2``.

    Examples
    --------
    >>> import torch
    >>> from sparsedis.heads import RidgeHead
    >>> Z, y = torch.eye(4)[None], torch.tensor([[0, 0, 1, 1]])
    >>> W, b = RidgeHead().fit_classes(Z, y, 2, 0.0, 1.0, relative=True)
    >>> W[0, :, 0]
    tensor([0.5000, 0.5000, 0.0000, 0.0000])
    """

    penalties = ("l2",)

    @renamed_keywords(l1="alpha")
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
        exact = torch.float32 if Z.device.type == "mps" else torch.float64
        Y = nn.functional.one_hot(y, n_classes).to(exact)
        Z, dtype = Z.to(Y), Z.dtype
        n, k = Z.shape[-2:]
        eye = torch.eye(min(n, k), dtype=Z.dtype, device=Z.device)
        if k > n:
            W = Z.mT @ torch.linalg.solve(Z @ Z.mT + l2 * eye, Y)
        else:
            W = torch.linalg.solve(Z.mT @ Z + l2 * eye, Z.mT @ Y)
        return W.to(dtype), None


class PrototypeHead(Head):
    """Prototypes, the mean features of each class. There is no penalty.

    The score of a class is minus the mean squared distance to its prototype. The norm
    of the query is left out, because it is the same for all classes.

    Examples
    --------
    >>> import torch
    >>> from sparsedis.heads import PrototypeHead
    >>> Z, y = torch.eye(4)[None], torch.tensor([[0, 0, 1, 1]])
    >>> W, b = PrototypeHead().fit_classes(Z, y, 2, 0.0, 0.0, relative=True)
    >>> W[0, :, 0]
    tensor([0.2500, 0.2500, 0.0000, 0.0000])
    """

    @renamed_keywords(l1="alpha")
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
        Y = nn.functional.one_hot(y, n_classes).to(Z)
        centres = (Y / Y.sum(1, keepdim=True)).mT @ Z
        k = Z.shape[-1]
        return 2 * centres.mT / k, -(centres**2).sum(-1) / k


# Names of the built-in heads.
HEADS = {
    "group_lasso_svm": GroupLassoSVMHead(),
    "logistic": LinearHead(log_loss, GroupL1()),
    "ridge": RidgeHead(),
    "prototypes": PrototypeHead(),
}
