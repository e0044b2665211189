"""The meta-learner: what it learns, what it returns, what it refuses."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import config_context
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import LabelBinarizer, StandardScaler
from sklearn.svm import LinearSVC
from torch import nn

from sparsedis import GroupLassoSVMMetaLearner
from sparsedis.episodes import EpisodeSampler
from sparsedis.heads import GroupLassoSVMHead
from sparsedis.meta_learning import FewShotClassifier, _evaluation
from sparsedis.meta_learning._learned_head import LearnedHead
from sparsedis.svm import GroupLassoSVC

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
HEADS = ["group_lasso_svm", "logistic", "ridge", "prototypes"]


@pytest.fixture(scope="module")
def data():
    """Classes that two of ten features tell apart, the others being noise."""
    rng = np.random.RandomState(0)
    y = np.repeat([f"c{i:02d}" for i in range(16)], 12)
    centres = 4 * rng.normal(size=(16, 2))
    X = 3 * rng.normal(size=(len(y), 10))
    X[:, :2] = np.repeat(centres, 12, axis=0) + 0.1 * X[:, :2]
    return X @ rng.normal(size=(10, 10)), y


class Huge(nn.Linear):
    """An encoder whose features have squares beyond float32."""

    def __init__(self, input_shape, n_components):
        super().__init__(*input_shape, n_components)

    def forward(self, rows):
        return 1e36 * super().forward(rows)


def quick(**params):
    defaults = {
        "encoder": "mlp",
        "n_components": 6,
        "n_ways": 3,
        "n_shots": 2,
        "n_queries": 3,
        "episodes_per_batch": 3,
        "max_iter": 5,
        "optimizer": "adam",
        "lr": 1e-2,
        "random_state": 0,
    }
    return GroupLassoSVMMetaLearner(**(defaults | params))


@pytest.fixture(scope="module")
def fitted(data):
    return quick(max_iter=40).fit(*data)


def identity(**params):
    return quick(
        **(
            {"encoder": "identity", "n_components": None, "normalization": None}
            | params
        )
    )


# What it learns


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("head", HEADS)
def test_meta_training_helps_on_unseen_classes(data, head, device):
    X, y = data
    base = y < "c10"
    options = {"head": head, "alpha": 0.05, "n_shots": 1, "device": device}
    size = {"n_episodes": 200, "n_queries": 5}
    raw = identity(**options).fit(X[base], y[base])
    meta = quick(
        encoder=lambda shape, k: nn.Linear(*shape, k),
        train_shots=5,
        n_queries=6,
        max_iter=50,
        lr=0.05,
        **options,
    ).fit(X[base], y[base])
    untrained = raw.evaluate(X[~base], y[~base], **size)
    trained = meta.evaluate(X[~base], y[~base], **size)
    assert raw.n_iter_ == 0
    assert meta.n_iter_ == 50
    gain = trained.accuracy - untrained.accuracy
    assert gain > trained.confidence_interval + untrained.confidence_interval


def test_a_larger_alpha_uses_fewer_features(data):
    shares = [
        identity(alpha=alpha).fit(*data).evaluate(*data, n_episodes=50).active_share
        for alpha in (0.0, 0.1, 0.5, 1.0)
    ]
    assert shares[0] == 1
    assert sorted(shares, reverse=True) == shares
    assert shares[-1] == 0


def test_penalties_can_be_learned(data):
    X, y = data
    start = {"alpha": 0.2, "l2": 2.0}
    how = {"max_iter": 1, "optimizer": "sgd", "lr": 0.1, "alpha_warmup": 0.0}
    how |= {"learn_alpha": True, "learn_l2": True}
    est = identity(**how | start).fit(X, y)
    for name, value in start.items():
        # The loss before the first step, on the same episodes.
        losses = [
            identity(**how | start | {name: value * np.exp(step)})
            .fit(X, y)
            .history_["loss"][0]
            for step in (-0.02, 0.02)
        ]
        slope = (losses[1] - losses[0]) / 0.04
        assert abs(slope) > 1e-3
        # The first step of SGD with Nesterov's momentum, in the logarithm.
        moved = np.log(getattr(est, f"{name}_") / value)
        np.testing.assert_allclose(moved, -0.1 * 1.9 * slope, rtol=0.05)
    fixed = quick(alpha=0.2, l2=2.0).fit(X, y)
    assert (fixed.alpha_, fixed.l2_) == (0.2, 2.0)


def test_penalties_are_learned_on_fixed_features(data):
    X, y = data
    est = identity(learn_alpha=True, max_iter=30, lr=0.05).fit(X, y)
    assert est.n_iter_ == 30
    np.testing.assert_allclose(est.transform(X), X)
    assert est.history_["loss"][-15:].mean() < est.history_["loss"][:15].mean()


# Heads on raw inputs


@pytest.mark.parametrize("labels", ["abcd", [7, -2, 5, 0], [True, False]])
def test_adapt_takes_any_labels_and_unequal_shots(data, labels):
    X, y = data
    support = np.concatenate([np.arange(3 + c) + 12 * c for c in range(len(labels))])
    names = np.array(list(labels))[support // 12]
    clf = identity(alpha=0.0, l2=0.5).fit(X, y).adapt(X[support], names)
    assert isinstance(clf, FewShotClassifier)
    np.testing.assert_array_equal(clf.classes_, np.unique(names))
    prediction = clf.predict(X[: 12 * len(labels)])
    assert prediction.dtype == names.dtype
    if len(labels) > 2:
        reference = LinearSVC(
            multi_class="crammer_singer",
            fit_intercept=False,
            C=2.0,
            tol=1e-10,
            max_iter=1_000_000,
        ).fit(X[support], names)
        np.testing.assert_allclose(clf.coef_, reference.coef_, atol=1e-4)
        np.testing.assert_array_equal(
            prediction, reference.predict(X[: 12 * len(labels)])
        )


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


def test_numbers_in_objects_are_numbers(data):
    X, y = data[0], np.unique(data[1], return_inverse=True)[1]
    boxed = y.astype(object)
    est = quick().fit(X, boxed)
    assert est.classes_.dtype == y.dtype
    np.testing.assert_array_equal(est.transform(X), quick().fit(X, y).transform(X))
    clf = est.adapt(X, boxed)
    assert clf.score(X, boxed) == clf.score(X, y)
    one, other = (est.evaluate(X, labels, n_episodes=3) for labels in (boxed, y))
    assert one.accuracy == other.accuracy


@pytest.mark.parametrize("gap", [None, np.nan])
def test_labels_may_not_be_missing(data, fitted, gap):
    X, y = data
    for labels in (y, np.unique(y, return_inverse=True)[1]):
        labels = labels.astype(object)
        labels[3] = gap
        for use in (quick().fit, fitted.evaluate, fitted.adapt, GroupLassoSVC().fit):
            with pytest.raises(ValueError, match=r"1 of .* missing|contains NaN"):
                use(X, labels)


def test_adapt_with_other_heads(data):
    X, y = data
    ridge = identity(head="ridge", l2=0.5).fit(X, y).adapt(X[:48], y[:48])
    one_hot = LabelBinarizer().fit_transform(y[:48])
    reference = Ridge(alpha=0.5, fit_intercept=False).fit(X[:48], one_hot)
    np.testing.assert_allclose(ridge.coef_, reference.coef_, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(ridge.intercept_, np.zeros(4))
    best = ridge.classes_[reference.predict(X).argmax(1)]
    np.testing.assert_array_equal(ridge.predict(X), best)
    prototypes = identity(head="prototypes").fit(X, y).adapt(X[:48], y[:48])
    np.testing.assert_array_equal(
        prototypes.predict(X), NearestCentroid().fit(X[:48], y[:48]).predict(X)
    )


def test_probabilities_are_those_of_the_scaled_scores(data, fitted):
    X, y = data
    clf = fitted.adapt(X[:36], y[:36])
    P = clf.predict_proba(X)
    np.testing.assert_allclose(P.sum(1), 1)
    np.testing.assert_array_equal(clf.classes_[P.argmax(1)], clf.predict(X))
    scores = fitted.transform(X) @ clf.coef_.T + clf.intercept_
    scale = float(fitted.head_.log_scale.exp())
    odds = np.log(P[:, 0] / P[:, 1])
    np.testing.assert_allclose(odds, scale * (scores[:, 0] - scores[:, 1]), atol=1e-6)
    assert clf.score(X[:36], y[:36]) == np.mean(clf.predict(X[:36]) == y[:36])


def test_active_features_are_those_with_weight(data):
    X, y = data
    clf = identity(alpha=0.5).fit(X, y).adapt(X[:48], y[:48])
    assert 0 < len(clf.active_features_) < 10
    np.testing.assert_array_equal(
        clf.active_features_, np.flatnonzero((clf.coef_ != 0).any(0))
    )


def test_a_classifier_outlives_another_fit(data, fitted):
    X, y = data
    est = clone(fitted).set_params(max_iter=3).fit(X, y)
    clf = est.adapt(X[:36], y[:36])
    before = clf.predict_proba(X)
    est.set_params(random_state=1).fit(X, y)
    np.testing.assert_array_equal(clf.predict_proba(X), before)


def test_a_classifier_can_be_cloned_and_cross_validated(data, fitted):
    X, y = data
    clf = fitted.adapt(X[:36], y[:36])
    again = clone(clf).fit(X[:36], y[:36])
    np.testing.assert_array_equal(again.coef_, clf.coef_)
    copy = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(copy.predict(X), clf.predict(X))
    assert cross_val_score(clf, X[:36], y[:36], cv=3).mean() > 0.5


# Evaluation


@pytest.mark.parametrize("head", HEADS)
def test_evaluation_is_adapting_to_every_episode(data, head):
    X, y = data
    est = quick(head=head).fit(X, y)
    result = est.evaluate(X, y, n_episodes=8)
    sampler = EpisodeSampler(y, n_ways=3, n_shots=2, n_queries=3, random_state=0)
    accuracies, usage = [], np.zeros(6)
    for _ in range(8):
        batch = sampler.sample(1)
        support, query = batch.rows[batch.support[0]], batch.rows[batch.query[0]]
        clf = est.adapt(X[support], y[support])
        accuracies.append(clf.score(X[query], y[query]))
        usage[clf.active_features_] += 1 / 8
    np.testing.assert_allclose(result.accuracies, accuracies)
    np.testing.assert_allclose(result.feature_usage, usage)
    assert result.accuracy == pytest.approx(np.mean(accuracies))
    assert result.active_share == pytest.approx(usage.mean())
    assert result.confidence_interval == pytest.approx(
        1.96 * np.std(accuracies, ddof=1) / np.sqrt(8)
    )


def test_evaluation_in_pieces_is_the_same(data, fitted, monkeypatch):
    whole = fitted.evaluate(*data, n_episodes=20)
    monkeypatch.setattr(_evaluation, "_HELD", 15 * 6 * 4)
    monkeypatch.setattr(_evaluation, "_SOLVED", 15 * 6 * 3)
    pieces = fitted.evaluate(*data, n_episodes=20)
    np.testing.assert_array_equal(whole.accuracies, pieces.accuracies)
    np.testing.assert_array_equal(whole.feature_usage, pieces.feature_usage)


def test_the_size_of_an_episode_can_be_chosen(data, fitted):
    result = fitted.evaluate(*data, n_episodes=3, n_ways=4, n_shots=1, n_queries=5)
    assert repr(result).startswith("FewShotEvaluation(4-way 1-shot: accuracy 0.")
    np.testing.assert_allclose(result.accuracies * 20 % 1, 0, atol=1e-9)


def test_score_is_the_accuracy_of_an_evaluation(data, fitted):
    assert fitted.score(*data) == fitted.evaluate(*data).accuracy


# Training


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


# Bad input


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_ways": 17}, "n_ways=17 need at least 17 classes, got 16"),
        ({"train_shots": 10}, r"10 \+ 3 = 13 samples .* 16 of 16 classes have fewer"),
        ({"alpha": 1.5}, r"alpha must lie in \[0, 1\].* got 1.5"),
        ({"l2": 0.0}, "'l2' parameter"),
        ({"head": "svm"}, "'head' parameter.*'svm'"),
        ({"encoder": "resnet"}, "'encoder' parameter.*'resnet'"),
        ({"encoder": nn.Linear(10, 7)}, r"encoder must return .* got \(\d+, 7\)"),
        ({"encoder": nn.Linear(9, 4)}, r"encoder failed on inputs of shape \(2, 10\)"),
        ({"head": "ridge", "learn_alpha": True}, "head='ridge' has no alpha"),
        ({"head": "prototypes", "learn_l2": True}, "head='prototypes' has no l2"),
        (
            {"learn_alpha": True, "alpha": 0.0},
            "starts from alpha, which must be positive",
        ),
        ({"validation_classes": 5}, "'validation_classes' parameter"),
        ({"validation_classes": 0.1}, "0.1 selects 2 of 16 classes, fewer"),
        ({"validation_classes": ["c01", "x"]}, r"does not have \['x'\]"),
        ({"validation_classes": 0.9}, "n_ways=3 need at least 3 classes, got 2"),
    ],
)
def test_bad_parameters(data, params, message):
    with pytest.raises(ValueError, match=message):
        quick(**params).fit(*data)


def test_bad_data(data, fitted):
    X, y = data
    with pytest.raises(ValueError, match="returned NaN, infinite or huge features"):
        identity().fit(X, y).evaluate(1e30 * X, y)
    bad = X.copy()
    bad[3, 1] = np.nan
    with pytest.raises(ValueError, match="Input X contains NaN"):
        quick().fit(bad, y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        quick().fit(X, y[:-1])
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        quick().fit(X, X[:, 0])
    with pytest.raises(ValueError, match="requires y to be passed"):
        quick().fit(X, None)
    with pytest.raises(ValueError, match="at least two classes, got one class"):
        fitted.adapt(X[:5], y[:5])
    with pytest.raises(ValueError, match="same number of rows, got 5 and 4"):
        fitted.adapt(X[:5], y[:4])
    with pytest.raises(ValueError, match="n_episodes must be an int >= 2, got 1"):
        fitted.evaluate(X, y, n_episodes=1)
    with pytest.raises(ValueError, match="16 of 16 classes have fewer"):
        fitted.evaluate(X, y, n_shots=11)
    with pytest.raises(ValueError, match="need at least 3 classes, got 2"):
        fitted.evaluate(X[:24], y[:24])


def refuse(input_shape, n_components=None):
    raise ValueError("not these inputs")


@pytest.mark.parametrize(
    ("params", "labels", "message"),
    [
        ({}, lambda y: np.linspace(0, 1, len(y)), "Unknown label type"),
        ({}, lambda y: y[:-1], "inconsistent numbers of samples"),
        ({"validation_classes": 0.1}, lambda y: y, "fewer than n_ways"),
        ({"n_ways": 17}, lambda y: y, "at least 17 classes"),
        ({"encoder": refuse}, lambda y: y, "not these inputs"),
        # The weights are there, and give no finite loss.
        (
            {"normalization": None, "encoder": Huge},
            lambda y: y,
            "No weights have given",
        ),
    ],
)
def test_a_fit_that_cannot_start_changes_nothing(data, params, labels, message):
    X, y = data
    est = quick().fit(X, y)
    codes = est.transform(X)
    before = dict(vars(est.set_params(**params)))
    with pytest.raises(ValueError, match=message):
        est.fit(X[:, :3], labels(y))
    assert vars(est).keys() == before.keys()
    assert [name for name in before if vars(est)[name] is not before[name]] == []
    np.testing.assert_array_equal(est.transform(X), codes)


def test_labels_unseen_in_the_support_are_refused(data, fitted):
    X, y = data
    clf = fitted.adapt(X[:24], y[:24])
    with pytest.raises(ValueError, match=r"support set lacked: \['c02'\]; it had"):
        clf.score(X[:36], y[:36])


# Life as an estimator


def test_the_seed_decides_everything(data):
    torch.manual_seed(5)
    first = quick(random_state=3, validation_classes=0.25).fit(*data)
    state = torch.get_rng_state()
    torch.manual_seed(6)
    again = quick(random_state=3, validation_classes=0.25).fit(*data)
    other = quick(random_state=4, validation_classes=0.25).fit(*data)
    X = data[0]
    np.testing.assert_array_equal(first.transform(X), again.transform(X))
    np.testing.assert_array_equal(first.validation_classes_, again.validation_classes_)
    assert not np.array_equal(first.transform(X), other.transform(X))
    results = [est.evaluate(*data, n_episodes=9) for est in (first, first, again)]
    for result in results[1:]:
        np.testing.assert_array_equal(result.accuracies, results[0].accuracies)
    # The global generator of torch is the user's.
    torch.manual_seed(5)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("device", DEVICES)
def test_a_model_moves_between_devices(data, device):
    X, y = data
    est = quick(device=device).fit(X, y)
    moved = pickle.loads(pickle.dumps(est)).set_params(device="cpu")
    np.testing.assert_allclose(moved.transform(X), est.transform(X), atol=1e-6)
    assert moved.evaluate(X, y, n_episodes=5).accuracy == pytest.approx(
        est.evaluate(X, y, n_episodes=5).accuracy
    )


def test_callbacks_of_scikit_learn_see_every_epoch(data):
    class Recorder:
        def __init__(self, stop):
            self.stop = stop
            self.ended = []

        def setup(self, estimator, context):
            pass

        def teardown(self, estimator, context):
            pass

        def on_fit_task_begin(self, estimator, context):
            pass

        def on_fit_task_end(self, estimator, context):
            self.ended.append(context.task_name)
            return self.stop and context.task_name == "epoch"

    def make():
        return quick(max_iter=50, episodes_per_batch=1, head="prototypes")

    recorder = Recorder(stop=False)
    make().set_callbacks(recorder).fit(*data)
    assert recorder.ended == ["epoch", "epoch", "epoch", "fit"]
    assert make().set_callbacks(Recorder(stop=True)).fit(*data).n_iter_ == 20


def test_a_grid_search_by_classes_and_a_pipeline(data):
    X, y = data
    pipe = make_pipeline(StandardScaler(), identity())
    name = "grouplassosvmmetalearner"
    search = GridSearchCV(pipe, {f"{name}__alpha": [0.1, 1.0]}, cv=GroupKFold(2))
    search.fit(X, y, groups=y)
    assert search.best_params_ == {f"{name}__alpha": 0.1}
    assert search.best_score_ > 0.5


def test_columns_of_a_frame_are_remembered(data):
    X, y = data
    frame = pd.DataFrame(X).add_prefix("x")
    est = quick().set_output(transform="pandas").fit(frame, y)
    assert est.transform(frame).columns[0] == "grouplassosvmmetalearner0"
    with pytest.raises(ValueError, match="feature names"):
        est.transform(frame.add_prefix("other"))


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("how", ["set_output", "config"])
def test_adapted_classifiers_do_not_mind_the_output_of_transform(data, head, how):
    X, y = data
    meta = quick(head=head).fit(X, y)
    expected = meta.adapt(X[:60], y[:60]).predict_proba(X)
    if how == "set_output":
        classifier = meta.set_output(transform="pandas").adapt(X[:60], y[:60])
        found = classifier.predict_proba(X)
    else:
        with config_context(transform_output="pandas"):
            found = meta.adapt(X[:60], y[:60]).predict_proba(X)
    np.testing.assert_array_equal(found, expected)


def test_a_few_shot_classifier_keeps_its_learner(data):
    X, y = data
    meta, other = quick().fit(X, y), quick(random_state=1).fit(X, y)
    classifier = FewShotClassifier(meta).fit(X[:60], y[:60])
    expected = classifier.predict_proba(X)
    meta.set_params(n_components=3).fit(X[:, :5], y)
    np.testing.assert_array_equal(classifier.predict_proba(X), expected)
    classifier.set_params(learner=other)
    np.testing.assert_array_equal(classifier.predict_proba(X), expected)
    for bad_X, bad_y, message in (
        (X[:60], np.repeat("one", 60), "at least two classes"),
        (X[:60, :3], y[:60], "3 features"),
        (np.where(X[:60] > 0, np.nan, 0), y[:60], "NaN"),
        (np.ma.masked_greater(X[:60], 0), y[:60], "X holds .* masked"),
        (X[:60], y[:59], "same number of rows"),
    ):
        with pytest.raises(ValueError, match=message):
            classifier.fit(bad_X, bad_y)
        np.testing.assert_array_equal(classifier.predict_proba(X), expected)
