"""Paths of many Lasso models with cross-validation, and how fast others are.

``python -m benchmarks.heads`` fits tasks with missing labels on correlated features, in
one thread. It prints the CPU seconds of each task, the ratio to ours, and how much a
peer's objective is above ours. Peers fit a few tasks, one by one, with the tolerance of
their defaults and with a strict one. skglm and himalaya take part where they are
installed; himalaya fits Ridge models, so that only its time compares. "groups" are
paths of the group Lasso with five features in each group, which only celer has.
"""

import argparse
import time
import warnings

import numpy as np
import torch
from celer import celer_path
from sklearn.linear_model import LassoCV
from sklearn.model_selection import KFold

from sparsedis.heads import SparseHeadsCV

# Numbers of tasks, rows, features, and features of a group.
_SIZES = {
    "50": (100, 1000, 50, 1),
    "500": (100, 1000, 500, 1),
    "2000": (100, 1000, 2000, 1),
    "many": (10_000, 500, 64, 1),
    "groups50": (100, 1000, 50, 5),
    "groups500": (4, 1000, 500, 5),
}
_FOLDS, _ALPHAS, _EPS = 5, 100, 1e-3


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


def by_sklearn(X, y, alphas, tol=1e-4):
    """Coefficients, intercept and penalty of scikit-learn's LassoCV."""
    model = LassoCV(alphas=alphas, cv=_FOLDS, tol=tol, max_iter=100_000).fit(X, y)
    return model.coef_, model.intercept_, model.alpha_


def by_celer(X, y, alphas, tol=1e-4, size=1):
    """The same with celer's path on each fold, and groups of features."""
    kind = ("grouplasso", {"groups": size}) if size > 1 else ("lasso", {})

    def path(rows):
        mean, middle = X[rows].mean(0), y[rows].mean()
        Z, target = np.asfortranarray(X[rows] - mean), y[rows] - middle
        gap = tol * (target @ target) / len(target)
        coef = celer_path(Z, target, kind[0], alphas=alphas, tol=gap, **kind[1])[1]
        return coef, middle - mean @ coef

    return _by_paths(path, X, y, alphas)


def by_skglm(X, y, alphas, tol=1e-4):
    """The same with skglm's path on each fold."""
    from skglm.datafits import Quadratic
    from skglm.penalties import L1
    from skglm.solvers import AndersonCD

    def path(rows):
        mean, middle = X[rows].mean(0), y[rows].mean()
        Z, target = np.asfortranarray(X[rows] - mean), y[rows] - middle
        solver = AndersonCD(
            max_iter=1000, tol=tol, warm_start=True, fit_intercept=False
        )
        coef = solver.path(Z, target, Quadratic(), L1(1.0), alphas)[1]
        return coef, middle - mean @ coef

    return _by_paths(path, X, y, alphas)


def _by_paths(path, X, y, alphas):
    errors = []
    for train, test in KFold(_FOLDS).split(X):
        coef, intercept = path(train)
        errors.append(((y[test, None] - X[test] @ coef - intercept) ** 2).mean(0))
    i = int(np.mean(errors, 0).argmin())
    coef, intercept = path(np.arange(len(X)))
    return coef[:, i], intercept[i], alphas[i]


def by_himalaya(X, Y):
    """CPU seconds of himalaya's Ridge models, on complete labels."""
    from himalaya.ridge import RidgeCV

    start = time.process_time()
    RidgeCV(alphas=np.logspace(-2, 5, 20), cv=_FOLDS).fit(X, np.nan_to_num(Y))
    return time.process_time() - start


_PEERS = {"scikit-learn": by_sklearn, "celer": by_celer, "skglm": by_skglm}


def objective(X, y, coef, intercept, alpha, size):
    """Objective with groups of features, relative to that at zero."""
    penalty = alpha * np.linalg.norm(coef.reshape(-1, size), axis=1).sum()
    error = ((y - X @ coef - intercept) ** 2).mean() / 2 + penalty
    return error / (y.var() / 2)


def measure(size, peers, tolerances, n_checked, seed=0):
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
    for name in peers:
        for tol in tolerances if c == 1 or name == "celer" else ():
            _compare(name, tol, X, Y, ours, seconds, n_checked, c)
    if c > 1:
        return
    try:
        ridge = by_himalaya(X, Y) / n_tasks
    except ImportError:
        return
    print(f"himalaya (Ridge, complete labels): {ridge:.5f} s a task")


def _compare(name, tol, X, Y, ours, seconds, n_checked, size):
    how = {"size": size} if size > 1 else {}
    try:
        _PEERS[name](X[:50, :5], np.nan_to_num(Y[:50, 0]), np.array([0.2, 0.1]), tol)
    except ImportError:
        print(f"{name}: not installed")
        return
    start, excess, same = time.process_time(), [], 0
    for t in range(n_checked):
        at = ~np.isnan(Y[:, t])
        x, y, alphas = X[at], Y[at, t], ours.alphas_[t]
        coef, intercept, alpha = _PEERS[name](x, y, alphas, tol, **how)
        same += alpha == ours.alpha_[t]
        own = ours.coef_[t], ours.intercept_[t], ours.alpha_[t]
        if alpha == ours.alpha_[t]:
            theirs = objective(x, y, coef, intercept, alpha, size)
            excess.append(theirs - objective(x, y, *own, size))
    each = (time.process_time() - start) / n_checked
    print(
        f"{name}, tol {tol:g}: {each:.5f} s a task, {each / seconds:.1f} times ours; "
        f"same penalty {same} of {n_checked}, objective above ours by "
        f"{max(excess, default=np.nan):.0e}",
        flush=True,
    )


def run(argv, name, doc, sizes, peers, measure):
    """Measure the sizes and peers that the command line asks for."""
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}", description=doc.split("\n")[0]
    )
    add = parser.add_argument
    add("--sizes", nargs="+", choices=sizes, default=list(sizes))
    add("--peers", nargs="+", choices=peers, default=list(peers))
    add("--tol", nargs="+", type=float, default=[1e-4, 1e-8], help="(%(default)s)")
    add("--tasks", type=int, default=2, help="tasks that peers fit (%(default)s)")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for size in args.sizes:
            measure(size, args.peers, args.tol, args.tasks)


def main(argv=None):
    """Compare the sizes that are asked for."""
    run(argv, "heads", __doc__, _SIZES, _PEERS, measure)


if __name__ == "__main__":
    main()
