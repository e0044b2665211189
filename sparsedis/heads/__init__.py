"""Heads: predictors of each task on the features of an encoder.

A multi-task head combines a loss and a penalty, from :mod:`sparsedis.solvers.losses`
and :mod:`sparsedis.solvers.penalties` or custom ones. A few-shot head is fitted to the
classes of an episode. Estimators accept a head as their parameter `head`.
"""

from sparsedis.heads._base import Head
from sparsedis.heads._checks import check_head, check_loss, check_penalty
from sparsedis.heads._few_shot import GroupLassoSVMHead, PrototypeHead, RidgeHead
from sparsedis.heads._linear import LinearHead
from sparsedis.heads._sparse_heads import SparseHeads
from sparsedis.heads._sparse_heads_classifier import SparseHeadsClassifier
from sparsedis.heads._sparse_heads_classifier_cv import SparseHeadsClassifierCV
from sparsedis.heads._sparse_heads_cv import SparseHeadsCV
from sparsedis.heads._stability import StableFeatures, stability_selection

__all__ = [
    "GroupLassoSVMHead",
    "Head",
    "LinearHead",
    "PrototypeHead",
    "RidgeHead",
    "SparseHeads",
    "SparseHeadsCV",
    "SparseHeadsClassifier",
    "SparseHeadsClassifierCV",
    "StableFeatures",
    "check_head",
    "check_loss",
    "check_penalty",
    "stability_selection",
]
