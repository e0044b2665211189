"""Figures are drawn off screen, and closed."""

import pytest
from matplotlib import pyplot as plt
from sklearn.base import BaseEstimator


@pytest.fixture(autouse=True)
def off_screen():
    """Use matplotlib's Agg backend, and leave no figure behind."""
    plt.switch_backend("agg")
    yield
    plt.close("all")


class _Fitted(BaseEstimator):
    def fit(self, X, y=None):
        """Do nothing: the attributes are given."""
        return self


@pytest.fixture
def fitted():
    """Make an estimator with given attributes of a fitted one."""

    def make(**attributes):
        est = _Fitted()
        vars(est).update(attributes)
        return est

    return make
