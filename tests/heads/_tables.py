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


def table_of_classes(n=120, p=6, n_tasks=4, n_classes=2, missing=0.4, seed=0):
    """Correlated features, and labels with holes: 0 to n_classes - 1, or NaN."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 2)) @ rng.standard_normal((2, p))
    X += rng.standard_normal((n, p))
    scores = X[:, :3] @ rng.standard_normal((n_tasks, 3, n_classes))
    scores += rng.gumbel(size=scores.shape)
    y = scores.argmax(-1).T.astype(float)
    y[rng.random(y.shape) < missing] = np.nan
    return X, y


def masks(cv, X, groups=None):
    """Training and test rows as masks."""
    for train, test in cv.split(X, groups=groups):
        yield tuple(np.isin(np.arange(len(X)), part) for part in (train, test))
