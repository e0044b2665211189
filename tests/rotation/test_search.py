"""The search finds bases that a pool lacks, and keeps the most likely one."""

import numpy as np
import pytest

from sparsedis.rotation._directions import Heads
from sparsedis.rotation._refine import refine
from sparsedis.rotation._search import Pool, explore, polish


@pytest.fixture
def heads():
    """Whitened heads with signs as coefficients, which independence does not find."""
    rng = np.random.default_rng(0)
    rows = rng.choice([-1.0, 1.0], (60, 6)) * (rng.random((60, 6)) < 0.5)
    rows = rows @ np.linalg.qr(rng.standard_normal((6, 6)))[0]
    size, axes = np.linalg.eigh(rows.T @ rows / 60)
    return Heads((rows @ axes / np.sqrt(size))[:, None], np.zeros(60), np.ones(60))


def zeros(heads, A):
    return (np.abs(heads.rows @ A.T) < 0.05).sum()


def test_pool_is_sorted_without_copies_and_spans(heads):
    A = np.random.default_rng(0).standard_normal((30, 6))
    A /= np.linalg.norm(A, axis=1, keepdims=True)
    pool = Pool(heads, np.concatenate([A, -A]))
    assert len(pool.A) == 36
    assert np.linalg.matrix_rank(pool.A) == 6
    np.testing.assert_allclose(pool.scores, heads.scores(pool.A))
    pool.add(A)
    assert len(pool.A) == 36


def test_axes_stay_when_the_pool_is_full(heads, monkeypatch):
    monkeypatch.setattr("sparsedis.rotation._search._POOL", 2)
    pool = Pool(heads, np.eye(6))
    assert len(pool.A) == 6


def test_subsets_find_what_is_missing(heads):
    pool = Pool(heads, np.eye(6))
    before = pool.basis()[1]
    n_rounds = explore(heads, pool, np.random.default_rng(0), n_rounds=20, patience=6)
    at, criterion = pool.basis()
    assert 0 < n_rounds <= 20
    assert criterion < before - 0.1
    A, value = polish(heads, pool, np.random.default_rng(1), n_tries=12)
    assert value <= refine(heads, pool.A[at])[1] + 1e-4
    # The true basis has about half of the coefficients at zero.
    assert zeros(heads, A) > 0.4 * heads.rows.size


@pytest.mark.parametrize("n_rounds", [0, 3])
def test_rounds_are_bounded(heads, n_rounds):
    rng = np.random.default_rng(0)
    pool = Pool(heads, np.eye(6))
    assert explore(heads, pool, rng, n_rounds=n_rounds, patience=9) == n_rounds


def test_one_coordinate_needs_no_search():
    heads = Heads(np.ones((5, 1, 1)), np.zeros(5), np.ones(5))
    pool = Pool(heads, np.eye(1))
    rng = np.random.default_rng(0)
    assert explore(heads, pool, rng, n_rounds=9, patience=3) == 0
    A, _ = polish(heads, pool, rng, n_tries=3)
    np.testing.assert_allclose(np.abs(A), 1)
