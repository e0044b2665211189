"""Contents of the files of models with any encoder, without shared state."""

import io
from filecmp import cmp

import numpy as np
import pytest
import torch
from safetensors.torch import load, load_file
from sklearn.base import clone
from torch import nn

from sparsedis import (
    GroupLassoSVMMetaLearner,
    SparseMultiTaskClassifier,
    SparseMultiTaskRepresentation,
)
from sparsedis.datasets import make_sparse_tasks

# A few steps do not use every feature with every task.
pytestmark = pytest.mark.filterwarnings("ignore:No head uses features:UserWarning")


@pytest.fixture(scope="module")
def data():
    return make_sparse_tasks(150, 20, n_factors=3, return_bunch=True, random_state=0)


def fit(data, **params):
    params = {"rotation": None, "alpha": 0.1, "max_iter": 3, "random_state": 0} | params
    return SparseMultiTaskRepresentation(3, **params).fit(data.data, data.target)


def save_and_load(estimator, path):
    estimator.save_params(path)
    return clone(estimator).load_params(path)


@pytest.mark.parametrize(
    ("params", "other"),
    [
        ({}, {"alpha": 0.3}),
        ({"alpha": np.linspace(0.1, 0.5, 20)}, {"alpha": np.linspace(0.1, 0.6, 20)}),
        ({"alpha": np.linspace(0.1, 0.5, 20).tolist()}, {"alpha": 0.1}),
        ({"refit": "lasso"}, {"refit": "relaxed"}),
        ({"alpha_mode": "absolute"}, {"alpha_mode": "relative"}),
        ({"penalty": "elasticnet"}, {"penalty": "l1"}),
        ({"penalty": "elasticnet", "l2": 0.5}, {"l2": 0.01}),
        ({"penalty_at": "outer"}, {"penalty_at": "inner"}),
        ({"fit_intercept": False}, {"fit_intercept": True}),
        ({"normalize_y": False}, {"normalize_y": True}),
    ],
)
def test_new_heads_are_those_of_the_saved_estimator(data, params, other, tmp_path):
    est = fit(data, **params)
    copy = save_and_load(est, tmp_path / "model")
    one, two = (e.adapt(data.data, data.target**2) for e in (est, copy))
    np.testing.assert_array_equal(one.coef_, two.coef_)
    # Otherwise they would be others, and nobody would know.
    unlike = clone(est).set_params(**other)
    with pytest.raises(ValueError, match=f"was saved with {next(iter(other))}="):
        unlike.load_params(tmp_path / "model")
    # What does not matter to them may differ.
    clone(est).set_params(max_iter=9, lr=0.1, verbose=1).load_params(tmp_path / "model")


@pytest.mark.filterwarnings("ignore:(.* may not be|The encoder overfits):UserWarning")
@pytest.mark.parametrize("n_components", ["auto", 2])
def test_rotated_models_come_back(data, n_components, tmp_path):
    est = SparseMultiTaskRepresentation(n_components, max_iter=3, random_state=0)
    est.fit(data.data, data.target)
    copy = save_and_load(est, tmp_path / "model")
    assert copy.n_components_ == est.n_components_
    np.testing.assert_array_equal(copy.predict(data.data), est.predict(data.data))
    one, two = (e.adapt(data.data, data.target**2) for e in (est, copy))
    np.testing.assert_array_equal(one.coef_, two.coef_)
    for other in ({"selection": "cv"}, {"rotation": None}, {"n_components": 3}):
        with pytest.raises(ValueError, match=f"was saved with {next(iter(other))}="):
            clone(est).set_params(**other).load_params(tmp_path / "model")


@pytest.mark.parametrize("kind", ["regression", "classes", "meta"])
def test_files_in_memory(data, kind, tmp_path):
    X = data.data
    if kind == "regression":
        est = fit(data)
    elif kind == "classes":
        est = SparseMultiTaskClassifier(3, rotation=None, max_iter=3, random_state=0)
        est.fit(X, data.target > 0)
    else:
        est = GroupLassoSVMMetaLearner("mlp", n_ways=3, max_iter=1, random_state=0)
        est.fit(X, np.arange(150) % 5)
    buffer = io.BytesIO()
    est.save_params(buffer)
    buffer.seek(0)
    copy = clone(est).load_params(buffer)
    np.testing.assert_array_equal(copy.transform(X), est.transform(X))
    # The same model is the same file.
    est.save_params(tmp_path / "model")
    copy.save_params(tmp_path / "again")
    (tmp_path / "buffer").write_bytes(buffer.getvalue())
    assert cmp(tmp_path / "model", tmp_path / "buffer", shallow=False)
    assert cmp(tmp_path / "again", tmp_path / "buffer", shallow=False)
    assert load_file(tmp_path / "model").keys() == load(buffer.getvalue()).keys()
    with pytest.raises(ValueError, match="The BytesIO is not a safetensors file"):
        copy.load_params(buffer)  # it stands at its end


def test_a_loaded_model_does_not_follow_its_file(data, tmp_path):
    path = tmp_path / "model"
    est = fit(data)
    est.save_params(path)
    copy = clone(est).load_params(path)
    with open(path, "r+b") as file:  # in place, as rsync --inplace writes
        file.write(bytes(path.stat().st_size))
    np.testing.assert_array_equal(copy.predict(data.data), est.predict(data.data))
    with open(path, "wb"):
        pass
    np.testing.assert_array_equal(copy.predict(data.data), est.predict(data.data))
    with pytest.raises(ValueError, match="model is not a safetensors file"):
        copy.load_params(path)


@pytest.mark.parametrize(
    "dtype", [torch.bfloat16, torch.float16, torch.float64, torch.float8_e4m3fn]
)
def test_weights_of_all_dtypes_are_saved(data, dtype, tmp_path):
    class Low(nn.Linear):
        def __init__(self, shape, n_components):
            super().__init__(*shape, n_components)
            self.register_buffer("low", torch.linspace(1, 2, 7).to(dtype))
            self.register_buffer("scale", torch.tensor(2.0, dtype=dtype))

    est = fit(data, encoder=Low)
    copy = save_and_load(est, tmp_path / "model")
    for name in ("low", "scale"):
        one, other = (getattr(e.module_.encoder, name) for e in (est, copy))
        assert other.dtype == dtype
        assert torch.equal(one.float(), other.float())


def test_other_state_than_tensors_is_refused(data, tmp_path):
    class Extra(nn.Linear):
        def get_extra_state(self):
            return "text"

        def set_extra_state(self, state):
            pass

    for encoder, message in (
        (Extra(3, 3), "has state encoder._extra_state, of str, but only dense"),
        (nn.Linear(3, 3), "has state encoder.odd, of torch.complex128, but only"),
    ):
        if "odd" in message:
            encoder.register_buffer("odd", torch.zeros(2, dtype=torch.complex128))
        est = fit(data, encoder=encoder, max_iter=1)
        with pytest.raises(ValueError, match=message):
            est.save_params(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


class Computed(nn.Linear):
    """It cannot be created without memory, and has a table that is not in its state."""

    def __init__(self, shape, n_components):
        super().__init__(*shape, n_components)
        scale = torch.full((3,), 2.0)
        assert scale.sum().item() == 6
        self.register_buffer("scale", scale, persistent=False)

    def forward(self, rows):
        return super().forward(rows * self.scale)


@pytest.mark.parametrize(
    "encoder",
    [
        Computed,
        lambda shape, k: nn.Sequential(nn.Flatten(), nn.LazyLinear(k)),
        nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)),
    ],
)
def test_encoders_of_other_people_come_back(data, encoder, tmp_path):
    est = fit(data, encoder=encoder)
    copy = save_and_load(est, tmp_path / "model")
    np.testing.assert_array_equal(copy.predict(data.data), est.predict(data.data))


def test_encoders_of_images_come_back(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (30, 16, 16, 3), dtype=np.uint8)
    y = np.arange(30) % 3
    meta = GroupLassoSVMMetaLearner(
        "conv4", n_ways=2, n_shots=2, n_queries=2, max_iter=1, random_state=0
    ).fit(X, y)
    est = SparseMultiTaskClassifier(
        3, rotation=None, alpha=0.4, encoder="conv", max_iter=1, random_state=0
    )
    for model in (meta, est.fit(X, y)):
        copy = save_and_load(model, tmp_path / "model")
        np.testing.assert_array_equal(copy.transform(X), model.transform(X))
        weights = zip(
            copy.module_.parameters(), model.module_.parameters(), strict=True
        )
        assert all(one.stride() == other.stride() for one, other in weights)


@pytest.mark.parametrize("trained", [None, "sparsest"])
# A few steps on few tasks do not find the factors.
@pytest.mark.filterwarnings("ignore:.* may not be factors:UserWarning")
def test_parameters_that_are_set_after_a_fit_are_not_those_of_its_weights(
    data, trained, tmp_path
):
    X, Y = data.data, data.target
    est = fit(data, rotation=trained, alpha="auto")
    like, adapted = clone(est), est.adapt(X, Y[:, :3])
    expected = est.predict(X)
    other = None if trained else "sparsest"
    est.set_params(n_components=9, normalization="layer", rotation=other)
    np.testing.assert_array_equal(est.predict(X), expected)
    # New heads are fitted as the representation asks for.
    again = est.set_params(penalty=adapted.penalty).adapt(X, Y[:, :3])
    np.testing.assert_array_equal(again.support_.shape, adapted.support_.shape)
    if trained:
        np.testing.assert_array_equal(again.coef_, adapted.coef_)
    est.save_params(tmp_path / "model")
    with pytest.raises(ValueError, match="was saved with n_components=3"):
        clone(est).load_params(tmp_path / "model")
    loaded = like.load_params(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict(X), expected)
    # A file of what was loaded is the same.
    loaded.set_params(n_components=5).save_params(tmp_path / "again")
    loaded.set_params(n_components=3).load_params(tmp_path / "again")
    np.testing.assert_array_equal(loaded.predict(X), expected)
