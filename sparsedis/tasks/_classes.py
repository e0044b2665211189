"""Classes of every task, and labels as their numbers."""

from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise

import numpy as np
from sklearn.utils.multiclass import check_classification_targets

from sparsedis.tasks._values import unboxed


def encode_classes(targets, weight=None):
    """Number the classes of each task.

    Parameters
    ----------
    targets : Targets
        With labels of any dtype.

    weight : ndarray of shape (n_rows,), default=None
        Labels of rows without weight are left out.

    Returns
    -------
    targets : Targets
        With numbers of classes, as a list.

    classes : list of ndarray
        Sorted labels of each task.

    Raises
    ------
    ValueError
        When labels are not classes, such as fractions.

    Examples
    --------
    >>> from sparsedis.tasks._classes import encode_classes
    >>> from sparsedis.tasks._forms import read_targets
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
    if weight is not None:
        kept = weight[rows] > 0
        rows, tasks, values = rows[kept], tasks[kept], values[kept]
    order = np.argsort(tasks, kind="stable")
    bounds = np.searchsorted(tasks[order], np.arange(targets.n_tasks + 1))
    codes = np.empty(len(values))
    classes = []
    for first, last in pairwise(bounds):
        mine = order[first:last]
        own, codes[mine] = _number(values[mine])
        classes.append(own)
    targets = replace(targets, values=codes, missing=None, rows=rows, tasks=tasks)
    return targets, classes


def _number(values):
    if len(values) == 0:
        return values, np.zeros(0)
    values = unboxed(values)
    if values.dtype.kind == "f" and np.isinf(values).any():
        raise ValueError("Input y contains infinity, which is no class.")
    try:
        classes, codes = np.unique(values, return_inverse=True)
    except TypeError:
        raise ValueError(
            "y must hold labels of one kind per task, got "
            f"{sorted({type(v).__name__ for v in values})} in one."
        ) from None
    # Whole numbers, text and dates are classes; the rest is for scikit-learn to judge.
    dates = values.dtype == object and all(
        isinstance(v, date | timedelta) for v in classes
    )
    if values.dtype.kind in "fcO" and not dates:
        check_classification_targets(
            np.array(classes.tolist()) if classes.dtype == object else classes
        )
    return classes, codes
