"""Heads: predictors of the tasks, fitted to the features of an encoder.

A head of many tasks is a loss of :mod:`sparsedis.solvers.losses` and a penalty of
:mod:`sparsedis.solvers.penalties`, or one's own; those of few-shot learning are fitted
to the classes of an episode. Estimators take such an object as their `head`.
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
