"""Interruptions of training: signals, callbacks, errors, NaN weights."""

import os
import signal
import threading

import numpy as np
import pytest
import torch
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback
from torch import nn

from sparsedis import (
    SparseMultiTaskClassifier,
    SparseMultiTaskEnsemble,
    SparseMultiTaskRepresentation,
)
from sparsedis.bilevel._interruption import watched_sigint
from sparsedis.datasets import make_sparse_tasks
from sparsedis.meta_learning import GroupLassoSVMMetaLearner
from sparsedis.model_selection import UDRSearch


@pytest.fixture(autouse=True)
def _python_handles_sigint():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def data():
    return make_sparse_tasks(60, 12, n_factors=3, random_state=0)


def send_sigint():
    os.kill(os.getpid(), signal.SIGINT)


def raise_interrupt():
    raise KeyboardInterrupt


def raise_full():
    raise OSError(28, "No space left on device")


class At(Callback):
    """Do something before a step."""

    def __init__(self, step, do):
        self.step, self.do = step, do

    def on_batch_begin(self, net, **kwargs):
        if net.n_steps_ == self.step:
            self.do()


class Failing(nn.Module):
    """An encoder that does something in its third step."""

    def __init__(self, do):
        super().__init__()
        self.do, self.n_calls = do, 0
        self.layer = nn.LazyLinear(3)

    def forward(self, x):
        self.n_calls += self.training
        if self.n_calls == 3:
            self.n_calls += 1
            self.do()
        return self.layer(x)


def make(cls=SparseMultiTaskRepresentation, **params):
    defaults = {"n_components": 3, "max_iter": 6, "random_state": 0}
    return cls(**defaults | {"early_stopping": False} | params)


def fit(est, X, Y, how):
    if how == "stream":
        return est.fit_stream((X, Y) for _ in range(100))
    return est.fit(X, Y > 0 if isinstance(est, SparseMultiTaskClassifier) else Y)


@pytest.mark.parametrize("how", ["table", "stream"])
@pytest.mark.parametrize(
    ("do", "error"), [(send_sigint, KeyboardInterrupt), (raise_full, OSError)]
)
def test_weights_so_far_are_kept(data, do, error, how):
    X, Y = data
    est = make(callbacks=[At(4, do)])
    with pytest.raises(error) as caught:
        fit(est, X, Y, how)
    note = "keeps the weights after step 4 of 6"
    assert any(note in line for line in caught.value.__notes__)
    assert est.n_iter_ == len(est.history_["loss"]) == 4
    assert np.isfinite(est.transform(X)).all()
    assert not hasattr(est, "coef_")
    # The same as those of a training that a callback stops there.
    stopped = make(callbacks=[At(4, raise_interrupt)], rotation=None, alpha=0.1)
    cut = make(callbacks=[At(4, do)], rotation=None, alpha=0.1)
    with pytest.raises(error):
        fit(cut, X, Y, how)
    fit(stopped, X, Y, how)
    np.testing.assert_array_equal(cut.transform(X), stopped.transform(X))


class Epochs(Callback):
    """Count the epochs, and wish to stop after some."""

    def __init__(self, last=None):
        self.last, self.n_epochs = last, 0

    def on_epoch_end(self, net, **kwargs):
        self.n_epochs += 1
        if self.n_epochs == self.last:
            raise_interrupt()


def test_all_callbacks_see_the_last_epoch(data):
    callbacks = [Epochs(last=2), Epochs(last=2), Epochs()]
    est = make(callbacks=callbacks, rotation=None, alpha=0.1, max_iter=80)
    assert est.fit(*data).n_iter_ == 40
    assert [callback.n_epochs for callback in callbacks] == [2, 2, 2]
    # Early stopping, which comes first, keeps nothing from them.
    late = Epochs()
    est.set_params(callbacks=[late], early_stopping=True, n_iter_no_change=1)
    noise = np.random.default_rng(0).standard_normal(data[1].shape)
    assert est.fit(data[0], noise).n_iter_ < 80
    assert late.n_epochs == np.isfinite(est.history_["valid_loss"]).sum()


def test_before_the_first_step_the_earlier_fit_stands(data):
    X, Y = data
    est = make(rotation=None, alpha=0.1).fit(X, Y)
    before = est.predict(X)
    est.set_params(callbacks=[At(0, send_sigint)])
    with pytest.raises(KeyboardInterrupt):
        est.fit(X, Y)
    np.testing.assert_array_equal(est.predict(X), before)


@pytest.mark.parametrize("do", [send_sigint, raise_interrupt])
@pytest.mark.parametrize(
    "cls", [SparseMultiTaskRepresentation, SparseMultiTaskClassifier]
)
def test_interruptions_of_the_encoder_are_no_wish_to_stop(data, cls, do):
    est = make(cls, encoder=lambda *_: Failing(do))
    with pytest.raises(KeyboardInterrupt):
        fit(est, *data, "table")
    assert est.n_iter_ == 2


def test_searches_stop(data):
    X, Y = data
    fits = []

    class Count(Callback):
        def on_train_begin(self, net, **kwargs):
            fits.append(net)

    est = make(callbacks=[Count(), At(1, send_sigint)])
    with pytest.raises(KeyboardInterrupt):
        GridSearchCV(est, {"max_iter": [2, 3]}, cv=2).fit(X, Y)
    assert len(fits) == 1


class AtOfAll(Callback):
    """Fail at a step of all trainings together."""

    n_steps, at = 0, None

    def on_batch_end(self, net, training=None, **kwargs):
        AtOfAll.n_steps += bool(training)
        if training and AtOfAll.n_steps == AtOfAll.at:
            raise_full()


def episodes():
    rng = np.random.default_rng(0)
    return rng.standard_normal((80, 5)).astype(np.float32), np.arange(80) % 8


def make_learner(**params):
    size = {"n_ways": 3, "n_shots": 2, "n_queries": 3, "max_iter": 6}
    return GroupLassoSVMMetaLearner("mlp", random_state=0, **size | params)


@pytest.mark.parametrize("do", [send_sigint, raise_full])
def test_meta_learner_keeps_its_weights(do, tmp_path):
    X, y = episodes()
    est = make_learner(callbacks=[At(4, do)], learn_l2=True)
    with pytest.raises((KeyboardInterrupt, OSError)) as caught:
        est.fit(X, y)
    name = "GroupLassoSVMMetaLearner"
    assert caught.value.__notes__ == [f"{name} keeps the weights after step 4 of 6."]
    assert est.n_iter_ == 4
    assert np.isfinite(est.transform(X)).all()
    assert float(est.head_.penalty("l2")) == est.l2_ != 1.0
    # The state is saved after 20 steps, and not before.
    est.set_params(checkpoint=tmp_path)
    with pytest.raises((KeyboardInterrupt, OSError)) as caught:
        est.fit(X, y)
    assert "continues" not in caught.value.__notes__[0]
    est.set_params(max_iter=23, callbacks=[At(21, do)])
    with pytest.raises((KeyboardInterrupt, OSError)) as caught:
        est.fit(X, y)
    (saved,) = tmp_path.iterdir()
    assert f"The same fit continues from {saved}." in caught.value.__notes__[0]


@pytest.mark.parametrize(
    "several",
    [
        lambda est: SparseMultiTaskEnsemble(est, 2, random_state=0),
        lambda est: UDRSearch(
            est, {"lr": [0.01]}, n_seeds=2, error_score="raise", random_state=0
        ),
    ],
)
def test_several_models_continue_from_checkpoints(data, several, tmp_path):
    X, Y = data
    # A callback that is copied with the estimator counts the steps of all models.
    est = make(callbacks=[AtOfAll()], checkpoint=tmp_path, rotation=None, alpha=0.1)
    AtOfAll.n_steps, AtOfAll.at = 0, 9
    with pytest.raises(OSError, match="No space left") as caught:
        several(est).fit(X, Y)
    assert "keeps no models of a fit that ends so" in caught.value.__notes__[-1]
    AtOfAll.n_steps, AtOfAll.at = 0, None
    again = several(est).fit(X, Y)
    assert AtOfAll.n_steps == 6
    whole = several(est.set_params(checkpoint=None)).fit(X, Y)
    np.testing.assert_array_equal(again.predict(X), whole.predict(X))


def test_last_step_of_a_meta_learner_may_not_leave_nan():
    X, y = episodes()
    est = make_learner(max_iter=1, lr=1e38)
    with pytest.raises(ValueError, match="features are NaN or infinite at step 1"):
        est.fit(X, y)
    assert np.isfinite(est.transform(X)).all()
    assert est.n_iter_ == len(est.history_["loss"]) == 1


class Broken(nn.Module):
    """An encoder that fails where it is not trained."""

    def __init__(self, n_in):
        super().__init__()
        self.layer = nn.Linear(n_in, 3)

    def forward(self, x):
        if not self.training:
            raise ValueError("no evaluation today")
        return self.layer(x)


def test_errors_of_an_encoder_in_validation_are_not_taken_for_nan():
    X, y = episodes()
    est = make_learner(validation_classes=0.5, validation_every=2)
    est.set_params(encoder=Broken(5), n_components=3)
    with pytest.raises(ValueError, match="no evaluation today"):
        est.fit(X, y)


def test_learned_penalties_are_those_of_the_weights_that_stand(data):
    X, Y = data
    found = []

    class Watch(Callback):
        def on_batch_begin(self, net, **kwargs):
            found.append(net.criterion_.penalty())

    params = {"rotation": None, "learn_alpha": True, "inner_fraction": 0.5}
    est = make(alpha=0.2, callbacks=[Watch(), At(4, raise_full)], **params)
    with pytest.raises(OSError, match="No space"):
        est.fit(X, Y)
    assert est.learned_alpha_ == found[4] != found[0]


@pytest.mark.filterwarnings("ignore:.* may not be factors:UserWarning")
@pytest.mark.filterwarnings("ignore:(A separate Ridge|No head uses):UserWarning")
def test_last_step_may_not_leave_nan(data):
    X, Y = data
    est = make(optimizer=torch.optim.SGD, lr=1e-3).fit(X, Y)
    est.set_params(max_iter=1, lr=1e38)
    with pytest.raises(ValueError, match="features are NaN or infinite at step 1"):
        est.fit(X, Y)
    assert np.isfinite(est.transform(X)).all()
    # Nothing of the earlier fit stands beside these weights.
    assert est.n_iter_ == len(est.history_["loss"]) == 1
    assert not hasattr(est, "coef_")


@pytest.mark.parametrize("factor", [1e-300, 1e-25, 1e30, 1e39, 1e300])
@pytest.mark.parametrize("how", ["table", "stream", "second batch", "episodes"])
def test_inputs_that_float32_cannot_square_are_refused(data, how, factor):
    X, Y = data
    est = make()
    message = r"values up to .* in magnitude.*Scale the inputs"
    if how == "episodes":
        est = GroupLassoSVMMetaLearner(encoder="mlp", n_ways=3, n_shots=2, n_queries=3)
        with pytest.raises(ValueError, match=message):
            est.fit(factor * X, np.arange(60) % 6)
    elif how == "table":
        with pytest.raises(ValueError, match=message):
            est.fit(factor * X, Y)
    else:
        batches = [(X, Y)] * (how == "second batch") + [(factor * X, Y)] * 6
        with pytest.raises(ValueError, match=message):
            est.fit_stream(batches)
    assert hasattr(est, "module_") == (how == "second batch")


@pytest.mark.filterwarnings("ignore:.* may not be factors:UserWarning")
def test_nan_in_a_later_batch_does_no_harm(data):
    X, Y = data
    gone = np.where(X > 2, np.nan, X)
    est = make(max_iter=20)
    with pytest.raises(ValueError, match="X contains NaN, in column") as error:
        est.fit_stream([(X, Y)] * 3 + [(gone, Y)])
    assert "In batch 3 of source, counted from 0." in error.value.__notes__[0]
    assert est.n_iter_ == 3
    assert np.isfinite(est.transform(X)).all()


def test_signals_reach_the_handler_that_was_there():
    got = []
    signal.signal(signal.SIGINT, lambda *args: got.append(args))
    ours = signal.getsignal(signal.SIGINT)
    with watched_sigint() as sigint:
        assert not sigint.seen
        send_sigint()
        assert sigint.seen
    assert len(got) == 1
    assert signal.getsignal(signal.SIGINT) is ours


def test_other_threads_have_no_signals(data):
    X, Y = data
    est, other = (make(rotation=None, alpha=0.1) for _ in range(2))
    thread = threading.Thread(target=est.fit, args=data)
    thread.start()
    thread.join()
    np.testing.assert_array_equal(est.transform(X), other.fit(X, Y).transform(X))


class Growing(nn.Linear):
    """An encoder with a buffer that grows, and state that is no tensor."""

    def __init__(self, n_in, n_out):
        super().__init__(n_in, n_out)
        self.register_buffer("seen", torch.zeros(0))

    def get_extra_state(self):
        return np.arange(3)

    def set_extra_state(self, state):
        pass

    def forward(self, x):
        if self.training:
            self.seen = torch.zeros(len(self.seen) + 1)
        return super().forward(x)


def test_weights_are_noted_whatever_stands_beside_them(data):
    est = make(encoder=lambda shape, k: Growing(*shape, k), rotation=None, alpha=0.1)
    assert len(est.fit(*data).module_.encoder.seen) == est.n_iter_ == 6
