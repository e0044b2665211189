"""Block coordinate descent for quadratic problems with a penalty on rows, in NumPy."""

import numpy as np

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
    descent = corr - V @ gram
    seen = V.any(1)
    for i in range(1, n_sweeps + 1):
        # Other rows are zero, and remain zero.
        reach = np.linalg.norm(V + descent, axis=1)
        for j in np.flatnonzero((reach > threshold).any(0) | V.any((0, 1))):
            new = V[:, :, j] + descent[:, :, j]
            norm = np.sqrt((new * new).sum(1))
            at = threshold[:, j]
            new *= np.where(norm > at, 1 - at / norm, 0.0)[:, None]
            step = new - V[:, :, j]
            V[:, :, j] = new
            descent -= step[:, :, None] * gram[:, j, None]
        if i % _LOOK == 0:
            last, seen = seen, V.any(1)
            if (seen == last).all(1).mean() >= _SAME:
                break
    return V.swapaxes(1, 2)
