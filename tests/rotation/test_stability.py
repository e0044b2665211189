"""Agreement of halves of the tasks."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sparsedis.rotation import rotation_stability, sparsest_rotation


def make_heads(T=80, k=4, p=0.4, seed=0):
    rng = np.random.default_rng(seed)
    true = rng.standard_normal((T, k)) * (rng.random((T, k)) < p)
    true[rng.permutation(T)[:k], range(k)] = 2.0
    return true, true @ rng.standard_normal((k, k))


def test_sparse_heads_agree_and_dense_ones_do_not():
    _, heads = make_heads()
    found = sparsest_rotation(heads, n_rounds=5, random_state=0)
    stability = rotation_stability(found, heads, random_state=0)
    assert (stability > 0.999).all()
    dense = np.random.default_rng(0).standard_normal((80, 4))
    found = sparsest_rotation(dense, n_rounds=0, random_state=0)
    assert rotation_stability(found, dense, random_state=0).mean() < 0.95


def test_one_factor_that_tasks_do_not_separate_is_seen():
    # Factors 2 and 3 always come together, with coefficients of a Gaussian.
    true, _ = make_heads(T=120)
    rng = np.random.default_rng(1)
    pair = rng.standard_normal((120, 2)) * (rng.random((120, 1)) < 0.5)
    heads = np.column_stack([true[:, :2], pair])
    found = sparsest_rotation(heads, n_rounds=5, random_state=0)
    stability = rotation_stability(found, heads, random_state=0)
    owner = np.abs(found.components).argmax(1)
    assert (stability[owner < 2] > 0.99).all()
    assert stability[owner >= 2].min() < 0.99


def test_same_seed_same_value():
    _, heads = make_heads()
    heads = heads + 0.1 * np.random.default_rng(0).standard_normal(heads.shape)
    found = sparsest_rotation(heads, np.full(80, 0.01), n_rounds=0, random_state=0)
    one, other = (
        rotation_stability(found, heads, np.full(80, 0.01), n_splits=1, random_state=3)
        for _ in range(2)
    )
    assert_array_equal(one, other)


def test_tasks_without_a_head_are_left_out():
    _, heads = make_heads()
    heads = np.concatenate([heads, np.full((3, 4), np.nan)])
    found = sparsest_rotation(heads, n_rounds=5, random_state=0)
    assert_allclose(rotation_stability(found, heads, random_state=0), 1, atol=1e-3)


def test_vectors_of_outputs():
    _, heads = make_heads(T=120)
    heads = heads.reshape(60, 2, 4)
    found = sparsest_rotation(heads, n_rounds=5, random_state=0)
    assert rotation_stability(found, heads, random_state=0).shape == (4,)


def test_bad_input():
    _, heads = make_heads()
    found = sparsest_rotation(heads, n_rounds=0, random_state=0)
    with pytest.raises(TypeError, match="must come from sparsest_rotation, got ndarr"):
        rotation_stability(heads, heads)
    with pytest.raises(ValueError, match=r"of shape \(80, 4\); got \(79, 4\)"):
        rotation_stability(found, heads[1:])
    with pytest.raises(ValueError, match=r"variance must have shape \(80,\)"):
        rotation_stability(found, heads, np.zeros(3))
    with pytest.raises(ValueError, match=r"not negative; got -1\.0"):
        rotation_stability(found, heads, np.full(80, -1.0))
    with pytest.raises(ValueError, match="n_splits == 0, must be >= 1"):
        rotation_stability(found, heads, n_splits=0)
    with pytest.raises(ValueError, match="finite in two tasks, got 0"):
        rotation_stability(found, np.full((80, 4), np.nan))
