"""Iteration of Mehrotra's predictor-corrector method, for the dual and primal solvers.

Symbols are those of :mod:`sparsedis.solvers.svm`.
"""

import torch

# Length of the predictor step up to which its second-order term is left out. Otherwise
# problems with a small alpha may stall.
_SHORT = 0.1


def predictor_corrector(newton, simplices, penalty, beta, z, intercept):
    """Take one step towards ``beta * z = mu`` and the cones' ``t alpha - <W, u> = mu``.

    The predictor aims at ``mu = 0``. Its longest feasible step leaves a fraction ``r``
    of the complementarity. The corrector then aims at ``mu = r^3`` times the mean
    complementarity, with the second-order term of the predictor, that of beta and z if
    its step is longer than 0.1, and goes 99 % of the way to the boundary.

    Parameters
    ----------
    newton : object
        The Newton system, with a method ``step(change, target=None, predictor=None)``
        that returns steps in beta, z, the intercepts and the variables of the penalty.
        ``change`` is the step in z for entries whose step in beta is zero.

    simplices : Simplices

    penalty : object
        The penalty, which stores and updates its own variables.

    beta, z : tensor of shape (n_tasks, n_samples, n_classes)

    intercept : tensor of shape (n_tasks, m) or None
        ``b`` in coordinates.

    Returns
    -------
    beta, z, intercept
        Values after the step.

    total : tensor of shape (n_tasks,)
        Sum of the complementarity products after the step, to first order.

    count : tensor of shape (n_tasks,)
        Number of products.
    """
    total, count = penalty.complementarity()
    total = total + simplices.where_free(beta * z).sum((1, 2))
    count = (count + simplices.free.sum((1, 2))).clamp_min(1)
    d_beta, dz, _, own = newton.step(-z)
    length = _max_step(simplices, penalty, beta, z, d_beta, dz, own, 1.0)
    # Without second-order terms, the products are `1 - length` times the present ones.
    curved = (d_beta * dz).sum((1, 2)) + penalty.curved(own)
    left = 1 - length + length * length * curved / total

    target = left.clamp(0, 1) ** 3 * total / count
    # The term is that of the whole predictor, and too large if little is feasible.
    kept = (length > _SHORT).to(total)[:, None, None]
    change = (target[:, None, None] - kept * d_beta * dz) / beta - z
    d_beta, dz, d_intercept, own = newton.step(change, target, own)
    length = _max_step(simplices, penalty, beta, z, d_beta, dz, own, 0.99)
    along = length[:, None, None]
    beta, z = beta + along * d_beta, z + along * dz
    if intercept is not None:
        intercept = intercept + length[:, None] * d_intercept
    penalty.advance(own, length)
    return beta, z, intercept, total + length * (target * count - total), count


def _max_step(simplices, penalty, beta, z, d_beta, dz, own, share):
    """Return a share of the length at which a variable leaves its cone, at most 1."""
    rate = penalty.max_rate(own)
    for x, dx in ((beta, d_beta), (z, dz)):
        fastest = simplices.where_free(dx / x).flatten(1).amin(-1).neg()
        rate = torch.maximum(rate, fastest)
    return share / rate.clamp_min(share)
