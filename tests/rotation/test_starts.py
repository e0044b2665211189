"""Starting points of the search for directions."""

import numpy as np
import pytest

from sparsedis.rotation._directions import Heads
from sparsedis.rotation._starts import (
    _grow,
    head_starts,
    ica_starts,
    minimal_starts,
    random_starts,
    subset_starts,
)


def make_heads(n_tasks=50, k=5, p=0.4, seed=0):
    rng = np.random.default_rng(seed)
    rows = rng.choice([-1.0, 1.0], (n_tasks, k)) * (rng.random((n_tasks, k)) < p)
    return Heads(rows[:, None], np.zeros(n_tasks), np.ones(n_tasks))


def test_all_starts_have_unit_norm():
    heads, rng = make_heads(), np.random.default_rng(0)
    none = np.zeros((0, 5))
    for A in (
        head_starts(heads, 20, rng),
        random_starts(heads, 20, rng),
        ica_starts(heads, 2, rng),
        subset_starts(heads, 20, none, rng),
        minimal_starts(heads, 20, rng),
    ):
        np.testing.assert_allclose(np.linalg.norm(A, axis=1), 1)


@pytest.mark.parametrize("n_free", [1, 2, 3])
def test_grown_spans_are_orthonormal_and_hold_their_heads(n_free):
    heads = make_heads()
    rows = heads.rows[(heads.rows != 0).any(1)]
    known = np.eye(5)[:1]
    span, drawn = _grow(rows, 30, known, 5 - n_free, np.random.default_rng(0))
    gram = span @ np.swapaxes(span, 1, 2)
    np.testing.assert_allclose(
        gram, np.broadcast_to(np.eye(5 - n_free), gram.shape), atol=1e-9
    )
    subsets = rows[drawn]
    inside = subsets @ np.swapaxes(span, 1, 2) @ span
    np.testing.assert_allclose(inside, subsets, atol=1e-9)


def test_starts_vanish_on_their_subset_and_known_directions():
    heads = make_heads()
    known = np.eye(5)[:2]
    found = subset_starts(heads, 20, known, np.random.default_rng(0), n_free=1)
    np.testing.assert_allclose(found @ known.T, 0, atol=1e-9)
    # Two further heads fix each direction.
    zero = np.abs(found @ heads.rows.T) < 1e-9
    rank = [np.linalg.matrix_rank(np.vstack([known, heads.rows[z]])) for z in zero]
    assert set(rank) == {4}


def test_grown_subsets_lack_a_factor_more_often():
    heads = make_heads(n_tasks=200, k=12, p=0.5)
    rows = heads.rows[(heads.rows != 0).any(1)]
    rng = np.random.default_rng(0)
    _, drawn = _grow(rows, 300, np.zeros((0, 12)), 9, rng)
    chance = rng.integers(0, len(rows), (300, 9))

    def lacking(subsets):
        return (rows[subsets] == 0).all(1).any(1).mean()

    assert lacking(drawn) > 5 * lacking(chance)


def test_heads_that_do_not_span_still_give_starts():
    heads = Heads(np.ones((6, 1, 5)), np.zeros(6), np.ones(6))
    found = subset_starts(heads, 10, np.zeros((0, 5)), np.random.default_rng(0))
    assert np.isfinite(found).all()


def test_many_heads_are_drawn_from_a_part(monkeypatch):
    monkeypatch.setattr("sparsedis.rotation._starts._ROWS", 10)
    found = subset_starts(make_heads(), 7, np.zeros((0, 5)), np.random.default_rng(0))
    assert found.shape == (7, 5)


def test_components_of_positive_coefficients_are_found_about_their_mean():
    rng = np.random.default_rng(0)
    rows = rng.uniform(0.5, 1.5, (2000, 3)) * (rng.random((2000, 3)) < 0.5)
    heads = Heads(rows[:, None], np.zeros(2000), np.ones(2000))
    found = np.abs(ica_starts(heads, 1, rng))
    assert found.max(0).min() > 0.97


@pytest.mark.parametrize(("k", "size"), [(3, 2), (4, 3), (5, 2)])
def test_minimal_subsets_find_exact_zeros(k, size):
    # Positive coefficients: broad penalties prefer differences of factors.
    rng = np.random.default_rng(0)
    rows = np.zeros((40, k))
    for row in rows:
        used = rng.choice(k, size, replace=False)
        row[used] = rng.uniform(0.5, 1.5, size)
    heads = Heads(rows[:, None], np.zeros(40), np.ones(40))
    found = minimal_starts(heads, 600, rng)
    assert len(found) <= 60
    np.testing.assert_allclose(np.abs(found).max(0), 1, atol=1e-9)
    assert (np.diff(heads.scores(found)) >= 0).all()
