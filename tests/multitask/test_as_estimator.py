"""Copies, seeds, pipelines, searches and callbacks."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sparsedis import SparseMultiTaskRepresentation
from sparsedis.datasets import make_sparse_tasks
from tests.multitask._few_steps import quick

# After a few steps features are not to be trusted.
pytestmark = pytest.mark.filterwarnings(
    "ignore:(.* may not be factors|The encoder overfits|A separate Ridge):UserWarning"
)

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


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


def test_the_seed_decides_everything(data, rotation):
    X, Y = data.data, data.target
    torch.manual_seed(5)
    first = quick(rotation=rotation, random_state=3).fit(X, Y)
    state = torch.get_rng_state()
    torch.manual_seed(6)
    again = quick(rotation=rotation, random_state=3).fit(X, Y)
    other = quick(rotation=rotation, random_state=4).fit(X, Y)
    np.testing.assert_array_equal(first.transform(X), again.transform(X))
    np.testing.assert_array_equal(first.coef_, again.coef_)
    assert not np.array_equal(first.coef_, other.coef_)
    # The global generator of torch is the user's.
    torch.manual_seed(5)
    assert torch.equal(state, torch.get_rng_state())


def test_pickle(data, fitted):
    copy = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(copy.predict(data.data), fitted.predict(data.data))


@pytest.mark.parametrize("device", DEVICES)
def test_a_model_moves_between_devices(data, device, rotation):
    est = quick(rotation=rotation, device=device).fit(data.data, data.target)
    expected = est.transform(data.data)
    moved = pickle.loads(pickle.dumps(est)).set_params(device="cpu")
    np.testing.assert_allclose(moved.transform(data.data), expected, atol=1e-6)


def test_pipeline_and_grid_search(data):
    pipe = make_pipeline(StandardScaler(), quick())
    search = GridSearchCV(
        pipe, {"sparsemultitaskrepresentation__alpha": [0.05, 0.9]}, cv=2
    )
    search.fit(data.data, data.target)
    assert search.best_params_ == {"sparsemultitaskrepresentation__alpha": 0.05}
    names = search.best_estimator_.get_feature_names_out()
    assert names[0] == "sparsemultitaskrepresentation0"
    assert len(names) == 4


def test_callbacks_of_scikit_learn_see_every_epoch(data, rotation):
    class Recorder:
        def __init__(self):
            self.begun, self.ended = [], []

        def setup(self, estimator, context):
            pass

        def teardown(self, estimator, context):
            pass

        def on_fit_task_begin(self, estimator, context):
            self.begun.append(context.task_name)

        def on_fit_task_end(self, estimator, context):
            self.ended.append(context.task_name)
            return self.stop and context.task_name == "epoch"

    recorder = Recorder()
    recorder.stop = False
    est = quick(rotation=rotation, max_iter=50).set_callbacks(recorder)
    est.fit(data.data, data.target)
    assert recorder.begun == ["fit", "epoch", "epoch", "epoch"]
    assert recorder.ended == ["epoch", "epoch", "epoch", "fit"]

    recorder.stop = True
    est.fit(data.data, data.target)
    assert est.n_iter_ == 20


def test_skorch_callbacks_and_log(data, capsys):
    from skorch.callbacks import Callback

    class Counter(Callback):
        steps = 0

        def on_batch_end(self, net, **kwargs):
            type(self).steps += 1

    est = quick(callbacks=[Counter()], verbose=1).fit(data.data, data.target)
    assert Counter.steps == est.n_iter_ == 5
    assert "train_loss" in capsys.readouterr().out


def test_clone_and_repr():
    est = SparseMultiTaskRepresentation(n_components=3, alpha=0.3)
    assert repr(est) == "SparseMultiTaskRepresentation(alpha=0.3, n_components=3)"
    assert clone(est).get_params() == est.get_params()


def test_a_search_shows_its_progress(data, capsys):
    from sklearn.callback import ProgressBar

    search = GridSearchCV(quick(), {"alpha": [0.1, 0.5]}, cv=2)
    search.set_callbacks(ProgressBar())
    search.fit(data.data, data.target)
    shown = capsys.readouterr().out
    assert "GridSearchCV" in shown
    assert "SparseMultiTaskRepresentation" in shown


def test_features_have_names(data, rotation):
    plain = quick(rotation=rotation).fit(data.data, data.target)
    est = quick(rotation=rotation).set_output(transform="pandas")
    est.fit(data.data, data.target)
    np.testing.assert_array_equal(est.predict(data.data), plain.predict(data.data))
    assert est.score(data.data, data.target) == plain.score(data.data, data.target)
    names = [f"sparsemultitaskrepresentation{j}" for j in range(4)]
    assert est.transform(data.data).columns.tolist() == names
    assert est.get_feature_names_out().tolist() == names
