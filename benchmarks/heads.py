"""Paths of many Lasso models with cross-validation, and how fast others are.

``python -m benchmarks.heads`` fits tasks with missing labels on correlated features, in
one thread. It prints the CPU seconds of each task, the ratio to ours, and how much a
peer's objective is above ours. Peers fit a few tasks, one by one: with the tolerance of
their defaults, and with the first of 1e-2, 1e-3, ... at which the objectives are equal.
That means that on the whole path of all labels, the objective of each penalty exceeds
ours by less than 1e-6 of it. skglm and himalaya take part where they are installed;
himalaya fits Ridge models, so that only its time compares. "groups" are paths of the
group Lasso with five features in each group, which only celer has.
"""

import argparse
import time
import warnings
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from celer import celer_path
from sklearn.linear_model import LassoCV, lasso_path
from sklearn.model_selection import KFold

from sparsedis.heads import SparseHeadsCV

# Numbers of tasks, rows, features, and features of a group.
_SIZES = {
    "50": (100, 1000, 50, 1),
    "500": (20, 1000, 500, 1),
    "2000": (4, 1000, 2000, 1),
    "many": (10_000, 500, 64, 1),
    "groups50": (100, 1000, 50, 5),
    "groups500": (4, 1000, 500, 5),
}
_FOLDS, _ALPHAS, _EPS = 5, 100, 1e-3

# Default tolerance of the peers, others, and excess of an objective, as a share of it,
# up to which it equals ours.
_DEFAULT, _TOLERANCES, _EQUAL = 1e-4, [10.0**-i for i in range(2, 15)], 1e-6


def make_tables(n_tasks, n, p, seed, missing=0.5):
    """Features with ten common factors, and sparse tasks with missing labels."""
    rng = np.random.default_rng(seed)
    X = 0.5 * rng.standard_normal((n, 10)) @ rng.standard_normal((10, p))
    X += rng.standard_normal((n, p))
    Y = np.empty((n, n_tasks))
    for t in range(n_tasks):
        used = rng.choice(p, 10, replace=False)
        Y[:, t] = X[:, used] @ rng.standard_normal(10)
    Y += 0.5 * Y.std(0) * rng.standard_normal(Y.shape)
    Y[rng.random(Y.shape) < missing] = np.nan
    return X, Y


def sklearn_path(Z, y, alphas, tol, size):
    """Coefficients of scikit-learn's path on centred data."""
    return lasso_path(Z, y, alphas=alphas, tol=tol, max_iter=100_000)[1]


def celer_path_of(Z, y, alphas, tol, size):
    """The same of celer's path, with groups of features."""
    kind = ("grouplasso", {"groups": size}) if size > 1 else ("lasso", {})
    gap = tol * (y @ y) / len(y)
    return celer_path(Z, y, kind[0], alphas=alphas, tol=gap, **kind[1])[1]


def skglm_path(Z, y, alphas, tol, size):
    """The same of skglm's path."""
    from skglm.datafits import Quadratic
    from skglm.penalties import L1
    from skglm.solvers import AndersonCD

    solver = AndersonCD(max_iter=1000, tol=tol, warm_start=True, fit_intercept=False)
    return solver.path(Z, y, Quadratic(), L1(1.0), alphas)[1]


def by_path(path, X, y, alphas, tol, size):
    """Coefficients and intercepts of a path on data that are not centred."""
    mean, middle = X.mean(0), y.mean()
    coef = path(np.asfortranarray(X - mean), y - middle, alphas, tol, size)
    return coef, middle - mean @ coef


def choose(path, task, tol):
    """Penalty that folds choose, after the fit of all labels."""
    X, y, alphas = task.X, task.y, task.alphas
    if path is sklearn_path:
        how = {"cv": _FOLDS, "tol": tol, "max_iter": 100_000}
        return LassoCV(alphas=alphas, **how).fit(X, y).alpha_
    errors = []
    for train, test in KFold(_FOLDS).split(X):
        coef, intercept = by_path(path, X[train], y[train], alphas, tol, task.size)
        errors.append(((y[test, None] - X[test] @ coef - intercept) ** 2).mean(0))
    by_path(path, X, y, alphas, tol, task.size)
    return alphas[np.mean(errors, 0).argmin()]


def excess(path, task, tol):
    """Largest relative excess of a peer's objectives on the path of all labels."""
    found = by_path(path, task.X, task.y, task.alphas, tol, task.size)
    theirs = objective(task.X, task.y, *found, task.alphas, task.size)
    return (theirs / task.best - 1).max()


def by_himalaya(X, Y):
    """CPU seconds of himalaya's Ridge models, on complete labels."""
    from himalaya.ridge import RidgeCV

    start = time.process_time()
    RidgeCV(alphas=np.logspace(-2, 5, 20), cv=_FOLDS).fit(X, np.nan_to_num(Y))
    return time.process_time() - start


_PEERS = {"scikit-learn": sklearn_path, "celer": celer_path_of, "skglm": skglm_path}


def objective(X, y, coef, intercept, alpha, size):
    """Objectives with groups of features, of coefficients (p,) or (p, n_alphas)."""
    groups = coef.reshape(-1, size, *coef.shape[1:])
    penalty = alpha * np.linalg.norm(groups, axis=1).sum(0)
    return ((y - (X @ coef + intercept).T) ** 2).mean(-1) / 2 + penalty


def measure(size, peers, n_checked, seed=0):
    """Print the times of one size."""
    n_tasks, n, p, c = _SIZES[size]
    X, Y = make_tables(n_tasks, n, p, seed)
    groups = np.arange(p) // c if c > 1 else None
    some = groups if groups is None else groups[:10]
    how = {"eps": _EPS, "cv": _FOLDS}
    SparseHeadsCV(_ALPHAS, feature_groups=some, **how).fit(X[:, :10], Y[:, :2])
    start = time.process_time()
    ours = SparseHeadsCV(_ALPHAS, feature_groups=groups, **how).fit(X, Y)
    seconds = (time.process_time() - start) / n_tasks
    grouped = f" in groups of {c}" if c > 1 else ""
    print(
        f"\n{n_tasks} tasks, {n} rows, {p} features{grouped}: {seconds:.5f} s a task,"
    )
    print(f"gap up to {ours.dual_gap_.max():.0e}")
    tasks = [_task(X, Y, ours, t, c) for t in range(n_checked)]
    for name in peers:
        if c == 1 or name == "celer":
            _compare(name, tasks, seconds)
    if c > 1:
        return
    try:
        ridge = by_himalaya(X, Y) / n_tasks
    except ImportError:
        return
    print(f"himalaya (Ridge, complete labels): {ridge:.5f} s a task")


@dataclass
class Task:
    """A task that peers fit, the penalty that we choose and our objectives."""

    X: np.ndarray
    y: np.ndarray
    alphas: np.ndarray
    alpha: float
    best: np.ndarray
    size: int = 1


def _task(X, Y, ours, t, size):
    at = ~np.isnan(Y[:, t])
    x, y, alphas = X[at], Y[at, t], ours.alphas_[t]
    _, (coef,) = ours.coef_path(X, Y, tasks=[t])
    intercept = y.mean() - x.mean(0) @ coef
    best = objective(x, y, coef, intercept, alphas, size)
    return Task(x, y, alphas, ours.alpha_[t], best, size)


def _compare(name, tasks, seconds):
    path, one = _PEERS[name], tasks[0]
    try:
        by_path(path, one.X[:50, :5], one.y[:50], np.array([0.2, 0.1]), 1e-4, 1)
    except ImportError:
        print(f"{name}: not installed")
        return
    compare(name, tasks, seconds, partial(choose, path), partial(excess, path))


def compare(name, tasks, seconds, choose, excess):
    """Print the times of a peer, with its default tolerance and at equal objectives.

    Parameters
    ----------
    name : str

    tasks : list of Task

    seconds : float
        Our CPU seconds of a task.

    choose, excess : callable
        Of a task and a tolerance: the penalty that the peer chooses, and how much its
        objectives exceed ours.
    """
    above, equal = {}, None
    for tol in _TOLERANCES:
        above[tol] = max(excess(task, tol) for task in tasks)
        if above[tol] <= _EQUAL and equal is None:
            equal = tol
        if equal is not None and tol <= _DEFAULT:
            break
    for tol, value in above.items():
        if tol in (_DEFAULT, equal):
            start = time.process_time()
            same = sum(choose(task, tol) == task.alpha for task in tasks)
            each = (time.process_time() - start) / len(tasks)
            print(
                f"{name}, tol {tol:g}: {each:.5f} s a task, {each / seconds:.1f} times "
                f"ours; same penalty {same} of {len(tasks)}, objective above ours by "
                f"{value:.0e}" + (" (equal)" if tol == equal else ""),
                flush=True,
            )
    if equal is None:
        print(f"{name}: not equal with any tolerance, above ours by {value:.0e}")


def run(argv, name, doc, sizes, peers, measure):
    """Measure the sizes and peers that the command line asks for."""
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}", description=doc.split("\n")[0]
    )
    add = parser.add_argument
    add("--sizes", nargs="+", choices=sizes, default=list(sizes))
    add("--peers", nargs="+", choices=peers, default=list(peers))
    add("--tasks", type=int, default=2, help="tasks that peers fit (%(default)s)")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for size in args.sizes:
            measure(size, args.peers, args.tasks)


def main(argv=None):
    """Compare the sizes that are asked for."""
    run(argv, "heads", __doc__, _SIZES, _PEERS, measure)


if __name__ == "__main__":
    main()
