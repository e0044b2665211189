"""Estimators of a representation that many tasks with sparse heads share."""

from sparsedis.multitask._classifier import SparseMultiTaskClassifier
from sparsedis.multitask._regressor import SparseMultiTaskRepresentation

__all__ = ["SparseMultiTaskClassifier", "SparseMultiTaskRepresentation"]
