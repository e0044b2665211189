"""Newton steps by conjugate gradients, for ridge problems with many classes.

The Hessian of k features and C classes has ``(k C)^2`` entries. Products with it cost
no more than a gradient. The blocks of each class alone, which are a fixed share of its
entries, precondition them.
"""

import numpy as np
import torch

from sparsedis.solvers._products import forward, pull

# Largest number of products for a solution.
_PRODUCTS = 300

# From this number of contrasts of classes, or of coefficients of a task, on, products
# are faster than a factor.
_MANY, _LARGE = 8, 200

# Residuals of Newton steps, relative to the gradient: the root of its size, between
# these two.
_FORCING = 1e-2, 0.3

# Added to the blocks, relative to their largest diagonal entry: a class that no sample
# may have has no curvature.
_SHIFT = 1e-12


def has_many_classes(problem):
    """Whether to solve Newton's equations by products."""
    if problem.basis is None:
        return False
    k, d = problem.scale.shape[1], problem.basis.shape[1]
    return d > 1 and (d >= _MANY or d * k >= _LARGE)


class SoftmaxHessian:
    """Hessian of a multinomial problem with a ridge term, as a linear function.

    Its arguments have one column for each class, and rows that sum to zero, over the
    classes that occur for the row of the intercept.

    Parameters
    ----------
    problem : Logistic
        Without a penalty other than the ridge term.

    scores : tensor of shape (n_tasks, n_samples, d)
        Where to take the second derivative.

    Attributes
    ----------
    failed : None
        Every right-hand side gets a solution.

    solved : tensor of shape (n_tasks,) of bool
        Whether the last residuals were as small as asked.
    """

    failed = None

    def __init__(self, problem, scores):
        self.Z, self.weight, self.basis = problem.Z, problem.weight, problem.basis
        self.probability = problem.probability_at(scores)
        self.ridge = (problem.ridge / problem.scale.square()).unsqueeze(-1)
        self.present = None
        if problem.gauge is not None:
            self.present = (~problem.absent).to(self.Z.dtype).unsqueeze(1)
        bends = self.weight * self.probability * (1 - self.probability)
        blocks = _blocks(problem, bends)
        blocks.diagonal(dim1=-2, dim2=-1).add_(self.ridge.mT)
        largest = blocks.diagonal(dim1=-2, dim2=-1).amax(-1, keepdim=True)
        shift = _SHIFT * largest.clamp_min(torch.finfo(self.Z.dtype).tiny)
        blocks.diagonal(dim1=-2, dim2=-1).add_(shift)
        # Products with a batch of small matrices are faster than substitutions.
        self.inverse = torch.cholesky_inverse(torch.linalg.cholesky(blocks))
        self.solved = torch.zeros_like(blocks[:, 0, 0, 0], dtype=bool)

    def take(self, at):
        part = object.__new__(type(self))
        for name, value in vars(self).items():
            shared = value is None or name == "basis" or len(value) == 1
            setattr(part, name, value if shared else value[at])
        return part

    def __call__(self, X):
        """Product with X of shape (n_tasks, k, n_classes)."""
        scores = forward(self.Z, X)
        mean = (self.probability * scores).sum(-1, keepdim=True)
        slopes = self.weight * self.probability * (scores - mean)
        return pull(self.Z, slopes) + self.ridge * X

    def precondition(self, X):
        """Solve for each class alone."""
        found = self.inverse @ X.mT.unsqueeze(-1)
        return self._centred(found.squeeze(-1).mT)

    def _centred(self, X):
        if self.present is None:
            return X - X.mean(-1, keepdim=True)
        rows, last = X[:, :-1], X[:, -1:] * self.present
        last = last - last.sum(-1, keepdim=True) / self.present.sum(-1, keepdim=True)
        last = last * self.present
        return torch.cat([rows - rows.mean(-1, keepdim=True), last], 1)

    def step(self, gradient, size):
        """Newton steps, as precise as the size of the gradient is worth.

        Parameters
        ----------
        gradient : tensor of shape (n_tasks, k, d)

        size : ndarray of shape (n_tasks,)

        Returns
        -------
        tensor of shape (n_tasks, k, d)
        """
        share = torch.from_numpy(np.sqrt(size).clip(*_FORCING))
        return -self.solve(gradient, share.to(gradient.device))

    def solve(self, rhs, share):
        """Solve systems by preconditioned conjugate gradients.

        Parameters
        ----------
        rhs : tensor of shape (n_tasks, k, d)
            In the basis of the problem.

        share : tensor of shape (n_tasks,) or float
            Norm of the residual at which to stop, relative to that of `rhs`, in the
            metric of the preconditioner.

        Returns
        -------
        tensor of shape (n_tasks, k, d)
        """
        # An intercept that all classes share has no curvature.
        R = self._centred(rhs @ self.basis.T)
        X = torch.zeros_like(R)
        M = self.precondition(R)
        P, energy = M, _inner(R, M)
        least = energy * share**2
        left = energy > least
        for _ in range(_PRODUCTS):
            if not bool(left.any()):
                break
            H = self(P)
            curvature = _inner(P, H)
            length = torch.where(left & (curvature > 0), energy / curvature, 0.0)
            X = X + length[:, None, None] * P
            R = R - length[:, None, None] * H
            M = self.precondition(R)
            before, energy = energy, _inner(R, M)
            left = left & (energy > least) & (curvature > 0)
            ratio = torch.where(left, energy / before, 0.0)
            P = M + ratio[:, None, None] * P
        self.solved = energy <= least
        return X @ self.basis


def _inner(X, Y):
    return (X * Y).sum((1, 2))


def _blocks(problem, bends):
    """Products of features with the weights of each class, (n_tasks, C, k, k)."""
    n_tasks, n, n_classes = bends.shape
    if len(problem.Z) == 1:
        flat = bends.mT.reshape(n_tasks * n_classes, n, 1, 1)
        return problem.curvature(flat).unflatten(0, (n_tasks, n_classes))
    Z = problem.Z
    parts = [Z.mT @ (bends[..., c, None] * Z) for c in range(n_classes)]
    return torch.stack(parts, 1)
