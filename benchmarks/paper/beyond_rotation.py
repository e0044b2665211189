"""Beyond the paper: how many tasks a rotation takes, and whether its trust is right."""

import json

import numpy as np
import pandas as pd
import torch

from benchmarks.paper import _synthetic
from benchmarks.paper._panels import mark_values
from benchmarks.paper._study import Study
from benchmarks.paper._tables import PALETTE, summary
from sparsedis import SparseMultiTaskRepresentation

TASKS = (20, 30, 50, 100, 200, 300)
DENSE_TASKS = (100, 300)
METHODS = {"inner-Lasso": 0.4, "default": "auto"}
RESULTS = (
    *_synthetic.RESULTS,
    "trust_min",
    "trust_mean",
    "n_trusted",
    "stability",
    "truth",
)
METRICS = {
    **_synthetic.METRICS,
    "trust_min": "least stability",
    "trust_mean": "mean stability",
    "n_trusted": "trusted",
}
SUPPORTS = {"bernoulli": "sparse tasks", "all": "dense Gaussian tasks"}


def settings(full, n_seeds):
    """Both methods on tables with more and more tasks; dense tasks with the default."""
    levels = [
        {"method": method, "alpha": alpha, "support": support, "n_tasks": n_tasks}
        for support, numbers in (("bernoulli", TASKS), ("all", DENSE_TASKS))
        for n_tasks in numbers
        for method, alpha in METHODS.items()
        if support == "bernoulli" or method == "default"
    ]
    common = {"rho": 0.5, "n_samples": 300}
    return _synthetic.grid(n_seeds, levels, max_iter=2000 if full else 400, **common)


def run(setting):
    """MCC and R; with the rotation, what says whether features are factors, and truth.

    Parameters
    ----------
    setting : dict
        One of :func:`settings`.

    Returns
    -------
    dict
        With the keys of `RESULTS`: "stability" has a number for each feature, "truth"
        its largest |correlation| with a factor.
    """
    nothing = dict.fromkeys(("trust_min", "trust_mean", "n_trusted"), float("nan"))
    nothing |= {"stability": [], "truth": []}
    if setting["method"] == "inner-Lasso":
        return _synthetic.run_table(setting) | nothing
    torch.set_num_threads(1)
    model, X, Y = _synthetic.make_table(setting)
    est = SparseMultiTaskRepresentation(
        setting["n_components"],
        max_iter=setting["max_iter"],
        random_state=setting["seed"],
    ).fit(X, Y)
    factors, inputs = _synthetic.make_test(model)
    codes = est.transform(inputs)
    found = np.corrcoef(codes.T, factors.T)[: codes.shape[1], codes.shape[1] :]
    return _synthetic.measure(est, model) | {
        "trust_min": est.stability_.min(),
        "trust_mean": est.stability_.mean(),
        "n_trusted": est.identifiability().trusted.sum(),
        "stability": est.stability_.tolist(),
        "truth": np.abs(found).max(1).tolist(),
    }


def table(rows):
    """MCC, R and what is trusted, over the seeds."""
    rows = rows.assign(support=rows.support.map(SUPPORTS))
    found = summary(rows, ["support", "method", "n_tasks"], METRICS)
    return found.replace(to_replace=r"^nan.*", value="", regex=True)


def plot(rows):
    """MCC and stability against the number of tasks; stability against truth."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(9.6, 3.2), layout="constrained")
    lines = [("inner-Lasso", "bernoulli", PALETTE[0], "o-")]
    lines += [("default", "bernoulli", PALETTE[3], "D-")]
    lines += [("default", "all", PALETTE[2], "^--")]
    for method, support, color, style in lines:
        part = rows[(rows.method == method) & (rows.support == support)]
        if part.empty:
            continue
        label = f"{method}, {SUPPORTS[support]}"
        groups = part.groupby("n_tasks")
        for ax, metric in zip(axes, ("mcc", "trust_min"), strict=False):
            mean, error = groups[metric].mean(), groups[metric].std().fillna(0)
            if mean.notna().any():
                ax.errorbar(
                    mean.index, mean, error, fmt=style, color=color, label=label
                )
        points = [
            (truth, stability)
            for row in part.itertuples()
            for truth, stability in zip(
                json.loads(row.truth), json.loads(row.stability), strict=True
            )
        ]
        if points:
            points = pd.DataFrame(points, columns=["truth", "stability"])
            axes[2].plot(
                points.truth, points.stability, style[0], color=color, ms=4, alpha=0.6
            )
    for ax, name in zip(axes, ("MCC", "least stability"), strict=False):
        mark_values(ax, rows.n_tasks)
        ax.set_xlabel("number of tasks")
        ax.set_title(name, fontsize=10)
        ax.set_ylim(0, 1.02)
    axes[0].legend(fontsize=8, loc="lower right")
    axes[2].set_title("trust and truth of each feature", fontsize=10)
    axes[2].set_xlabel("largest |correlation| with a factor")
    axes[2].set_ylabel("stability")
    for ax in axes[1:]:
        ax.axhline(0.95, color="0.5", lw=1, ls=":")
    for ax in axes:
        ax.grid(alpha=0.3)
    return figure


STUDY = Study(
    name="beyond_rotation",
    title=__doc__,
    settings=settings,
    run=run,
    results=RESULTS,
    by=("support", "method", "n_tasks"),
    table=table,
    plot=plot,
)

if __name__ == "__main__":
    STUDY.main()
