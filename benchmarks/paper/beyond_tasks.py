"""Beyond the paper: how many tasks and samples it takes."""

from benchmarks.paper import _synthetic
from benchmarks.paper._panels import plot_lines
from benchmarks.paper._study import Study
from benchmarks.paper._tables import summary

TASKS = (5, 10, 20, 50, 100, 200)
SAMPLES = (50, 200, 800)


def settings(full, n_seeds):
    """Tables with more and more tasks, and more and more samples."""
    levels = [
        {"n_tasks": n_tasks, "n_samples": n_samples}
        for n_samples in SAMPLES
        for n_tasks in TASKS
    ]
    return _synthetic.grid(n_seeds, levels, max_iter=2000 if full else 400)


def table(rows):
    """MCC and R."""
    return summary(rows, ["n_samples", "n_tasks"], _synthetic.METRICS)


def plot(rows):
    """MCC and R against the number of tasks."""
    return plot_lines(
        rows,
        "n_tasks",
        "number of tasks",
        _synthetic.METRICS,
        level="n_samples",
        log=True,
    )


STUDY = Study(
    name="beyond_tasks",
    title=__doc__,
    settings=settings,
    run=_synthetic.run_table,
    results=_synthetic.RESULTS,
    by=("n_samples", "n_tasks"),
    table=table,
    plot=plot,
)

if __name__ == "__main__":
    STUDY.main()
