"""Optimisers and schedules of the learning rate."""

import math
from functools import partial

from sparsedis.bilevel._optimizers import SGD, Adam

OPTIMIZERS = {
    "sgd": partial(SGD, momentum=0.9, nesterov=True),
    "adam": Adam,
}


def step_schedule(step, max_iter):
    """Factor of Lee et al. (2019), which drops after 1/3, 2/3 and 5/6 of the steps."""
    factor = 1.0
    for share, drop in ((1 / 3, 0.06), (2 / 3, 0.2), (5 / 6, 0.2)):
        if step >= share * max_iter:
            factor *= drop
    return factor


def cosine_schedule(step, max_iter):
    """Half a cosine, from 1 down to 0."""
    return 0.5 * (1 + math.cos(math.pi * step / max_iter))


# Factors of the learning rate. Other schedules leave it constant.
SCHEDULES = {
    "step": step_schedule,
    "cosine": cosine_schedule,
}
