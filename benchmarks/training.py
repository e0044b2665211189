"""Training through the estimator: the price of a step, and the quality of its result.

``python -m benchmarks.training --only s5 s9`` runs some of

s5   a training step on images against the bare encoder on the same images
s6   seconds until the factors of rendered images are found
s7   quality on images whose factors are correlated, over the seeds
s8   quality on images whose factors are independent, over the seeds
s8b  quality on synthetic tasks of 20 correlated factors, over the seeds
s9   the price of a step as the number of sparsely labelled tasks grows

Each prints a table. Timings are of one thread, unless OMP_NUM_THREADS says otherwise;
those of s5, s6 and s9 are CPU time.
"""

import argparse
import copy
import gc
import multiprocessing
import os
import resource
import time
import warnings

import numpy as np
import torch
from scipy.sparse import csc_matrix
from sklearn.decomposition import FastICA
from skorch.callbacks import Callback

from sparsedis import SparseMultiTaskRepresentation
from sparsedis.datasets import (
    FactorDistribution,
    Shapes3D,
    SparseTaskModel,
    SparseTaskStream,
)
from sparsedis.encoders import ConvEncoder, prepare_rows
from sparsedis.metrics import linear_r_score, mean_correlation_coefficient


class StepClock(Callback):
    """CPU seconds of every step, and of the bare encoder on the rows of every step."""

    def __init__(self, make_encoder=None):
        self.make_encoder = make_encoder

    def on_train_begin(self, net, **kwargs):
        self.steps, self.bare = [], []
        if self.make_encoder is not None:
            self.encoder = self.make_encoder()

    def on_batch_begin(self, net, batch, **kwargs):
        # The two take turns, so that their ratio holds on a busy machine.
        if self.make_encoder is not None:
            if not self.bare:
                # torch prepares convolutions when they are first used, for both.
                self._encode(batch)
            start = time.process_time()
            self._encode(batch)
            self.bare.append(time.process_time() - start)
        self._start = time.process_time()

    def _encode(self, batch):
        self.encoder(prepare_rows(torch.as_tensor(batch.rows))).sum().backward()

    def on_batch_end(self, net, **kwargs):
        self.steps.append(time.process_time() - self._start)


def price_of_a_step(args):
    """A step on images against the bare encoder: the first ones, and those after."""
    shapes = Shapes3D(64)

    def make_encoder():
        return ConvEncoder((3, 64, 64), 6).to(memory_format=torch.channels_last)

    print(f"{'tasks x images':<18} {'':>8} {'step':>9} {'encoder':>10} {'ratio':>7}")
    for n_tasks, n_samples, layout in ((8, 50, "separate"), (100, 100, "shared")):
        clock = StepClock(make_encoder)
        stream = SparseTaskStream(
            shapes,
            n_tasks=n_tasks,
            n_samples=n_samples,
            layout=layout,
            random_state=0,
        )
        # Else one of the first steps, at random, collects the garbage of the imports,
        # which takes as long as two steps.
        gc.collect()
        gc.freeze()
        SparseMultiTaskRepresentation(
            6,
            rotation=None,
            max_iter=args.steps or 40,
            callbacks=[clock],
            random_state=0,
        ).fit_stream(stream)
        title = f"{n_tasks} x {n_samples} {layout}"
        rows = (
            ("first 20", slice(20), np.mean),
            ("median", slice(5, None), np.median),
            ("lowest", slice(5, None), np.min),
        )
        for name, part, summary in rows:
            step, bare = (1000 * summary(t[part]) for t in (clock.steps, clock.bare))
            print(
                f"{title:<18} {name:>8} {step:>6.1f} ms {bare:>7.1f} ms "
                f"{step / bare:>7.3f}"
            )
            title = ""


def seconds_to_mcc(args):
    """CPU seconds of a fit to an MCC of .98 on images of independent factors."""
    # Every seed has a process of its own, which has drawn no image yet.
    print(f"{'seed':>4} {'seconds':>8} {'MCC':>6}")
    context = multiprocessing.get_context("spawn")
    for seed in args.seeds:
        with context.Pool(1) as pool:
            print(pool.apply(measure_fit, (seed, args.steps or 80)), flush=True)


def measure_fit(seed, max_iter):
    """One line of the table of S6; the seconds are those of `fit_stream` as a whole."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 1)))
    shapes = Shapes3D(64)
    distribution = FactorDistribution(shapes, noise=1.0, random_state=seed)
    est = SparseMultiTaskRepresentation(
        6,
        max_iter=max_iter,
        lr=3e-3,
        lr_schedule="average",
        precision="bfloat16",
        random_state=seed,
    )
    start = time.process_time()
    est.fit_stream(SparseTaskStream(shapes, distribution, random_state=seed))
    seconds = time.process_time() - start
    index = np.random.default_rng(0).choice(shapes.n_images, 2_000, replace=False)
    codes = est.transform(shapes.images(index))
    mcc = mean_correlation_coefficient(distribution.latents(index), codes)
    return f"{seed:>4} {seconds:>8.1f} {mcc:>6.3f}"


def quality_on_images(args, rho=0.0):
    """Quality on images of independent factors."""
    shapes = Shapes3D(args.image_size)
    index = np.random.default_rng(0).choice(shapes.n_images, 5_000, replace=False)
    images = shapes.images(index)
    steps = args.steps or (1000 if rho else 400)

    def methods(seed, distribution):
        for name, penalty, alpha in (("Lasso", "l1", 0.4), ("Ridge", "l2", 0.01)):
            est = SparseMultiTaskRepresentation(
                6,
                rotation="sparsest",
                penalty=penalty,
                alpha=alpha,
                max_iter=steps,
                random_state=seed,
            )
            est.fit_stream(SparseTaskStream(shapes, distribution, random_state=seed))
            # The training itself is the same without a rotation.
            before = copy.copy(est)
            before.module_ = est.module_.representation
            codes = before.transform(images)
            yield f"inner-{name}", codes
            yield f"inner-{name} + rotation", est.transform(images)
            if penalty == "l2":
                drawn, _ = distribution.sample(5_000, random_state=seed)
                ica = FastICA(whiten="unit-variance", max_iter=2_000, random_state=seed)
                ica.fit(before.transform(shapes.images(drawn)))
                yield f"inner-{name} + ICA", ica.transform(codes)

    def runs():
        for seed in args.seeds:
            distribution = FactorDistribution(
                shapes, rho=rho, noise=1.0, random_state=seed
            )
            yield seed, distribution.latents(index), methods(seed, distribution)

    report(runs())


def quality_on_correlated_images(args):
    """Quality on images of correlated factors, rho = .9."""
    quality_on_images(args, rho=0.9)


def quality_on_synthetic_tasks(args):
    """Quality on synthetic tasks of 20 factors, mixed by a network, at rho = .9."""

    def methods(seed, model, X):
        est = SparseMultiTaskRepresentation(
            20,
            rotation=None,
            alpha=0.25,
            max_iter=args.steps or 700,
            lr=8e-3,
            random_state=seed,
        )
        # Twice the tasks and half as many samples again let larger steps settle.
        stream = SparseTaskStream(model, n_tasks=200, n_samples=150, random_state=seed)
        yield "inner-Lasso", est.fit_stream(stream).transform(X)

    def runs():
        for seed in args.seeds:
            model = SparseTaskModel(20, mixing="mlp", rho=0.9, random_state=seed)
            # Not the stream that the tasks are drawn from.
            test = np.random.default_rng([seed, 1])
            X, factors = model.sample(5_000, random_state=test)
            yield seed, factors, methods(seed, model, X)

    report(runs())


def report(runs):
    """Print the quality of the codes of every method and seed."""
    print(f"{'method':<22} {'seed':>4} {'MCC':>6} {'R':>6} {'seconds':>8}")
    found = {}
    for seed, factors, methods in runs:
        start = time.perf_counter()
        for method, codes in methods:
            seconds = time.perf_counter() - start
            mcc = mean_correlation_coefficient(factors, codes)
            r = linear_r_score(factors, codes)
            found.setdefault(method, []).append(mcc)
            print(
                f"{method:<22} {seed:>4} {mcc:>6.3f} {r:>6.3f} {seconds:>8.1f}",
                flush=True,
            )
            start = time.perf_counter()
    for method, mccs in found.items():
        print(f"{method:<22} mean {np.mean(mccs):>6.3f}, lowest {min(mccs):.3f}")


def price_of_tasks(args):
    """The price of a step as the number of tasks with 1 % of the labels grows."""
    # Every number of tasks has a process of its own, for its peak of memory.
    print(f"{'tasks':>7} {'labels':>10} {'step':>9} {'memory':>8} {'of that, Y':>10}")
    context = multiprocessing.get_context("spawn")
    for n_tasks in (100, 1_000, 10_000, 100_000):
        with context.Pool(1) as pool:
            print(pool.apply(measure_tasks, (n_tasks, args.steps or 60)), flush=True)


def measure_tasks(n_tasks, max_iter, n_samples=2_000):
    """One line of the table of S9: sparse targets of which 1 % are labelled."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_samples, 20))
    per_task = n_samples // 100
    rows = np.empty((n_tasks, per_task), dtype=np.int32)
    values = np.empty((n_tasks, per_task))
    for t in range(n_tasks):  # task by task: the data must not make the peak of memory
        rows[t] = np.sort(rng.choice(n_samples, per_task, replace=False))
        values[t] = X[rows[t]] @ rng.standard_normal(20)
    indptr = per_task * np.arange(n_tasks + 1)
    Y = csc_matrix((values.ravel(), rows.ravel(), indptr), shape=(n_samples, n_tasks))
    stored = (Y.data.nbytes + Y.indices.nbytes + Y.indptr.nbytes) / 2**20
    clock = StepClock()
    est = SparseMultiTaskRepresentation(
        6, rotation=None, max_iter=max_iter, callbacks=[clock], random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # how well it learns is not the question here
        est.fit(X, Y)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    step = 1000 * np.median(clock.steps[5:])
    return f"{n_tasks:>7} {Y.nnz:>10} {step:>6.1f} ms {peak:>5.0f} MB {stored:>7.0f} MB"


BENCHMARKS = {
    "s5": price_of_a_step,
    "s6": seconds_to_mcc,
    "s7": quality_on_correlated_images,
    "s8": quality_on_images,
    "s8b": quality_on_synthetic_tasks,
    "s9": price_of_tasks,
}


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, default=BENCHMARKS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--steps", type=int, help="of training, to try something out")
    parser.add_argument("--image-size", type=int, default=48, help="of s7 and s8")
    args = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 1)))
    for name in args.only:
        print(f"\n{name}: {BENCHMARKS[name].__doc__}")
        BENCHMARKS[name](args)


if __name__ == "__main__":
    main()
