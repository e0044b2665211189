"""Group Lasso multiclass SVM of many samples, with Newton steps in the coefficients.

The interior-point method is that of :mod:`.interior_point`, with two differences: it
solves one problem, and it eliminates X from a Newton step instead of W and u, which
leaves a matrix with one row per coefficient of the working set.
"""

import torch

from sparsedis.solvers.svm.mehrotra import predictor_corrector
from sparsedis.solvers.svm.primal_newton import PrimalSystem
from sparsedis.solvers.svm.primal_penalties import PrimalRidge, PrimalWorkingSet
from sparsedis.solvers.svm.simplices import Simplices

# Iterations without progress after which it is taken for rounding errors.
_PATIENCE = 25
# Unless rounding errors prevent it, one or two steps beyond tol make W exact too: until
# the active set is known, the error of W is the square root of the gap.
_FURTHER = 1e-4


def solve_svm_primal(
    features, y, weight, alpha, l2, n_classes, *, fit_intercept=False, tol, max_iter
):
    """Solve one group Lasso SVM, see :mod:`sparsedis.solvers.svm`.

    Parameters
    ----------
    features : Features
        Features, of shape (n_samples, p).

    y : tensor of shape (n_samples,) of int64
        Labels, in ``[0, n_classes)``, each at least once.

    weight : tensor of shape (n_samples,)
        Weights of the samples, positive.

    alpha, l2 : float
        Penalties; ``alpha`` non-negative, ``l2`` positive.

    n_classes : int
        At least 2.

    fit_intercept : bool, default=False
        Add an unpenalised intercept to each class.

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
    basis = simplices.basis[0]
    share, intercept = torch.full_like(weight[:n_classes], 1 / n_classes), None
    if fit_intercept:
        # A beta with the frequencies of the classes is feasible for intercepts.
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
    total, mu, inner = float(weight.sum()), weight.mean(), torch.inf
    best, least, since = _Best(basis), torch.inf, 0

    for n_iter in range(max_iter + 1):
        X = simplices.coordinates(beta)
        penalty.grow(X, mu, inner)
        scores = simplices.add_intercept(penalty.evaluate(X), intercept)
        shortfall = simplices.shortfall(simplices.expand(scores))
        gap = (beta * shortfall).sum() + penalty.gap()
        dual = (beta * simplices.cost).sum() - penalty.conjugate()
        gap, objective = float(gap) / total, float(gap + dual) / total
        since = 0 if gap < 0.5 * least else since + 1
        least = min(gap, least)
        if gap <= best.gap:
            best.offer(penalty, simplices, beta, intercept)
        # The gap is relative to the optimum where that is far below the objective at
        # zero.
        target = 0.1 * tol * min(max(objective, 1e-3), 1.0)
        patience = 1 if best.gap <= target else _PATIENCE
        if best.gap <= _FURTHER * target or since >= patience or n_iter == max_iter:
            break

        newton = _PrimalNewton(simplices, penalty, beta, z, shortfall, fit_intercept)
        beta, z, intercept, inner, count = predictor_corrector(
            newton, simplices, penalty, beta, z, intercept
        )
        mu = inner / count
    W = weight.new_zeros(features.shape[1], n_classes)
    W[best.index] = best.W.T @ basis.T
    b = weight.new_zeros(n_classes) if intercept is None else basis @ best.intercept[0]
    return W, b, best.gap, n_iter


class _PrimalNewton:
    """The Newton system of an iteration, factorised for two right-hand sides."""

    def __init__(self, simplices, penalty, beta, z, shortfall, fit_intercept):
        self.penalty, self.basis = penalty, simplices.basis[0]
        self.residual, self.ratio = shortfall - z, z / beta
        cost = simplices.weight.T
        R, self.balance = penalty.design(), None
        if fit_intercept:
            R = torch.cat([R, cost], 1)
            self.balance = -(cost * simplices.coordinates(beta)[0]).sum(0)
        self.system = PrimalSystem(R, (beta / z)[0], self.basis, penalty.curvature())

    def step(self, change, target=None, predictor=None):
        """Return ``d_beta = -x``, ``dz = change + z / beta x``, db and dW, du.

        :class:`PrimalSystem` is solved for ``x = dX Q'``, dW and db, with ``r =
        shortfall - z - change`` and the g of the penalty.

        Parameters
        ----------
        change : tensor of shape (1, n_samples, n_classes)
        target, predictor
            As in :meth:`Cones.shift`.
        """
        right, g = self.residual - change, self.penalty.drive(target, predictor)
        x, dW, d_intercept = self.system.solve(right[0], g, self.balance)
        own = self.penalty.complete((x @ self.basis).unsqueeze(0), dW)
        return -x.unsqueeze(0), change + self.ratio * x, d_intercept, own


class _Best:
    """The solution with the smallest gap so far; zero to begin with."""

    def __init__(self, basis):
        m = basis.shape[1]
        self.gap, self.index = torch.inf, torch.zeros(0, dtype=torch.long)
        self.W, self.intercept = basis.new_zeros(m, 0), basis.new_zeros(1, m)

    def offer(self, penalty, simplices, beta, intercept):
        """Keep a W that the penalty proposes for beta if its gap is smaller."""
        for W, scores, gap in penalty.solutions():
            scores = simplices.add_intercept(scores, intercept)
            shortfall = simplices.shortfall(simplices.expand(scores))
            gap = float(((beta * shortfall).sum() + gap) / simplices.total)
            if gap <= self.gap:
                self.gap, self.index, self.W = gap, penalty.index, W
                self.intercept = intercept
