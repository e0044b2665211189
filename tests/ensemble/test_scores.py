"""Scores of tasks, against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import (
    d2_log_loss_score,
    d2_tweedie_score,
    r2_score,
)

from sparsedis.ensemble._scores import explained_deviance
from sparsedis.metrics._task_labels import TaskLabels

ROWS, TASKS = np.divmod(np.arange(60), 3)
AT = [np.flatnonzero(t == TASKS) for t in range(3)]


@pytest.fixture(params=[False, True], ids=["alike", "weighted"])
def weight(request):
    return np.random.default_rng(5).uniform(0.5, 2, 60) if request.param else None


def labels_of(values, weight):
    # One of the tasks has no label.
    return TaskLabels(np.arange(4), values, ROWS, TASKS, 20, weight=weight)


def expected(score, values, predicted, weight):
    own = [None if weight is None else weight[at] for at in AT]
    each = [
        score(values[at], predicted[at], sample_weight=w)
        for at, w in zip(AT, own, strict=True)
    ]
    return [*each, np.nan]


def test_explained_deviance_of_several_types(weight):
    rng = np.random.default_rng(0)
    values = np.empty(60, dtype=object)
    number, count, label = rng.standard_normal(20), rng.poisson(2, 20), "aabcb" * 4
    values[AT[0]], values[AT[1]], values[AT[2]] = number, count, list(label)
    predicted = np.empty(60, dtype=object)
    predicted[AT[0]], predicted[AT[1]] = 0.5 * number, 0.5 * count + 1
    p = rng.dirichlet(np.ones(2), 20)
    found = explained_deviance(
        labels_of(values, weight),
        predicted,
        [None, None, p, None],
        [np.array([])] * 2 + [np.array(["a", "b"]), np.array([])],
        np.array([False, True, False, False]),
    )
    own = [None if weight is None else weight[at] for at in AT]
    # The third class was not known.
    known = np.array(list(label)) != "c"
    last = None if weight is None else own[2][known]
    np.testing.assert_allclose(
        found,
        [
            r2_score(number, 0.5 * number, sample_weight=own[0]),
            d2_tweedie_score(count, 0.5 * count + 1, sample_weight=own[1], power=1),
            d2_log_loss_score(
                np.array(list(label))[known], p[known], sample_weight=last
            ),
            np.nan,
        ],
    )
