"""Figure 10: the penalty in the outer problem (Eq. 60) instead of the inner one."""

from benchmarks.paper import _shapes
from benchmarks.paper._panels import mark_values
from benchmarks.paper._study import Study
from benchmarks.paper._tables import PALETTE, summary

ALPHAS = (0.002, 0.01, 0.05, 0.2)
FULL_ALPHAS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
METRICS = {"mcc": "MCC", "r": "R"}


def settings(full, n_seeds):
    """Each correlation and penalty of the outer problem."""
    return [
        _shapes.make_setting(
            full, penalty="l1", penalty_at="outer", rho=rho, alpha=alpha, seed=seed
        )
        for seed in range(n_seeds)
        for rho in (_shapes.RHOS if full else (0.0, 0.9))
        for alpha in (FULL_ALPHAS if full else ALPHAS)
    ]


def table(rows):
    """MCC and R of each penalty."""
    return summary(rows, ["rho", "alpha"], METRICS)


def plot(rows):
    """MCC and R against the penalty."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1, 2, figsize=(8, 3.4), sharey=True, layout="constrained"
    )
    for ax, (metric, heading) in zip(axes, METRICS.items(), strict=True):
        for color, (rho, part) in zip(PALETTE, rows.groupby("rho"), strict=False):
            line = part.groupby("alpha")[metric]
            ax.errorbar(
                line.mean().index,
                line.mean(),
                line.std().fillna(0),
                fmt="o-",
                color=color,
                capsize=2,
                label=f"rho = {rho:g}",
            )
        mark_values(ax, rows.alpha)
        ax.set_xlabel("alpha of the outer penalty")
        ax.set_ylabel(heading)
        ax.set_ylim(0, 1.02)
        ax.grid(alpha=0.3)
    axes[0].legend(loc="lower left")
    return figure


STUDY = Study(
    name="figure10",
    title=__doc__,
    settings=settings,
    run=_shapes.run,
    results=_shapes.RESULTS,
    added=_shapes.ROTATED,
    by=("rho", "alpha"),
    table=table,
    plot=plot,
    data=_shapes.DATA,
    data_setting=_shapes.ORIGINAL,
)

if __name__ == "__main__":
    STUDY.main()
