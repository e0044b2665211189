"""Figure 9: Laplace coefficients on all factors, sparse in a weaker sense."""

from benchmarks.paper import _shapes
from benchmarks.paper._panels import plot_sweeps
from benchmarks.paper._study import Study
from benchmarks.paper._tables import TRUST, by_method, side_by_side


def settings(full, n_seeds):
    """Each correlation, as Figure 4 has them."""
    levels = [
        {"rho": rho, "support": "all", "distribution": "laplace"}
        for rho in (_shapes.RHOS if full else (0.0, 0.9))
    ]
    return _shapes.sweep(full, n_seeds, levels)


def table(rows):
    """MCC and R at the best penalty."""
    return side_by_side(by_method(rows), ["rho"], {"mcc": "MCC", "r": "R", **TRUST})


def plot(rows):
    """MCC against penalty and correlation."""
    sweeps = [("", "rho", "covariance rho", lambda rows: rows.rho >= 0)]
    return plot_sweeps(rows, sweeps, "mcc")


STUDY = Study(
    name="figure9",
    title=__doc__,
    settings=settings,
    run=_shapes.run,
    results=_shapes.RESULTS,
    added=_shapes.ROTATED,
    by=("penalty", "alpha", "rho"),
    table=table,
    plot=plot,
    data=_shapes.DATA,
    data_setting=_shapes.ORIGINAL,
)

if __name__ == "__main__":
    STUDY.main()
