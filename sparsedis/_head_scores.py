"""Scores of the heads of tasks, and the classes that they say."""

import numpy as np
from scipy.special import expit, softmax

# Maximal size of intermediate arrays.
_BLOCK = 2**18


def head_scores(Z, coef, intercept, tasks=None):
    """Scores of heads.

    Parameters
    ----------
    Z : ndarray of shape (n, k)

    coef : ndarray of shape (n_tasks, k) or (n_tasks, n_outputs, k)

    intercept : ndarray of shape (n_tasks,) or (n_tasks, n_outputs)

    tasks : ndarray of shape (n,) of int, default=None
        Task of each row. None: scores of all heads for every row.

    Returns
    -------
    ndarray of shape (n, n_tasks[, n_outputs]) or, with `tasks`, (n[, n_outputs])
        Scores in float64, since an intercept may be much larger than the other terms.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis._head_scores import head_scores
    >>> head_scores(np.eye(2), np.array([[1.0, 2.0], [3.0, 4.0]]), np.zeros(2))
    array([[1., 3.],
           [2., 4.]])
    """
    shape = coef.shape[1:-1] if tasks is not None else coef.shape[:-1]
    scores = np.empty((len(Z), *shape))
    table = coef.reshape(-1, coef.shape[-1]).T
    subscripts = "nk,nk->n" if coef.ndim == 2 else "nk,nck->nc"
    for part in blocks(len(Z), max(table.shape) if tasks is None else coef[0].size):
        rows = Z[part].astype(np.float64, copy=False)
        if tasks is None:
            scores[part] = (rows @ table).reshape(-1, *shape) + intercept
        else:
            own = tasks[part]
            scores[part] = np.einsum(subscripts, rows, coef[own]) + intercept[own]
    return scores


def most_probable(scores, binary):
    """Number of the class with the highest score.

    Parameters
    ----------
    scores : ndarray of shape (...) or (..., n_classes)
        Logits of the second of two classes, or those of all classes. NaN for tasks
        with fewer than two classes.

    binary : bool
        Whether each score is that of the second of two classes.

    Returns
    -------
    ndarray of shape (...) of int
        0 where scores are NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis._head_scores import most_probable
    >>> most_probable(np.array([-1.0, 2.0, np.nan]), True)
    array([0, 1, 0])
    """
    if binary:
        return (scores > 0).astype(int)
    return np.where(np.isnan(scores), -np.inf, scores).argmax(-1)


def class_probabilities(scores, binary, single):
    """Probabilities of classes.

    Parameters
    ----------
    scores, binary : object
        As for :func:`most_probable`.

    single : ndarray of shape (...) of bool
        Where a task has a single class, which is certain.

    Returns
    -------
    ndarray of shape (..., n_classes)
        NaN where scores are, unless there is a single class.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis._head_scores import class_probabilities
    >>> class_probabilities(np.array([0.0, np.nan]), True, np.array([False, True]))
    array([[0.5, 0.5],
           [1. , 0. ]])
    """
    if binary:
        p = np.stack([expit(-scores), expit(scores)], -1)
    else:
        p = softmax(scores, axis=-1)
    certain = np.where(np.arange(p.shape[-1]) == 0, 1.0, 0.0)
    p[np.broadcast_to(single, p.shape[:-1])] = certain
    return p


def blocks(n, size):
    """Slices of n items whose total size is bounded.

    Parameters
    ----------
    n : int

    size : int
        Size of each item.

    Returns
    -------
    list of slice
    """
    step = max(1, _BLOCK // max(1, size))
    return [slice(first, first + step) for first in range(0, n, step)]
