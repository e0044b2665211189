"""Scores of codes whose relation to the factors is known, and where they mislead.

``python -m benchmarks.metrics`` prints a table of conditions and metrics, means over
the seeds. ``+`` marks a score of .8 or more where what the metric claims is not true,
``-`` a lower one where it is. It takes three minutes of a CPU.
"""

import argparse
import inspect
import json
import warnings
from pathlib import Path

import numpy as np
from sklearn.ensemble import RandomForestRegressor
from sklearn.exceptions import UndefinedMetricWarning

from benchmarks.metrics._conditions import BY_NAME, CONDITIONS, PROPERTIES
from sparsedis import metrics

# From here on, a score says that what the metric claims is true.
THRESHOLD = 0.8
_BINS = {"factor_bins": 20}
_INFORMATION = {**_BINS, "n_bins": 20}
_VOTES = {**_BINS, "n_train": 1000, "n_test": 500}
_FOREST = {"importance": RandomForestRegressor(n_estimators=30)}
_PROBES = [
    (depth, RandomForestRegressor(n_estimators=10, max_depth=depth))
    for depth in (1, 2, 4, 8, 16, 32)
]

# Functions, their arguments, and for each column of the table the score that it shows
# where there are several, and the property that it claims.
METRICS = [
    (metrics.mean_correlation_coefficient, {}, {"mcc": (None, "scale")}),
    (
        metrics.mean_correlation_coefficient,
        {"method": "spearman"},
        {"rank": (None, "order")},
    ),
    (metrics.linear_r_score, {}, {"r": (None, "linear")}),
    (
        metrics.dci,
        {},
        {
            "dciD": ("disentanglement", "separate"),
            "dciC": ("completeness", "only"),
            "dciI": ("informativeness", "linear"),
        },
    ),
    (
        metrics.dci,
        _FOREST,
        {"rfD": ("disentanglement", "separate"), "rfC": ("completeness", "only")},
    ),
    (metrics.dci_explicitness, {"probes": _PROBES}, {"dciE": (None, "single")}),
    (metrics.mutual_information_gap, _INFORMATION, {"mig": (None, "only")}),
    (metrics.sap, {}, {"sap": (None, "only")}),
    (metrics.modularity, _INFORMATION, {"modu": (None, "separate")}),
    (
        metrics.infomec,
        {**_BINS, "explicitness": False},
        {"infom": ("modularity", "separate"), "infoc": ("compactness", "only")},
    ),
    (
        metrics.minimality_sufficiency,
        _INFORMATION,
        {"minim": ("minimality", "minimal"), "suffi": ("sufficiency", "single")},
    ),
    (metrics.measurement_exclusivity, {}, {"tmex": (None, "only")}),
    (metrics.interventional_robustness, _BINS, {"irs": (None, "separate")}),
    (metrics.factor_vae_score, _VOTES, {"fvae": (None, "separate")}),
    (metrics.beta_vae_score, _VOTES, {"bvae": (None, "separate")}),
]


def score(factors, codes, seed):
    """Score codes by all metrics.

    Parameters
    ----------
    factors, codes : ndarray
        Data.

    seed : int
        Of what the metrics draw.

    Returns
    -------
    dict of str to float
        Scores by column.
    """
    scores = {}
    for function, arguments, columns in METRICS:
        if "random_state" in inspect.signature(function).parameters:
            arguments = arguments | {"random_state": seed}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UndefinedMetricWarning)
            value = function(factors, codes, **arguments)
        for column, (field, _) in columns.items():
            scores[column] = value if field is None else getattr(value, field)
    return scores


def claims():
    """Property that each column claims.

    Returns
    -------
    dict of str to str
        Keys of `PROPERTIES` by column.
    """
    return {c: claim for *_, columns in METRICS for c, (_, claim) in columns.items()}


def mark(column, condition, value):
    """Tell whether a score misleads.

    Parameters
    ----------
    column : str
        Column of the table.

    condition : str
        Key of `BY_NAME`.

    value : float
        The score.

    Returns
    -------
    {"+", "-", ""}
        "+" for a score that claims what is not true, "-" for one that denies what is.
    """
    true = claims()[column] in CONDITIONS[BY_NAME[condition]]
    if true == (value >= THRESHOLD):
        return ""
    return "-" if true else "+"


def as_text(scores):
    """Lay out the table.

    Parameters
    ----------
    scores : dict of str to dict of str to float
        Scores by condition and column.

    Returns
    -------
    str
        A line for each condition.
    """
    width = max(map(len, BY_NAME))
    lines = [" " * width + "".join(f"{column:>7}" for column in claims())]
    for condition, row in scores.items():
        cells = [
            f"{value:.2f}{mark(column, condition, value) or ' '}"
            for column, value in row.items()
        ]
        lines.append(f"{condition:<{width}}" + "".join(f"{c:>7}" for c in cells))
    return "\n".join(lines)


def main(argv=None):
    """Score the conditions that are asked for, and print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.metrics", description=__doc__.split("\n")[0]
    )
    add = parser.add_argument
    add("--only", nargs="+", choices=BY_NAME, default=list(BY_NAME), metavar="NAME")
    add("--seeds", type=int, default=3, help="of each condition (%(default)s)")
    add("--json", type=Path, help="file for the scores")
    args = parser.parse_args(argv)
    scores = {}
    for name in args.only:
        runs = []
        for seed in range(args.seeds):
            factors, codes = BY_NAME[name](np.random.default_rng(seed))
            runs.append(score(factors, codes, seed))
        scores[name] = {c: float(np.mean([run[c] for run in runs])) for c in runs[0]}
    print(as_text(scores))
    print(
        f"\nA score of {THRESHOLD} says yes: + where it is wrong, - where no is wrong."
    )
    for claim, meaning in PROPERTIES.items():
        columns = [column for column, p in claims().items() if p == claim]
        print(f"{claim} ({', '.join(columns)}): {meaning}")
    if args.json:
        args.json.write_text(json.dumps(scores, indent=1) + "\n")


if __name__ == "__main__":
    main()
