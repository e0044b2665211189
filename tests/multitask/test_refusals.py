"""Bad input is named, and changes nothing."""

import copy

import numpy as np
import pandas as pd
import pytest
from torch import nn

from sparsedis import SparseMultiTaskClassifier, SparseMultiTaskRepresentation
from sparsedis.datasets import make_sparse_tasks
from tests.multitask._few_steps import quick

# After a few steps features are not to be trusted.
pytestmark = pytest.mark.filterwarnings(
    "ignore:(.* may not be factors|The encoder overfits|A separate Ridge):UserWarning"
)


@pytest.fixture(scope="module")
def data():
    return make_sparse_tasks(
        n_samples=200, n_tasks=30, n_factors=4, return_bunch=True, random_state=0
    )


@pytest.fixture(scope="module")
def fitted(data, rotation):
    est = SparseMultiTaskRepresentation(
        n_components=4,
        rotation=rotation,
        alpha=0.2 if rotation is None else "auto",
        max_iter=60,
        random_state=0,
    )
    return est.fit(data.data, data.target)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"alpha": 0.0}, r"alpha must lie in \(0, 1\].* got 0.0"),
        ({"alpha": 1.5}, r"alpha must lie in \(0, 1\].* got 1.5"),
        ({"alpha": -1.0, "alpha_mode": "absolute"}, "'alpha' parameter"),
        ({"penalty": "l3"}, "'penalty' parameter.*'l3'"),
        ({"solver": "lars"}, "'solver' parameter.*'lars'"),
        ({"encoder": "resnet"}, "'encoder' parameter.*'resnet'"),
        ({"encoder": nn.Linear(4, 7)}, r"encoder must return .* got \(100, 7\)"),
        ({"n_components": 0}, "'n_components' parameter"),
        ({"lr": 1e30, "max_iter": 20}, "NaN, infinite or huge features .* lower lr"),
    ],
)
def test_bad_parameters(data, params, message):
    with pytest.raises(ValueError, match=message):
        quick(**params).fit(data.data, data.target)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_bad_X(data, value):
    X = data.data.copy()
    X[3, 1] = value
    with pytest.raises(ValueError, match="Input X contains"):
        quick().fit(X, data.target)


def test_bad_y(data, fitted):
    X, Y = data.data, data.target
    infinite = Y.copy()
    infinite[2, 2] = np.inf
    with pytest.raises(ValueError, match="Input y contains infinity"):
        quick().fit(X, infinite)
    with pytest.raises(ValueError, match="y holds no label at all"):
        quick().fit(X, np.full_like(Y, np.nan))
    with pytest.raises(ValueError, match="same number of rows, got 200 and 199"):
        quick().fit(X, Y[:-1])
    with pytest.raises(
        ValueError, match=r"y must have shape \(200, 30\).* got 2 columns"
    ):
        fitted.score(X, Y[:, :2])
    single = np.full_like(Y, np.nan)
    single[3, 3] = 1.0
    with pytest.raises(ValueError, match="y must label at least two"):
        fitted.score(X, single)


def refuse(input_shape, n_components):
    raise ValueError("not these inputs")


@pytest.fixture(
    scope="module",
    params=[
        (SparseMultiTaskRepresentation, None),
        (SparseMultiTaskRepresentation, "sparsest"),
        (SparseMultiTaskClassifier, None),
    ],
    ids=["plain", "rotated", "classes"],
)
def settled(data, request):
    """An estimator that was fitted, of which each test takes a copy."""
    estimator, rotation = request.param
    X, Y = pd.DataFrame(data.data, columns=list("abcd")), (data.target > 0).astype(int)
    est = estimator(4, rotation=rotation, max_iter=5, alpha=0.05, random_state=0)
    return est.fit(X, Y)


@pytest.mark.parametrize(
    ("params", "refit", "message"),
    [
        ({}, lambda est, X, Y: est.fit(X, np.full(Y.shape, np.nan)), "no label at all"),
        ({}, lambda est, X, Y: est.fit(X, Y[:-1]), "same number of rows"),
        ({"alpha": 2.0}, lambda est, X, Y: est.fit(X, Y), "alpha must lie in"),
        ({"alpha": 2.0}, lambda est, X, Y: est.fit_stream([(X, Y)]), "alpha must lie"),
        ({}, lambda est, X, Y: est.fit_stream([]), "source is empty"),
        ({"encoder": refuse}, lambda est, X, Y: est.fit(X, Y), "not these inputs"),
        (
            {"encoder": refuse},
            lambda est, X, Y: est.fit_stream([(X, Y)]),
            "not these inputs",
        ),
        # The weights are there, and the first step fails.
        (
            {"encoder": nn.Linear(4, 4)},
            lambda est, X, Y: est.fit_stream([(X, Y)]),
            "mat1 and mat2",
        ),
    ],
)
def test_a_fit_that_cannot_start_changes_nothing(data, settled, params, refit, message):
    X, Y = pd.DataFrame(data.data, columns=list("abcd")), (data.target > 0).astype(int)
    est = copy.deepcopy(settled)
    codes = est.transform(X)
    est.set_params(**params).set_callbacks(teardown := Teardown())
    before = dict(vars(est))
    with pytest.raises((ValueError, RuntimeError), match=message):
        refit(est, data.data[:, :3], Y)
    assert vars(est).keys() == before.keys()
    assert [name for name in before if vars(est)[name] is not before[name]] == []
    np.testing.assert_array_equal(est.transform(X), codes)
    assert teardown.setups == teardown.teardowns


class Teardown:
    """A callback of scikit-learn's that counts what surrounds a fit."""

    def __init__(self):
        self.setups = self.teardowns = 0

    def setup(self, estimator, context):
        self.setups += 1

    def on_fit_task_begin(self, estimator, context, **kwargs):
        pass

    def on_fit_task_end(self, estimator, context, **kwargs):
        pass

    def teardown(self, estimator, context):
        self.teardowns += 1


def test_a_first_fit_that_fails_leaves_nothing(data, rotation):
    est = quick(rotation=rotation)
    before = dict(vars(est))
    with pytest.raises(ValueError, match="y holds no label at all"):
        est.fit(data.data, np.full_like(data.target, np.nan))
    assert vars(est) == before
