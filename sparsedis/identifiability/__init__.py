"""Can these tasks identify disentangled features? The theory's assumptions, checked."""

from sparsedis.identifiability._heads import AssumptionCheck, support_matrix
from sparsedis.identifiability._supports import (
    check_support_variability,
    n_supports_needed,
    support_failure_bound,
)

__all__ = [
    "AssumptionCheck",
    "check_support_variability",
    "n_supports_needed",
    "support_failure_bound",
    "support_matrix",
]
