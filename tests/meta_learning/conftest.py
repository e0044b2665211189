"""Classes to learn from, and a learner that did."""

import numpy as np
import pytest

from tests.meta_learning._learners import quick


@pytest.fixture(scope="session")
def data():
    """Classes that two of ten features tell apart, the others being noise."""
    rng = np.random.RandomState(0)
    y = np.repeat([f"c{i:02d}" for i in range(16)], 12)
    centres = 4 * rng.normal(size=(16, 2))
    X = 3 * rng.normal(size=(len(y), 10))
    X[:, :2] = np.repeat(centres, 12, axis=0) + 0.1 * X[:, :2]
    return X @ rng.normal(size=(10, 10)), y


@pytest.fixture(scope="session")
def fitted(data):
    return quick(max_iter=40).fit(*data)
