"""The penalty ``l2/2 ||W||^2`` alone: the SVM without alpha."""

from dataclasses import dataclass

import torch


class RidgePenalty:
    """Quadratic penalty in the interior-point method, in units in which l2 is 1.

    The features enter through a factor ``F`` of the Gram matrix of the samples, ``F F'
    = (s Z)(s Z)' / l2``, with at most as many columns as samples. W is a variable of
    its own, although ``W = V = F'X`` at a solution: this keeps its digits where there
    are more samples than features and the dual variables are far from unique.

    Parameters
    ----------
    factor : tensor of shape (n_tasks, n_samples, r)
        ``F``.

    gram : tensor of shape (n_tasks, n_samples, n_samples)
        ``F F'``.

    rotated : bool
        True if the columns of F are not the features themselves, so that the features'
        coefficients are computed from X in the end.
    """

    def __init__(self, factor, gram, *, rotated):
        self.factor, self.gram, self.rotated = factor, gram, rotated
        self.W = None

    def take(self, at):
        """Keep some tasks."""
        for name, value in vars(self).items():
            if name != "rotated":
                setattr(self, name, value[at])

    def restrict(self, at):
        """Return the iterate of some tasks, for Newton's method on the active set."""
        return RidgeIterate(
            self.factor[at], self.gram[at], self.X[at], self.W[at], self.rotated
        )

    def excess(self, at, pair, simplices):
        """Return 0: no feature is left out."""
        return 0.0

    def grow(self, X, mu):
        """Do nothing: no feature is left out."""

    def evaluate(self, X):
        """Set ``V = F'X`` and return the scores ``F W``, (n_tasks, n_samples, m)."""
        self.X, self.V = X, self.factor.mT @ X
        if self.W is None:
            self.W = torch.zeros_like(self.V)
        return self.factor @ self.W

    def gap(self):
        """Return ``1/2 ||W||^2 + 1/2 ||V||^2 - <V, W> = 1/2 ||V - W||^2``."""
        return 0.5 * (self.V - self.W).square().sum((1, 2))

    def conjugate(self):
        """Return ``1/2 ||V||^2``."""
        return 0.5 * self.V.square().sum((1, 2))

    def hessian(self):
        """Return ``F F' (x) I_m``, the matrix of a step in X."""
        return kron_identity(self.gram, self.W.shape[-1])

    def shift(self, target=None, predictor=None):
        """Return ``F (V - W)``, the change of the scores for ``dX = 0``."""
        return self.factor @ (self.V - self.W)

    def step(self, dX):
        """Return ``dW = F'dX + V - W``."""
        return self.factor.mT @ dX + self.V - self.W

    def max_step(self, step):
        """Return inf: W is not bounded."""
        return torch.full_like(step[:, 0, 0], torch.inf)

    def complementarity(self, step=None, length=None):
        """Return a sum of 0 over 0 cones."""
        return 0.0, 0

    def advance(self, step, length):
        """Add ``length * dW`` to W."""
        self.W = self.W + length[:, None, None] * step


@dataclass
class RidgeIterate:
    """W in Newton's method on the active set, see :mod:`.active_set`.

    W solves ``R = F'X - W = 0``; a Newton step is ``dW = F'dX + R``.

    Attributes
    ----------
    factor, gram : tensor
        As in `RidgePenalty`.
    X : tensor of shape (n_tasks, n_samples, m)
        ``W = F'X``.
    W : tensor of shape (n_tasks, r, m)
    rotated : bool
    """

    factor: torch.Tensor
    gram: torch.Tensor
    X: torch.Tensor
    W: torch.Tensor
    rotated: bool

    def take(self, at):
        """Keep some tasks."""
        parts = (self.factor, self.gram, self.X, self.W)
        return RidgeIterate(*(part[at] for part in parts), self.rotated)

    def replace(self, other, where):
        """Take another X and W in some tasks."""
        X = torch.where(where[:, None, None], other.X, self.X)
        W = torch.where(where[:, None, None], other.W, self.W)
        return RidgeIterate(self.factor, self.gram, X, W, self.rotated)

    def scores(self):
        """Return ``F W``."""
        return self.factor @ self.W

    def linearise(self, X):
        """Return ``F W``, ``F R`` and the matrix ``F F' (x) I_m`` of a step in X."""
        self.residual = self.factor.mT @ X - self.W
        hessian = kron_identity(self.gram, X.shape[-1])
        return self.scores(), self.factor @ self.residual, hessian

    def advance(self, dX):
        """Add ``F'dX + R`` to W."""
        W = self.W + self.residual + self.factor.mT @ dX
        return RidgeIterate(self.factor, self.gram, self.X, W, self.rotated)

    def measure(self, X):
        """Yield the present W and ``F'X``: scores, part of the gap, iterate."""
        V = self.factor.mT @ X
        for W in (V,) if self.rotated else (self.W, V):
            own = RidgeIterate(self.factor, self.gram, X, W, self.rotated)
            yield own.scores(), 0.5 * (V - W).square().sum((1, 2)), own


def kron_identity(gram, m):
    """``gram (x) I_m`` of a batch of (n, n) matrices, (n_tasks, n * m, n * m)."""
    n_tasks, n, _ = gram.shape
    out = gram.new_zeros(n_tasks, n, m, n, m)
    out.diagonal(dim1=2, dim2=4).copy_(gram.unsqueeze(-1))
    return out.reshape(n_tasks, n * m, n * m)
