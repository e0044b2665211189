"""Figures 11 to 14: how learned codes respond when one factor of the image changes."""

import json

import numpy as np

from benchmarks.paper import _shapes
from benchmarks.paper._study import Study
from benchmarks.paper._tables import METHODS, summary
from sparsedis.datasets import Shapes3D
from sparsedis.inspection import LatentTraversalDisplay
from sparsedis.metrics import mean_correlation_coefficient

# The image from which one factor at a time moves, by positions on the grid.
BASE = (1, 6, 4, 5, 1, 7)
NAMES = [name.replace("_", " ") for name in Shapes3D.factor_names]


def settings(full, n_seeds):
    """Each method without and with strong correlation."""
    return [
        {"ica": ica} | _shapes.make_setting(full, penalty=penalty, rho=rho, seed=seed)
        for seed in range(n_seeds)
        for rho in (0.0, 0.9)
        for penalty, ica in (("l1", "no"), ("l2", "no"), ("l2", "yes"))
    ]


def run(setting, data=None):
    """MCC, and codes of the images in which one factor moves, matched with factors."""
    est, images, distribution = _shapes.train(setting, data)
    ica = None
    if setting["ica"] == "yes":
        ica = _shapes.fit_ica(est, images, distribution, setting["seed"])

    def encode(index):
        codes = est.transform(images.images(index))
        return codes if ica is None else ica.transform(codes)

    index, factors = _shapes.evaluation_grid(setting, distribution)
    codes = encode(index)
    found = mean_correlation_coefficient(factors, codes, return_details=True)
    order, unit = found.matching, found.signs / codes.std(0)[found.matching]
    moved = [unit * encode(walk)[:, order] for walk in walks(images)]
    return {"mcc": found.score, "codes": moved}


def walks(images):
    """Indices of the images in which one factor moves, one walk for each factor."""
    found = []
    for factor, size in enumerate(images.factor_sizes):
        positions = np.tile(BASE, (size, 1))
        positions[:, factor] = np.arange(size)
        found.append(images.factors_to_index(positions))
    return found


def table(rows):
    """MCC of each representation."""
    return summary(
        rows.assign(method=_methods(rows)), ["rho", "method"], {"mcc": "MCC"}
    )


def plot(rows):
    """The first seed: images as each factor moves, and the codes beside them."""
    import matplotlib.pyplot as plt

    rows = rows[rows.seed == rows.seed.min()]
    rows = rows.assign(method=_methods(rows))
    rhos = sorted(rows.rho.unique())
    images = Shapes3D(48)
    strips = [images.images(walk) for walk in walks(images)]
    figure = plt.figure(figsize=(15, 5.6 * len(rhos)), layout="constrained")
    panels = figure.subfigures(len(rhos), len(METHODS), squeeze=False)
    for row in rows.itertuples():
        panel = panels[rhos.index(row.rho), METHODS.index(row.method)]
        codes = [np.array(walk) for walk in json.loads(row.codes)]
        LatentTraversalDisplay(
            images=strips,
            codes=codes,
            matching=np.arange(len(codes)),
            row_names=NAMES,
            code_names=NAMES,
        ).plot(ax=panel.subplots())
        panel.suptitle(f"{row.method}, rho = {row.rho:g}: MCC {row.mcc:.2f}")
    return figure


def _methods(rows):
    plain = rows.penalty.map({"l1": METHODS[0], "l2": METHODS[1]})
    return plain.where(rows.ica == "no", METHODS[2])


STUDY = Study(
    name="figure11_14",
    title=__doc__,
    settings=settings,
    run=run,
    results=("mcc", "codes"),
    table=table,
    plot=plot,
    data=_shapes.DATA,
)

if __name__ == "__main__":
    STUDY.main()
