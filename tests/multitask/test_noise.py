"""A second training on tables whose classes are noisy."""

import numpy as np
import pytest
import torch
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

PLAIN, NOISY = 1e-4, 0.01


def table(noise):
    rng = np.random.default_rng(0)
    X, Y = make_sparse_tasks(n_samples=260, n_tasks=8, n_factors=3, random_state=0)
    if noise:
        # More inputs, with which noise can be learned by heart.
        X = np.hstack([X, rng.standard_normal((len(X), 12))])
    return X, (Y > 0) ^ (rng.random(Y.shape) < 0.2 * noise)


def make(cls=SparseMultiTaskClassifier, **params):
    defaults = {"n_components": 3, "linear": None, "max_iter": 20, "random_state": 0}
    return cls(**(defaults | params))


@pytest.fixture
def forced(monkeypatch):
    """A second training in any case, which is kept."""
    monkeypatch.setattr(_noise, "_EXPLAINED", 2.0)
    monkeypatch.setattr(_noise, "_MARGIN", -np.inf)


def full_alpha(est):
    # That of heads which are trained with the encoder is 0.
    return est.history_["alpha"].max()


def test_noisy_classes_are_trained_on_twice(capsys):
    rng = np.random.default_rng(1)
    X, Y = make_sparse_tasks(n_samples=300, n_tasks=8, n_factors=3, random_state=1)
    # Not linear in the inputs, so that a free encoder learns noise by heart.
    X = np.hstack([np.cbrt(X), rng.standard_normal((300, 4))])
    Y = (Y > 0) ^ (rng.random(Y.shape) < 0.2)
    est = make(verbose=1, n_components="auto", max_iter=30).fit(X[:100], Y[:100])
    assert "The labels may be noisy" in capsys.readouterr().out
    once = clone(est).set_params(alpha=PLAIN, verbose=0).fit(X[:100], Y[:100])
    assert full_alpha(est) == NOISY
    assert full_alpha(once) == PLAIN
    assert est.n_iter_ == len(est.history_["loss"])
    # New rows confirm the choice.
    losses = [
        np.mean(
            [
                log_loss(y, p)
                for y, p in zip(Y[100:].T, each.predict_proba(X[100:]), strict=True)
            ]
        )
        for each in (est, once)
    ]
    assert losses[0] < losses[1]


def test_clean_classes_are_trained_on_once():
    X, Y = table(0)
    X, Y = X[:120], Y[:120]
    est = make(max_iter=15).fit(X, Y)
    once = make(max_iter=15, alpha=PLAIN).fit(X, Y)
    np.testing.assert_array_equal(est.transform(X), once.transform(X))


@pytest.mark.parametrize(
    "params",
    [
        {"alpha": 0.003},
        {"encoder": MLP},
        {"early_stopping": False},
        {"rotation": None},
        {"cls": SparseMultiTaskRepresentation},
        {"cls": SparseMultiTaskMixed},
    ],
)
def test_others_are_trained_on_once(params, monkeypatch):
    def fail(*args):
        raise AssertionError

    monkeypatch.setattr(_noise, "TaskObjective", fail)
    X, Y = table(1)
    if params.get("cls"):
        Y = Y + np.random.default_rng(0).standard_normal(Y.shape)
    est = make(max_iter=5, **params).fit(X, Y)
    assert full_alpha(est) == est._alpha == params.get("alpha", est._alpha)


def test_a_second_training_that_predicts_no_better_is_undone(monkeypatch):
    X, Y = table(1)
    monkeypatch.setattr(_noise, "_MARGIN", 1.0)
    est = make().fit(X, Y)
    once = make(alpha=PLAIN).fit(X, Y)
    for name in est.history_:
        np.testing.assert_array_equal(est.history_[name], once.history_[name])
    assert est.n_iter_ == once.n_iter_
    np.testing.assert_array_equal(est.transform(X), once.transform(X))
    # What is random afterwards is the same, too.
    np.testing.assert_array_equal(est.stability_, once.stability_)


def test_a_penalty_learned_in_a_training_that_is_undone_is_too(monkeypatch):
    X, Y = table(1)
    monkeypatch.setattr(_noise, "_EXPLAINED", 2.0)
    monkeypatch.setattr(_noise, "_MARGIN", 1.0)
    learn = {"learn_alpha": True, "inner_fraction": 0.5}
    est, once = make(**learn).fit(X, Y), make(alpha=PLAIN, **learn).fit(X, Y)
    assert est.learned_alpha_ == once.learned_alpha_


class Diverge(Callback):
    """Weights of the second training become NaN."""

    def on_batch_begin(self, net, training=None, **kwargs):
        if training and net.criterion_.alpha == NOISY and net.n_steps_ == 5:
            for weight in net.module_.parameters():
                weight.data.fill_(np.nan)


def test_a_second_training_that_diverges_is_undone(monkeypatch):
    monkeypatch.setattr(_noise, "_EXPLAINED", 2.0)
    X, Y = table(1)
    est = make(callbacks=[Diverge()]).fit(X, Y)
    once = make(alpha=PLAIN).fit(X, Y)
    assert est.n_iter_ == once.n_iter_
    np.testing.assert_array_equal(est.transform(X), once.transform(X))


@pytest.mark.parametrize("side", [-1, 1])
def test_classes_may_be_noisy_below_half_of_the_loss(side, monkeypatch):
    X, Y = table(1)
    seen = {}

    def keep(self, valid):
        seen["valid"], seen["loss"] = valid, np.nanmin(self.history_["valid_loss"])
        return False

    with monkeypatch.context() as patch:
        patch.setattr(NoiseTraining, "_may_be_noisy", keep)
        make().fit(X[:100], Y[:100])
    inner, outer = (batch.y.astype(float) for batch in seen["valid"])
    p = np.broadcast_to(inner.mean(1, keepdims=True), outer.shape)
    constants = np.mean([log_loss(y, q) for y, q in zip(outer, p, strict=True)])
    explained = 1 - seen["loss"] / constants
    monkeypatch.setattr(_noise, "_EXPLAINED", explained + 1e-4 * side)
    monkeypatch.setattr(_noise, "_MARGIN", -np.inf)
    est = make().fit(X[:100], Y[:100])
    assert full_alpha(est) == (NOISY if side > 0 else PLAIN)


class StopAtOnce(Callback):
    """End every training after its first step."""

    def on_batch_end(self, net, training=None, **kwargs):
        if training:
            raise KeyboardInterrupt


def test_a_training_that_was_not_validated_is_no_reason_for_another():
    X, Y = table(1)
    est = make(callbacks=[StopAtOnce()]).fit(X, Y)
    assert est.n_iter_ == 1
    assert full_alpha(est) <= PLAIN


class PowerFailure(RuntimeError):
    pass


class Stop(Callback):
    """Fail in the second training."""

    def on_batch_begin(self, net, training=None, **kwargs):
        if training and net.criterion_.alpha == NOISY and net.n_steps_ == 22:
            raise PowerFailure


@pytest.mark.usefixtures("forced")
def test_an_interrupted_second_training_continues(tmp_path):
    X, Y = table(1)
    est = make(checkpoint=tmp_path, max_iter=30)
    with pytest.raises(PowerFailure):
        clone(est).set_params(callbacks=[Stop()]).fit(X, Y)
    est.fit(X, Y)
    whole = make(max_iter=30).fit(X, Y)
    np.testing.assert_array_equal(est.transform(X), whole.transform(X))
    np.testing.assert_array_equal(est.coef_, whole.coef_)


@pytest.mark.usefixtures("forced")
def test_an_interrupted_second_training_leaves_the_first():
    X, Y = table(1)
    est = make(callbacks=[Stop()], max_iter=30)
    with pytest.raises(PowerFailure) as caught:
        est.fit(X, Y)
    assert "a second training" in caught.value.__notes__[-1]
    once = make(max_iter=30, alpha=PLAIN).fit(X, Y)
    for name in est.history_:
        np.testing.assert_array_equal(est.history_[name], once.history_[name])
    # Without the rotation, which follows the training.
    weights = once.module_.representation.state_dict()
    for name, kept in est.module_.state_dict().items():
        assert torch.equal(kept, weights[name]), name
    assert est.adapt(X, Y)._alpha == PLAIN


def test_a_warm_start_goes_on_for_noisy_classes(forced, tmp_path, monkeypatch):
    X, Y = table(1)
    est = make(warm_start=True).fit(X, Y)
    assert full_alpha(est) == NOISY
    est.save_params(tmp_path / "weights")
    loaded = make(warm_start=True)
    loaded.load_params(tmp_path / "weights")

    def fail(*args):
        raise AssertionError

    with monkeypatch.context() as patch:
        patch.setattr(NoiseTraining, "_may_be_noisy", fail)
        for each in (est, loaded):
            each.fit(X, Y)
            assert full_alpha(each) == NOISY
    np.testing.assert_array_equal(est.transform(X), loaded.transform(X))
    monkeypatch.setattr(_noise, "_EXPLAINED", 0.0)
    est.set_params(warm_start=False).fit(X, Y)
    assert full_alpha(est) == PLAIN
