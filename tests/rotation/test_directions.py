"""Directions in which most heads vanish."""

import numpy as np
import pytest

from sparsedis.rotation._directions import Heads, distinct, lean, sharpen


def sparse_heads(n_tasks=60, k=4, n_outputs=1, p=0.3, seed=0):
    """Heads that are sparse on the axes."""
    rng = np.random.default_rng(seed)
    heads = rng.standard_normal((n_tasks, n_outputs, k))
    heads *= rng.random((n_tasks, 1, k)) < p
    return Heads(heads, np.zeros(n_tasks), np.full(n_tasks, n_outputs))


def about(axis, k, cosine):
    rng = np.random.default_rng(1)
    a = rng.standard_normal(k)
    a[axis] = 0
    a *= np.sqrt(1 - cosine**2) / np.linalg.norm(a)
    a[axis] = cosine
    return a[None]


def test_sizes_are_mean_squares_over_the_outputs_of_a_task():
    heads = np.array([[[3.0, 0.0], [4.0, 1.0]], [[2.0, 5.0], [0.0, 0.0]]])
    heads = Heads(heads, np.zeros(2), np.array([2, 1]))
    np.testing.assert_allclose(heads.sizes(np.eye(2)), [[12.5, 4.0], [0.5, 25.0]])


def test_scores_weigh_outputs_alike():
    heads = sparse_heads(n_outputs=2)
    width = 0.1
    ratio = heads.sizes(np.eye(4)) / width**2
    expected = 0.5 * np.log1p(ratio).mean(1)
    np.testing.assert_allclose(heads.scores(np.eye(4), width), expected)


def test_take_keeps_tasks():
    heads = sparse_heads()
    np.testing.assert_array_equal(heads.take([3, 5]).heads, heads.heads[[3, 5]])


def test_centred_coordinates_make_uncorrelated_coefficients_orthogonal():
    # Two coefficients, uncorrelated, with a mean of one half.
    rows = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    size, axes = np.linalg.eigh(rows.T @ rows / 4)
    white = axes / np.sqrt(size)
    A = np.linalg.inv(white).T
    heads = Heads((rows @ white)[:, None], np.zeros(4), np.ones(4))
    np.testing.assert_allclose((heads.rows @ A[0]) ** 2, rows[:, 0], atol=1e-12)
    first, second = heads.centre(np.linalg.solve(white, np.eye(2)).T)
    assert first @ second == pytest.approx(0, abs=1e-12)


def test_sharpened_directions_vanish_on_the_zeros():
    heads = sparse_heads()
    found = sharpen(heads, about(2, 4, 0.9))
    assert abs(found[0, 2]) > 0.999
    assert heads.scores(found)[0] < heads.scores(about(2, 4, 0.9))[0]


def test_batches_change_nothing(monkeypatch):
    heads = sparse_heads()
    A = np.random.default_rng(0).standard_normal((6, 4))
    A /= np.linalg.norm(A, axis=1, keepdims=True)
    whole = sharpen(heads, A)
    monkeypatch.setattr("sparsedis.rotation._directions._BATCH", 500)
    np.testing.assert_allclose(sharpen(heads, A), whole, atol=1e-8)


def test_lean_lowers_absolute_values():
    heads = sparse_heads()
    start = about(1, 4, 0.8)
    found = lean(heads, start, n_iter=50)
    # On the hyperplane on which the start has a product of one.
    scaled = found / (found @ start.T)

    def total(a):
        return np.sqrt(heads.sizes(a)).sum()

    assert total(scaled) < total(start)


def test_distinct_keeps_the_better_of_two_copies():
    A = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])
    np.testing.assert_array_equal(distinct(A, np.array([2.0, 1.0, 3.0])), [1, 2])
