"""Metrics of disentanglement between ground-truth factors and learned codes."""

from sparsedis.metrics._correlation import (
    linear_r_score,
    mean_correlation_coefficient,
)
from sparsedis.metrics._dci import dci
from sparsedis.metrics._information import modularity, mutual_information_gap
from sparsedis.metrics._predictability import explicitness, sap
from sparsedis.metrics._robustness import interventional_robustness

__all__ = [
    "dci",
    "explicitness",
    "interventional_robustness",
    "linear_r_score",
    "mean_correlation_coefficient",
    "modularity",
    "mutual_information_gap",
    "sap",
]
