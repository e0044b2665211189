"""Predict real tables, and compare with linear models, trees and plain networks.

``python -m benchmarks.tables --seeds 3 --jobs 2`` runs what is missing, row by row into
a CSV, and prints the mean R2 of the tasks of each table. Three rows in ten are for
testing; inputs are scaled; the R2 of a task counts as -1 at least. After a change of
the package choose another ``--out``.
"""

import argparse
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from benchmarks.factors.__main__ import parse_parameter
from benchmarks.paper._runner import run_study
from benchmarks.tables._peers import (
    predict_boosting,
    predict_forest,
    predict_lasso,
    predict_mlp,
    predict_ridge,
)
from benchmarks.tables._tables import GROUPS, load
from sparsedis import SparseMultiTaskRepresentation
from sparsedis.metrics import task_scores

_PEERS = {
    "ridge": predict_ridge,
    "lasso": predict_lasso,
    "forest": predict_forest,
    "boosting": predict_boosting,
    "mlp": predict_mlp,
    "dropout": partial(predict_mlp, dropout=0.3),
}
_RESULTS = (
    *("sparsedis", "heads", *_PEERS),
    *("share", "coverage", "n_components", "seconds"),
)

# Difference to the best of Ridge and the networks that counts as worse.
_MARGIN = 0.01

# Confidence level of the intervals.
_LEVEL = 0.9

# Minimal number of training labels of a task.
_LABELS = 10


def measure(setting, parameters):
    """Predict one table after one split with everything.

    Parameters
    ----------
    setting : dict
        Key of the row: `name` and `seed`.

    parameters : dict
        Parameters of the estimator.

    Returns
    -------
    dict
        Mean R2 of the predictions of the estimator, of its heads alone, and of the
        peers; the mean share of the heads; the share of the test labels in intervals of
        level .9; number of features; seconds of the fit.
    """
    torch.set_num_threads(1)
    X, Y = load(setting["name"])
    seed = setting["seed"]
    parts = train_test_split(X, Y, test_size=0.3, random_state=seed)
    X, X_test, Y, Y_test = parts
    scaler = StandardScaler().fit(X)
    X, X_test = scaler.transform(X), scaler.transform(X_test)
    kept = (~np.isnan(Y)).sum(0) >= _LABELS
    Y, Y_test = Y[:, kept], Y_test[:, kept]
    estimator = SparseMultiTaskRepresentation(random_state=seed, **parameters)
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.fit(X, Y)
    seconds = time.perf_counter() - start
    heads = estimator.transform(X_test) @ estimator.coef_.T + estimator.intercept_
    predictions = {"sparsedis": estimator.predict(X_test), "heads": heads}
    for name, predict in _PEERS.items():
        predictions[name] = predict(X, Y, X_test, seed)
    found = {name: _mean_r2(Y_test, p) for name, p in predictions.items()}
    share, coverage = 1.0, np.nan
    if hasattr(estimator, "linear_"):
        share = estimator.linear_.share.mean()
        _, interval = estimator.predict_interval(X_test, confidence_level=_LEVEL)
        inside = (interval[..., 0] <= Y_test) & (Y_test <= interval[..., 1])
        coverage = inside[~np.isnan(Y_test)].mean()
    return found | {
        "share": share,
        "coverage": coverage,
        "n_components": estimator.n_components_,
        "seconds": seconds,
    }


def _mean_r2(Y, prediction):
    return np.nanmean(np.maximum(task_scores(Y, prediction, metric="r2"), -1.0))


def summarise(rows):
    """Print the mean over the splits of each table, and over the tables.

    Parameters
    ----------
    rows : DataFrame
    """
    rows = rows.drop_duplicates(["name", "seed"], keep="last")
    best = rows[["ridge", "mlp", "dropout"]].max(axis=1)
    rows = rows.assign(below=rows["sparsedis"] < best - _MARGIN)
    columns = list(_RESULTS)
    for title, tables in GROUPS.items():
        part = rows[rows["name"].isin(list(tables))]
        if part.empty:
            continue
        table = part.groupby("name")[[*columns, "below"]].mean()
        table.loc["MEAN"] = table.mean()
        print(f"\nTables: {title}, mean R2 over {part['seed'].nunique()} splits")
        print(table.to_string(float_format="%.3f"))


def main(argv=None):
    """Run what is missing, and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tables", description=__doc__.split("\n")[0]
    )
    add = parser.add_argument
    names = [name for tables in GROUPS.values() for name in tables]
    add("--seeds", type=int, default=3, help="splits of each table (%(default)s)")
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
    path = args.out / "tables.csv"
    run = partial(measure, parameters=parameters)
    run_study(run, settings, _RESULTS, path, n_jobs=args.jobs)
    rows = pd.read_csv(path, dtype={"parameters": str}).fillna({"parameters": ""})
    rows = rows[rows["parameters"] == text]
    summarise(rows[rows["name"].isin(args.only)])


if __name__ == "__main__":
    main()
