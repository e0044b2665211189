"""Sweeps and proximal gradient steps, which are cheap and find the nonzero rows."""

from functools import partial

import torch


def descend(problem, best, start, n_steps):
    """Sweeps or accelerated proximal gradient steps, which find the nonzero rows."""
    at = (~best.good).nonzero().flatten()
    if len(at) == 0:
        return
    problem = problem.take(at)
    # Newton's method may have ended at a point worse than zero.
    X = torch.where((best.gap[at] < 1)[:, None, None], best.V[at], start[at])
    X = (problem.sweep if problem.sweeps else partial(_step, problem))(X, n_steps)
    best.offer(problem, at, X, problem.gap(X), X)
    # Newton steps compute the last digits.
    best.settled[at] = False


def _step(problem, X, n_steps):
    """Accelerated proximal gradient steps from X."""
    ahead, momentum, lipschitz = X, X.new_ones(len(X), 1, 1), X.new_ones(len(X), 1, 1)
    ends = X.new_tensor([0.0, 1.0]).expand(len(X), 2)
    for _ in range(n_steps):
        gradient = problem.gradient(ahead)
        new = problem.penalty.prox(ahead - gradient / lipschitz, 1 / lipschitz[..., 0])
        step = new - ahead
        begin, end = problem.along(ahead, step, ends).unbind(-1)
        bound = (step * (gradient + 0.5 * lipschitz * step)).sum((1, 2))
        fits = (end - begin <= bound + 1e-12 * begin.abs())[:, None, None]
        lipschitz = torch.where(fits, lipschitz, 2 * lipschitz)
        new = torch.where(fits, new, X)
        # Restart if the momentum increases the objective.
        uphill = ((new - ahead) * (new - X)).sum((1, 2), keepdim=True) < 0
        momentum = torch.where(fits & ~uphill, momentum, 1.0)
        grown = 0.5 + (0.25 + momentum * momentum).sqrt()
        ahead = new + (momentum - 1) / grown * (new - X)
        X, momentum = new, grown
    return X
