"""Penalties on the coefficients of a task: one term per feature.

A penalty is a sum ``sum_j p(W_j; alpha)`` over the features. ``W_j`` contains the
coefficients of feature j, one for each score. A custom penalty is a subclass of
:class:`Penalty` that defines `value` and `prox`; all other methods have defaults.
:func:`sparsedis.heads.check_penalty` tests a custom penalty.
"""

from sparsedis.solvers.penalties._base import Penalty
from sparsedis.solvers.penalties._l2 import L2
from sparsedis.solvers.penalties._mcp import MCP
from sparsedis.solvers.penalties._norms import (
    L1,
    ElasticNet,
    GroupL1,
    NonNegativeL1,
)

__all__ = ["L1", "L2", "MCP", "ElasticNet", "GroupL1", "NonNegativeL1", "Penalty"]
