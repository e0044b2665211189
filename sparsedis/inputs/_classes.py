"""Classes of every task, and labels as their numbers."""

from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise

import numpy as np

from sparsedis._warn import warn
from sparsedis.inputs._values import check_discrete, unboxed, unique_labels


def encode_classes(targets):
    """Number the classes of each task.

    Parameters
    ----------
    targets : Targets
        Labels of any dtype.

    Returns
    -------
    targets : Targets
        Class numbers, as a list.

    classes : list of ndarray
        Sorted labels of each task.

    Raises
    ------
    ValueError
        When labels are not classes, such as fractions.

    Examples
    --------
    >>> from sparsedis.inputs._classes import encode_classes
    >>> from sparsedis.inputs._forms import read_targets
    >>> y = [["no", 3], ["yes", 1], ["no", None]]
    >>> targets, classes = encode_classes(
    ...     read_targets(y, 3, real=False, estimator="me")
    ... )
    >>> classes
    [array(['no', 'yes'], dtype=object), array([1, 3])]
    >>> targets.tasks, targets.values
    (array([0, 0, 0, 1, 1], dtype=int32), array([0., 1., 0., 1., 0.]))
    """
    rows, tasks, values = targets.listed()
    order = np.argsort(tasks, kind="stable")
    bounds = np.searchsorted(tasks[order], np.arange(targets.n_tasks + 1))
    codes = np.empty(len(values))
    classes = []
    for first, last in pairwise(bounds):
        mine = order[first:last]
        own, codes[mine] = number_classes(values[mine])
        classes.append(own)
    targets = replace(targets, values=codes, missing=None, rows=rows, tasks=tasks)
    return targets, classes


def number_classes(values):
    """Number the classes of one task.

    Parameters
    ----------
    values : ndarray of shape (n,)
        Labels, none of them missing.

    Returns
    -------
    classes : ndarray of shape (n_classes,)
        Sorted.

    codes : ndarray of shape (n,)
        The class of each label.
    """
    if len(values) == 0:
        return values, np.zeros(0)
    values = unboxed(values)
    if values.dtype.kind == "f" and np.isinf(values).any():
        raise ValueError("Input y contains infinity, which is not a class.")
    classes, codes = unique_labels(values)
    # Integers, text and dates are classes; scikit-learn checks everything else.
    dates = values.dtype == object and all(
        isinstance(v, date | timedelta) for v in classes
    )
    if values.dtype.kind in "fcO" and not dates:
        boxed = classes.dtype == object
        check_discrete(np.array(classes.tolist()) if boxed else classes)
    return classes, codes


def check_classes(classes, names, estimator):
    """Refuse labels of which no task has two classes, and warn of single classes.

    Parameters
    ----------
    classes : list of ndarray
        Classes of each task.

    names : ndarray of shape (n_tasks,)

    estimator : str
        Name of the estimator.


    Raises
    ------
    ValueError
        When no task has labels of two classes.

    Warns
    -----
    UserWarning
        When tasks have a single class.
    """
    single = [t for t, own in enumerate(classes) if len(own) == 1]
    if all(len(own) < 2 for own in classes):
        raise ValueError(
            f"{estimator} needs labels of at least two classes in some task; y has "
            f"only the class {classes[single[0]].tolist()[0]!r}."
        )
    if single:
        some = ", ".join(str(names[t]) for t in single[:5])
        warn(
            f"{len(single)} of {len(classes)} tasks have a single class ({some}"
            f"{', ...' if len(single) > 5 else ''}), and no head: they always "
            "predict it.",
            UserWarning,
        )


def decode_classes(codes, tasks, classes):
    """Convert numbers of classes to labels.

    Parameters
    ----------
    codes : ndarray of shape (..., n) of int
        Numbers of classes.

    tasks : ndarray of shape (n,) of int
        The task of each.

    classes : list of ndarray
        Labels of each task; none where it has no label.

    Returns
    -------
    ndarray of shape (..., n)
        In a dtype that represents the labels of all tasks exactly; NaN, NaT or None
        for tasks without any.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.inputs._classes import decode_classes
    >>> classes = [np.array([3, 2**60 + 1]), np.array([0.5]), np.array([], dtype=int)]
    >>> decode_classes(np.array([1, 0, 0]), np.arange(3), classes)
    array([1152921504606846977, 0.5, None], dtype=object)
    >>> classes[0] = np.array([3, 4])
    >>> decode_classes(np.array([1, 0, 0]), np.arange(3), classes)
    array([4. , 0.5, nan])
    """
    counts = np.array([len(own) for own in classes])
    dtype, missing = _common_dtype(classes)
    flat = [own.astype(dtype) for own in classes]
    flat.append(np.array([missing], dtype=dtype))
    first = np.concatenate([[0], np.cumsum(counts)])[:-1]
    first[counts == 0] = counts.sum()
    return np.concatenate(flat)[first[tasks] + codes]


def _common_dtype(classes):
    """Dtype that represents the classes of all tasks exactly, and a missing value.

    Parameters
    ----------
    classes : list of ndarray
        Classes of each task; empty for tasks without any label.

    Returns
    -------
    dtype, missing
        `missing` is the value for tasks without any label, if there are some.
    """
    known = [own for own in classes if len(own)]
    kinds = {_KINDS.get(own.dtype.kind, own.dtype.kind) for own in known}
    if len(kinds) > 1 or "O" in kinds:
        return np.dtype(object), None
    (kind,) = kinds
    lacking = len(known) < len(classes)
    dtype = np.result_type(*(own.dtype for own in known))
    if kind == "M":
        return dtype, np.datetime64("NaT")
    if kind == "m":
        return dtype, np.timedelta64("NaT")
    if kind != "number":
        return (np.dtype(object), None) if lacking else (dtype, "")
    if lacking:
        dtype = np.result_type(dtype, float)
    if all(own.astype(dtype).tolist() == own.tolist() for own in known):
        return dtype, np.nan if dtype.kind == "f" else 0
    return np.dtype(object), None


# Kinds of numpy's dtypes that one dtype can hold.
_KINDS = dict.fromkeys("biuf", "number")


def warn_of_new_classes(new, effect):
    """Warn about labels that are no classes of their tasks.

    Parameters
    ----------
    new : dict
        A label of each such task, by its name; empty if there is none.

    effect : str
        What the labels do to a score.
    """
    if new:
        some = ", ".join(f"{label!r} in task {t}" for t, label in new.items())
        warn(
            f"y holds classes that fit has not seen ({some[:200]}); they {effect}.",
            UserWarning,
        )
