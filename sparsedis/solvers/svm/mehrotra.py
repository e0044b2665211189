"""One iteration of Mehrotra's predictor-corrector method, for either solver."""

import torch


def predictor_corrector(newton, simplices, penalty, beta, z, intercept):
    """Take one step towards ``beta * z = mu`` and the cones' ``t alpha - <W, u> = mu``.

    The predictor aims at ``mu = 0``. If its longest feasible step leaves a share ``r``
    of the complementarity, the corrector aims at ``r^3`` times its mean, with the
    second-order term of the predictor, and goes 99 % of the way to the boundary.

    Parameters
    ----------
    newton : object
        The Newton system, with a method ``step(change, target=None, predictor=None)``
        that returns steps in beta, z, the intercepts and the penalty's variables.
        ``change`` is the step in z where that in beta is zero.

    simplices : Simplices

    penalty : object
        Takes the step in its own variables itself.

    beta, z : tensor of shape (n_tasks, n_samples, n_classes)

    intercept : tensor of shape (n_tasks, m) or None
        In coordinates.

    Returns
    -------
    beta, z, intercept
        After the step.

    total : tensor of shape (n_tasks,)
        Sum of the complementarity products.

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
    """Sum and number of all complementarity products, those of the penalty included.

    ``beta`` and ``z`` are those after the step, the penalty's variables those before.
    """
    total = simplices.where_free(beta * z).sum((1, 2))
    more, cones = penalty.complementarity(step, length)
    return total + more, (simplices.free.sum((1, 2)) + cones).clamp_min(1)


def _max_step(beta, z, d_beta, dz, longest):
    """Length at which an entry of beta or z becomes zero, at most ``longest``."""
    for x, dx in ((beta, d_beta), (z, dz)):
        to_zero = torch.where(dx < 0, -x / dx, torch.inf).flatten(1).amin(-1)
        longest = torch.minimum(longest, to_zero)
    return longest
