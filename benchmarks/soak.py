"""Fits of all kinds over and over, and the memory that the process holds.

``python -m benchmarks.soak --minutes 60`` goes through the kinds in turn with data of
changing sizes, prints the resident memory once a minute, and at the end by how much it
grew in an hour, by least squares over all but the first minutes. What fits leave
behind shows as a slope; what the libraries keep for themselves does not.
"""

import argparse
import gc
import io
import pickle
import time
import warnings

import numpy as np
import torch
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

from sparsedis import (
    GroupLassoSVMMetaLearner,
    SparseMultiTaskClassifier,
    SparseMultiTaskRepresentation,
)
from sparsedis.datasets import make_sparse_tasks
from sparsedis.metrics import DisentanglementScorer
from sparsedis.model_selection import UDRSearch
from sparsedis.rotation import SparseRotation
from sparsedis.svm import GroupLassoSVC


def make_kinds():
    """Make what is fitted.

    Returns
    -------
    dict of str to callable
        From a seed to nothing.
    """
    return {
        "table": _fit_table,
        "lasso": _fit_lasso,
        "classes": _fit_classes,
        "stream": _fit_stream,
        "images": _fit_images,
        "episodes": _fit_episodes,
        "svc": _fit_svc,
        "rotation": _fit_rotation,
        "searches": _search,
        "scorer": _score,
        "failures": _fail,
    }


def _tasks(seed, n_tasks=20):
    n_samples = 60 + 10 * (seed % 7)
    return make_sparse_tasks(n_samples, n_tasks, n_factors=3, random_state=seed)


def _representation(seed, **params):
    return SparseMultiTaskRepresentation(
        **{"n_components": 3, "max_iter": 20, "random_state": seed} | params
    )


def _use(est, X, Y):
    """Encode, judge, adapt, and pass through a file and a pickle."""
    Z = est.transform(X)
    est.predict(X)
    est.score(X, Y)
    est.adapt(X, Y)
    file = io.BytesIO()
    est.save_params(file)
    file.seek(0)
    loaded = clone(est).load_params(file)
    np.testing.assert_allclose(loaded.transform(X), Z, rtol=1e-5, atol=1e-6)
    pickle.loads(pickle.dumps(est)).transform(X)


def _fit_table(seed):
    X, Y = _tasks(seed)
    Y[np.random.default_rng(seed).random(Y.shape) < 0.2] = np.nan
    _use(_representation(seed, n_components="auto").fit(X, Y), X, Y)


def _fit_lasso(seed):
    X, Y = _tasks(seed)
    options = [
        {"penalty": "l1"},
        {"penalty": "elasticnet", "inner_fraction": 0.5, "learn_alpha": True},
        {"penalty_at": "outer"},
        {"penalty": "l2", "warm_start": True},
    ]
    est = _representation(seed, rotation=None, **options[seed % len(options)])
    est.fit(X, Y).fit(X, Y)
    _use(est, X, Y)


def _fit_classes(seed):
    X, Y = _tasks(seed)
    Y = np.digitize(Y, [0.0] if seed % 2 else [-0.5, 0.5])
    est = SparseMultiTaskClassifier(3, max_iter=20, random_state=seed).fit(X, Y)
    est.predict_proba(X)
    _use(est, X, Y)


def _fit_stream(seed):
    batches = [_tasks(seed + i) for i in range(5)]
    est = _representation(seed).fit_stream(batches)
    est.adapt(*batches[0]).predict(batches[0][0])


def _fit_images(seed):
    rng = np.random.default_rng(seed)
    X = rng.integers(0, 256, (24, 64, 64, 3), dtype=np.uint8)
    _representation(seed, max_iter=2).fit(X, rng.standard_normal((24, 6)))


def _fit_episodes(seed):
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(12), 8)
    X = 3 * rng.standard_normal((12, 5))[y] + rng.standard_normal((len(y), 5))
    heads = "group_lasso_svm", "ridge", "prototypes", "logistic"
    meta = GroupLassoSVMMetaLearner(
        "mlp",
        head=heads[seed % len(heads)],
        n_ways=3,
        n_shots=2,
        n_queries=3,
        max_iter=10,
        validation_classes=0.3,
        validation_every=5,
        validation_episodes=5,
        optimizer="adam",
        lr=1e-3,
        random_state=seed,
    ).fit(X, y)
    meta.evaluate(X, y, n_episodes=5)
    meta.adapt(X, y).predict_proba(X)


def _fit_svc(seed):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, 60)
    GroupLassoSVC().fit(rng.standard_normal((60, 30)) + y[:, None], y)


def _fit_rotation(seed):
    X, Y = _tasks(seed)
    SparseRotation(random_state=seed).fit(X, Y).transform(X)


def _search(seed):
    X, Y = _tasks(seed)
    est = _representation(seed, rotation=None, max_iter=5)
    grid = {"alpha": [0.1, 0.4]}
    GridSearchCV(est, grid, cv=2).fit(X, Y)
    UDRSearch(est, grid, n_seeds=2, random_state=seed).fit(X, Y)


def _score(seed):
    rng = np.random.default_rng(seed)
    factors = rng.integers(0, 4, (300, 3))
    codes = factors + 0.1 * rng.standard_normal(factors.shape)
    DisentanglementScorer("mcc").fit(codes, factors)


def _fail(seed):
    X, Y = _tasks(seed)
    options = [
        {"lr": 1e30, "optimizer": torch.optim.SGD},
        {"encoder": _Broken},
        {"alpha": 2.0},
    ]
    for params in options:
        try:
            _representation(seed, **params).fit(X, Y)
        except (ValueError, RuntimeError):
            continue
        raise AssertionError(f"{params} must be refused.")


class _Broken(torch.nn.Linear):
    """An encoder that breaks in training, after a step."""

    def __init__(self, input_shape, n_components):
        super().__init__(*input_shape, n_components)
        self.n_calls = 0

    def forward(self, x):
        self.n_calls += 1
        if self.n_calls > 5:
            raise RuntimeError("broken")
        return super().forward(x)


def resident_mib():
    """Read the resident memory of this process.

    Returns
    -------
    float
        In MiB.
    """
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def main(argv=None):
    """Run for a while, and print the memory held."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak", description=__doc__.split("\n")[0]
    )
    add = parser.add_argument
    add("--minutes", type=float, default=60, help="how long (%(default)s)")
    add("--settle", type=float, default=10, help="minutes left out (%(default)s)")
    kinds = make_kinds()
    add("--only", nargs="+", choices=kinds, default=list(kinds), metavar="KIND")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", UserWarning)
    warnings.simplefilter("ignore", ConvergenceWarning)
    start, seed, rows = time.monotonic(), 0, []
    print("minute  fits     MiB  objects", flush=True)
    while (minute := (time.monotonic() - start) / 60) < args.minutes:
        for name in args.only:
            kinds[name](seed)
        seed += 1
        if not rows or minute >= rows[-1][0] + 1:
            gc.collect()
            objects = len(gc.get_objects())
            rows.append((minute, resident_mib()))
            print(
                f"{minute:6.1f} {seed * len(args.only):5d} {rows[-1][1]:7.1f} "
                f"{objects:8d}",
                flush=True,
            )
    minutes, memory = np.array([row for row in rows if row[0] >= args.settle] or rows).T
    if len(minutes) > 1:
        slope = 60 * np.polyfit(minutes, memory, 1)[0]
        print(f"{slope:+.1f} MiB an hour after minute {minutes[0]:.0f}")


if __name__ == "__main__":
    main()
