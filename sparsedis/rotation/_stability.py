"""Whether halves of the tasks lead to the same factors."""

import numpy as np
from scipy.optimize import linear_sum_assignment

from sparsedis.rotation._rotation import rotate

# Splits of the tasks in halves, and tasks that are split, at most.
_SPLITS, _MAX_TASKS = 3, 600


def estimate_stability(found, heads, variance, n_outputs, rng, *, n_splits=_SPLITS):
    """Agreement of each feature with its match among those of halves of the tasks.

    Each half is rotated anew, from starts of its own and from the given rotation.

    Parameters
    ----------
    found : RotationResult
        The rotation by all the tasks.

    heads : ndarray of shape (n_tasks, n_outputs, k)

    variance : ndarray of shape (n_tasks,)

    n_outputs : ndarray of shape (n_tasks,)

    rng : Generator

    n_splits : int
        Splits of the tasks.

    Returns
    -------
    ndarray of shape (k,)
        Mean absolute correlations, in [0, 1].
    """
    n_tasks, k = len(heads), heads.shape[-1]
    agreement = np.zeros(k)
    for _ in range(n_splits):
        order = rng.permutation(n_tasks)[:_MAX_TASKS]
        middle = len(order) // 2
        for half in (order[:middle], order[middle:]):
            if len(half) == 0:
                return np.zeros(k)
            other = rotate(
                heads[half],
                variance[half],
                n_outputs[half],
                rng,
                n_rounds=0,
                patience=1,
                starts=found.rotation.T,
            )
            agreement += _matched(found.components, other.components)
    return agreement / (2 * n_splits)


def _matched(components, others):
    """Correlation of each feature with its match; features are white times these."""
    correlation = np.abs(components @ others.T)
    correlation /= np.linalg.norm(components, axis=1)[:, None]
    correlation /= np.linalg.norm(others, axis=1)
    rows, columns = linear_sum_assignment(-correlation)
    matched = np.zeros(len(components))
    matched[rows] = correlation[rows, columns]
    return matched
