"""The defaults: features are trained, counted, rotated, and selected for each head."""

import itertools
import pickle
import warnings
from functools import partial

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.optimize import linear_sum_assignment
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback
from torch import nn
from torch.optim import SGD, Adam, AdamW

from sparsedis import SparseMultiTaskClassifier, SparseMultiTaskRepresentation
from sparsedis.datasets import SparseTaskModel, SparseTaskStream, make_sparse_tasks
from sparsedis.metrics import mean_correlation_coefficient
from sparsedis.tasks import TaskBatch

# What is taught too little, or too few tasks, is not to be trusted.
UNSURE = pytest.mark.filterwarnings(
    "ignore:(No head|.* may not be|The (encoder|features)|A separate Ridge):UserWarning"
)


@pytest.fixture(scope="module")
def data():
    return make_sparse_tasks(300, 60, n_factors=4, return_bunch=True, random_state=0)


def make(cls=SparseMultiTaskRepresentation, **params):
    return cls(**{"max_iter": 60, "random_state": 0} | params)


@pytest.fixture(scope="module")
def fitted(data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return make().fit(data.data, data.target)


def linear(input_shape, n_components):
    return nn.Linear(*input_shape, n_components)


def assert_found(data, codes, n_factors=4, mcc=0.97):
    assert codes.shape[1] == n_factors
    assert mean_correlation_coefficient(data.factors, codes) > mcc


def f1_of_supports(data, est, codes):
    """F1 of the features that heads use, each matched to a factor."""
    k = data.factors.shape[1]
    correlation = np.abs(np.corrcoef(data.factors, codes, rowvar=False)[:k, k:])
    _, match = linear_sum_assignment(-correlation)
    found, true = est.support_[:, match], data.coef != 0
    return 2 * (found & true).sum() / (found.sum() + true.sum())


# What they find


def test_the_defaults_find_the_factors_and_their_number(data, fitted):
    codes = fitted.transform(data.data)
    assert_found(data, codes)
    assert fitted.n_components_ == fitted.count_.n_factors == 4
    assert f1_of_supports(data, fitted, codes) > 0.9
    assert (fitted.stability_ > 0.95).all()
    assert fitted.spike_.shape == (4,)
    np.testing.assert_allclose(codes.std(0), 1, rtol=1e-3)
    np.testing.assert_array_equal(fitted.alpha_, 0)
    np.testing.assert_array_equal(fitted.feature_usage_, fitted.support_.sum(0))
    assert fitted.score(data.data, data.target) > 0.95


@pytest.mark.parametrize("selection", ["cv", "1se"])
@UNSURE
def test_other_rules_select_too(data, selection):
    est = make(encoder="identity", selection=selection).fit(data.factors, data.target)
    assert f1_of_supports(data, est, est.transform(data.factors)) > 0.9


@UNSURE
def test_all_forms_of_labels_give_the_same_model(data):
    X, Y = data.data[:120], data.target[:120, :15]
    expected = make(max_iter=5).fit(X, Y)
    rows, tasks = np.indices(Y.shape).reshape(2, -1)
    forms = {
        "frame": (X, pd.DataFrame(Y), None),
        "sparse": (X, sp.coo_array((Y.ravel(), (rows, tasks))), None),
        "long": (X[rows], Y.ravel(), tasks),
    }
    for X_form, y, task in forms.values():
        est = make(max_iter=5).fit(X_form, y, task=task)
        np.testing.assert_allclose(est.coef_, expected.coef_, rtol=1e-9, atol=1e-9)
        np.testing.assert_array_equal(est.transform(X), expected.transform(X))


@UNSURE
def test_missing_labels(data):
    Y = data.target.copy()
    Y[np.random.RandomState(0).uniform(size=Y.shape) < 0.5] = np.nan
    est = make().fit(data.data, Y)
    assert_found(data, est.transform(data.data))


@UNSURE
def test_classes(data):
    est = make(SparseMultiTaskClassifier, encoder=linear, lr=0.04, max_iter=30)
    codes = est.fit_transform(data.factors, data.target > 0)
    assert_found(data, codes)
    assert est.score(data.factors, data.target > 0) > 0.9
    assert est.predict(data.factors).dtype == bool


@UNSURE
def test_classes_are_learned_on_with_the_factors_alone(data, tmp_path):
    y = data.target > 0
    est = make(SparseMultiTaskClassifier, max_iter=100, early_stopping=False)
    codes = est.fit_transform(data.data, y)
    assert_found(data, codes, mcc=0.9)
    # The encoder was trained wide, with three more features than were counted, and with
    # these alone.
    assert len(est.count_.strength) == 7
    assert est.module_.representation.n_components == 4
    assert est.n_iter_ == 250
    assert all(len(values) == 250 for values in est.history_.values())
    est.save_params(tmp_path / "model")
    copy = clone(est).load_params(tmp_path / "model")
    np.testing.assert_array_equal(copy.transform(data.data), codes)
    np.testing.assert_array_equal(copy.predict(data.data), est.predict(data.data))


@UNSURE
def test_classes_are_learned_anew_where_no_layer_can_be_cut(data):
    def rounded(input_shape, n_components):
        return nn.Sequential(nn.Linear(*input_shape, n_components), nn.Hardtanh(-3, 3))

    params = {"encoder": rounded, "max_iter": 60, "early_stopping": False}
    est = make(SparseMultiTaskClassifier, lr=0.04, **params)
    assert_found(data, est.fit_transform(data.factors, data.target > 0), mcc=0.9)
    assert est.n_iter_ == 120


@UNSURE
def test_vector_targets(data):
    rng = np.random.RandomState(0)
    support = rng.uniform(size=(40, 1, 4)) < 0.5
    support[~support.any((1, 2))] = True
    coef = support * rng.normal(size=(40, 3, 4))
    Y = np.einsum("nk,tck->ntc", data.factors, coef)
    Y += 0.1 * rng.normal(size=Y.shape)
    est = make().fit(data.data, Y)
    assert_found(data, est.transform(data.data))
    assert est.coef_.shape == (40, 3, 4)
    assert est.support_.shape == (40, 4)


@UNSURE
def test_rows_of_no_weight_do_not_count(data):
    weight = np.repeat([1.0, 0.0], 150)
    Y = data.target.copy()
    Y[150:] = 100 * np.random.RandomState(0).normal(size=(150, 60))
    est = make().fit(data.data, Y, sample_weight=weight)
    assert_found(data, est.transform(data.data))


# Streams


@pytest.mark.parametrize("form", ["shared", "separate"])
def test_streams(form):
    model = SparseTaskModel(4, mixing="linear", rho=0.5, random_state=0)
    X, factors = model.sample(500, random_state=1)
    size = {"shared": (60, 60), "separate": (8, 50)}[form]
    stream = SparseTaskStream(
        model, n_tasks=size[0], n_samples=size[1], layout=form, random_state=0
    )
    est = make(encoder=linear, lr=0.04, max_iter=40).fit_stream(stream)
    assert est.n_components_ == 4
    assert mean_correlation_coefficient(factors, est.transform(X)) > 0.97
    assert (est.feature_usage_ > 0).all()
    assert (est.feature_usage_ <= 1).all()
    with pytest.raises(AttributeError, match="There is no coef_"):
        est.predict(X)
    rng = np.random.RandomState(0)
    Y = factors @ (rng.normal(size=(4, 5)) * [[1], [0], [0], [1]])
    head = est.adapt(X, Y)
    assert head.support_.sum() <= 15
    assert head.score(X, Y) > 0.95


def test_a_stream_of_classes():
    model = SparseTaskModel(3, mixing="linear", random_state=0)

    def source():
        stream = SparseTaskStream(model, n_tasks=40, n_samples=80, random_state=0)
        for batch in stream:
            yield TaskBatch(batch.rows, (batch.y > 0).astype(int), batch.index)

    X, factors = model.sample(500, random_state=1)
    est = make(SparseMultiTaskClassifier, encoder=linear, lr=0.04, max_iter=20)
    est.fit_stream(source())
    assert mean_correlation_coefficient(factors, est.transform(X)) > 0.97


def test_without_a_rotation_a_stream_needs_a_number(data):
    with pytest.raises(ValueError, match="n_components must be a number in fit_stream"):
        make(rotation=None).fit_stream([(data.data, data.target)])


# Life as an estimator


def test_adapted_heads_are_those_of_fit(data, fitted):
    head = fitted.adapt(data.data, data.target[:, :7])
    np.testing.assert_array_equal(head.support_, fitted.support_[:7])
    np.testing.assert_allclose(head.coef_, fitted.coef_[:7], atol=1e-6)
    assert fitted.coef_.shape == (60, 4)


@UNSURE
def test_a_warm_start_goes_on(data, tmp_path):
    est = make(warm_start=True, lr_schedule="constant", alpha_warmup=0.0, max_iter=20)
    first = est.fit(data.data, data.target).history_["loss"]
    second = est.fit(data.data, data.target).history_["loss"]
    assert second[0] < first[0] / 2
    assert_found(data, est.transform(data.data), est.n_components_, mcc=0.9)
    # Also with fewer tasks than features that are trained.
    est.fit(data.data, data.target[:, :9])
    est.save_params(tmp_path / "model")
    loaded = clone(est).load_params(tmp_path / "model")
    np.testing.assert_array_equal(loaded.coef_, est.coef_)
    est.fit_stream([(data.data, data.target[:, :9])])
    assert np.isfinite(est.transform(data.data)).all()


@pytest.mark.parametrize("way", ["pickle", "save_params"])
def test_a_model_comes_back_to_the_bit(data, fitted, way, tmp_path):
    if way == "pickle":
        copy = pickle.loads(pickle.dumps(fitted))
    else:
        fitted.save_params(tmp_path / "model")
        copy = clone(fitted).load_params(tmp_path / "model")
    assert copy.n_components == "auto"
    assert copy.n_components_ == 4
    X, Y = data.data, data.target
    for name in ("coef_", "stability_", "spike_", "support_", "feature_usage_"):
        np.testing.assert_array_equal(getattr(copy, name), getattr(fitted, name))
    np.testing.assert_array_equal(copy.transform(X), fitted.transform(X))
    np.testing.assert_array_equal(copy.predict(X), fitted.predict(X))
    one, other = (est.adapt(X, Y[:, :3] ** 2) for est in (copy, fitted))
    np.testing.assert_array_equal(one.coef_, other.coef_)


def test_features_have_names(data, fitted):
    names = [f"sparsemultitaskrepresentation{j}" for j in range(4)]
    assert fitted.get_feature_names_out().tolist() == names
    est = pickle.loads(pickle.dumps(fitted)).set_output(transform="pandas")
    X = pd.DataFrame(data.data)
    assert est.transform(X.to_numpy()).columns.tolist() == names


@UNSURE
def test_the_seed_decides_everything(data, fitted):
    again = make().fit(data.data, data.target)
    np.testing.assert_array_equal(again.coef_, fitted.coef_)
    np.testing.assert_array_equal(again.stability_, fitted.stability_)


@UNSURE
def test_a_search_over_the_number_of_features(data):
    # Linear models on X would predict these tasks whatever the features.
    heads_alone = make(max_iter=30, linear=None, early_stopping=False)
    search = GridSearchCV(heads_alone, {"n_components": [1, 4]}, cv=2)
    search.fit(data.data, data.target[:, :20])
    assert search.best_params_ == {"n_components": 4}


# Encoders


@UNSURE
def test_a_module_has_a_width_of_its_own(data):
    module = nn.Sequential(nn.Linear(4, 16), nn.SiLU(), nn.Linear(16, 7))
    est = make(encoder=module).fit(data.data, data.target)
    assert est.module_.representation.n_components == 7
    assert est.n_components_ <= 7
    assert est.transform(data.data).shape == (300, est.n_components_)


def test_features_that_are_given_are_rotated(data):
    mixed = data.factors @ np.random.RandomState(0).normal(size=(4, 4))
    est = make(encoder="identity").fit(mixed, data.target)
    assert est.n_iter_ == 0
    assert_found(data, est.transform(mixed), mcc=0.99)


def test_other_optimisers_keep_their_decay(data):
    given = []

    def optimizer(parameters, lr, **options):
        given.append(options)
        return SGD(parameters, lr=lr)

    est = make(optimizer=optimizer, max_iter=1, rotation=None, n_components=4)
    est.fit(data.data, data.target)
    est.set_params(weight_decay=0.5).fit(data.data, data.target)
    assert given == [{}, {"weight_decay": 0.5}]


@pytest.mark.parametrize(
    ("params", "decay"),
    [({}, [3, 1]), ({"rotation": None}, [0, 0]), ({"weight_decay": 0.2}, [0.2, 0.2])],
)
@UNSURE
def test_decay_of_the_weights(data, params, decay):
    seen = []

    class Decay(Callback):
        def on_train_end(self, net, **kwargs):
            seen.append(net.optimizer_.param_groups[0]["weight_decay"])

    est = make(n_components=2, max_iter=1, callbacks=[Decay()], **params)
    est.fit(data.data, data.target)
    batch = TaskBatch(data.data, data.target.T)
    est.fit_stream(itertools.repeat(batch))
    assert seen == decay


class Rates(Callback):
    """Decay rates of the optimiser, fit after fit."""

    def __init__(self, seen):
        self.seen = seen

    def on_train_end(self, net, **kwargs):
        self.seen.append(net.optimizer_.param_groups[0]["betas"])


@pytest.mark.parametrize(
    ("optimizer", "rates"),
    [
        (AdamW, [(0.9, 0.999), (0.8, 0.95)]),
        (partial(AdamW, betas=(0.7, 0.9)), [(0.7, 0.9), (0.7, 0.9)]),
        (Adam, [(0.9, 0.999), (0.9, 0.999)]),
    ],
)
@UNSURE
def test_decay_rates_of_adamw(data, optimizer, rates):
    est = make(
        n_components=2,
        max_iter=1,
        optimizer=optimizer,
        callbacks=[Rates(seen := [])],
    )
    est.fit(data.data, data.target)
    est.fit_stream([(data.data, data.target)])
    assert seen == rates


# Little to find


def little(name, data):
    """Inputs and targets of a case in which there is little to find."""
    X, Y = data.data, data.target
    wide = np.random.RandomState(0).normal(size=(300, 20))
    wide[:, :4] = X
    gone = Y.copy()
    gone[:, 7] = np.nan
    return {
        "one task": (X, Y[:, 0]),
        "one column": (X, Y[:, :1]),
        "two tasks": (X, Y[:, :2]),
        "constant targets": (X, np.ones((300, 6)) * np.arange(6)),
        "one task that varies": (X, np.column_stack([Y[:, 0], np.ones((300, 5))])),
        "fewer tasks than inputs": (wide, Y[:, :6]),
        "fewer rows than inputs": (wide[:12], Y[:12, :20]),
        "duplicate tasks": (X, np.repeat(Y[:, :2], 10, axis=1)),
        "a task without labels": (X, gone),
        "noise": (X, wide[:, 4:]),
        "a constant input": (np.column_stack([X, np.ones(300)]), Y[:, :10]),
        "two rows": (X[:2], Y[:2, :10]),
        "equal rows": (np.repeat(X[:3], 20, axis=0), np.repeat(Y[:3], 20, axis=0)),
    }[name]


LITTLE = [
    "one task",
    "one column",
    "two tasks",
    "constant targets",
    "one task that varies",
    "fewer tasks than inputs",
    "fewer rows than inputs",
    "duplicate tasks",
    "a task without labels",
    "noise",
    "a constant input",
    "two rows",
    "equal rows",
]


@pytest.mark.parametrize("n_components", ["auto", 5])
@pytest.mark.parametrize("name", LITTLE)
def test_little_to_find_leaves_numbers(data, name, n_components):
    X, Y = little(name, data)
    est = make(n_components=n_components, max_iter=5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # at most
        est.fit(X, Y)
    assert est.n_components_ >= 1
    codes = est.transform(X)
    assert np.isfinite(codes).all()
    labelled = ~np.isnan(Y.reshape(len(Y), -1)).all(0)
    assert np.isfinite(est.coef_[labelled]).all()
    assert np.isnan(est.coef_[~labelled]).all()
    assert np.isfinite(est.stability_).all()
    assert np.isfinite(est.predict(X).reshape(len(X), -1)[:, labelled]).all()


# Without a rotation


@UNSURE
def test_features_can_be_counted_without_being_rotated(data):
    est = make(rotation=None, alpha=0.2).fit(data.data, data.target)
    assert est.n_components_ == 4
    assert est.coef_.shape == (60, 4)
    assert not hasattr(est, "stability_")
    expected = make(rotation=None, n_components=4, alpha=0.2)
    expected.fit(data.data, data.target)
    # The same training, from other weights.
    assert est.history_["loss"].shape == expected.history_["loss"].shape
    np.testing.assert_array_equal(est.history_["alpha"], expected.history_["alpha"])
