"""Figure 7: the distributions of the factors, by correlation and noise."""

import json

import numpy as np
import pandas as pd

from benchmarks.paper._shapes import RHOS
from benchmarks.paper._study import Study
from sparsedis.datasets import FactorDistribution, Shapes3D

NOISES = (0.0, 0.5, 1.0)
# Wall hue and orientation: many values each.
SHOWN = [1, 5]
N_DRAWS = 200


def settings(full, n_seeds):
    """Every correlation with every noise, at either scale."""
    return [
        {"rho": rho, "noise": noise, "seed": seed}
        for seed in range(n_seeds)
        for noise in NOISES
        for rho in RHOS
    ]


def run(setting):
    """Moments of p(z), how many images carry it, and draws of two of the factors."""
    distribution = FactorDistribution(
        Shapes3D(), setting["rho"], setting["noise"], random_state=setting["seed"]
    )
    _, latents = distribution.sample(N_DRAWS, random_state=setting["seed"])
    off_diagonal = ~np.eye(distribution.n_factors, dtype=bool)
    everything = np.arange(distribution.n_images)
    return {
        "correlation": distribution.correlation[off_diagonal].mean(),
        "n_effective": distribution.effective_size,
        "largest": distribution.probability(everything).max(),
        "draws": latents[:, SHOWN],
    }


def table(rows):
    """Correlation and effective number of images."""
    rows = rows[rows.seed == 0].sort_values(["noise", "rho"])
    return pd.DataFrame(
        {
            "noise": rows.noise,
            "rho": rows.rho,
            # Adding 0 turns -0.0 into 0.0.
            "correlation": (rows.correlation.round(2) + 0.0).map("{:.2f}".format),
            "effective images": rows.n_effective.map("{:,.0f}".format),
            "largest probability": rows.largest.map("{:.2g}".format),
        }
    )


def plot(rows):
    """Draws of two factors, a panel for each distribution."""
    import matplotlib.pyplot as plt

    figure, grid = plt.subplots(
        len(NOISES),
        len(RHOS),
        figsize=(9.6, 5.6),
        sharex=True,
        sharey=True,
        layout="constrained",
    )
    rows = rows[rows.seed == 0]
    for panels, noise in zip(grid, NOISES, strict=True):
        for ax, rho in zip(panels, RHOS, strict=True):
            ax.set_title(f"rho {rho:g}, noise {noise:g}", fontsize=9)
            part = rows[(rows.rho == rho) & (rows.noise == noise)]
            if part.empty:
                continue
            row = part.iloc[0]
            x, y = np.transpose(json.loads(row.draws))
            ax.plot(x, y, ".", color="#0072b2", markersize=4, alpha=0.4)
            ax.annotate(
                f"{row.n_effective:,.0f} images",
                (0.03, 0.97),
                xycoords="axes fraction",
                va="top",
                fontsize=8,
            )
            ax.set_ylim(-2.1, 2.6)
    for ax in grid[:, 0]:
        ax.set_ylabel("orientation")
    for ax in grid[-1]:
        ax.set_xlabel("wall hue")
    return figure


STUDY = Study(
    name="figure7",
    title=__doc__,
    settings=settings,
    run=run,
    results=("correlation", "n_effective", "largest", "draws"),
    by=("rho", "noise"),
    table=table,
    plot=plot,
)

if __name__ == "__main__":
    STUDY.main()
