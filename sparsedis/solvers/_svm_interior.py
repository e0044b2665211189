"""Primal-dual interior point for the dual of the group Lasso SVM (Mehrotra)."""

import torch

from sparsedis.solvers._saddle import SaddlePoint
from sparsedis.solvers._svm_polish import EXACT, polish

# Below this relative gap the active set is guessed, and the problem solved on it.
_POLISH = 1e-6
# Iterations without progress after which a task is left as it is.
_PATIENCE = 15


def interior_point(model, simplices, X, *, tol, max_iter, emit):
    """Run all tasks until each is solved.

    Parameters
    ----------
    model : Sparse or Dense
        The penalty.

    simplices : Simplices
        The dual variables.

    X : tensor of shape (n_tasks, n_samples, m)
        Start, in the interior.

    tol : float
        Duality gap, relative to the objective at zero.

    max_iter : int

    emit : callable
        ``(tasks, n_iter, solution)``: called with the indices of tasks that leave.
    """
    at = torch.arange(len(X), device=X.device)
    beta = simplices.beta(X)
    # Feasible at W = 0, and as far from the boundary as a margin is wide.
    z = simplices.shortfall(torch.zeros_like(beta)) + simplices.weight.unsqueeze(-1)
    z = torch.where(simplices.free, z, 1.0)
    alpha = None if simplices.border is None else X.new_zeros(len(X), X.shape[-1])
    mu = simplices.weight.mean(-1)
    best, since = torch.full_like(mu, torch.inf), torch.zeros_like(at)
    held = {}

    for n_iter in range(max_iter + 1):
        X = simplices.coordinates(beta)
        model.grow(X, mu)
        scores = simplices.expand(simplices.lift(model.evaluate(X), alpha))
        gap = (beta * simplices.shortfall(scores)).sum((1, 2)) + model.gap()
        gap = gap / simplices.total
        better = gap < 0.5 * best
        since = torch.where(better, 0, since + 1)
        best = torch.where(better, gap, best)

        # Neither NaN nor inf is less than inf.
        spent = ~((since < _PATIENCE) & (gap < torch.inf))
        if n_iter == max_iter:
            spent = torch.ones_like(spent)
        ready = spent | (gap <= max(_POLISH, tol))
        leave = bool(ready.any())
        if leave:
            dual = (beta * simplices.cost).sum((1, 2)) - model.conjugate()
            objective = gap + dual / simplices.total
            # Where the optimum is far below that at zero, it is the yardstick.
            target = 0.1 * tol * objective.clamp(1e-3, 1.0)
            # Tasks wait a little for each other: all cost hardly more than one.
            leave = bool(ready.all() | (ready & (spent | (gap <= target))).any())
        if leave:
            index = ready.nonzero().flatten()
            part = simplices.take(index)
            solution = polish(model, part, beta, z, alpha, index)
            solution.gap += model.excess(index, solution, part) / part.total
            # An interior point that is good enough stays for its active set to show.
            leaves = solution.gap <= torch.where(gap <= target, target, EXACT)[index]
            leaves |= spent[index]
            _emit(emit, held, at[index], n_iter, leaves, solution)
            keep = torch.ones_like(ready)
            keep[index[leaves]] = False
            if not bool(keep.any()):
                return
            if bool(leaves.any()):
                simplices, at, best, since = (
                    simplices.take(keep),
                    at[keep],
                    best[keep],
                    since[keep],
                )
                X, beta, z, scores = X[keep], beta[keep], z[keep], scores[keep]
                alpha = None if alpha is None else alpha[keep]
                model.take(keep)

        newton = _Newton(model, simplices, X, beta, z, scores)
        total, count = _complementarity(simplices, model, beta, z)
        # Towards complementarity zero, to see how far that goes ...
        _, d_beta, dz, step = newton.step(-z, model.shift(), refine=False)
        length = _length(beta, z, d_beta, dz, model.max_step(step)).clamp_max(1.0)
        along = length[:, None, None]
        ahead = beta + along * d_beta, z + along * dz
        left = _complementarity(simplices, model, *ahead, step, length)[0] / total
        # ... and then for good.
        aim = left.clamp(0, 1) ** 3 * total / count
        change = (aim[:, None, None] - d_beta * dz) / beta - z
        d_alpha, d_beta, dz, step = newton.step(change, model.shift(aim, step))
        length = 0.99 * _length(beta, z, d_beta, dz, model.max_step(step))
        length = length.clamp_max(1.0)
        along = length[:, None, None]
        beta, z = beta + along * d_beta, z + along * dz
        if alpha is not None:
            alpha = alpha + length[:, None] * d_alpha
        total, count = _complementarity(simplices, model, beta, z, step, length)
        mu = total / count
        model.advance(step, length)


class _Newton:
    """The Newton system of an iteration, factorised for several right-hand sides."""

    def __init__(self, model, simplices, X, beta, z, scores):
        self.model, self.simplices = model, simplices
        self.ratio = simplices.where_free(z / beta)
        matrix = simplices.add_barrier(model.hessian(), self.ratio)
        self.system = SaddlePoint(matrix, simplices.border)
        slope = simplices.where_free(z + simplices.cost + scores)
        self.residual = torch.bmm(slope, simplices.basis)
        self.balance = None if simplices.border is None else -simplices.imbalance(X)

    def step(self, change, shift, *, refine=True):
        """Steps in the intercepts, beta, z and the penalty's own variables.

        Parameters
        ----------
        change : tensor of shape (n_tasks, n_samples, n_classes)
            What z should change by where beta stays.
        shift : tensor of shape (n_tasks, n_samples, m)
            Scores that the penalty contributes whatever the step in X is.
        refine : bool, default=True
        """
        simplices = self.simplices
        change = simplices.where_free(change)
        right = -(torch.baddbmm(self.residual, change, simplices.basis) + shift)
        dX, d_alpha = self.system.solve(right, self.balance, refine=refine)
        d_beta = -simplices.where_free(simplices.expand(dX))
        dz = change - self.ratio * d_beta
        return d_alpha, d_beta, dz, self.model.step(dX)


def _emit(emit, held, tasks, n_iter, leaves, solution):
    """Pass on the solutions of the tasks that leave, the best that each has had.

    Towards the end rounding errors may drive an iterate off.
    """
    for i in (~leaves).nonzero().flatten().tolist():
        kept = held.get(int(tasks[i]))
        if kept is None or not bool(kept.gap <= solution.gap[i]):
            held[int(tasks[i])] = solution.take(slice(i, i + 1))
    last = leaves.clone()
    for i in leaves.nonzero().flatten().tolist() if held else ():
        kept = held.get(int(tasks[i]))
        if kept is not None and bool(kept.gap <= solution.gap[i]):
            emit(tasks[i : i + 1], n_iter, kept)
            last[i] = False
    if bool(last.any()):
        emit(tasks[last], n_iter, solution.take(last))


def _complementarity(simplices, model, beta, z, step=None, length=None):
    total = simplices.where_free(beta * z).sum((1, 2))
    more, cones = model.complementarity(step, length)
    return total + more, (simplices.free.sum((1, 2)) + cones).clamp_min(1)


def _length(beta, z, d_beta, dz, longest):
    for x, dx in ((beta, d_beta), (z, dz)):
        to_zero = torch.where(dx < 0, -x / dx, torch.inf).flatten(1).amin(-1)
        longest = torch.minimum(longest, to_zero)
    return longest
