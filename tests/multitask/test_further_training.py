"""Further training on classes with fewer features and kept heads."""

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

from sparsedis import SparseMultiTaskClassifier, SparseMultiTaskMixed
from sparsedis.datasets import make_sparse_tasks
from sparsedis.metrics import linear_r_score
from sparsedis.multitask._further_training import FurtherTraining

# After a few steps features are not to be trusted.
pytestmark = pytest.mark.filterwarnings("ignore:.* may not be:UserWarning")


DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


class Watch(Callback):
    """Note what each training is done with."""

    seen = ()

    def on_train_begin(self, net, **kwargs):
        how = [(g["lr"], g.get("weight_decay")) for g in net.optimizer_.param_groups]
        kind = type(net.criterion_).__name__
        Watch.seen += ((net.module_.n_components, net.max_iter, kind, how),)

    def on_batch_begin(self, net, batch=None, training=None, **kwargs):
        if training and net.n_steps_ == 0:
            Watch.seen = (*Watch.seen[:-1], (*Watch.seen[-1], len(batch.rows)))


@pytest.fixture
def data():
    return make_sparse_tasks(
        300, 40, n_factors=3, n_features=6, return_bunch=True, random_state=0
    )


def fit(data, cls=SparseMultiTaskClassifier, y=None, **params):
    Watch.seen = ()
    defaults = {"linear": None, "max_iter": 40, "random_state": 0, "batch_size": 60}
    est = cls(callbacks=[Watch()], **(defaults | params))
    return est.fit(data.data, data.target > 0 if y is None else y)


def test_two_rounds_with_fewer_features(data):
    est = fit(data)
    first, *further = Watch.seen
    assert first[:3] == (32, 40, "TaskObjective")
    assert [seen[:3] for seen in further] == [
        (width, 30, "KeptHeads") for width in (6, 3)
    ]
    for *_, groups, n_rows in further:
        # Those of W, of the intercepts and of the encoder.
        assert groups == [(0.01, 0.0), (0.01, 0.0), (0.002, pytest.approx(10.0))]
        assert n_rows == 150
    assert est.n_components_ == 3


@pytest.mark.parametrize(
    "params", [{"n_components": 5}, {"rotation": None, "n_components": 5}]
)
def test_a_given_number_of_features_is_trained_once(data, params):
    fit(data, **params)
    assert len(Watch.seen) == 1


def test_weight_decay_of_the_user_grows_too(data):
    fit(data, weight_decay=0.3)
    assert [seen[3][-1][1] for seen in Watch.seen] == pytest.approx([0.3, 1.0, 1.0])


@pytest.mark.parametrize("three", [False, True])
def test_mixed_tasks_of_classes_alone(data, three):
    y = np.where(data.target > 0, "b", "a").astype(object)
    if three:
        bounds = np.quantile(data.target[:, 0], [1 / 3, 2 / 3])
        y[:, 0] = np.array(["a", "b", "c"])[np.digitize(data.target[:, 0], bounds)]
    est = fit(data, SparseMultiTaskMixed, y)
    assert len(Watch.seen) == 3
    assert est.predict(data.data).shape == y.shape


@pytest.mark.parametrize("mixing", ["linear", "mlp"])
def test_further_training_straightens_the_features(mixing, monkeypatch):
    data = make_sparse_tasks(
        400,
        60,
        n_factors=4,
        n_features=8,
        mixing=mixing,
        noise_ratio=0.0,
        return_bunch=True,
        random_state=0,
    )
    params = {"max_iter": 200, "batch_size": 100}
    r = linear_r_score(data.factors, fit(data, **params).transform(data.data))
    monkeypatch.setattr(FurtherTraining, "_straighten", lambda *_: None)
    before = linear_r_score(data.factors, fit(data, **params).transform(data.data))
    assert 1 - r < 0.7 * (1 - before)


@pytest.mark.parametrize("device", DEVICES)
def test_kept_heads_follow_the_module_to_its_device(data, device):
    est = fit(data, device=device)
    assert est.transform(data.data).shape == (300, 3)
