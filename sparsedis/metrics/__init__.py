"""Metrics of disentanglement between ground-truth factors and learned codes."""

from sparsedis.metrics._correlation import (
    linear_r_score,
    mean_correlation_coefficient,
)

__all__ = ["linear_r_score", "mean_correlation_coefficient"]
