"""Metrics of disentanglement between ground-truth factors and learned codes."""

from sparsedis.metrics._correlation import (
    linear_r_score,
    mean_correlation_coefficient,
)
from sparsedis.metrics._dci import dci
from sparsedis.metrics._information import modularity, mutual_information_gap
from sparsedis.metrics._predictability import explicitness, sap

__all__ = [
    "dci",
    "explicitness",
    "linear_r_score",
    "mean_correlation_coefficient",
    "modularity",
    "mutual_information_gap",
    "sap",
]
