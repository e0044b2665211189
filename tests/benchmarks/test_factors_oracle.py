"""Tasks identify the factors where no other heads are as sparse as the true ones."""

from itertools import combinations, product

import numpy as np
import pytest
from sklearn.utils import Bunch

from benchmarks.factors._generate import Condition, make_data
from benchmarks.factors._oracle import f1_of_decided, find_rival, identified


def signed(n_factors, size):
    """Heads of coefficients +-1 on all supports of a size, but for a common sign."""
    heads = []
    for support in combinations(range(n_factors), size):
        for signs in product([1.0, -1.0], repeat=size - 1):
            heads.append(np.zeros(n_factors))
            heads[-1][list(support)] = [1.0, *signs]
    return np.array(heads)


def is_rival(v, coef):
    """Whether a mixture is zero for as many tasks as one of its factors."""
    used = np.abs(v) > 1e-9
    reached = (np.abs(coef @ v) < 1e-9).sum()
    return used.sum() > 1 and reached >= (coef == 0).sum(axis=0)[used].min()


@pytest.mark.parametrize(
    ("n_factors", "size", "unique"),
    [
        (3, 2, False),  # all three factors together are zero for half of the tasks
        (4, 2, False),  # the roots of D4, which three bases make equally sparse
        (4, 3, False),  # sums and differences of two pairs are as good
        (5, 2, True),
        (8, 2, True),
        (8, 3, True),
    ],
)
def test_signs_on_small_supports(n_factors, size, unique):
    coef = signed(n_factors, size)
    rival = find_rival(coef)
    assert (rival is None) == unique
    assert unique or is_rival(rival, coef)


def test_few_tasks_have_a_rival():
    # A mixture of all 12 is zero for any 11 tasks; some factor is for no more.
    rng = np.random.default_rng(0)
    coef = rng.standard_normal((20, 12)) * (rng.random((20, 12)) < 0.6)
    coef[~coef.any(axis=1), 0] = 1
    assert (coef == 0).sum(axis=0).min() <= 11
    assert is_rival(find_rival(coef), coef)


@pytest.mark.parametrize("n_factors", [3, 6, 12])
def test_many_tasks_of_gaussian_coefficients_are_identified(n_factors):
    for seed in range(3):
        condition = Condition(n_factors, n_tasks=100, n_samples=50, units="decades")
        assert identified(make_data(condition, seed))


@pytest.mark.parametrize("support", [1, 5])
def test_dense_tasks_are_not_identified(support):
    data = make_data(Condition(6, n_tasks=100, n_samples=50, support=support), 0)
    assert identified(data) == (support == 5)


def test_blocks_and_tasks_without_labels_do_not_identify():
    data = make_data(Condition(4, n_tasks=40, n_samples=50), 0)
    assert identified(data)
    together = data.supports.copy()
    together[:, 1] = together[:, 0]
    coef = np.random.default_rng(0).standard_normal(together.shape) * together
    coef[~together.any(axis=1), 2] = 1
    assert not identified(Bunch(**data | {"coef": coef, "supports": coef != 0}))
    # Only the tasks that do not use the first factor are labelled.
    Y = np.where(data.supports[:, 0], np.nan, data.Y)
    assert not identified(Bunch(**data | {"Y": Y}))


@pytest.mark.parametrize("classification", [False, True])
def test_labels_decide_what_is_not_in_their_noise(classification):
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((400, 3))
    supports = np.ones((4, 3), dtype=bool)
    # Task by task fewer factors stand above the noise.
    coef = np.where(np.arange(3) <= 2 - np.arange(4)[:, None], 5.0, 1e-3)
    Y = Z @ coef.T + rng.logistic(size=(400, 4))
    Y = np.where(rng.random(Y.shape) < 0.3, np.nan, Y)
    if classification:
        Y = np.where(np.isnan(Y), np.nan, Y > 0)
    condition = Condition(3, classification=classification)
    data = Bunch(factors=Z, supports=supports, Y=Y, condition=condition)
    assert f1_of_decided(data) == pytest.approx(np.mean([1, 4 / 5, 2 / 4, 0]))
