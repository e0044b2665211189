"""Training on episodes."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch import nn

from sparsedis.heads import GroupLassoSVMHead
from sparsedis.meta_learning._learned_head import LearnedHead
from tests.meta_learning._learners import Huge, identity, quick


def test_errors_of_the_encoder_in_validation_are_its_own(data):
    class Broken(nn.Linear):
        def forward(self, x):
            # It is first tried on two inputs.
            if not self.training and len(x) > 2:
                raise ValueError("of its own")
            return super().forward(x)

    est = quick(
        encoder=lambda shape, k: Broken(*shape, k),
        validation_classes=0.5,
        validation_every=1,
    )
    with pytest.raises(ValueError, match=r"^of its own$"):
        est.fit(*data)


class Counter(nn.Linear):
    """Counts the rows that it is given."""

    rows: list

    def forward(self, rows):
        self.rows.append(len(rows))
        return super().forward(rows)


def test_each_distinct_row_of_a_step_is_encoded_once(data):
    X, y = data
    Counter.rows = []
    # Every episode takes all the samples.
    few = np.arange(36)
    quick(
        encoder=lambda shape, k: Counter(10, 6),
        n_shots=5,
        n_queries=7,
        episodes_per_batch=50,
        max_iter=4,
    ).fit(X[few], y[few])
    # The first call tries the encoder, the last one takes the statistics.
    assert Counter.rows == [2, *[36] * 5]


def test_train_shots_are_used_in_training_only(data):
    Counter.rows = []
    est = quick(
        encoder=lambda shape, k: Counter(10, 6),
        train_shots=6,
        n_shots=1,
        episodes_per_batch=1,
        max_iter=2,
    ).fit(*data)
    # 3 classes, of 6 shots and 3 queries each. Later calls take the statistics.
    assert Counter.rows[1:3] == [27, 27]
    as_chosen = est.evaluate(*data, n_episodes=20).accuracies
    one, six = (
        est.evaluate(*data, n_episodes=20, n_shots=n).accuracies for n in (1, 6)
    )
    np.testing.assert_array_equal(as_chosen, one)
    assert (as_chosen != six).any()


def test_alpha_warms_up(data):
    # Steps that move nothing, so that a step's loss depends on its alpha only.
    how = {"max_iter": 6, "optimizer": "sgd", "lr": 1e-12, "learn_l2": True}
    warm = identity(alpha=0.5, alpha_warmup=0.5, **how).fit(*data)
    for step, ramp in enumerate([1 / 3, 2 / 3, 1.0, 1.0]):
        fixed = identity(alpha=0.5 * ramp, alpha_warmup=0.0, **how).fit(*data)
        for name in ("loss", "active"):
            found, expected = (e.history_[name][step] for e in (warm, fixed))
            np.testing.assert_allclose(found, expected, rtol=1e-5, err_msg=f"{step}")


@pytest.mark.parametrize("ramp", [0.0, 0.3, 1.0])
def test_the_ramp_is_a_factor_of_alpha(data, ramp):
    Z = torch.from_numpy(data[0][:36])[None]
    y = torch.arange(3).repeat_interleave(12)[None]
    W, _ = LearnedHead(GroupLassoSVMHead(), 0.4, 1.0, relative=True).fit(Z, y, 3, ramp)
    same, _ = LearnedHead(GroupLassoSVMHead(), 0.4 * ramp, 1.0, relative=True).fit(
        Z, y, 3
    )
    torch.testing.assert_close(W, same)


@pytest.mark.parametrize("validation_classes", [0.25, ["c03", "c00", "c07"]])
def test_validation_classes_are_held_out(data, validation_classes):
    X, y = data
    est = quick(
        max_iter=8,
        episodes_per_batch=1,
        validation_classes=validation_classes,
        validation_every=3,
        validation_episodes=10,
    ).fit(X, y)
    assert set(est.classes_) | set(est.validation_classes_) == set(y)
    assert not set(est.classes_) & set(est.validation_classes_)
    assert len(est.validation_classes_) == (4 if validation_classes == 0.25 else 3)
    history = est.validation_history_
    np.testing.assert_array_equal(history["step"], [3, 6, 8])
    best = history["step"][np.argmax(history["accuracy"])]
    assert est.best_iter_ == best
    # Nothing is learned from their samples.
    other = X.copy()
    other[np.isin(y, est.validation_classes_)] *= -1
    again = clone(est).fit(other, y)
    np.testing.assert_array_equal(again.history_["loss"], est.history_["loss"])


def test_the_best_weights_are_kept(data):
    how = {
        "lr": 0.3,
        "lr_schedule": "constant",
        "alpha_warmup": 0.0,
        "validation_classes": 0.25,
        "validation_every": 2,
        "validation_episodes": 10,
    }
    est = quick(max_iter=15, **how).fit(*data)
    history = est.validation_history_
    np.testing.assert_array_equal(history["step"], [2, 4, 6, 8, 10, 12, 14, 15])
    assert est.best_iter_ == history["step"][np.argmax(history["accuracy"])]
    assert est.best_iter_ < est.n_iter_ == 15
    # The weights are those of a training that ends there.
    short = quick(max_iter=int(est.best_iter_), **how).fit(*data)
    assert short.best_iter_ == short.n_iter_ == est.best_iter_
    for one, other in zip(
        est.module_.parameters(), short.module_.parameters(), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    np.testing.assert_array_equal(est.transform(data[0]), short.transform(data[0]))


@pytest.mark.parametrize("validation_classes", [None, 0.25])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_training_that_fails_keeps_the_last_good_weights(
    data, optimizer, validation_classes
):
    X, y = data
    est = quick(
        lr=1e30,
        optimizer=optimizer,
        max_iter=20,
        validation_classes=validation_classes,
        validation_every=1,
    )
    with pytest.raises(ValueError, match=r"at step \d+: lower lr .* keeps the weights"):
        est.fit(X, y)
    assert np.isfinite(est.history_["loss"]).all()
    assert est.best_iter_ == est.n_iter_ < 20
    assert np.isfinite(est.transform(X)).all()
    assert np.isfinite(est.adapt(X[:36], y[:36]).coef_).all()


def test_training_that_fails_at_once_leaves_nothing(data):
    est = quick(normalization=None, encoder=Huge)
    with pytest.raises(ValueError, match="No weights have given a finite loss yet"):
        est.fit(*data)
    assert not hasattr(est, "module_")


def test_an_encoder_that_no_head_uses_is_reported(data):
    with pytest.warns(UserWarning, match=r"No head used a feature .* lower alpha"):
        est = quick(alpha=1.0, alpha_warmup=0.0).fit(*data)
    with pytest.warns(UserWarning, match=r"The head uses no feature, .* lower alpha"):
        clf = est.adapt(data[0][:36], data[1][:36])
    np.testing.assert_allclose(clf.predict_proba(data[0]), 1 / 3, rtol=1e-6)


def test_schedules_and_optimisers(data):
    X, y = data
    rates = {}
    for schedule in ("step", "cosine", "constant"):
        seen = rates[schedule] = []

        def optimizer(parameters, lr, seen=seen):
            made = torch.optim.SGD(parameters, lr=lr)
            made.register_step_pre_hook(
                lambda made, *_, seen=seen: seen.append(made.param_groups[0]["lr"])
            )
            return made

        quick(optimizer=optimizer, lr_schedule=schedule, max_iter=6, lr=0.1).fit(X, y)
    factor = [1, 1, 0.06, 0.06, 0.012, 0.0024]
    np.testing.assert_allclose(rates["step"], 0.1 * np.array(factor))
    cosine = 0.05 * (1 + np.cos(np.pi * np.arange(6) / 6))
    np.testing.assert_allclose(rates["cosine"], cosine)
    np.testing.assert_allclose(rates["constant"], 0.1)


def test_weight_decay_spares_the_scale(data):
    X, y = data
    for optimizer in ("sgd", "adam"):
        decayed, free = (
            quick(optimizer=optimizer, weight_decay=decay, lr=1e-3, max_iter=1).fit(
                X, y
            )
            for decay in (10.0, 0.0)
        )
        torch.testing.assert_close(
            decayed.head_.log_scale, free.head_.log_scale, rtol=0, atol=0
        )
        weights = (est.module_.encoder[1].weight for est in (decayed, free))
        assert not torch.equal(*weights)


@pytest.mark.parametrize("encoder", ["conv4", "resnet12", nn.Flatten()])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_images(encoder, dtype):
    rng = np.random.RandomState(0)
    X = rng.randint(0, 256, size=(12, 16, 17, 1)).astype(dtype)
    y = np.repeat([0, 1], 6)
    est = quick(
        encoder=encoder,
        n_components=None,
        n_ways=2,
        max_iter=2,
        crop_padding=2,
        horizontal_flip=True,
    ).fit(X, y)
    Z = est.transform(X)
    assert Z.dtype == np.float32
    assert Z.shape == (12, est.n_components_)
    np.testing.assert_allclose(est.transform(X[5:8]), Z[5:8], rtol=1e-4, atol=1e-5)
    # Two classes of 2 shots and 3 queries each.
    accuracies = est.evaluate(X, y, n_episodes=3).accuracies
    np.testing.assert_allclose(accuracies * 6 % 1, 0, atol=1e-9)
    with pytest.raises(ValueError, match=r"shape \(16, 17, 1\), as in fit"):
        est.transform(X[:, :, :15])


def test_the_users_module_is_left_alone(data):
    module = nn.Linear(10, 6)
    before = module.weight.detach().clone()
    est = quick(encoder=module, lr=0.1).fit(*data)
    torch.testing.assert_close(module.weight, before)
    assert not torch.equal(est.module_.encoder.weight, before)


@pytest.mark.parametrize("normalization", ["batch", "layer", None])
def test_dead_features_give_no_nan(data, normalization):
    X, y = data
    encoder = nn.Sequential(nn.Linear(10, 6), nn.ReLU())
    with torch.no_grad():
        encoder[0].weight[:] = torch.eye(6, 10)
        encoder[0].weight[:2] = 0
        encoder[0].bias[:] = torch.tensor([-1.0, -1.0, 1.0, 1.0, 1.0, 1.0])
    est = quick(encoder=encoder, normalization=normalization).fit(X, y)
    assert np.isfinite(est.history_["loss"]).all()
    assert np.isfinite(est.transform(X)).all()
    assert np.isfinite(est.adapt(X[:36], y[:36]).coef_).all()


def test_normalisation_by_encoder(data):
    images = np.random.RandomState(0).randint(256, size=(12, 16, 16, 1), dtype=np.uint8)
    small = {"n_ways": 2, "max_iter": 1, "n_components": None}
    for encoder, (X, y), kind in (
        ("conv4", (images, np.repeat([0, 1], 6)), nn.Identity),
        ("identity", data, nn.BatchNorm1d),
        (nn.Linear(10, 6), data, nn.BatchNorm1d),
    ):
        est = quick(encoder=encoder, **small).fit(X, y)
        assert type(est.module_.normalization) is kind


def test_statistics_are_those_of_the_training_classes(data):
    X, y = data
    est = identity(normalization="batch", validation_classes=["c00", "c01", "c02"])
    Z = est.fit(X, y).transform(X[36:])
    np.testing.assert_allclose(Z.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(Z.std(0), 1, atol=1e-3)
