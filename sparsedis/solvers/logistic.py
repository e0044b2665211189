"""Sparse logistic regression, binary and multinomial, for batches of problems.

A task has n samples with features Z and labels in C classes, and the problem is

    min_W  sum_i s_i (logsumexp(eta_i) - eta_i[y_i]) + alpha sum_j ||W_j||
           + l2/2 ||W||^2,        eta = Z W B',

with sample weights that sum to 1. The rows of W have d entries, one for each column of
the basis B. With two classes, B is (0, 1)', and W contains the coefficients of the
logit of class 1. With more classes, B is an orthonormal basis of the vectors that sum
to zero. This only excludes coefficients that add the same value to all logits of a
sample, which does not change the loss. Norms in B are those of the C coefficients.
"""

import math
from copy import copy
from functools import cached_property

import torch

from sparsedis.solvers import _composite
from sparsedis.solvers._groups import Rows, add_blocks, directions
from sparsedis.solvers._info import SolverInfo
from sparsedis.solvers._linalg import SupportSystem
from sparsedis.solvers._problem import Problem
from sparsedis.solvers._products import Curvature, forward, pull, spread
from sparsedis.solvers._proximal_newton import solve_sparse
from sparsedis.solvers._relative_gap import relative_gap
from sparsedis.solvers._smooth_newton import hessian_on, solve_smooth
from sparsedis.solvers._terms import Norms
from sparsedis.solvers._two_class_gap import two_class_gap
from sparsedis.solvers.losses._classes import contrasts

# Products of residuals and features up to this size count as zero, in units in which
# curvatures are about one.
_ORTHOGONAL = 1e-14


def class_basis(n_classes, like):
    """Basis B of the logits, of shape (n_classes, d)."""
    if n_classes == 2:
        return torch.tensor([[0.0], [1.0]], dtype=like.dtype, device=like.device)
    return contrasts(n_classes, like)


def solve_logistic(
    Z,
    labels,
    weight,
    alpha,
    l2,
    *,
    n_classes,
    fit_intercept=False,
    start=None,
    tol=1e-12,
    max_iter=1000,
):
    """Solve a batch of sparse logistic regression problems.

    Parameters
    ----------
    Z : tensor of shape (n_tasks, n_samples, k) or (1, n_samples, k)
        Features.

    labels : tensor of shape (n_tasks, n_samples) of int
        Labels from 0 to ``n_classes - 1``.

    weight : tensor of shape (n_tasks, n_samples)
        Weights of the samples, non-negative; sum to 1 in every task.

    alpha, l2 : tensor of shape (n_tasks,)
        Penalties, non-negative.

    n_classes : int
        Number of classes, at least 2.

    fit_intercept : bool, default=False
        Add an unpenalised intercept.

    start : tensor of shape (n_tasks, k, d), default=None
        Starting point; zero by default. With an intercept, one more row.

    tol : float, default=1e-12
        Tolerance on the duality gap, relative to the objective at zero.

    max_iter : int, default=1000
        Largest number of rounds of smoothing.

    Returns
    -------
    W : tensor of shape (n_tasks, k, d)

    intercept : tensor of shape (n_tasks, d)
        Zero without ``fit_intercept``. Classes without samples in a task are left out
        of it.

    info : SolverInfo
    """
    problem = Logistic(Z, labels, weight, alpha, l2, n_classes, fit_intercept)
    W, info = solve_problem(problem, alpha, start, tol=tol, max_iter=max_iter)
    k = Z.shape[-1]
    return W[:, :k], W[:, k:].sum(1), info


def solve_problem(problem, alpha, start, *, tol, max_iter):
    """Solve the problems of a `Logistic`.

    Parameters
    ----------
    problem : Logistic

    alpha, start, tol, max_iter : object
        As for :func:`solve_logistic`.

    Returns
    -------
    W : tensor of shape (n_tasks, k, d)
        With an intercept, it is the last row.

    info : SolverInfo
    """
    at_zero, k = problem.at_zero(), problem.n_features
    how = {"tol": tol, "max_iter": max_iter}
    first, warm = at_zero, start is not None
    if warm:
        start = start / problem.scale.unsqueeze(-1)
        if problem.gauge is not None:
            # Contrasts without an effect are zero.
            b = start[:, k:]
            start = torch.cat([start[:, :k], b - b @ problem.gauge], 1)
        first = _composite.choose_start(problem, start, at_zero)
    smooth = problem.is_smooth
    if smooth:
        V, info = solve_smooth(problem, first, **how)
    else:
        V, info = solve_sparse(problem, first, warm=warm, **how)
    gap = info.gap
    if not smooth:
        # alpha_max is compared in the original units: rounding errors of the
        # solver's units must not decide which solutions are zero.
        zero = alpha >= problem.alpha_max()
        V = torch.where(zero[:, None, None], at_zero, V)
        gap = torch.where(zero, 0.0, gap)
    W = V * problem.scale.unsqueeze(-1)
    support = (W[:, :k] != 0).any(-1)
    return W, SolverInfo(gap, info.n_iter, gap <= tol, support)


class Logistic(Problem):
    """The problem, in units in which the curvature of each row is at most about 1.

    Parameters
    ----------
    Z, labels, weight, alpha, l2, n_classes, fit_intercept
        As in :func:`solve_logistic`.

    Attributes
    ----------
    scale : tensor of shape (n_tasks, k)
        ``W = scale * V`` for the V of this problem. With an intercept, here and in all
        methods, k counts a last feature that is constant.

    basis : tensor of shape (n_classes, d)
        ``B``.

    absent : tensor of shape (n_tasks, n_classes) or (1, n_classes) of bool
        Classes without samples, whose probability is zero. No class is absent without
        an intercept.

    gauge : tensor of shape (n_tasks, d, d) or (1, d, d)
        Projection onto directions of the intercept that have no effect on the loss. The
        Hessian includes it, so that it is not singular.
    """

    names = ("Z", "onehot", "weight", "penalty", "ridge", "scale", "absent", "gauge")

    def __init__(self, Z, labels, weight, alpha, l2, n_classes, fit_intercept):
        self.fit_intercept, self.n_features = fit_intercept, Z.shape[-1]
        self.basis = B = class_basis(n_classes, Z)
        self.weight = weight.unsqueeze(-1)
        # Labels of samples with zero weight are ignored: their classes may be absent.
        # Samples are contiguous, which makes softmax and products several times faster.
        every = torch.arange(n_classes, device=labels.device).unsqueeze(-1)
        onehot = (labels.unsqueeze(1) == every).to(Z.dtype).mT
        self.onehot = onehot * (self.weight > 0)
        # The curvature of the softmax along a column of the basis is at most this.
        bound = 0.25 if n_classes == 2 else 0.5
        moment = pull((Z * Z).detach(), self.weight).squeeze(-1)
        lipschitz = bound * moment + l2.detach().unsqueeze(-1)
        # A zero feature has no gradient, so it never becomes active.
        scale = torch.where(lipschitz > 0, lipschitz.rsqrt(), 1.0)
        penalty = alpha.unsqueeze(-1) * scale
        ridge = l2.unsqueeze(-1) * scale * scale
        # Without an intercept, no class is absent and no direction without effect.
        self.absent = torch.zeros_like(self.onehot[:1, 0], dtype=torch.bool)
        self.gauge = None
        if fit_intercept:
            pad = torch.nn.functional.pad
            Z = pad(Z, (0, 1), value=1.0)
            scale = pad(scale, (0, 1), value=bound**-0.5)
            penalty, ridge = pad(penalty, (0, 1)), pad(ridge, (0, 1))
            self.absent = self.frequency() == 0
            if bool(self.absent.any()):
                self.gauge = _gauge(self.absent, B)
        self.Z, self.scale, self.ridge = Z, scale, ridge
        self.curvature = Curvature(Z)
        self.penalty = Norms(penalty)

    def take(self, at):
        part = super().take(at)
        for name in ("fit_intercept", "n_features", "basis"):
            setattr(part, name, getattr(self, name))
        part.curvature = self.curvature.take(part.Z)
        return part

    def on(self, rows):
        """The problem on some rows of V; its penalty has to be set."""
        part = copy(self)
        part.n_features = len(rows) - self.fit_intercept
        part.Z = self.Z.mT[:, rows].mT
        part.scale, part.ridge = self.scale[:, rows], self.ridge[:, rows]
        part.curvature = Curvature(part.Z)
        return part

    @property
    def is_smooth(self):
        """Whether there is at most a squared l2 penalty."""
        return not bool((self.penalty.threshold > 0).any())

    @cached_property
    def _is_ridge(self):
        """Whether all features have a squared l2 penalty and no other one."""
        ridge, k = self.ridge, self.n_features
        return self.is_smooth and bool((ridge[:, :k] > 0).all())

    def frequency(self):
        """Share of each class, of shape (n_tasks, n_classes)."""
        return (self.weight * self.onehot).sum(1)

    def at_zero(self):
        """Solution with all coefficients of features zero, (n_tasks, k, d)."""
        d = self.basis.shape[1]
        V = self.Z.new_zeros(*self.scale.shape, d)
        if self.fit_intercept:
            logit = torch.where(self.absent, 1.0, self.frequency()).log()
            if d == 1:
                b = (logit[:, 1:] - logit[:, :1]) * ~self.absent.any(-1, keepdim=True)
            else:
                n_present = (~self.absent).sum(-1, keepdim=True)
                logit = logit - logit.sum(-1, keepdim=True) / n_present
                b = torch.where(self.absent, 0.0, logit) @ self.basis
            V[:, -1] = b / self.scale[:, -1:]
        return V

    def alpha_max(self):
        """Smallest alpha at which all coefficients of features are zero, (n_tasks,)."""
        if self.fit_intercept:
            share = self.frequency().unsqueeze(1)
        else:
            share = torch.full_like(self.onehot[:1, :1], 1 / len(self.basis))
        corr = self.Z.mT @ ((self.weight * (self.onehot - share)) @ self.basis)
        corr = corr[:, : corr.shape[1] - self.fit_intercept]
        return torch.linalg.vector_norm(corr, dim=-1).amax(-1)

    def scores(self, V):
        """Coordinates of the logits in the basis, of shape (n_tasks, n_samples, d)."""
        return forward(self.Z, self.scale.unsqueeze(-1) * V)

    def logits(self, V):
        """Logits, of shape (n_tasks, n_samples, n_classes)."""
        return _combine(self.scores(V), self.basis.T)

    def log_probability(self, V):
        """Log-probabilities of the classes; minus infinity for absent classes."""
        return self.log_probability_at(self.scores(V))

    def log_probability_at(self, scores):
        """The same from the scores."""
        return self._present(scores).log_softmax(1).mT

    def probability_at(self, scores):
        """Probabilities of the classes, of shape (n_tasks, n_samples, n_classes)."""
        return self._present(scores).softmax(1).mT

    def _present(self, scores):
        """Logits of shape (n_tasks, n_classes, n_samples), without absent classes."""
        eta = _combine(scores, self.basis.T).mT
        if self.gauge is None:
            return eta
        return eta.masked_fill(self.absent.unsqueeze(-1), -torch.inf)

    def slopes(self, scores):
        """Derivative of the loss of each sample in its scores."""
        if self.basis.shape[1] == 1:
            return self._sigmoid(scores) - self.onehot[..., 1:]
        return _combine(self.probability_at(scores) - self.onehot, self.basis)

    def derivatives(self, scores):
        """First and second derivatives of the loss of each sample in its scores.

        They have the shapes (n_tasks, n_samples, d) and (n_tasks, n_samples, d, d).
        """
        d = self.basis.shape[1]
        if d == 1:
            p = self._sigmoid(scores)
            return p - self.onehot[..., 1:], (p * (1 - p)).unsqueeze(-1)
        probability = self.probability_at(scores)
        outer = (self.basis.unsqueeze(-1) * self.basis.unsqueeze(-2)).flatten(1)
        square = _combine(probability, outer).unflatten(-1, (d, d))
        mean = _combine(probability, self.basis)
        bends = square - mean.unsqueeze(-1) * mean.unsqueeze(-2)
        return _combine(probability - self.onehot, self.basis), bends

    def _sigmoid(self, scores):
        """Probability of the second of two classes."""
        p = scores.sigmoid()
        if self.gauge is None:
            return p
        first, second = self.absent.unsqueeze(1).split(1, -1)
        return p.masked_fill(second, 0.0).masked_fill(first, 1.0)

    def pull(self, X):
        """Gradient with respect to V of ``sum_i s_i <X_i, eta_i>``."""
        return self.pull_scores(_combine(X, self.basis))

    def pull_scores(self, X):
        """The same of ``sum_i s_i <X_i, scores_i>``."""
        return self.scale.unsqueeze(-1) * pull(self.Z, self.weight * X)

    def gradient(self, V):
        probability = self.log_probability(V).exp()
        return self.pull(probability - self.onehot) + self.ridge.unsqueeze(-1) * V

    def stationarity(self, W, Z, alpha, l2):
        k = self.n_features
        slope = pull(self.Z, self.weight * self.slopes(forward(self.Z, W)))
        rows = W[:, :k]
        used = (rows != 0).any(-1, keepdim=True)
        # The second derivative of a norm at zero is NaN.
        penalty = alpha[:, None, None] * used * directions(torch.where(used, rows, 1.0))
        penalty = penalty + l2[:, None, None] * rows
        return slope + torch.nn.functional.pad(penalty, (0, 0, 0, len(W[0]) - k))

    def cotangents(self, W, u):
        """Gradients of ``-<u, stationarity>`` in Z, alpha and l2."""
        k = self.n_features
        slopes, bends = self.derivatives(forward(self.Z, W))
        bent = (bends @ forward(self.Z, u).unsqueeze(-1)).squeeze(-1)
        slopes, bent = -self.weight * slopes, -self.weight * bent
        rows, u_rows = W[:, :k], u[:, :k]
        return (
            spread(self.Z, slopes, u_rows) + spread(self.Z, bent, rows),
            -(directions(rows) * u_rows).sum((1, 2)),
            -(rows * u_rows).sum((1, 2)),
        )

    def linear_term(self, V):
        probability = self.log_probability(V).exp()
        return self.pull(curve(probability, self.logits(V)) - probability + self.onehot)

    def hessian(self, V, rows):
        hessian = hessian_on(self, self.derivatives(self.scores(V))[1], rows)
        if self.gauge is None:
            return hessian
        last = (rows.index == self.scale.shape[1] - 1) & rows.valid
        blocks = last[..., None, None] * self.gauge.unsqueeze(1)
        return add_blocks(hessian, blocks)

    def along(self, V, step, lengths):
        lengths = lengths[..., None, None]
        eta = self.logits(V).unsqueeze(1) + lengths * self.logits(step).unsqueeze(1)
        eta = eta.masked_fill(self.absent[:, None, None], -torch.inf)
        picked = eta.masked_fill(self.onehot.unsqueeze(1) == 0, 0.0).sum(-1)
        loss = (self.weight.mT * (eta.logsumexp(-1) - picked)).sum(-1)
        moved = V.unsqueeze(1) + lengths * step.unsqueeze(1)
        return loss + 0.5 * (self.ridge.unsqueeze(1) * (moved**2).sum(-1)).sum(-1)

    def gap(self, V):
        if self.basis.shape[1] == 1 and self.gauge is None and self._is_ridge:
            return two_class_gap(self, V)
        log_probability = self.log_probability(V)
        probability = log_probability.exp()
        picked = log_probability.masked_fill(self.onehot == 0, 0.0)
        point = self.dual_point(V, probability)

        def dual(share):
            mixed = torch.lerp(self.onehot, point, share[:, None, None])
            return (self.weight * torch.special.entr(mixed)).sum((1, 2))

        return relative_gap(
            V,
            value=-(self.weight * picked).sum((1, 2)),
            dual=dual,
            descent=self.pull(self.onehot - point),
            penalty=self.penalty.threshold,
            ridge=self.ridge,
            at_zero=torch.full_like(V[:, 0, 0], math.log(len(self.basis))),
        )

    def dual_point(self, V, probability):
        """Probabilities near those at V that are feasible for rows without a penalty.

        The dual is finite only if the residuals are orthogonal to the features of such
        rows.
        """
        point = probability
        if self.fit_intercept:
            point = _match(point, self.weight, self.frequency())
        bare = ((self.penalty.threshold == 0) & (self.ridge == 0)).all(-1)
        if not bool(bare.any()):
            return point
        # After a Newton step, the residuals are orthogonal to all features, to first
        # order in the probabilities. If a probability becomes negative, use the labels
        # instead, whose dual value is 0.
        rows = Rows(torch.ones_like(self.scale, dtype=torch.bool))
        hessian = self.hessian(V, rows).flatten(3).flatten(1, 2)
        system = SupportSystem(
            hessian, torch.ones_like(hessian[:, 0], dtype=torch.bool)
        )
        moved = probability
        for _ in range(2):
            step = system.solve(self.pull(self.onehot - moved).flatten(1))
            moved = moved + curve(probability, self.logits(step.reshape(V.shape)))
        left = self.pull(self.onehot - moved).abs().amax((1, 2))
        good = (left <= _ORTHOGONAL) & (moved >= 0).all(2).all(1)
        moved = torch.where(good[:, None, None], moved, self.onehot)
        return torch.where(bare[:, None, None], moved, point)


def _combine(X, M):
    """``X @ M`` for a small matrix M; samples stay contiguous if they are."""
    # Without broadcasting, bmm needs half as many calls.
    return torch.bmm(M.T.expand(len(X), -1, -1), X.mT).mT


def _match(probability, weight, frequency):
    """Change probabilities so that their weighted mean is the frequency of each class.

    Probability moves from classes with too large a mean to the others.
    """
    mean = (weight * probability).sum(1)
    keep = torch.where(mean > frequency, frequency / mean, 1.0)
    probability = probability * keep.unsqueeze(1)
    lost = (1 - probability.sum(-1, keepdim=True)).clamp_min(0)
    lack = (frequency - keep * mean).clamp_min(0)
    total = lack.sum(-1, keepdim=True)
    gained = torch.where(total > 0, lack / total, 0.0)
    return probability + lost * gained.unsqueeze(1)


def _gauge(absent, basis):
    """Projection onto the contrasts that have no effect because classes are absent."""
    if basis.shape[1] == 1:
        return absent.any(-1)[:, None, None].to(basis.dtype)
    present = (~absent).to(basis.dtype)
    share = present / present.sum(-1, keepdim=True)
    contrasts = torch.diag_embed(present) - present.unsqueeze(-1) * share.unsqueeze(-2)
    eye = torch.eye(basis.shape[1], dtype=basis.dtype, device=basis.device)
    return eye - basis.T @ contrasts @ basis


def curve(probability, X):
    """Second derivative of logsumexp, applied to X: ``p * (x - <p, x>)``."""
    return probability * (X - (probability * X).sum(-1, keepdim=True))
