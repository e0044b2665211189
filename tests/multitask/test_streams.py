"""Streams of tasks: their forms, their end, and what is refused."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from sparsedis.datasets import make_sparse_tasks
from sparsedis.tasks import TaskBatch
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


def test_a_stream_leaves_no_heads(data, rotation):
    est = quick(rotation=rotation).fit_stream([(data.data, data.target)])
    assert est.transform(data.data).shape == (200, 4)
    for use in (
        lambda: est.coef_,
        lambda: est.predict(data.data),
        lambda: est.score(data.data, data.target),
    ):
        with pytest.raises(AttributeError, match="no coef_: fit_stream does not keep"):
            use()
    # A fit afterwards brings them.
    assert est.fit(data.data, data.target).coef_.shape == (30, 4)


def test_forms_of_a_stream_agree(data):
    X, Y = data.data, data.target
    batch = TaskBatch(X, Y.T)
    streams = (
        [(X, Y)],
        [batch],
        iter([batch] * 5),
        [TaskBatch(X, Y.T, np.arange(200))],
    )
    codes = [quick().fit_stream(stream).transform(X) for stream in streams]
    for other in codes[1:]:
        np.testing.assert_allclose(other, codes[0], atol=1e-5)


def test_separate_rows_train_as_shared_ones_do(data):
    X, Y = data.data, data.target
    index = np.tile(np.arange(200), (30, 1))
    shared = quick().fit_stream([TaskBatch(X, Y.T)]).transform(X)
    separate = quick().fit_stream([TaskBatch(X, Y.T, index)]).transform(X)
    np.testing.assert_allclose(separate, shared, atol=1e-4)


def test_a_stream_that_ends_ends_the_training(data):
    batch = TaskBatch(data.data, data.target.T)
    with pytest.warns(UserWarning, match="source ended after 4 of max_iter=9 steps"):
        est = quick(max_iter=9).fit_stream(iter([batch] * 4))
    assert est.n_iter_ == 4
    # In the second epoch, too; a list is gone through again.
    with pytest.warns(UserWarning, match="source ended after 33 of max_iter=50 steps"):
        quick(max_iter=50).fit_stream(iter([batch] * 33))
    assert quick(max_iter=9).fit_stream([batch] * 4).n_iter_ == 9


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ([], "source is empty"),
        (3, "source must be an iterable"),
        (["abc"], "must yield TaskBatch instances or .* got str"),
        (
            [TaskBatch(np.zeros((4, n)) + np.eye(4)[:, :n], np.eye(4)) for n in (2, 3)],
            "X has 3 features, but .* is expecting 2",
        ),
        (
            [TaskBatch(np.zeros((4, 3, n)), np.eye(4)) for n in (2, 3)],
            r"inputs of one shape; got \(3, 2\), then \(3, 3\)",
        ),
    ],
)
def test_bad_streams(source, message):
    with pytest.raises(ValueError, match=message):
        quick().fit_stream(source)


def test_streams_take_lists(data):
    X, Y = data.data, data.target
    loader = DataLoader(TensorDataset(torch.tensor(X), torch.tensor(Y)), batch_size=50)
    est = quick().fit_stream(loader)
    parts = [(X[i : i + 50], Y[i : i + 50]) for i in range(0, 200, 50)]
    other = quick().fit_stream(parts)
    np.testing.assert_array_equal(est.transform(X), other.transform(X))
