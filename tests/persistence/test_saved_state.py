"""Files that were made up are refused with a reason, whatever they hold."""

import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from sklearn.base import clone

from sparsedis import (
    GroupLassoSVMMetaLearner,
    SparseMultiTaskClassifier,
    SparseMultiTaskRepresentation,
)
from sparsedis._persistence._fitted_files import _digest
from sparsedis.datasets import make_sparse_tasks

pytestmark = pytest.mark.filterwarnings("ignore:No head uses:UserWarning")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Estimators, with the files that they were saved in."""
    X, Y = make_sparse_tasks(60, 5, n_factors=3, random_state=0)
    params = {"n_components": 3, "rotation": None, "alpha": 0.1, "max_iter": 1}
    params["random_state"] = 0
    named = pd.DataFrame(X, columns=list("uvw"))
    labels = (Y > 0).astype(object)
    labels[:, 0] = np.digitize(Y[:, 0], [-0.5, 0.5])
    fitted = {
        "regression": SparseMultiTaskRepresentation(**params).fit(named, Y),
        "classes": SparseMultiTaskClassifier(**params).fit(X, labels),
        "meta": GroupLassoSVMMetaLearner(
            "mlp", n_ways=2, n_shots=2, n_queries=2, max_iter=1, random_state=0
        ).fit(X, np.arange(60) // 10),
    }
    folder = tmp_path_factory.mktemp("models")
    for name, est in fitted.items():
        est.save_params(folder / name)
    return {name: (est, folder / name) for name, est in fitted.items()}


def craft(good, path, change):
    """Change a file, and its checksum, which is no secret."""
    tensors = load_file(good)
    with safe_open(good, framework="pt") as file:
        metadata = file.metadata()
    del metadata["sha256"]
    state = json.loads(metadata["state"])
    change(state, tensors, metadata)
    if "state" in metadata:
        metadata["state"] = metadata.pop("raw", json.dumps(state))
    tensors = {key: tensor.contiguous() for key, tensor in tensors.items()}
    metadata["sha256"] = _digest(metadata, tensors)
    save_file(tensors, path, metadata)


def refuses(model, tmp_path, change, message):
    est, good = model
    est, bad = clone(est), tmp_path / "bad"
    craft(good, bad, change)
    before = dict(vars(est))
    with pytest.raises(ValueError, match=message) as error:
        est.load_params(bad)
    assert str(bad) in str(error.value)
    assert vars(est) == before


def test_crafted_files_without_a_change_are_loaded(models, tmp_path):
    for est, good in models.values():
        craft(good, tmp_path / "same", lambda *_: None)
        loaded = clone(est).load_params(tmp_path / "same")
        assert vars(loaded).keys() == vars(est).keys()


def setting(**values):
    return lambda state, *_: state.update(values)


def without(*keys):
    def change(state, tensors, metadata):
        for key in keys:
            part = state if key in state else metadata
            (tensors if key in tensors else part).pop(key)

    return change


def raw(text):
    return lambda state, tensors, metadata: metadata.update(raw=text)


def tensor(key, value):
    return lambda state, tensors, metadata: tensors.update({f"fitted.{key}": value})


def change_tensor(key, function):
    def change(state, tensors, metadata):
        tensors[key] = function(tensors[key])

    return change


def names(values, dtype):
    return {"dtype": dtype, "values": values}


FIVE = [0, 1, 2, 3, 4]
CASES = {
    "text": (raw("x"), "state is not JSON"),
    "nesting": (raw("[" * 100_000 + "]" * 100_000), "state is not JSON"),
    "digits": (raw('{"n_iter_": ' + "1" * 5000 + "}"), "state is not JSON"),
    "list": (raw("[1]"), "its state is a list"),
    "null": (raw("null"), "its state is a NoneType"),
    "empty": (raw("{}"), r"it lacks '_n_trained', 'alpha', .*'head', \.\.\."),
    "no state": (without("state"), "it lacks 'state'"),
    "no estimator": (without("estimator"), "it lacks 'estimator'"),
    "no features": (without("n_features_in_"), "it lacks 'n_features_in_'"),
    "no coef": (
        without("fitted.coef_"),
        "by another version of sparsedis, or was changed: it lacks 'coef_'",
    ),
    "no tasks": (without("tasks_"), "it lacks 'tasks_'"),
    "no layout": (without("_layout"), "it lacks '_layout'"),
    "other metadata": (lambda s, t, m: m.update(x="y"), "holds 'x', which no model"),
    "method": (setting(predict=1), "it holds 'predict', which no model has"),
    "parameter": (setting(device="cpu", verbose=9), "holds 'device', 'verbose', which"),
    "many": (setting(**{f"x{i:06d}": 1 for i in range(9)}), "'x000004', ..., which"),
    "array": (tensor("predict", torch.zeros(2)), "it holds 'predict', which"),
    "module": (
        lambda state, tensors, _: tensors.update(other=torch.zeros(1)),
        "it holds 'other', which no model has",
    ),
    "weight": (
        lambda state, tensors, _: tensors.update({"module.x": torch.zeros(1)}),
        "does not have the weights of .*\n.*x",
    ),
    "shape is text": (setting(input_shape_="ab"), "input_shape_ is 'ab'"),
    "shape is negative": (setting(input_shape_=[-3]), r"input_shape_ is \[-3\]"),
    "shape is real": (setting(input_shape_=[3.0]), r"input_shape_ is \[3.0\]"),
    "shape is true": (setting(input_shape_=[True]), r"input_shape_ is \[True\]"),
    "no shape": (setting(input_shape_=[]), r"input_shape_ is \[\]"),
    "shape is huge": (
        setting(input_shape_=[2**62], n_features_in_=2**62),
        "cannot be built for its inputs|does not have the weights",
    ),
    "shape overflows": (
        setting(input_shape_=[2**62] * 4, n_features_in_=2**62),
        "cannot be built for its inputs",
    ),
    "shape has many axes": (
        setting(input_shape_=[3] + 100 * [1]),
        "cannot be built for its inputs|does not have the weights",
    ),
    "features": (setting(n_features_in_=4), r"is \[3\], and n_features_in_ 4"),
    "steps are text": (setting(n_iter_="1"), "n_iter_ is '1'"),
    "steps are a list": (setting(n_iter_=[1]), r"n_iter_ is \[1\]"),
    "learned alpha": (setting(learned_alpha_=None), "learned_alpha_ is None"),
    "layout": (setting(_layout={"x": 1}), "_layout is {'x': 1}"),
    "names are text": (setting(tasks_="ab"), "tasks_ is not an array of names"),
    "names are a list": (
        setting(tasks_=[names(FIVE, "<i8")]),
        r"tasks_ has shape \(\)",
    ),
    "names are lists": (setting(tasks_=[[[[]]]]), "tasks_ is not an array of names"),
    "no dtype": (setting(tasks_={"values": FIVE}), "tasks_ is not an array"),
    "dtype": (setting(tasks_=names(FIVE, "nonsense")), "tasks_ has dtype 'nonsense'"),
    "dtype is a list": (setting(tasks_=names(FIVE, [["a", "i4"]])), "has dtype"),
    "structured": (setting(tasks_=names(FIVE, "i4,(9,9)f8")), "tasks_ has dtype 'i4,"),
    "no unit": (setting(tasks_=names(FIVE, "<M8[xy]")), "not an array of names"),
    "values": (setting(tasks_=names({}, "<i8")), "values that are not of dtype '<i8'"),
    "real": (setting(tasks_=names([0.5] * 5, "<i8")), "not of dtype '<i8'"),
    "true": (setting(tasks_=names([True] * 5, "<i8")), "not of dtype '<i8'"),
    "nested": (setting(tasks_=names([[0]] * 5, "|O")), "not of dtype '|O'"),
    "too large": (setting(tasks_=names([2**70] * 5, "<i8")), "not an array of names"),
    "too long": (setting(tasks_=names(["ab"] * 5, "<U1")), "longer than its dtype"),
    "too wide": (setting(tasks_=names(["ab"] * 5, "<U900000000")), "more than .* byte"),
    "digits of width": (setting(tasks_=names(["a"] * 5, "<U" + "9" * 5000)), "more th"),
    "too few names": (
        setting(tasks_=names([0], "<i8")),
        r"has shape \(5.*\), but the number of tasks is 1",
    ),
    "feature names": (
        setting(feature_names_in_=names([1, 2, 3], "|O")),
        "feature_names_in_ are not text",
    ),
    "few feature names": (
        setting(feature_names_in_=names(["u"], "|O")),
        r"feature_names_in_ has shape \(1,\), but the number of features is 3",
    ),
    "dtype of weights": (
        change_tensor("module.encoder.1.bias", torch.Tensor.double),
        "encoder.1.bias has dtype torch.float64, not torch.float32",
    ),
    "half": (
        change_tensor("fitted.coef_", torch.Tensor.bfloat16),
        "coef_ has dtype torch.bfloat16",
    ),
    "whole": (change_tensor("fitted.coef_", torch.Tensor.long), "coef_ has dtype int6"),
    "support": (
        change_tensor("fitted.support_", torch.Tensor.double),
        "support_ has dtype float64",
    ),
    "coef": (
        change_tensor("fitted.coef_", lambda coef: coef[:, :2]),
        r"coef_ has shape \(5, 2\), but the number of components is 3",
    ),
    "axes": (
        change_tensor("fitted.coef_", lambda coef: coef[None, None]),
        r"coef_ has shape \(1, 1, 5, 3\)",
    ),
    "intercept": (
        change_tensor("fitted.intercept_", lambda intercept: intercept[:, None]),
        r"coef_ has shape \(5, 3\), and intercept_ \(5, 1\)",
    ),
    "alpha": (
        change_tensor("fitted.alpha_", lambda alpha: alpha[:4]),
        r"alpha_ has shape \(4,\), but the number of tasks is 5",
    ),
    "usage": (
        change_tensor("fitted.feature_usage_", lambda usage: usage[:2]),
        r"feature_usage_ has shape \(2,\)",
    ),
    "history": (
        change_tensor("fitted.history_.loss", lambda loss: loss.repeat(2)),
        "columns of history_ differ in length",
    ),
    "history of a number": (
        change_tensor("fitted.history_.loss", lambda loss: loss[0]),
        "columns of history_ differ in length",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_is_said(models, tmp_path, case):
    change, message = CASES[case]
    refuses(models["regression"], tmp_path, change, message)


CLASSES = {
    "none": (without("_classes"), "it lacks '_classes'"),
    "one": (setting(_classes=names([0, 1], "<i8")), "_classes is not a list"),
    "of few tasks": (
        setting(_classes=[names([0, 1, 2], "<i8")]),
        r"coef_ has shape \(5, 3, 3\), but there are 1 tasks of up to 3 classes",
    ),
    "too many": (
        setting(_classes=[names([0, 1, 2, 3], "<i8")] * 5),
        "5 tasks of up to 4 classes",
    ),
    "too wide together": (
        setting(_classes=[names(["a"], "<U9000000")] * 5 * 100),
        "_classes asks for more than",
    ),
}


@pytest.mark.parametrize("case", CLASSES)
def test_classes_that_do_not_fit(models, tmp_path, case):
    refuses(models["classes"], tmp_path, *CLASSES[case])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (setting(alpha_="0.1"), "alpha_ is '0.1'"),
        (setting(l2_=float("nan")), "l2_ is nan"),
        (setting(alpha_=-1.0), "alpha_ is -1.0"),
        (setting(n_components_=10**9), "n_components_ is 1000000000, and its encoder"),
        (without("classes_"), "it lacks 'classes_'"),
        (without("best_iter_"), "it lacks 'best_iter_'"),
        (setting(coef_=1), "it holds 'coef_', which no model has"),
        (
            change_tensor("head.log_scale", lambda scale: scale.repeat(2)),
            "size mismatch",
        ),
    ],
)
def test_meta_learners_that_do_not_fit(models, tmp_path, change, message):
    refuses(models["meta"], tmp_path, change, message)


def test_no_cut_and_no_flipped_byte_gives_another_error(models, tmp_path):
    est, good = models["regression"]
    whole = good.read_bytes()
    size = 8 + int.from_bytes(whole[:8], "little")
    for end in (0, 1, 7, 8, 9, size - 1, size, size + 1, len(whole) - 1):
        (tmp_path / "cut").write_bytes(whole[:end])
        with pytest.raises(ValueError, match=r"cut is not a safetensors file"):
            clone(est).load_params(tmp_path / "cut")
    rng = np.random.default_rng(0)
    for at in (*range(9), *rng.integers(8, size, 200)):
        flipped = bytearray(whole)
        flipped[at] ^= 1 << rng.integers(8)
        (tmp_path / "flipped").write_bytes(flipped)
        with pytest.raises(ValueError, match="flipped"):
            clone(est).load_params(tmp_path / "flipped")


SMALL = """
import resource, sys
from sparsedis import SparseMultiTaskRepresentation
est = SparseMultiTaskRepresentation(3, rotation=None, alpha=0.1)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sys.argv[1:]:
    try:
        est.load_params(path)
    except ValueError:
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before >> 10)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="kilobytes are Linux's")
def test_a_small_file_asks_for_little_memory(models, tmp_path):
    changes = [
        setting(input_shape_=[10**6], n_features_in_=10**6),
        setting(tasks_=names(["a"] * 2000, "<U100000")),
    ]
    paths = [tmp_path / str(number) for number in range(len(changes))]
    for path, change in zip(paths, changes, strict=True):
        craft(models["regression"][1], path, change)
    # One process for all, since it has to import torch.
    command = [sys.executable, "-c", SMALL, *map(str, paths)]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert re.fullmatch(r"(\d+\n){2}", found.stdout), found
    assert all(int(size) < 100 for size in found.stdout.split())


def test_names_that_no_file_can_hold(models, tmp_path):
    est, _ = models["regression"]
    for tasks, message in (
        (np.array(["a" * 2**24, *"bcde"]), "tasks take .* bytes, and at most"),
        (np.array([b"a", b"b"]), "tasks hold b'a', of type bytes"),
        (np.zeros(2, dtype="V1"), "tasks hold .* of type bytes"),
        (np.ones(2, dtype=complex), "tasks hold .* of type complex"),
    ):
        copy = clone(est)
        vars(copy).update(vars(est), tasks_=tasks)
        with pytest.raises(ValueError, match=message):
            copy.save_params(tmp_path / "never")
    assert not (tmp_path / "never").exists()


@pytest.mark.parametrize(
    "tasks",
    [
        np.array(list("abcde"), dtype="U50"),
        np.arange(5).astype("M8[ns]"),
        np.arange(5).astype(">u2"),
        np.arange(5) / 7,
        np.array([1, 2.5, "x", None, True], dtype=object),
        np.array(["a" * 2**22, *"bcde"], dtype=object),
    ],
)
def test_names_of_all_kinds_come_back(models, tmp_path, tasks):
    est, _ = models["regression"]
    copy = clone(est)
    vars(copy).update(vars(est), tasks_=tasks)
    copy.save_params(tmp_path / "model")
    loaded = clone(est).load_params(tmp_path / "model")
    assert loaded.tasks_.dtype == tasks.dtype
    assert loaded.tasks_.tolist() == tasks.tolist()
