"""Blocks of tasks whose paths are followed together."""

import numpy as np
from joblib import parallel_config

from sparsedis.heads import SparseHeadsCV
from sparsedis.heads._path_problem import HeadProblem
from sparsedis.heads._task_paths import block_size
from tests.heads._tables import table


def test_blocks_of_tasks_and_threads_change_nothing(monkeypatch):
    X, Y = table(60, n_tasks=5)
    how = {"alphas": 5, "eps": 0.05, "cv": 2}
    whole = SparseHeadsCV(**how).fit(X, Y)
    monkeypatch.setattr("sparsedis.heads._task_paths._BLOCK", 3 * 64 * 2)
    with parallel_config("threading"):
        parts = SparseHeadsCV(**how, n_jobs=2).fit(X, Y)
    np.testing.assert_allclose(parts.coef_, whole.coef_, atol=1e-12)
    monkeypatch.setattr("sparsedis.heads._task_paths._NARROW", 1)
    single = SparseHeadsCV(**how).fit(X, Y)
    np.testing.assert_allclose(single.coef_, whole.coef_, atol=1e-9)
    np.testing.assert_allclose(single.mse_path_, whole.mse_path_, rtol=1e-9)


def test_blocks_are_bounded_by_every_array_of_theirs():
    lasso = None, np.ones(8), None, None, False
    problem = HeadProblem(100, 1e-3, *lasso, "cv", False, True, False, 1e-10, None)
    assert block_size(500, 300, 5, problem) == 1
    for n, p, n_folds in [(20_000, 8, 5), (50, 200, 5), (50, 2, 0)]:
        size = block_size(n, p, n_folds, problem)
        arrays = n, (n_folds + 1) * p * p, (n_folds + 1) * p * 100
        assert 2**22 < size * max(arrays) <= 2**23


def test_blocks_of_groups_are_bounded_by_their_table():
    groups = np.array([0, 0, 0, 0, 0, 1, 2, 3])
    lasso = None, np.ones(8), groups, None, False
    problem = HeadProblem(10, 1e-3, *lasso, "cv", False, True, False, 1e-10, None)
    assert block_size(50, 8, 5, problem) == 2**23 // (6 * 20 * 20)
