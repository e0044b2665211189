"""Fit an estimator on the conditions, and print what it finds of the truth.

``python -m benchmarks.factors --seeds 3 --jobs 2`` runs what is missing, row by row
into a CSV, and prints a table and the bars. A row is known by its condition, its seed
and the settings, not by the version of the package: after a change there, choose
another ``--out``.
"""

import argparse
import ast
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from benchmarks.factors._conditions import PARTS
from benchmarks.factors._generate import make_data
from benchmarks.factors._measure import RESULTS, measure
from benchmarks.factors._summary import read_rows, summarise
from benchmarks.paper._runner import run_study
from sparsedis import SparseMultiTaskClassifier, SparseMultiTaskRepresentation


def parse_parameter(text):
    """Read KEY=VALUE, with a Python literal, or else text, for a value.

    Parameters
    ----------
    text : str
        What --set was given.

    Returns
    -------
    tuple of str and object
        Name and value.
    """
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise argparse.ArgumentTypeError(f"must be KEY=VALUE, got {text!r}.")
    try:
        return name, ast.literal_eval(value)
    except (SyntaxError, ValueError):
        return name, value


def make_parser():
    """Make the options."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.factors", description=__doc__.split("\n")[0]
    )
    add = parser.add_argument
    add("--seeds", type=int, default=3, help="seeds of each condition (%(default)s)")
    add("--only", nargs="+", default=(), metavar="NAME", help="these conditions alone")
    add("--part", choices=(*PARTS, "all"), default="all", help="(%(default)s)")
    add("--classifier", action="store_true", help="tasks of classification")
    add(
        "--set",
        nargs="+",
        action="extend",
        type=parse_parameter,
        default=[],
        metavar="KEY=VALUE",
        help="parameters of the estimator",
    )
    add("--known-count", action="store_true", help="give it the number of factors")
    add("--out", type=Path, default=Path("results/factors"), help="(%(default)s)")
    add("--jobs", type=int, default=1, help="runs at a time (%(default)s)")
    add("--table-only", action="store_true", help="print the rows that are there")
    return parser


def run(setting, conditions, parameters):
    """Measure one condition, seed and estimator.

    Parameters
    ----------
    setting : dict
        Key of the row, see `main`.

    conditions : dict of str to Condition
        Conditions by name.

    parameters : dict
        Parameters of the estimator.

    Returns
    -------
    dict
        See :func:`~benchmarks.factors._measure.measure`.
    """
    torch.set_num_threads(1)
    condition = conditions[setting["name"]]
    classes = condition.classification
    kind = SparseMultiTaskClassifier if classes else SparseMultiTaskRepresentation
    if setting["known_count"]:
        parameters = {"n_components": condition.n_factors} | parameters
    estimator = kind(**{"random_state": setting["seed"]} | parameters)
    # Data sets of one seed share nothing, and stay when others are added.
    index = int.from_bytes(setting["name"].encode(), "big")
    return measure(estimator, make_data(condition, setting["seed"], index))


def main(argv=None):
    """Run what is missing, and print tables and bars."""
    parser = make_parser()
    args = parser.parse_args(argv)
    conditions = {
        name: replace(condition, classification=args.classifier)
        for part in PARTS.values()
        for name, condition in part.items()
    }
    if unknown := sorted(set(args.only) - set(conditions)):
        parser.error(
            f"unknown conditions {unknown}; there are {', '.join(conditions)}."
        )
    parts = {
        part: [name for name in names if not args.only or name in args.only]
        for part, names in PARTS.items()
        if args.part in (part, "all")
    }
    parameters = dict(args.set)
    keys = {
        "parameters": " ".join(
            f"{key}={parameters[key]!r}" for key in sorted(parameters)
        ),
        "known_count": args.known_count,
        "classifier": args.classifier,
    }
    settings = [
        {"name": name, "condition": str(conditions[name]), "seed": seed, **keys}
        for seed in range(args.seeds)
        for names in parts.values()
        for name in names
    ]
    path = args.out / "rows.csv"
    failure = None
    if not args.table_only:
        function = partial(run, conditions=conditions, parameters=parameters)
        try:
            run_study(function, settings, RESULTS, path, n_jobs=args.jobs)
        except RuntimeError as error:
            # That some runs fail is no reason not to show the others.
            failure = error
    if path.exists():
        rows = read_rows(path, {key: str(value) for key, value in keys.items()})
        wanted = {
            (setting["name"], setting["condition"], setting["seed"])
            for setting in settings
        }
        asked = list(zip(rows["name"], rows["condition"], rows["seed"], strict=True))
        rows = rows[[row in wanted for row in asked]]
        for part, names in parts.items():
            mine = rows[rows["name"].isin(names)]
            if len(mine):
                print(summarise(mine, part))
    if failure is not None:
        raise failure


if __name__ == "__main__":
    main()
