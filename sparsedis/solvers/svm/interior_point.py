"""Primal-dual interior-point method for a batch of SVMs, with Newton steps in the dual.

The iterates are positive beta and z, W and u in the interior of their cones, and the
intercepts b. In addition to the complementarity of the pairs, they solve

    Q' (z_i + s_i (1 - Y_i) + s_i F_i) = 0,    E'X = 0,    V = l2 W + u.

Eliminating W, u and z from a Newton step leaves a system in dX and db,

    (s Z M Z's + Q' diag(z / beta) Q) dX + E db = r,    E' dX = -E'X.

It has m unknowns per sample, for any number of features. Symbols are those of
:mod:`sparsedis.solvers.svm`, with the M of :mod:`.cones`.
"""

import torch

from sparsedis.solvers.svm.active_set import EXACT, polish
from sparsedis.solvers.svm.mehrotra import predictor_corrector
from sparsedis.solvers.svm.saddle import SaddlePoint

# Relative gap below which the method guesses the active set and solves on it, and
# factor on this gap after a wrong guess.
_POLISH, _WRONG = 1e-3, 0.1
# Number of iterations without progress after which a task stops.
_PATIENCE = 15


def interior_point(penalty, simplices, X, *, tol, max_iter, emit):
    """Iterate until all tasks are solved, and emit their solutions.

    Parameters
    ----------
    penalty : WorkingSet or RidgePenalty

    simplices : Simplices

    X : tensor of shape (n_tasks, n_samples, m)
        Starting point, in the interior of the simplices.

    tol : float
        Tolerance on the duality gap, relative to the objective at zero.

    max_iter : int
        Largest number of iterations.

    emit : callable
        ``emit(tasks, n_iter, pair)`` receives the indices of tasks that stop, the
        number of iterations, and the solutions, a :class:`.active_set.PrimalDualPair`.
    """
    at = torch.arange(len(X), device=X.device)
    beta = simplices.beta(X)
    # z of the scores at W = 0, plus the weights so that it is positive.
    z = simplices.shortfall(torch.zeros_like(beta)) + simplices.weight.unsqueeze(-1)
    z = torch.where(simplices.free, z, 1.0)
    intercept = None
    if simplices.border is not None:
        intercept = X.new_zeros(len(X), X.shape[-1])
    mu = simplices.weight.mean(-1)
    best, since = torch.full_like(mu, torch.inf), torch.zeros_like(at)
    held, level = {}, _POLISH

    for n_iter in range(max_iter + 1):
        X = simplices.coordinates(beta)
        penalty.grow(X, mu)
        scores = penalty.evaluate(X)
        scores = simplices.expand(simplices.add_intercept(scores, intercept))
        gap = (beta * simplices.shortfall(scores)).sum((1, 2)) + penalty.gap()
        gap = gap / simplices.total
        better = gap < 0.5 * best
        since = torch.where(better, 0, since + 1)
        best = torch.where(better, gap, best)

        # NaN fails both comparisons, so that tasks with NaN or inf count as spent.
        spent = ~((since < _PATIENCE) & (gap < torch.inf))
        if n_iter == max_iter:
            spent = torch.ones_like(spent)
        ready = spent | (gap <= max(level, tol))
        leave = bool(ready.any())
        if leave:
            dual = (beta * simplices.cost).sum((1, 2)) - penalty.conjugate()
            objective = gap + dual / simplices.total
            # If the optimum is far below the objective at zero, the gap must be small
            # relative to the optimum.
            target = 0.1 * tol * objective.clamp(1e-3, 1.0)
            # A step for one task costs almost as much as a step for all. Wait, to
            # polish several tasks together.
            leave = bool(ready.all() | (ready & (spent | (gap <= target))).any())
        if leave:
            index = ready.nonzero().flatten()
            part = simplices.take(index)
            pair = polish(penalty, part, beta, z, intercept, index)
            pair.gap += penalty.excess(index, pair, part) / part.total
            # A task whose gap exceeds its target continues unless its polished solution
            # is exact: otherwise its active set is not known yet.
            leaves = pair.gap <= torch.where(gap <= target, target, EXACT)[index]
            leaves |= spent[index]
            _emit(emit, held, at[index], n_iter, leaves, pair)
            keep = torch.ones_like(ready)
            keep[index[leaves]] = False
            if not bool(keep.any()):
                return
            level *= _WRONG
            if bool(leaves.any()):
                simplices, at = simplices.take(keep), at[keep]
                best, since = best[keep], since[keep]
                X, beta, z, scores = X[keep], beta[keep], z[keep], scores[keep]
                intercept = None if intercept is None else intercept[keep]
                penalty.take(keep)

        newton = _DualNewton(penalty, simplices, X, beta, z, scores)
        beta, z, intercept, total, count = predictor_corrector(
            newton, simplices, penalty, beta, z, intercept
        )
        mu = total / count


class _DualNewton:
    """The Newton system of an iteration, factorised for two right-hand sides."""

    def __init__(self, penalty, simplices, X, beta, z, scores):
        self.penalty, self.simplices = penalty, simplices
        self.ratio = simplices.where_free(z / beta)
        matrix = simplices.add_barrier(penalty.hessian(), self.ratio)
        self.system = SaddlePoint(matrix, simplices.border)
        slope = simplices.where_free(z + simplices.cost + scores)
        self.residual = torch.bmm(slope, simplices.basis)
        self.balance = None if simplices.border is None else -simplices.imbalance(X)

    def step(self, change, target=None, predictor=None):
        """Return ``d_beta = -dX Q'``, ``dz = change - z / beta d_beta``, db and dW, du.

        dX and db solve the system with ``r = -Q'(z + s (1 - Y) + s F + change) -
        shift``, where the penalty returns the shift of the scores. The predictor step
        is not refined, because it is not taken.

        Parameters
        ----------
        change : tensor of shape (n_tasks, n_samples, n_classes)
            Step in z if that in beta is zero.
        target, predictor
            As in :meth:`.cones.Cones.shift`.
        """
        simplices = self.simplices
        shift = self.penalty.shift(target, predictor)
        change = simplices.where_free(change)
        right = -(torch.baddbmm(self.residual, change, simplices.basis) + shift)
        refine = predictor is not None
        dX, d_intercept = self.system.solve(right, self.balance, refine=refine)
        d_beta = -simplices.where_free(simplices.expand(dX))
        dz = change - self.ratio * d_beta
        return d_beta, dz, d_intercept, self.penalty.step(dX)


def _emit(emit, held, tasks, n_iter, leaves, pair):
    """Emit the tasks that stop, each with its best pair so far.

    ``held`` stores the best pairs of the tasks that continue, because rounding errors
    may make later pairs worse.
    """
    for i in (~leaves).nonzero().flatten().tolist():
        kept = held.get(int(tasks[i]))
        if kept is None or not bool(kept.gap <= pair.gap[i]):
            held[int(tasks[i])] = pair.take(slice(i, i + 1))
    last = leaves.clone()
    for i in leaves.nonzero().flatten().tolist() if held else ():
        kept = held.get(int(tasks[i]))
        if kept is not None and bool(kept.gap <= pair.gap[i]):
            emit(tasks[i : i + 1], n_iter, kept)
            last[i] = False
    if bool(last.any()):
        emit(tasks[last], n_iter, pair.take(last))
