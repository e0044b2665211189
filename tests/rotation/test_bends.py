"""Directions that stronger ones determine: closed forms, and factors that are not."""

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sparsedis.rotation import count_factors, white_heads
from sparsedis.rotation._bends import explained_share, without_bends

AR = 0.9 ** np.abs(np.subtract.outer(range(8), range(8)))
BLOCKS = np.kron(np.eye(4), [[1, 0.9], [0.9, 1]])


def labels_of(*rows):
    return [SimpleNamespace(Z=Z) for Z in rows]


def test_explained_share_of_known_functions():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((1000, 3))
    noise = rng.standard_normal(1000)
    # A polynomial, without noise and with as much noise as signal, and noise alone.
    bent = X[:, 0] * X[:, 1] + (X[:, 2] ** 2 - 1) / np.sqrt(2)
    assert_allclose(explained_share(X, bent), 1, atol=1e-3)
    assert_allclose(explained_share(X, bent + np.sqrt(2) * noise), 0.5, atol=0.06)
    assert abs(explained_share(X, noise)) < 0.03


@pytest.mark.parametrize("correlation", [AR, BLOCKS], ids=["autoregressive", "blocks"])
def test_weak_factors_are_no_bends(correlation):
    # The last directions of these are twenty times weaker than the second.
    rng = np.random.default_rng(0)
    F = rng.multivariate_normal(np.zeros(8), correlation, 800)
    W = rng.standard_normal((8, 100)) * (rng.random((8, 100)) < 0.3)
    W[rng.integers(8, size=100), np.arange(100)] = 1
    Y = F @ W + 0.3 * rng.standard_normal((800, 100))
    count = count_factors(white_heads(F, Y > 0, classification=True))
    assert count.strength[7] < 0.1 * count.strength[1]
    assert count.n_factors == 8


@pytest.mark.parametrize(
    ("strength", "k"),
    [
        ([3.0, 1.0, 0.9, 0.1, 0.1], 3),  # two bends
        ([3.0, 1.0, 0.9, 0.5, 0.4], 5),  # these are strong
        ([3.0, 1.0, 0.1, 0.1, 0.1], 3),  # the third is a factor, though weak
    ],
)
def test_the_last_directions_are_left_out(strength, k):
    rng = np.random.default_rng(0)
    F = rng.standard_normal((500, 3))
    Z = np.column_stack([F, F[:, 0] ** 2, F[:, 1] * F[:, 2]])
    assert without_bends(labels_of(Z), np.array(strength), np.eye(5), 5) == k


@pytest.mark.parametrize(
    ("share", "relative", "k"), [(0.2, 0.05, 3), (0.45, 0.05, 2), (0.45, 0.25, 3)]
)
def test_a_factor_may_depend_on_others(share, relative, k):
    rng = np.random.default_rng(0)
    F = rng.standard_normal((1000, 3))
    third = np.sqrt(share) * F[:, 0] * F[:, 1] + np.sqrt(1 - share) * F[:, 2]
    Z = np.column_stack([F[:, :2], third])
    strength = np.array([1.0, 1.0, relative])
    assert without_bends(labels_of(Z), strength, np.eye(3), 3) == k


def test_two_directions_are_kept():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 1))
    Z = np.column_stack([x, x**2, x**3])
    strength = np.array([1.0, 1e-3, 1e-4])
    assert without_bends(labels_of(Z), strength, np.eye(3), 3) == 2
    assert without_bends(labels_of(Z), strength, np.eye(3), 1) == 1
    assert without_bends(labels_of(Z), strength, np.eye(3), 0) == 0


def test_rows_of_several_parts_count_once():
    # Copies of rows in other folds would predict anything.
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((60, 5))
    strength = np.array([1.0, 1.0, 1.0, 0.1, 0.1])
    assert without_bends(labels_of(*[Z] * 10), strength, np.eye(5), 5) == 5


def test_a_direction_that_few_rows_have():
    # It is constant on the rows that are compared.
    rng = np.random.default_rng(0)
    Z = np.column_stack([rng.standard_normal((5000, 2)), np.zeros(5000)])
    Z[np.lexsort(Z.T[::-1])[3], 2] = 70.0
    strength = np.array([1.0, 1.0, 0.01])
    assert without_bends(labels_of(Z), strength, np.eye(3), 3) == 2


def test_few_rows_do_not_tell():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((20, 2))
    Z = np.column_stack([x, x[:, 0] ** 2])
    strength = np.array([1.0, 1.0, 0.01])
    assert without_bends(labels_of(Z), strength, np.eye(3), 3) == 3
