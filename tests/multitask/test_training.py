"""Arithmetic and errors of the training."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch.callbacks import Callback, GradientNormClipping
from torch import nn

from sparsedis import (
    SparseMultiTaskClassifier,
    SparseMultiTaskMixed,
    SparseMultiTaskRepresentation,
)
from sparsedis.datasets import make_sparse_tasks
from tests.multitask._few_steps import quick

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]

# After a few steps features are not used, or not to be trusted.
pytestmark = pytest.mark.filterwarnings(
    "ignore:(No head|.* may not be|The encoder overfits|A separate Ridge):UserWarning"
)


@pytest.fixture(scope="module")
def data():
    return make_sparse_tasks(150, 12, n_factors=4, return_bunch=True, random_state=0)


@pytest.mark.parametrize("cls", [SparseMultiTaskRepresentation, SparseMultiTaskMixed])
@pytest.mark.parametrize("rotation", ["sparsest", None])
def test_names_of_rows_are_no_tasks(data, cls, rotation):
    est = cls(n_components=2, rotation=rotation, max_iter=3, random_state=0)
    with pytest.raises(ValueError, match="name the task of each row, not the row"):
        est.fit(data.data, data.target[:, 0], task=np.arange(150))
    # Those that teach nothing do not count.
    task = np.minimum(np.arange(150), 99)
    with pytest.raises(ValueError, match="two labels of a task to learn from"):
        est.fit(data.data, data.target[:, 0], task=task, task_weight={99: 0})


def test_an_encoder_that_keeps_the_inputs_leaves_nothing_to_count(data):
    est = quick(encoder="identity", n_components="auto", rotation=None)
    assert est.fit(data.data, data.target).n_components_ == data.data.shape[1]


@pytest.mark.parametrize("device", ["gpu", "cuda:99", torch.device("cuda:99")])
@pytest.mark.parametrize("fitted", [False, True])
def test_devices_that_are_not_there(data, device, fitted):
    est = quick()
    if fitted:
        est.fit(data.data, data.target)
    est.set_params(device=device)
    use = est.transform if fitted else lambda X: est.fit(X, data.target)
    with pytest.raises(ValueError, match=r"device must be 'auto', .*; got .*(gpu|99)"):
        use(data.data)


def test_infinite_penalties_are_named(data):
    est = quick(alpha=[0.1] * 11 + [np.inf], alpha_mode="absolute")
    with pytest.raises(ValueError, match=r"alpha must be finite.*, got inf"):
        est.fit(data.data, data.target)


def test_gradients_can_be_clipped(data):
    norms = []

    class Norm(Callback):
        def on_grad_computed(self, net, named_parameters, **kwargs):
            total = sum(p.grad.square().sum() for _, p in named_parameters)
            norms.append(float(total) ** 0.5)

    callbacks = [GradientNormClipping(0.01), Norm()]
    quick(callbacks=callbacks).fit(data.data, data.target)
    assert len(norms) == 5
    np.testing.assert_allclose(norms, 0.01, rtol=1e-3)


@pytest.mark.parametrize("device", DEVICES)
def test_the_encoder_alone_computes_in_bfloat16(data, device):
    seen = []

    class Encoder(nn.Linear):
        def forward(self, rows):
            features = super().forward(rows)
            seen.append((features.dtype, self.training, self.weight.dtype))
            return features

    def make(input_shape, n_components):
        return Encoder(*input_shape, n_components)

    est = quick(encoder=make, precision="bfloat16", device=device)
    est.fit(data.data, data.target)
    assert {entry[:2] for entry in seen} == {
        (torch.bfloat16, True),
        (torch.float32, False),
        (torch.float64, False),
    }
    assert all(dtype == torch.float32 for _, training, dtype in seen if training)
    plain = quick(encoder=make, device=device).fit(data.data, data.target)
    np.testing.assert_allclose(est.history_["loss"], plain.history_["loss"], rtol=0.05)


class Explodes(nn.Linear):
    """Returns NaN from the 31st step on."""

    steps = 0

    def forward(self, rows):
        self.steps += self.training
        explodes = self.training and self.steps > 30
        return super().forward(rows) + (torch.nan if explodes else 0.0)


@pytest.mark.parametrize("form", ["table", "stream"])
def test_after_a_loss_that_is_not_finite_the_last_good_weights_stand(
    data, form, tmp_path, rotation
):
    X, Y = data.data, data.target
    est = quick(
        rotation=rotation,
        early_stopping=False,
        encoder=lambda shape, k: Explodes(*shape, k),
        max_iter=100,
        lr_schedule="constant",
        alpha_warmup=0.0,
    )
    arguments = {"table": (X, Y), "stream": ([(X, Y)],)}[form]
    method = {"table": "fit", "stream": "fit_stream"}[form]
    with pytest.raises(ValueError, match=r"at step 30: lower lr \(now 0.004\), clip"):
        getattr(est, method)(*arguments)
    codes = est.transform(X)
    assert np.isfinite(codes).all()
    # They gave the last finite loss, that of the 30th step.
    before = clone(est).set_params(max_iter=29)
    getattr(before, method)(*arguments)
    # There is no rotation by weights that did not see the end.
    trained = before.module_ if rotation is None else before.module_.representation
    expected = trained(torch.from_numpy(X).float()).detach().numpy()
    np.testing.assert_allclose(codes, expected, atol=1e-5)
    with pytest.raises(AttributeError, match="failed fit leaves no heads"):
        est.predict(X)
    assert est.adapt(X, Y).coef_.shape == (12, 4)
    est.save_params(tmp_path / "model")
    loaded = clone(est).load_params(tmp_path / "model")
    np.testing.assert_array_equal(loaded.transform(X), codes)


class Detached(nn.Linear):
    def forward(self, rows):
        return super().forward(rows).detach()


def test_an_encoder_without_gradient(data):
    with pytest.raises(ValueError, match="features without a gradient"):
        quick(encoder=lambda shape, k: Detached(*shape, k)).fit(data.data, data.target)


def test_penalties_that_do_not_fit(data):
    X, Y = data.data, data.target
    for params, message in [
        ({"alpha": np.full(3, 0.1)}, r"one for each of the 12 tasks, got shape \(3,\)"),
        ({"alpha": np.append(np.full(11, 0.1), 1.5)}, r"in \(0, 1\] .* got 1.5"),
        ({"alpha": np.full(12, -0.1), "alpha_mode": "absolute"}, "not negative"),
        ({"penalty_at": "outer", "penalty": "l2"}, "requires penalty='l1'"),
        ({"learn_alpha": True, "inner_fraction": 0.5, "alpha": 1.0}, "below 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            quick(**params).fit(X, Y)
    with pytest.raises(ValueError, match="alpha must be a number in fit_stream"):
        quick(alpha=np.full(12, 0.1)).fit_stream([(X, Y)])


@pytest.mark.parametrize("encoder", ["auto", "mlp"])
@pytest.mark.parametrize("rotation", [None, "sparsest"])
@pytest.mark.parametrize(
    "cls", [SparseMultiTaskRepresentation, SparseMultiTaskClassifier]
)
def test_features_of_classes_may_be_linear(data, cls, rotation, encoder):
    X, y = data.data, data.target
    y = y > 0 if cls is SparseMultiTaskClassifier else y
    est = quick(cls, rotation=rotation, encoder=encoder).fit(X, y)
    has_inputs = encoder == "auto" and rotation and cls is SparseMultiTaskClassifier
    module = getattr(est.module_, "representation", est.module_)
    assert module.encoder[-1].in_features == 256 + bool(has_inputs) * X.shape[1]
