r"""The group penalty in the interior-point method: one pair of scalars per feature.

A row W_j is a multiple of ``g_j``, with a size ``t_j``, and g_j is in the unit ball:

    V = l2 W + alpha g,    W = t g,    slack = alpha (1 - |g|^2) / 2,    t slack = 0.

A solution thus has ``t_j = ||W_j||``, and ``g_j = w_j`` in nonzero rows. The
interior-point method keeps t and the slack positive, with ``t slack = mu``. The other
equations, with the residuals R, D and rho, are solved along the way: W and g are
variables, so that the scores and the first equation stay linear. If W were computed
from V, features with a large common part, or a small l2, would need more steps.

With the step in the slack if that in t is zero, ``change``, a Newton step solves

    l2 dW + alpha dg = dV + R,             R = V - l2 W - alpha g,
    dW - t dg - dt g = D,                  D = t g - W,
    slack / t dt - alpha <g, dg> = change - rho,
                                           rho = alpha (1 - |g|^2) / 2 - slack.

Eliminating dt and dg leaves ``dW = M dV + fixed`` with ``M = a I + more g g'``.
Second-order terms of Mehrotra's corrector, ``dt dg`` in D and ``-alpha |dg|^2 / 2`` in
rho, are exact. Other symbols are those of :mod:`sparsedis.solvers.svm`.
"""

import torch

from sparsedis.solvers.svm.group_penalty import (
    conjugate,
    fenchel_gap,
    norm,
    weighted_gram,
)


class GroupPairs:
    """Rows of a working set of features, with their sizes and slacks.

    Parameters
    ----------
    weight : tensor of shape (n_tasks, n_samples)
    alpha, l2 : tensor of shape (n_tasks,)
        Penalties, positive.
    m : int
        Number of coordinates of a row of W.

    Attributes
    ----------
    S : tensor of shape (n_tasks, n_samples, q)
        Columns of ``s Z``: the features of the working set. Tasks with fewer features
        than others have columns of zeros.
    W, g : tensor of shape (n_tasks, m, q)
    outside : tensor of shape (n_tasks,)
        Sum of the conjugates of the features outside of the working set, which have
        ``W_j = 0``.
    """

    def __init__(self, weight, alpha, l2, m):
        self.weight = weight
        self.alpha, self.l2 = alpha.unsqueeze(-1), l2.unsqueeze(-1)
        self.S = weight.new_zeros(*weight.shape, 0)
        self.W = self.g = weight.new_zeros(len(weight), m, 0)
        self.outside = torch.zeros_like(alpha)

    def join(self, S, X, mu):
        """Add features with W = 0, and return their t and slack, (2, n_tasks, k).

        Parameters
        ----------
        S : tensor of shape (n_tasks, n_samples, k)
        X : tensor of shape (n_tasks, n_samples, m)
        mu : tensor of shape (n_tasks,)
            Smallest complementarity ``t slack``.
        """
        V = torch.bmm(X.mT, S)
        reach = norm(V)
        # Features with ||V_j|| > alpha get larger sizes; otherwise the steps are short.
        violation = conjugate(reach, self.alpha, self.l2)
        violation = torch.minimum(violation, self.weight.mean(-1, keepdim=True))
        t = torch.maximum(violation, mu.unsqueeze(-1)) / self.alpha
        # With a small alpha, t is large, but t g should not be.
        large = torch.maximum(reach / 0.95, self.l2 * t)
        g = V / torch.maximum(large, self.alpha).unsqueeze(1)
        self.S, self.g = torch.cat([self.S, S], -1), torch.cat([self.g, g], -1)
        self.W = torch.cat([self.W, torch.zeros_like(g)], -1)
        return torch.stack([t, 0.5 * self.alpha * (1 - (g * g).sum(1))])

    def evaluate(self, X, t, slack):
        """Return the scores ``s Z W``, (n_tasks, n_samples, m), for these pairs.

        Slacks that are smaller than those of g are raised to them, in place. Otherwise,
        they might become zero long before the equations are solved.
        """
        g, W, t, slack = self.g, self.W, t.unsqueeze(1), slack.unsqueeze(1)
        alpha, l2 = self.alpha.unsqueeze(1), self.l2.unsqueeze(1)
        self.V = torch.bmm(X.mT, self.S)
        self.R = self.V - l2 * W - alpha * g
        self.D = t * g - W
        square = _dot(g, g)
        true = 0.5 * alpha * (1 - square)
        torch.maximum(slack, true, out=slack)
        self.rho = true - slack
        self.t, self.slack, self.square = t, slack, square
        # dt = rest + k <g, dg>, and dg = (B - l2 k <g, B> / pivot g) / h.
        self.h, self.ease = alpha + l2 * t, t / slack
        self.k = alpha * self.ease
        self.pivot = self.h + l2 * self.k * square
        self.a, self.more = t / self.h, alpha * self.k / (self.h * self.pivot)
        return torch.bmm(self.S, W.mT)

    @property
    def reach(self):
        """``||V_j||``, of shape (n_tasks, q)."""
        return norm(self.V)

    def gap(self):
        """Return ``sum_j P(W_j) + P*(V_j) - <V_j, W_j>`` over all features.

        Features outside of the working set contribute ``P*(V_j)``.
        """
        return fenchel_gap(self.V, self.W, self.alpha, self.l2).sum(-1) + self.outside

    def conjugate(self):
        """Return ``sum_j (||V_j|| - alpha)_+^2 / (2 l2)`` over all features."""
        return conjugate(self.reach, self.alpha, self.l2).sum(-1) + self.outside

    def hessian(self):
        """Return ``s Z M Z's``, the matrix of a step in X, without dt and dg."""
        return weighted_gram(self.S, self.a.squeeze(1), self.more.squeeze(1), self.g)

    def shift(self, change, kept=None):
        """Return ``s Z fixed``, the change of the scores for ``dX = 0``.

        Parameters
        ----------
        change : tensor of shape (n_tasks, q)
            Step in the slack if that in t is zero.
        kept : tensor of shape (n_tasks,), default=None
            Factor on the second-order terms of the last step; zero by default.
        """
        self._aim(change, kept)
        fixed = torch.addcmul(self.q, self.a, self.B)
        fixed = torch.addcmul(fixed, self.more * _dot(self.g, self.B), self.g)
        return torch.bmm(self.S, fixed.mT)

    def _aim(self, change, kept):
        """Set dt and dW for ``dg = 0``, `rest` and `q`, and ``B = R - l2 q``."""
        D, rho = self.D, self.rho
        if kept is not None:
            turn = kept[:, None, None] * self.dg
            D = torch.addcmul(D, self.dt, turn)
            rho = rho - 0.5 * self.alpha.unsqueeze(1) * _dot(turn, self.dg)
        self.rest = self.ease * (change.unsqueeze(1) - rho)
        self.q = torch.addcmul(D, self.rest, self.g)
        self.B = self.R - self.l2.unsqueeze(1) * self.q

    def step(self, dX):
        """Return the step in t for a step in X, and set those in g and W."""
        B = torch.baddbmm(self.B, dX.mT, self.S)
        turn = self.k * _dot(self.g, B) / self.pivot
        self.dg = (
            torch.addcmul(B, self.l2.unsqueeze(1) * turn, self.g, value=-1) / self.h
        )
        self.dW = torch.addcmul(torch.addcmul(self.q, self.t, self.dg), turn, self.g)
        self.dt = self.rest + turn
        return self.dt.squeeze(1)

    def advance(self, length):
        """Add ``length`` times the last step to W and g."""
        length = length[:, None, None]
        self.W, self.g = self.W + length * self.dW, self.g + length * self.dg

    def active(self):
        """Guess the active features: ``t_j / scale > slack_j / alpha``."""
        t, slack = self.t.squeeze(1), self.slack.squeeze(1)
        if t.shape[-1] == 0:
            return t.bool()
        # The scale, here times alpha, is the largest size, unless all rows converge to
        # zero.
        total = self.weight.sum(-1, keepdim=True)
        mu = (t * slack).amin(-1, keepdim=True)
        scale = t.amax(-1, keepdim=True) * self.alpha
        scale = torch.maximum(scale, (total * mu).sqrt())
        return t * self.alpha * self.alpha > slack * scale


def _dot(a, b):
    """``<a_j, b_j>``, of shape (n_tasks, 1, q)."""
    return (a * b).sum(1, keepdim=True)
