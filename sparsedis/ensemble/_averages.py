"""Means over the predictions of several estimators."""

from functools import partial
from inspect import Parameter, signature

import numpy as np

from sparsedis.inputs._ids import read_task_ids
from sparsedis.inputs._known_tasks import task_numbers


def mean_and_std(arrays):
    """Mean and standard deviation of arrays, with one of them in memory at a time.

    Parameters
    ----------
    arrays : iterable of ndarray

    Returns
    -------
    mean, std : ndarray

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.ensemble._averages import mean_and_std
    >>> mean_and_std([np.array([1.0, 5.0]), np.array([3.0, 5.0])])
    (array([2., 5.]), array([1., 0.]))
    """
    mean = squares = 0.0
    for n, array in enumerate(arrays, 1):
        step = array - mean
        mean = mean + step / n
        squares = squares + step * (array - mean)
    return mean, np.sqrt(squares / n)


def mean_probabilities(members, X, task=None):
    """Mean of the probabilities, in the form that the estimators return.

    Parameters
    ----------
    members : list of estimators
        Their `predict_proba` returns an array, or one for each task in a list or dict.

    X : array-like of shape (n_samples, ...)

    task : array-like of shape (n_samples,), default=None
        Passed to `predict_proba` if it has this parameter.

    Returns
    -------
    ndarray, list of ndarray or dict of ndarray
    """
    given = {}
    if task is not None and _takes_task(members[0].predict_proba):
        given["task"] = task
    found = [member.predict_proba(X, **given) for member in members]
    return combined(partial(np.mean, axis=0), found)


def _takes_task(method):
    """Whether a method has the parameter `task`, or passes on any, as in a pipeline."""
    return any(
        parameter.name == "task" or parameter.kind is Parameter.VAR_KEYWORD
        for parameter in signature(method).parameters.values()
    )


def combined(combine, results):
    """Combine results in any form that an estimator returns.

    Parameters
    ----------
    combine : callable
        From a list of arrays or frames to an array.

    results : list of ndarray, DataFrame, or lists or dicts of them

    Returns
    -------
    ndarray, DataFrame, or list or dict of them
        In the form of the first result.
    """
    first = results[0]
    if isinstance(first, dict):
        return {name: combined(combine, [p[name] for p in results]) for name in first}
    if isinstance(first, list):
        return [combined(combine, parts) for parts in zip(*results, strict=True)]
    found = combine(results)
    if hasattr(first, "iloc"):
        return type(first)(found, first.index, first.columns)
    return found


def majority(results):
    """Classes in at least half of some sets, and the most probable one.

    Parameters
    ----------
    results : list of ndarray of shape (n, n_classes)
        Sets, then the probabilities.

    Returns
    -------
    ndarray of shape (n, n_classes) of bool

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.ensemble._averages import majority
    >>> sets = np.array([[[1, 0, 1]], [[1, 0, 0]], [[0, 1, 1]]], dtype=bool)
    >>> majority([*sets, np.array([[0.4, 0.3, 0.3]])])
    array([[ True, False,  True]])
    """
    *sets, p = results
    best = p == p.max(-1, keepdims=True, initial=0.0)
    return (np.mean(sets, axis=0) >= 0.5) | best


def predict_by_probability(members, X, task, tasks, classes, *, mixed=False):
    """Most probable classes, and the mean for tasks of numbers.

    Parameters
    ----------
    members : list of estimators

    X : array-like of shape (n_samples, ...)

    task : array-like of shape (n_samples,) or None

    tasks : ndarray of shape (n_tasks,)
        Names of the tasks.

    classes : ndarray, or list of n_tasks ndarray

    mixed : bool, default=False
        Whether some tasks have no probabilities, for which members cannot be asked.

    Returns
    -------
    y : ndarray or DataFrame
        Predictions, in the form that a member returns.

    std : ndarray
        Standard deviation over the members; NaN for classes.
    """
    given = {} if task is None else {"task": task}
    found = [member.predict(X, **given) for member in members]
    p = mean_probabilities(members, X, None if mixed else task)
    std = np.full(found[0].shape, np.nan)
    for t, at in _parts(found[0], task, tasks):
        own = _of_task(p, t, tasks, at)
        if own is None:
            mean, std[at] = mean_and_std(_get(y, at).astype(float) for y in found)
            _set(found[0], at, mean)
            continue
        labels = classes[t] if isinstance(classes, list) else classes
        # Predictions of a task without labels stay as they are.
        if len(labels):
            number = np.nan_to_num(own[:, : len(labels)]).argmax(1)
            _set(found[0], at, labels[number])
    return found[0], std


def _parts(y, task, tasks):
    """Tasks, and where their predictions are."""
    if task is not None:
        numbers = task_numbers(read_task_ids(task, len(y)), tasks)
        return [(t, (numbers == t,)) for t in np.unique(numbers)]
    if y.ndim == 1:
        return [(0, (slice(None),))]
    return [(t, (slice(None), t)) for t in range(len(tasks))]


def _of_task(p, t, tasks, at):
    """Probabilities of a task, or None if it has no classes."""
    if isinstance(p, dict):
        (name,) = tasks[t : t + 1].tolist()
        # With `task` the rows of the task, otherwise all rows.
        return p[name][at[0]] if name in p else None
    return p[t] if isinstance(p, list) else p[at[0]]


def _get(y, at):
    return y.iloc[at].to_numpy() if hasattr(y, "iloc") else y[at]


def _set(y, at, values):
    if not hasattr(y, "iloc"):
        y[at] = values
        return
    # In the dtype of the column, such as categories.
    column = y.iloc[at].copy()
    column[:] = values
    y.isetitem(at[1], column)
