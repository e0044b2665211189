"""Factors from any given features: count, rotate, select, and check stability.

Features that predict many tasks contain the factors of the tasks up to an invertible
linear map. The map that makes the heads of the tasks sparsest recovers the factors. The
functions are the single steps, and :class:`SparseRotation` runs all of them.
"""

from sparsedis.rotation._count import FactorCount
from sparsedis.rotation._estimator import SparseRotation
from sparsedis.rotation._rotation import RotationResult, sparsest_rotation
from sparsedis.rotation._selection import SelectedHeads, select_heads
from sparsedis.rotation._stability import rotation_stability
from sparsedis.rotation._white import WhiteHeads, count_factors, white_heads

__all__ = [
    "FactorCount",
    "RotationResult",
    "SelectedHeads",
    "SparseRotation",
    "WhiteHeads",
    "count_factors",
    "rotation_stability",
    "select_heads",
    "sparsest_rotation",
    "white_heads",
]
