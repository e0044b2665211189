"""How the cost of a training step, and the memory of a fit, grow with the problem.

``python -m benchmarks.costs`` prints CPU time of a step of each estimator as
one of its sizes grows four times, and peak memory of a fit as its data grow.
"""

import argparse
import multiprocessing
import resource
import warnings

import numpy as np
import torch
from scipy.sparse import random_array

from benchmarks.training import StepClock
from sparsedis import (
    GroupLassoSVMMetaLearner,
    SparseMultiTaskClassifier,
    SparseMultiTaskRepresentation,
)

# Sizes of a step to start from, and the factor by which one grows at a time.
SIZES = {"tasks": 50, "samples": 100, "features": 8}
FACTOR = 4


def regression(clock, max_iter, *, tasks, samples, features, **options):
    """Fit dense tasks of numbers."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((10 * samples, 30))
    Y = X @ rng.standard_normal((30, tasks)) + rng.standard_normal((len(X), tasks))
    SparseMultiTaskRepresentation(
        features,
        rotation=None,
        batch_size=samples,
        task_batch_size=tasks,
        max_iter=max_iter,
        callbacks=[clock],
        random_state=0,
        **options,
    ).fit(X, Y)


def ridge(clock, max_iter, **sizes):
    """Fit dense tasks of numbers with the heads that the default trains with."""
    regression(clock, max_iter, penalty="l2", **sizes)


def classification(clock, max_iter, *, tasks, samples, features):
    """Fit dense tasks of two classes, with the heads that the default trains with."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((10 * samples, 30))
    Y = X @ rng.standard_normal((30, tasks)) > 0
    SparseMultiTaskClassifier(
        features,
        rotation=None,
        penalty="l2",
        batch_size=samples,
        task_batch_size=tasks,
        max_iter=max_iter,
        callbacks=[clock],
        random_state=0,
    ).fit(X, Y)


def episodes(clock, max_iter, *, tasks, samples, features):
    """Fit episodes of 5 classes; half of their samples are labelled."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(20), samples)
    X = rng.standard_normal((20, 30))[y] + rng.standard_normal((len(y), 30))
    GroupLassoSVMMetaLearner(
        "mlp",
        n_components=features,
        n_shots=samples // 10,
        n_queries=samples // 10,
        episodes_per_batch=tasks,
        max_iter=max_iter,
        callbacks=[clock],
        random_state=0,
    ).fit(X, y)


STEPS = {
    "Representation, Ridge heads": ridge,
    "Representation, Lasso heads": regression,
    "Classifier, logistic heads": classification,
    "MetaLearner, SVM heads": episodes,
}


def milliseconds(fit, max_iter, **sizes):
    """Median CPU time of the steps of a fit."""
    clock = StepClock()
    fit(clock, max_iter, **sizes)
    return 1000 * np.median(clock.steps[5:])


def price_of_sizes(max_iter):
    """Print CPU time of a step, and its growth with each size."""
    print(f"{'step, ms':<28} {'base':>6} " + " ".join(f"4x {n:<8}" for n in SIZES))
    for name, fit in STEPS.items():
        base = SIZES | ({"tasks": 4, "features": 64} if fit is episodes else {})
        lengths = [milliseconds(fit, max_iter, **base)]
        for size in base:
            sizes = base | {size: FACTOR * base[size]}
            lengths.append(milliseconds(fit, max_iter, **sizes))
        grown = " ".join(f"{length:<11.1f}" for length in lengths[1:])
        print(f"{name:<28} {lengths[0]:>6.1f} {grown}", flush=True)


def numbers(times):
    """Fit tables of numbers, all of whose labels are there."""
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((20_000, 20)), rng.standard_normal((20_000, 200 * times))
    SparseMultiTaskRepresentation(6, rotation=None, max_iter=3).fit(X, Y)
    return Y.size


def classes(times):
    """Fit tables of two classes, all of whose labels are there."""
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((20_000, 20)), rng.random((20_000, 50 * times)) < 0.5
    SparseMultiTaskClassifier(6, rotation=None, max_iter=3).fit(X, Y)
    return Y.size


def sparse(times):
    """Fit tables of which one label in a hundred is there."""
    rng = np.random.default_rng(0)
    X, shape = rng.standard_normal((20_000, 20)), (20_000, 5_000 * times)
    Y = random_array(shape, density=0.01, format="csc", rng=rng)
    SparseMultiTaskRepresentation(6, rotation=None, max_iter=3).fit(X, Y)
    return Y.nnz


def inputs(times):
    """Fit ten tasks of many wide rows in float32."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((50_000 * times, 200), dtype=np.float32)
    SparseMultiTaskRepresentation(6, rotation=None, max_iter=3).fit(X, X[:, :10])
    return X.size


def images(times):
    """Meta-learn from 8-bit images."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (2_000 * times, 84, 84, 3), dtype=np.uint8)
    y = np.arange(len(X)) % 20
    GroupLassoSVMMetaLearner(n_shots=1, n_queries=1, max_iter=1).fit(X, y)
    return X.size


MEMORY = {
    "Representation, labels": numbers,
    "Classifier, labels": classes,
    "Representation, sparse labels": sparse,
    "Representation, float32 inputs": inputs,
    "MetaLearner, bytes of images": images,
}


def peak_of(fit, times):
    """Peak memory of a fit in this process, in bytes, and the size of its data."""
    warnings.simplefilter("ignore")
    size = fit(times)
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, size


def price_of_data():
    """Print peak memory of fits, by its growth, and what fits in 24 GiB."""
    print(
        f"\n{'memory of a fit':<32} {'peaks, MiB':>12} {'bytes each':>11} 24 GiB hold"
    )
    context = multiprocessing.get_context("spawn")
    for name, fit in MEMORY.items():
        found = []
        for times in (1, FACTOR):
            with context.Pool(1) as pool:
                found.append(pool.apply(peak_of, (fit, times)))
        (low, few), (high, many) = found
        each = (high - low) / (many - few)
        most = few + (24 * 2**30 - low) / each
        peaks = f"{low / 2**20:.0f}, {high / 2**20:.0f}"
        print(f"{name:<32} {peaks:>12} {each:>11.1f} {most:.1e}", flush=True)


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=20, help="of each training")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # how well it learns is not the question here
        price_of_sizes(args.steps)
    price_of_data()


if __name__ == "__main__":
    main()
