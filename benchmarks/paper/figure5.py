"""Figure 5: few-shot accuracy, and use of the features, as heads get sparser.

Omniglot, which ``--data`` or the environment variable ``SPARSEDIS_DATA`` names; with
``--full`` miniImageNet and the training of the paper.
"""

import json
from functools import lru_cache

import numpy as np
import torch

from benchmarks.paper._study import Study
from benchmarks.paper._tables import summary
from sparsedis import GroupLassoSVMMetaLearner
from sparsedis.datasets import load_mini_imagenet, load_omniglot, split_classes
from sparsedis.inspection import FeatureUsageDisplay

# Relative to what makes a head zero; 0 is the dense SVM.
ALPHAS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4)
FULL_ALPHAS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7)
TASKS = {"n_ways": 5, "n_shots": 5}
SMALL = {
    "images": "omniglot",
    # Of the classes, those that are not learned from.
    "share_novel": 0.3,
    "encoder": "conv4",
    "l2": 1.0,
    "alpha_warmup": 0.5,
    "train_shots": 5,
    "n_queries": 5,
    "episodes_per_batch": 4,
    "max_iter": 400,
    "n_episodes": 400,
}
PAPER = {
    "images": "mini_imagenet",
    "share_novel": None,
    "encoder": "resnet12",
    "l2": 1.0,
    "alpha_warmup": 0.0,
    "train_shots": 15,
    "n_queries": 6,
    "episodes_per_batch": 8,
    "max_iter": 60_000,
    "n_episodes": 2000,
}
# Accuracy of the dense SVM on the test classes of miniImageNet, 5-way 5-shot (Lee et
# al., 2019).
PUBLISHED_DENSE = 0.7863


def settings(full, n_seeds):
    """Each penalty."""
    scale = PAPER if full else SMALL
    return [
        {"alpha": alpha, **TASKS, **scale, "seed": seed}
        for seed in range(n_seeds)
        for alpha in (FULL_ALPHAS if full else ALPHAS)
    ]


def run(setting, data=None):
    """Accuracy and use of the features on tasks of classes that are new."""
    torch.set_num_threads(1)
    of_split = setting["images"], setting["share_novel"], setting["seed"]
    base, novel = _split(data, *of_split)
    meta = GroupLassoSVMMetaLearner(
        setting["encoder"],
        alpha=setting["alpha"],
        l2=setting["l2"],
        alpha_warmup=setting["alpha_warmup"],
        n_ways=setting["n_ways"],
        n_shots=setting["n_shots"],
        n_queries=setting["n_queries"],
        train_shots=setting["train_shots"],
        episodes_per_batch=setting["episodes_per_batch"],
        max_iter=setting["max_iter"],
        random_state=setting["seed"],
    ).fit(*base)
    found = meta.evaluate(*novel, n_episodes=setting["n_episodes"])
    return {
        "accuracy": found.accuracy,
        "half_width": found.confidence_interval,
        "active_share": found.active_share,
        # Where it is used least is a detail of thousands of features.
        "usage": np.sort(found.feature_usage)[::-1],
    }


@lru_cache(maxsize=1)
def _split(data, images, share_novel, seed):
    """Images and classes to learn from, and of new classes."""
    if images == "omniglot":
        bunch = load_omniglot(data)
        shares = [1 - share_novel, share_novel]
        parts = split_classes(bunch.target, shares, random_state=seed)
        return [(bunch.data[part], bunch.target[part]) for part in parts]
    # The paper reports accuracy on the classes of validation.
    subsets = "train", "val"
    return [load_mini_imagenet(data, subset=s, return_X_y=True) for s in subsets]


def table(rows):
    """Accuracy and mean share of the features that a head uses."""
    metrics = {
        "accuracy": "accuracy",
        "half_width": "half-width of the 95 % interval",
        "active_share": "share of features in use",
    }
    return summary(rows, ["images", "alpha"], metrics)


def plot(rows):
    """Use of the features, sorted, and accuracy against their share in use."""
    import matplotlib.pyplot as plt

    figure, (top, bottom) = plt.subplots(2, 1, figsize=(6.8, 7.6), layout="constrained")
    first = rows[rows.seed == rows.seed.min()].sort_values("alpha")
    usage = {f"{row.alpha:g}": json.loads(row.usage) for row in first.itertuples()}
    FeatureUsageDisplay(usage=usage, param_name="alpha").plot(ax=top)
    of_alpha = rows.groupby("alpha")
    mean = of_alpha.mean(numeric_only=True)
    # Between the seeds, where there are several, else between the tasks.
    error = of_alpha.accuracy.std().fillna(mean.half_width)
    bottom.errorbar(mean.active_share, mean.accuracy, error, fmt="o-", capsize=3)
    for alpha, point in mean.iterrows():
        bottom.annotate(
            f"alpha = {alpha:g}",
            (point.active_share, point.accuracy),
            textcoords="offset points",
            xytext=(5, -12),
            fontsize=8,
        )
    if (rows.images == PAPER["images"]).all():
        label = "dense, as published for the test classes"
        bottom.axhline(PUBLISHED_DENSE, color="0.5", ls="--", label=label)
        bottom.legend()
    bottom.set_xlabel("share of features that a head uses")
    bottom.set_ylabel("accuracy on new classes")
    bottom.grid(alpha=0.3)
    return figure


STUDY = Study(
    name="figure5",
    title=__doc__.splitlines()[0],
    settings=settings,
    run=run,
    results=("accuracy", "half_width", "active_share", "usage"),
    by=("images", "alpha"),
    table=table,
    plot=plot,
    data="Omniglot, a zip or folder; with --full miniImageNet, a folder with its lists",
)

if __name__ == "__main__":
    STUDY.main()
