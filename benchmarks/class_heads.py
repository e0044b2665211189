"""Paths of many sparse logistic models with cross-validation, and how fast others are.

``python -m benchmarks.class_heads`` fits tasks of two classes with missing labels, on
the features of ``benchmarks.heads``, in one thread. It compares with others as that
does. celer fits no intercept, so it is compared with ours without one.
"""

import time
from functools import partial

import numpy as np
from celer import celer_path
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from benchmarks.heads import Task, compare, make_tables, run
from sparsedis.heads import SparseHeadsClassifier, SparseHeadsClassifierCV

# Numbers of tasks, rows and features.
_SIZES = {"50": (100, 1000, 50), "500": (4, 1000, 500), "many": (300, 500, 64)}
_FOLDS, _ALPHAS, _EPS = 5, 100, 1e-3


def sklearn_path(X, y, alphas, tol):
    """Coefficients and intercepts of scikit-learn's path."""
    how = {"solver": "saga", "tol": tol, "max_iter": 10_000, "random_state": 0}
    model, found = LogisticRegression(l1_ratio=1, warm_start=True, **how), []
    for alpha in alphas:
        model.set_params(C=1 / (len(y) * alpha)).fit(X, y)
        found.append((model.coef_[0].copy(), model.intercept_[0]))
    coef, intercept = zip(*found, strict=True)
    return np.transpose(coef), np.array(intercept)


def celer_path_of(X, y, alphas, tol):
    """The same of celer's path, without intercepts."""
    n, sign = len(y), np.where(y > 0, 1.0, -1.0)
    how = {"use_PN": True, "max_iter": 50, "tol": tol * n * np.log(2)}
    Z = np.asfortranarray(X)
    return celer_path(Z, sign, "logreg", alphas=n * alphas, **how)[1], 0.0


# With their names, whether they fit an intercept.
_PEERS = {"scikit-learn": (sklearn_path, True), "celer": (celer_path_of, False)}


def choose(path, task, tol):
    """Penalty that folds choose, after the fit of all labels."""
    X, y, alphas = task.X, task.y, task.alphas
    losses = []
    for train, test in StratifiedKFold(_FOLDS).split(X, y):
        coef, intercept = path(X[train], y[train], alphas, tol)
        losses.append(log_losses(X[test], y[test], coef, intercept).mean(0))
    path(X, y, alphas, tol)
    return alphas[np.mean(losses, 0).argmin()]


def log_losses(X, y, coef, intercept):
    """Losses of the rows, of shape (n, n_alphas)."""
    return np.logaddexp(0, np.where(y > 0, -1, 1)[:, None] * (X @ coef + intercept))


def objective(X, y, coef, intercept, alphas):
    """Objectives of the models of a path."""
    penalty = alphas * np.abs(coef).sum(0)
    return log_losses(X, y, coef, intercept).mean(0) + penalty


def excess(path, task, tol):
    """Largest relative excess of a peer's objectives on the path of all labels."""
    found = path(task.X, task.y, task.alphas, tol)
    return (objective(task.X, task.y, *found, task.alphas) / task.best - 1).max()


def _task(X, Y, ours, t):
    at = ~np.isnan(Y[:, t])
    x, y, alphas = X[at], Y[at, t], ours.alphas_[t]
    exact = SparseHeadsClassifier(alphas, fit_intercept=ours.fit_intercept, tol=1e-10)
    exact.fit(x, np.repeat(y[:, None], len(alphas), 1))
    best = objective(x, y, exact.coef_.T, exact.intercept_, alphas)
    return Task(x, y, alphas, ours.alpha_[t], best)


def measure(size, peers, n_checked, seed=0):
    """Print the times of one size."""
    n_tasks, n, p = _SIZES[size]
    X, Y = make_tables(n_tasks, n, p, seed)
    X, Y = X - X.mean(0), np.where(np.isnan(Y), np.nan, Y > 0)
    for fit_intercept in sorted({_PEERS[name][1] for name in peers}, reverse=True):
        model = SparseHeadsClassifierCV(
            _ALPHAS, eps=_EPS, cv=_FOLDS, fit_intercept=fit_intercept
        )
        model.fit(X[:100, :5], np.nan_to_num(Y[:100, :2]))  # warm up
        start = time.process_time()
        ours = model.fit(X, Y)
        seconds = (time.process_time() - start) / n_tasks
        print(
            f"\n{n_tasks} tasks, {n} rows, {p} features, intercept: {fit_intercept}. "
            f"Ours: {seconds:.4f} s a task, gap up to {ours.dual_gap_.max():.0e}"
        )
        tasks = [_task(X, Y, ours, t) for t in range(n_checked)]
        for name in peers:
            path, intercept = _PEERS[name]
            if intercept == fit_intercept:
                compare(
                    name, tasks, seconds, partial(choose, path), partial(excess, path)
                )


def main(argv=None):
    """Compare the sizes that are asked for."""
    run(argv, "class_heads", __doc__, _SIZES, _PEERS, measure)


if __name__ == "__main__":
    main()
