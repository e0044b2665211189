"""Fitted estimators come back from files, and nothing else does."""

import functools
import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from sklearn.base import clone
from torch import nn

from sparsedis import (
    GroupLassoSVMMetaLearner,
    SparseMultiTaskClassifier,
    SparseMultiTaskRepresentation,
)
from sparsedis.datasets import make_sparse_tasks

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.fixture(scope="module")
def data():
    return make_sparse_tasks(150, 20, n_factors=3, return_bunch=True, random_state=0)


def fit(kind, data, **params):
    params = {
        "n_components": 3,
        "rotation": None,
        "max_iter": 5,
        "random_state": 0,
        "alpha": 0.1,
    } | params
    X, Y = data.data, data.target
    if kind == "regression":
        return SparseMultiTaskRepresentation(**params).fit(X, Y)
    if kind == "named":
        X = pd.DataFrame(X, columns=["u", "v", "w"])
        Y = pd.DataFrame(Y, columns=[f"task {t}" for t in range(20)])
        return SparseMultiTaskRepresentation(**params).fit(X, Y)
    if kind == "stream":
        return SparseMultiTaskRepresentation(**params).fit_stream([(X, Y)])
    if kind == "vectors":
        Y = np.stack([Y[:, ::2], Y[:, 1::2]], -1)
        return SparseMultiTaskRepresentation(**params).fit(X, Y)
    if kind == "one task":
        y = np.where(Y[:, 0] > 0, "high", "low")
        return SparseMultiTaskClassifier(**params).fit(X, y)
    labels = np.where(Y > 0, "high", "low").astype(object)
    labels[:, 0] = np.digitize(Y[:, 0], [-0.5, 0.5])
    return SparseMultiTaskClassifier(**params).fit(X, labels)


KINDS = ["regression", "named", "stream", "vectors", "classes", "one task"]

# After five steps features are not used, or not to be trusted.
pytestmark = pytest.mark.filterwarnings(
    "ignore:(No head|.* may not be|The encoder overfits|A separate Ridge):UserWarning"
)


def dump_and_load(estimator, way, path):
    if way == "pickle":
        return pickle.loads(pickle.dumps(estimator))
    if way == "joblib":
        joblib.dump(estimator, path)
        return joblib.load(path)
    estimator.save_params(path)
    return clone(estimator).load_params(path)


@pytest.fixture(scope="module")
def learned(data, rotation):
    """Fitted estimators, each fitted once, for tests that leave them as they are."""
    return functools.cache(
        lambda kind, device: fit(kind, data, rotation=rotation, device=device)
    )


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", ["pickle", "joblib", "save_params"])
def test_what_was_learned_comes_back(data, learned, kind, way, device, tmp_path):
    est = learned(kind, device)
    copy = dump_and_load(est, way, tmp_path / "model").set_params(device="cpu")
    X = data.data
    if kind == "named":
        X = pd.DataFrame(X, columns=["u", "v", "w"])
    exact = {"rtol": 1e-6, "atol": 1e-6} if device != "cpu" else {"rtol": 0}
    np.testing.assert_allclose(copy.transform(X), est.transform(X), **exact)
    assert {name for name in vars(est) if name.endswith("_")} == {
        name for name in vars(copy) if name.endswith("_")
    }
    for name, column in est.history_.items():
        np.testing.assert_array_equal(copy.history_[name], column)
    if kind == "stream":
        with pytest.raises(AttributeError, match="There is no coef_"):
            copy.predict(X)
        return
    np.testing.assert_array_equal(copy.predict(X), est.predict(X))
    np.testing.assert_array_equal(copy.tasks_, est.tasks_)
    assert copy.tasks_.dtype == est.tasks_.dtype
    if kind in ("classes", "one task"):
        for one, other in zip(copy.classes_, est.classes_, strict=True):
            np.testing.assert_array_equal(one, other)
    # A loaded model goes on: it adapts, and fits again.
    assert copy.adapt(X, data.target[:, 0] > 0).predict(X).shape == (150,)


def test_a_loaded_model_trains_on(data, tmp_path, rotation):
    est = fit("regression", data, rotation=rotation)
    est.save_params(tmp_path / "model")
    copy = clone(est).load_params(tmp_path / "model")
    one, other = (
        e.set_params(warm_start=True).fit(data.data, data.target) for e in (est, copy)
    )
    np.testing.assert_array_equal(one.coef_, other.coef_)


def rewrite(path, change):
    """Change a saved file without its checksum."""
    tensors = load_file(path)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    change(tensors, metadata)
    save_file(tensors, path, metadata)


def test_files_that_are_refused(data, tmp_path):
    est = fit("regression", data)
    path = tmp_path / "model"

    def refused(message, load=est):
        with pytest.raises(ValueError, match=message):
            clone(load).load_params(path)

    with pytest.raises(FileNotFoundError, match="There is no file"):
        est.load_params(path)
    path.write_bytes(pickle.dumps(est))
    refused("not a safetensors file, or is damaged")
    save_file({"a": torch.zeros(2)}, path)
    refused("not written by save_params")

    est.save_params(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    refused("damaged")
    path.write_bytes(whole)
    rewrite(path, lambda tensors, _: tensors["fitted.coef_"].add_(1.0))
    refused("was changed")
    path.write_bytes(whole)
    rewrite(path, lambda _, metadata: metadata.update(state="{}"))
    refused("was changed")
    path.write_bytes(whole)
    rewrite(path, lambda _, metadata: metadata.update(format="sparsedis 7"))
    refused("has format 7, and this version of sparsedis reads 1")

    path.write_bytes(whole)
    refused("holds a SparseMultiTaskRepresentation", SparseMultiTaskClassifier())
    refused("saved with n_components=3", clone(est).set_params(n_components=4))
    refused(
        r"alpha=0.1, refit='relaxed'; the estimator has alpha=0.2, refit='lasso'.*"
        r"set_params\(alpha=0.1, refit='relaxed'\)",
        clone(est).set_params(alpha=0.2, refit="lasso"),
    )
    refused("normalization='batch'", clone(est).set_params(normalization=None))
    refused("does not have the weights", clone(est).set_params(encoder=nn.Linear(3, 3)))


def test_a_file_that_is_refused_changes_nothing(data, tmp_path):
    est = fit("regression", data)
    path = tmp_path / "model"
    clone(est).set_params(encoder=nn.Linear(3, 3)).fit(
        data.data, data.target
    ).save_params(path)
    before = est.predict(data.data)
    with pytest.raises(ValueError, match="does not have the weights"):
        est.load_params(path)
    np.testing.assert_array_equal(est.predict(data.data), before)


def test_names_that_cannot_be_saved(data, tmp_path):
    Y = pd.DataFrame(data.target, columns=pd.date_range("2020-01-01", periods=20))
    est = SparseMultiTaskRepresentation(3, rotation=None, alpha=0.1, max_iter=2)
    est.fit(data.data, Y)
    with pytest.raises(ValueError, match=r"tasks hold .* only numbers and text"):
        est.save_params(tmp_path / "model")


HEADS = [
    {"alpha": 0.2},
    {"head": "logistic", "alpha": 0.05, "learn_alpha": True, "learn_l2": True},
    {"head": "ridge", "validation_classes": 0.5, "validation_every": 2},
    {"head": "prototypes", "normalization": "layer"},
]


def meta_learn(inputs, labels, **params):
    params = {
        "n_ways": 3,
        "n_shots": 2,
        "n_queries": 3,
        "max_iter": 4,
        "lr": 1e-2,
        "random_state": 0,
    } | params
    return GroupLassoSVMMetaLearner("mlp", **params).fit(inputs, labels)


@pytest.fixture(scope="module")
def few_shot():
    rng = np.random.default_rng(0)
    y = np.repeat([f"class {c}" for c in range(8)], 10)
    X = rng.normal(size=(8, 5)).repeat(10, axis=0) * 2 + rng.normal(size=(80, 5))
    return pd.DataFrame(X, columns=list("uvwxy")), y


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("params", HEADS)
@pytest.mark.parametrize("way", ["pickle", "save_params"])
def test_a_meta_learner_comes_back(few_shot, params, way, device, tmp_path):
    X, y = few_shot
    meta = meta_learn(X, y, device=device, **params)
    copy = dump_and_load(meta, way, tmp_path / "model").set_params(device="cpu")
    exact = {"rtol": 1e-6, "atol": 1e-6} if device != "cpu" else {"rtol": 0}
    np.testing.assert_allclose(copy.transform(X), meta.transform(X), **exact)
    assert set(vars(copy)) == set(vars(meta))
    for name in ("alpha_", "l2_", "n_iter_", "best_iter_", "n_components_"):
        assert getattr(copy, name) == getattr(meta, name)
    for name in ("classes_", "validation_classes_", "feature_names_in_"):
        np.testing.assert_array_equal(getattr(copy, name), getattr(meta, name))
    for table in ("history_", "validation_history_"):
        assert getattr(copy, table).keys() == getattr(meta, table).keys()
        for name, column in getattr(meta, table).items():
            np.testing.assert_array_equal(getattr(copy, table)[name], column)
    # Heads, with the learned penalties and scale of the logits.
    one, other = (m.adapt(X[:30], y[:30]).predict_proba(X) for m in (meta, copy))
    np.testing.assert_allclose(other, one, **exact)


def test_a_loaded_meta_learner_has_the_penalty_of_its_training(few_shot, tmp_path):
    X, y = few_shot
    meta = meta_learn(X, y, head="logistic", alpha=0.3)
    meta.save_params(tmp_path / "model")
    copy = clone(meta).set_params(alpha=0.01).load_params(tmp_path / "model")
    assert copy.alpha_ == 0.3
    one, other = (m.adapt(X[:30], y[:30]).coef_ for m in (meta, copy))
    np.testing.assert_array_equal(other, one)


def test_meta_learners_that_are_refused(few_shot, data, tmp_path):
    meta = meta_learn(*few_shot, alpha=0.1)
    path = tmp_path / "model"
    meta.save_params(path)
    for params, message in (
        ({"head": "ridge"}, "saved with head='group_lasso_svm'"),
        ({"learn_alpha": True}, "saved with learn_alpha=False"),
        ({"n_components": 7}, "saved with n_components=None"),
        ({"encoder": "identity"}, "'identity' does not have the weights"),
    ):
        with pytest.raises(ValueError, match=message):
            clone(meta).set_params(**params).load_params(path)
    with pytest.raises(ValueError, match="holds a GroupLassoSVMMetaLearner"):
        SparseMultiTaskRepresentation().load_params(path)


def test_loading_leaves_the_random_numbers_alone(data, tmp_path):
    est = fit("regression", data)
    est.save_params(tmp_path / "model")
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    clone(est).load_params(tmp_path / "model")
    assert torch.equal(torch.rand(3), expected)


def test_loading_replaces_all_that_was_learned_before(data, tmp_path):
    est = fit("stream", data)
    est.save_params(tmp_path / "model")
    other = fit("one task", data)
    with pytest.raises(ValueError, match="holds a SparseMultiTaskRepresentation"):
        other.load_params(tmp_path / "model")
    assert other.classes_.tolist() == ["high", "low"]
    named = fit("named", data).load_params(tmp_path / "model")
    assert not hasattr(named, "coef_")
    assert not hasattr(named, "feature_names_in_")


class Tied(nn.Module):
    """Two layers of the same weights."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)
        self.second.weight = self.first.weight

    def forward(self, rows):
        return self.second(self.first(rows).relu())


def test_tied_weights_are_saved(data, tmp_path):
    est = fit("regression", data, encoder=Tied())
    copy = dump_and_load(est, "save_params", tmp_path / "model")
    encoder = copy.module_.encoder
    assert encoder.first.weight is encoder.second.weight
    np.testing.assert_array_equal(copy.predict(data.data), est.predict(data.data))


@pytest.mark.parametrize(("saved", "loaded"), [(np.int64, int), (int, np.int64)])
def test_parameters_may_be_numbers_of_numpy(data, few_shot, saved, loaded, tmp_path):
    path = tmp_path / "model"
    est = fit("regression", data, n_components=saved(3))
    est.save_params(path)
    copy = clone(est).set_params(n_components=loaded(3)).load_params(path)
    np.testing.assert_array_equal(copy.predict(data.data), est.predict(data.data))
    X, y = few_shot
    meta = meta_learn(X, y, n_components=saved(4), learn_alpha=np.bool_(True))
    meta.save_params(path)
    params = {"n_components": loaded(4), "learn_alpha": True}
    copy = clone(meta).set_params(**params).load_params(path)
    np.testing.assert_array_equal(copy.transform(X), meta.transform(X))


def test_names_may_be_numbers_of_numpy(data, tmp_path):
    names = np.array([*np.arange(19), "last"], dtype=object)
    names[:19] = [np.int64(t) for t in range(19)]
    Y = pd.DataFrame(data.target, columns=names)
    est = SparseMultiTaskRepresentation(3, rotation=None, alpha=0.1, max_iter=2)
    est.fit(data.data, Y)
    copy = dump_and_load(est, "save_params", tmp_path / "model")
    assert isinstance(est.tasks_[0], np.int64)
    assert copy.tasks_.dtype == est.tasks_.dtype
    np.testing.assert_array_equal(copy.tasks_, est.tasks_)
    assert copy.score(data.data, Y) == est.score(data.data, Y)


def test_a_device_that_is_not_there_changes_nothing(data, few_shot, tmp_path):
    path = tmp_path / "model"
    for est, refitted in (
        (fit("regression", data), fit("named", data)),
        (meta_learn(*few_shot), meta_learn(few_shot[0][list("uvw")], few_shot[1])),
    ):
        refitted.save_params(path)
        est.set_params(device="cuda:99")
        before = dict(vars(est))
        with pytest.raises(ValueError, match=r"device must be .* got 'cuda:99'"):
            est.load_params(path)
        assert_same(vars(est), before)


def assert_same(one, other):
    assert one.keys() == other.keys()
    assert [name for name in one if one[name] is not other[name]] == []


@pytest.mark.parametrize("kind", ["stream", "classes of a stream"])
def test_a_stream_leaves_no_trace_of_an_earlier_fit(data, kind, tmp_path, rotation):
    X, Y = data.data, data.target
    if kind == "stream":
        est = fit("regression", data, rotation=rotation)
    else:
        est, Y = fit("one task", data, rotation=rotation), (Y > 0).astype(int)
    fresh = clone(est).fit_stream([(X, Y)])
    est.save_params(tmp_path / "fit")
    est.fit_stream([(X, Y)])
    assert vars(est).keys() == vars(fresh).keys()
    est.save_params(tmp_path / "stream")
    for other in (clone(est), clone(est).load_params(tmp_path / "fit")):
        other.load_params(tmp_path / "stream")
        assert vars(other).keys() == vars(fresh).keys()
