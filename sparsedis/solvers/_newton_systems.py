"""Newton's equations that are solved by a Cholesky factor."""

import torch


class Factorised:
    """Newton's equations with a matrix for each task.

    Parameters
    ----------
    hessian : tensor of shape (n_tasks, d * k, d * k)
        By scores, then by features.

    Attributes
    ----------
    failed : ndarray of shape (n_tasks,) of bool, or None
        Where the matrix is not positive definite; None if it is everywhere.
    """

    def __init__(self, hessian):
        self.factor, info = torch.linalg.cholesky_ex(hessian)
        failed = info.cpu().numpy() > 0
        self.failed = failed if failed.any() else None

    def take(self, at):
        """The same for the tasks with indices `at`, none of which failed."""
        part = object.__new__(Factorised)
        part.factor, part.failed = self.factor[at], None
        return part

    def step(self, gradient, size):
        """Newton steps from gradients of shape (n_tasks, k, d); `size` is not used."""
        n_tasks, k, d = gradient.shape
        flat = gradient.mT.reshape(n_tasks, d * k, 1)
        found = torch.cholesky_solve(flat, self.factor).neg_()
        return found.reshape(n_tasks, d, k).mT


class Shared:
    """Newton's equations whose matrices are nearly multiples of a single one.

    Parameters
    ----------
    factor : tensor of shape (k, k)
        Cholesky factor of the matrix of the features.

    inverse : tensor of shape (n_tasks, d, d)
        Inverses of the second derivatives in the scores.
    """

    failed = None

    def __init__(self, factor, inverse):
        self.factor, self.inverse = factor, inverse

    def take(self, at):
        """The same for the tasks with indices `at`."""
        return Shared(self.factor, self.inverse[at])

    def step(self, gradient, size):
        """Newton steps from gradients of shape (n_tasks, k, d); `size` is not used."""
        n_tasks, k, d = gradient.shape
        flat = (gradient @ self.inverse).mT.reshape(n_tasks * d, k)
        found = torch.cholesky_solve(flat.T, self.factor).neg_()
        return found.T.reshape(n_tasks, d, k).mT


def shared_system(problem, ridge, W, bends):
    """Newton's equations of all tasks at once, where they are nearly the same.

    If no feature is in use yet, all samples of a task have the same second derivative.
    With features and weights that all tasks share, their Hessians are then multiples of
    one matrix, up to the ridge term. The first step, whose length is searched for,
    needs no more than this.

    Parameters
    ----------
    problem : Logistic or Linear

    ridge : tensor of shape (n_tasks, k, 1)

    W : tensor of shape (n_tasks, k, d)

    bends : tensor of shape (n_tasks, n_samples, d, d) or None
        Second derivatives in the scores.

    Returns
    -------
    Shared or None
        None where this does not apply.
    """
    of_classes = problem.basis is not None and problem.gauge is None
    if bends is None or not of_classes or len(problem.Z) > 1:
        return None
    Z, weight = problem.Z[0], problem.weight[0]
    used = W[:, : problem.n_features].any() | (problem.weight != weight).any()
    if bool(used):
        return None
    curvature = (weight.unsqueeze(-1) * bends).sum(1)
    size = curvature.diagonal(dim1=-2, dim2=-1).mean(-1, keepdim=True)
    matrix = Z.T @ (weight * Z)
    matrix.diagonal().add_((ridge.squeeze(-1) / size).mean(0))
    factor, failed = torch.linalg.cholesky_ex(matrix)
    inverse, singular = torch.linalg.inv_ex(curvature)
    return None if bool(failed | singular.any()) else Shared(factor, inverse)
