"""R2 of many tasks: that of scikit-learn, in whatever parts the labels come."""

import numpy as np
import pytest
from sklearn.metrics import r2_score

from sparsedis._scores import TaskMean, TaskR2, r2_of_tasks


def parts_of(y, prediction, tasks, weight, n_parts):
    r2 = TaskR2(tasks.max() + 1)
    for part in np.array_split(np.arange(len(y)), n_parts):
        own = None if weight is None else weight[part]
        r2.add(y[part], prediction[part], tasks[part], own)
    return r2.result()


@pytest.mark.parametrize("n_parts", [1, 3, 40])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("scale", "offset"),
    [(1.0, 0.0), (1.0, 1e6), (1e-3, -1e9), (1e-149, 0.0), (1e149, 0.0)],
)
def test_r2_is_that_of_scikit_learn(n_parts, weighted, scale, offset):
    rng = np.random.default_rng(0)
    tasks = rng.permutation(np.repeat([0, 1, 2, 2], 30))
    y = np.round(rng.standard_normal((120, 2)), 3)
    guess = y + np.round(0.5 * rng.standard_normal((120, 2)), 3)
    weight = rng.integers(0, 3, 120) * 0.5 if weighted else None
    expected = [
        r2_score(
            y[own], guess[own], sample_weight=None if weight is None else weight[own]
        )
        for own in (tasks == t for t in range(3))
    ]
    found = parts_of(scale * y + offset, scale * guess + offset, tasks, weight, n_parts)
    digits = 1e-10 + 1e-12 * abs(offset) / scale
    np.testing.assert_allclose(found, expected, rtol=digits)


@pytest.mark.parametrize("value", [0.1, 1.1, 7.7, 1e9 / 3, -2.0, 0.0])
@pytest.mark.parametrize("n", [2, 3, 10, 49])
@pytest.mark.parametrize("n_parts", [1, 2])
def test_constant_tasks_score_one_if_exact_else_zero(value, n, n_parts):
    y, tasks = np.full(n, value), np.zeros(n, dtype=int)
    weight = np.linspace(0.1, 1, n)
    assert parts_of(y, y, tasks, weight, n_parts) == [1.0]
    assert parts_of(y, y + 1.0, tasks, weight, n_parts) == [0.0]
    # Rounding is no variation.
    rounded = y * np.where(np.arange(n) % 2, 1 + np.finfo(float).eps, 1.0)
    assert parts_of(rounded, y + 1.0, tasks, weight, n_parts) == [0.0]


def test_nearly_constant_tasks_are_scored_as_they_are():
    rng = np.random.default_rng(0)
    y = 1 + np.round(1e6 * rng.standard_normal(50)) * 2.0**-50
    guess = np.full(50, 1.0)
    found = r2_of_tasks(y, guess, np.zeros(50, dtype=int), 1)
    assert found[0] == pytest.approx(r2_score(y - 1, guess - 1), rel=1e-9)


def test_tasks_with_one_label_or_none_have_no_r2():
    r2 = TaskR2(3)
    assert np.isnan(r2.result()).all()
    y, tasks = np.array([1.0, 2.0, 3.0]), np.array([0, 0, 1])
    r2.add(y, y, tasks, np.array([1.0, 1.0, 1.0]))
    r2.add(y, y, np.array([1, 1, 2]), np.array([0.0, 0.0, 1.0]))
    np.testing.assert_array_equal(r2.result(), [1.0, np.nan, np.nan])


@pytest.mark.parametrize("weighted", [False, True])
def test_mean_of_each_task_in_parts(weighted):
    rng = np.random.default_rng(0)
    values, tasks = rng.standard_normal(60), rng.integers(0, 3, 60)
    weight = rng.random(60) if weighted else None
    mean = TaskMean(4)
    for part in np.array_split(np.arange(60), 7):
        own = None if weight is None else weight[part]
        mean.add(values[part], tasks[part], own)
    own = [tasks == t for t in range(3)]
    weight = np.ones(60) if weight is None else weight
    expected = [np.average(values[o], weights=weight[o]) for o in own]
    np.testing.assert_allclose(mean.result(), [*expected, np.nan], rtol=1e-12)
