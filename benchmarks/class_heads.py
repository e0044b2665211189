"""Paths of many sparse logistic models with cross-validation, and how fast others are.

``python -m benchmarks.class_heads`` fits tasks of two classes with missing labels, on
the features of ``benchmarks.heads``, in one thread. It prints the CPU seconds of each
task, the ratio to ours, and how much a peer's objective is above ours. Peers fit a few
tasks, one by one, with the tolerance of their defaults and with a strict one. celer
fits no intercept, so it is compared with ours without one.
"""

import time

import numpy as np
from celer import celer_path
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.model_selection import StratifiedKFold

from benchmarks.heads import make_tables, run
from sparsedis.heads import SparseHeadsClassifierCV

# Numbers of tasks, rows and features.
_SIZES = {"50": (100, 1000, 50), "500": (4, 1000, 500), "many": (200, 500, 64)}
_FOLDS, _ALPHAS, _EPS = 5, 100, 1e-3


def by_sklearn(X, y, alphas, tol):
    """Coefficients, intercept and penalty of scikit-learn's LogisticRegressionCV."""
    n_fold = len(y) * (_FOLDS - 1) / _FOLDS
    how = {"solver": "saga", "tol": tol, "max_iter": 10_000, "random_state": 0}
    model = LogisticRegressionCV(
        Cs=1 / (n_fold * alphas),
        **{"l1_ratios": (1,), "cv": _FOLDS, "scoring": "neg_log_loss", "refit": False},
        use_legacy_attributes=False,
        **how,
    ).fit(X, y)
    alpha = alphas[model.scores_.reshape(_FOLDS, -1).mean(0).argmax()]
    # Penalties of folds are relative to their rows.
    model = LogisticRegression(C=1 / (len(y) * alpha), l1_ratio=1, **how).fit(X, y)
    return model.coef_[0], model.intercept_[0], alpha


def by_celer(X, y, alphas, tol):
    """The same without an intercept, with celer's path on each fold."""
    sign = np.where(y > 0, 1.0, -1.0)

    def path(rows):
        n = len(rows)
        how = {"use_PN": True, "max_iter": 50, "tol": tol * n * np.log(2)}
        Z = np.asfortranarray(X[rows])
        return celer_path(Z, sign[rows], "logreg", alphas=n * alphas, **how)[1]

    losses = []
    for train, test in StratifiedKFold(_FOLDS).split(X, y):
        scores = X[test] @ path(train)
        losses.append(np.logaddexp(0, -sign[test, None] * scores).mean(0))
    i = int(np.mean(losses, 0).argmin())
    return path(np.arange(len(X)))[:, i], 0.0, alphas[i]


# With their names, whether they fit an intercept.
_PEERS = {"scikit-learn": (by_sklearn, True), "celer": (by_celer, False)}


def objective(X, y, coef, intercept, alpha):
    """Objective of the model, relative to that at zero."""
    loss = np.logaddexp(0, np.where(y > 0, -1, 1) * (X @ coef + intercept)).mean()
    return (loss + alpha * np.abs(coef).sum()) / np.log(2)


def measure(size, peers, tolerances, n_checked, seed=0):
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
        for name in peers:
            for tol in tolerances if _PEERS[name][1] == fit_intercept else ():
                _compare(name, tol, X, Y, ours, seconds, n_checked)


def _compare(name, tol, X, Y, ours, seconds, n_checked):
    start, excess, same = time.process_time(), [], 0
    for t in range(n_checked):
        at = ~np.isnan(Y[:, t])
        x, y, alphas = X[at], Y[at, t], ours.alphas_[t]
        coef, intercept, alpha = _PEERS[name][0](x, y, alphas, tol)
        if alpha == ours.alpha_[t]:
            same += 1
            theirs = objective(x, y, coef, intercept, alpha)
            excess.append(
                theirs - objective(x, y, ours.coef_[t], ours.intercept_[t], alpha)
            )
    each = (time.process_time() - start) / n_checked
    print(
        f"{name}, tol {tol:g}: {each:.4f} s a task, {each / seconds:.1f} times ours; "
        f"same penalty {same} of {n_checked}, objective above ours by "
        f"{max(excess, default=np.nan):.0e}",
        flush=True,
    )


def main(argv=None):
    """Compare the sizes that are asked for."""
    run(argv, "class_heads", __doc__, _SIZES, _PEERS, measure)


if __name__ == "__main__":
    main()
