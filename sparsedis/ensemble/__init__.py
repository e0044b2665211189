"""Ensembles of representations that are trained with different seeds."""

from sparsedis.ensemble._estimator import SparseMultiTaskEnsemble

__all__ = ["SparseMultiTaskEnsemble"]
