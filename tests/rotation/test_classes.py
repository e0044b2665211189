"""Heads of classes with a prior in common: what it is, and what follows from it."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_expit, logsumexp

from sparsedis.rotation._class_labels import ClassLabels, Part
from sparsedis.rotation._classes import (
    class_moments,
    inverse_of,
    marginal_gains,
    pool,
    refitted_heads,
)
from sparsedis.rotation._logistic import logistic_heads


def make_classes(heads, n, *, share=1.0, seed=0):
    """Labels of heads on white features, some of them missing."""
    rng = np.random.default_rng(seed)
    Z = rng.standard_normal((n, heads.shape[1]))
    Y = (rng.random((n, len(heads))) < expit(Z @ heads.T)) * 1.0
    Y[rng.random(Y.shape) >= share] = np.nan
    return Z, Y


def labels_of(Z, Y, n_classes=2, weight=None):
    return ClassLabels.of([Part.of(Z, Y, np.full(Y.shape[1], n_classes), weight)])


def test_the_prior_is_that_of_the_heads():
    rng = np.random.default_rng(0)
    root = np.array([[3.0, 0, 0], [1, 1, 0], [0, 0, 0.02]])
    Z, Y = make_classes(rng.standard_normal((400, 3)) @ root.T, 200)
    second = pool(labels_of(Z, Y), 3)
    assert_allclose(second, root @ root.T, atol=0.2, rtol=0.2)


def log_marginals(Z, Y, variance, grid):
    """Log-likelihoods of tasks of one feature, the head integrated out on a grid."""
    score = Z * grid
    fit = np.where(Y.T[:, :, None] > 0, log_expit(score), log_expit(-score)).sum(1)
    prior = -0.5 * grid**2 / variance
    return logsumexp(fit + prior, axis=1) - logsumexp(prior)


def test_the_prior_has_the_largest_marginal_likelihood():
    rng = np.random.default_rng(0)
    Z, Y = make_classes(2 * rng.standard_normal((100, 1)), 60)
    grid = np.linspace(-15, 15, 401)
    found = minimize_scalar(
        lambda log: -log_marginals(Z, Y, np.exp(log), grid).sum(), (0, 2)
    )
    labels = labels_of(Z, Y)
    assert_allclose(pool(labels, 1)[0, 0], np.exp(found.x), rtol=0.1)


def test_gains_are_ratios_of_marginal_likelihoods():
    rng = np.random.default_rng(0)
    Z, Y = make_classes(2 * rng.standard_normal((50, 1)), 80)
    # Without an intercept in the likelihood, where the labels hardly have one.
    gain = marginal_gains(labels_of(Z, Y), np.array([4.0]), np.eye(1), 1)
    grid = np.linspace(-15, 15, 401)
    expected = log_marginals(Z, Y, 4.0, grid).sum() - 50 * 80 * np.log(0.5)
    assert_allclose(gain, expected, rtol=0.03)


def test_directions_that_no_head_uses_gain_nothing():
    rng = np.random.default_rng(0)
    W = np.pad(10 * rng.standard_normal((30, 2)), ((0, 0), (0, 10)))
    Z, Y = make_classes(W, 60)
    labels = labels_of(Z, Y)
    strength, V = np.linalg.eigh(pool(labels, 12))
    gain = marginal_gains(labels, strength[::-1], V[:, ::-1], 12)
    assert gain[1] > 12 > 0.5 * 12 > gain[2:].max()


def test_errors_are_those_of_directions():
    rng = np.random.default_rng(0)
    W = 8 * rng.standard_normal((300, 4))
    Z, Y = make_classes(W, 400, share=0.5)
    heads, variance = refitted_heads(class_moments(labels_of(Z, Y), 4))
    size = np.linalg.norm(heads[:, 0], axis=1)
    error = heads[:, 0] / size[:, None] - W / np.linalg.norm(W, axis=1)[:, None]
    said = variance / size**2
    assert_allclose((error**2).sum() / 4, said.sum(), rtol=0.25)


def test_moments_solve_for_the_heads():
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((200, 3))
    Y = np.column_stack([rng.integers(0, 2, 200), rng.integers(0, 3, 200)]) * 1.0
    labels = ClassLabels.of([Part.of(Z, Y, np.array([2, 3]))])
    moments = class_moments(labels, 3)
    heads, _ = moments.solve(0.0)
    precision = inverse_of(pool(labels, 3))
    ones = np.ones((200, 1))
    W, _, information = logistic_heads(Z, Y[:, :1], ones, precision=precision)
    assert_allclose(heads[0, 0], W[0], rtol=1e-6)
    assert_array_equal(heads[0, 1:], 0)
    assert_allclose(moments.hessian[0], information[0], rtol=1e-6)
    assert_array_equal(moments.n_outputs, [1, 2])
    assert_array_equal(moments.noise, 1)


def test_more_classes_are_compared_with_the_most_frequent_one():
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((300, 3))
    y = rng.choice(3, 300, p=[0.3, 0.6, 0.1]).astype(float)
    labels = labels_of(Z, y[:, None], 3)
    moments = class_moments(labels, 3)
    W, information = [], []
    for c in (0, 2):
        rows = (y == c) | (y == 1)
        found = logistic_heads(
            Z[rows],
            (y[rows, None] == c) * 1.0,
            np.ones((rows.sum(), 1)),
            precision=inverse_of(moments.second),
        )
        W.append(found[0][0])
        information.append(found[2][0])
    assert_allclose(moments.hessian[0], np.mean(information, axis=0), rtol=1e-6)
    # Each head in units of its own error.
    size = np.trace(information, axis1=1, axis2=2)
    expected = np.array(W) * np.sqrt(size / size.mean())[:, None]
    heads, _ = moments.solve(0.0)
    assert_allclose(heads[0], expected, rtol=1e-6)


def test_softmax_of_linear_scores_has_no_other_directions():
    # One class against all others would need functions of the factors that bend.
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((2000, 3))
    W = rng.standard_normal((40, 4, 3)) * 1.5
    scores = np.einsum("nk,tck->ntc", Z, W) + rng.gumbel(size=(2000, 40, 4))
    Y = scores.argmax(-1).astype(float)
    F = np.column_stack([Z, Z**2])
    F = (F - F.mean(0)) / F.std(0)
    heads, _ = class_moments(labels_of(F, Y, 4), 6).solve(0.0)
    along = (heads**2).mean((0, 1))
    assert along[3:].max() < 0.02 * along[:3].min()


@pytest.mark.parametrize("n_classes", [2, 3])
def test_parts_projections_and_choices_of_tasks(n_classes):
    rng = np.random.default_rng(0)
    Z, Y = rng.standard_normal((50, 4)), rng.integers(0, n_classes, (50, 6)) * 1.0
    V = np.linalg.qr(rng.standard_normal((4, 2)))[0]
    tasks = np.array([0, 3, 4])
    counts = np.full(2, n_classes)
    parts = [Part.of(Z, Y[:, i : i + 2], counts) for i in (0, 2, 4)]
    found = ClassLabels.of(parts).take(np.array([0, 2, 3, 4])).project(V)
    found = found.take(np.array([0, 2, 3]))
    expected = labels_of(Z @ V, Y[:, tasks], n_classes)
    assert_array_equal(found.task, expected.task)
    assert_array_equal(found.n_labels, expected.n_labels)
    assert_array_equal(found.size, expected.size)
    for one, other in zip(found.fit(np.eye(2)), expected.fit(np.eye(2)), strict=True):
        assert_allclose(one, other, atol=1e-6)


def test_tasks_without_labels_have_heads_of_zeros():
    rng = np.random.default_rng(0)
    Z, Y = make_classes(rng.standard_normal((20, 2)), 50)
    Y[:, 0] = np.nan
    moments = class_moments(labels_of(Z, Y), 2)
    assert_array_equal(moments.second, pool(labels_of(Z, Y[:, 1:]), 2))
    assert_allclose(moments.solve(0.0)[0][0], 0, atol=1e-12)
    none = class_moments(ClassLabels.of([]), 2)
    assert len(none) == 0
    assert_array_equal(none.second, np.eye(2))
