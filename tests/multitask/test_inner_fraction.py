"""Heads of some samples of a step, and the loss of the others."""

import warnings

import numpy as np
import pytest

from sparsedis import SparseMultiTaskClassifier, SparseMultiTaskRepresentation
from sparsedis.datasets import SparseTaskModel, SparseTaskStream, make_sparse_tasks
from sparsedis.metrics import mean_correlation_coefficient
from tests.multitask._few_steps import linear, quick

# After a few steps features are not used, or not to be trusted.
pytestmark = pytest.mark.filterwarnings(
    "ignore:(No head|.* may not be|The encoder overfits|A separate Ridge):UserWarning"
)


@pytest.fixture(scope="module")
def data():
    return make_sparse_tasks(150, 12, n_factors=4, return_bunch=True, random_state=0)


@pytest.mark.parametrize("gaps", [0.0, 0.3, 0.93])
@pytest.mark.parametrize(
    "cls", [SparseMultiTaskRepresentation, SparseMultiTaskClassifier]
)
def test_samples_can_be_split(data, cls, gaps):
    Y = data.target.copy()
    Y[np.random.RandomState(0).uniform(size=Y.shape) < gaps] = np.nan
    if cls is SparseMultiTaskClassifier:
        Y = np.where(np.isnan(Y), np.nan, Y > 0)
    with warnings.catch_warnings():
        # Few labels may be of one class.
        warnings.filterwarnings("ignore", ".* tasks have a single class", UserWarning)
        est = quick(cls, inner_fraction=0.5).fit(data.data, Y)
    assert np.isfinite(est.history_["loss"]).all()


def test_split_samples_disentangle():
    model = SparseTaskModel(4, mixing="linear", random_state=0)
    stream = SparseTaskStream(model, n_tasks=40, n_samples=60, random_state=0)
    X, factors = model.sample(2000, random_state=1)
    est = SparseMultiTaskRepresentation(
        4,
        rotation=None,
        inner_fraction=0.5,
        encoder=linear,
        max_iter=120,
        lr=0.05,
        random_state=0,
    )
    codes = est.fit_stream(stream).transform(X)
    assert mean_correlation_coefficient(factors, codes) > 0.97


def test_too_few_samples_to_split(data):
    est = quick(inner_fraction=0.5)
    y = np.full((150, 12), np.nan)
    y[np.arange(12), np.arange(12)] = 1.0
    with pytest.raises(ValueError, match="got at most one for each task"):
        est.fit(data.data, y)
    # Both labels of each task are those of one input.
    twice = np.r_[data.data[:12], data.data[:12]], np.r_[y[:12], 2 * y[:12]]
    with pytest.raises(ValueError, match=r"no task had 2 labels in two"):
        quick(inner_fraction=0.5, task_batch_size=1).fit(*twice)
    with pytest.raises(ValueError, match="some task of step 0 must have at least 2"):
        est.fit_stream([(data.data, y)])
