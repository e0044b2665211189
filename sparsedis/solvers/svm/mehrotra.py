"""Iteration of Mehrotra's predictor-corrector method, for the dual and primal solvers.

Symbols are those of :mod:`sparsedis.solvers.svm`.
"""

import torch

# Length of the predictor step up to which its second-order term is left out. Otherwise
# problems with a small alpha may stall.
_SHORT = 0.1


def predictor_corrector(newton, pairs, free=None):
    """Take one step towards ``x s = mu`` for pairs of positive variables x and s.

    The predictor aims at ``mu = 0``. Its longest feasible step leaves a fraction ``r``
    of the complementarity. The corrector then aims at ``mu = r^3`` times the mean
    complementarity, with the second-order term of the predictor if its step is longer
    than 0.1, and goes 99 % of the way to the boundary.

    Parameters
    ----------
    newton : object
        The Newton system, with a method ``step(change, kept=None)`` that returns
        steps in the pairs, and in the variables without bounds. ``change``, (n_tasks,
        N), is the step in s of pairs whose step in x is zero. Second-order terms of the
        last step, times ``kept`` (n_tasks,), enter other equations.

    pairs : tensor of shape (2, n_tasks, N)
        x and s.

    free : tensor of shape (n_tasks, N) of bool, default=None
        Pairs that count. The steps of the others are zero. By default, all of them.

    Returns
    -------
    pairs : tensor of shape (2, n_tasks, N)
        Values after the step.

    unbounded : tensor or None
        Step in the variables without bounds, of which a share was taken.

    length : tensor of shape (n_tasks,)
        The share.

    mu : tensor of shape (n_tasks,)
        Mean of the products after the step, to first order.
    """
    x, s = pairs
    mean = _mean(x * s, free)
    step, _ = newton.step(-s)
    length = _max_step(pairs, step, free, 1.0)
    # Without second-order terms, the products are `1 - length` times the present ones.
    second = step[0] * step[1]
    left = 1 - length + length * length * _mean(second, free) / mean

    target = left.clamp(0, 1) ** 3 * mean
    # The term is that of the whole predictor, and too large if little is feasible.
    kept = (length > _SHORT).to(x)
    change = (target.unsqueeze(-1) - kept.unsqueeze(-1) * second) / x - s
    step, unbounded = newton.step(change, kept)
    length = _max_step(pairs, step, free, 0.99)
    pairs = pairs + length.unsqueeze(-1) * step
    return pairs, unbounded, length, mean + length * (target - mean)


def _mean(products, free):
    """Return the mean over the pairs that count."""
    if free is None:
        return products.mean(-1)
    total = torch.where(free, products, 0.0).sum(-1)
    return total / free.sum(-1).clamp_min(1)


def _max_step(pairs, step, free, share):
    """Return a share of the length at which a variable becomes zero, at most 1."""
    rate = step / pairs
    if free is not None:
        rate = torch.where(free, rate, 0.0)
    return share / rate.amin((0, 2)).neg().clamp_min(share)
