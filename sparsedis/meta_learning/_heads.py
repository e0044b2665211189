"""Heads of few-shot tasks: linear classifiers fitted to the support of an episode."""

import math

import torch
from torch import nn

from sparsedis.implicit import (
    group_lasso_svm,
    group_lasso_svm_l1_max,
    logistic,
    logistic_alpha_max,
)


def fit_svm(Z, y, n_classes, l1, l2, relative):
    """Group Lasso SVM (Eqs. 6-8); the dense SVM of MetaOptNet when ``l1=0``.

    Parameters
    ----------
    Z : tensor of shape (n_tasks, n_samples, k)
        Features.

    y : tensor of shape (n_tasks, n_samples) of int64
        Labels from 0 to ``n_classes - 1``.

    n_classes : int

    l1, l2 : float or scalar tensor
        Penalties.

    relative : bool
        Whether ``l1`` is a fraction of each task's ``l1_max``.

    Returns
    -------
    W : tensor of shape (n_tasks, k, n_classes)

    b : tensor of shape (n_tasks, n_classes) or None
    """
    if relative:
        l1 = l1 * group_lasso_svm_l1_max(Z, y, n_classes=n_classes)
    return group_lasso_svm(Z, y, l1, l2, n_classes=n_classes), None


def fit_logistic(Z, y, n_classes, l1, l2, relative):
    """Group Lasso logistic regression, with the arguments of :func:`fit_svm`.

    The layer's loss is a mean; here, as for the other heads, it counts as a sum.
    """
    n = Z.shape[1]
    alpha_max = logistic_alpha_max(Z, y, n_classes=n_classes) if relative else 1 / n
    W = logistic(Z, y, l1 * alpha_max, l2=l2 / n, n_classes=n_classes)
    if n_classes == 2:
        # The one logit, shared out between both classes.
        W = torch.stack([-W / 2, W / 2], -1)
    return W, None


def fit_ridge(Z, y, n_classes, l1, l2, relative):
    """Ridge regression on one-hot labels, in closed form; has no ``l1``."""
    Y = nn.functional.one_hot(y, n_classes).to(_exact(Z))
    Z, dtype = Z.to(Y), Z.dtype
    n, k = Z.shape[-2:]
    eye = torch.eye(min(n, k), dtype=Z.dtype, device=Z.device)
    if k > n:
        W = Z.mT @ torch.linalg.solve(Z @ Z.mT + l2 * eye, Y)
    else:
        W = torch.linalg.solve(Z.mT @ Z + l2 * eye, Z.mT @ Y)
    return W.to(dtype), None


def fit_prototypes(Z, y, n_classes, l1, l2, relative):
    """Mean of each class; logits are minus mean squared distances. No penalty.

    What all classes have in common, the norm of the query, is left out.
    """
    Y = nn.functional.one_hot(y, n_classes).to(Z)
    centres = (Y / Y.sum(1, keepdim=True)).mT @ Z
    k = Z.shape[-1]
    return 2 * centres.mT / k, -(centres**2).sum(-1) / k


# Each way to fit a head, and the scale of its logits at which training starts: a
# support that is told apart has a margin of 1 under the SVM, and scores of 1 and 0
# under ridge; only the logistic loss knows logits.
HEADS = {
    "group_lasso_svm": (fit_svm, 10.0),
    "logistic": (fit_logistic, 1.0),
    "ridge": (fit_ridge, 10.0),
    "prototypes": (fit_prototypes, 10.0),
}


class Head(nn.Module):
    """What the heads of all tasks share: kind, penalties and the scale of the logits.

    Parameters
    ----------
    kind : str
        A key of ``HEADS``.

    l1, l2 : float
        Penalties.

    relative : bool
        Whether ``l1`` is a fraction of each task's ``l1_max``.

    learn_l1, learn_l2 : bool
        Whether a penalty is a parameter, learned through its logarithm.
    """

    def __init__(self, kind, l1, l2, *, relative, learn_l1=False, learn_l2=False):
        super().__init__()
        self.kind = kind
        self.relative = relative
        self._fixed = {"l1": l1, "l2": l2}
        self._fit, scale = HEADS[kind]
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))
        self.log_penalty = nn.ParameterDict(
            {
                name: nn.Parameter(torch.tensor(math.log(self._fixed.pop(name))))
                for name, learned in (("l1", learn_l1), ("l2", learn_l2))
                if learned
            }
        )

    def penalty(self, name):
        """Return ``l1`` or ``l2``: a float, or a tensor where it is learned."""
        if name in self._fixed:
            return self._fixed[name]
        value = self.log_penalty[name].exp()
        # A step may overshoot; from 1 on no feature is left.
        return value.clamp(max=1) if name == "l1" and self.relative else value

    def fit(self, Z, y, n_classes, ramp=1.0):
        """Fit the head of every task, with ``ramp`` of l1; see :func:`fit_svm`."""
        l1, l2 = ramp * self.penalty("l1"), self.penalty("l2")
        return self._fit(Z, y, n_classes, l1, l2, self.relative)

    def logits(self, Z, W, b):
        """Scaled scores of shape (n_tasks, n_samples, n_classes)."""
        scores = Z @ W
        if b is not None:
            scores = scores + b.unsqueeze(-2)
        return self.log_scale.exp() * scores


def active_features(W):
    """Which features each head uses.

    Parameters
    ----------
    W : tensor of shape (..., k, n_classes)

    Returns
    -------
    tensor of shape (..., k) of bool
    """
    return (W.detach() != 0).any(-1)


def _exact(Z):
    return torch.float32 if Z.device.type == "mps" else torch.float64
