"""Estimators of a representation shared by many tasks with sparse heads."""

from sparsedis.multitask._classifier import SparseMultiTaskClassifier
from sparsedis.multitask._mixed import SparseMultiTaskMixed
from sparsedis.multitask._regressor import SparseMultiTaskRepresentation

__all__ = [
    "SparseMultiTaskClassifier",
    "SparseMultiTaskMixed",
    "SparseMultiTaskRepresentation",
]
