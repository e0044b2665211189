"""Warnings about features, overfitting and predictions of a fit."""

import numpy as np

from sparsedis._warn import warn
from sparsedis.identifiability._report import STABLE
from sparsedis.inputs._batch import NUMBER
from sparsedis.inputs._rows import LazyRows
from sparsedis.inputs._weights import as_counts
from sparsedis.multitask._ridge import ridge
from sparsedis.multitask._table_moments import chunks

# A larger difference of the scores on training and held-out rows indicates
# overfitting.
_BY_HEART = 0.1

# A larger loss of the held-out score against Ridge indicates lost information.
_BELOW_RIDGE = 0.02

# Number of tasks to score, labels that a task needs among the held-out rows, and
# number of inputs for which Ridge is fast.
_TASKS, _LABELS, _WIDE = 50, 5, 1000

# Smallest difference to the score of a linear model for which features lack what a task
# depends on, and number of held-out labels to tell.
_LOST, _MANY_LABELS = 0.2, 20


def doubts_about_features(stability, n_tasks, weight=None):
    """Report the features on which halves of the tasks disagree.

    Parameters
    ----------
    stability : ndarray of shape (k,)

    n_tasks : int

    weight : ndarray or csr_array, default=None
        Weights of the samples or labels, as they were given.

    Returns
    -------
    list of str
        Empty, or one text.
    """
    unstable = np.flatnonzero(stability < STABLE)
    if not len(unstable):
        return []
    why = (
        f"halves of the {n_tasks} tasks give different ones. Use more tasks or more "
        "labels; call identifiability() for details."
    )
    if n_tasks == 1:
        why = "a single task cannot tell them from mixtures. Give many, one a column."
    mean = 1.0 if weight is None else weight.mean()
    if mean > 1 and as_counts(weight, mean) is weight:
        why += (
            f" Weights of a mean of {mean:.3g} count as so many repetitions: divide "
            "them by it if they are none."
        )
    return [
        f"{len(unstable)} of {len(stability)} features may not be factors "
        f"({unstable[:8].tolist()}{'...' if len(unstable) > 8 else ''}): {why}"
    ]


def tasks_without_feature(linear):
    """Find tasks that linear models on the inputs predict much better than the heads.

    Parameters
    ----------
    linear : LinearPart

    Returns
    -------
    ndarray of int
    """
    known = (np.diff(linear.first) >= _MANY_LABELS) & (linear.kinds == NUMBER)
    return np.flatnonzero(known & (linear.score_linear > linear.score_heads + _LOST))


def doubts_about_tasks(linear, n_components):
    """Report tasks that depend on more of the inputs than the features contain.

    Parameters
    ----------
    linear : LinearPart

    n_components : int
        Number of features.

    Returns
    -------
    list of str
        Empty, or one sentence.
    """
    tasks = tasks_without_feature(linear)
    if not len(tasks):
        return []
    by_linear = linear.score_linear[tasks].mean()
    by_heads = linear.score_heads[tasks].mean()
    return [
        f"The features miss what {len(tasks)} of {len(linear.share)} tasks depend on "
        f"({tasks[:8].tolist()}{'...' if len(tasks) > 8 else ''}): on held-out rows "
        f"linear models on X score {by_linear:.2f}, the heads {by_heads:.2f}. Raise "
        f"n_components (now {n_components}), or max_iter."
    ]


def doubts_about_rows(Z, X, trained, held_out, support):
    """Compare scores on trained and held-out rows, and those of Ridge on the inputs.

    Parameters
    ----------
    Z : callable
        ``Z(table)`` gives the features of the rows of a table.

    X : ndarray of shape (n, ...), LazyRows or None
        Inputs; None: without Ridge.

    trained, held_out : TaskTable
        Table of targets of unit variance; tasks of numbers are looked at.

    support : ndarray of shape (n_tasks, k) of bool
        Features that each task uses.

    Returns
    -------
    list of str
    """
    counts = held_out.labels.counts()
    judged = (counts >= _LABELS) & (trained.labels.counts() >= _LABELS)
    judged &= trained.teaching
    if trained.n_classes is not None:
        judged &= trained.n_classes == NUMBER
    tasks = np.flatnonzero(judged)
    tasks = tasks[:: max(1, len(tasks) // _TASKS)][:_TASKS]
    if not len(tasks):
        return []
    inner, outer = _labels(trained, tasks), _labels(held_out, tasks)
    own = Z(trained), Z(held_out)
    seen, unseen = _scores(own, inner, outer, tasks, _least_squares, support)
    doubts = []
    if seen - unseen > _BY_HEART:
        doubts.append(
            f"The encoder overfits: R2 {seen:.2f} on the rows it was "
            f"trained on, {unseen:.2f} on held-out ones. Raise weight_decay, give it "
            "more rows, or a smaller encoder."
        )
    if X is None or isinstance(X, LazyRows) or X.ndim != 2 or X.shape[1] > _WIDE:
        return doubts
    inputs = X[trained.at].astype(float), X[held_out.at].astype(float)
    ridge = _scores(inputs, inner, outer, tasks, _ridge, None)[1]
    if unseen < ridge - _BELOW_RIDGE:
        doubts.append(
            f"A separate Ridge for each task on X predicts held-out rows better: R2 "
            f"{ridge:.2f}, here {unseen:.2f}. Raise weight_decay or max_iter, or use "
            "Ridge for predictions."
        )
    return doubts


def doubts_without_rows(early_stopping, n_rows):
    """Report that no rows were held out, though they were to be if possible.

    Parameters
    ----------
    early_stopping : bool or "auto"

    n_rows : int
        Distinct rows of the table.

    Returns
    -------
    list of str
        Empty, or one sentence.
    """
    if early_stopping != "auto":
        return []
    return [
        f"{n_rows} different rows are too few to hold any out: training did not stop "
        "early, and the encoder may overfit. Judge predictions by cross-validation."
    ]


def warn_of(doubts):
    """Give all findings in one warning."""
    if doubts:
        warn(" ".join(doubts), UserWarning)


def warn_of_unused(unused, n_components, remedy):
    """Warn about features that no head uses.

    Parameters
    ----------
    unused : ndarray of int

    n_components : int
        Number of features.

    remedy : str
        Advice for the user.
    """
    warn(
        f"No head uses features {unused.tolist()} of {n_components}: {remedy}.",
        UserWarning,
    )


def _labels(table, tasks):
    """Labels of tasks: rows, targets of shape (n, n_outputs) and weights of each."""
    found = {}
    for part, rows, Y, weight in chunks(table, tasks):
        for i, t in enumerate(part):
            at = ~np.isnan(Y[:, i, 0])
            own = None if weight is None else weight[at, i]
            found[t] = rows[at], Y[at, i], own
    return found


def _scores(features, inner, outer, tasks, fit, support):
    """R2 of all tasks together, on the rows used to fit the heads and on others."""
    errors, spreads = np.zeros(2), np.zeros(2)
    for t in tasks:
        used = slice(None) if support is None else support[t]
        rows, y, weight = inner[t]
        predict = fit(features[0][rows][:, used], y, weight)
        for i, (Z, (at, target, _)) in enumerate(
            zip(features, (inner[t], outer[t]), strict=True)
        ):
            errors[i] += ((target - predict(Z[at][:, used])) ** 2).mean()
            spreads[i] += ((target - y.mean(0)) ** 2).mean()
    return 1 - errors / np.maximum(spreads, 1e-300)


def _least_squares(Z, y, weight):
    root = np.ones((len(y), 1)) if weight is None else np.sqrt(weight)[:, None]
    design = np.column_stack([Z, np.ones(len(Z))])
    W = np.linalg.lstsq(root * design, root * y, rcond=1e-8)[0]
    return lambda Z: np.column_stack([Z, np.ones(len(Z))]) @ W


def _ridge(X, y, weight):
    coef, intercept, _ = ridge(X, y[:, None], weight)
    return lambda X: X @ coef[0].T + intercept[0]
