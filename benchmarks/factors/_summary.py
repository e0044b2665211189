"""From the rows of a run to a table of conditions, and to the bars."""

import numpy as np
import pandas as pd

# How near to R the MCC has to be, and R2 to that of the best other heads.
MARGIN = 0.01
_MEANS = (
    "r",
    "mcc",
    "gap",
    "n_components",
    "count_right",
    "f1",
    "f1_oracle",
    "r2",
    "r2_best",
    "stability",
    "fit_seconds",
    "cpu_seconds",
    "identified",
)


def read_rows(path, keys):
    """Read the rows of a run.

    Parameters
    ----------
    path : path-like
        The CSV.

    keys : dict
        Values of the columns that the rows must have.

    Returns
    -------
    DataFrame
        The rows, with the columns `gap`, R - MCC, and `r2_best`, the better of the R2
        of free heads and of a Ridge on the inputs.
    """
    text = dict.fromkeys(keys, str)
    # None of the text is missing: "" is a set of no parameters.
    rows = pd.read_csv(path, dtype=text, keep_default_na=False, na_values=["nan"])
    for name, value in keys.items():
        rows = rows[rows[name] == value]
    return rows.assign(
        gap=rows["r"] - rows["mcc"],
        r2_best=rows[["r2_free", "r2_ridge"]].max(axis=1),
    )


def average(rows):
    """Average the rows of each condition over the seeds.

    Parameters
    ----------
    rows : DataFrame
        From `read_rows`.

    Returns
    -------
    DataFrame
        One row for each condition, by name, with the number of its `runs`.
    """
    groups = rows.groupby(["name", "condition"], sort=True)
    means = groups[list(_MEANS)].mean().assign(runs=groups.size())
    return means.reset_index("condition").sort_index()


def table(rows):
    """Write the table of the conditions.

    Parameters
    ----------
    rows : DataFrame
        From `read_rows`.

    Returns
    -------
    str
        One line for each condition.
    """
    lines = [
        "name    R   MCC R-MCC codes count    F1 oracl     R2   best trust     s   cpu "
        "ident runs"
    ]
    for name, row in average(rows).iterrows():
        lines.append(
            f"{name:<4} {row.r:5.3f} {row.mcc:5.3f} {row.gap:5.3f} "
            f"{row.n_components:5.1f} {row.count_right:5.2f} {row.f1:5.3f} "
            f"{row.f1_oracle:5.3f} {row.r2:6.3f} {row.r2_best:6.3f} "
            f"{row.stability:5.2f} {row.fit_seconds:5.1f} {row.cpu_seconds:5.1f} "
            f"{row.identified:5.2f} {row.runs:4d}  {row.condition}"
        )
    return "\n".join(lines)


def bars(rows):
    """Compute the bars.

    Parameters
    ----------
    rows : DataFrame
        From `read_rows`.

    Returns
    -------
    dict of str to float
        By what they say.
    """
    means = average(rows)
    near = f"within {MARGIN:g}".replace("0.", ".")
    lag = means["r2_best"] - means["r2"]
    return {
        f"runs with MCC {near} of R": (rows["gap"] <= MARGIN).mean(),
        f"conditions with MCC {near} of R": (means["gap"] <= MARGIN).mean(),
        "mean F1 of the supports": rows["f1"].mean(),
        "mean F1 of what the labels decide": rows["f1_oracle"].mean(),
        "runs with the right count": rows["count_right"].mean(),
        f"conditions with R2 {near} of the best heads": (lag <= MARGIN).mean(),
        "median seconds of a fit": rows["fit_seconds"].median(),
        "median seconds of a fit, of the processor": rows["cpu_seconds"].median(),
    }


def summarise(rows, part):
    """Write the table and the bars of a part.

    Parameters
    ----------
    rows : DataFrame
        From `read_rows`.

    part : str
        Its name.

    Returns
    -------
    str
        Table, and bars of the runs whose tasks identify the factors, and of all.
    """
    n_conditions, n_identified = rows["name"].nunique(), int(rows["identified"].sum())
    lines = [
        f"\n{part}: {n_conditions} conditions, {len(rows)} runs, of which "
        f"{n_identified} identified",
        table(rows),
    ]
    every, sure = bars(rows), rows[rows["identified"]]
    # A condition counts with its identified runs.
    of_identified = bars(sure) if len(sure) else {}
    lines.append("identified     all")
    lines += [
        f"{of_identified.get(name, np.nan):10.3f} {value:7.3f}  {name}"
        for name, value in every.items()
    ]
    return "\n".join(lines)
