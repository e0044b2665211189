"""Training of an encoder through the heads of its tasks, for all estimators.

Private: the estimators are in :mod:`sparsedis` and :mod:`sparsedis.meta_learning`.
"""

__all__ = []
