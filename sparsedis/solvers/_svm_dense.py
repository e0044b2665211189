"""The SVM without l1: all features, through a factor of the samples' Gram matrix."""

from dataclasses import dataclass

import torch


class Dense:
    """Quadratic penalty in the interior-point method.

    Without l1 the features may be rotated: no more of them are left than samples.
    As for the cones, W is a variable of its own; that keeps its digits where there are
    more samples than features and the dual variables are far from unique.

    Parameters
    ----------
    factor : tensor of shape (n_tasks, n_samples, r)
        ``F`` with ``F F' = (s Z)(s Z)' / l2``.

    gram : tensor of shape (n_tasks, n_samples, n_samples)
        The same, multiplied out.

    rotated : bool
        Whether the columns of the factor are not the features themselves: W is then
        only known through X in the end.
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
        """The problem of some tasks, for the last step."""
        return Coordinates(
            self.factor[at], self.gram[at], self.X[at], self.W[at], self.rotated
        )

    def excess(self, at, solution, simplices):
        """Every feature is in."""
        return 0.0

    def grow(self, X, mu):
        """Nothing can join."""

    def evaluate(self, X):
        """Scores ``s Z W`` in coordinates, (n_tasks, n_samples, m)."""
        self.X, self.V = X, self.factor.mT @ X
        if self.W is None:
            self.W = torch.zeros_like(self.V)
        return self.factor @ self.W

    def gap(self):
        """What the penalty contributes to the duality gap."""
        return 0.5 * (self.V - self.W).square().sum((1, 2))

    def conjugate(self):
        """Conjugate of the penalty."""
        return 0.5 * self.V.square().sum((1, 2))

    def hessian(self):
        """Newton matrix of the penalty."""
        return spread(self.gram, self.W.shape[-1])

    def shift(self, target=None, predictor=None):
        """Scores that the step contributes whatever the step in X is."""
        return self.factor @ (self.V - self.W)

    def step(self, dX):
        """Step in W that goes with a step in X."""
        return self.factor.mT @ dX + self.V - self.W

    def max_step(self, step):
        """W is not bounded."""
        return torch.full_like(step[:, 0, 0], torch.inf)

    def complementarity(self, step=None, length=None):
        """There are no cones."""
        return 0.0, 0

    def advance(self, step, length):
        """Take a step."""
        self.W = self.W + length[:, None, None] * step


@dataclass
class Coordinates:
    """W near a solution.

    Attributes
    ----------
    factor, gram : tensor
        As in `Dense`.
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
        return Coordinates(*(part[at] for part in parts), self.rotated)

    def replace(self, other, where):
        """Take those of another one in some tasks."""
        X = torch.where(where[:, None, None], other.X, self.X)
        W = torch.where(where[:, None, None], other.W, self.W)
        return Coordinates(self.factor, self.gram, X, W, self.rotated)

    def scores(self):
        """``s Z W``."""
        return self.factor @ self.W

    def linearise(self, X):
        """Scores, and what a Newton step on the equations of the solution needs."""
        self.residual = self.factor.mT @ X - self.W
        hessian = spread(self.gram, X.shape[-1])
        return self.scores(), self.factor @ self.residual, hessian

    def advance(self, dX):
        """Take a Newton step."""
        W = self.W + self.residual + self.factor.mT @ dX
        return Coordinates(self.factor, self.gram, self.X, W, self.rotated)

    def measure(self, X):
        """Yield W to go with X: scores, what it adds to the gap, and itself."""
        V = self.factor.mT @ X
        for W in (V,) if self.rotated else (self.W, V):
            own = Coordinates(self.factor, self.gram, X, W, self.rotated)
            yield own.scores(), 0.5 * (V - W).square().sum((1, 2)), own


def spread(gram, m):
    """``gram (x) I_m``."""
    n_tasks, n, _ = gram.shape
    out = gram.new_zeros(n_tasks, n, m, n, m)
    out.diagonal(dim1=2, dim2=4).copy_(gram.unsqueeze(-1))
    return out.reshape(n_tasks, n * m, n * m)
