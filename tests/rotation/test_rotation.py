"""The sparsest heads are found in whatever coordinates they come."""

from itertools import combinations

import numpy as np
import pytest

from sparsedis.rotation import _rotation
from sparsedis.rotation._rotation import rotate, sparsest_rotation


def sparse(n_tasks=40, k=3, p=0.5, seed=0, n_outputs=None):
    rng = np.random.default_rng(seed)
    shape = (n_tasks, k) if n_outputs is None else (n_tasks, n_outputs, k)
    mask = rng.random((n_tasks, k)) < p
    return rng.standard_normal(shape) * (mask if n_outputs is None else mask[:, None])


def mixing(k, seed=0):
    return np.random.default_rng(seed + 100).standard_normal((k, k))


def permuted(A, tol):
    """Whether each row and column has one entry that is not zero."""
    A = np.abs(A) / np.abs(A).max(0)
    return (tol < A).sum() == len(A) and np.linalg.matrix_rank(tol < A) == len(A)


@pytest.mark.parametrize("k", [2, 3, 6])
def test_mixed_heads_are_unmixed(k):
    true, mix = sparse(k=k, n_tasks=60), mixing(k)
    found = sparsest_rotation(true @ mix, random_state=0)
    assert permuted(mix @ found.rotation, 0.05)
    np.testing.assert_allclose(found.heads, true @ mix @ found.rotation)
    np.testing.assert_allclose(found.components @ found.rotation, np.eye(k), atol=1e-8)
    np.testing.assert_allclose(np.linalg.norm(found.components, axis=1), 1)
    size = (found.heads**2).sum(0)
    assert (np.diff(size) <= 0).all()
    assert (found.heads.sum(0) >= 0).all()
    assert found.criterion == pytest.approx(min(found.criteria.values()), abs=1e-3)


def test_signs_are_found_from_minimal_subsets_without_a_search():
    """Coefficients of one size mislead all other starts."""
    rng = np.random.default_rng(0)
    true = rng.choice([-1.0, 1.0], (60, 12)) * (rng.random((60, 12)) < 0.5)
    none = {"n_rounds": 0, "patience": 1, "compare_starts": False}
    heads = (true @ mixing(12))[:, None]
    found = rotate(heads, np.zeros(60), np.ones(60, dtype=int), rng, **none).heads
    assert (abs(found) < 1e-3 * abs(found).max()).sum() >= (true == 0).sum()


def test_correlated_factors_are_found_from_errors_in_every_head():
    """No direction of the best basis is sparse by itself."""
    rng = np.random.default_rng(89)
    true = rng.standard_normal((30, 3)) * (rng.random((30, 3)) < 0.5)
    root = np.linalg.cholesky(0.9 + 0.1 * np.eye(3))
    heads = true[true.any(1)] @ root
    heads /= np.linalg.norm(heads, axis=1)[:, None]
    heads += 0.08 * rng.standard_normal(heads.shape)
    found = sparsest_rotation(heads, np.full(len(heads), 0.08**2), random_state=0)
    back = np.abs(root @ found.rotation)
    assert (back.max(0) > 0.95 * np.linalg.norm(back, axis=0)).all()
    assert sorted(back.argmax(0)) == [0, 1, 2]


def test_directions_are_those_with_most_zeros():
    heads = sparse(n_tasks=14) @ mixing(3)
    heads = heads[np.linalg.norm(heads, axis=1) > 0]
    normals = [
        np.cross(*heads[list(pair)]) for pair in combinations(range(len(heads)), 2)
    ]
    normals = np.array(
        [a / np.linalg.norm(a) for a in normals if np.linalg.norm(a) > 1e-9]
    )
    zeros = (np.abs(normals @ heads.T) < 1e-9).sum(1)
    best = []
    for i in np.argsort(-zeros, kind="stable"):
        if np.linalg.matrix_rank(normals[best + [i]], tol=1e-6) > len(best):
            best.append(i)
    rotation = sparsest_rotation(heads, random_state=0).rotation
    rotation = rotation / np.linalg.norm(rotation, axis=0)
    assert (np.abs(normals[best] @ rotation).max(1) > 0.999).all()


def test_coordinates_do_not_matter():
    true = sparse(n_tasks=60)
    one, two = (
        sparsest_rotation(true @ mixing(3, s), random_state=0) for s in range(2)
    )
    # The features are scaled to unit variance, which is not the same in both.
    a, b = (f.heads / np.linalg.norm(f.heads, axis=0) for f in (one, two))
    match = np.abs(a.T @ b)
    assert permuted(match > 0.999, 0.5)


@pytest.mark.parametrize("unit", [1e-300, 1e-100, 1e300])
def test_unit_of_heads_does_not_matter(unit):
    heads = sparse() @ mixing(3)
    variance = np.zeros(len(heads))
    if unit == 1e-100:
        variance += 1e-3
    plain = sparsest_rotation(heads, variance, random_state=0)
    variance *= unit
    found = sparsest_rotation(heads * unit, variance * unit, random_state=0)
    np.testing.assert_allclose(found.rotation, plain.rotation, atol=1e-9)
    np.testing.assert_allclose(found.heads / unit, plain.heads, atol=1e-9)
    np.testing.assert_allclose(found.spike / unit, plain.spike, rtol=1e-6)
    inner = rotate(
        heads[:, None] * unit,
        variance * unit,
        np.ones(40, int),
        np.random.default_rng(0),
        n_rounds=0,
        patience=1,
    )
    np.testing.assert_allclose(inner.heads[:, 0], heads * unit @ inner.rotation)


def test_same_seed_same_result():
    heads = sparse(k=4) @ mixing(4)
    one, two = (sparsest_rotation(heads, random_state=3) for _ in range(2))
    np.testing.assert_array_equal(one.rotation, two.rotation)


def test_heads_that_are_missing_are_left_out():
    heads = sparse() @ mixing(3)
    more = np.concatenate([heads, np.full((2, 3), np.nan)])
    found = sparsest_rotation(more, random_state=0)
    assert found.heads.shape == (42, 3)
    assert np.isnan(found.heads[40:]).all()
    expected = sparsest_rotation(heads, random_state=0)
    np.testing.assert_array_equal(found.rotation, expected.rotation)


def test_vector_targets_share_their_zeros():
    true, mix = sparse(n_outputs=3), mixing(3)
    true[::2, 2] = 0
    found = sparsest_rotation(true @ mix, np.full(40, 1e-6), random_state=0)
    assert found.heads.shape == (40, 3, 3)
    assert permuted(mix @ found.rotation, 0.05)


def test_zeros_at_the_end_are_no_outputs():
    heads = sparse(n_outputs=2) @ mixing(3)
    heads[::2, 1] = 0
    padded = np.concatenate([heads, np.zeros((40, 2, 3))], axis=1)
    one, two = (
        sparsest_rotation(h, np.full(40, 1e-3), random_state=0) for h in (heads, padded)
    )
    np.testing.assert_allclose(two.rotation, one.rotation, atol=1e-9)
    np.testing.assert_allclose(two.spike, one.spike)


def test_errors_are_borne():
    rng = np.random.default_rng(5)
    true, mix = sparse(n_tasks=100), np.linalg.qr(mixing(3))[0]
    heads = true @ mix + 0.05 * rng.standard_normal(true.shape)
    found = sparsest_rotation(heads, np.full(100, 0.05**2), random_state=0)
    assert permuted(mix @ found.rotation, 0.15)
    assert found.spike.shape == (3,)
    assert "criterion=" in repr(found)


def test_starts_are_taken():
    heads, rng = sparse()[:, None], np.random.default_rng(0)
    found = _rotation.rotate(
        heads, np.zeros(40), np.ones(40), rng, n_rounds=0, patience=1, starts=np.eye(3)
    )
    assert set(found.criteria) == {
        "heads",
        "random",
        "ica",
        "minimal",
        "given",
        "subsets",
    }
    assert permuted(found.rotation, 0.05)


def test_kinds_of_starts_need_not_be_compared():
    heads = sparse(p=0.8)[:, None]
    compared, alone = (
        _rotation.rotate(
            heads,
            np.full(40, 1e-2),
            np.ones(40),
            np.random.default_rng(0),
            n_rounds=0,
            patience=1,
            compare_starts=compare,
        )
        for compare in (True, False)
    )
    np.testing.assert_array_equal(alone.components, compared.components)
    assert alone.criteria == {"subsets": compared.criteria["subsets"]}


def test_many_tasks_are_searched_in_part(monkeypatch):
    monkeypatch.setattr(_rotation, "_TASKS", 50)
    true, mix = sparse(n_tasks=150), mixing(3)
    assert permuted(mix @ sparsest_rotation(true @ mix, random_state=0).rotation, 0.05)


@pytest.mark.parametrize(
    "heads",
    [
        np.zeros((5, 3)),
        np.ones((5, 3)),
        np.ones((1, 3)),
        sparse(n_tasks=3, k=6, p=0.9),
        sparse(k=1),
        np.concatenate([sparse(), np.zeros((40, 3))]),
        1e100 * sparse(),
    ],
    ids=["zero", "identical", "one", "few", "single", "some zero", "huge"],
)
@pytest.mark.parametrize("variance", [0.0, 1e6])
def test_degenerate_heads_give_some_rotation(heads, variance):
    found = sparsest_rotation(
        heads, np.full(len(heads), variance), n_rounds=2, random_state=0
    )
    k = heads.shape[1]
    np.testing.assert_allclose(found.components @ found.rotation, np.eye(k), atol=1e-6)
    assert np.isfinite(found.heads).all()
    assert np.isfinite(found.criterion)
    assert np.isfinite(found.spike).all()


@pytest.mark.parametrize(
    ("heads", "variance", "match"),
    [
        (np.ones(3), None, "heads must have shape"),
        (np.ones((0, 3)), None, "heads must have shape"),
        (np.full((4, 3), np.nan), None, "heads must be finite"),
        (np.ones((4, 3)), np.ones(3), "variance must have shape"),
        (np.ones((4, 3)), -np.ones(4), "variance must be finite and not negative"),
        (np.ones((4, 3)), np.full(4, np.nan), "variance must be finite"),
    ],
)
def test_bad_input(heads, variance, match):
    with pytest.raises(ValueError, match=match):
        sparsest_rotation(heads, variance)


@pytest.mark.parametrize("argument", ["n_rounds", "patience"])
def test_bad_numbers(argument):
    with pytest.raises(ValueError, match=argument):
        sparsest_rotation(np.ones((4, 3)), **{argument: -1})
