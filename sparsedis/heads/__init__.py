"""Heads: predictors that are fitted to each task on the features of an encoder.

A multi-task head combines a loss of :mod:`sparsedis.solvers.losses` and a penalty of
:mod:`sparsedis.solvers.penalties`, or custom ones. A few-shot head is fitted to the
classes of an episode. Estimators accept such an object as `head`.
"""

from sparsedis.heads._base import Head
from sparsedis.heads._checks import check_head, check_loss, check_penalty
from sparsedis.heads._few_shot import GroupLassoSVMHead, PrototypeHead, RidgeHead
from sparsedis.heads._linear import LinearHead

__all__ = [
    "GroupLassoSVMHead",
    "Head",
    "LinearHead",
    "PrototypeHead",
    "RidgeHead",
    "check_head",
    "check_loss",
    "check_penalty",
]
