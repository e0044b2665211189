"""Penalties of one SVM with many samples, for Newton steps in the coefficients.

Symbols are those of :mod:`sparsedis.solvers.svm` and :mod:`.group_pairs`.
"""

import torch

from sparsedis.solvers.svm.group_pairs import GroupPairs
from sparsedis.solvers.svm.group_penalty import (
    conjugate,
    fenchel_gap,
    link,
    unit,
)
from sparsedis.solvers.svm.ridge_penalty import RidgePenalty

# A feature joins the working set if its ||V_j|| exceeds this fraction of alpha.
_JOIN = 0.9
# Largest number of features to start with. Later rounds at most double the number.
_START = 32


class PrimalWorkingSet(GroupPairs):
    """Group penalty on a working set of features.

    Every other feature has ``W_j = 0`` and adds its conjugate,
    ``(||V_j|| - alpha)_+^2 / (2 l2)``, to the duality gap.

    Parameters
    ----------
    features : Features
        All features.
    weight : tensor of shape (n_samples,)
    alpha, l2 : float
        Penalties, positive.
    X : tensor of shape (1, n_samples, m)
        Starting point. The first features are those with the largest ``||V_j||`` there.

    Attributes
    ----------
    pairs : tensor of shape (2, 1, q)
        t and slack of the features that are in use at the start.
    """

    def __init__(self, features, weight, alpha, l2, X):
        alpha, l2 = weight.new_tensor([alpha]), weight.new_tensor([l2])
        super().__init__(weight.unsqueeze(0), alpha, l2, X.shape[-1])
        self.features = features
        self.index = torch.zeros(0, dtype=torch.long)
        self.member = torch.zeros(features.shape[1], dtype=torch.bool)
        self.pairs = self._let_in(X, self._reach(X), self.weight.mean())

    def grow(self, X, mu, inner):
        """Add features if those outside add at least `inner` to the duality gap.

        Return t and slack of the new features, (2, 1, k), or None.

        Parameters
        ----------
        X : tensor of shape (1, n_samples, m)
        mu : tensor
            Complementarity per pair.
        inner : tensor
            Duality gap without the features outside of the working set.
        """
        if bool(self.member.all()):
            return None
        reach = self._reach(X)
        self.outside = self._cost(reach)
        return self._let_in(X, reach, mu) if self.outside >= inner else None

    def design(self):
        """Return ``S = s Z`` of the working set, (n_samples, q)."""
        return self.S[0]

    def curvature(self):
        """Return ``(a, b, w)`` with ``M_j^-1 = a_j I + b_j w_j w_j'``.

        ``w_j`` is the direction of g_j.
        """
        a = self.l2.unsqueeze(1) + self.alpha.unsqueeze(1) / self.t
        b = -self.alpha.unsqueeze(1) * self.flatter * self.square
        direction = unit(self.g, self.square[:, 0].sqrt())
        return a[0, 0], b[0, 0], direction[0]

    def drive(self, change, kept=None):
        """Return ``g = M^-1 fixed``, which is ``R + alpha T^-1 q``.

        Here, ``dW = q + T dg``. Parameters are as in :meth:`shift`.
        """
        self._aim(change, kept)
        ratio = self.flatter * (self.g * self.q).sum(1, keepdim=True)
        turned = torch.addcmul(self.q / self.t, ratio, self.g, value=-1)
        return (self.R + self.alpha.unsqueeze(1) * turned)[0]

    def complete(self, dX, dW):
        """Set the steps for those in X and W, and return that in t."""
        dt = self.step(dX)
        self.dW = dW.unsqueeze(0)
        return dt

    @property
    def flatter(self):
        """Factor of g g' in ``T^-1 = I / t - flatter g g'``."""
        return self.k / (self.t * (self.t + self.k * self.square))

    def solutions(self):
        """Yield W, (m, q), its scores, and the penalty's part of the gap.

        The first W is the present one with exact zeros, the second the link of V.
        """
        for W in (
            self.W * self.active().unsqueeze(1),
            link(self.V, self.alpha, self.l2),
        ):
            gap = fenchel_gap(self.V, W, self.alpha, self.l2).sum()
            yield W[0], torch.bmm(self.S, W.mT), gap + self.outside

    def _reach(self, X):
        """Return ``||V_j||`` of the features outside, and zero for the others."""
        reach = self.features.pull((self.weight.unsqueeze(-1) * X)[0])
        return reach.square_().sum(0).sqrt_().masked_fill_(self.member, 0.0)

    def _cost(self, reach):
        """Return the sum of the conjugates, for ``reach = ||V_j||``."""
        return conjugate(reach, self.alpha[0], self.l2[0]).sum()

    def _let_in(self, X, reach, mu):
        """Add features with the largest ``||V_j||``; return their t and slack."""
        room = max(_START, len(self.index))
        wanted = int((reach > _JOIN * self.alpha).sum())
        index = reach.topk(min(max(wanted, 1), room)).indices
        self.member[index] = True
        self.index = torch.cat([self.index, index])
        self.outside = self._cost(reach.masked_fill(self.member, 0.0))
        S = self.weight.unsqueeze(-1) * self.features.columns(index.numpy())
        return self.join(S, X, mu.reshape(1))


class PrimalRidge(RidgePenalty):
    """Penalty with ``alpha = 0`` on all features, in units in which l2 is 1.

    Parameters
    ----------
    features : Features
    weight : tensor of shape (n_samples,)
    l2 : float
        Penalty, positive.
    """

    def __init__(self, features, weight, l2):
        rows = features.columns() * (weight / l2**0.5).unsqueeze(-1)
        super().__init__(rows.unsqueeze(0), None, rotated=False)
        self.index = torch.arange(features.shape[1])
        self.root = l2**0.5
        self.pairs = rows.new_zeros(2, 1, 0)

    def grow(self, X, mu, inner):
        """Return None, because all features are in use."""

    def design(self):
        """Return ``S = s Z / sqrt(l2)``, (n_samples, p)."""
        return self.factor[0]

    def curvature(self):
        """Return ``(1, 0, 0)``, because M is the identity in these units."""
        zeros = torch.zeros_like(self.W[0].T)
        return torch.ones_like(zeros[0]), zeros[0], zeros

    def drive(self, change, kept=None):
        """Return ``g = V - W``."""
        return (self.V - self.W)[0].T

    def complete(self, dX, dW):
        """Set the step in W, the only variable of the penalty; return that in t."""
        self.dW = dW.T.unsqueeze(0)
        return dX.new_zeros(1, 0)

    def solutions(self):
        """Yield W, (m, p), its scores, and the penalty's part of the gap.

        The first W is the present one, the second V, its link.
        """
        for W in (self.W, self.V):
            gap = 0.5 * (self.V - W).square().sum()
            yield W[0].T / self.root, self.factor @ W, gap
