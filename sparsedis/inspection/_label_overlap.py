"""Numbers of rows that the labels of tasks share."""

import numpy as np
import scipy.sparse as sp
from sklearn.base import is_classifier
from sklearn.utils import Bunch
from sklearn.utils.validation import _num_samples

from sparsedis.inputs._forms import read_targets
from sparsedis.inputs._known_tasks import known_tasks
from sparsedis.inputs._mixed import read_columns

# Number of pairs of tasks in memory at a time.
_PAIRS = 2**24


def count_labels(estimator, y, task=None, X=None):
    """Count the labels of each task of an estimator at each row.

    Parameters
    ----------
    estimator : estimator
        Fitted estimator with `tasks_`.

    y : array-like, DataFrame or sparse matrix
        Labels, in the forms that `fit` accepts.

    task : array-like of shape (n_samples,), default=None
        The task of each row, in the long form.

    X : array-like of shape (n_samples, ...), default=None
        Inputs. In the long form, tasks share rows only if X is given: equal inputs are
        then the same row.

    Returns
    -------
    csc_array of shape (n_rows, n_tasks) of int
        Numbers of labels.
    """
    n_rows = y.shape[0] if hasattr(y, "shape") else _num_samples(y)
    name = type(estimator).__name__
    if hasattr(estimator, "task_types_"):
        targets = read_columns(y, n_rows, task, estimator=name)
        rows = np.concatenate(targets.rows)
        tasks = np.repeat(np.arange(len(targets.rows)), [len(r) for r in targets.rows])
    else:
        real = not is_classifier(estimator)
        targets = read_targets(y, n_rows, task, real=real, estimator=name)
        rows, tasks, _ = targets.listed()
    number = known_tasks(targets, y, n_rows, estimator.tasks_, estimator._layout)
    tasks = number[tasks]
    rows, tasks = rows[tasks >= 0], tasks[tasks >= 0]
    if task is not None and X is not None:
        # This loads torch, which a fitted estimator has loaded already.
        from sparsedis.inputs._rows import distinct_rows, is_lazy

        # Rows that are read on demand are not compared, as in `fit`.
        if not is_lazy(X):
            rows = distinct_rows(estimator._validate_X(X, reset=False))[1][rows]
    shape = n_rows, len(estimator.tasks_)
    return sp.coo_array((np.ones(len(rows), dtype=int), (rows, tasks)), shape).tocsc()


def label_overlap(counts):
    """Count the rows that two tasks share.

    Parameters
    ----------
    counts : csc_array of shape (n_rows, n_tasks) of int
        Numbers of labels.

    Returns
    -------
    Bunch or None
        smallest, median : number of rows that two tasks share, the smallest and the
        median over all pairs of tasks with labels; n_pairs : number of these pairs;
        n_disjoint : number of pairs that share no row. None if there is no pair.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> from sparsedis.inspection._label_overlap import label_overlap
    >>> counts = sp.csc_array([[1, 1, 0], [1, 2, 1], [1, 0, 0]])
    >>> found = label_overlap(counts)
    >>> found.smallest, found.median, found.n_pairs, found.n_disjoint
    (1, 1.0, 3, 0)
    """
    labelled = (counts[:, np.flatnonzero(counts.sum(0))] > 0).astype(int)
    n_rows, n_tasks = labelled.shape
    n_pairs = n_tasks * (n_tasks - 1) // 2
    if not n_pairs:
        return None
    # Number of pairs by the number of rows that they share: needs little memory.
    histogram = np.zeros(n_rows + 1, dtype=int)
    step = max(1, _PAIRS // n_tasks)
    for first in range(0, n_tasks, step):
        part = slice(first, first + step)
        shared = (labelled[:, part].T @ labelled).toarray()
        later = np.arange(n_tasks) > np.arange(n_tasks)[part, None]
        histogram += np.bincount(shared[later], minlength=n_rows + 1)
    below = np.cumsum(histogram)
    middle = np.searchsorted(below, [(n_pairs + 1) // 2, n_pairs // 2 + 1])
    return Bunch(
        smallest=int(np.flatnonzero(histogram)[0]),
        median=float(middle.mean()),
        n_pairs=n_pairs,
        n_disjoint=int(histogram[0]),
    )
