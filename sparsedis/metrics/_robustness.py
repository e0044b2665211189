"""Interventional robustness score (IRS)."""

from __future__ import annotations

import numbers
from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils import Bunch, check_scalar

from sparsedis.metrics._columns import ColumnNormalizer
from sparsedis.metrics._details import scores_or_details
from sparsedis.metrics._discrete import factor_labels, warn_of_rare_values
from sparsedis.metrics._validation import check_factors_codes, is_varying, known_groups

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from sparsedis.metrics._details import Details


@scores_or_details
def interventional_robustness(
    factors: ArrayLike,
    codes: ArrayLike,
    *,
    factor_bins: int = 20,
    quantile: float = 0.99,
    standardize: bool = False,
    return_details: bool = False,
) -> float | Details:
    r"""Interventional robustness score (IRS) of the codes.

    A code is robust if it is determined by one factor: with this factor fixed, changes
    of the other factors do not change the code.

    Parameters
    ----------
    factors : array-like of shape (n_samples, n_factors)
        Ground-truth factors, discrete or binned. Constant ones are left out, with a
        warning. NaN marks values that are not known; each factor is scored where it is
        known.

    codes : array-like of shape (n_samples, n_codes)
        Learned codes. Dead (constant) ones are left out, with a warning.

    factor_bins : int, default=20
        Number of equal-width bins for each factor that is not discrete: neither made of
        integers, nor of floats each of which occurs at least five times on average.

    quantile : float in [0, 1], default=0.99
        Which quantile of the deviations at a given value of a factor counts; 1 is their
        maximum.

    standardize : bool, default=False
        Standardise the codes. Otherwise codes that vary widely weigh more.

    return_details : bool, default=False
        Return a :class:`~sklearn.utils.Bunch` instead of the score alone.

    Returns
    -------
    score : float, at most 1
        Mean over the codes, weighted by their largest deviation from their mean; 0 when
        all are dead.

    details : Bunch
        Returned instead of ``score`` if `return_details`:

        score : float
            The score.
        per_code : ndarray of shape (n_codes,)
            Robustness of each code, the largest over the factors; 0 for dead codes.
        robustness : ndarray of shape (n_codes, n_factors)
            Robustness of each code to all factors but one; 0 for constant columns.
        weights : ndarray of shape (n_codes,)
            Share of each code in the score.
        factor_mask : ndarray of shape (n_factors,) of bool
            Factors that vary.
        code_mask : ndarray of shape (n_codes,) of bool
            Codes that vary.

    Raises
    ------
    ValueError
        If `factors` and `codes` differ in their number of samples or hold infinity,
        codes hold NaN, no factor varies, or `quantile` is outside [0, 1].

    Notes
    -----
    For code j and factor i, with the samples grouped by the value of the factor,

    .. math::

        S_{ji} = 1 - \frac{\mathrm{mean}_v \, q_{.99}(|c_j - \mathrm{mean}(c_j | z_i =
        v)| \, | z_i = v)}{\max |c_j - \mathrm{mean}(c_j)|}.

    The score has no zero baseline: random Gaussian codes reach .35 to .5, and more
    where a value of a factor has few samples. It can be negative when groups hold
    outliers.

    References
    ----------
    .. [1] Suter et al., "Robustly disentangled causal mechanisms: validating deep
       representations for interventional robustness", ICML 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.metrics import interventional_robustness
    >>> factors = np.stack(np.meshgrid(range(10), range(10)), axis=-1).reshape(-1, 2)
    >>> round(interventional_robustness(factors, factors), 6)
    1.0
    >>> round(interventional_robustness(factors, factors @ [[1, 1], [1, -1]]), 2)
    0.5
    """
    check_scalar(quantile, "quantile", numbers.Real, min_val=0, max_val=1)
    factors, codes, factor_mask, code_mask = check_factors_codes(factors, codes)
    labels = factor_labels(factors, factor_bins)
    warn_of_rare_values(labels)
    # Robustness does not depend on the unit of a code, and normalised codes do not
    # overflow; the weights do depend on it.
    normalizer = ColumnNormalizer(codes)
    codes = normalizer.transform(codes)
    robustness = np.zeros((codes.shape[1], factors.shape[1]))
    for columns, rows in known_groups(factors):
        group = codes[rows]
        largest = np.abs(group - group.mean(axis=0)).max(axis=0)
        live = code_mask & is_varying(group)
        for i in np.arange(len(factor_mask))[columns]:
            if factor_mask[i]:
                deviation = _mean_deviation(group, labels[i][rows], quantile)
                robustness[live, i] = 1.0 - deviation[live] / largest[live]
    per_code = np.where(
        code_mask, robustness.max(axis=1, initial=-np.inf, where=factor_mask), 0.0
    )
    largest = np.abs(codes).max(axis=0)
    if standardize:
        weights = largest
    else:
        unit = normalizer.unit / normalizer.unit.max()
        weights = np.where(code_mask, unit * normalizer.norm * largest, 0.0)
    if code_mask.any():
        weights = weights / weights.sum()
    score = float(weights @ per_code)
    if not return_details:
        return score
    return Bunch(
        score=score,
        per_code=per_code,
        robustness=robustness,
        weights=weights,
        factor_mask=factor_mask,
        code_mask=code_mask,
    )


def _mean_deviation(codes, labels, quantile):
    """Mean over groups of the quantiles of the deviations from the group's mean."""
    # Sorting is much faster in the smallest type that holds the labels.
    small = labels.astype(np.min_scalar_type(labels.max()))
    order = np.argsort(small, kind="stable")
    quantiles = []
    # A group per label: labels run from 0 without gaps.
    for rows in np.split(order, np.cumsum(np.bincount(labels))[:-1]):
        group = codes[rows]
        group -= group.mean(axis=0)
        np.abs(group, out=group)
        quantiles.append(np.quantile(group, quantile, axis=0, overwrite_input=True))
    return np.mean(quantiles, axis=0)
