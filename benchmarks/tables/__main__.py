"""Predict real tables, and compare with linear models, trees and plain networks.

``python -m benchmarks.tables --seeds 3 --jobs 2`` runs what is missing, row by row into
a CSV, and prints the mean R2 of the tasks of each table. Three rows in ten are for
testing; inputs are scaled; the R2 of a task counts as -1 at least. With ``--classes``,
labels say whether a number is above the median, and it prints mean log loss and
accuracy. After a change of the package choose another ``--out``.
"""

import argparse
from functools import partial
from pathlib import Path

import pandas as pd

from benchmarks.factors.__main__ import parse_parameter
from benchmarks.paper._runner import run_study
from benchmarks.tables._measure import (
    CLASS_PEERS,
    PEERS,
    measure_classes,
    measure_numbers,
)
from benchmarks.tables._tables import GROUPS

_NUMBERS = (
    *("sparsedis", "heads", *PEERS),
    *("coverage", "share", "n_components", "fit_seconds"),
)
_LOSSES = ("sparsedis", "heads", *CLASS_PEERS)
_CLASSES = (
    *(*_LOSSES, *(f"{name} accuracy" for name in _LOSSES)),
    *("coverage", "set size", "share", "n_components", "fit_seconds"),
)

# Difference to the best of the linear models and the networks that counts as worse.
_MARGIN = 0.01


def summarise(rows, classes):
    """Print the mean over the splits of each table, and over the tables.

    Parameters
    ----------
    rows : DataFrame

    classes : bool
        Print log losses, then accuracies.
    """
    rows = rows.drop_duplicates(["name", "seed"], keep="last")
    linear = "logistic" if classes else "ridge"
    sign = -1 if classes else 1
    best = (sign * rows[[linear, "mlp", "dropout"]]).max(axis=1)
    rows = rows.assign(below=sign * rows["sparsedis"] < best - _MARGIN)
    pages = {"mean R2": (*_NUMBERS, "below")}
    if classes:
        n = len(_LOSSES)
        pages = {
            "mean log loss": (*_LOSSES, *_CLASSES[2 * n :], "below"),
            "mean accuracy": _CLASSES[n : 2 * n],
        }
    for score, columns in pages.items():
        for title, tables in GROUPS.items():
            part = rows[rows["name"].isin(list(tables))]
            if part.empty:
                continue
            table = part.groupby("name")[list(columns)].mean()
            table.loc["MEAN"] = table.mean()
            table.columns = table.columns.str.removesuffix(" accuracy")
            splits = part["seed"].nunique()
            print(f"\nTables: {title}, {score} over {splits} splits")
            print(table.to_string(float_format="%.3f"))


def main(argv=None):
    """Run what is missing, and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tables", description=__doc__.split("\n")[0]
    )
    add = parser.add_argument
    names = [name for tables in GROUPS.values() for name in tables]
    add("--seeds", type=int, default=3, help="splits of each table (%(default)s)")
    add("--classes", action="store_true", help="tasks of two classes")
    add("--only", nargs="+", default=names, choices=names, metavar="NAME")
    add(
        "--set",
        nargs="+",
        action="extend",
        type=parse_parameter,
        default=[],
        metavar="KEY=VALUE",
        help="parameters of the estimator",
    )
    add("--out", type=Path, default=Path("results/tables"), help="(%(default)s)")
    add("--jobs", type=int, default=1, help="runs at a time (%(default)s)")
    args = parser.parse_args(argv)
    parameters = dict(args.set)
    text = " ".join(f"{key}={parameters[key]!r}" for key in sorted(parameters))
    settings = [
        {"name": name, "seed": seed, "parameters": text}
        for name in args.only
        for seed in range(args.seeds)
    ]
    path = args.out / ("classes.csv" if args.classes else "tables.csv")
    measure = measure_classes if args.classes else measure_numbers
    results = _CLASSES if args.classes else _NUMBERS
    run = partial(measure, parameters=parameters)
    run_study(run, settings, results, path, n_jobs=args.jobs)
    rows = pd.read_csv(path, dtype={"parameters": str}).fillna({"parameters": ""})
    rows = rows[rows["parameters"] == text]
    summarise(rows[rows["name"].isin(args.only)], args.classes)


if __name__ == "__main__":
    main()
