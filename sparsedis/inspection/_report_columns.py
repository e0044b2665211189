"""Columns of the tables of tasks and features in a report."""

import warnings

import numpy as np
from sklearn.base import is_classifier

from sparsedis.inspection._estimators import head_supports


def columns_of_tasks(estimator, supports, tasks):
    """Columns of the table of tasks that need no data.

    Parameters
    ----------
    estimator : estimator
        Fitted estimator with `tasks_` and `coef_`.

    supports : ndarray of shape (n_heads, n_features) of bool
        Features that each head uses.

    tasks : ndarray of shape (n_heads,) of int
        The tasks that have a head.

    Returns
    -------
    dict of str to ndarray of shape (n_tasks,)
    """
    names = np.asarray(estimator.tasks_)
    columns = {"task": names, "type": _types(estimator)}
    n_used = np.full(len(names), np.nan)
    n_used[tasks] = supports.sum(1)
    linear = getattr(estimator, "linear_", None)
    if linear is not None:
        columns["held_out"] = linear.score
        columns["held_out_heads"] = linear.score_heads
        columns["held_out_linear"] = linear.score_linear
        columns["held_out_inputs"] = linear.score_inputs
        columns["gain"] = linear.score - linear.score_inputs
        columns["share"] = np.where(np.isnan(n_used), np.nan, linear.share)
    used = np.empty(len(names), dtype=object)
    used[:] = [()] * len(names)
    for t, support in zip(tasks, supports, strict=True):
        used[t] = tuple(np.flatnonzero(support).tolist())
    return columns | {"n_features": n_used, "features": used}


def columns_of_features(estimator, supports, trusted):
    """Columns of the table of features.

    Parameters
    ----------
    estimator : estimator

    supports : ndarray of shape (n_heads, n_features) of bool

    trusted : ndarray of shape (n_features,) of bool

    Returns
    -------
    dict of str to ndarray of shape (n_features,)
    """
    columns = {"feature": np.arange(len(trusted)), "n_tasks": supports.sum(0)}
    stability = vars(estimator).get("stability_")
    if stability is not None:
        columns["stability"] = np.asarray(stability)
    return columns | {"trusted": trusted}


def identifiability_of(estimator):
    """Report on the features, without a warning about tasks without heads.

    Parameters
    ----------
    estimator : estimator

    Returns
    -------
    IdentifiabilityReport
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*are NaN and left out", UserWarning)
        return estimator.identifiability(random_state=0)


def supports_of(estimator):
    """Features that each head uses, or an error that says what is missing.

    Parameters
    ----------
    estimator : object

    Returns
    -------
    supports : ndarray of shape (n_heads, n_features) of bool

    tasks : ndarray of shape (n_heads,) of int
    """
    if not hasattr(estimator, "identifiability"):
        raise ValueError(
            "estimator must have a head for each task, identifiability() and tasks_; "
            f"got {estimator!r}. For an ensemble, pass one of its estimators_."
        )
    return head_supports(estimator)


def _types(estimator):
    if hasattr(estimator, "task_types_"):
        return np.asarray(estimator.task_types_)
    if is_classifier(estimator):
        classes = estimator.classes_
        classes = classes if isinstance(classes, list) else [classes]
        return np.array(["class" if len(own) > 2 else "binary" for own in classes])
    kind = "vector" if estimator.coef_.ndim == 3 else "number"
    return np.full(len(estimator.tasks_), kind)
