"""
Few-shot learning of handwritten characters
===========================================

Five characters of an alphabet that nobody has seen, one or five drawings of each: tell
further drawings apart. The representation is meta-learned on episodes of other
alphabets; each new task only fits a small linear classifier to the features of its few
drawings.

With a group Lasso SVM as that classifier a task uses a part of the features. This is
the experiment of Figure 5 of Lachapelle et al. (ICML 2023), on Omniglot: how accurate
are the classifiers against the share of features that they use, and are the features
that a task does without the same for all tasks?
"""

# %%
# What to run. The default shows the shape of the result within a minute; the command
# line asks for more, as in
# ``python examples/plot_few_shot_omniglot.py --steps 500 --episodes 1000``.

import argparse
import json
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from joblib import Parallel, delayed
from sklearn.datasets import load_digits
from torch import nn

from sparsedis import GroupLassoSVMMetaLearner
from sparsedis.datasets import load_omniglot, split_classes
from sparsedis.encoders import Conv4
from sparsedis.inspection import FeatureUsageDisplay

parser = argparse.ArgumentParser(
    description="Few-shot learning of handwritten characters"
)
parser.add_argument("--steps", type=int, default=40, help="of training")
parser.add_argument("--episodes", type=int, default=100, help="of evaluation")
parser.add_argument("--alpha", type=float, nargs="+", default=[0.0, 0.01, 0.03, 0.1])
parser.add_argument("--jobs", type=int, default=2, help="processes")
parser.add_argument("--out", type=Path, default=Path("demo"))
args = parser.parse_args()

# %%
# The data: drawings of three alphabets to learn from, each also turned by 90, 180 and
# 270 degrees as further classes, and two unseen alphabets. Without Omniglot (see
# :func:`~sparsedis.datasets.load_omniglot` for where it is looked for) the digits of
# scikit-learn stand in: the code runs, but five classes are too few to learn from.

try:
    omniglot = load_omniglot(rotations=True)
except FileNotFoundError as error:
    print(f"{error}\nThe digits of scikit-learn stand in.\n")
    digits = load_digits()
    images = (digits.images * (255 / 16)).astype(np.uint8)
    images = images.repeat(2, axis=1).repeat(2, axis=2)[..., None]
    labels = digits.target
    base, novel = split_classes(labels, [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]])
else:
    images, labels = 255 - omniglot.data, omniglot.target  # strokes are white
    alphabets = np.unique(omniglot.groups)
    base, novel = split_classes(
        labels, [alphabets[:3].tolist(), alphabets[3:].tolist()], groups=omniglot.groups
    )
    turned = np.char.find(omniglot.target_names, "/rot") >= 0
    novel = novel[~turned[labels[novel]]]
print(
    f"{len(np.unique(labels[base]))} classes to learn from, "
    f"{len(np.unique(labels[novel]))} unseen, images of {images.shape[1:3]} pixels"
)


# %%
# One encoder for all methods: the four convolutional blocks of matching networks
# without the last pooling, so that there are many more features than drawings, as in
# the paper. Steps, seeds and episodes are the same for all as well.


def encoder(input_shape, n_components):
    """Conv4 without its last pooling."""
    return nn.Sequential(*list(Conv4(input_shape))[:-2], nn.Flatten())


def run(method, **params):
    """Meta-learn, and evaluate on episodes of the unseen classes."""
    options = {
        "encoder": encoder,
        "normalization": None,
        "n_queries": 5,
        "max_iter": args.steps,
        "optimizer": "adam",
        "lr": 2e-3,
        "lr_schedule": "cosine",
        "random_state": 0,
    }
    start = time.perf_counter()
    meta = GroupLassoSVMMetaLearner(**options | params).fit(images[base], labels[base])
    seconds = time.perf_counter() - start
    results = [
        meta.evaluate(
            images[novel],
            labels[novel],
            n_shots=n_shots,
            n_queries=15,
            n_episodes=args.episodes,
        )
        for n_shots in (1, 5)
    ]
    one, five = (result.accuracy for result in results)
    print(f"  {method}: {one:.3f}, {five:.3f} after {seconds:.0f} s", flush=True)
    return method, params, seconds, results


methods = [
    ("pixels", {"encoder": "identity", "head": "prototypes"}),
    ("prototypes", {"head": "prototypes"}),
    *((f"SVM, alpha = {alpha:g}", {"alpha": alpha}) for alpha in sorted(args.alpha)),
]
# The slowest ones, those that are sparse, come first.
runs = Parallel(n_jobs=args.jobs)(delayed(run)(m, **p) for m, p in methods[::-1])[::-1]

# %%
# The table. "active" is the mean share of features that a classifier uses; "pixels" is
# the nearest centroid on raw images.

print(f"\n{'method':<16} {'1-shot':>15} {'active':>6} {'5-shot':>15} {'active':>6}")
for method, _, _, results in runs:
    cells = [
        f"{r.accuracy:.3f} +- {r.confidence_interval:.3f} {r.active_share:>6.2f}"
        for r in results
    ]
    print(f"{method:<16} {cells[0]:>22} {cells[1]:>22}")

args.out.mkdir(parents=True, exist_ok=True)
rows = [
    {
        "method": method,
        "setting": result.setting,
        "accuracy": result.accuracy,
        "confidence_interval": result.confidence_interval,
        "active_share": result.active_share,
        "training_seconds": seconds,
    }
    for method, _, seconds, results in runs
    for result in results
]
(args.out / "few_shot.json").write_text(json.dumps(rows, indent=2) + "\n")

# %%
# The picture. On the left, accuracy with its 95 % interval against the share of active
# features: as `alpha` grows, points move left. On the right, the features sorted by the
# share of the tasks that use them: a curve that falls slowly tells of different tasks
# that use different features.

COLORS = {1: "#e69f00", 5: "#0072b2"}
svms = [run for run in runs if "alpha" in run[1]]
figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.8), layout="constrained")
for at, n_shots in enumerate((1, 5)):
    color = COLORS[n_shots]
    results = [results[at] for *_, results in svms]
    left.errorbar(
        [r.active_share for r in results],
        [r.accuracy for r in results],
        [r.confidence_interval for r in results],
        marker="o",
        capsize=3,
        color=color,
        label=f"SVM, {n_shots}-shot",
    )
    for style, (method, *_, others) in zip(("--", ":"), runs[1::-1], strict=True):
        left.axhline(
            others[at].accuracy,
            linestyle=style,
            color=color,
            label=f"{method}, {n_shots}-shot",
        )
left.set(
    xlabel="mean share of active features",
    ylabel="accuracy on unseen classes",
    xlim=(0, 1),
)
left.legend(ncols=3, loc="lower left", bbox_to_anchor=(0, 1), frameon=False)
usage = {params["alpha"]: results[1].feature_usage for _, params, _, results in svms}
FeatureUsageDisplay(usage=usage, param_name="alpha").plot(ax=right)
right.set_ylabel("share of the 5-shot tasks that use it")
figure.savefig(args.out / "few_shot.png", dpi=100)
print(f"\nWrote {args.out / 'few_shot.json'} and {args.out / 'few_shot.png'}.")
