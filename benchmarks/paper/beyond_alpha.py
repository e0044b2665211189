"""Beyond the paper: a wrong alpha, and an alpha that is learned from there."""

from benchmarks.paper import _synthetic
from benchmarks.paper._panels import plot_lines
from benchmarks.paper._study import Study
from benchmarks.paper._tables import summary

ALPHAS = (0.01, 0.03, 0.1, 0.2, 0.4, 0.6, 0.8)
# Heads are fitted on this share of the samples, and alpha on the others.
INNER_FRACTION = 0.5


def settings(full, n_seeds):
    """Each alpha, kept or learned, on one table of tasks."""
    levels = [
        {"alpha": alpha, "rho": rho, "learn_alpha": learn}
        | {"inner_fraction": INNER_FRACTION}
        for rho in (0.0, 0.9)
        for learn in ("no", "yes")
        for alpha in ALPHAS
    ]
    return _synthetic.grid(
        n_seeds, levels, n_samples=600, max_iter=2000 if full else 400
    )


def run(setting):
    """Train, with alpha as it is or as a start."""
    learn = setting["learn_alpha"] == "yes"
    model, X, Y = _synthetic.make_table(setting)
    est = _synthetic.make_estimator(
        setting, inner_fraction=setting["inner_fraction"], learn_alpha=learn
    ).fit(X, Y)
    row = _synthetic.measure(est, model)
    row["last_alpha"] = est.history_["alpha"][-1]
    return row


def table(rows):
    """MCC and R, and where alpha ended."""
    metrics = _synthetic.METRICS | {"last_alpha": "alpha at the end"}
    return summary(rows, ["rho", "learn_alpha", "alpha"], metrics)


def plot(rows):
    """MCC and R against alpha, and where alpha ended."""
    rows = rows.assign(
        case="rho "
        + rows.rho.map("{:g}".format)
        + rows.learn_alpha.map({"no": ", kept", "yes": ", learned"})
    )
    panels = _synthetic.METRICS | {"last_alpha": "alpha at the end"}
    return plot_lines(
        rows, "alpha", "alpha at the start", panels, level="case", log=True
    )


STUDY = Study(
    name="beyond_alpha",
    title=__doc__,
    settings=settings,
    run=run,
    results=(*_synthetic.RESULTS, "last_alpha"),
    by=("rho", "learn_alpha", "alpha"),
    table=table,
    plot=plot,
)

if __name__ == "__main__":
    STUDY.main()
