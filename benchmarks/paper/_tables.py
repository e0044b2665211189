"""Rows into tables and lines: means over seeds, and the best penalty of each level."""

import numpy as np
import pandas as pd

METHODS = (
    "inner-Lasso",
    "inner-Ridge",
    "inner-Ridge + ICA",
    "inner-Ridge + rotation",
    "inner-Lasso + rotation",
)
# Features as they were trained, which a linear map makes those of the other methods.
TRAINED = METHODS[:2]
ROTATED = METHODS[3:]
# Columns of the rotated features alone, with their headings.
TRUST = {"trust_min": "least trust", "n_trusted": "trusted"}
# Okabe and Ito's colours, which all can tell apart.
PALETTE = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#000000")
COLORS = dict(zip(METHODS, PALETTE, strict=False))
MARKERS = dict(zip(METHODS, "os^Dv", strict=True))


def mean_and_error(values):
    """Mean, and the standard deviation where there are several, as text."""
    values = np.asarray(values, dtype=float)
    mean = f"{values.mean():.3f}"
    return mean if len(values) == 1 else f"{mean} ({values.std(ddof=1):.3f})"


def by_method(rows):
    """One row for each method: what follows a training has columns of its own.

    Parameters
    ----------
    rows : DataFrame
        With the results of :mod:`benchmarks.paper._shapes`.

    Returns
    -------
    DataFrame
        With a column ``method`` and without the columns ``ica_*`` and ``rot_*``. Rows
        without a rotation, of earlier versions, give none with one.
    """
    mapped = [name for name in rows if name.startswith(("ica_", "rot_"))]
    trained = rows.drop(columns=mapped)
    trained["method"] = trained.penalty.map({"l1": METHODS[0], "l2": METHODS[1]})
    parts = [trained]
    cases = (("l2", "ica_", METHODS[2]), ("l2", "rot_", METHODS[3]))
    for penalty, prefix, method in (*cases, ("l1", "rot_", METHODS[4])):
        names = {name: name.removeprefix(prefix) for name in mapped}
        names = {name: bare for name, bare in names.items() if name != bare}
        if names:
            part = rows[rows.penalty == penalty].dropna(subset=[f"{prefix}mcc"])
            part = part.drop(columns=names.values()).rename(columns=names)
            part = part.drop(columns=[name for name in mapped if name not in names])
            parts.append(part.assign(method=method))
    return pd.concat(parts, ignore_index=True)


def best_alpha(rows, levels):
    """The rows at the penalty with the largest MCC, for each method and level.

    Of the penalties, those with the most seeds compete: the best of single runs would
    be a matter of luck.

    Parameters
    ----------
    rows : DataFrame
        With columns ``method``, ``alpha``, ``mcc`` and `levels`.

    levels : list of str
        Columns that make a level.

    Returns
    -------
    DataFrame
        The rows of these penalties.
    """
    runs = rows.groupby(["method", *levels, "alpha"]).mcc.agg(["mean", "size"])
    most = runs["size"].groupby(level=["method", *levels]).transform("max")
    mean = runs["mean"][runs["size"] == most]
    best = mean.groupby(level=["method", *levels]).idxmax()
    return rows.merge(pd.DataFrame(best.tolist(), columns=["method", *levels, "alpha"]))


def summary(rows, by, metrics):
    """Mean and standard deviation over the seeds, as a table of text.

    Parameters
    ----------
    rows : DataFrame
        With the columns that are named.

    by : list of str
        Columns that make a line of the table.

    metrics : dict of str to str
        Columns to average, with their headings.

    Returns
    -------
    DataFrame
        One line for each combination of the values of `by`.
    """
    lines = []
    for key, group in rows.groupby(by, sort=True):
        line = {name: _label(value) for name, value in zip(by, key, strict=True)}
        line["seeds"] = len(group)
        for name, heading in metrics.items():
            line[heading] = mean_and_error(group[name])
        lines.append(line)
    return pd.DataFrame(lines)


def side_by_side(rows, levels, metrics):
    """Methods as columns, each at its best penalty.

    Parameters
    ----------
    rows : DataFrame
        From :func:`by_method`.

    levels : list of str
        Columns that make a line of the table.

    metrics : dict of str to str
        Columns to average over the seeds, with their headings. Beside the first one
        stands the penalty. R, which no linear map changes, is that of the trained
        features; trust is that of the rotated ones.

    Returns
    -------
    DataFrame
        One line of text for each combination of the values of `levels`.
    """
    of = {"r": TRAINED, **dict.fromkeys(TRUST, ROTATED)}
    shown = [method for method in METHODS if (rows.method == method).any()]
    lines = []
    for key, group in best_alpha(rows, levels).groupby(levels, sort=True):
        line = {name: _label(value) for name, value in zip(levels, key, strict=True)}
        parts = {method: group[group.method == method] for method in shown}
        counts = {len(part) for part in parts.values()} - {0}
        line["seeds"] = " to ".join(map(str, sorted(counts)))
        for i, (name, heading) in enumerate(metrics.items()):
            for method, part in parts.items():
                if method not in of.get(name, METHODS):
                    continue
                cell = mean_and_error(part[name]) if len(part) else ""
                if cell and i == 0:
                    cell += f", alpha {part.alpha.iloc[0]:g}"
                line[f"{heading}, {method}"] = cell
        lines.append(line)
    return pd.DataFrame(lines)


def _label(value):
    return value if isinstance(value, str) else f"{value:g}"
