"""All metrics of codes in one table."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils import check_random_state

from sparsedis._optional import import_optional
from sparsedis._report_text import Report
from sparsedis.metrics._doubts import doubts_about
from sparsedis.metrics._exclusivity import measurement_exclusivity
from sparsedis.metrics._fixed_factor import beta_vae_score, factor_vae_score
from sparsedis.metrics._information import modularity, mutual_information_gap
from sparsedis.metrics._predictability import sap
from sparsedis.metrics._registry import METRICS, resolve_metrics
from sparsedis.metrics._resampling import bootstrap_interval, chance_level
from sparsedis.metrics._validation import check_factors_codes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from numpy.typing import ArrayLike
    from pandas import DataFrame

    from sparsedis._typing import RandomState

# Votes of a score: with the defaults of the metrics, the report would take minutes.
VOTES = {"n_train": 1000, "n_test": 500}
BINS = {"n_bins": 20, "factor_bins": 20}
# A score is at least this far outside of an interval.
_ROUNDING = 1e-9
# Resampling these takes minutes, and all others together seconds.
SLOW = {"dci_explicitness", "explicitness", "infom", "infoc", "infoe"}
# These hold factors fixed, or test given all others: they need to know all of them.
JOINT = [factor_vae_score, beta_vae_score, measurement_exclusivity]


@dataclass(frozen=True, eq=False, repr=False)
class DisentanglementReport(Report):
    """Report on how well codes describe factors.

    ``print(report)`` gives the text, a notebook shows tables, and `to_frame` returns a
    DataFrame. :func:`disentanglement_report` makes it.

    Parameters
    ----------
    table : dict of str to ndarray of shape (n_metrics,)
        Columns, NaN where a metric is not defined:

        metric
            Name, as in :func:`make_disentanglement_scorer`.
        score
            Score of the codes.
        low, high
            Ends of its confidence interval.
        chance
            Mean score of random codes.
        chance_low, chance_high
            Quantiles of the scores of random codes.

    shape : tuple of three int
        Numbers of samples, factors and codes. The text has the size S of DCI-ES, too:
        factors per code.

    confidence_level : float
        Level of the intervals, and share of random codes between the quantiles.

    doubts : list of str, default=()
        Assumptions of the metrics that fail on these data.

    See Also
    --------
    sparsedis.inspection.DisentanglementDisplay : The same as a figure.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.metrics import disentanglement_report
    >>> factors = np.random.default_rng(0).standard_normal((200, 3))
    >>> report = disentanglement_report(
    ...     factors, factors[:, ::-1], ["mcc", "r"], random_state=0
    ... )
    >>> report.table["score"].round(2)
    array([1., 1.])
    """

    table: dict
    shape: tuple
    confidence_level: float
    doubts: Sequence[str] = ()

    def to_frame(self) -> DataFrame:
        """Table of the metrics.

        Returns
        -------
        pandas.DataFrame
            A row for each metric, which is the index, with the columns of `table`.

        Raises
        ------
        ImportError
            Without pandas.
        """
        pandas = import_optional("pandas", "DisentanglementReport.to_frame")
        return pandas.DataFrame(self.table).set_index("metric")

    def _parts(self):
        n_samples, n_factors, n_codes = self.shape
        summary = [
            f"{n_samples} samples, {n_factors} factors, {n_codes} codes, size "
            f"{n_factors / n_codes:.2f}",
            f"low, high: {self.confidence_level:g} confidence interval; chance: mean "
            "score of random codes, and quantiles",
        ]
        return "DisentanglementReport", summary, [self.table], self.doubts


def disentanglement_report(
    factors: ArrayLike,
    codes: ArrayLike,
    metric: list | dict | None = None,
    *,
    n_resamples: int = 100,
    confidence_level: float = 0.95,
    random_state: RandomState = None,
    **kwargs: Any,
) -> DisentanglementReport:
    """Report all metrics of codes, with chance levels, intervals and doubts.

    Parameters
    ----------
    factors : array-like of shape (n_samples, n_factors)
        Ground-truth factors; NaN where they are not known. Constant ones are left out.

    codes : array-like of shape (n_samples, n_codes)
        Learned codes.

    metric : list or dict of metrics, default=None
        As in :func:`make_disentanglement_scorer`. None: all but
        "dci_explicitness", "explicitness", "infom", "infoc" and "infoe", which take
        minutes.

    n_resamples : int, default=100
        Number of permutations for :func:`chance_level`, and of resamples for
        :func:`bootstrap_interval`.

    confidence_level : float in (0, 1), default=0.95
        Level of the intervals.

    random_state : int, RandomState instance or None, default=None
        Draws the resamples, and all that the metrics draw. Pass an int for the same
        report at every call.

    **kwargs : dict
        Arguments of the metrics. Each goes to the metrics that take it. Unless given,
        ``n_bins=20``, ``factor_bins=20``, ``n_train=1000`` and ``n_test=500``.

    Returns
    -------
    DisentanglementReport
        The table, and the doubts.

    Raises
    ------
    ValueError
        If inputs are invalid, or a metric is unknown or raises.
    TypeError
        If no metric takes one of the arguments.

    See Also
    --------
    chance_level : Scores of random codes.
    bootstrap_interval : Confidence interval of a score.

    Notes
    -----
    With a single code, "mig" and "sap" are not defined, and with a single factor that
    varies, "modularity" is not; with no more samples than factors plus one,
    "exclusivity" is not; nor are "exclusivity", "factor_vae" and "beta_vae" if
    `factors` holds NaN. Their rows hold NaN. Warnings of the metrics are among
    the doubts.

    References
    ----------
    .. [1] Joshi et al., "Who guards the guardians? The challenges of evaluating
       identifiability of learned representations", arXiv:2602.24278, 2026.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.metrics import disentanglement_report
    >>> rng = np.random.default_rng(0)
    >>> factors = rng.integers(0, 2, (100, 2))
    >>> codes = factors @ [[1.0, 1.0], [1.0, -1.0]]
    >>> disentanglement_report(factors, codes, ["mcc", "r", "mig"], random_state=0)
    DisentanglementReport
    100 samples, 2 factors, 2 codes, size 1.00
    ...
    metric  score    low  high  chance  chance low  chance high
    mcc      0.71   0.70  0.71 ...
    r        1.00   1.00  1.00 ...
    mig      0.08  -0.09  0.17 ...
    ...
    """
    if metric is None:
        metric = [name for name in METRICS if name not in {"dci", *SLOW}]
    if not isinstance(metric, (list, tuple, dict)):
        raise ValueError(
            f"metric must be a list or a dict of metrics, or None; got {metric!r}."
        )
    rng = check_random_state(random_state)
    metrics = resolve_metrics(metric, kwargs)
    taken = {
        name: value
        for name, value in (BINS | VOTES).items()
        if any(m.takes(name) for m in metrics.values())
    }
    metrics = resolve_metrics(metric, taken | kwargs)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UndefinedMetricWarning)
        factors, codes, factor_mask, code_mask = check_factors_codes(factors, codes)
        few = _named(metrics, _need_more(len(codes), codes.shape[1], factor_mask.sum()))
        partly = _named(metrics, JOINT) if np.isnan(factors).any() else []
        undefined = {*few, *partly}
        defined = {name: m for name, m in metrics.items() if name not in undefined}
        seed = rng.randint(2**31 - 1)
        for function in defined.values():
            function(factors, codes, random_state=seed)
    doubts = list(dict.fromkeys(str(w.message) for w in caught))
    doubts += doubts_about(
        factors,
        codes,
        factor_mask,
        code_mask,
        **{name: kwargs.get(name, default) for name, default in BINS.items()},
    )
    if few:
        doubts.append(f"Not defined on so few columns or samples: {', '.join(few)}.")
    if partly:
        doubts.append(
            f"Not defined on partly known factors: {', '.join(partly)}. Leave out the "
            "rows with NaN."
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        resampling = {
            "n_resamples": n_resamples,
            "confidence_level": confidence_level,
            "random_state": rng.randint(2**31 - 1),
        }
        chance = chance_level(factors, codes, defined, **resampling)
        interval = bootstrap_interval(factors, codes, defined, **resampling)
    rows = [
        (one.score, one.low, one.high, random.mean, random.low, random.high)
        if (one := interval.get(name)) and (random := chance[name])
        else (np.nan,) * 6
        for name in metrics
    ]
    names = ("score", "low", "high", "chance", "chance_low", "chance_high")
    columns = dict(zip(names, np.array(rows).T, strict=True))
    table = {"metric": np.array(list(metrics))} | columns
    score = table["score"]
    outside = (score < table["low"] - _ROUNDING) | (score > table["high"] + _ROUNDING)
    if outside.any():
        these = ", ".join(table["metric"][outside])
        doubts.append(
            f"Too few samples for the intervals of {these}: they correct a bias that "
            "is larger than what they allow for chance."
        )
    random = table["metric"][score <= table["chance_high"]]
    if len(random):
        doubts.insert(0, f"No better than random codes: {', '.join(random)}.")
    shape = (len(codes), factors.shape[1], codes.shape[1])
    return DisentanglementReport(table, shape, confidence_level, doubts)


def _need_more(n_samples, n_codes, n_factors):
    """Metrics that need more columns, or more samples."""
    functions = [mutual_information_gap, sap] if n_codes == 1 else []
    functions += [modularity] if n_factors == 1 else []
    return functions + ([measurement_exclusivity] if n_samples < n_factors + 2 else [])


def _named(metrics, functions):
    """Names of those of these functions that are among the metrics."""
    return [name for name, metric in metrics.items() if metric.function in functions]
