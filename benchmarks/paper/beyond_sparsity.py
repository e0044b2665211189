"""Beyond the paper: how sparse the tasks must be."""

from benchmarks.paper import _synthetic
from benchmarks.paper._panels import plot_lines
from benchmarks.paper._study import Study
from benchmarks.paper._tables import summary

PROBABILITIES = (0.1, 0.3, 0.5, 0.7, 0.9, 1.0)


def settings(full, n_seeds):
    """From tasks on single factors to tasks on all."""
    levels = [{"p": p, "rho": rho} for rho in (0.0, 0.9) for p in PROBABILITIES]
    return _synthetic.grid(n_seeds, levels, max_iter=2000 if full else 400)


def table(rows):
    """MCC, R and the size of the heads."""
    metrics = _synthetic.METRICS | {"active": "features of a head"}
    return summary(rows, ["rho", "p"], metrics)


def plot(rows):
    """MCC, R and size of the heads against the sparsity."""
    panels = _synthetic.METRICS | {"active": "features of a head"}
    return plot_lines(rows, "p", "probability that a task has a factor", panels)


STUDY = Study(
    name="beyond_sparsity",
    title=__doc__,
    settings=settings,
    run=_synthetic.run_stream,
    results=_synthetic.RESULTS,
    by=("rho", "p"),
    table=table,
    plot=plot,
)

if __name__ == "__main__":
    STUDY.main()
