"""Figure 1: a sparse task needs few samples where the features are the factors.

Lasso and Ridge, penalties by cross-validation, on the ground-truth features and on the
same features rotated, for several covariances of the features and levels of noise.
"""

import numpy as np
import pandas as pd
from scipy.stats import ortho_group
from sklearn.linear_model import LassoCV, RidgeCV
from sklearn.metrics import r2_score

from benchmarks.paper._study import Study
from benchmarks.paper._tables import PALETTE

N_FEATURES = 100
N_TEST = 1000
N_TRAIN = (25, 50, 75, 100, 125, 150)
SHARES = (0.05, 0.2, 0.8)
# Base of the covariance, 0 for the identity, and variance of the noise relative to the
# signal's.
CASES = ((0.0, 0.05), (0.0, 0.08), (0.9, 0.05))
FULL_CASES = (*CASES, (0.9, 0.08))
REPETITIONS = 3
RESULTS = (
    "disentangled_lasso",
    "entangled_lasso",
    "disentangled_ridge",
    "entangled_ridge",
)
# R2 by share of meaningful features and method, over N_TRAIN.
PUBLISHED = {
    (0.05, "disentangled_lasso"): (0.633, 0.921, 0.940, 0.948, 0.949, 0.949),
    (0.05, "entangled_lasso"): (-0.077, 0.033, 0.441, 0.719, 0.844, 0.891),
    (0.05, "disentangled_ridge"): (-0.074, 0.406, 0.661, 0.791, 0.867, 0.901),
    (0.2, "disentangled_lasso"): (-0.075, 0.449, 0.820, 0.882, 0.896, 0.906),
    (0.2, "entangled_lasso"): (-0.142, 0.017, 0.325, 0.615, 0.759, 0.830),
    (0.2, "disentangled_ridge"): (0.042, 0.476, 0.487, 0.750, 0.810, 0.855),
    (0.8, "disentangled_lasso"): (0.218, 0.434, 0.570, 0.841, 0.876, 0.922),
    (0.8, "entangled_lasso"): (0.249, 0.464, 0.660, 0.785, 0.862, 0.920),
    (0.8, "disentangled_ridge"): (0.343, 0.650, 0.742, 0.868, 0.871, 0.927),
}
# Their standard errors. Those of Ridge, which does not see a rotation, are next to 0:
# all runs of a cell share one draw of the samples.
PUBLISHED_ERRORS = {
    (0.05, "disentangled_lasso"): (0.112, 0.005, 0.0, 0.0, 0.0, 0.0),
    (0.05, "entangled_lasso"): (0.017, 0.018, 0.044, 0.028, 0.009, 0.003),
    (0.05, "disentangled_ridge"): (0.0, 0.0, 0.009, 0.041, 0.0, 0.0),
    (0.2, "disentangled_lasso"): (0.012, 0.121, 0.004, 0.007, 0.0, 0.0),
    (0.2, "entangled_lasso"): (0.027, 0.016, 0.040, 0.030, 0.008, 0.007),
    (0.2, "disentangled_ridge"): (0.0, 0.0, 0.012, 0.007, 0.004, 0.001),
    (0.8, "disentangled_lasso"): (0.007, 0.057, 0.023, 0.004, 0.004, 0.001),
    (0.8, "entangled_lasso"): (0.062, 0.066, 0.026, 0.026, 0.006, 0.003),
    (0.8, "disentangled_ridge"): (0.001, 0.0, 0.002, 0.001, 0.002, 0.0),
}
PUBLISHED |= {
    (share, "entangled_ridge"): PUBLISHED[share, "disentangled_ridge"]
    for share in SHARES
}


def settings(full, n_seeds):
    """Every share, covariance and size, for several draws of the coefficients."""
    return [
        {
            "share": share,
            "decay": decay,
            "noise_ratio": noise_ratio,
            "n_train": n_train,
            "coef_seed": coef_seed,
            "seed": seed,
        }
        for coef_seed in range(n_seeds)
        for seed in range(10 if full else REPETITIONS)
        for share in SHARES
        for decay, noise_ratio in (FULL_CASES if full else CASES)
        for n_train in N_TRAIN
    ]


def run(setting):
    """R2 on test samples of the two methods on the two representations."""
    coef = _coefficients(setting["share"], setting["coef_seed"])
    position = np.arange(N_FEATURES)
    covariance = setting["decay"] ** np.abs(np.subtract.outer(position, position))
    # The 1 keeps this stream apart from the coefficients': seeds are padded with zeros.
    rng = np.random.default_rng([setting["coef_seed"], setting["seed"], 1])
    n_train = setting["n_train"]
    noise = rng.standard_normal((n_train + N_TEST, N_FEATURES))
    Z = noise @ np.linalg.cholesky(covariance).T
    scale = np.sqrt(setting["noise_ratio"] * (coef @ covariance @ coef))
    y = Z @ coef + scale * rng.standard_normal(len(Z))
    rotated = Z @ ortho_group.rvs(N_FEATURES, random_state=rng).T
    row = {}
    for name, X in (("disentangled", Z), ("entangled", rotated)):
        for kind, model in (
            ("lasso", LassoCV(cv=5, max_iter=20_000)),
            ("ridge", RidgeCV(np.geomspace(1e-2, 1e4, 25), cv=5)),
        ):
            model.fit(X[:n_train], y[:n_train])
            row[f"{name}_{kind}"] = r2_score(y[n_train:], model.predict(X[n_train:]))
    return row


def _coefficients(share, seed):
    """Gaussian coefficients, all but a share of them masked."""
    rng = np.random.default_rng(seed)
    coef = rng.standard_normal(N_FEATURES)
    coef[rng.permutation(N_FEATURES)[round(share * N_FEATURES) :]] = 0
    return coef


def table(rows):
    """Published R2 and standard errors; ours for each case, and their range."""
    lines = []
    for share in SHARES:
        # Those of Ridge do not differ.
        for method in RESULTS[:3]:
            line = {"meaningful": f"{share:.0%}", "method": method.replace("_", " ")}
            found = PUBLISHED[share, method], PUBLISHED_ERRORS[share, method]
            published = map("{:.3f} ({:.3f})".format, *found)
            cells = dict(zip(N_TRAIN, published, strict=True))
            lines.append(line | {"R2": "published (s.e.)"} | _columns(cells))
            for case in _cases(rows):
                part = _select(rows, share, *case)
                if part.empty:
                    continue
                by_size = part.groupby("n_train")[method]
                span = by_size.agg(["mean", "min", "max"]).itertuples()
                cells = {n: f"{m:.3f} ({a:.2f} to {b:.2f})" for n, m, a, b in span}
                lines.append(line | {"R2": _name(*case)} | _columns(cells))
    return pd.DataFrame(lines)


def _cases(rows):
    """Covariances and noises that are there."""
    cases = set(zip(rows.decay, rows.noise_ratio, strict=True))
    return sorted(cases, key=lambda case: case[::-1])


def _select(rows, share, decay, noise_ratio):
    """Rows of a share and a case."""
    wanted = {"share": share, "decay": decay, "noise_ratio": noise_ratio}
    return rows[(rows[list(wanted)] == pd.Series(wanted)).all(axis=1)]


def _name(decay, noise_ratio):
    covariance = f"{decay:g}^|i-j|" if decay else "identity"
    return f"{covariance}, noise {noise_ratio:.0%}"


def _columns(cells):
    return {f"n = {n_train}": cells.get(n_train, "") for n_train in N_TRAIN}


def plot(rows):
    """R2 against the number of samples, the published curves dashed."""
    import matplotlib.pyplot as plt

    cases = _cases(rows)
    figure, axes = plt.subplots(
        len(cases),
        3,
        figsize=(9.6, 2.8 * len(cases)),
        squeeze=False,
        sharex=True,
        sharey=True,
        layout="constrained",
    )
    for panels, case in zip(axes, cases, strict=True):
        for ax, share in zip(panels, SHARES, strict=True):
            ax.set_title(f"{share:.0%} meaningful; {_name(*case)}", fontsize=10)
            ax.set_ylim(-0.25, 1)
            ax.grid(alpha=0.3)
            cell = _select(rows, share, *case)
            if cell.empty:
                continue
            for method, color in zip(RESULTS, PALETTE, strict=False):
                draws = cell.groupby(["n_train", "coef_seed"])[method].mean().unstack()
                # Those of Ridge lie on each other.
                style = ":" if method == "entangled_ridge" else "-"
                label = method.replace("_", " ")
                # The standard error, of which a single draw has none.
                error = draws.std(axis=1).fillna(0) / draws.shape[1] ** 0.5
                ax.errorbar(
                    draws.index,
                    draws.mean(axis=1),
                    error,
                    color=color,
                    fmt=f"o{style}",
                    label=label,
                    markersize=4,
                    capsize=2,
                    lw=2,
                )
                if method != "entangled_ridge":
                    published = PUBLISHED[share, method]
                    ax.plot(N_TRAIN, published, "--", color=color, lw=1, alpha=0.8)
    for ax in axes[:, 0]:
        ax.set_ylabel("R2 on test samples")
    for ax in axes[-1]:
        ax.set_xlabel("training samples")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    handles.append(plt.Line2D([], [], color="0.4", ls="--", lw=1))
    figure.legend(
        handles,
        [*labels, "published"],
        loc="outside lower center",
        ncols=5,
        frameon=False,
    )
    return figure


STUDY = Study(
    name="figure1",
    title=__doc__.splitlines()[0],
    settings=settings,
    run=run,
    results=RESULTS,
    by=("share", "decay", "noise_ratio", "n_train"),
    table=table,
    plot=plot,
    n_seeds=10,
)

if __name__ == "__main__":
    STUDY.main()
