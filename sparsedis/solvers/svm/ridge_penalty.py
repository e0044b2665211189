"""The penalty ``l2/2 ||W||^2``, of SVMs with ``alpha = 0``.

Symbols are those of :mod:`sparsedis.solvers.svm`. In units in which ``l2 = 1`` and the
features are the columns of L, the link is ``W = V`` with ``V = L'X``.
"""

from dataclasses import dataclass

import torch

from sparsedis.solvers.svm.faces import project_gram


class RidgePenalty:
    """Quadratic penalty in the interior-point method, in units in which l2 is 1.

    A factor L of the Gram matrix of the samples replaces the features, with ``L L' =
    (s Z)(s Z)' / l2`` and at most as many columns as samples. W is a separate variable,
    although ``W = V = L'X`` at a solution. It then keeps its digits if there are more
    samples than features and the dual variables are far from unique.

    Parameters
    ----------
    factor : tensor of shape (n_tasks, n_samples, r)
        ``L``.

    gram : tensor of shape (n_tasks, n_samples, n_samples)
        ``L L'``.

    rotated : bool
        Whether the coefficients of the features are computed from X at the end, instead
        of from W. The gap is then that of ``W = L'X``.
    """

    # Relative gap below which the interior-point method guesses the active set. It is
    # easier to guess than with the rows of W.
    guess_from = 1e-3

    def __init__(self, factor, gram, *, rotated):
        self.factor, self.gram, self.rotated = factor, gram, rotated
        self.W = None

    def take(self, at):
        """Keep only the tasks ``at``, in place."""
        for name, value in vars(self).items():
            if name != "rotated":
                setattr(self, name, value[at])

    def restrict(self, at):
        """Return the iterate of some tasks, for Newton's method on the active set."""
        return RidgeIterate(
            self.factor[at], self.gram[at], self.X[at], self.W[at], self.rotated
        )

    def excess(self, at, pair, simplices):
        """Return 0, because all features are in use."""
        return 0.0

    def grow(self, X, mu):
        """Return None, because all features are in use."""

    def evaluate(self, X, t, slack):
        """Set ``V = L'X`` and return the scores ``L W``, (n_tasks, n_samples, m).

        There are no pairs: t and its slack are empty.
        """
        self.X, self.V = X, self.factor.mT @ X
        if self.W is None:
            self.W = torch.zeros_like(self.V)
        return self.factor @ self.W

    def gap(self):
        """Return ``P(W) + P*(V) - <V, W>``, which is ``1/2 ||V - W||^2``."""
        return 0.5 * (self.V - self.W).square().sum((1, 2))

    def conjugate(self):
        """Return the conjugate ``P*(V) = 1/2 ||V||^2``."""
        return 0.5 * self.V.square().sum((1, 2))

    def hessian(self):
        """Return ``L L' (x) I_m``, the matrix of a step in X after eliminating dW."""
        return kron_identity(self.gram, self.W.shape[-1])

    def shift(self, change, kept=None):
        """Return ``L (V - W)``, the change of the scores for ``dX = 0``.

        It does not depend on the parameters, because the link is linear.
        """
        return self.factor @ (self.V - self.W)

    def step(self, dX):
        """Set ``dW = L'dX + V - W`` and return the empty step in t."""
        self.dW = self.factor.mT @ dX + self.V - self.W
        return dX.new_zeros(len(dX), 0)

    def advance(self, length):
        """Add ``length * dW`` to W."""
        self.W = self.W + length[:, None, None] * self.dW


@dataclass
class RidgeIterate:
    """W in Newton's method on the active set, see :mod:`.active_set`.

    W solves ``R = L'X - W = 0``. A Newton step is ``dW = L'dX + R``.

    Attributes
    ----------
    factor, gram, rotated
        As in :class:`RidgePenalty`.
    X : tensor of shape (n_tasks, n_samples, m)
        ``W = L'X`` at a solution.
    W : tensor of shape (n_tasks, r, m)
    """

    factor: torch.Tensor
    gram: torch.Tensor
    X: torch.Tensor
    W: torch.Tensor
    rotated: bool

    def take(self, at):
        """Return the iterate of the tasks ``at``."""
        parts = (self.factor, self.gram, self.X, self.W)
        return RidgeIterate(*(part[at] for part in parts), self.rotated)

    def replace(self, other, where):
        """Return this iterate, with ``other`` in the tasks of the mask ``where``."""
        X = torch.where(where[:, None, None], other.X, self.X)
        W = torch.where(where[:, None, None], other.W, self.W)
        return RidgeIterate(self.factor, self.gram, X, W, self.rotated)

    def put(self, at, other):
        """Return this iterate, with ``other`` as the tasks ``at``."""
        X, W = (
            old.index_copy(0, at, new)
            for old, new in ((self.X, other.X), (self.W, other.W))
        )
        return RidgeIterate(self.factor, self.gram, X, W, self.rotated)

    def scores(self):
        """Return the scores ``L W``."""
        return self.factor @ self.W

    def linearise(self, X):
        """Return ``L W`` and ``L R``."""
        self.residual = self.factor.mT @ X - self.W
        return self.scores(), self.factor @ self.residual

    def hessian(self, blocks):
        """Return ``Pi (L L' (x) I) Pi``, the matrix of a step in X on a face."""
        return project_gram(self.gram, blocks)

    def advance(self, dX):
        """Add ``L'dX + R`` to W."""
        W = self.W + self.residual + self.factor.mT @ dX
        return RidgeIterate(self.factor, self.gram, self.X, W, self.rotated)

    def measure(self, X):
        """Yield the scores, the penalty's part of the gap, and the iterate.

        The first iterate has the present W, the second ``W = L'X``. Only the second is
        used if `rotated` is true.
        """
        V = self.factor.mT @ X
        for W in (V,) if self.rotated else (self.W, V):
            own = RidgeIterate(self.factor, self.gram, X, W, self.rotated)
            yield own.scores(), 0.5 * (V - W).square().sum((1, 2)), own


def kron_identity(gram, m):
    """Return the Kronecker products ``gram (x) I_m``, of shape (n_tasks, n m, n m)."""
    n_tasks, n, _ = gram.shape
    out = gram.new_zeros(n_tasks, n, m, n, m)
    out.diagonal(dim1=2, dim2=4).copy_(gram.unsqueeze(-1))
    return out.reshape(n_tasks, n * m, n * m)
