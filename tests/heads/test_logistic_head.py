"""Blocks of tasks whose logistic models are solved together."""

import numpy as np
import pytest
from sklearn.base import clone

from sparsedis.heads import SparseHeadsClassifierCV
from sparsedis.heads._logistic_head import blocks_of_tasks
from tests.heads._tables import table_of_classes as table


@pytest.mark.parametrize("p", [6, 80])
def test_candidates_change_nothing(monkeypatch, p):
    X, Y = table(60, p, 1)
    model = SparseHeadsClassifierCV(6, eps=0.05, cv=2)
    whole = clone(model).fit(X, Y)
    monkeypatch.setattr("sparsedis.solvers.two_class_path.NARROW", 200 if p > 64 else 0)
    other = clone(model).fit(X, Y)
    np.testing.assert_allclose(other.coef_, whole.coef_, atol=1e-7)
    np.testing.assert_allclose(other.log_loss_path_, whole.log_loss_path_, atol=1e-8)


@pytest.mark.parametrize("p", [6, 70])
def test_tasks_that_are_solved_together_are_those_alone(p):
    X, y = table(p=p, n_tasks=5)
    # Fewer labels, and more classes, than the tasks around.
    y[60:, 1] = np.nan
    y[:40, 3] = np.where(np.isnan(y[:40, 3]), np.nan, 2)
    together = SparseHeadsClassifierCV(20, cv=3).fit(X, y)
    for t in range(5):
        alone = SparseHeadsClassifierCV(20, cv=3).fit(X, y[:, t])
        np.testing.assert_allclose(
            together.log_loss_path_[t], alone.log_loss_path_, rtol=1e-6
        )
        assert together.alpha_[t] == pytest.approx(alone.alpha_, rel=1e-12)
        n = len(alone.classes_)
        expected = alone.coef_ if n > 2 else 0.5 * alone.coef_ * [[-1], [1]]
        np.testing.assert_allclose(together.coef_[t, :n], expected, atol=1e-6)


def test_blocks_hold_tasks_of_two_classes_that_fit_in_the_cache():
    def task(n, n_classes=2):
        return np.arange(n), np.arange(n) % n_classes, np.ones(n), 10

    few = [task(100), task(100), task(50, 3), task(100), task(2**18 // 6)]
    assert [len(block) for block in blocks_of_tasks(few, 6)] == [2, 1, 1, 1]
    assert [len(block) for block in blocks_of_tasks(few, 70)] == [1] * 5
