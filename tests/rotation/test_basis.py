"""A basis is the best one, by brute force."""

from itertools import combinations

import numpy as np
import pytest

from sparsedis.rotation._basis import choose_basis


@pytest.mark.parametrize("seed", range(5))
def test_basis_is_the_best_of_all(seed):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((10, 3))
    A /= np.linalg.norm(A, axis=1, keepdims=True)
    scores = rng.uniform(size=10)

    def value(at):
        return scores[list(at)].sum() - np.linalg.slogdet(A[list(at)])[1]

    best = min(value(at) for at in combinations(range(10), 3))
    assert value(choose_basis(A, scores)) == pytest.approx(best, abs=1e-12)


def test_copies_are_not_both_chosen():
    A = np.array([[1.0, 0.0], [1.0, 0.0], [0.6, 0.8]])
    assert 2 in choose_basis(A, np.array([0.0, 0.0, 50.0]))


def test_directions_must_span():
    with pytest.raises(ValueError, match="span all coordinates"):
        choose_basis(np.array([[1.0, 0.0], [1.0, 0.0]]), np.zeros(2))
