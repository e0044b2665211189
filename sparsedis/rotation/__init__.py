"""From the span of the factors to the factors: count, rotate, select, trust.

A representation that serves many tasks holds their factors up to an invertible linear
map; the map that makes the heads of the tasks sparsest is the way back. The functions
do it step by step, and :class:`SparseRotation` does it all for any given features.
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
