"""Heads of regression on raw inputs, which have references in scikit-learn."""

import numpy as np
import pytest
from sklearn.linear_model import Lasso, LinearRegression, Ridge

from sparsedis import SparseMultiTaskRepresentation
from sparsedis.datasets import make_sparse_tasks


@pytest.fixture(scope="module")
def data():
    return make_sparse_tasks(
        n_samples=200, n_tasks=30, n_factors=4, return_bunch=True, random_state=0
    )


def identity(data, **params):
    """An estimator whose features are the inputs: its heads have references."""
    params = {
        "n_components": data.data.shape[1],
        "rotation": None,
        "encoder": "identity",
        "normalization": None,
        "max_iter": 1,
        "normalize_y": False,
    } | params
    return SparseMultiTaskRepresentation(**params)


@pytest.mark.parametrize("solver", ["batched", "celer"])
@pytest.mark.parametrize("missing", [False, True])
def test_lasso_heads_are_those_of_scikit_learn(data, solver, missing):
    X, Y = data.data, data.target.copy()
    if missing:
        Y[np.random.RandomState(0).uniform(size=Y.shape) < 0.5] = np.nan
    est = identity(data, alpha=0.1, alpha_mode="absolute", refit="lasso", solver=solver)
    est.fit(X, Y)
    for t in range(Y.shape[1]):
        at = ~np.isnan(Y[:, t])
        reference = Lasso(alpha=0.1, tol=1e-14, max_iter=100_000)
        reference.fit(X[at], Y[at, t])
        np.testing.assert_allclose(est.coef_[t], reference.coef_, atol=1e-6)
        assert est.intercept_[t] == pytest.approx(reference.intercept_, abs=1e-6)
    np.testing.assert_array_equal(est.alpha_, 0.1)


def test_relaxed_heads_are_least_squares_on_the_support(data):
    est = identity(data, alpha=0.3).fit(data.data, data.target)
    assert 0 < est.support_.mean() < 1
    for t, support in enumerate(est.support_):
        reference = LinearRegression().fit(data.data[:, support], data.target[:, t])
        np.testing.assert_allclose(est.coef_[t, support], reference.coef_, atol=1e-8)
        assert est.intercept_[t] == pytest.approx(reference.intercept_)
        np.testing.assert_array_equal(est.coef_[t, ~support], 0)


def test_ridge_heads_are_those_of_scikit_learn(data):
    est = identity(data, alpha=0.1, alpha_mode="absolute", penalty="l2")
    est.fit(data.data, data.target)
    # scikit-learn's loss is a sum over the samples.
    reference = Ridge(alpha=0.1 * len(data.data)).fit(data.data, data.target)
    np.testing.assert_allclose(est.coef_, reference.coef_, atol=1e-8)
    np.testing.assert_allclose(est.intercept_, reference.intercept_, atol=1e-8)


def test_relative_alpha_is_a_fraction_of_each_tasks_largest(data):
    est = identity(data, alpha=0.25).fit(data.data, data.target)
    X = data.data - data.data.mean(0)
    Y = data.target - data.target.mean(0)
    expected = 0.25 * np.abs(X.T @ Y).max(0) / len(X)
    np.testing.assert_allclose(est.alpha_, expected)
