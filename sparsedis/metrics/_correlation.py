"""Metrics made of correlations: MCC and R."""

import warnings

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import rankdata
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils import Bunch

from sparsedis.metrics._validation import (
    ColumnNormalizer,
    check_factors_codes,
    check_option,
    check_test_set,
    is_varying,
    normalize_columns,
)


def correlation_matrix(factors, codes, method="pearson"):
    """Correlate each factor with each code.

    Parameters
    ----------
    factors : ndarray of shape (n_samples, n_factors)
        Finite values.

    codes : ndarray of shape (n_samples, n_codes)
        Finite values.

    method : {"pearson", "spearman"}, default="pearson"
        Correlation of the values, or of their average ranks.

    Returns
    -------
    ndarray of shape (n_factors, n_codes)
        Correlations in [-1, 1]; 0 for constant columns.
    """
    if method == "spearman":
        factors, codes = rankdata(factors, axis=0), rankdata(codes, axis=0)
    correlation = normalize_columns(factors).T @ normalize_columns(codes)
    return np.clip(correlation, -1.0, 1.0)


def mean_correlation_coefficient(
    factors, codes, *, method="pearson", unmatched="zero", return_details=False
):
    r"""Mean correlation coefficient (MCC) between factors and matched codes.

    Each factor is matched with at most one code, and each code with at most one
    factor, such that the sum of the absolute correlations of the pairs is largest.
    The score is their mean: 1 when every factor is a scaled and shifted copy of a
    code of its own.

    Parameters
    ----------
    factors : array-like of shape (n_samples, n_factors)
        Ground-truth factors. Constant ones are left out, with a warning.

    codes : array-like of shape (n_samples, n_codes)
        Learned codes. Dead (constant) ones have correlation 0, with a warning.

    method : {"pearson", "spearman"}, default="pearson"
        Linear correlation, or correlation of average ranks, which does not change
        under increasing transformations of single columns.

    unmatched : {"zero", "drop"}, default="zero"
        When there are fewer codes than factors, count the factors without a code as
        0, or leave them out. Publications often leave them out, which flatters: four
        of six factors found then give a perfect score.

    return_details : bool, default=False
        Return a :class:`~sklearn.utils.Bunch` instead of the score alone.

    Returns
    -------
    score : float in [0, 1]
        The MCC.

    details : Bunch
        Returned instead of ``score`` if `return_details`:

        score : float
            The MCC.
        per_factor : ndarray of shape (n_factors,)
            Absolute correlation of each factor with its code; 0 without one.
        matching : ndarray of shape (n_factors,) of int
            Column of `codes` matched with each factor; -1 without one.
        signs : ndarray of shape (n_factors,)
            Sign of each of these correlations; 0 without a code or a correlation.
        correlation : ndarray of shape (n_factors, n_codes)
            All correlations, with their signs.
        factor_mask : ndarray of shape (n_factors,) of bool
            Factors that vary, which are those the score averages over.
        code_mask : ndarray of shape (n_codes,) of bool
            Codes that vary.

    Raises
    ------
    ValueError
        If `factors` and `codes` differ in their number of samples or hold NaN or
        infinity, no factor varies, or an option is unknown.

    See Also
    --------
    linear_r_score : The same for codes that may be linear mixtures of the factors.

    Notes
    -----
    With correlations :math:`A_{ij} = |\mathrm{corr}(z_i, c_j)|` of :math:`d` factors
    and :math:`k` codes, the score is :math:`\max_\pi \frac1d \sum_i A_{i \pi(i)}`
    over injective :math:`\pi` of :math:`\min(d, k)` factors, found by the Hungarian
    algorithm. ``unmatched="drop"`` divides by :math:`\min(d, k)`.

    References
    ----------
    .. [1] Hyvärinen and Morioka, "Unsupervised feature extraction by time-contrastive
       learning and nonlinear ICA", NeurIPS 2016.

    .. [2] Lachapelle et al., "Synergies between disentanglement and sparsity:
       generalization and identifiability in multi-task learning", ICML 2023,
       Section 5.1.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.metrics import mean_correlation_coefficient
    >>> factors = np.random.default_rng(0).standard_normal((500, 3))
    >>> codes = factors[:, [2, 0, 1]] * [-1.0, 10.0, 0.1] + 5.0
    >>> round(mean_correlation_coefficient(factors, codes), 6)
    1.0
    >>> details = mean_correlation_coefficient(factors, codes, return_details=True)
    >>> details.matching
    array([1, 2, 0])
    >>> details.signs
    array([ 1.,  1., -1.])
    """
    check_option(method, "method", ("pearson", "spearman"))
    check_option(unmatched, "unmatched", ("zero", "drop"))
    factors, codes, factor_mask, code_mask = check_factors_codes(factors, codes)
    correlation = correlation_matrix(factors, codes, method)
    rows, columns = match(np.abs(correlation[factor_mask]))
    rows = np.flatnonzero(factor_mask)[rows]
    matching = np.full(len(factor_mask), -1)
    matching[rows] = columns
    signs, per_factor = np.zeros(len(matching)), np.zeros(len(matching))
    signs[rows] = np.sign(correlation[rows, columns])
    per_factor[rows] = np.abs(correlation[rows, columns])
    n_terms = len(rows) if unmatched == "drop" else factor_mask.sum()
    score = float(per_factor.sum() / n_terms)
    if not return_details:
        return score
    return Bunch(
        score=score,
        per_factor=per_factor,
        matching=matching,
        signs=signs,
        correlation=correlation,
        factor_mask=factor_mask,
        code_mask=code_mask,
    )


def match(similarity):
    """Pair rows with columns so that the sum of the similarities is largest.

    Parameters
    ----------
    similarity : ndarray of shape (n_rows, n_columns)
        Finite similarities.

    Returns
    -------
    rows, columns : ndarray of shape (min(n_rows, n_columns),) of int
        The pairs, by increasing row.
    """
    return linear_sum_assignment(similarity, maximize=True)


def linear_r_score(
    factors, codes, *, test_factors=None, test_codes=None, return_details=False
):
    r"""Multiple correlation of the factors with the codes, on average.

    Each factor is predicted from all the codes by ordinary least squares. The score
    is 1 when the codes are any invertible linear mixture of the factors: R measures
    identification up to a linear map, where the MCC asks for disentanglement.

    Parameters
    ----------
    factors : array-like of shape (n_samples, n_factors)
        Ground-truth factors. Constant ones are left out, with a warning.

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
        If inputs differ in their number of samples or columns or hold NaN or
        infinity, no factor varies, or only one of the test arrays is given.

    Warns
    -----
    UndefinedMetricWarning
        If there are no more samples than codes plus one: R is 1 whatever the codes.

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
    if len(codes) <= code_mask.sum() + 1:
        warnings.warn(
            f"With {len(codes)} samples and {code_mask.sum()} live codes the linear "
            "fit is perfect whatever the codes; R needs more samples.",
            UndefinedMetricWarning,
            stacklevel=2,
        )
    if test_factors is None and test_codes is None:
        test_factors, test_codes = factors, codes
    else:
        test_factors, test_codes = check_test_set(
            test_factors, test_codes, factors, codes
        )
    coef, r2 = linear_r2(factors, codes, test_factors, test_codes)
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
        What was to be predicted.

    prediction : ndarray of shape (n_samples, n_columns)
        What was predicted.

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
