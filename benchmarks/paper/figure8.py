"""Figure 8: blocks of factors that no task separates, against Assumption 3.6."""

from benchmarks.paper import _shapes
from benchmarks.paper._panels import plot_sweeps
from benchmarks.paper._study import Study
from benchmarks.paper._tables import TRUST, by_method, side_by_side

BLOCK_SIZES = (2, 3, 6)
LEVELS = ["rho", "block_size"]


def settings(full, n_seeds):
    """Each size of the blocks, one block a task."""
    levels = [
        {"rho": rho, "support": "blocks", "block_size": size}
        for rho in (_shapes.RHOS if full else (0.0, 0.9))
        for size in BLOCK_SIZES
    ]
    return _shapes.sweep(full, n_seeds, levels)


def table(rows):
    """MCC and R at the best penalty."""
    return side_by_side(by_method(rows), LEVELS, {"mcc": "MCC", "r": "R", **TRUST})


def plot(rows):
    """MCC against penalty and size of the blocks, a line of panels for each rho."""
    sweeps = [
        (
            f"rho = {rho:g}",
            "block_size",
            "size of blocks",
            lambda rows, rho=rho: rows.rho == rho,
        )
        for rho in sorted(rows.rho.unique())
    ]
    return plot_sweeps(rows, sweeps, "mcc")


STUDY = Study(
    name="figure8",
    title=__doc__,
    settings=settings,
    run=_shapes.run,
    results=_shapes.RESULTS,
    added=_shapes.ROTATED,
    by=("penalty", "alpha", "rho", "block_size"),
    table=table,
    plot=plot,
    data=_shapes.DATA,
    data_setting=_shapes.ORIGINAL,
)

if __name__ == "__main__":
    STUDY.main()
