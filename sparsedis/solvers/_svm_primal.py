"""Group Lasso multiclass SVM of many samples, by an interior point in W.

The method is that of `_svm_interior`: what differs is that one problem is solved, and
that a Newton step is reduced to the coefficients in place of the dual variables. It
takes a matrix as large as there are coefficients of features in the working set.
"""

import torch

from sparsedis.solvers._svm_primal_rows import AllFeatures, WorkingSet
from sparsedis.solvers._svm_primal_system import PrimalSystem
from sparsedis.solvers._svm_simplices import Simplices

# Iterations without progress after which rounding must be what is in the way.
_PATIENCE = 25
# Where nothing is in the way, a further step or two make W exact too: its error is of
# the order of the square root of the gap until the active set has shown.
_FURTHER = 1e-4


def solve_svm_primal(
    features, y, weight, l1, l2, n_classes, *, fit_intercept=False, tol, max_iter
):
    """Solve one group Lasso SVM, see :mod:`sparsedis.solvers.group_lasso_svm`.

    Parameters
    ----------
    features : Features
        Of shape (n_samples, p).

    y : tensor of shape (n_samples,) of int64
        Labels, in ``[0, n_classes)``, each at least once.

    weight : tensor of shape (n_samples,)
        Weights of the samples, positive.

    l1, l2 : float
        Penalties; ``l1`` non-negative, ``l2`` positive.

    n_classes : int
        At least 2.

    fit_intercept : bool, default=False
        Add an intercept to each class, not penalised.

    tol : float
        Duality gap, relative to the objective at zero.

    max_iter : int
        Largest number of iterations.

    Returns
    -------
    W : tensor of shape (p, n_classes)
        Rows sum to zero.

    intercept : tensor of shape (n_classes,)
        For the features minus their means. Zero if not asked for; sums to zero.

    gap : float
        Duality gap, relative to the objective at zero, the sum of the weights.

    n_iter : int
        Iterations done.
    """
    simplices = Simplices.build(y[None], weight[None], n_classes, fit_intercept=False)
    basis, cost = simplices.basis[0], weight.unsqueeze(-1)
    # With the frequencies of the classes the dual of an intercept is feasible.
    share = torch.full_like(weight[:n_classes], 1 / n_classes)
    alpha = None
    if fit_intercept:
        share = (simplices.weight @ simplices.one_hot)[0, 0] / simplices.total
        alpha = torch.zeros_like(basis[0])
    beta = 0.1 * simplices.one_hot + 0.9 * share
    z = cost.expand_as(beta)
    if l1 > 0:
        penalty = WorkingSet(features, weight, l1, l2, simplices.coordinates(beta))
    else:
        penalty = AllFeatures(features, weight, l2)
    total, mu, inner = float(weight.sum()), weight.mean(), torch.inf
    best, least, since = _Best(basis), torch.inf, 0

    for n_iter in range(max_iter + 1):
        X = simplices.coordinates(beta)
        penalty.grow(X, mu, inner)
        scores = penalty.evaluate(X)
        if fit_intercept:
            scores = scores + cost * alpha
        shortfall = simplices.shortfall(simplices.expand(scores))
        gap = (beta * shortfall).sum() + penalty.gap()
        dual = (beta * simplices.cost).sum() - penalty.conjugate()
        gap, objective = float(gap) / total, float(gap + dual) / total
        since = 0 if gap < 0.5 * least else since + 1
        least = min(gap, least)
        if gap <= best.gap:
            best.offer(penalty, simplices, beta, alpha)
        # Where the optimum is far below the objective at zero, that is no yardstick.
        target = 0.1 * tol * min(max(objective, 1e-3), 1.0)
        patience = 1 if best.gap <= target else _PATIENCE
        if best.gap <= _FURTHER * target or since >= patience or n_iter == max_iter:
            break

        newton = _Newton(simplices, penalty, beta, z, shortfall, fit_intercept)
        now, count = _complementarity(penalty, beta, z)
        # Towards complementarity zero, to see how far that goes ...
        d_beta, dz, _, step = newton.step(-z)
        length = _length(beta, z, d_beta, dz, penalty.max_step(step)).clamp_max(1.0)
        ahead = beta + length * d_beta, z + length * dz
        left = _complementarity(penalty, *ahead, step, length)[0] / now
        # ... and then for good.
        aim = left.clamp(0, 1) ** 3 * now / count
        change = (aim - d_beta * dz) / beta - z
        d_beta, dz, d_alpha, step = newton.step(change, aim, step)
        length = 0.99 * _length(beta, z, d_beta, dz, penalty.max_step(step))
        length = length.clamp_max(1.0)
        beta, z = beta + length * d_beta, z + length * dz
        if fit_intercept:
            alpha = alpha + length * d_alpha
        inner, count = _complementarity(penalty, beta, z, step, length)
        mu = inner / count
        penalty.advance(step, length)
    W = weight.new_zeros(features.shape[1], n_classes)
    W[best.index] = best.W.T @ basis.T
    intercept = weight.new_zeros(n_classes)
    if fit_intercept:
        intercept = basis @ best.alpha
    return W, intercept, best.gap, n_iter


class _Newton:
    """The Newton system of an iteration, factorised for several right-hand sides."""

    def __init__(self, simplices, penalty, beta, z, shortfall, fit_intercept):
        self.penalty, self.basis = penalty, simplices.basis[0]
        self.residual, self.ratio = shortfall - z, z / beta
        cost = simplices.weight.T
        R, self.balance = penalty.design(), None
        if fit_intercept:
            R = torch.cat([R, cost], 1)
            self.balance = -(cost * simplices.coordinates(beta)[0]).sum(0)
        curvature = penalty.curvature()
        self.system = PrimalSystem(R, (beta / z)[0], self.basis, curvature)

    def step(self, change, aim=None, predictor=None):
        """Steps in beta, z, the intercepts and the penalty's own variables.

        Parameters
        ----------
        change : tensor of shape (1, n_samples, n_classes)
            What z should change by where beta stays.
        aim : tensor of shape (1,), default=None
            Complementarity of the penalty to aim at, 0 by default.
        predictor : tuple, default=None
            The penalty's affine step, for its second-order correction.
        """
        right, g = self.residual - change, self.penalty.drive(aim, predictor)
        x, dW, d_alpha = self.system.solve(right[0], g, self.balance)
        own = self.penalty.complete((x @ self.basis).unsqueeze(0), dW)
        return -x.unsqueeze(0), change + self.ratio * x, d_alpha, own


class _Best:
    """The best solution so far; to begin with, nothing."""

    def __init__(self, basis):
        self.gap, self.index = torch.inf, torch.zeros(0, dtype=torch.long)
        self.W, self.alpha = (
            basis.new_zeros(basis.shape[1], 0),
            torch.zeros_like(basis[0]),
        )

    def offer(self, penalty, simplices, beta, alpha):
        """Compare with what can be made of an interior point."""
        cost = simplices.weight.unsqueeze(-1)
        for W, scores, gap in penalty.solutions():
            if alpha is not None:
                scores = scores + cost * alpha
            shortfall = simplices.shortfall(simplices.expand(scores))
            gap = float(((beta * shortfall).sum() + gap) / simplices.total)
            if gap <= self.gap:
                self.gap, self.index, self.W = gap, penalty.index, W
                self.alpha = alpha


def _complementarity(penalty, beta, z, step=None, length=None):
    more, cones = penalty.complementarity(step, length)
    return (beta * z).sum((1, 2)) + more, beta.numel() + cones


def _length(beta, z, d_beta, dz, longest):
    for x, dx in ((beta, d_beta), (z, dz)):
        to_zero = torch.where(dx < 0, -x / dx, torch.inf).amin()
        longest = torch.minimum(longest, to_zero)
    return longest
