"""Beyond the paper: more features than factors."""

from benchmarks.paper import _synthetic
from benchmarks.paper._panels import plot_lines
from benchmarks.paper._study import Study
from benchmarks.paper._tables import summary

SIZES = (4, 6, 10, 20)


def settings(full, n_seeds):
    """Fewer features than the six factors, as many, and more."""
    levels = [
        {"n_components": size, "rho": rho} for rho in (0.0, 0.9) for size in SIZES
    ]
    return _synthetic.grid(n_seeds, levels, max_iter=2000 if full else 400)


def table(rows):
    """MCC, R, and what becomes of the features that are too many."""
    metrics = _synthetic.METRICS | {
        "active": "features of a head",
        "n_dead": "features that no head uses",
    }
    return summary(rows, ["rho", "n_components"], metrics)


def plot(rows):
    """MCC, R and size of the heads."""
    panels = _synthetic.METRICS | {"active": "features of a head"}
    return plot_lines(rows, "n_components", "number of features", panels)


STUDY = Study(
    name="beyond_components",
    title=__doc__,
    settings=settings,
    run=_synthetic.run_stream,
    results=_synthetic.RESULTS,
    by=("rho", "n_components"),
    table=table,
    plot=plot,
)

if __name__ == "__main__":
    STUDY.main()
