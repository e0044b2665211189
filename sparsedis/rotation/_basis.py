"""A basis out of a pool of directions: few heads use each, and they are apart."""

import numpy as np


def choose_basis(A, scores):
    """Choose as many directions as there are coordinates.

    Minimises the sum of the scores less the logarithm of the volume that the
    directions span: greedily, then by exchanges as long as one of them helps.

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
        # Row i of the inverse is normal to all the others: the volume is linear in
        # each direction.
        height = np.abs(A @ np.linalg.inv(A[chosen]))
        change = scores[:, None] - scores[chosen] - np.log(np.maximum(height, 1e-300))
        i, j = np.unravel_index(np.argmin(change), change.shape)
        if change[i, j] > -1e-9:
            break
        chosen[j] = i
    return chosen
