"""Data of the tests of sparse heads."""

import numpy as np


def table(n=80, p=8, n_tasks=3, missing=0.3, seed=0):
    """Correlated features away from zero, and targets with holes."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 3)) @ rng.standard_normal((3, p))
    X += rng.standard_normal((n, p)) + 5
    Y = X[:, :4] @ rng.standard_normal((4, n_tasks)) + 20
    Y += 2 * rng.standard_normal((n, n_tasks))
    Y[rng.random(Y.shape) < missing] = np.nan
    return X, Y
