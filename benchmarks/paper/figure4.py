"""Figure 4: MCC on 3D Shapes against penalty, correlation and noise of the factors."""

from benchmarks.paper import _shapes
from benchmarks.paper._panels import plot_sweeps
from benchmarks.paper._study import Study
from benchmarks.paper._tables import TRUST, by_method, side_by_side

NOISES = (0.0, 0.5, 1.0)
FULL_NOISES = (0.0, 0.25, 0.5, 0.75, 1.0)
# Noise of the line of panels over rho, and rho of the lines over the noise.
NOISE, NOISE_RHOS = 1.0, (0.0, 0.9)
SWEEPS = [
    (
        f"noise = {NOISE:g}",
        "rho",
        "covariance rho",
        lambda rows: rows.noise == NOISE,
    )
]
SWEEPS += [
    (
        f"rho = {rho:g}",
        "noise",
        "noise on the latents",
        lambda rows, rho=rho: rows.rho == rho,
    )
    for rho in NOISE_RHOS
]


def settings(full, n_seeds):
    """Each correlation at the largest noise, each noise at two correlations."""
    levels = [{"rho": rho, "noise": NOISE} for rho in _shapes.RHOS]
    noises = FULL_NOISES if full else NOISES
    levels += [
        {"rho": rho, "noise": noise}
        for rho in NOISE_RHOS
        for noise in noises
        if noise != NOISE
    ]
    return _shapes.sweep(full, n_seeds, levels)


def make_table(metrics):
    """Table of the metrics at the best penalty of each level, and what p(z) holds."""

    def table(rows):
        found = side_by_side(by_method(rows), ["rho", "noise"], metrics)
        images = rows.groupby(["rho", "noise"]).n_effective.mean()
        found["effective images"] = images.map("{:,.0f}".format).to_numpy()
        return found

    return table


def make_study(name, title, metric, metrics):
    """Make a study that draws the rows of this figure."""
    return Study(
        name=name,
        title=title,
        rows="figure4",
        settings=settings,
        run=_shapes.run,
        results=_shapes.RESULTS,
        added=_shapes.ROTATED,
        by=("penalty", "alpha", "rho", "noise"),
        table=make_table(metrics),
        plot=lambda rows: plot_sweeps(rows, SWEEPS, metric),
        data=_shapes.DATA,
        data_setting=_shapes.ORIGINAL,
    )


STUDY = make_study("figure4", __doc__, "mcc", {"mcc": "MCC", **TRUST})

if __name__ == "__main__":
    STUDY.main()
