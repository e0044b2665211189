"""Primal-dual interior-point method for a batch of SVMs, with Newton steps in the dual.

The iterates are pairs of positive variables, beta and z as well as the sizes of the
rows of W and their slacks, and the intercepts b. In addition to the complementarity of
the pairs, they solve the equations of the slacks in :mod:`.group_pairs` and

    Q' (z_i + s_i (1 - Y_i) + s_i F_i) = 0,    E'X = 0.

Eliminating all but X and b from a Newton step leaves a system in dX and db,

    (s Z M Z's + Q' diag(z / beta) Q) dX + E db = r,    E' dX = -E'X.

It has m unknowns per sample, for any number of features. Symbols are those of
:mod:`sparsedis.solvers.svm`, with the M of :mod:`.group_pairs`.
"""

import torch

from sparsedis.solvers.svm.active_set import EXACT, polish
from sparsedis.solvers.svm.mehrotra import predictor_corrector
from sparsedis.solvers.svm.saddle import SaddlePoint

# Factor on the gap from which the active set is guessed, after a wrong guess.
_WRONG = 0.1
# Numbers of iterations without progress after which the active set is guessed again,
# because rounding errors grow from then on, and after which a task stops.
_STUCK, _PATIENCE = 2, 15
# Rounds of Newton's method on the active set if interior points cannot become more
# accurate.
_MANY = 30


def interior_point(penalty, simplices, X, own=None, *, tol, max_iter, emit):
    """Iterate until all tasks are solved, and emit their solutions.

    Parameters
    ----------
    penalty : WorkingSet or RidgePenalty

    simplices : Simplices

    X : tensor of shape (n_tasks, n_samples, m)
        Starting point, in the interior of the simplices.

    own : tensor of shape (2, n_tasks, q), default=None
        Pairs of the penalty at X. By default, it has none.

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
    mu = simplices.weight.mean(-1)
    # z of the scores at W = 0, plus a constant for each sample so that it is positive.
    # If it were tiny for samples of small weight, their first steps would be short.
    constant = torch.maximum(simplices.weight, mu.unsqueeze(-1))
    z = simplices.shortfall(torch.zeros_like(beta)) + constant.unsqueeze(-1)
    z = torch.where(simplices.free, z, 1.0)
    pairs = torch.stack([beta, z]).flatten(2)
    pairs = pairs if own is None else torch.cat([pairs, own], -1)
    n_simplex, shape = beta[0].numel(), beta.shape[1:]
    intercept = None
    if simplices.border is not None:
        intercept = X.new_zeros(len(X), X.shape[-1])
    best, since = torch.full_like(mu, torch.inf), torch.zeros_like(at)
    held, level = {}, penalty.guess_from

    for n_iter in range(max_iter + 1):
        beta = pairs[0, :, :n_simplex].unflatten(1, shape)
        z = pairs[1, :, :n_simplex].unflatten(1, shape)
        X = simplices.coordinates(beta)
        new = penalty.grow(X, mu)
        if new is not None:
            pairs = torch.cat([pairs, new], -1)
        scores = penalty.evaluate(X, *pairs[..., n_simplex:])
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
        stuck = (since == _STUCK) & (gap <= penalty.guess_from)
        ready = spent | stuck | (gap <= max(level, tol))
        leave = bool(ready.any())
        if leave:
            dual = (beta * simplices.cost).sum((1, 2)) - penalty.conjugate()
            objective = gap + dual / simplices.total
            # If the optimum is far below the objective at zero, the gap must be small
            # relative to the optimum.
            target = 0.1 * tol * objective.clamp(1e-3, 1.0)
            # A step for one task costs almost as much as a step for all. Wait, to
            # polish several tasks together.
            due = spent | stuck | (gap <= target)
            leave = bool(ready.all() | (ready & due).any())
        if leave:
            index = ready.nonzero().flatten()
            part = simplices.take(index)
            more = {"rounds": _MANY} if bool((since[index] >= _STUCK).any()) else {}
            pair = polish(penalty, part, beta, z, intercept, index, **more)
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
                X, pairs, scores = X[keep], pairs[:, keep], scores[keep]
                intercept = None if intercept is None else intercept[keep]
                penalty.take(keep)

        newton = _DualNewton(penalty, simplices, X, pairs, scores)
        pairs, d_intercept, length, mu = predictor_corrector(newton, pairs, newton.free)
        penalty.advance(length)
        if intercept is not None:
            intercept = intercept + length.unsqueeze(-1) * d_intercept


class _DualNewton:
    """The Newton system of an iteration, factorised for two right-hand sides."""

    def __init__(self, penalty, simplices, X, pairs, scores):
        self.penalty, self.simplices = penalty, simplices
        (x, s), shape = pairs, simplices.free.shape
        self.n_simplex, self.free, self.ratio = simplices.free[0].numel(), None, s / x
        if not simplices.all_free:
            rest = torch.ones_like(x[:, self.n_simplex :], dtype=torch.bool)
            self.free = torch.cat([simplices.free.flatten(1), rest], 1)
            self.ratio = torch.where(self.free, self.ratio, 0.0)
        ratio = self.ratio[:, : self.n_simplex].view(shape)
        matrix = simplices.add_barrier(penalty.hessian(), ratio)
        self.system = SaddlePoint(matrix, simplices.border)
        slope = s[:, : self.n_simplex].view(shape) + simplices.cost + scores
        self.residual = torch.bmm(simplices.where_free(slope), simplices.basis)
        self.balance = None if simplices.border is None else -simplices.imbalance(X)

    def step(self, change, kept=None):
        """Return the steps in the pairs, (2, n_tasks, N), and db.

        Those of beta and z are ``-dX Q'`` and ``change - z / beta d_beta``. dX and db
        solve the system with ``r = -Q'(z + s (1 - Y) + s F + change) - shift``, where
        the penalty returns the shift of the scores. The predictor step is not refined,
        because it is not taken. Parameters are those of :func:`.predictor_corrector`.
        """
        simplices = self.simplices
        if self.free is not None:
            change = torch.where(self.free, change, 0.0)
        own = change[:, : self.n_simplex].view(simplices.free.shape)
        shift = self.penalty.shift(change[:, self.n_simplex :], kept)
        right = -(torch.baddbmm(self.residual, own, simplices.basis) + shift)
        dX, d_intercept = self.system.solve(
            right, self.balance, refine=kept is not None
        )
        d_beta = simplices.where_free(simplices.expand(-dX)).flatten(1)
        dx = torch.cat([d_beta, self.penalty.step(dX)], 1)
        ds = torch.addcmul(change, self.ratio, dx, value=-1)
        return torch.stack([dx, ds]), d_intercept


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
