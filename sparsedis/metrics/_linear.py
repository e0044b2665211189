"""Linear predictability of the factors: the score R, and regressions used by DCI."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils import Bunch

from sparsedis._warn import warn
from sparsedis.metrics._columns import ColumnNormalizer
from sparsedis.metrics._details import scores_or_details
from sparsedis.metrics._validation import (
    check_factors_codes,
    check_test_set,
    is_varying,
    known_groups,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from sparsedis.metrics._details import Details


@scores_or_details
def linear_r_score(
    factors: ArrayLike,
    codes: ArrayLike,
    *,
    test_factors: ArrayLike | None = None,
    test_codes: ArrayLike | None = None,
    return_details: bool = False,
) -> float | Details:
    r"""Multiple correlation of the factors with the codes, on average.

    Each factor is predicted from all the codes by ordinary least squares. The score
    is 1 when the codes are any invertible linear mixture of the factors: R measures
    identification up to a linear map, whereas the MCC requires disentanglement.

    Parameters
    ----------
    factors : array-like of shape (n_samples, n_factors)
        Ground-truth factors. Constant ones are left out, with a warning. NaN marks
        values that are not known; each factor is scored where it is known.

    codes : array-like of shape (n_samples, n_codes)
        Learned codes. Dead (constant) ones predict nothing, with a warning.

    test_factors : array-like of shape (n_test_samples, n_factors), default=None
        Factors to evaluate the predictions on; needs `test_codes`. None: the
        predictions are evaluated where they were fitted.

    test_codes : array-like of shape (n_test_samples, n_codes), default=None
        Codes of the samples of `test_factors`.

    return_details : bool, default=False
        Return a :class:`~sklearn.utils.Bunch` instead of the score alone.

    Returns
    -------
    score : float in [0, 1]
        Mean over the factors of the square root of R2, with a negative R2 (possible
        on test samples) counting as 0.

    details : Bunch
        Returned instead of ``score`` if `return_details`:

        score : float
            The score.
        per_factor : ndarray of shape (n_factors,)
            Square root of the non-negative part of R2; 0 for those left out.
        r2 : ndarray of shape (n_factors,)
            Coefficient of determination, not clipped; 0 for those left out.
        coef : ndarray of shape (n_factors, n_codes)
            Coefficients of the standardised codes for the standardised factors.
        factor_mask : ndarray of shape (n_factors,) of bool
            Factors that the score averages over.
        code_mask : ndarray of shape (n_codes,) of bool
            Codes that vary.

    Raises
    ------
    ValueError
        If inputs differ in their number of samples or columns or hold infinity, codes
        hold NaN, no factor varies, or only one of the test arrays is given.

    Warns
    -----
    UndefinedMetricWarning
        If there are no more samples than codes plus one: R is then 1 for any codes.

    See Also
    --------
    mean_correlation_coefficient : Matches each factor with a single code.

    References
    ----------
    .. [1] Lachapelle et al., "Synergies between disentanglement and sparsity:
       generalization and identifiability in multi-task learning", ICML 2023,
       Section D.2.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.metrics import linear_r_score, mean_correlation_coefficient
    >>> factors = np.random.default_rng(0).standard_normal((500, 2))
    >>> codes = factors @ [[1.0, 1.0], [1.0, -1.0]]
    >>> round(linear_r_score(factors, codes), 6)
    1.0
    >>> round(mean_correlation_coefficient(factors, codes), 2)
    0.71
    """
    factors, codes, factor_mask, code_mask = check_factors_codes(factors, codes)
    n_known = (~np.isnan(factors[:, factor_mask])).sum(axis=0).min()
    if n_known <= code_mask.sum() + 1:
        warn(
            f"With {n_known} samples and {code_mask.sum()} live codes the linear "
            "fit is perfect for any codes; R needs more samples.",
            UndefinedMetricWarning,
        )
    if test_factors is None and test_codes is None:
        test_factors, test_codes = factors, codes
    else:
        test_factors, test_codes = check_test_set(
            test_factors, test_codes, factors, codes
        )
    coef, r2 = np.zeros((len(factor_mask), len(code_mask))), np.zeros(len(factor_mask))
    for columns, rows, test_rows in known_groups(factors, test_factors):
        coef[columns], r2[columns] = linear_r2(
            factors[rows][:, columns],
            codes[rows],
            test_factors[test_rows][:, columns],
            test_codes[test_rows],
        )
    # A factor may be constant on the test samples alone.
    factor_mask = factor_mask & is_varying(test_factors)
    if not factor_mask.any():
        raise ValueError("No column of factors varies on the test samples.")
    r2 = np.where(factor_mask, r2, 0.0)
    per_factor = np.sqrt(np.maximum(r2, 0.0))
    score = float(per_factor[factor_mask].mean())
    if not return_details:
        return score
    return Bunch(
        score=score,
        per_factor=per_factor,
        r2=r2,
        coef=coef,
        factor_mask=factor_mask,
        code_mask=code_mask,
    )


def linear_r2(factors, codes, test_factors, test_codes):
    """Fit factors by least squares on codes, and evaluate on other samples.

    Parameters
    ----------
    factors : ndarray of shape (n_samples, n_factors)
        Factors to fit.

    codes : ndarray of shape (n_samples, n_codes)
        Codes of the same samples.

    test_factors : ndarray of shape (n_test_samples, n_factors)
        Factors to predict.

    test_codes : ndarray of shape (n_test_samples, n_codes)
        Codes of the same samples.

    Returns
    -------
    coef : ndarray of shape (n_factors, n_codes)
        Coefficients between standardised columns; of minimum norm when the codes are
        linearly dependent, so 0 for constant ones.

    r2 : ndarray of shape (n_factors,)
        Coefficients of determination; 0 where the factor is constant in either part.
    """
    normalize_factors, normalize_codes = (
        ColumnNormalizer(factors),
        ColumnNormalizer(codes),
    )
    coef = np.linalg.lstsq(
        normalize_codes.transform(codes), normalize_factors.transform(factors)
    )[0]
    target = normalize_factors.transform(test_factors)
    return coef.T, r2_columns(target, normalize_codes.transform(test_codes) @ coef)


def r2_columns(target, prediction):
    """Coefficient of determination of each column.

    Parameters
    ----------
    target : ndarray of shape (n_samples, n_columns)
        True values.

    prediction : ndarray of shape (n_samples, n_columns)
        Predicted values.

    Returns
    -------
    ndarray of shape (n_columns,)
        R2; 0 where the target is constant.
    """
    varying = is_varying(target)
    total = ((target - target.mean(axis=0)) ** 2).sum(axis=0)
    total[~varying] = 1.0
    residual = ((target - prediction) ** 2).sum(axis=0)
    return np.where(varying, 1.0 - residual / total, 0.0)
