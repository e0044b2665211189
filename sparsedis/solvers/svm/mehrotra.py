"""Iteration of Mehrotra's predictor-corrector method, for the dual and primal solvers.

Symbols are those of :mod:`sparsedis.solvers.svm`.
"""

import torch


def predictor_corrector(newton, simplices, penalty, beta, z, intercept):
    """Take one step towards ``beta * z = mu`` and the cones' ``t alpha - <W, u> = mu``.

    The predictor aims at ``mu = 0``. Its longest feasible step leaves a fraction ``r``
    of the complementarity. The corrector then aims at ``mu = r^3`` times the mean
    complementarity, with the second-order term of the predictor, and goes 99 % of the
    way to the boundary.

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
        Sum of the complementarity products after the step.

    count : tensor of shape (n_tasks,)
        Number of products.
    """
    total, count = _complementarity(simplices, penalty, beta, z)
    d_beta, dz, _, own = newton.step(-z)
    length = _max_step(beta, z, d_beta, dz, penalty.max_step(own)).clamp_max(1.0)
    along = length[:, None, None]
    ahead = beta + along * d_beta, z + along * dz
    left = _complementarity(simplices, penalty, *ahead, own, length)[0] / total

    target = left.clamp(0, 1) ** 3 * total / count
    change = (target[:, None, None] - d_beta * dz) / beta - z
    d_beta, dz, d_intercept, own = newton.step(change, target, own)
    length = 0.99 * _max_step(beta, z, d_beta, dz, penalty.max_step(own))
    length = length.clamp_max(1.0)
    along = length[:, None, None]
    beta, z = beta + along * d_beta, z + along * dz
    if intercept is not None:
        intercept = intercept + length[:, None] * d_intercept
    total, count = _complementarity(simplices, penalty, beta, z, own, length)
    penalty.advance(own, length)
    return beta, z, intercept, total, count


def _complementarity(simplices, penalty, beta, z, step=None, length=None):
    """Return the sum and number of all products, including those of the penalty.

    ``beta`` and ``z`` are the values after the step. The penalty computes its products
    from its variables before the step, and from the step.
    """
    total = simplices.where_free(beta * z).sum((1, 2))
    more, cones = penalty.complementarity(step, length)
    return total + more, (simplices.free.sum((1, 2)) + cones).clamp_min(1)


def _max_step(beta, z, d_beta, dz, longest):
    """Return the length at which beta or z reaches zero, or ``longest`` if smaller."""
    for x, dx in ((beta, d_beta), (z, dz)):
        to_zero = torch.where(dx < 0, -x / dx, torch.inf).flatten(1).amin(-1)
        longest = torch.minimum(longest, to_zero)
    return longest
