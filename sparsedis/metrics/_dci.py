"""Disentanglement, completeness and informativeness (DCI)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils import Bunch, check_random_state

from sparsedis._warn import warn
from sparsedis.metrics._columns import ColumnNormalizer
from sparsedis.metrics._details import scores_or_details
from sparsedis.metrics._linear import linear_r2, r2_columns
from sparsedis.metrics._regressions import (
    fit_factors,
    hold_out,
    standardize_both,
    warn_of_constant_parts,
)
from sparsedis.metrics._validation import (
    check_factors_codes,
    check_matrix,
    check_option,
    is_varying,
    known_groups,
)

if TYPE_CHECKING:
    from typing import Any, Literal

    from numpy.typing import ArrayLike

    from sparsedis._typing import RandomState
    from sparsedis.metrics._details import Details

# Added to the shares before their entropy, as in the published implementations.
EPSILON = 1e-11


class DCIScores(NamedTuple):
    """The three scores of :func:`dci`.

    Attributes
    ----------
    disentanglement : float in [0, 1]
        Whether each code is important for a single factor.

    completeness : float in [0, 1]
        Whether each factor has a single important code.

    informativeness : float
        Whether the factors can be predicted from the codes, at most 1.
    """

    disentanglement: float
    completeness: float
    informativeness: float


@scores_or_details
def dci(
    factors: ArrayLike,
    codes: ArrayLike,
    *,
    importance: Any = "linear",
    weighting: Literal["importance", "uniform"] = "importance",
    standardize: bool = True,
    test_factors: ArrayLike | None = None,
    test_codes: ArrayLike | None = None,
    test_size: float = 0.25,
    random_state: RandomState = None,
    return_details: bool = False,
) -> DCIScores | Details:
    r"""Disentanglement, completeness and informativeness.

    Every factor is predicted from all the codes. How important each code is for each
    factor says whether codes serve a single factor (disentanglement) and factors are
    served by a single code (completeness); how good the predictions are is called
    informativeness.

    Parameters
    ----------
    factors : array-like of shape (n_samples, n_factors)
        Ground-truth factors. Constant ones are left out, with a warning. NaN marks
        values that are not known; each factor is scored where it is known.

    codes : array-like of shape (n_samples, n_codes)
        Learned codes. Dead (constant) ones have no importance, with a warning.

    importance : str, regressor or array-like, default="linear"
        Where the importance of codes for factors comes from.

        - "linear": absolute coefficients of ordinary least squares;
        - "lasso": absolute coefficients of ``Lasso(alpha=0.01)``;
        - "random_forest", "gradient_boosting": importances of these scikit-learn
          regressors with their default parameters;
        - a regressor: the absolute ``coef_`` or the ``feature_importances_`` of a clone
          fitted for each factor;
        - an array of shape (n_codes, n_factors): the importances themselves, finite and
          not negative. Informativeness is then that of least squares.

    weighting : {"importance", "uniform"}, default="importance"
        Weight codes by their share of all importance in disentanglement and factors by
        theirs in completeness; or take the plain means over the live codes and over the
        factors, as in the numbers of [2]_.

    standardize : bool, default=True
        Standardise codes and factors before the regressions. Otherwise coefficients
        depend on their units.

    test_factors : array-like of shape (n_test_samples, n_factors), default=None
        Held-out factors for informativeness; needs `test_codes`. None: importances come
        from all samples, and informativeness from a second fit on a random part of them
        evaluated on the rest.

    test_codes : array-like of shape (n_test_samples, n_codes), default=None
        Codes of the samples of `test_factors`.

    test_size : float or int, default=0.25
        Share or number of samples held out where there is no test set.

    random_state : int, RandomState instance or None, default=None
        Draws the held-out samples, and the randomness of the regressors. Pass an int
        for the same informativeness at every call.

    return_details : bool, default=False
        Return a :class:`~sklearn.utils.Bunch` instead of the scores alone.

    Returns
    -------
    scores : DCIScores
        Named tuple of `disentanglement`, `completeness` and `informativeness`.

    details : Bunch
        Returned instead of ``scores`` if `return_details`:

        score : DCIScores
            The scores.
        disentanglement, completeness, informativeness : float
            The same, one by one.
        per_code : ndarray of shape (n_codes,)
            Disentanglement of each code; 0 for those without importance.
        per_factor : ndarray of shape (n_factors,)
            Completeness of each factor; 0 for those left out.
        r2 : ndarray of shape (n_factors,)
            Held-out R2 of each factor; 0 for those left out.
        importance : ndarray of shape (n_codes, n_factors)
            Importances; 0 for dead codes and constant factors.
        factor_mask : ndarray of shape (n_factors,) of bool
            Factors that vary.
        code_mask : ndarray of shape (n_codes,) of bool
            Codes that vary.

    Raises
    ------
    ValueError
        If inputs differ in their number of samples or columns or hold infinity, codes
        hold NaN, no factor varies, only one of the test arrays is given, or an option
        is unknown.

    Notes
    -----
    With importances :math:`I` of k codes for d factors, :math:`P_j = I_{j\cdot} /
    \sum_i I_{ji}` and :math:`Q_i = I_{\cdot i} / \sum_j I_{ji}`, the disentanglement of
    code j is :math:`1 - H_d(P_j)` and the completeness of factor i is :math:`1 -
    H_k(Q_i)`, with entropies to the bases d and k; entropies to the base 1 are 0. Dead
    codes do not lower k.

    Disentanglement and completeness do not see how small the importances are: with
    "lasso", random codes of which hardly any is used can score 1. Read them beside
    informativeness.

    References
    ----------
    .. [1] Eastwood and Williams, "A framework for the quantitative evaluation of
       disentangled representations", ICLR 2018.

    .. [2] Lachapelle et al., "Synergies between disentanglement and sparsity:
       generalization and identifiability in multi-task learning", ICML 2023,
       Section D.2.7.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.metrics import dci
    >>> factors = np.random.default_rng(0).standard_normal((500, 2))
    >>> scores = dci(factors, factors[:, ::-1], random_state=0)
    >>> round(scores.disentanglement, 6), round(scores.informativeness, 6)
    (1.0, 1.0)
    >>> mixed = factors @ [[1.0, 1.0], [1.0, -1.0]]
    >>> round(dci(factors, mixed, random_state=0).disentanglement, 2)
    0.0
    """
    check_option(weighting, "weighting", ("importance", "uniform"))
    factors, codes, factor_mask, code_mask = check_factors_codes(factors, codes)
    rng = check_random_state(random_state)
    regressor, given = _check_importance(importance, codes, factors)
    fit = _Fit(regressor, standardize, rng)
    importances = given
    if given is None and test_factors is None and test_codes is None:
        importances = fit(factors, codes, factors, codes)[0]
    fitted, r2, scored = fit(
        *hold_out(factors, codes, test_factors, test_codes, test_size, rng)
    )
    importances = fitted if importances is None else importances
    importances = np.where(code_mask[:, None] & factor_mask, importances, 0.0)
    per_code, per_factor, disentanglement, completeness = _summarize(
        importances, code_mask, factor_mask, weighting
    )
    warn_of_constant_parts(factor_mask, scored, "informativeness")
    informativeness = float(r2[scored].mean()) if scored.any() else 0.0
    scores = DCIScores(disentanglement, completeness, informativeness)
    if not return_details:
        return scores
    return Bunch(
        score=scores,
        **scores._asdict(),
        per_code=per_code,
        per_factor=per_factor,
        r2=r2,
        importance=importances,
        factor_mask=factor_mask,
        code_mask=code_mask,
    )


def _check_importance(importance, codes, factors):
    """Resolve the option into a regressor (None: least squares) and a matrix."""
    if isinstance(importance, str):
        options = ("linear", "lasso", "random_forest", "gradient_boosting")
        check_option(importance, "importance", options)
        if importance == "lasso":
            # Imported on use, here and below: these load much of scikit-learn.
            from sklearn.linear_model import Lasso

            return Lasso(alpha=0.01, tol=1e-8, max_iter=100_000), None
        if importance == "random_forest":
            from sklearn.ensemble import RandomForestRegressor

            return RandomForestRegressor(), None
        if importance == "gradient_boosting":
            from sklearn.ensemble import GradientBoostingRegressor

            return GradientBoostingRegressor(), None
        return None, None
    if hasattr(importance, "fit"):
        return importance, None
    matrix = check_matrix(importance, "importance", min_samples=1)
    shape = (codes.shape[1], factors.shape[1])
    if matrix.shape != shape or (matrix < 0).any():
        raise ValueError(
            f"importance must be an array of shape (n_codes, n_factors) = {shape} "
            f"without negative values; got shape {matrix.shape} and minimum "
            f"{matrix.min()}."
        )
    return None, matrix


class _Fit:
    """Importances and R2 of the regressions of factors on codes."""

    def __init__(self, regressor, standardize, rng):
        self.regressor = regressor
        self.standardize = standardize
        self.rng = rng

    def __call__(self, factors, codes, test_factors, test_codes):
        """Fit on the first samples, evaluate on the others.

        Factors constant in one of the two are not scored, and have R2 = 0.
        """
        n_factors = factors.shape[1]
        importance = np.zeros((codes.shape[1], n_factors))
        r2, scored = np.zeros(n_factors), np.zeros(n_factors, dtype=bool)
        for columns, rows, test_rows in known_groups(factors, test_factors):
            importance[:, columns], r2[columns], scored[columns] = self._fit(
                factors[rows][:, columns],
                codes[rows],
                test_factors[test_rows][:, columns],
                test_codes[test_rows],
            )
        return importance, r2, scored

    def _fit(self, factors, codes, test_factors, test_codes):
        scored = is_varying(factors) & is_varying(test_factors)
        if self.regressor is None:
            coef, r2 = linear_r2(factors, codes, test_factors, test_codes)
            importance = np.abs(coef.T)
            if not self.standardize:
                z, c = ColumnNormalizer(factors), ColumnNormalizer(codes)
                importance *= z.scale / c.scale[:, None]
            return importance, np.where(scored, r2, 0.0), scored
        parts = factors, codes, test_factors, test_codes
        if self.standardize:
            parts = standardize_both(*parts)
        factors, codes, test_factors, test_codes = parts
        importance = np.zeros((codes.shape[1], factors.shape[1]))
        prediction = np.tile(factors.mean(axis=0), (len(test_factors), 1))
        for i, model, predicted in fit_factors(
            self.regressor, factors, codes, test_codes, self.rng
        ):
            importance[is_varying(codes), i] = _importance_of(model)
            prediction[:, i] = predicted
        r2 = r2_columns(test_factors, prediction)
        return importance, np.where(scored, r2, 0.0), scored


def _importance_of(model):
    for name in ("feature_importances_", "coef_"):
        if hasattr(model, name):
            return np.abs(np.ravel(getattr(model, name)))
    raise ValueError(
        "importance must be a regressor with coef_ or feature_importances_ after fit; "
        f"got {model!r}."
    )


def _summarize(importance, code_mask, factor_mask, weighting):
    """Disentanglement and completeness, per column and weighted."""
    live_importance = importance[:, factor_mask]
    n_codes, n_factors = live_importance.shape
    per_code = np.zeros(n_codes)
    per_code[code_mask] = _one_minus_entropy(live_importance[code_mask], n_factors)
    per_factor = np.zeros(len(factor_mask))
    per_factor[factor_mask] = _one_minus_entropy(live_importance.T, n_codes)
    if weighting == "uniform":
        code_weights, factor_weights = (
            code_mask.astype(float),
            factor_mask.astype(float),
        )
    else:
        code_weights, factor_weights = importance.sum(axis=1), importance.sum(axis=0)
    if not importance.any():
        warn(
            "No code is important for any factor; disentanglement and completeness "
            "are 0.",
            UndefinedMetricWarning,
        )
        return per_code, per_factor, 0.0, 0.0
    return (
        per_code,
        per_factor,
        float(np.average(per_code, weights=code_weights)),
        float(np.average(per_factor, weights=factor_weights)),
    )


def _one_minus_entropy(importance, base):
    """1 - entropy, to that base, of each row; 0 for rows without importance."""
    total = importance.sum(axis=1, keepdims=True)
    share = np.divide(importance, total, out=np.zeros_like(importance), where=total > 0)
    share += EPSILON
    share /= share.sum(axis=1, keepdims=True)
    entropy = -(share * np.log(share)).sum(axis=1)
    if base > 1:
        entropy /= np.log(base)
    return np.where(total[:, 0] > 0, np.clip(1.0 - entropy, 0.0, 1.0), 0.0)
