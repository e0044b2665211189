"""Checks of the assumptions under which tasks identify disentangled features."""

from sparsedis.identifiability._heads import AssumptionCheck, support_matrix
from sparsedis.identifiability._intra_support import check_intra_support_variability
from sparsedis.identifiability._mixing import find_mixing
from sparsedis.identifiability._report import (
    IdentifiabilityReport,
    check_identifiability,
)
from sparsedis.identifiability._supports import (
    check_support_variability,
    n_supports_needed,
    support_failure_bound,
)
from sparsedis.identifiability._variability import (
    check_representation_variability,
    check_task_variability,
)

__all__ = [
    "AssumptionCheck",
    "IdentifiabilityReport",
    "check_identifiability",
    "check_intra_support_variability",
    "check_representation_variability",
    "check_support_variability",
    "check_task_variability",
    "find_mixing",
    "n_supports_needed",
    "support_failure_bound",
    "support_matrix",
]
