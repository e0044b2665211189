"""Group Lasso multiclass SVM with many samples, by Newton steps in the coefficients.

The interior-point method is that of :mod:`.interior_point`, with two differences. It
solves a single problem. From a Newton step, it eliminates X instead of W, which leaves
a matrix with one row per coefficient of the working set. Symbols are those of
:mod:`sparsedis.solvers.svm`.
"""

import torch

from sparsedis.solvers.svm.mehrotra import predictor_corrector
from sparsedis.solvers.svm.primal_newton import PrimalSystem
from sparsedis.solvers.svm.primal_penalties import PrimalRidge, PrimalWorkingSet
from sparsedis.solvers.svm.simplices import Simplices

# Iterations without progress after which rounding errors are assumed to be the cause.
_PATIENCE = 25
# Factor on the target of the gap. Until the active set is known, the error of W is of
# the order of the square root of the gap. One or two steps beyond tol make W exact as
# well, unless rounding errors prevent them.
_FURTHER = 1e-4


def solve_svm_primal(
    features, y, weight, alpha, l2, n_classes, *, fit_intercept=False, tol, max_iter
):
    """Solve one group Lasso SVM, as defined in :mod:`sparsedis.solvers.svm`.

    Parameters
    ----------
    features : Features
        Features, of shape (n_samples, p).

    y : tensor of shape (n_samples,) of int64
        Labels, in ``[0, n_classes)``. Every class has a sample.

    weight : tensor of shape (n_samples,)
        Weights of the samples, positive.

    alpha, l2 : float
        Penalties; ``alpha`` non-negative, ``l2`` positive.

    n_classes : int
        Number of classes, at least 2.

    fit_intercept : bool, default=False
        Add an unpenalised intercept to each class.

    tol : float
        Tolerance on the duality gap, relative to the objective at zero.

    max_iter : int
        Largest number of iterations.

    Returns
    -------
    W : tensor of shape (p, n_classes)
        Coefficients. Rows sum to zero.

    intercept : tensor of shape (n_classes,)
        Intercepts for the features minus their means, which sum to zero; zero without
        `fit_intercept`.

    gap : float
        Duality gap, relative to the objective at zero, which is the sum of the weights.

    n_iter : int
        Number of iterations.
    """
    simplices = Simplices.build(y[None], weight[None], n_classes, fit_intercept=False)
    basis = simplices.basis[0]
    share, intercept = torch.full_like(weight[:n_classes], 1 / n_classes), None
    if fit_intercept:
        # Rows of beta equal to the frequencies of the classes satisfy E'X = 0.
        share = (simplices.weight @ simplices.one_hot)[0, 0] / simplices.total
        intercept = basis.new_zeros(1, n_classes - 1)
    beta = 0.1 * simplices.one_hot + 0.9 * share
    z = weight.unsqueeze(-1).expand_as(beta)
    if alpha > 0:
        penalty = PrimalWorkingSet(
            features, weight, alpha, l2, simplices.coordinates(beta)
        )
    else:
        penalty = PrimalRidge(features, weight, l2)
    pairs = torch.cat([torch.stack([beta, z]).flatten(2), penalty.pairs], -1)
    total, mu, inner = float(weight.sum()), weight.mean(), torch.inf
    best, least, since = _Best(basis), torch.inf, 0

    for n_iter in range(max_iter + 1):
        beta = pairs[0, :, : z.numel()].view(z.shape)
        X = simplices.coordinates(beta)
        new = penalty.grow(X, mu, inner)
        pairs = pairs if new is None else torch.cat([pairs, new], -1)
        scores = penalty.evaluate(X, *pairs[..., z.numel() :])
        scores = simplices.add_intercept(scores, intercept)
        shortfall = simplices.shortfall(simplices.expand(scores))
        gap = (beta * shortfall).sum() + penalty.gap()
        dual = (beta * simplices.cost).sum() - penalty.conjugate()
        gap, objective = float(gap) / total, float(gap + dual) / total
        since = 0 if gap < 0.5 * least else since + 1
        least = min(gap, least)
        if gap <= best.gap:
            best.offer(penalty, simplices, beta, intercept)
        # If the optimum is far below the objective at zero, the gap must be small
        # relative to the optimum.
        target = 0.1 * tol * min(max(objective, 1e-3), 1.0)
        patience = 1 if best.gap <= target else _PATIENCE
        if best.gap <= _FURTHER * target or since >= patience or n_iter == max_iter:
            break

        newton = _PrimalNewton(simplices, penalty, pairs, X, shortfall, fit_intercept)
        pairs, d_intercept, length, mu = predictor_corrector(newton, pairs)
        penalty.advance(length)
        intercept = None if intercept is None else intercept + length * d_intercept
        inner = mu * pairs.shape[-1]
    W = weight.new_zeros(features.shape[1], n_classes)
    W[best.index] = best.W.T @ basis.T
    b = weight.new_zeros(n_classes) if intercept is None else basis @ best.intercept[0]
    return W, b, best.gap, n_iter


class _PrimalNewton:
    """The Newton system of an iteration, factorised for two right-hand sides."""

    def __init__(self, simplices, penalty, pairs, X, shortfall, fit_intercept):
        self.penalty, self.basis, self.shape = (
            penalty,
            simplices.basis[0],
            shortfall.shape,
        )
        (x, s), n_simplex = pairs, shortfall.numel()
        self.ratio, self.n_simplex = s / x, n_simplex
        self.residual = shortfall - s[:, :n_simplex].view(self.shape)
        cost = simplices.weight.T
        S, self.balance = penalty.design(), None
        if fit_intercept:
            S = torch.cat([S, cost], 1)
            self.balance = -(cost * X[0]).sum(0)
        d = (x / s)[0, :n_simplex].view(self.shape[1:])
        self.system = PrimalSystem(S, d, self.basis, penalty.curvature())

    def step(self, change, kept=None):
        """Return the steps in the pairs, (2, 1, N), and db.

        Those of beta and z are ``-x`` and ``change + z / beta x``.
        :class:`PrimalSystem` is solved for ``x = dX Q'``, dW and db, with ``r =
        shortfall - z - change`` and the g of the penalty. Parameters are those of
        :func:`.predictor_corrector`.
        """
        right = self.residual - change[:, : self.n_simplex].view(self.shape)
        g = self.penalty.drive(change[:, self.n_simplex :], kept)
        x, dW, d_intercept = self.system.solve(right[0], g, self.balance)
        dt = self.penalty.complete((x @ self.basis).unsqueeze(0), dW)
        dx = torch.cat([-x.reshape(1, -1), dt], 1)
        return torch.stack([dx, change - self.ratio * dx]), d_intercept


class _Best:
    """The solution with the smallest gap so far, which starts at zero."""

    def __init__(self, basis):
        m = basis.shape[1]
        self.gap, self.index = torch.inf, torch.zeros(0, dtype=torch.long)
        self.W, self.intercept = basis.new_zeros(m, 0), basis.new_zeros(1, m)

    def offer(self, penalty, simplices, beta, intercept):
        """Keep each W that the penalty proposes for beta if its gap is smaller."""
        for W, scores, gap in penalty.solutions():
            scores = simplices.add_intercept(scores, intercept)
            shortfall = simplices.shortfall(simplices.expand(scores))
            gap = float(((beta * shortfall).sum() + gap) / simplices.total)
            if gap <= self.gap:
                self.gap, self.index, self.W = gap, penalty.index, W
                self.intercept = intercept
