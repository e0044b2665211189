"""Lengths of Newton steps, from first derivatives along them."""

import numpy as np
import torch

from sparsedis.solvers._arrays import namespace, tensors, views

# Number of secant steps, and the largest change of the length by one of them.
_STEPS, _CHANGE = 2, 3.0


@np.errstate(divide="ignore", invalid="ignore")
def best_length(problem, ridge, W, step, gradient, scores, along):
    """Minimum of the objective along a step, by the secant method.

    Parameters
    ----------
    problem : Logistic or Linear

    ridge : tensor of shape (n_tasks, k, 1)

    W, step, gradient : tensor of shape (n_tasks, k, d)

    scores, along : tensor of shape (n_tasks, n_samples, d)
        Scores at W, and their change with a step of length one.

    Returns
    -------
    tensor of shape (n_tasks,)
    """
    shrink = ridge * step
    slope, start, bend = views(
        *(
            (X * Y).sum((1, 2))
            for X, Y in ((gradient, step), (W, shrink), (step, shrink))
        )
    )
    xp, weighted = namespace(slope), problem.weight * along
    low = last = xp.zeros_like(slope)
    high, length = xp.full_like(slope, xp.inf), xp.ones_like(slope)
    for _ in range(_STEPS):
        (column,) = tensors(length)
        here = problem.slopes(torch.addcmul(scores, column[:, None, None], along))
        (new,) = views((here * weighted).sum((1, 2)))
        new = new + start + length * bend
        below = new <= 0
        low, high = xp.where(below, length, low), xp.where(below, high, length)
        ahead = length + new * (length - last) / (slope - new)
        ahead = xp.clip(xp.clip(ahead, length / _CHANGE, _CHANGE * length), low, high)
        # Equal slopes: at the minimum, or on a line.
        ahead = xp.where(new == slope, length, ahead)
        slope, last, length = new, length, ahead
    return tensors(length)[0]
