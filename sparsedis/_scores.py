"""From heads and features to predictions and their quality, task by task."""

import numpy as np


def head_scores(Z, coef, intercept, tasks=None):
    """Scores of heads.

    Parameters
    ----------
    Z : ndarray of shape (n, k)

    coef : ndarray of shape (n_tasks, k) or (n_tasks, n_outputs, k)

    intercept : ndarray of shape (n_tasks,) or (n_tasks, n_outputs)

    tasks : ndarray of shape (n,) of int, default=None
        The task of each row. None: every row is scored by all the heads.

    Returns
    -------
    ndarray of shape (n, n_tasks[, n_outputs]) or, with `tasks`, (n[, n_outputs])
        In the dtype of `Z`.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis._scores import head_scores
    >>> head_scores(np.eye(2), np.array([[1.0, 2.0], [3.0, 4.0]]), np.zeros(2))
    array([[1., 3.],
           [2., 4.]])
    """
    coef, intercept = coef.astype(Z.dtype), intercept.astype(Z.dtype)
    if tasks is not None:
        subscripts = "nk,nk->n" if coef.ndim == 2 else "nk,nck->nc"
        return np.einsum(subscripts, Z, coef[tasks]) + intercept[tasks]
    scores = Z @ coef.reshape(-1, coef.shape[-1]).T
    return scores.reshape(len(Z), *coef.shape[:-1]) + intercept


def task_numbers(names, known):
    """Numbers of tasks, by their names.

    Parameters
    ----------
    names : ndarray of shape (n,)

    known : ndarray of shape (n_tasks,)

    Returns
    -------
    ndarray of shape (n,) of int
        -1 for names that are not known.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis._scores import task_numbers
    >>> task_numbers(np.array(["b", "a", "z"]), np.array(["a", "b"]))
    array([ 1,  0, -1])
    """
    numbers = {name: number for number, name in enumerate(known.tolist())}
    return np.array([numbers.get(name, -1) for name in names.tolist()], dtype=int)


def r2_of_tasks(y, prediction, tasks, n_tasks, weight=None):
    """Coefficient of determination of each task, as scikit-learn defines it.

    Parameters
    ----------
    y, prediction : ndarray of shape (n,) or (n, n_outputs)

    tasks : ndarray of shape (n,) of int

    n_tasks : int

    weight : ndarray of shape (n,), default=None

    Returns
    -------
    ndarray of shape (n_tasks,)
        Mean of the outputs; NaN for tasks with fewer than two samples.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis._scores import r2_of_tasks
    >>> y = np.array([1.0, 2.0, 3.0, 5.0])
    >>> r2_of_tasks(y, y + 0.5, np.array([0, 0, 0, 1]), 2)
    array([0.625,   nan])
    """
    weight = np.ones(len(y)) if weight is None else weight

    def total(values):
        return np.bincount(tasks, weight * values, minlength=n_tasks)

    count = np.bincount(tasks, weight > 0, minlength=n_tasks)
    y, prediction = y.reshape(len(y), -1), prediction.reshape(len(y), -1)
    mass = np.where(count > 0, total(np.ones(len(y))), 1.0)
    r2 = np.zeros(n_tasks)
    for target, guess in zip(y.T, prediction.T, strict=True):
        error = total((target - guess) ** 2)
        spread = total((target - (total(target) / mass)[tasks]) ** 2)
        constant = spread == 0
        ratio = error / np.where(constant, 1.0, spread)
        r2 += np.where(constant, np.where(error == 0, 1.0, 0.0), 1 - ratio)
    return np.where(count >= 2, r2 / y.shape[1], np.nan)
