"""Problems with any loss of linear scores and any penalty."""

from dataclasses import replace

import torch

from sparsedis.solvers import _composite
from sparsedis.solvers._problem import Problem
from sparsedis.solvers._products import Curvature, forward, pull
from sparsedis.solvers._proximal_newton import solve_sparse
from sparsedis.solvers._relative_gap import relative_gap
from sparsedis.solvers._smooth_newton import hessian_on, solve_smooth
from sparsedis.solvers._terms import Norms, Scaled
from sparsedis.solvers.losses import Loss
from sparsedis.solvers.penalties import L2, GroupL1, NonNegativeL1

# Minimal curvature in the choice of units, for losses with little curvature at zero.
_FLAT = 1e-3


class Linear(Problem):
    """``sum_i s_i l((ZW + b)_i, y_i) + sum_j p(W_j; alpha) + l2/2 ||W||^2``.

    The units are such that the curvature of each row is about 1 at zero coefficients.

    Parameters
    ----------
    loss : Loss
        The loss ``l``.

    penalty : Penalty
        The penalty ``p``.

    Z : tensor of shape (n_tasks, n_samples, k) or (1, n_samples, k)

    y : tensor of shape (n_tasks, n_samples) or (n_tasks, n_samples, n_outputs)

    weight : tensor of shape (n_tasks, n_samples)
        Weights ``s_i``, non-negative; sum to 1 in every task.

    alpha : tensor of shape (n_tasks,)
        Strength of the penalty.

    l2 : tensor of shape (n_tasks,)
        Strength of a squared l2 term, in addition to that of `penalty`.

    fit_intercept : bool
        Whether to add an intercept: a last feature that is constant and has no penalty.

    Attributes
    ----------
    scale : tensor of shape (n_tasks, k)
        ``W = scale * V`` for the V of this problem. Here and in all methods, k counts
        the intercept.
    """

    names = ("Z", "y", "weight", "penalty", "ridge", "scale")
    # Every direction of the intercept has an effect. Scores need not be of classes.
    gauge = basis = None

    def __init__(self, loss, penalty, Z, y, weight, alpha, l2, fit_intercept):
        self.loss, self.own = loss, penalty
        self.n_scores = c = loss.n_scores(y)
        penalty.check_scores(c)
        k = Z.shape[-1]
        self.n_features, self.fit_intercept = k, fit_intercept
        ridge = (l2 + penalty.l2).unsqueeze(-1)
        if isinstance(penalty, L2):
            ridge = ridge + alpha.unsqueeze(-1)
        bend = loss.curvature
        if bend is None:
            scores = Z.new_zeros(*y.shape[:2], c)
            bend = loss.hessian(scores, y).diagonal(dim1=-2, dim2=-1).mean(-1)
            bend = (weight * bend).sum(-1, keepdim=True).clamp_min(_FLAT)
        moment = (weight.unsqueeze(-2) @ (Z * Z)).squeeze(-2)
        lipschitz = bend * moment + ridge
        # A zero feature has no gradient, so it never becomes active.
        scale = torch.where(lipschitz > 0, lipschitz.rsqrt(), 1.0)
        ridge = ridge * scale * scale
        if fit_intercept:
            pad = torch.nn.functional.pad
            Z, ridge = pad(Z, (0, 1), value=1.0), pad(ridge, (0, 1))
            one = torch.as_tensor(bend, dtype=Z.dtype, device=Z.device).rsqrt()
            scale = torch.cat([scale, one.expand(len(scale), 1)], -1)
        self.Z, self.y, self.weight = Z, y, weight.unsqueeze(-1)
        self.curvature = Curvature(Z)
        self.scale, self.ridge = scale, ridge
        if isinstance(penalty, GroupL1 | L2):
            threshold = torch.zeros_like(scale)
            if isinstance(penalty, GroupL1):
                threshold[:, :k] = penalty.strengths(alpha.unsqueeze(-1), k)
            positive = isinstance(penalty, NonNegativeL1)
            self.penalty = Norms(threshold * scale, positive)
        else:
            self.penalty = Scaled(penalty, alpha, scale, k)

    def take(self, at):
        part = super().take(at)
        for name in ("loss", "own", "n_scores", "n_features", "fit_intercept"):
            setattr(part, name, getattr(self, name))
        part.curvature = self.curvature.take(part.Z)
        return part

    @property
    def is_smooth(self):
        """Whether there is at most a squared l2 penalty."""
        return isinstance(self.own, L2)

    def least(self, tol, max_iter):
        """Solution with all penalised coefficients zero, of shape (n_tasks, k, c)."""
        V = self.Z.new_zeros(*self.scale.shape, self.n_scores)
        weights = (isinstance(self.own, GroupL1) and self.own.weights) or ()
        free = [j for j, weight in enumerate(weights) if weight == 0]
        if free or self.fit_intercept:
            zero = torch.zeros_like(self.scale[:, 0])
            rest = Linear(
                self.loss,
                L2(),
                self.Z[..., free],
                self.y,
                self.weight.squeeze(-1),
                zero,
                zero + self.own.l2,
                self.fit_intercept,
            )
            start = V.new_zeros(*rest.scale.shape, self.n_scores)
            best, _ = solve_smooth(rest, start, tol=tol, max_iter=max_iter)
            at = free + [self.n_features] * self.fit_intercept
            V[:, at] = best * (rest.scale / self.scale[:, at]).unsqueeze(-1)
        return V

    def alpha_max(self, least):
        """Smallest alpha at which ``least`` is the solution, of shape (n_tasks,)."""
        slope = self.slope(least) / self.scale.unsqueeze(-1)
        return self.own.alpha_max(slope[:, : self.n_features])

    def scores(self, V):
        """Scores of the samples, of shape (n_tasks, n_samples, c)."""
        return forward(self.Z, self.scale.unsqueeze(-1) * V)

    def slopes(self, scores):
        """Derivative of the loss of each sample in its scores."""
        return self.loss.gradient(scores, self.y)

    def derivatives(self, scores):
        """First and second derivatives of the loss of each sample in its scores.

        They have the shapes (n_tasks, n_samples, c) and (n_tasks, n_samples, c, c).
        """
        return self.loss.gradient(scores, self.y), self.loss.hessian(scores, self.y)

    def pull(self, X):
        """Gradient with respect to V of ``sum_i s_i <X_i, scores_i>``."""
        return self.scale.unsqueeze(-1) * pull(self.Z, self.weight * X)

    def slope(self, V):
        """Gradient of the loss, without penalties."""
        return self.pull(self.loss.gradient(self.scores(V), self.y))

    def gradient(self, V):
        return self.slope(V) + self.ridge.unsqueeze(-1) * V

    def linear_term(self, V):
        scores = self.scores(V)
        bend = self.loss.hessian(scores, self.y)
        moved = (bend @ scores.unsqueeze(-1)).squeeze(-1)
        return self.pull(moved - self.loss.gradient(scores, self.y))

    def hessian(self, V, rows):
        return hessian_on(self, self.loss.hessian(self.scores(V), self.y), rows)

    def along(self, V, step, lengths):
        scores, change = self.scores(V).unsqueeze(1), self.scores(step).unsqueeze(1)
        scores = scores + lengths[..., None, None] * change
        moved = V.unsqueeze(1) + lengths[..., None, None] * step.unsqueeze(1)
        squares = 0.5 * (self.ridge.unsqueeze(1) * moved.square().sum(-1)).sum(-1)
        return self._total(self.loss.value(scores, self.y.unsqueeze(1))) + squares

    def stationarity(self, W, Z, y, alpha, l2):
        k = self.n_features
        slope = pull(self.Z, self.weight * self.loss.gradient(forward(self.Z, W), y))
        penalty = self.own.gradient(W[:, :k], alpha.unsqueeze(-1))
        penalty = penalty + (l2 + self.own.l2)[:, None, None] * W[:, :k]
        return slope + torch.nn.functional.pad(penalty, (0, 0, 0, len(W[0]) - k))

    def objective(self, V):
        """Loss plus penalties of every task, of shape (n_tasks,)."""
        squares = 0.5 * (self.ridge * V.square().sum(-1)).sum(-1)
        loss = self._total(self.loss.value(self.scores(V), self.y))
        return loss + squares + self.penalty.value(V)

    def certificate(self):
        """Meaning of the values that `gap` returns: "gap" or "violation"."""
        known = type(self.loss).conjugate is not Loss.conjugate
        known = known and isinstance(self.penalty, Norms)
        return "gap" if known else "violation"

    def null(self):
        """Tensor of zeros with the shape of V."""
        return self.Z.new_zeros(*self.scale.shape, self.n_scores)

    def gap(self, V):
        scores = self.scores(V)
        theta = -self.loss.gradient(scores, self.y)
        if self.certificate() == "gap":
            return self._gap(V, scores, theta)
        return self._violation(V, theta)

    def _gap(self, V, scores, theta):
        def dual(share):
            point = -share[:, None, None] * theta
            return -self._total(self.loss.conjugate(point, self.y))

        def polar(U, free):
            return torch.where(free.unsqueeze(-1), U, self.own.polar(U))

        nothing = torch.zeros_like(scores)
        return relative_gap(
            V,
            value=self._total(self.loss.value(scores, self.y)),
            dual=dual,
            descent=self.pull(theta),
            penalty=self.penalty.threshold,
            ridge=self.ridge,
            at_zero=self._total(self.loss.value(nothing, self.y)),
            polar=polar if isinstance(self.own, GroupL1) else None,
        )

    def _violation(self, V, theta):
        """Square of the largest violation of the optimality conditions by a row.

        It is relative to the gradient of the loss at zero.
        """
        slope = self.ridge.unsqueeze(-1) * V - self.pull(theta)
        if isinstance(self.penalty, Norms):
            moved = V - self.penalty.prox(V - slope, 1.0)
            found = torch.linalg.vector_norm(moved, dim=-1)
        else:
            found = self.penalty.violation(V, slope)
        unit = torch.linalg.vector_norm(self.slope(self.null()), dim=-1).amax(-1)
        found = found.amax(-1) / torch.where(unit > 0, unit, 1.0)
        return found * found

    def _total(self, each):
        """Weighted sum over the samples, which are the last axis."""
        weight = self.weight.squeeze(-1)
        weight = weight if each.ndim == 2 else weight.unsqueeze(1)
        # A sample with zero weight may have an infinite loss.
        return torch.where(weight > 0, weight * each, 0.0).sum(-1)


@torch.no_grad()
def solve_linear(problem, alpha, *, start=None, tol=1e-12, max_iter=1000):
    """Solve a batch of problems.

    Parameters
    ----------
    problem : Linear

    alpha : tensor of shape (n_tasks,)
        Strength of the penalty of the problem.

    start : tensor of shape (n_tasks, k, c), default=None
        Starting point; by default, all penalised coefficients are zero.

    tol : float, default=1e-12
        Tolerance on the relative duality gap, or on the squared relative violation.

    max_iter : int, default=1000
        Largest number of rounds of smoothing, or of gradient steps.

    Returns
    -------
    W : tensor of shape (n_tasks, k, c)
        Coefficients in the units of the features. The intercept, if there is one, is
        the last row.

    info : SolverInfo
    """
    least = first = problem.least(tol, max_iter)
    warm, how = start is not None, {"tol": tol, "max_iter": max_iter}
    if warm:
        start = start / problem.scale.unsqueeze(-1)
        first = _composite.choose_start(problem, start, least)
    if problem.is_smooth:
        V, info = solve_smooth(problem, first, **how)
        gap = info.gap
    else:
        # Norms without constraints of a convex loss.
        plain = problem.certificate() == "gap" and not problem.penalty.positive
        solve = solve_sparse if plain else _composite.solve
        V, info = solve(problem, first, warm=warm, **how)
        # alpha_max is compared in the original units: rounding errors of the
        # solver's units must not decide which solutions are zero.
        zero = alpha >= problem.alpha_max(least)
        V = torch.where(zero[:, None, None], least, V)
        gap = torch.where(zero, 0.0, info.gap)
    info = replace(info, gap=gap, certificate=problem.certificate())
    info = replace(info, converged=gap <= tol, support=(V != 0).any(-1))
    return V * problem.scale.unsqueeze(-1), info
