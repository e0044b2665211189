"""Linear models of classes and counts with an l2 penalty, and leave-one-out scores."""

from dataclasses import dataclass

import numpy as np
import torch

from sparsedis.solvers._products import Curvature

# Penalties to try, for inputs of unit variance, from the largest, and Newton steps from
# the model of one to that of the next.
PENALTIES, PATH_STEPS = np.logspace(4, -2, 7), 2

# Newton steps for the best penalty, and the relative decrease of the objective at which
# to stop.
STEPS, _TOL = 30, 1e-10

# Maximal number of times to halve a step.
_HALVINGS = 20


@torch.no_grad()
def penalised_models(loss, Z, y, weight, *, fit_intercept=True):
    """Fit linear models with the penalty that has the best leave-one-out deviance.

    A model minimises the sum over the labels of weight times loss, plus half of the
    penalty times the squared norm of its coefficients. The scores of a row without it
    follow from one Newton step from the model with all rows.

    Parameters
    ----------
    loss : Loss

    Z : tensor of shape (n_tasks, n, k) or (1, n, k)
        Inputs of unit variance.

    y : tensor of shape (n_tasks, n)
        Valid targets, also where the weight is 0.

    weight : tensor of shape (n_tasks, n)
        Of mean 1 over the labels of a task, 0 elsewhere.

    fit_intercept : bool, default=True

    Returns
    -------
    coef : tensor of shape (n_tasks, k, c)

    intercept : tensor of shape (n_tasks, c)

    left_out : tensor of shape (n_tasks, n, c)
        Scores of each row by the model without it.
    """
    k = Z.shape[-1]
    models = _Models(loss, Z, y, weight, fit_intercept)
    point = models.at(models.constant())
    V, chosen = point.V, torch.full_like(weight[:, 0], PENALTIES[0])
    best = torch.full_like(chosen, torch.inf)
    for penalty in PENALTIES:
        alpha = torch.full_like(best, penalty)
        for _ in range(PATH_STEPS):
            point = models.step_from(point, alpha)
        found = models.total(models.left_out(point, alpha))
        better = found < best
        if not better.any():
            break
        best = torch.where(better, found, best)
        chosen = torch.where(better, alpha, chosen)
        V = torch.where(better[:, None, None], point.V, V)
    point = models.minimise(V, chosen)
    left_out = models.left_out(point, chosen)
    return point.V[:, :k], point.V[:, k:].sum(1), left_out


@torch.no_grad()
def models_by_fold(loss, Z, y, weight, folds, penalty, *, fit_intercept=True):
    """Fit linear models with one penalty, and score the rows of each fold without it.

    Parameters
    ----------
    loss, Z, y, weight, fit_intercept
        See :func:`penalised_models`.

    folds : tensor of shape (n_tasks, n) or (1, n)
        Fold of each held-out row; -1 for the other rows.

    penalty : float
        Penalty in units of the total weight of a task.

    Returns
    -------
    coef : tensor of shape (n_tasks, k, c)

    intercept : tensor of shape (n_tasks, c)

    left_out : tensor of shape (n_tasks, n, c)
        Scores of each row by the model without its fold; NaN where not held out.
    """
    k, models = Z.shape[-1], _Models(loss, Z, y, weight, fit_intercept)
    point = models.minimise(models.constant(), penalty * weight.sum(-1))
    left_out = torch.full_like(point.scores, torch.nan)
    for fold in range(int(folds.max()) + 1):
        out = (folds == fold).expand_as(weight)
        models.weight = torch.where(out, 0.0, weight)
        other = models.minimise(point.V, penalty * models.weight.sum(-1))
        left_out = torch.where(out.unsqueeze(-1), other.scores, left_out)
    return point.V[:, :k], point.V[:, k:].sum(1), left_out


@dataclass
class _Point:
    """Coefficients, their scores, and derivatives of the loss there."""

    V: torch.Tensor
    scores: torch.Tensor
    # With respect to the scores of each row, weighted.
    slope: torch.Tensor
    bend: torch.Tensor
    # Of shape (n_tasks, k * c, k * c).
    hessian: torch.Tensor


class _Models:
    """Linear models of several tasks, with any intercept as the last coefficient.

    Parameters
    ----------
    loss, Z, y, weight, fit_intercept
        See `penalised_models`.
    """

    def __init__(self, loss, Z, y, weight, fit_intercept):
        self.loss, self.y, self.weight = loss, y, weight
        self.ridge = torch.ones(Z.shape[-1], dtype=Z.dtype)
        if fit_intercept:
            pad = torch.nn.functional.pad
            Z, self.ridge = pad(Z, (0, 1), value=1.0), pad(self.ridge, (0, 1))
        self.Z, self.curvature = Z, Curvature(Z)

    def constant(self):
        """Models of an infinite penalty, of shape (n_tasks, k, c)."""
        c = self.loss.n_scores(self.y)
        V = self.Z.new_zeros(len(self.y), self.Z.shape[-1], c)
        if not self.ridge.all():
            of_intercept = self.loss, self.Z[:1, :, :0], self.y, self.weight, True
            zero = torch.zeros_like(self.weight[:, 0])
            V[:, -1:] = _Models(*of_intercept).minimise(V[:, -1:], zero).V
        return V

    def at(self, V):
        """Derivatives at some coefficients."""
        scores = self.Z @ V
        slope = self.weight.unsqueeze(-1) * self.loss.gradient(scores, self.y)
        bend = self.loss.hessian(scores, self.y)
        bend = self.weight[..., None, None] * bend
        k, c = V.shape[1:]
        # From scores, then features, to features, then scores.
        hessian = self.curvature(bend).reshape(len(V), c, k, c, k)
        hessian = hessian.transpose(1, 2).transpose(3, 4)
        return _Point(V, scores, slope, bend, hessian.reshape(len(V), k * c, k * c))

    def total(self, scores):
        """Sum of the losses of each task; infinite, not NaN."""
        each = self.weight * self.loss.value(scores, self.y)
        each = torch.where(self.weight > 0, each, 0.0).sum(-1)
        return torch.nan_to_num(each, nan=torch.inf, posinf=torch.inf)

    def objective(self, V, scores, alpha):
        """Losses and penalty of each task."""
        squares = (self.ridge.unsqueeze(-1) * V * V).sum((1, 2))
        return self.total(scores) + 0.5 * alpha * squares

    def minimise(self, V, alpha):
        """Take Newton steps from some coefficients until they do not help."""
        point = self.at(V)
        before = self.objective(V, point.scores, alpha)
        for _ in range(STEPS):
            point = self.step_from(point, alpha)
            now = self.objective(point.V, point.scores, alpha)
            if (before - now <= _TOL * before.abs()).all():
                break
            before = now
        return point

    def step_from(self, point, alpha):
        """Take a Newton step, as long as the objective falls."""
        V = point.V
        ridge = alpha[:, None, None] * self.ridge.unsqueeze(-1)
        slope = self.Z.mT @ point.slope + ridge * V
        factor, failed = torch.linalg.cholesky_ex(self._curvature(point, alpha))
        step = -torch.cholesky_solve(slope.flatten(1).unsqueeze(-1), factor)
        step = torch.where((failed == 0)[:, None, None], step.reshape(V.shape), 0.0)
        change = self.Z @ step
        start = self.objective(V, point.scores, alpha)
        length = torch.ones_like(ridge[:, :1])
        for _ in range(_HALVINGS):
            scores = point.scores + length * change
            uphill = ~(self.objective(V + length * step, scores, alpha) <= start)
            if not uphill.any():
                break
            length = torch.where(uphill[:, None, None], 0.5 * length, length)
        return self.at(V + torch.where(uphill[:, None, None], 0.0, length) * step)

    def _curvature(self, point, alpha):
        """Second derivative of the objectives."""
        ridge = alpha.unsqueeze(-1) * self.ridge
        # An intercept alone may have none.
        ridge = ridge.repeat_interleave(point.V.shape[-1], -1) + 1e-10
        return point.hessian + torch.diag_embed(ridge)

    def left_out(self, point, alpha):
        """Scores of each row without it, of shape (n_tasks, n, c)."""
        k, c = point.V.shape[1:]
        inverse = torch.linalg.inv_ex(self._curvature(point, alpha))[0]
        inverse = inverse.reshape(-1, k, c, k, c)
        reach = torch.empty_like(point.bend)
        for t in range(len(inverse)):
            Z = self.Z[t if len(self.Z) > 1 else 0]
            for a in range(c):
                for b in range(a + 1):
                    block = ((Z @ inverse[t, :, a, :, b]) * Z).sum(-1)
                    reach[t, :, a, b] = reach[t, :, b, a] = block
        eye = torch.eye(c, dtype=reach.dtype)
        moved = torch.linalg.solve_ex(
            eye - point.bend @ reach, point.slope.unsqueeze(-1)
        )[0]
        return point.scores + (reach @ moved).squeeze(-1)
