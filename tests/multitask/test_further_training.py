"""Further training on classes with fewer features and kept heads."""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch.callbacks import Callback

from sparsedis import SparseMultiTaskClassifier, SparseMultiTaskMixed
from sparsedis.datasets import make_sparse_tasks
from sparsedis.metrics import linear_r_score
from sparsedis.multitask import _further_training
from sparsedis.multitask._directions import Directions
from sparsedis.multitask._further_training import FurtherTraining
from sparsedis.rotation import _stages

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
    first, spare, anew, last = Watch.seen
    assert first[:3] == (32, 40, "TaskObjective")
    assert spare[:3] == (6, 30, "KeptHeads")
    assert anew[:4] == (3, 40, "Directions", [(0.004, 3.0)])
    assert last[:3] == (3, 30, "KeptHeads")
    assert [seen[-1] for seen in Watch.seen] == [60, 150, 60, 150]
    for (*_, groups, _), decay in ((spare, 10.0), (last, 3.0)):
        # Those of W, of the intercepts and of the encoder.
        assert groups == [(0.01, 0.0), (0.01, 0.0), (0.002, pytest.approx(decay))]
    assert est.n_components_ == 3


@pytest.mark.parametrize(
    "params", [{"n_components": 5}, {"rotation": None, "n_components": 5}]
)
def test_a_given_number_of_features_is_trained_once(data, params):
    fit(data, **params)
    assert len(Watch.seen) == 1


def test_weight_decay_of_the_user_grows_with_spare_features(data):
    fit(data, weight_decay=0.3)
    decays = [seen[3][-1][1] for seen in Watch.seen]
    assert decays == pytest.approx([0.3, 1.0, 0.3, 0.3])


@pytest.mark.parametrize("three", [False, True])
def test_mixed_tasks_of_classes_alone(data, three):
    y = np.where(data.target > 0, "b", "a").astype(object)
    if three:
        bounds = np.quantile(data.target[:, 0], [1 / 3, 2 / 3])
        y[:, 0] = np.array(["a", "b", "c"])[np.digitize(data.target[:, 0], bounds)]
    est = fit(data, SparseMultiTaskMixed, y)
    assert len(Watch.seen) == 4
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


class PowerFailure(RuntimeError):
    pass


class Fail(Callback):
    """Fail in one of several trainings."""

    def __init__(self, training, how):
        self.training, self.how, self.n_trainings_ = training, how, 0

    def on_train_begin(self, net, **kwargs):
        self.n_trainings_ += 1

    def on_batch_begin(self, net, training=None, **kwargs):
        if training and net.n_steps_ == 5 and self.n_trainings_ == self.training:
            self.how(net)


def fail(net):
    raise PowerFailure


def diverge(net):
    for weight in net.module_.parameters():
        weight.data.fill_(np.nan)


@pytest.mark.parametrize("training", [2, 3, 4])
def test_an_error_leaves_the_complete_training_before(data, training, monkeypatch):
    est = SparseMultiTaskClassifier(
        max_iter=40, random_state=0, callbacks=[Fail(training, fail)]
    )
    with pytest.raises(PowerFailure) as caught:
        est.fit(data.data, data.target > 0)
    assert "further training" in caught.value.__notes__[-1]
    train, rounds = FurtherTraining._train_narrow, []

    def once(self, *args, **how):
        rounds.append(args)
        # The last round has two trainings.
        if len(rounds) < min(training, 3) - 1:
            train(self, *args, **how)

    monkeypatch.setattr(FurtherTraining, "_train_narrow", once)
    before = clone(est).set_params(callbacks=None).fit(data.data, data.target > 0)
    assert est.n_iter_ == before.n_iter_ == len(est.history_["loss"])
    for name in before.history_:
        np.testing.assert_array_equal(est.history_[name], before.history_[name])
    # Without the rotation, which follows the training.
    weights = before.module_.representation.state_dict()
    assert est.n_components_ == est.module_.n_components
    for name, kept in est.module_.state_dict().items():
        assert torch.equal(kept, weights[name]), name


@pytest.mark.parametrize("training", [2, 3, 4])
def test_a_further_training_that_diverges_is_undone(data, training):
    callbacks = [Watch(), Fail(training, diverge)]
    est = SparseMultiTaskClassifier(max_iter=40, random_state=0, callbacks=callbacks)
    with pytest.warns(UserWarning, match="without further training.*lower lr"):
        est.fit(data.data, data.target > 0)
    assert est.n_iter_ == len(est.history_["loss"]) == 40 + 30 * (training > 2)
    assert np.isfinite(est.predict_proba(data.data)).all()


def test_optimizers_may_lack_options_of_some_weights(data):
    est = fit(data, optimizer=torch.optim.LBFGS, lr=0.1, max_iter=4)
    assert [len(seen[3]) for seen in Watch.seen] == [1, 1, 1, 1]
    assert np.isfinite(est.history_["loss"]).all()


def test_heads_that_are_trained_have_no_penalty(data):
    est = fit(data)
    alpha = est.history_["alpha"]
    assert (alpha[:40] > 0).all()
    np.testing.assert_array_equal(alpha[40:], np.zeros(60))


@pytest.mark.parametrize("empty", [False, True])
def test_numbers_that_teach_nothing_do_not_matter(data, empty):
    y = (data.target > 0).astype(object)
    expected = fit(data, SparseMultiTaskMixed, y).transform(data.data)
    y = np.column_stack([y, np.full(len(y), np.nan) if empty else data.data[:, 0]])
    est = SparseMultiTaskMixed(linear=None, max_iter=40, random_state=0, batch_size=60)
    how = {} if empty else {"task_weight": {40: 0}}
    with pytest.warns(UserWarning, match="no label") if empty else nullcontext():
        est.fit(data.data, y, **how)
    np.testing.assert_allclose(est.transform(data.data), expected, atol=1e-6)


def lazy_encoder(input_shape, n_components):
    return torch.nn.Sequential(
        torch.nn.LazyLinear(16), torch.nn.ReLU(), torch.nn.LazyLinear(n_components)
    )


def test_lazy_encoders(data):
    est = fit(data, encoder=lazy_encoder)
    assert [seen[0] for seen in Watch.seen[1:]] == [6, 3, 3]
    assert est.transform(data.data).shape == (300, 3)


def test_weights_that_are_new_bend_the_factors_less(monkeypatch):
    rng = np.random.default_rng(0)
    # Correlated factors: along their sum rows lie far from the boundaries.
    factors = rng.standard_normal((600, 4)) + 3 * rng.standard_normal((600, 1))
    X = factors @ rng.standard_normal((4, 8)) / 6
    X += 0.3 * np.sin(X)
    coef = rng.standard_normal((4, 60)) * (rng.random((4, 60)) < 0.5)
    y = factors @ coef + 1e-3 * rng.standard_normal((600, 60)) > 0
    r = []
    for largest in (0.0, 0.2):
        monkeypatch.setattr(_further_training, "_SPREAD", largest)
        est = SparseMultiTaskClassifier(linear=None, max_iter=200, random_state=0)
        r.append(linear_r_score(factors, est.fit(X, y).transform(X)))
    assert 1 - r[1] < 0.6 * (1 - r[0])


def test_boundaries_that_do_not_meet_leave_the_trained_weights(data):
    rng = np.random.default_rng(0)
    share = rng.choice([0.05, 0.95], data.target.shape[1])
    bounds = [np.quantile(*at) for at in zip(data.target.T, share, strict=True)]
    fit(data, y=data.target > bounds)
    assert "Directions" not in [seen[2] for seen in Watch.seen]


def test_callbacks_see_the_loss_on_held_out_rows(data):
    losses = []

    class See(Callback):
        def on_epoch_end(self, net, **kwargs):
            if isinstance(net.criterion_, Directions):
                losses.append(net.history[-1, "valid_loss"])

    est = SparseMultiTaskClassifier(
        callbacks=[See()], linear=None, max_iter=40, random_state=0
    )
    est.fit(data.data, data.target > 0)
    assert 0 < losses[-1] < losses[0] < 2


def test_the_features_of_the_last_round_stand(data, monkeypatch):
    count_in = _stages.count_in

    def one_fewer(moments):
        moments, count = count_in(moments)
        return moments, replace(count, n_factors=count.n_factors - 1)

    monkeypatch.setattr(_stages, "count_in", one_fewer)
    est = fit(data)
    assert est.n_components_ == est.count_.n_factors == 3
