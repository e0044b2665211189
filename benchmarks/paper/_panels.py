"""Plots that the figures on 3D Shapes share."""

import numpy as np

from benchmarks.paper._tables import (
    COLORS,
    MARKERS,
    METHODS,
    PALETTE,
    best_alpha,
    by_method,
)

NAMES = {
    "mcc": "MCC",
    "r": "R",
    "dci_d": "DCI disentanglement",
}


def plot_sweeps(rows, sweeps, metric):
    """A metric against alpha for each level, and at the best alpha of each level.

    Parameters
    ----------
    rows : DataFrame
        Rows of :mod:`benchmarks.paper._shapes`.

    sweeps : list of (str, str, str, callable)
        For each line of panels its title, the column of the levels, its name on the
        axis, and which of the rows belong to it.

    metric : str
        Column of the metric.

    Returns
    -------
    matplotlib.figure.Figure
        A line of panels: one for each method, if it has several penalties, and the
        best of all.
    """
    import matplotlib.pyplot as plt

    rows = by_method(rows)
    counts = rows.groupby("method").alpha.nunique()
    shown = [name for name in METHODS if counts.get(name, 0) > 1] or METHODS[:3]
    sweeps = [sweep for sweep in sweeps if sweep[-1](rows).any()]
    figure, grid = plt.subplots(
        len(sweeps),
        len(shown) + 1,
        figsize=(2.4 * (len(shown) + 1), 2.6 * len(sweeps)),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for panels, (title, level, name, select) in zip(grid, sweeps, strict=True):
        part = rows[select(rows)]
        values = sorted(part[level].unique())
        shades = plt.colormaps["viridis"](np.linspace(0, 0.9, len(values)))
        for ax, method in zip(panels, shown, strict=False):
            for value, shade in zip(values, shades, strict=True):
                line = part[(part.method == method) & (part[level] == value)]
                line = line.groupby("alpha")[metric].mean()
                ax.plot(line.index, line, "o-", color=shade, label=f"{value:g}")
            if len(alphas := part.alpha[part.method == method]):
                mark_values(ax, alphas)
            ax.set_title(method, fontsize=10)
            ax.set_xlabel("alpha")
        legend = {"fontsize": 7, "title_fontsize": 7, "labelspacing": 0.15}
        panels[-2].legend(title=name, **legend)
        best = best_alpha(part, [level])
        for method in METHODS:
            line = best[best.method == method].groupby(level)[metric]
            if len(line):
                # A line breaks where a level has no rows.
                panels[-1].errorbar(
                    range(len(values)),
                    line.mean().reindex(values),
                    line.std().fillna(0).reindex(values),
                    fmt=f"{MARKERS[method]}-",
                    color=COLORS[method],
                    label=method,
                    capsize=2,
                )
        panels[-1].set_xticks(range(len(values)), [f"{value:g}" for value in values])
        panels[-1].set_xlabel(name)
        panels[-1].set_title("best alpha, all seeds", fontsize=10)
        panels[-1].legend(**legend)
        panels[0].set_ylabel("\n\n".join(filter(None, (title, NAMES[metric]))))
    for ax in grid.flat:
        ax.set_ylim(0, 1.02)
        ax.grid(alpha=0.3)
    return figure


def mark_values(ax, values):
    """Make the x axis logarithmic, with ticks where there are values."""
    values = sorted(set(values))
    ax.set_xscale("log")
    ax.set_xticks(values, [f"{value:g}" for value in values], fontsize=7)
    ax.minorticks_off()


def plot_lines(rows, x, name, panels, *, level="rho", log=False):
    """Metrics against a parameter, a panel for each, with a line for each level.

    Parameters
    ----------
    rows : DataFrame
        The rows.

    x : str
        Column of the parameter.

    name : str
        Its name on the axis.

    panels : dict of str to str
        Columns of the metrics, with their names.

    level : str, default="rho"
        Column of the lines.

    log : bool, default=False
        Whether the parameter has a logarithmic axis.

    Returns
    -------
    matplotlib.figure.Figure
        A panel for each metric: means over the seeds, with standard deviations.
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1, len(panels), figsize=(3.2 * len(panels), 3.2), layout="constrained"
    )
    for ax, (metric, heading) in zip(axes, panels.items(), strict=True):
        for color, (value, part) in zip(PALETTE, rows.groupby(level), strict=False):
            line = part.groupby(x)[metric]
            label = value if isinstance(value, str) else f"{level} = {value:g}"
            ax.errorbar(
                line.mean().index,
                line.mean(),
                line.std().fillna(0),
                fmt="o-",
                color=color,
                capsize=2,
                label=label.replace("_", " "),
            )
        if log:
            mark_values(ax, rows[x])
        if metric in NAMES:
            ax.set_ylim(0, 1.02)
        ax.set_xlabel(name)
        ax.set_title(heading, fontsize=10)
        ax.grid(alpha=0.3)
    axes[0].legend(fontsize=8, loc="lower right")
    return figure


def plot_bars(rows, group, case, cases, metric):
    """A metric as bars side by side, groups of them along the axis.

    Parameters
    ----------
    rows : DataFrame
        The rows.

    group : str
        Column of the groups.

    case : str
        Column of the bars of a group.

    cases : list of str
        Its values, in order.

    metric : str
        Column of the metric.

    Returns
    -------
    matplotlib.figure.Figure
        Means over the seeds, with standard deviations.
    """
    import matplotlib.pyplot as plt

    groups = sorted(rows[group].unique())
    figure, ax = plt.subplots(figsize=(9, 3.6), layout="constrained")
    width = 0.8 / len(cases)
    for i, (value, color) in enumerate(zip(cases, PALETTE, strict=False)):
        part = rows[rows[case] == value].groupby(group)[metric]
        at = [
            groups.index(name) + (i - (len(cases) - 1) / 2) * width
            for name in part.mean().index
        ]
        error = part.std().fillna(0)
        ax.bar(at, part.mean(), width, yerr=error, color=color, label=value, capsize=2)
    ax.set_xticks(range(len(groups)), groups)
    ax.set_ylabel(NAMES[metric])
    ax.set_ylim(0, 1.02)
    ax.legend(fontsize=8, ncols=len(cases), loc="lower center")
    return figure
