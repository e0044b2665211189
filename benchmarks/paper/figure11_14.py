"""Figures 11 to 14: how learned codes respond when one factor of the image changes."""

import json

import numpy as np

from benchmarks.paper import _shapes
from benchmarks.paper._study import Study
from benchmarks.paper._tables import METHODS, by_method, summary
from sparsedis.datasets import Shapes3D
from sparsedis.inspection import LatentTraversalDisplay
from sparsedis.metrics import mean_correlation_coefficient

# The image from which one factor at a time moves, by positions on the grid.
BASE = (1, 6, 4, 5, 1, 7)
NAMES = [name.replace("_", " ") for name in Shapes3D.factor_names]


def settings(full, n_seeds):
    """Each method without and with strong correlation."""
    return [
        _shapes.make_setting(full, penalty=penalty, rho=rho, seed=seed)
        for seed in range(n_seeds)
        for rho in (0.0, 0.9)
        for penalty in ("l1", "l2")
    ]


def run(setting, data=None):
    """MCC, and codes of the images in which one factor moves, matched with factors."""
    images, distribution = _shapes.open_data(setting, data)
    est = _shapes.train(setting, images, distribution)
    index, factors = _shapes.evaluation_grid(setting, distribution)
    parts = [images.images(part) for part in (index, *walks(images))]
    rotated, *moved = [est.transform(part) for part in parts]
    found = _match(factors, rotated, moved)
    row = {"ica_mcc": float("nan"), "ica_codes": ""}
    row |= {f"rot_{name}": value for name, value in found.items()}
    before = _shapes.unrotated(est)
    codes, *moved = [before.transform(part) for part in parts]
    row |= _match(factors, codes, moved)
    if setting["penalty"] == "l2":
        unmix = _shapes.fit_ica(setting, before, images, distribution).transform
        found = _match(factors, unmix(codes), [unmix(walk) for walk in moved])
        row |= {f"ica_{name}": value for name, value in found.items()}
    return row


def _match(factors, codes, moved):
    """MCC, and the codes of walks in the order, units and signs of the factors."""
    found = mean_correlation_coefficient(factors, codes, return_details=True)
    order, unit = found.matching, found.signs / codes.std(0)[found.matching]
    return {"mcc": found.score, "codes": [unit * walk[:, order] for walk in moved]}


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
    return summary(by_method(rows), ["rho", "method"], {"mcc": "MCC"})


def plot(rows):
    """The first seed: images as each factor moves, and the codes beside them."""
    import matplotlib.pyplot as plt

    rows = by_method(rows[rows.seed == rows.seed.min()])
    rhos = sorted(rows.rho.unique())
    methods = [method for method in METHODS if (rows.method == method).any()]
    images = Shapes3D(48)
    strips = [images.images(walk) for walk in walks(images)]
    figure = plt.figure(
        figsize=(4.7 * len(rhos), 4.7 * len(methods)), layout="constrained"
    )
    panels = figure.subfigures(len(methods), len(rhos), squeeze=False)
    for row in rows.itertuples():
        panel = panels[methods.index(row.method), rhos.index(row.rho)]
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


STUDY = Study(
    name="figure11_14",
    title=__doc__,
    settings=settings,
    run=run,
    results=("mcc", "codes", "ica_mcc", "ica_codes", "rot_mcc", "rot_codes"),
    added=("rot_mcc", "rot_codes"),
    by=("penalty", "rho"),
    table=table,
    plot=plot,
    data=_shapes.DATA,
    data_setting=_shapes.ORIGINAL,
)

if __name__ == "__main__":
    STUDY.main()
