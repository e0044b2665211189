"""Assumptions 3.3, 3.4 and 3.5, and mixtures that no head can tell."""

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sparsedis.identifiability import (
    check_intra_support_variability,
    check_representation_variability,
    check_support_variability,
    check_task_variability,
    find_mixing,
)

# Finitely many heads in the manner of Section B.4: each pair of features has one.
COUNTER_EXAMPLE = np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0], [1.0, 0.0, 1.0]])


@pytest.fixture
def rng():
    return np.random.default_rng(0)


# Assumptions 3.3 and 3.4 -------------------------------------------------------------


@pytest.mark.parametrize("rank", [1, 3, 4])
@pytest.mark.parametrize("unit", [1e-200, 1.0, 1e200])
def test_rank_of_features_and_heads(rng, rank, unit):
    rows = rng.standard_normal((30, rank)) @ rng.standard_normal((rank, 4))
    rows *= unit * np.array([1.0, 1e-3, 1e5, 1.0])
    # Columns in very different units are no sign of dependence, but zeros are.
    for check in (
        check_representation_variability(rows),
        check_task_variability(rows, tol=0),
    ):
        assert check.details.rank == rank
        assert check.verdict == ("holds" if rank == 4 else "fails")
        assert f"{rank} of 4 dimensions" in check.reason
    rows[:, 1] = 0.0
    check = check_task_variability(rows, tol=0)
    assert check.details.rank == min(rank, 3)
    assert check.verdict == "fails"


def test_too_few_rows_are_undecidable(rng):
    rows = rng.standard_normal((3, 4))
    assert check_representation_variability(rows).verdict == "undecidable"
    assert check_task_variability(rows).verdict == "undecidable"
    # Two tasks, but four rows of heads.
    check = check_task_variability(rng.standard_normal((2, 2, 4)))
    assert check.verdict == "holds"


def test_float32_needs_its_own_tolerance(rng):
    basis = rng.standard_normal((2, 3))
    rows = (rng.standard_normal((50, 2)) @ basis).astype(np.float32)
    assert check_representation_variability(rows).verdict == "holds"
    assert check_representation_variability(rows, rank_tol=1e-5).verdict == "fails"


def test_bad_features_raise():
    with pytest.raises(ValueError, match="features contains NaN"):
        check_representation_variability([[1.0, np.nan]])
    with pytest.raises(ValueError, match="rank_tol == -1, must be >= 0"):
        check_representation_variability([[1.0, 2.0]], rank_tol=-1)


# Assumption 3.5 ----------------------------------------------------------------------


def only_support(check):
    (support,) = check.details.supports
    return support


def test_heads_in_general_position_hold(rng):
    for n_features in (1, 2, 3, 5):
        check = check_intra_support_variability(rng.standard_normal((20, n_features)))
        assert check.verdict == "holds"
    # Uniform on a sphere: no density, and still no subspace (Section B.6).
    sphere = rng.standard_normal((20, 3))
    sphere /= np.linalg.norm(sphere, axis=1, keepdims=True)
    assert check_intra_support_variability(sphere).verdict == "holds"


def test_no_more_heads_than_features_are_undecidable(rng):
    heads = rng.standard_normal((4, 3))
    assert check_intra_support_variability(heads).verdict == "holds"
    check = check_intra_support_variability(heads[:3])
    assert check.verdict == "undecidable"
    assert "1 of 1 supports have too few heads" in check.reason
    assert check_intra_support_variability(np.zeros((2, 3))).verdict == "undecidable"
    # The only proper subspace of one dimension is the origin: one head is enough.
    assert check_intra_support_variability([[2.0]]).verdict == "holds"


def test_repeated_directions_fail(rng):
    heads = rng.standard_normal((6, 3))
    heads[4] = -2 * heads[1]
    heads[5] = 1e-3 * heads[1]
    support = only_support(check_intra_support_variability(heads))
    assert support.verdict == "fails"
    assert [group.tolist() for group in support.repeated] == [[1, 4, 5]]
    # Even where they are too few for any subspace to be checked.
    support = only_support(check_intra_support_variability(heads[[1, 4]]))
    assert support.verdict == "fails"
    assert [group.tolist() for group in support.repeated] == [[0, 1]]


def test_heads_in_a_plane_fail(rng):
    plane = rng.standard_normal((2, 3))
    heads = rng.standard_normal((12, 3))
    inside = [0, 3, 4, 7, 11]
    heads[inside] = rng.standard_normal((5, 2)) @ plane
    check = check_intra_support_variability(heads)
    support = only_support(check)
    assert check.verdict == support.verdict == "fails"
    assert_array_equal(support.subspace, inside)
    assert support.repeated == []
    assert "5 of the 12 heads with support {0, 1, 2}" in check.reason


@pytest.mark.parametrize("n_features", [2, 3, 4])
def test_agrees_with_all_determinants(n_features):
    rng = np.random.default_rng(n_features)
    verdicts = []
    for _ in range(60):
        # Small integers are often in special position.
        heads = rng.choice([-2, -1, 1, 2], (n_features + 1, n_features))
        special = any(
            abs(np.linalg.det(heads[list(subset)])) < 0.5
            for subset in itertools.combinations(range(len(heads)), n_features)
        )
        verdict = check_intra_support_variability(heads).verdict
        assert verdict == ("fails" if special else "holds")
        verdicts.append(verdict)
    assert set(verdicts) == {"fails", "holds"}


def test_subsets_are_drawn_where_there_are_too_many(rng):
    heads = rng.standard_normal((60, 6))
    assert check_intra_support_variability(heads, random_state=0).verdict == "holds"
    heads[:40, 5] = heads[:40, 0]
    options = {"max_subsets": 200, "random_state": 0}
    support = only_support(check_intra_support_variability(heads, **options))
    assert support.verdict == "fails"
    assert_array_equal(support.subspace, np.arange(40))


def test_supports_are_checked_one_by_one(rng):
    heads = np.zeros((13, 3))
    heads[:4, :2] = rng.standard_normal((4, 2))
    heads[4:9, 1:] = [[1.0, 2.0]]
    heads[9, 2] = 1.0
    heads[10:12, [0, 2]] = rng.standard_normal((2, 2))  # and one head without support
    check = check_intra_support_variability(heads)
    found = {s.support: (s.verdict, s.tasks.tolist()) for s in check.details.supports}
    assert found == {
        (0, 1): ("holds", [0, 1, 2, 3]),
        (1, 2): ("fails", [4, 5, 6, 7, 8]),
        (2,): ("holds", [9]),
        (0, 2): ("undecidable", [10, 11]),
    }
    assert check.verdict == "fails"
    assert "for 1 of 4 supports" in check.reason
    others = np.delete(heads, range(4, 9), axis=0)
    assert check_intra_support_variability(others).verdict == "undecidable"


def test_several_outputs(rng):
    # As many outputs as features: any single head with full rank is enough.
    heads = rng.standard_normal((3, 2, 2))
    assert check_intra_support_variability(heads).verdict == "holds"
    assert check_intra_support_variability(heads, exhaustive=True).verdict == "holds"
    heads[1, 1] = 2 * heads[1, 0]
    support = only_support(check_intra_support_variability(heads))
    assert support.verdict == "fails"
    assert_array_equal(support.subspace, [1])
    # Two outputs of four features: two heads share no null direction, if generic.
    heads = rng.standard_normal((5, 2, 4))
    assert check_intra_support_variability(heads).verdict == "holds"
    heads[[1, 3], :, 0] = heads[[1, 3], :, 1]
    support = only_support(check_intra_support_variability(heads))
    assert_array_equal(support.subspace, [1, 3])
    # Rows of softmax heads sum to zero, which is no special position.
    heads = rng.standard_normal((6, 3, 4))
    heads -= heads.mean(axis=1, keepdims=True)
    assert check_intra_support_variability(heads).verdict == "holds"


# The counter-example of Section B.4 --------------------------------------------------


def test_counter_example_is_found_out(rng):
    assert check_task_variability(COUNTER_EXAMPLE).verdict == "holds"
    assert check_support_variability(COUNTER_EXAMPLE).verdict == "holds"
    # One head for each support says nothing, unless it is known to be the only one.
    listed = check_intra_support_variability(COUNTER_EXAMPLE)
    assert listed.verdict == "undecidable"
    known = check_intra_support_variability(COUNTER_EXAMPLE, exhaustive=True)
    assert known.verdict == "fails"
    # A sample of tasks gives it away, whatever the scales of the heads.
    drawn = COUNTER_EXAMPLE[rng.integers(0, 3, 20)] * rng.standard_normal((20, 1))
    sampled = check_intra_support_variability(drawn)
    assert sampled.verdict == "fails"
    assert all(len(s.repeated[0]) == len(s.tasks) for s in sampled.details.supports)
    for heads in (COUNTER_EXAMPLE, drawn):
        assert_hidden(find_mixing(heads), heads)


def assert_hidden(L, heads):
    """L is no permutation with scales, and no head grows by it."""
    assert np.linalg.matrix_rank(L) == len(L)
    assert (np.abs(L) > 1e-9).sum() > len(L)
    mixed = heads @ L
    assert not (np.abs(mixed) > 1e-9)[np.abs(heads) < 1e-9].any()
    # With the features mixed the other way, the predictions are the same.
    features = np.random.default_rng(0).standard_normal((7, len(L)))
    mixed_features = features @ np.linalg.inv(L).T
    assert_allclose(mixed_features @ mixed.T, features @ heads.T, atol=1e-10)


# Mixtures ----------------------------------------------------------------------------


def test_mixing_agrees_with_brute_force():
    """It exists iff the heads without some feature leave a direction free."""
    rng = np.random.default_rng(0)
    outcomes = []
    for _ in range(300):
        n_tasks, n_features = rng.integers(1, 12), rng.integers(2, 5)
        heads = rng.choice([-1.0, 1.0, 2.0], (n_tasks, n_features))
        heads *= rng.random((n_tasks, n_features)) < rng.uniform(0.3, 0.8)
        free = any(
            np.linalg.matrix_rank(heads[heads[:, j] == 0]) < n_features - 1
            for j in range(n_features)
        )
        L = find_mixing(heads)
        assert (L is not None) == free
        if free:
            assert_hidden(L, heads)
        outcomes.append(free)
    assert 50 < sum(outcomes) < 250


def test_unseparated_features_can_be_mixed(rng):
    supports = rng.random((200, 5)) < 0.5
    heads = supports * rng.standard_normal((200, 5))
    assert find_mixing(heads) is None
    heads[:, 3] = np.where(heads[:, 1] != 0, rng.standard_normal(200), 0.0)
    assert check_support_variability(heads).details.groups[0].tolist() == [1, 3]
    L = find_mixing(heads)
    assert_hidden(L, heads)
    assert {tuple(pair) for pair in np.argwhere(np.abs(L) > 1e-9)} - {
        (i, i) for i in range(5)
    } <= {(1, 3), (3, 1)}


def test_mixing_with_several_outputs():
    # Each head lacks one feature, and has a row for each of the two others.
    heads = np.zeros((3, 2, 3))
    for j in range(3):
        heads[j][:, np.arange(3) != j] = [[1.0, 1.0], [1.0, -1.0]]
    assert find_mixing(heads) is None
    assert_hidden(find_mixing(heads[:, 0]), heads[:, 0])
    assert_hidden(find_mixing(heads[:2]), heads[:2].reshape(4, 3))


def test_single_feature_cannot_be_mixed():
    assert find_mixing([[1.0], [0.0]]) is None
