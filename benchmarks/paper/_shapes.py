"""One representation of 3D Shapes: what is trained, and how it is measured."""

import copy
from functools import lru_cache, partial

import numpy as np
import torch
from sklearn.decomposition import FastICA
from skorch.callbacks import Callback

from sparsedis import SparseMultiTaskRepresentation
from sparsedis.datasets import (
    FactorDistribution,
    Shapes3D,
    Shapes3DFile,
    SparseTaskStream,
)
from sparsedis.metrics import dci, linear_r_score, mean_correlation_coefficient

DATA = "3dshapes.h5, the original images; rendered ones are used without it"
ORIGINAL = {"images": "original", "image_size": 64}
RHOS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.99)
# The penalty that suits each method, and those that are run with all seeds.
ALPHA = {"l1": 0.4, "l2": 0.01}
USUAL = {"l1": (0.2, 0.4), "l2": (0.01, 0.1)}
ALPHAS = {"l1": (0.05, 0.2, 0.4, 0.7), "l2": (0.001, 0.01, 0.1)}
FULL_ALPHAS = {
    "l1": (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7),
    "l2": (1e-4, 1e-3, 0.01, 0.03, 0.1, 0.3, 0.7),
}
# The tasks of the main text.
TASKS = {
    "support": "bernoulli",
    "p": 0.5,
    "block_size": None,
    "distribution": "gaussian",
    "noise_ratio": 0.1,
}
# All tasks of a step share its images: minutes of training instead of hours.
SMALL = {
    "images": "rendered",
    "image_size": 48,
    "layout": "shared",
    "n_tasks": 100,
    "n_samples": 100,
    "optimizer": "Adam",
    "lr": 4e-3,
    "lr_schedule": "cosine",
    "alpha_warmup": 0.4,
    "n_test": 3000,
    "n_ica": 5000,
}
# As published; what the paper leaves open (the schedule) is constant.
PAPER = {
    "images": "rendered",
    "image_size": 64,
    "layout": "separate",
    "n_tasks": 8,
    "n_samples": 50,
    "optimizer": "AdamW",
    "lr": 1e-3,
    "lr_schedule": "constant",
    "alpha_warmup": 0.0,
    "n_test": 20_000,
    "n_ica": 20_000,
}
# With the decay rates of torch; the estimator has others for its default optimiser.
OPTIMIZERS = {
    "Adam": torch.optim.Adam,
    "AdamW": partial(torch.optim.AdamW, weight_decay=1.0),
}
RESULTS = (
    "mcc",
    "r",
    "dci_d",
    "dci_c",
    "ica_mcc",
    "ica_r",
    "ica_dci_d",
    "ica_dci_c",
    "active",
    "n_unused",
    "correlation",
    "n_effective",
)
# Results of the features after the rotation; rows of earlier versions lack them.
ROTATED = (
    "rot_mcc",
    "rot_r",
    "rot_dci_d",
    "rot_dci_c",
    "trust_min",
    "trust_mean",
    "n_trusted",
)
RESULTS += ROTATED


class UsageRecord(Callback):
    """Share of the heads that use each feature, over the last steps of training."""

    def on_train_end(self, net, **kwargs):
        steps = [step for epoch in net.history for step in epoch["batches"]]
        self.usage_ = np.mean([step["usage"] for step in steps[-50:]], axis=0)


def make_setting(
    full, *, penalty, rho, seed, noise=1.0, alpha=None, penalty_at="inner", **tasks
):
    """Put a setting together, with its training.

    Parameters
    ----------
    full : bool
        The training of the paper, or the short one.

    penalty : {"l1", "l2"}
        Penalty of the heads.

    rho : float
        Covariance of the factors.

    seed : int
        Seed of noise, tasks and encoder.

    noise : float, default=1.0
        Noise level of the latents.

    alpha : float, default=None
        Relative penalty. None: that of `ALPHA`.

    penalty_at : {"inner", "outer"}, default="inner"
        The problem that has the penalty.

    **tasks : dict
        Changes to `TASKS`.

    Returns
    -------
    dict
        The setting, for :func:`run`.
    """
    # Correlated factors take longer to tell apart.
    n_steps = 400 if rho <= 0.5 else 1000
    return {
        "penalty": penalty,
        "penalty_at": penalty_at,
        "alpha": ALPHA[penalty] if alpha is None else alpha,
        "rho": rho,
        "noise": noise,
        **TASKS,
        **tasks,
        "max_iter": 20_000 if full else n_steps,
        **(PAPER if full else SMALL),
        "seed": seed,
    }


def sweep(full, n_seeds, levels):
    """Both methods at each level; all penalties, of which the usual have all seeds.

    Parameters
    ----------
    full : bool
        The scale of the paper, where every penalty has all seeds.

    n_seeds : int
        Number of seeds.

    levels : list of dict
        Arguments of :func:`make_setting`.

    Returns
    -------
    list of dict
        The settings, those of the first seed first.
    """
    alphas = FULL_ALPHAS if full else ALPHAS
    return [
        make_setting(full, penalty=penalty, alpha=alpha, seed=seed, **level)
        for seed in range(n_seeds)
        for usual in (True, False)
        for level in levels
        for penalty in ("l1", "l2")
        for alpha in alphas[penalty]
        if (alpha in USUAL[penalty]) == usual and (usual or full or seed == 0)
    ]


def run(setting, data=None):
    """Train and measure on the uniform grid of images.

    Parameters
    ----------
    setting : dict
        From :func:`make_setting`.

    data : str, default=None
        Path of the original images.

    Returns
    -------
    dict
        The results, with the keys of `RESULTS`: MCC, R, DCI disentanglement and
        completeness with the weights of the paper, the same after ICA for
        ``penalty="l2"`` and after the rotation, the mean share of features that a head
        uses in training and the number of those that none does, mean correlation of
        the factors under p(z) and the effective number of its images, the least and
        the mean stability of the rotated features and the number of the trusted ones.
    """
    images, distribution = open_data(setting, data)
    est = train(setting, images, distribution)
    before = unrotated(est)
    index, factors = evaluation_grid(setting, distribution)
    test = images.images(index)
    codes = before.transform(test)
    row = dict.fromkeys(RESULTS, float("nan")) | measure(factors, codes)
    found = measure(factors, est.transform(test))
    row |= {f"rot_{name}": value for name, value in found.items()}
    row["trust_min"], row["trust_mean"] = est.stability_.min(), est.stability_.mean()
    row["n_trusted"] = est.identifiability().trusted.sum()
    row["active"] = before.feature_usage_.mean()
    row["n_unused"] = (before.feature_usage_ == 0).sum()
    off_diagonal = ~np.eye(distribution.n_factors, dtype=bool)
    row["correlation"] = distribution.correlation[off_diagonal].mean()
    row["n_effective"] = distribution.effective_size
    if setting["penalty"] == "l2":
        unmixed = fit_ica(setting, before, images, distribution).transform(codes)
        found = measure(factors, unmixed)
        row |= {f"ica_{name}": value for name, value in found.items()}
    return row


def open_data(setting, data=None):
    """Open what a setting is about.

    Parameters
    ----------
    setting : dict
        From :func:`make_setting`.

    data : str, default=None
        Path of the original images.

    Returns
    -------
    images : Shapes3D or Shapes3DFile
        The images.

    distribution : FactorDistribution
        Distribution of the latents, p(z).
    """
    if (setting["images"] == "original") != (data is not None):
        raise ValueError(
            f"images={setting['images']!r} goes with data="
            f"{'a path' if data is None else None}, got data={data!r}."
        )
    images = _images(setting["image_size"], data)
    of_latents = setting["rho"], setting["noise"], setting["seed"]
    return images, _distribution(images, *of_latents)


def train(setting, images, distribution):
    """Train the estimator of a setting on a stream of tasks.

    The rotation comes after the training, which is the same without it.

    Parameters
    ----------
    setting : dict
        From :func:`make_setting`; "n_components" in it replaces the number of factors.

    images, distribution
        From :func:`open_data`.

    Returns
    -------
    SparseMultiTaskRepresentation
    """
    torch.set_num_threads(1)
    est = SparseMultiTaskRepresentation(
        setting.get("n_components", distribution.n_factors),
        rotation="sparsest",
        penalty=setting["penalty"],
        penalty_at=setting["penalty_at"],
        alpha=setting["alpha"],
        alpha_warmup=setting["alpha_warmup"],
        max_iter=setting["max_iter"],
        optimizer=OPTIMIZERS[setting["optimizer"]],
        lr=setting["lr"],
        lr_schedule=setting["lr_schedule"],
        callbacks=[UsageRecord()],
        random_state=setting["seed"],
    )
    return est.fit_stream(make_stream(setting, images, distribution))


def make_stream(setting, images, distribution):
    """Make the tasks of a setting."""
    blocks = {"block_size": setting["block_size"], "size": 1}
    return SparseTaskStream(
        images,
        distribution,
        n_tasks=setting["n_tasks"],
        n_samples=setting["n_samples"],
        layout=setting["layout"],
        support=setting["support"],
        p=setting["p"],
        distribution=setting["distribution"],
        noise_ratio=setting["noise_ratio"],
        random_state=setting["seed"],
        **(blocks if setting["support"] == "blocks" else {}),
    )


def unrotated(est):
    """Make the estimator as it was before the rotation, with the use of features."""
    before = copy.copy(est)
    before.module_ = est.module_.representation
    before.n_components_ = before.module_.n_components
    before.feature_usage_ = est.callbacks[0].usage_
    return before


def evaluation_grid(setting, distribution):
    """Images to measure on, uniform over the grid, and their latents."""
    index = np.random.default_rng(0).choice(
        distribution.n_images, setting["n_test"], replace=False
    )
    return index, distribution.latents(index)


def fit_ica(setting, est, images, distribution):
    """ICA on the features of samples of p(z), as the baseline has it."""
    seed = setting["seed"]
    index, _ = distribution.sample(setting["n_ica"], random_state=seed)
    ica = FastICA(whiten="unit-variance", max_iter=2_000, tol=1e-3, random_state=seed)
    return ica.fit(est.transform(images.images(index)))


def measure(factors, codes):
    """MCC, R and DCI."""
    scores = dci(factors, codes, weighting="uniform", random_state=0)
    return {
        "mcc": mean_correlation_coefficient(factors, codes),
        "r": linear_r_score(factors, codes),
        "dci_d": scores.disentanglement,
        "dci_c": scores.completeness,
    }


@lru_cache(maxsize=2)
def _images(image_size, data):
    return Shapes3D(image_size) if data is None else Shapes3DFile(data)


@lru_cache(maxsize=2)
def _distribution(images, rho, noise, seed):
    return FactorDistribution(images, rho=rho, noise=noise, random_state=seed)
