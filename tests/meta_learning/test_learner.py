"""The meta-learner: what it learns, what it returns, what it refuses."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from sparsedis.svm import GroupLassoSVC
from tests.meta_learning._learners import HEADS, Huge, identity, quick

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


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
