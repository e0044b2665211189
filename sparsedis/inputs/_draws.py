"""Rows of tasks that are drawn for a step."""

import numpy as np
from sklearn.utils.random import sample_without_replacement


def draw(n, size, random_state):
    """Distinct numbers below n, at a cost that does not grow with n."""
    size = min(n, size)
    return sample_without_replacement(n, size, random_state=random_state)


def gather(drawn):
    """Combine tasks with different rows, with each distinct row once.

    Parameters
    ----------
    drawn : list of tuple (rows, values, weight)
        Labels of each task, at least one in total; `weight` may be None.

    Returns
    -------
    positions : ndarray of shape (n_distinct,) of int
        The distinct rows, sorted.

    index : ndarray of shape (n_tasks, n_samples) of int
        Indices in `positions` of the rows of each task.

    y : ndarray of shape (n_tasks, n_samples) or (n_tasks, n_samples, n_outputs)
        NaN if a task has fewer samples.

    weight : ndarray of shape (n_tasks, n_samples), or None

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.inputs._draws import gather
    >>> rows = np.array([7, 4]), np.array([4])
    >>> positions, index, y, _ = gather([(r, 0.5 * r, None) for r in rows])
    >>> positions, index, y
    (array([4, 7]), array([[1, 0],
           [0, 0]]), array([[3.5, 2. ],
           [2. , nan]]))
    """
    sizes = np.array([len(rows) for rows, _, _ in drawn])
    mask = np.arange(sizes.max()) < sizes[:, None]
    rows, values, weights = zip(*drawn, strict=True)
    positions, inverse = np.unique(np.concatenate(rows), return_inverse=True)
    index = np.zeros(mask.shape, dtype=np.int64)
    index[mask] = inverse
    values = np.concatenate(values)
    y = np.full((*mask.shape, *values.shape[1:]), np.nan)
    y[mask] = values
    weight = None
    if weights[0] is not None:
        weight = np.ones(mask.shape)
        weight[mask] = np.concatenate(weights)
    return positions, index, y, weight
