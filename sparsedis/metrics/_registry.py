"""Metrics by name."""

import inspect
import numbers
from functools import partial

from sparsedis.metrics._capacity import dci_explicitness
from sparsedis.metrics._dci import dci
from sparsedis.metrics._exclusivity import measurement_exclusivity
from sparsedis.metrics._fixed_factor import beta_vae_score, factor_vae_score
from sparsedis.metrics._infomec import infomec
from sparsedis.metrics._information import modularity, mutual_information_gap
from sparsedis.metrics._linear import linear_r_score
from sparsedis.metrics._mcc import mean_correlation_coefficient
from sparsedis.metrics._minimality import minimality_sufficiency
from sparsedis.metrics._predictability import explicitness, sap
from sparsedis.metrics._robustness import interventional_robustness

# Function, and which of its scores where it has several.
METRICS = {
    "mcc": (mean_correlation_coefficient, None),
    "r": (linear_r_score, None),
    "dci": (dci, "disentanglement"),
    "dci_disentanglement": (dci, "disentanglement"),
    "dci_completeness": (dci, "completeness"),
    "dci_informativeness": (dci, "informativeness"),
    "dci_explicitness": (dci_explicitness, None),
    "mig": (mutual_information_gap, None),
    "infom": (infomec, "modularity"),
    "infoc": (infomec, "compactness"),
    "infoe": (infomec, "explicitness"),
    "minimality": (minimality_sufficiency, "minimality"),
    "sufficiency": (minimality_sufficiency, "sufficiency"),
    "exclusivity": (measurement_exclusivity, None),
    "modularity": (modularity, None),
    "explicitness": (explicitness, None),
    "sap": (sap, None),
    "irs": (interventional_robustness, None),
    "factor_vae": (factor_vae_score, None),
    "beta_vae": (beta_vae_score, None),
}


def resolve_metrics(metric, params=None):
    """Resolve a `metric` argument, one or several metrics, into functions.

    Parameters
    ----------
    metric : str, callable, sequence of these, or dict of str to these
        Names in `METRICS`, or functions ``metric(factors, codes)`` that return a
        number.

    params : dict, default=None
        Keyword arguments. Each goes to the metrics that take it.

    Returns
    -------
    dict of str to callable
        Functions of factors and codes, by name.
    """
    if isinstance(metric, dict):
        named = dict(metric)
    elif isinstance(metric, (list, tuple)):
        named = {_name(m): m for m in metric}
        if len(named) < len(metric):
            raise ValueError(f"metric must not repeat a name; got {metric!r}.")
    else:
        named = {_name(metric): metric}
    if not named:
        raise ValueError(f"metric must name at least one metric; got {metric!r}.")
    resolved, unused = {}, set(params or {})
    for name, value in named.items():
        if isinstance(value, _Metric):  # resolved before, with its arguments
            resolved[name] = value
            continue
        _name(value)  # raises unless it is a known name or a function
        function, field = METRICS[value] if isinstance(value, str) else (value, None)
        accepted = _accepted(function, params or {})
        unused -= set(accepted)
        resolved[name] = _Metric(name, function, field, accepted)
    if unused:
        raise TypeError(
            f"None of the metrics {list(named)} takes the argument(s) {sorted(unused)}."
        )
    return resolved


def _name(metric):
    if isinstance(metric, str):
        if metric not in METRICS:
            raise ValueError(
                f"metric must be one of {list(METRICS)}, or a function "
                f"metric(factors, codes); got {metric!r}."
            )
        return metric
    if not callable(metric):
        raise ValueError(
            f"metric must be one of {list(METRICS)}, or a function "
            f"metric(factors, codes), or several of these; got {metric!r}."
        )
    if isinstance(metric, partial):
        return _name(metric.func)
    return getattr(metric, "__name__", type(metric).__name__)


def _accepted(function, params):
    """The parameters that the function takes by keyword."""
    signature = inspect.signature(function).parameters
    kinds = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return {
        name: value
        for name, value in params.items()
        if name in signature and signature[name].kind in kinds
    }


class _Metric:
    """A function of factors and codes that returns a float; picklable."""

    def __init__(self, name, function, field, params):
        self.name = name
        self.function = function
        self.field = field
        self.params = params

    def takes(self, name):
        """Whether the function has a parameter of this name."""
        return bool(_accepted(self.function, {name: None}))

    def __call__(self, factors, codes, **optional):
        """Score; `optional` arguments are left out if the function takes none such."""
        params = self.params | _accepted(self.function, optional)
        if self.function is dci and self.field != "informativeness":
            # Importances come from all samples: a held-out part would go unused.
            params = params | {"test_factors": factors, "test_codes": codes}
        if self.function is infomec:  # classifiers only where they are asked for
            params = params | {"explicitness": self.field == "explicitness"}
        score = self.function(factors, codes, **params)
        if self.field is not None:
            score = getattr(score, self.field)
        if not isinstance(score, numbers.Real):
            raise ValueError(
                f"metric {self.name!r} must return a number; got {score!r}."
            )
        return float(score)
