"""Selection of a basis from a pool of directions that few heads use."""

import numpy as np


def choose_basis(A, scores):
    """Choose a basis from directions: as many as there are coordinates.

    Minimises the sum of the scores minus the logarithm of the volume that the
    directions span: first greedily, then by exchanges until none improves the result.

    Parameters
    ----------
    A : ndarray of shape (n, k)
        Directions of unit norm that span all coordinates.

    scores : ndarray of shape (n,)

    Returns
    -------
    ndarray of shape (k,) of int
        Positions in `A`.
    """
    k = A.shape[1]
    chosen = []
    rest = A.copy()
    for _ in range(k):
        left = (rest**2).sum(1)
        value = scores - 0.5 * np.log(np.maximum(left, 1e-300))
        value[left < 1e-10] = np.inf
        value[chosen] = np.inf
        best = int(np.argmin(value))
        if not np.isfinite(value[best]):
            raise ValueError("The directions do not span all coordinates.")
        chosen.append(best)
        unit = rest[best] / np.sqrt(left[best])
        rest = rest - np.outer(rest @ unit, unit)
    chosen = np.array(chosen)
    for _ in range(10 * k):
        # Row i of the inverse is orthogonal to all other directions, so the volume is
        # linear in each direction.
        height = np.abs(A @ np.linalg.inv(A[chosen]))
        change = scores[:, None] - scores[chosen] - np.log(np.maximum(height, 1e-300))
        i, j = np.unravel_index(np.argmin(change), change.shape)
        if change[i, j] > -1e-9:
            break
        chosen[j] = i
    return chosen
