"""Beyond the paper: the alpha that UDR chooses without any factor, and the best."""

import numpy as np
import pandas as pd

from benchmarks.paper import _synthetic
from benchmarks.paper._panels import mark_values
from benchmarks.paper._study import Study
from benchmarks.paper._tables import PALETTE
from sparsedis.metrics import unsupervised_disentanglement_ranking

ALPHAS = (0.01, 0.05, 0.1, 0.2, 0.4, 0.7)
N_MODELS = 4
SIMILARITIES = ("mcc", "lasso", "spearman")


def settings(full, n_seeds):
    """Each alpha on several tables of tasks."""
    levels = [
        {"alpha": alpha, "rho": rho, "n_models": N_MODELS}
        for rho in (0.0, 0.9)
        for alpha in ALPHAS
    ]
    return _synthetic.grid(
        n_seeds, levels, n_samples=600, max_iter=2000 if full else 400
    )


def run(setting):
    """MCC of several models of one alpha, and how much they agree."""
    model, X, Y = _synthetic.make_table(setting)
    codes, supports, mcc = [], [], []
    for start in range(setting["n_models"]):
        est = _synthetic.make_estimator(setting).set_params(random_state=start)
        codes.append(est.fit_transform(X, Y))
        supports.append(est.support_)
        mcc.append(_synthetic.measure(est, model)["mcc"])
    row = {"mcc": np.mean(mcc)}
    for similarity in SIMILARITIES:
        scores = unsupervised_disentanglement_ranking(
            codes, coefs=supports, similarity=similarity
        )
        row[f"udr_{similarity}"] = np.mean(scores)
    return row


def table(rows):
    """The chosen alpha and its MCC, beside the best."""
    lines = []
    for (rho, seed), part in rows.groupby(["rho", "seed"]):
        best = part.loc[part.mcc.idxmax()]
        for similarity in SIMILARITIES:
            chosen = part.loc[part[f"udr_{similarity}"].idxmax()]
            lines.append(
                {
                    "rho": f"{rho:g}",
                    "table": seed,
                    "similarity": similarity,
                    "chosen alpha": f"{chosen.alpha:g}",
                    "its MCC": f"{chosen.mcc:.3f}",
                    "best alpha": f"{best.alpha:g}",
                    "best MCC": f"{best.mcc:.3f}",
                }
            )
    return pd.DataFrame(lines)


def plot(rows):
    """MCC and UDR against alpha."""
    import matplotlib.pyplot as plt

    rhos = sorted(rows.rho.unique())
    figure, axes = plt.subplots(
        1,
        len(rhos),
        figsize=(9, 3.6),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for ax, rho in zip(axes[0], rhos, strict=True):
        part = rows[rows.rho == rho].groupby("alpha").mean(numeric_only=True)
        ax.plot(part.index, part.mcc, "ko-", lw=2.5, label="MCC, with the factors")
        for similarity, color in zip(SIMILARITIES, PALETTE, strict=False):
            line = part[f"udr_{similarity}"]
            label = f"UDR, {similarity}"
            ax.plot(line.index, line, "s--", color=color, label=label)
        mark_values(ax, rows.alpha)
        ax.set_title(f"rho = {rho:g}", fontsize=10)
        ax.set_xlabel("alpha")
        ax.grid(alpha=0.3)
    axes[0, 0].legend(fontsize=8)
    return figure


STUDY = Study(
    name="beyond_udr",
    title=__doc__,
    settings=settings,
    run=run,
    results=("mcc", *(f"udr_{similarity}" for similarity in SIMILARITIES)),
    by=("rho", "alpha"),
    table=table,
    plot=plot,
)

if __name__ == "__main__":
    STUDY.main()
