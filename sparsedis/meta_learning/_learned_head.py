"""The head of a meta-learner: its penalties and the scale of its logits."""

import math

import torch
from torch import nn


class LearnedHead(nn.Module):
    """A head with its learned parameters: penalties and the scale of the logits.

    Parameters
    ----------
    kind : Head
        Fits the heads.

    alpha, l2 : float
        Penalties.

    relative : bool
        Whether ``alpha`` is a fraction of each task's ``alpha_max``.

    learn_alpha, learn_l2 : bool
        Whether a penalty is a parameter, learned through its logarithm.
    """

    def __init__(self, kind, alpha, l2, *, relative, learn_alpha=False, learn_l2=False):
        super().__init__()
        self.kind = kind
        self.relative = relative
        self._fixed = {"alpha": alpha, "l2": l2}
        self.log_scale = nn.Parameter(torch.tensor(math.log(kind.logit_scale)))
        self.log_penalty = nn.ParameterDict(
            {
                name: nn.Parameter(torch.tensor(math.log(self._fixed.pop(name))))
                for name, learned in (("alpha", learn_alpha), ("l2", learn_l2))
                if learned
            }
        )

    def penalty(self, name):
        """Return ``alpha`` or ``l2``: a float, or a tensor if it is learned."""
        if name in self._fixed:
            return self._fixed[name]
        value = self.log_penalty[name].exp()
        # A step may overshoot: from 1 on, the head uses no feature.
        return value.clamp(max=1) if name == "alpha" and self.relative else value

    def fit(self, Z, y, n_classes, ramp=1.0):
        """Fit the head of every task, with ``ramp`` of alpha."""
        alpha, l2 = ramp * self.penalty("alpha"), self.penalty("l2")
        return self.kind.fit_classes(Z, y, n_classes, alpha, l2, relative=self.relative)

    def logits(self, Z, W, b):
        """Scaled scores of shape (n_tasks, n_samples, n_classes)."""
        scores = Z @ W
        if b is not None:
            scores = scores + b.unsqueeze(-2)
        return self.log_scale.exp() * scores


def active_features(W):
    """Features that each head uses.

    Parameters
    ----------
    W : tensor of shape (..., k, n_classes)

    Returns
    -------
    tensor of shape (..., k) of bool
    """
    return (W.detach() != 0).any(-1)
