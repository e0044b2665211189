"""An estimator that aligns codes with factors and scores them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import check_is_fitted, validate_data

from sparsedis._fitted import whole_or_not
from sparsedis._warn import warn
from sparsedis.inputs._plain import check_plain
from sparsedis.metrics._alignment import fit_alignment
from sparsedis.metrics._fit_scores import fit_scores, summary
from sparsedis.metrics._mcc import correlation_matrix, mean_correlation_coefficient
from sparsedis.metrics._registry import resolve_metrics
from sparsedis.metrics._validation import check_option, is_varying

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Literal, Self

    from numpy.typing import ArrayLike

# Fitted attributes other than scores, without the underscore at their end.
_LEARNED = (
    *("matching", "signs", "scales", "shifts", "coef", "intercept", "correlation"),
    *("scores", "blocks", "block_codes", "factor_names"),
    *("n_features_in", "feature_names_in"),
)


class DisentanglementScorer(TransformerMixin, BaseEstimator):
    """Align codes with ground-truth factors, and score how disentangled they are.

    ``fit`` matches each factor with a code as in
    :func:`~sparsedis.metrics.mean_correlation_coefficient`, and learns the sign, scale
    and shift that predict the factor from it. ``transform`` puts codes in the order and
    the units of the factors.

    Parameters
    ----------
    metric : str or callable, default="mcc"
        Metric that :meth:`score` returns, larger for better. Names are those of
        :func:`~sparsedis.metrics.make_disentanglement_scorer`; a callable is called as
        ``metric(factors, codes)`` and returns a number.

    method : {"pearson", "spearman"}, default="pearson"
        Correlation that the matching and the MCC use. Scales and shifts are linear
        either way.

    unmatched : {"zero", "drop"}, default="zero"
        Count factors without a code as 0 in the MCC, or leave them out.

    blocks : sequence of sequence of int, default=None
        Disjoint groups of factors that may stay mixed: matched by block, and predicted
        from all the codes of their block. See
        :func:`~sparsedis.metrics.mean_correlation_coefficient`.

    metric_params : dict, default=None
        Arguments of the metric, for example ``{"random_state": 0}``. The MCC has its
        arguments above.

    Attributes
    ----------
    matching_ : ndarray of shape (n_factors,) of int
        Code matched with each factor; -1 without one.

    signs_ : ndarray of shape (n_factors,)
        Sign of the correlation of each factor with its code; 0 without one.

    scales_ : ndarray of shape (n_factors,)
        Units of the factor for a unit of its code, not negative; 0 without a code. Not
        available with `blocks`.

    shifts_ : ndarray of shape (n_factors,)
        Shift in units of the factor. The aligned code is ``signs_ * scales_ *
        codes[:, matching_] + shifts_``. Not available with `blocks`.

    coef_ : ndarray of shape (n_factors, n_codes)
        The same as a linear map: the aligned codes are ``codes @ coef_.T +
        intercept_``. A row has no entry but for the matched code or the codes of the
        block.

    intercept_ : ndarray of shape (n_factors,)
        Intercepts of this map.

    correlation_ : ndarray of shape (n_factors, n_codes)
        Correlations of factors and codes.

    scores_ : Bunch
        Metrics of the fit by name: "mcc", "r", "dci_disentanglement",
        "dci_completeness", "sap" (from two codes on) and `metric`.

    mcc_, r_, dci_disentanglement_, dci_completeness_, sap_ : float
        The same, one by one; likewise for `metric`. That of a function has its name, or
        "metric" where the name is taken; that of a lambda is in `scores_` alone.

    blocks_ : list of ndarray of int
        Factors of each block. Only with `blocks`.

    block_codes_ : list of ndarray of int
        Codes of each block. Only with `blocks`.

    factor_names_ : ndarray of shape (n_factors,) of object
        Column names of `y`, or "factor0", "factor1", ...

    n_features_in_ : int
        Number of codes.

    feature_names_in_ : ndarray of shape (n_codes,) of object
        Names of the codes. Only if `X` has column names.

    See Also
    --------
    sparsedis.metrics.make_disentanglement_scorer : Scores estimators by their codes in
        model selection.

    Notes
    -----
    For "mcc", :meth:`score` uses the alignment learned in ``fit``: the mean correlation
    of the factors with their aligned codes. On the samples of the fit this is the MCC;
    on other samples the matching is not fitted again, and correlations whose sign
    differs from that in the fit are negative. All other metrics are computed from the
    given samples.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.metrics import DisentanglementScorer
    >>> factors = np.random.default_rng(0).standard_normal((500, 2))
    >>> codes = 3.0 - 2.0 * factors[:, [1, 0]]
    >>> scorer = DisentanglementScorer().fit(codes, factors)
    >>> scorer
    DisentanglementScorer()
    mcc 1.000   r 1.000   dci_disentanglement 1.000   dci_completeness 1.000 ...
    factor   code  correlation  scale  shift
    factor0     1       -1.000    0.5    1.5
    factor1     0       -1.000    0.5    1.5
    >>> bool(np.allclose(scorer.transform(codes), factors))
    True
    >>> round(scorer.score(codes, factors), 6)
    1.0
    """

    def __init__(
        self,
        metric: str | Callable = "mcc",
        *,
        method: Literal["pearson", "spearman"] = "pearson",
        unmatched: Literal["zero", "drop"] = "zero",
        blocks: Sequence[ArrayLike] | None = None,
        metric_params: dict | None = None,
    ) -> None:
        self.metric = metric
        self.method = method
        self.unmatched = unmatched
        self.blocks = blocks
        self.metric_params = metric_params

    @whole_or_not
    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Learn which code belongs to which factor, and how they relate.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_codes)
            Codes.

        y : array-like of shape (n_samples, n_factors) or (n_samples,)
            Ground-truth factors; NaN where they are not known.

        Returns
        -------
        self : DisentanglementScorer
            Fitted.

        Raises
        ------
        ValueError
            When inputs are invalid, or a factor is not known on any sample.
        """
        metric = self._check_metric()
        # What is set afterwards is for the next fit.
        self._used = metric, self.method, self.unmatched
        names = getattr(y, "columns", None)
        X, y = self._validate(X, y, reset=True)
        unknown = np.isnan(y).all(axis=0)
        if unknown.any():
            raise ValueError(
                f"y must have a known value of each factor; column(s) "
                f"{np.flatnonzero(unknown).tolist()} hold NaN alone."
            )
        if names is None:
            names = _numbered(y.shape[1])
        self.factor_names_ = np.asarray(names, dtype=object)
        details = mean_correlation_coefficient(
            y,
            X,
            method=self.method,
            unmatched=self.unmatched,
            blocks=self.blocks,
            return_details=True,
        )
        self.matching_, self.signs_ = details.matching, details.signs
        self.correlation_ = details.correlation
        if self.blocks is not None:
            self.blocks_, self.block_codes_ = details.blocks, details.block_codes
        self.coef_, self.intercept_ = fit_alignment(y, X, details)
        if self.blocks is None:
            self.scales_ = np.abs(self.coef_).sum(axis=1)
            self.shifts_ = self.intercept_
        # A function may have the name of another attribute.
        taken = () if isinstance(self.metric, str) else _LEARNED
        self.scores_ = fit_scores(y, X, details.score, metric, taken)
        for name, value in self.scores_.items():
            # Functions may have any name, "<lambda>" for one.
            if name.isidentifier():
                setattr(self, f"{name}_", value)
        return self

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Align codes with the factors.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_codes)
            Codes.

        Returns
        -------
        ndarray of shape (n_samples, n_factors)
            The least-squares prediction of each factor from its code, or from the codes
            of its block. Factors without a code, constant ones among them, are their
            mean over the samples of the fit.
        """
        check_is_fitted(self)
        check_plain(X, "X")
        X = validate_data(self, X, reset=False, dtype=np.float64)
        return X @ self.coef_.T + self.intercept_

    def score(self, X: ArrayLike, y: ArrayLike) -> float:
        """Score codes against factors, with the metric of the fit.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_codes)
            Codes.

        y : array-like of shape (n_samples, n_factors) or (n_samples,)
            Ground-truth factors; NaN where they are not known. Columns with names may
            come in another order than in `fit`.

        Returns
        -------
        float
            The metric; see Notes on which use the learned alignment.

        Raises
        ------
        ValueError
            When y has other factors than in `fit`.
        """
        check_is_fitted(self)
        metric, method, unmatched = self._used
        X, y = self._validate(X, self._in_order(y), reset=False)
        if y.shape[1] != len(self.coef_):
            raise ValueError(
                f"y must have the factors of the fit, {len(self.coef_)}; got "
                f"{y.shape[1]}."
            )
        if metric is not None:
            return metric(y, X)
        counted = is_varying(y)
        if not counted.any():
            raise ValueError("y must have a column that varies.")
        if not counted.all():
            warn(
                f"Constant column(s) {np.flatnonzero(~counted).tolist()} of y are left "
                "out.",
                UndefinedMetricWarning,
            )
        aligned = X @ self.coef_.T + self.intercept_
        pairs = [
            correlation_matrix(y[:, [i]], aligned[:, [i]], method)[0, 0]
            for i in range(len(counted))
        ]
        if unmatched == "drop":
            counted = counted & self._has_code()
        return float(np.mean(pairs, where=counted)) if counted.any() else 0.0

    def get_feature_names_out(
        self, input_features: ArrayLike | None = None
    ) -> np.ndarray:
        """Names of the aligned codes: those of the factors.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Not used.

        Returns
        -------
        ndarray of shape (n_factors,) of object
            Names of the factors.
        """
        check_is_fitted(self)
        return self.factor_names_

    def _in_order(self, y):
        """Factors in the order of the fit, by the names of their columns."""
        columns, names = list(getattr(y, "columns", ())), self.factor_names_.tolist()
        if not columns or columns == names or names == _numbered(len(names)):
            return y
        if len(columns) != len(names) or set(columns) != set(names):
            raise ValueError(
                f"y must have the factors of the fit, {names}, in any order; got "
                f"columns {columns}."
            )
        return y[names]

    def _check_metric(self):
        """The function to score with; None for the MCC of the learned alignment."""
        check_option(self.method, "method", ("pearson", "spearman"))
        check_option(self.unmatched, "unmatched", ("zero", "drop"))
        if not isinstance(self.metric, str) and not callable(self.metric):
            raise ValueError(
                "metric must be a name or a function metric(factors, codes); got "
                f"{self.metric!r}."
            )
        if self.metric == "mcc":
            if self.metric_params:
                raise ValueError(
                    "metric='mcc' has no metric_params: set method, unmatched and "
                    f"blocks instead; got metric_params={self.metric_params!r}."
                )
            return None
        (metric,) = resolve_metrics(self.metric, self.metric_params).values()
        return metric

    def _validate(self, X, y, reset):
        check_plain(X, "X")
        check_plain(y, "y")
        X, y = validate_data(
            self,
            X,
            y,
            reset=reset,
            validate_separately=(
                {"dtype": np.float64, "ensure_min_samples": 2},
                {
                    "dtype": np.float64,
                    "ensure_2d": False,
                    "ensure_all_finite": "allow-nan",
                },
            ),
        )
        check_consistent_length(X, y)
        return X, y.reshape(len(y), -1)

    def _has_code(self):
        """Factors that have a code, or whose block has one."""
        has_code = self.matching_ >= 0
        if "blocks_" in vars(self):
            for block, columns in zip(self.blocks_, self.block_codes_, strict=True):
                has_code[block] = len(columns) > 0
        return has_code

    def __repr__(self, N_CHAR_MAX=700):
        text = super().__repr__(N_CHAR_MAX)
        return text if not hasattr(self, "scores_") else f"{text}\n{summary(self)}"

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        return tags


def _numbered(n_factors):
    """Names of factors that come without."""
    return [f"factor{i}" for i in range(n_factors)]
