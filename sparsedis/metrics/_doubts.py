"""Where the assumptions of the metrics fail on given data."""

import numpy as np

from sparsedis.metrics._discrete import (
    MIN_SAMPLES_PER_VALUE,
    factor_labels,
    is_discrete,
)
from sparsedis.metrics._mcc import correlation_matrix, match
from sparsedis.metrics._validation import known_groups

# R2 of random codes from which samples are few.
CHANCE_R2 = 0.05
# Rank correlation of two factors from which they are dependent.
DEPENDENT = 0.2
# Correlation of two codes from which they have the same content.
EQUAL = 0.95
# Gain of MCC by ranks from which relations are not linear.
NONLINEAR = 0.05


def doubts_about(factors, codes, factor_mask, code_mask, *, n_bins, factor_bins):
    """Sentences on the assumptions that fail.

    Parameters
    ----------
    factors : ndarray of shape (n_samples, n_factors)
        Finite values, or NaN where they are not known.

    codes : ndarray of shape (n_samples, n_codes)
        Finite values.

    factor_mask : ndarray of shape (n_factors,) of bool
        Factors that vary.

    code_mask : ndarray of shape (n_codes,) of bool
        Codes that vary.

    n_bins, factor_bins : int
        Numbers of bins for codes, and for continuous factors.

    Returns
    -------
    list of str
        Doubts, the most serious first.
    """
    live_factors, live_codes = np.flatnonzero(factor_mask), np.flatnonzero(code_mask)
    factors, codes = factors[:, factor_mask], codes[:, code_mask]
    n_factors, n_codes = len(live_factors), len(live_codes)
    n_known = (~np.isnan(factors)).sum(axis=0)
    n_samples = n_known.min()
    doubts = []
    if n_samples < len(codes):
        doubts.append(
            f"Partly known factors: {live_factors[n_known.argmin()]} is known on "
            f"{n_samples} of {len(codes)} samples. Each factor is scored on those on "
            "which it is known, as if these were drawn at random."
        )
    chance_r2 = min(1.0, n_codes / (n_samples - 1))
    if chance_r2 > CHANCE_R2:
        doubts.append(
            f"Few samples: on {n_samples} of them, the R2 of {n_codes} random codes is "
            f"{chance_r2:.2f} on average. R is too high: use held-out samples."
        )
    n_cells = n_bins * (1 + max(map(np.max, factor_labels(factors, factor_bins))))
    if n_samples < MIN_SAMPLES_PER_VALUE * n_cells:
        doubts.append(
            f"Few samples for mutual information: {n_samples} in up to {n_cells} "
            "cells. Compare mig, modularity, minimality and sufficiency with their "
            "chance level, not with 1."
        )
    i, j, correlation = _closest(factors, "spearman")
    if correlation > max(DEPENDENT, 3 / np.sqrt(n_samples)):
        doubts.append(
            f"Dependent factors: {live_factors[i]} and {live_factors[j]} have a rank "
            f"correlation of {correlation:.2f}. A code of one of them counts for both "
            "in mcc and r, and perfect codes have mig, sap and modularity below 1. "
            "minimality, sufficiency and exclusivity allow for dependence."
        )
    if n_codes > n_factors:
        doubts.append(
            f"More codes ({n_codes}) than factors ({n_factors}): mcc uses the best of "
            "them, and does not see the others."
        )
    elif n_codes < n_factors:
        doubts.append(
            f"Fewer codes ({n_codes}) than factors ({n_factors}): factors without a "
            "code count as 0 in mcc, and two in one code lower modularity."
        )
    i, j, correlation = _closest(codes, "pearson")
    if correlation > EQUAL:
        doubts.append(
            f"Codes {live_codes[i]} and {live_codes[j]} have a correlation of "
            f"{correlation:.2f}: mig and sap are near 0 for a factor in both, and the "
            "linear importances of dci are arbitrary."
        )
    pearson, spearman = (_mcc(factors, codes, m) for m in ("pearson", "spearman"))
    if spearman > pearson + NONLINEAR:
        doubts.append(
            f"The relations are not linear: mcc is {spearman:.2f} with "
            f"method='spearman', {pearson:.2f} without. r and sap are too low as well."
        )
    discrete = is_discrete(factors)
    if not discrete.all():
        doubts.append(
            f"Continuous factors {live_factors[~discrete].tolist()} are cut into "
            f"{factor_bins} bins for the metrics of discrete factors."
        )
    several = discrete & [len(np.unique(z[~np.isnan(z)])) > 2 for z in factors.T]
    if several.any():
        doubts.append(
            f"Discrete factors {live_factors[several].tolist()}: mcc, r, sap and those "
            "of dci take their values for numbers. If these are categories without an "
            "order, do not use these metrics."
        )
    return doubts


def _closest(X, method):
    """The two columns of largest absolute correlation, and this correlation."""
    if X.shape[1] < 2:
        return 0, 0, 0.0
    correlation = np.zeros((X.shape[1], X.shape[1]))
    for columns, rows in known_groups(X):
        pairs = correlation_matrix(X[rows], X[rows][:, columns], method)
        correlation[:, columns] = np.abs(pairs)
    correlation = np.triu(correlation, 1)
    i, j = np.unravel_index(correlation.argmax(), correlation.shape)
    return i, j, correlation[i, j]


def _mcc(factors, codes, method):
    """MCC over the matched pairs."""
    if not codes.shape[1]:
        return 0.0
    correlation = np.abs(correlation_matrix(factors, codes, method))
    return correlation[match(correlation)].mean()
