"""Metrics of codes that were aligned with factors, and their table."""

import warnings

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils import Bunch

from sparsedis._report_text import aligned
from sparsedis.metrics._registry import resolve_metrics

# Closed forms that take factors of any kind.
REPORTED = ("r", "dci_disentanglement", "dci_completeness", "sap")


def fit_scores(factors, codes, mcc, metric, taken):
    """Metrics by name: the MCC, those of `REPORTED`, and one that was asked for.

    Parameters
    ----------
    factors : ndarray of shape (n_samples, n_factors)

    codes : ndarray of shape (n_samples, n_codes)

    mcc : float

    metric : callable or None
        As :func:`~sparsedis.metrics._registry.resolve_metrics` returns it.

    taken : sequence of str
        Further names that the metric must not have; it is "metric" then. Empty: the
        metric may replace another one.

    Returns
    -------
    Bunch
    """
    metrics = resolve_metrics([n for n in REPORTED if n != "sap" or codes.shape[1] > 1])
    if metric is not None:
        clash = taken and metric.name in {"mcc", *metrics, *taken}
        metrics["metric" if clash else metric.name] = metric
    scores = Bunch(mcc=mcc)
    with warnings.catch_warnings():
        # Constant columns have been named already, by the matching.
        warnings.filterwarnings(
            "ignore",
            message="(Dead|Constant|No code is important)",
            category=UndefinedMetricWarning,
        )
        for name, function in metrics.items():
            scores[name] = function(factors, codes)
    return scores


def summary(scorer):
    """The metrics of a fit, and a line for each factor.

    Parameters
    ----------
    scorer : DisentanglementScorer
        Fitted.

    Returns
    -------
    str
    """
    scores = "   ".join(f"{name} {value:.3f}" for name, value in scorer.scores_.items())
    codes = getattr(scorer, "feature_names_in_", np.arange(scorer.n_features_in_))
    columns = {
        "factor": map(str, scorer.factor_names_),
        "code": ["-" if j < 0 else str(codes[j]) for j in scorer.matching_],
        "correlation": [
            "-" if j < 0 else f"{scorer.correlation_[i, j]:+.3f}"
            for i, j in enumerate(scorer.matching_)
        ],
    }
    if hasattr(scorer, "scales_"):
        columns["scale"] = [f"{scale:.3g}" for scale in scorer.scales_]
        columns["shift"] = [f"{shift:.3g}" for shift in scorer.shifts_]
    columns = {name: [name, *cells] for name, cells in columns.items()}
    return "\n".join([scores, *aligned(columns, to_the_left=["factor"])])
