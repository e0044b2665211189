"""Estimators as torch modules: they predict the same, also after torch.export."""

import pickle

import numpy as np
import pytest
import torch
from torch.export import Dim, export

from sparsedis import (
    SparseMultiTaskClassifier,
    SparseMultiTaskMixed,
    SparseMultiTaskRepresentation,
)
from sparsedis.datasets import make_sparse_tasks
from sparsedis.heads import LinearHead
from sparsedis.solvers.losses import Poisson
from sparsedis.solvers.penalties import L2

# Few steps leave features unsettled.
pytestmark = [
    pytest.mark.filterwarnings(rf"ignore:{message}")
    for message in (
        "No head uses",
        ".* may not be factors",
        "The tasks use all",
        "The (encoder|features)",
        "A (separate )?Ridge",
        r"\d+ of \d+ tasks have",
    )
]

QUICK = {"max_iter": 3, "random_state": 0}


@pytest.fixture(scope="module")
def data():
    X, Y = make_sparse_tasks(100, 8, 3, random_state=0)
    return X, Y / Y.std(0)


def exported(module, X):
    """The module after torch.export with any number of rows."""
    rows = {0: Dim("n", min=1)}
    return export(module, (torch.from_numpy(X),), dynamic_shapes=(rows,)).module()


def check(est, X, expected, tol=1e-9):
    module = est.to_torch()
    assert not module.training
    wide = torch.float64 if X.ndim == 2 else torch.float32
    assert {p.dtype for p in module.parameters()} == {wide}
    graph = exported(module, X[:20])
    with torch.no_grad():
        for n in (1, 7, len(X)):
            own = torch.from_numpy(X[:n])
            for found in (module(own), graph(own)):
                np.testing.assert_allclose(found, expected[:n], rtol=tol, atol=tol)


@pytest.mark.parametrize(
    ("rotation", "normalization"), [("sparsest", "batch"), (None, "layer")]
)
def test_numbers(data, rotation, normalization):
    X, Y = data
    est = SparseMultiTaskRepresentation(
        rotation=rotation, normalization=normalization, n_components=3, **QUICK
    ).fit(X, Y)
    assert hasattr(est, "linear_") == (rotation is not None)
    check(est, X, est.predict(X))


def test_inputs_and_targets_far_from_zero(data):
    X, Y = data
    # Such as coordinates in metres, and times in seconds.
    X, Y = X + 1.7e6, 1e-3 * Y + 1.7e9
    est = SparseMultiTaskRepresentation(2, max_iter=20, random_state=0).fit(X, Y)
    expected = est.predict(X)
    assert expected.std(0).min() > 1e-4
    for module in (est.to_torch(), exported(est.to_torch(), X[:20])):
        with torch.no_grad():
            found = module(torch.from_numpy(X)).numpy()
        np.testing.assert_allclose(found - 1.7e9, expected - 1.7e9, rtol=0, atol=1e-5)


def test_a_module_in_float32(data):
    X, Y = data
    est = SparseMultiTaskRepresentation(3, **QUICK).fit(X, Y)
    with torch.no_grad():
        found = est.to_torch().float()(torch.from_numpy(X))
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, est.predict(X), rtol=1e-5, atol=1e-5)


def test_single_and_vector_targets_and_own_losses(data):
    X, Y = data
    est = SparseMultiTaskRepresentation(2, rotation=None, **QUICK)
    check(est.fit(X, Y[:, 0]), X, est.predict(X))
    check(est.fit(X, Y.reshape(100, 4, 2)), X, est.predict(X))
    est.set_params(head=LinearHead(Poisson(), L2()))
    check(est.fit(X, np.abs(Y).round()), X, est.predict(X))


def test_probabilities(data):
    X, Y = data
    est = SparseMultiTaskClassifier(3, **QUICK).fit(X, Y > 0)
    assert hasattr(est, "linear_")
    check(est, X, np.stack(est.predict_proba(X), 1))
    est.fit(X, Y[:, 0] > 0)
    check(est, X, est.predict_proba(X))


def test_probabilities_of_tasks_with_different_classes(data):
    X, Y = data
    classes = np.digitize(Y, [-0.5, 0.5]).astype(float)
    classes[:, 1] = Y[:, 1] > 0
    classes[:, 2] = 1.0
    classes[:, 3] = np.nan
    est = SparseMultiTaskClassifier(3, **QUICK).fit(X, classes)
    padded = [est.predict_proba(X, np.full(len(X), t)) for t in est.tasks_]
    assert (padded[2][:, 0] == 1).all()
    assert np.isnan(padded[3]).all()
    check(est, X, np.stack(padded, 1))


def test_images():
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (30, 16, 16, 3), dtype=np.uint8)
    Y = X.mean((1, 2))
    est = SparseMultiTaskRepresentation(2, rotation=None, **QUICK).fit(X, Y)
    check(est, X, est.predict(X), tol=1e-4)


@pytest.mark.parametrize("several", [False, True])
def test_tasks_of_several_types(data, several):
    X, Y = data
    labels = Y.astype(object)
    labels[:, 1] = np.abs(Y[:, 1]).round()
    labels[:, 2] = Y[:, 2] > 0
    labels[:, 3] = 0.0
    labels[:, 4] = "a"
    if several:
        labels[:, 5] = np.digitize(Y[:, 5], [-0.5, 0.5])
    types = ["number", "count", "class", "count", "class", None, None, None]
    if several:
        types[5] = "class"
    est = SparseMultiTaskMixed(3, task_types=types, **QUICK).fit(X, labels)
    predicted, p = est.predict(X), est.predict_proba(X)
    module = est.to_torch()
    for read in (module, exported(module, X[:20])):
        found = read(torch.from_numpy(X))
        assert len(found) == 8
        for t, own in enumerate(found):
            expected = p[t] if t in p else predicted[:, t].astype(float)
            np.testing.assert_allclose(
                own.detach(), expected, rtol=1e-5, atol=1e-5, err_msg=str(t)
            )


def test_the_module_is_a_copy(data):
    X, Y = data
    est = SparseMultiTaskRepresentation(2, **QUICK).fit(X, Y)
    before, module = est.predict(X), est.to_torch()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    np.testing.assert_array_equal(est.predict(X), before)
    again = pickle.loads(pickle.dumps(module))
    rows = torch.from_numpy(X)
    torch.testing.assert_close(again(rows), module(rows))


def test_streams_leave_no_heads(data):
    X, Y = data
    est = SparseMultiTaskRepresentation(2, rotation=None, **QUICK).fit_stream([(X, Y)])
    with pytest.raises(AttributeError, match="no coef_"):
        est.to_torch()
