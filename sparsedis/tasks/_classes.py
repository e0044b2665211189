"""Classes of every task, and labels as their numbers."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
from sklearn.utils.multiclass import check_classification_targets


def encode_classes(targets):
    """Number the classes of each task.

    Parameters
    ----------
    targets : Targets
        With labels of any dtype.

    Returns
    -------
    targets : Targets
        With numbers of classes.

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
    [array(['no', 'yes'], dtype=object), array([1, 3], dtype=object)]
    >>> targets.values
    array([[ 0.,  1.],
           [ 1.,  0.],
           [ 0., nan]])
    """
    rows, tasks, values = targets.listed()
    order = np.argsort(tasks, kind="stable")
    bounds = np.searchsorted(tasks[order], np.arange(targets.n_tasks + 1))
    codes = np.empty(len(values))
    classes = []
    for first, last in pairwise(bounds):
        mine = order[first:last]
        own, codes[mine] = _number(values[mine])
        classes.append(own)
    if targets.missing is None:
        return replace(targets, values=codes), classes
    table = np.full(targets.values.shape, np.nan)
    table[rows, tasks] = codes
    return replace(targets, values=table), classes


def _number(values):
    if len(values) == 0:
        return values, np.zeros(0)
    try:
        classes, codes = np.unique(values, return_inverse=True)
    except TypeError:
        raise ValueError(
            "y must hold labels of one kind per task, got "
            f"{sorted({type(v).__name__ for v in values})} in one."
        ) from None
    # Whole numbers and text are classes; the rest is for scikit-learn to judge.
    if values.dtype.kind in "fcO":
        check_classification_targets(
            np.array(classes.tolist()) if classes.dtype == object else classes
        )
    return classes, codes
