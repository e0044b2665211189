"""Losses of linear predictors: one value per sample, for a batch of tasks.

A loss is a function ``l(s, y)`` of the scores ``s`` of a sample and its target ``y``.
A custom loss is a subclass of :class:`Loss` that defines `value`. Autograd computes the
derivatives unless the subclass defines them. :func:`sparsedis.heads.check_loss` tests a
custom loss.
"""

from sparsedis.solvers.losses._base import Loss
from sparsedis.solvers.losses._classes import Logistic, Multinomial, log_loss
from sparsedis.solvers.losses._counts import Poisson
from sparsedis.solvers.losses._numbers import Huber, Squared

__all__ = [
    "Huber",
    "Logistic",
    "Loss",
    "Multinomial",
    "Poisson",
    "Squared",
    "log_loss",
]
