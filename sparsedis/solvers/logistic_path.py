"""Paths of sparse logistic regression problems on the same rows, penalty by penalty."""

import torch

from sparsedis.solvers import _composite
from sparsedis.solvers._descent import descend
from sparsedis.solvers._groups import add_blocks, curvature, directions
from sparsedis.solvers._smooth_newton import own_hessian
from sparsedis.solvers._terms import Norms
from sparsedis.solvers.logistic import Logistic

# Number of features up to which all are candidates.
NARROW = 64

# Largest step to a smaller penalty, as a factor.
DOWN = 0.5

# Newton steps for a penalty, and those after which a larger violation is a failure.
STEPS, HOPEFUL = 20, 2

# Steps with a line search after those have failed; then the general solver goes on.
DESCENT = 100

# While a step divides the violation by at least this, the Hessian is kept.
FALL = 10.0

# Violation at which to stop, relative to the tolerance for the gap, and the least one
# that rounding errors allow. The gap also has the square of its ratio to the penalty.
SHARE, LEAST = 1e-2, 1e-13

# Excess of a gradient over the penalty that rounding errors can explain.
ROUNDING = 1e-10

# Weight of a proximal term, in the units of the problem: no system is singular.
PROXIMAL = 1e-12


class LogisticPath:
    """Solutions of several problems on shared rows, for smaller and smaller penalties.

    The problems are those of :func:`~sparsedis.solvers.logistic.solve_logistic`
    without l2; :class:`~sparsedis.solvers.two_class_path.TwoClassPath` is faster for
    two classes. Each penalty starts from the solution of the last one, and semismooth
    Newton steps on the features in use solve it, or steps with a line search where
    these cycle. The first step reuses the Hessian of the last penalty. With many
    features, those that the strong rule [1]_ keeps are candidates, and all others are
    checked afterwards.

    Parameters
    ----------
    Z : tensor of shape (n_samples, k)
        Features, which all problems share.

    labels : tensor of shape (n_problems, n_samples) of int
        Labels from 0 to ``n_classes - 1``.

    weight : tensor of shape (n_problems, n_samples)
        Weights of the samples, non-negative; sum to 1 in every problem.

    n_classes : int
        Number of classes, at least 2.

    fit_intercept : bool
        Add an unpenalised intercept.

    tol : float
        Relative duality gap to aim at.

    Attributes
    ----------
    alpha : tensor of shape (n_problems,)
        Current penalties; first the smallest ones at which coefficients are zero.

    V : tensor of shape (n_problems, k, d)
        Current solutions, in the units of :class:`~sparsedis.solvers.logistic.Logistic`
        and with a row for the intercept.

    References
    ----------
    .. [1] R. Tibshirani et al., "Strong rules for discarding predictors in lasso-type
       problems", Journal of the Royal Statistical Society B 74, 2012.
    """

    def __init__(self, Z, labels, weight, n_classes, fit_intercept, tol):
        zero = torch.zeros_like(weight[:, 0])
        self.whole = Logistic(
            Z.unsqueeze(0), labels, weight, zero, zero, n_classes, fit_intercept
        )
        self.tol = tol
        self.alpha, self.V = self.whole.alpha_max(), self.whole.at_zero()
        self.largest, self.at_zero = self.alpha, self.V.clone()
        self._evaluate(self.whole, self.V)
        every = torch.ones(Z.shape[1], dtype=torch.bool, device=Z.device)
        self._choose(every & (len(every) <= NARROW))

    def go(self, alpha):
        """Move to smaller penalties, or stay at zero.

        Parameters
        ----------
        alpha : tensor of shape (n_problems,)
        """
        small = SHARE * min(self.tol, self.tol**0.5 * float(alpha.min()))
        self.enough = max(small, LEAST)
        while bool((alpha < DOWN * self.alpha).any()):
            self._go(torch.maximum(alpha, DOWN * self.alpha))
        self._go(alpha)
        # Rounding errors must not decide which solutions are zero.
        zero = alpha >= (1 - ROUNDING) * self.largest
        self.V[zero] = self.at_zero[zero]

    def coefficients(self, V):
        """Coefficients and intercepts of solutions.

        Returns
        -------
        W : tensor of shape (..., k, d)

        intercept : tensor of shape (..., d)
        """
        k = self.whole.n_features
        W = V * self.whole.scale[: len(V)].unsqueeze(-1)
        return W[:, :k], W[:, k:].sum(1)

    def log_probability(self):
        """Log-probabilities of all classes, (n_problems, n_samples, n_classes)."""
        return self.whole.log_probability_at(self.scores)

    def gap(self, V, alpha):
        """Relative duality gap of a point of the first problem.

        Parameters
        ----------
        V : tensor of shape (1, k, d)

        alpha : tensor of shape (1,)

        Returns
        -------
        scalar tensor
        """
        first = self.whole.take(torch.zeros_like(alpha, dtype=torch.long))
        first.penalty = _norms(first, alpha)
        return first.gap(V)[0]

    def _go(self, alpha):
        likely = self._sizes() > (2 * alpha - self.alpha).unsqueeze(-1)
        self._let_in(likely.any(0))
        self.alpha = alpha
        while True:
            self._solve()
            if bool(self.chosen.all()):
                break
            self._evaluate(self.whole, self.V)
            excess = self._sizes() > (1 + ROUNDING) * alpha.unsqueeze(-1)
            if not self._let_in(excess.any(0)):
                break

    def _sizes(self):
        """Norms of the gradient of each feature, in the feature's own unit."""
        k = self.whole.n_features
        size = torch.linalg.vector_norm(self.gradient[:, :k], dim=-1)
        return size / self.whole.scale[:, :k]

    def _let_in(self, features):
        """Add candidates, and return whether there are new ones."""
        new = bool((features & ~self.chosen).any())
        if new:
            self._choose(self.chosen | features)
        return new

    def _choose(self, chosen):
        whole, self.chosen, self.hessian = self.whole, chosen, None
        rows = torch.nn.functional.pad(chosen, (0, int(whole.fit_intercept)), value=1)
        self.at = rows.nonzero().flatten()
        self.problem = whole if bool(chosen.all()) else whole.on(self.at)

    def _evaluate(self, problem, V):
        self.scores = problem.scores(V)
        slopes, self.bends = problem.derivatives(self.scores)
        self.gradient = problem.pull_scores(slopes)

    def _solve(self):
        """Solve the problems on the candidates; `gradient` is that of all features."""
        if not len(self.at):
            return
        problem, start = self.problem, self.V[:, self.at]
        self.gradient = self.gradient[:, self.at]
        problem.penalty = _norms(problem, self.alpha)
        one = torch.ones_like(problem.scale[:, :1])
        V, before = start, torch.inf
        for i in range(STEPS):
            reach = V - self.gradient
            left = (V - problem.penalty.prox(reach, one)).abs().amax((1, 2))
            largest = float(left.max())
            if largest <= self.enough or (i > HOPEFUL and not largest < before):
                break
            active, used = problem.penalty.active(V, reach), (V != 0).any(-1)
            kept = used | (problem.penalty.threshold == 0)
            if i == 0 and bool(kept.any()):
                # Other features may no longer enter after those in use have moved.
                active &= kept
            stale = i == 1 or (i > 1 and FALL * largest > before)
            if self.hessian is None or stale or bool(active[:, self.unused].any()):
                self._update_hessian((active | used).any(0))
            V, before = self._step(V, reach, active), largest
            self._evaluate(problem, V)
        missed = (~(left <= self.enough)).nonzero().flatten()
        if len(missed):
            V[missed] = self._descend(problem.take(missed), start[missed])
            self.hessian = None
            self._evaluate(problem, V)
        self.V[:, self.at] = V

    def _descend(self, problem, start):
        """Solve problems by descent, or by the general solver if that fails."""
        V, left = descend(problem, start, enough=self.enough, max_iter=DESCENT)
        missed = (~(left <= self.enough)).nonzero().flatten()
        if len(missed):
            V[missed], _ = _composite.solve(
                problem.take(missed), start[missed], tol=self.tol, max_iter=1000
            )
        return V

    def _update_hessian(self, used):
        """Second derivative of the losses in the rows that a problem uses."""
        self.used, self.unused = used.nonzero().flatten(), ~used
        part = self.problem.on(self.used)
        d, u = self.V.shape[-1], len(self.used)
        hessian = own_hessian(part, self.bends).reshape(-1, d, u, d, u)
        scale = part.scale.unsqueeze(-1)
        hessian = hessian.permute(0, 2, 1, 4, 3) * scale[..., None, None]
        hessian = hessian * scale.unsqueeze(1).unsqueeze(1)
        self.hessian = hessian.reshape(-1, u * d, u * d)
        self.hessian.diagonal(dim1=-2, dim2=-1).add_(PROXIMAL)

    def _step(self, V, reach, active):
        """Newton step on ``V = prox(V - f'(V))``, with the Hessian that is kept.

        See :func:`~sparsedis.solvers._composite.solve`.
        """
        at, hessian, (n_problems, _, d) = self.used, self.hessian, V.shape
        threshold, keep = self.problem.penalty.threshold[:, at], active[:, at]
        V, reach, gradient = V[:, at], reach[:, at], self.gradient[:, at]
        towards = directions(reach)
        moved = (hessian @ V.reshape(n_problems, -1, 1)).reshape(V.shape)
        rhs = (moved - gradient).addcmul(threshold.unsqueeze(-1), towards, value=-1)
        kept = keep.to(V.dtype).repeat_interleave(d, 1)
        beyond = torch.linalg.vector_norm(reach, dim=-1) - threshold
        strength = torch.where(keep & (threshold > 0), threshold / beyond, 0.0)
        blocks = curvature(towards, strength)
        hessian = hessian.reshape(n_problems, -1, d, len(at), d)
        hessian = add_blocks(hessian.clone(), blocks).reshape_as(self.hessian)
        matrix = hessian * (kept.unsqueeze(-1) * kept.unsqueeze(-2))
        matrix.diagonal(dim1=-2, dim2=-1).add_(1.0 - kept)
        rhs = rhs.reshape(n_problems, -1) * kept
        # A singular matrix gives NaN, which the caller discards.
        factor = torch.linalg.cholesky_ex(matrix).L
        step = torch.cholesky_solve(rhs.unsqueeze(-1), factor)
        new = torch.zeros_like(self.gradient)
        new[:, at] = step.reshape(V.shape)
        return new


def _norms(problem, alpha):
    """Penalties in the units of a problem; none of the intercept."""
    threshold = alpha.unsqueeze(-1) * problem.scale
    threshold[:, problem.n_features :] = 0.0
    return Norms(threshold)
