"""Dual solutions without an interior-point method, if samples are independent.

With ``alpha = 0`` and more features than samples, the Gram matrix ``L L'`` usually has
an inverse. With the multipliers z of the bounds ``beta >= 0``, the solution is that of

    L L' X + (s (1 - Y) + z) Q = 0,    beta = Y - X Q' >= 0,    z >= 0,    beta * z = 0.

Given the entries of beta that are zero, a system of their number gives their z, and the
inverse gives X. Symbols are those of :mod:`sparsedis.solvers.svm`.
"""

import torch

from sparsedis.solvers.svm.active_set import measure, onto_face
from sparsedis.solvers.svm.ridge_penalty import RidgeIterate

# Largest share of entries that are zero, and number of changes of their set. Most tasks
# need three to seven.
_SHARE, _ROUNDS = 0.7, 15


def solve_independent(penalty, simplices, inverse):
    """Solve tasks with independent samples by an active-set method on the bounds.

    The zeros of the next round are those with a positive multiplier, and the entries
    with negative beta (Hintermueller, Ito and Kunisch, 2002). A set that does not
    change is that of the solution. Tasks in which it still does after some rounds, or
    has too many entries, are not solved.

    Parameters
    ----------
    penalty : RidgePenalty

    simplices : Simplices
        Without intercepts.

    inverse : tensor of shape (n_tasks, n_samples, n_samples)
        Inverse of ``L L'``, or its pseudo-inverse if samples have no weight.

    Returns
    -------
    pair : PrimalDualPair

    solved : tensor of shape (n_tasks,) of bool
    """
    Q, Y, gram = simplices.basis, simplices.one_hot, penalty.gram

    def solve(X, z, zero, count):
        """Return X and z of a Newton step, which would be exact without rounding."""
        free = X - inverse @ (gram @ X + (simplices.cost + z) @ Q)
        beta = torch.baddbmm(Y, free, Q.mT, alpha=-1)
        change = _multipliers(beta, zero, inverse, Q @ Q.mT, count)
        return free - inverse @ (change @ Q), z + change

    nothing = torch.zeros_like(simplices.cost @ Q), torch.zeros_like(Y)
    zero = torch.zeros_like(Y, dtype=torch.bool)
    few = torch.ones_like(zero[:, 0, 0])
    for _ in range(_ROUNDS):
        counts = zero.sum((1, 2))
        few = few & (counts <= _SHARE * zero[0].numel())
        zero, count = zero & few[:, None, None], int((counts * few).amax())
        X, z = solve(*nothing, zero, count)
        beta = torch.baddbmm(Y, X, Q.mT, alpha=-1)
        former, zero = zero, torch.where(zero, z > 0, beta < 0) & simplices.free
        solved = few & (zero == former).all((1, 2))
        if bool((solved | ~few).all()):
            break
    X, z = solve(X, z, former, count)
    beta, face = onto_face(simplices.beta(X), simplices.free & ~former)
    iterate = RidgeIterate(penalty.factor, gram, X, None, penalty.rotated)
    return measure(simplices, beta, face, None, iterate), solved


def _multipliers(beta, zero, inverse, centring, count):
    """Return the z that moves the entries `zero` of beta, `count` at most, to zero."""
    shape = beta.shape
    real, index = zero.flatten(1).to(torch.uint8).topk(count, -1)
    real = real.to(beta)
    sample, label = index // shape[-1], index % shape[-1]
    task = torch.arange(len(zero), device=zero.device)[:, None, None]
    pairs = inverse[task, sample.unsqueeze(-1), sample.unsqueeze(-2)]
    pairs = pairs * centring[task, label.unsqueeze(-1), label.unsqueeze(-2)]
    pairs = pairs * real.unsqueeze(-1) * real.unsqueeze(-2)
    pairs.diagonal(dim1=-2, dim2=-1).add_(1 - real)
    right = -real * beta.flatten(1).gather(1, index)
    found, _ = torch.linalg.solve_ex(pairs, right)
    return torch.zeros_like(beta).flatten(1).scatter_(1, index, found).view(shape)
