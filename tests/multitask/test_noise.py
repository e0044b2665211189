"""A second training on tables whose labels are noisy."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.metrics import log_loss
from skorch.callbacks import Callback

from sparsedis import (
    SparseMultiTaskClassifier,
    SparseMultiTaskMixed,
    SparseMultiTaskRepresentation,
)
from sparsedis.datasets import make_sparse_tasks
from sparsedis.encoders import MLP
from sparsedis.multitask import _noise
from sparsedis.multitask._noise import NoiseTraining

# After a few steps features are not used, or not to be trusted.
pytestmark = pytest.mark.filterwarnings(
    "ignore:(No head|No factors|.* may not be|The encoder overfits|A separate Ridge|"
    "The features miss):UserWarning"
)

CLASSES, NUMBERS = SparseMultiTaskClassifier, SparseMultiTaskRepresentation
PLAIN, NOISY = {CLASSES: 1e-4, NUMBERS: 0.01}, {CLASSES: 0.01, NUMBERS: 0.1}


def table(cls, noise):
    rng = np.random.default_rng(0)
    X, Y = make_sparse_tasks(n_samples=260, n_tasks=8, n_factors=3, random_state=0)
    if noise:
        # More inputs, with which noise can be learned by heart.
        X = np.hstack([X, rng.standard_normal((len(X), 12))])
    Y = Y / Y.std(0)
    if cls is CLASSES:
        return X, (Y > 0) ^ (rng.random(Y.shape) < 0.2 * noise)
    return X, Y + 1.5 * noise * rng.standard_normal(Y.shape)


def make(cls, **params):
    defaults = {"n_components": 3, "linear": None, "max_iter": 20, "random_state": 0}
    return cls(**(defaults | params))


@pytest.fixture
def forced(monkeypatch):
    """A second training in any case, which is kept."""
    monkeypatch.setattr(_noise, "_EXPLAINED", 2.0)
    monkeypatch.setattr(_noise, "_MARGIN", -np.inf)


def last_alpha(est):
    return est.history_["alpha"][-1]


@pytest.mark.parametrize(("cls", "max_iter"), [(CLASSES, 20), (NUMBERS, 40)])
def test_noisy_labels_are_trained_on_twice(cls, max_iter, capsys):
    X, Y = table(cls, 1)
    est = make(cls, verbose=1, n_components="auto", max_iter=max_iter)
    est.fit(X[:100], Y[:100])
    assert "The labels may be noisy" in capsys.readouterr().out
    once = clone(est).set_params(alpha=PLAIN[cls], verbose=0)
    once.fit(X[:100], Y[:100])
    assert last_alpha(est) == NOISY[cls]
    assert last_alpha(once) == PLAIN[cls]
    assert est.n_iter_ == len(est.history_["loss"])
    if cls is NUMBERS:
        # New rows confirm the choice.
        assert est.score(X[100:], Y[100:]) > once.score(X[100:], Y[100:])


@pytest.mark.parametrize("cls", [CLASSES, NUMBERS])
def test_clean_labels_are_trained_on_once(cls):
    X, Y = table(cls, 0)
    X, Y = X[:120], Y[:120]
    est = make(cls, max_iter=15).fit(X, Y)
    once = make(cls, max_iter=15, alpha=PLAIN[cls]).fit(X, Y)
    np.testing.assert_array_equal(est.transform(X), once.transform(X))


@pytest.mark.parametrize(
    "params",
    [
        {"alpha": 0.003},
        {"encoder": MLP},
        {"early_stopping": False},
        {"rotation": None},
    ],
)
def test_what_is_given_is_kept(params, monkeypatch):
    def fail(*args):
        raise AssertionError

    monkeypatch.setattr(_noise, "TaskObjective", fail)
    X, Y = table(NUMBERS, 1)
    est = make(NUMBERS, max_iter=5, **params).fit(X, Y)
    assert last_alpha(est) == est._alpha == params.get("alpha", est._alpha)


def test_a_second_training_that_predicts_no_better_is_undone(monkeypatch):
    X, Y = table(NUMBERS, 1)
    monkeypatch.setattr(_noise, "_MARGIN", 1.0)
    est = make(NUMBERS).fit(X, Y)
    once = make(NUMBERS, alpha=PLAIN[NUMBERS]).fit(X, Y)
    for name in est.history_:
        np.testing.assert_array_equal(est.history_[name], once.history_[name])
    assert est.n_iter_ == once.n_iter_
    np.testing.assert_array_equal(est.transform(X), once.transform(X))


@pytest.mark.parametrize("cls", [CLASSES, NUMBERS])
@pytest.mark.parametrize("side", [-1, 1])
def test_labels_may_be_noisy_below_half_of_the_loss(cls, side, monkeypatch):
    X, Y = table(cls, 1)
    seen = {}

    def keep(self, valid):
        seen["valid"], seen["loss"] = valid, np.nanmin(self.history_["valid_loss"])
        return False

    with monkeypatch.context() as patch:
        patch.setattr(NoiseTraining, "_may_be_noisy", keep)
        make(cls).fit(X[:100], Y[:100])
    inner, outer = (batch.y.astype(float) for batch in seen["valid"])
    mean = inner.mean(1, keepdims=True)
    constants = 0.5 * ((outer - mean) ** 2).mean()
    if cls is CLASSES:
        p = np.broadcast_to(mean, outer.shape)
        constants = np.mean([log_loss(y, q) for y, q in zip(outer, p, strict=True)])
    explained = 1 - seen["loss"] / constants
    monkeypatch.setattr(_noise, "_EXPLAINED", explained + 1e-4 * side)
    monkeypatch.setattr(_noise, "_MARGIN", -np.inf)
    est = make(cls).fit(X[:100], Y[:100])
    assert last_alpha(est) == (NOISY if side > 0 else PLAIN)[cls]


class PowerFailure(RuntimeError):
    pass


class Stop(Callback):
    """Fail in the second training."""

    def on_batch_begin(self, net, training=None, **kwargs):
        if training and net.criterion_.alpha == 0.1 and net.n_steps_ == 22:
            raise PowerFailure


@pytest.mark.usefixtures("forced")
def test_an_interrupted_second_training_continues(tmp_path):
    X, Y = table(NUMBERS, 1)
    est = make(NUMBERS, checkpoint=tmp_path, max_iter=30)
    with pytest.raises(PowerFailure):
        clone(est).set_params(callbacks=[Stop()]).fit(X, Y)
    est.fit(X, Y)
    whole = make(NUMBERS, max_iter=30).fit(X, Y)
    np.testing.assert_array_equal(est.transform(X), whole.transform(X))
    np.testing.assert_array_equal(est.coef_, whole.coef_)


def test_a_warm_start_goes_on_for_noisy_labels(forced, tmp_path, monkeypatch):
    X, Y = table(NUMBERS, 1)
    est = make(NUMBERS, warm_start=True).fit(X, Y)
    assert last_alpha(est) == 0.1
    est.save_params(tmp_path / "weights")
    loaded = make(NUMBERS, warm_start=True)
    loaded.load_params(tmp_path / "weights")
    for each in (est, loaded):
        each.fit(X, Y)
        assert last_alpha(each) == 0.1
    np.testing.assert_array_equal(est.transform(X), loaded.transform(X))
    monkeypatch.setattr(_noise, "_EXPLAINED", 0.0)
    est.set_params(warm_start=False).fit(X, Y)
    assert last_alpha(est) == 0.01


@pytest.mark.usefixtures("forced")
def test_tasks_of_several_types_have_their_own_penalties():
    X, numbers = table(NUMBERS, 1)
    counts = np.random.default_rng(0).poisson(2.0, (260, 1))
    Y = np.hstack([numbers > 0, counts, numbers])[:100]
    types = ["binary"] * 8 + ["count"] + ["number"] * 8
    est = make(SparseMultiTaskMixed, task_types=types, max_iter=5).fit(X[:100], Y)
    assert last_alpha(est) == pytest.approx((8 * 0.01 + 9 * 0.1) / 17)
