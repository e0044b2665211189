"""Beyond the paper: what two faults in the published code's tasks do."""

import numpy as np

from benchmarks.paper import _synthetic
from benchmarks.paper._panels import plot_bars
from benchmarks.paper._study import Study
from benchmarks.paper._tables import summary
from sparsedis.datasets import (
    make_supports,
    make_task_coefficients,
    make_task_targets,
)

# Name, supports and distribution: as the paper says, as the code did one or the other,
# or both.
CASES = (
    ("as described", "redrawn", "gaussian"),
    ("denser supports", "switched", "gaussian"),
    ("Laplace", "redrawn", "laplace"),
    ("both", "switched", "laplace"),
)


def settings(full, n_seeds):
    """Each case with the tasks of a step as published, and as the defaults have it."""
    levels = [
        {"case": case, "rho": rho, "n_tasks": n_tasks, "empty": empty}
        | {"distribution": distribution}
        for rho in (0.0, 0.9)
        for n_tasks in (8, 100)
        for case, empty, distribution in CASES
    ]
    return _synthetic.grid(n_seeds, levels, max_iter=2000 if full else 400)


def run(setting):
    """Train on a stream of such tasks."""
    model = _synthetic.make_model(setting)
    sizes = []
    stream = _tasks(setting, model, sizes)
    est = _synthetic.make_estimator(setting).fit_stream(stream)
    return _synthetic.measure(est, model) | {"true_active": np.mean(sizes)}


def _tasks(setting, model, sizes):
    """Inputs and targets of one step after the other; notes the sizes of supports."""
    rng = _synthetic.make_generator(setting)
    while True:
        X, factors = model.sample(setting["n_samples"], random_state=rng)
        shape = setting["n_tasks"], _synthetic.N_FACTORS
        if setting["empty"] == "redrawn":
            support = make_supports(*shape, p=setting["p"], random_state=rng)
        else:
            # A column for each empty support, switched on in all tasks of the step.
            support = rng.random(shape) < setting["p"]
            n_empty = (~support.any(1)).sum()
            support[:, rng.integers(_synthetic.N_FACTORS, size=n_empty)] = True
        sizes.append(support.sum(1).mean())
        coef = make_task_coefficients(
            *shape,
            support=support,
            distribution=setting["distribution"],
            random_state=rng,
        )
        yield X, make_task_targets(factors, coef, random_state=rng).T


def table(rows):
    """MCC and R, and the size of the supports that were drawn."""
    metrics = _synthetic.METRICS | {"true_active": "factors of a task"}
    return summary(rows, ["rho", "n_tasks", "case"], metrics)


def plot(rows):
    """MCC of each case."""
    rows = rows.assign(
        group="rho "
        + rows.rho.map("{:g}".format)
        + ", "
        + rows.n_tasks.map("{:g}".format)
        + " tasks a step"
    )
    return plot_bars(rows, "group", "case", [case for case, *_ in CASES], "mcc")


STUDY = Study(
    name="beyond_faults",
    title=__doc__,
    settings=settings,
    run=run,
    results=(*_synthetic.RESULTS, "true_active"),
    by=("rho", "n_tasks", "case"),
    table=table,
    plot=plot,
)

if __name__ == "__main__":
    STUDY.main()
