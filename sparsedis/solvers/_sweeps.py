"""Block coordinate descent for quadratic problems with a penalty on rows, in NumPy."""

import numpy as np

from sparsedis.solvers._linalg import product, tasks_last

# Sweeps between two looks at the nonzero rows, and share of the tasks in which they
# must be the same at both.
_LOOK, _SAME = 10, 0.9


@np.errstate(all="ignore")
def sweep(gram, corr, threshold, V, n_sweeps):
    """Minimise in one row after the other, until few supports change.

    With a unit diagonal of the Gram matrix, the minimum in a row has a closed form. All
    tasks take their steps together.

    Parameters
    ----------
    gram : array of shape (n_tasks, k, k) or (1, k, k)
        Matrices with a unit diagonal.
    corr : array of shape (n_tasks, k, c)
        Linear term.
    threshold : array of shape (n_tasks, k)
        Factors of the norms of the rows.
    V : array of shape (n_tasks, k, c)
        Starting point.
    n_sweeps : int
        Largest number of sweeps.

    Returns
    -------
    array of shape (n_tasks, k, c)
    """
    V, corr = (np.ascontiguousarray(part.swapaxes(1, 2)) for part in (V, corr))
    threshold, V, corr, gram = tasks_last(threshold, V, corr, gram)
    descent = corr - product(V, gram)
    seen = V.any(1)
    for i in range(1, n_sweeps + 1):
        # Other rows are zero, and remain zero.
        reach = np.linalg.norm(V + descent, axis=1)
        for j in np.flatnonzero((reach > threshold).any(0) | V.any((0, 1))):
            step = _move(V, descent, threshold, j)
            descent -= step[:, :, None] * gram[:, j, None]
        if i % _LOOK == 0:
            last, seen = seen, V.any(1)
            if (seen == last).all(1).mean() >= _SAME:
                break
    return V.swapaxes(1, 2)


@np.errstate(all="ignore")
def sweep_blocks(hessian, corr, threshold, V, n_sweeps):
    """The same for Hessians that couple the columns.

    With eigenvalues of at most one in the block of each row, a gradient step in this
    row, followed by the proximal operator of its norm, lowers the objective.

    Parameters
    ----------
    hessian : array of shape (n_tasks, c * k, c * k)
        Matrices by columns, then by rows of V.
    corr : array of shape (n_tasks, k, c)
        Linear term.
    threshold : array of shape (n_tasks, k)
        Factors of the norms of the rows.
    V : array of shape (n_tasks, k, c)
        Starting point.
    n_sweeps : int
        Number of sweeps.

    Returns
    -------
    array of shape (n_tasks, k, c)
    """
    n_tasks, k, c = V.shape
    V = np.ascontiguousarray(V.swapaxes(1, 2))
    descent = (hessian @ V.reshape(n_tasks, -1, 1)).reshape(V.shape)
    descent = np.ascontiguousarray(corr.swapaxes(1, 2)) - descent
    flat, parts = descent.reshape(n_tasks, -1), hessian.reshape(n_tasks, c, k, -1)
    for _ in range(n_sweeps):
        reach = np.linalg.norm(V + descent, axis=1)
        for j in np.flatnonzero((reach > threshold).any(0) | V.any((0, 1))):
            step = _move(V, descent, threshold, j)
            for column in range(c):
                flat -= step[:, column, None] * parts[:, column, j]
    return V.swapaxes(1, 2)


def _move(V, descent, threshold, j):
    """Move row j of all tasks along its descent, and return the step."""
    new = V[:, :, j] + descent[:, :, j]
    norm, at = np.sqrt((new * new).sum(1)), threshold[:, j]
    # Rows of zeros give NaN, which fmax takes for 0.
    new *= np.fmax(1 - at / norm, 0.0)[:, None]
    step = new - V[:, :, j]
    V[:, :, j] = new
    return step
