"""Newton's method on the active set, from an interior point to the exact solution.

The active set consists of the positive entries of beta, the `face`, and of the nonzero
rows of W. If it is known, the optimality conditions are smooth equations:

    Pi Q' (s_i (1 - Y_i) + s_i F_i) = 0,    E'X = 0,    V_j = l2 W_j + alpha w_j.

A Newton step has ``dW = M (dV + R)``. Eliminating dW leaves a system in dX and db,

    (Pi s Z M Z's Pi) dX + Pi E db = r,    E' dX = -E'X.

Symbols are those of :mod:`sparsedis.solvers.svm`.
"""

import dataclasses
from dataclasses import dataclass

import torch

from sparsedis.solvers.svm.faces import face_system
from sparsedis.solvers.svm.saddle import SaddlePoint

# Gap, relative to the objective at zero, below which the active set counts as right.
EXACT = 1e-13
# Relative gaps up to this value are rounding errors.
_ROUNDING = 1e-15


@dataclass
class PrimalDualPair:
    """Primal and dual solutions of a batch of tasks.

    Attributes
    ----------
    beta : tensor of shape (n_tasks, n_samples, n_classes)
    face : tensor of shape (n_tasks, n_samples, n_classes) of bool
        Entries of beta that are positive, or would be without rounding.
    intercept : tensor of shape (n_tasks, m) or None
        ``b`` in coordinates; None without intercepts.
    iterate : GroupIterate or RidgeIterate
        W, with what Newton's method needs.
    gap : tensor of shape (n_tasks,)
        Duality gap, relative to the objective at zero.
    """

    beta: torch.Tensor
    face: torch.Tensor
    intercept: torch.Tensor | None
    iterate: object
    gap: torch.Tensor

    def take(self, at):
        """Return the pair of the tasks ``at``."""
        intercept = None if self.intercept is None else self.intercept[at]
        beta, face = self.beta[at], self.face[at]
        return PrimalDualPair(
            beta, face, intercept, self.iterate.take(at), self.gap[at]
        )

    def replace(self, other, where):
        """Return this pair, with ``other`` in the tasks of the mask ``where``."""
        intercept = self.intercept
        if intercept is not None:
            intercept = torch.where(where[:, None], other.intercept, intercept)
        return PrimalDualPair(
            torch.where(where[:, None, None], other.beta, self.beta),
            torch.where(where[:, None, None], other.face, self.face),
            intercept,
            self.iterate.replace(other.iterate, where),
            torch.where(where, other.gap, self.gap),
        )

    def put(self, at, other):
        """Return this pair, with ``other`` as the tasks ``at``."""
        intercept = self.intercept
        if intercept is not None:
            intercept = intercept.index_copy(0, at, other.intercept)
        return PrimalDualPair(
            self.beta.index_copy(0, at, other.beta),
            self.face.index_copy(0, at, other.face),
            intercept,
            self.iterate.put(at, other.iterate),
            self.gap.index_copy(0, at, other.gap),
        )


def polish(penalty, simplices, beta, z, intercept, index, rounds=7):
    """Guess the active set from an interior point, then solve on it and correct it.

    Newton steps alternate with updates of the face. Entries of beta that become
    negative leave the face. Entries whose score exceeds the level of their sample join
    it. A step that does not reduce the gap ends where the first entry becomes zero, and
    only this entry leaves: after the whole step, many others would be wrong. On the
    right active set, only rounding errors remain, and the task leaves the batch. The
    result is the pair with the smallest gap, so that it is no worse than the interior
    point.

    Parameters
    ----------
    penalty : WorkingSet or RidgePenalty
    simplices : Simplices
        Simplices of the tasks to polish.
    beta, z : tensor of shape (n_tasks, n_samples, n_classes)
    intercept : tensor of shape (n_tasks, m) or None
    index : tensor of int
        Tasks to polish, among those of penalty, beta, z and intercept.
    rounds : int, default=7
        Largest number of Newton steps, with a correction of the active set after each.

    Returns
    -------
    PrimalDualPair
    """
    beta, z = beta[index], z[index]
    intercept = None if intercept is None else intercept[index]
    iterate = penalty.restrict(index)

    # An entry is active if beta, relative to the largest of its task, is larger than z,
    # relative to the weight of its sample.
    scale = torch.where(simplices.one_hot > 0, 0.0, beta).amax((1, 2), keepdim=True)
    weight = simplices.weight.unsqueeze(-1)
    face = simplices.free & (beta * weight > z * scale.clamp_min(1e-8))
    whole = best = measure(simplices, beta, face, intercept, iterate)
    beta, face = onto_face(beta, face)
    at = torch.arange(len(beta), device=beta.device)
    exact = torch.zeros_like(best.gap, dtype=torch.bool)
    for _ in range(rounds):
        X = simplices.coordinates(beta)
        scores, fixed = iterate.linearise(X)
        scores = simplices.add_intercept(scores + fixed, intercept)
        dX, d_intercept = _newton_step(simplices, face, iterate.hessian, X, scores)
        W, iterate = iterate.W, iterate.advance(dX)
        intercept = None if intercept is None else intercept + d_intercept
        newton_beta = simplices.beta(X + dX)
        projected, _ = onto_face(newton_beta, face)
        pair = measure(simplices, projected, face, intercept, iterate)
        # If gaps are only rounding errors, the later pair is kept.
        better = pair.gap <= best.gap.clamp_min(_ROUNDING)
        best = best.replace(pair, better)
        # The error of W is of the order of the square root of the gap, so that one more
        # step is needed.
        left = (~exact).nonzero().flatten()
        exact = best.gap <= EXACT
        if not len(left):
            break
        scores = simplices.add_intercept(iterate.scores(), intercept)
        raised = simplices.cost + simplices.expand(scores)
        level = (projected * raised).sum(-1, keepdim=True)
        joins = raised - level > 1e-12 * (1 + level.abs())
        corrected = simplices.free & torch.where(face, newton_beta > 0, joins)
        # The share of the step after which the first entry becomes zero.
        leaves = face & (newton_beta <= 0)
        share = torch.where(leaves, beta / (beta - newton_beta), 1.0)
        length = share.amin((1, 2), keepdim=True)
        short = ~better[:, None, None] & (length < 1)
        face = torch.where(short, face & (share > length), corrected)
        length = torch.where(short, length, 1.0)
        iterate = dataclasses.replace(iterate, W=torch.lerp(W, iterate.W, length))
        if intercept is not None:
            intercept = intercept - (1 - length[:, 0]) * d_intercept
        beta, face = onto_face(torch.lerp(beta, newton_beta, length), face)
        if len(left) < len(at):
            whole = whole.put(at, best)
            at, exact, beta, face = at[left], exact[left], beta[left], face[left]
            intercept = None if intercept is None else intercept[left]
            best, iterate = best.take(left), iterate.take(left)
            simplices = simplices.take(left)
    return whole.put(at, best)


def _newton_step(simplices, face, hessian, X, scores):
    """Return dX and db, given X and ``scores = s Z (W + M R) + s b``.

    The right-hand side is ``r = -Pi Q' (s_i (1 - Y_i) + scores_i)``.
    """
    matrix, border, blocks = face_system(simplices, face, hessian)
    slope = simplices.cost @ simplices.basis + scores
    slope = (blocks @ slope.unsqueeze(-1)).squeeze(-1)
    balance = None if border is None else -simplices.imbalance(X)
    return SaddlePoint(matrix, border, singular=1e-10).solve(-slope, balance)


def onto_face(beta, face):
    """Return beta, set to zero outside of the face and rescaled, and the face.

    Rows of beta sum to one again. The largest entry of each row joins the face.
    """
    face = face | (beta == beta.amax(-1, keepdim=True))
    beta = torch.where(face, beta.clamp_min(0), 0.0)
    return beta / beta.sum(-1, keepdim=True), face


def measure(simplices, beta, face, intercept, iterate):
    """Return the pair of beta and the W with the smaller duality gap.

    The iterate proposes its present W and the link of V. The gap is ``<beta, shortfall>
    + P(W) + P*(V) - <V, W>``, with the penalty P and its conjugate P*. It is infinite
    if beta violates the constraint of the intercepts.
    """
    best, X = None, simplices.coordinates(beta)
    feasible = torch.ones_like(beta[:, 0, 0], dtype=torch.bool)
    if simplices.border is not None:
        tolerance = 1e-12 * simplices.total
        feasible = simplices.imbalance(X).abs().amax(-1) <= tolerance
    for scores, gap, own in iterate.measure(X):
        scores = simplices.expand(simplices.add_intercept(scores, intercept))
        gap = gap + (beta * simplices.shortfall(scores)).sum((1, 2))
        gap = torch.where(feasible, gap / simplices.total, torch.inf)
        pair = PrimalDualPair(beta, face, intercept, own, gap)
        best = pair if best is None else best.replace(pair, pair.gap < best.gap)
    return best
