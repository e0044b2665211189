"""Exclusivity of the codes as measurements of the factors (T-MEX)."""

from __future__ import annotations

import numbers
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import t as student
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils import Bunch, check_scalar

from sparsedis._warn import warn
from sparsedis.metrics._columns import normalize_columns
from sparsedis.metrics._details import scores_or_details
from sparsedis.metrics._mcc import match
from sparsedis.metrics._validation import check_all_known, check_factors_codes

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from sparsedis.metrics._details import Details

# What is left of a column of unit norm up to this is rounding.
ROUNDING = 1e-9


@scores_or_details
def measurement_exclusivity(
    factors: ArrayLike,
    codes: ArrayLike,
    *,
    model: ArrayLike | None = None,
    level: float = 0.05,
    return_details: bool = False,
) -> float | Details:
    r"""Measurement exclusivity of the codes, from the test-based score T-MEX.

    A code measures a factor if it depends on it, given all other factors. This is
    tested for each pair, so that a code of one factor does not count for others that
    are correlated with it.

    Parameters
    ----------
    factors : array-like of shape (n_samples, n_factors)
        Ground-truth factors, all known. Constant ones are left out, with a warning.

    codes : array-like of shape (n_samples, n_codes)
        Learned codes. Dead (constant) ones measure nothing, with a warning.

    model : array-like of shape (n_codes, n_factors) of bool, default=None
        Which code should measure which factor. None: each factor is measured by one
        code, matched by the largest partial correlations, and other codes by none.

    level : float in (0, 1), default=0.05
        Significance level of each test.

    return_details : bool, default=False
        Return a :class:`~sklearn.utils.Bunch` instead of the score alone.

    Returns
    -------
    score : float in [0, 1]
        Share of the pairs on which the tests agree with the model.

    details : Bunch
        Returned instead of ``score`` if `return_details`:

        score : float
            The score.
        t_mex : int
            T-MEX itself: the number of pairs on which they do not.
        per_factor : ndarray of shape (n_factors,)
            Share of the codes on which they agree; 0 for factors left out.
        measured : ndarray of shape (n_codes, n_factors) of bool
            Which code measures which factor by the tests.
        model : ndarray of shape (n_codes, n_factors) of bool
            Which should.
        p_values : ndarray of shape (n_codes, n_factors)
            Of the tests; 1 for constant columns.
        factor_mask : ndarray of shape (n_factors,) of bool
            Factors that vary.
        code_mask : ndarray of shape (n_codes,) of bool
            Codes that vary.

    Raises
    ------
    ValueError
        If `factors` and `codes` differ in their number of samples or hold NaN or
        infinity, no factor varies, there are no more samples than factors plus one,
        `model` has another shape or other values, or `level` is not in (0, 1).

    Warns
    -----
    UndefinedMetricWarning
        If a factor is a linear function of others: no code can measure it given these.

    See Also
    --------
    minimality_sufficiency : For dependent factors too, without a test.

    Notes
    -----
    With a model :math:`V` and rejections :math:`\hat V` of the hypotheses that code j
    is independent of factor i given all other factors, T-MEX is

    .. math::

        \sum_{ji} |V_{ji} - \hat V_{ji}|.

    The score divides it by the number of pairs, and subtracts that from 1. T-MEX is
    defined for any test; here it is the linear one of the partial correlation. It does
    not find that a code measures a factor if their relation has no linear trend.
    Factors for which there is no code do not lower the score.

    Random codes measure next to nothing, and the model says that most codes should not
    measure most factors. So with k codes and k factors, random codes agree on a share
    of a little more than 1 - 1/k. Compare with :func:`chance_level`.

    References
    ----------
    .. [1] Yao et al., "The third pillar of causal analysis? A measurement perspective
       on causal representations", NeurIPS 2025.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.metrics import measurement_exclusivity
    >>> rng = np.random.default_rng(0)
    >>> factors = rng.multivariate_normal([0, 0], [[1.0, 0.9], [0.9, 1.0]], 500)
    >>> measurement_exclusivity(factors, -2.0 * factors[:, ::-1])
    1.0
    >>> mixed = factors @ [[1.0, 0.5], [0.5, 1.0]]
    >>> measurement_exclusivity(factors, mixed)
    0.5
    """
    check_scalar(
        level, "level", numbers.Real, min_val=0, max_val=1, include_boundaries="neither"
    )
    factors, codes, factor_mask, code_mask = check_factors_codes(factors, codes)
    check_all_known(factors, "a test given all other factors")
    freedom = len(codes) - factor_mask.sum() - 1
    if freedom < 1:
        raise ValueError(
            "The tests need more samples than factors plus one; got "
            f"{len(codes)} samples and {factor_mask.sum()} factors."
        )
    shape = len(code_mask), len(factor_mask)
    partial = np.zeros(shape)
    partial[:, factor_mask] = _partial_correlations(
        factors[:, factor_mask], codes, np.flatnonzero(factor_mask)
    )
    with np.errstate(divide="ignore"):
        statistic = np.abs(partial) * np.sqrt(freedom / (1 - partial**2))
    p_values = 2 * student.sf(statistic, freedom)
    measured = p_values < level
    if model is None:
        model = np.zeros(shape, dtype=bool)
        rows, columns = match(np.abs(partial[:, factor_mask]))
        model[rows, np.flatnonzero(factor_mask)[columns]] = True
    else:
        model = _check_model(model, shape)
    agree = (measured == model) & factor_mask
    score = float(agree[:, factor_mask].mean())
    if not return_details:
        return score
    return Bunch(
        score=score,
        t_mex=int((measured != model)[:, factor_mask].sum()),
        per_factor=agree.mean(axis=0),
        measured=measured,
        model=model,
        p_values=p_values,
        factor_mask=factor_mask,
        code_mask=code_mask,
    )


def _partial_correlations(factors, codes, names):
    """Correlations of each code and each factor, given all other factors."""
    z, c = normalize_columns(factors), normalize_columns(codes)
    partial = np.zeros((c.shape[1], z.shape[1]))
    determined = []
    for i in range(z.shape[1]):
        basis, singular, _ = np.linalg.svd(np.delete(z, i, axis=1), full_matrices=False)
        # Columns have unit norm: an absolute threshold tells dependent ones.
        basis = basis[:, singular > ROUNDING]
        own = z[:, i] - basis @ (basis.T @ z[:, i])
        rest = c - basis @ (basis.T @ c)
        own_norm, norms = np.linalg.norm(own), np.linalg.norm(rest, axis=0)
        if own_norm <= ROUNDING:
            determined.append(int(names[i]))
            continue
        live = norms > ROUNDING
        partial[live, i] = own @ rest[:, live] / (own_norm * norms[live])
    if determined:
        warn(
            f"Column(s) {determined} of factors are linear functions of others, given "
            "which no code can measure them.",
            UndefinedMetricWarning,
        )
    return np.clip(partial, -1.0, 1.0)


def _check_model(model, shape):
    model = np.asarray(model)
    if model.dtype != bool or model.shape != shape:
        raise ValueError(
            "model must be a boolean array of shape (n_codes, n_factors) = "
            f"{shape}; got {model.dtype} of shape {model.shape}."
        )
    return model
