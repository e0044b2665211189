"""Weights of means of models."""

import numpy as np
import pytest
from scipy.optimize import minimize

from sparsedis.multitask._best_means import BestMeans, simplex_weights

RNG = np.random.default_rng(0)


def test_weights_minimise_on_the_simplex():
    root = RNG.standard_normal((40, 3, 3)) + RNG.uniform(0, 3, (40, 1, 3))
    products = np.swapaxes(root, 1, 2) @ root
    weights = simplex_weights(products)
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(1), 1)
    # On vertices, on edges, and inside.
    assert set((weights > 0).sum(1)) == {1, 2, 3}
    for P, w in zip(products, weights, strict=True):
        # At the minimum no model has a smaller slope than those with a weight.
        slope = P @ w
        assert slope.min() > w @ slope - 1e-8 * np.trace(P)
        found = minimize(
            lambda v, P=P: v @ P @ v,
            np.full(3, 1 / 3),
            bounds=[(0, 1)] * 3,
            constraints={"type": "eq", "fun": lambda v: v.sum() - 1},
        )
        assert w @ P @ w <= found.fun * (1 + 1e-6)


def test_of_equal_models_the_first_one_has_all_weight():
    products = np.stack([np.ones((3, 3)), np.zeros((3, 3))])
    np.testing.assert_array_equal(simplex_weights(products)[:, 0], 1)


@pytest.mark.parametrize("weighted", [False, True])
def test_weights_are_shrunk_to_those_of_all_tasks(weighted):
    errors = RNG.standard_normal((2, 300, 3, 2)) * [[[[1.0]]], [[[1.5]]]]
    errors[1, :, 1] /= 3
    # The third task knows nothing: two labels are missing, the others constant.
    errors[:, :, 2] = np.nan
    variance = np.array([1.0, 4.0, 0.0])
    weight = RNG.uniform(0.5, 2, (300, 3)) if weighted else None
    means = BestMeans(3, 2)
    # In any parts.
    for tasks in ([1], [0, 2]):
        own = None if weight is None else weight[:, tasks]
        means.add(np.array(tasks), errors[:, :, tasks], own, variance[tasks])
    w = np.ones((300, 3)) if weight is None else weight / weight.mean(0)
    products = [
        np.einsum("n,ano,bno->ab", w[:, t], errors[:, :, t], errors[:, :, t])
        / variance[t]
        for t in range(2)
    ]
    common = sum(products) / 600
    expected = simplex_weights(np.stack([p + 40 * common for p in (*products, 0.0)]))
    np.testing.assert_allclose(means.weights(), expected)
    assert expected[0, 0] > expected[2, 0] > expected[1, 0]
