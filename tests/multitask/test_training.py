"""Training: splits, stopping, resuming, and errors."""

import pickle
import warnings

import h5py
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback, GradientNormClipping
from torch import nn
from torch.nn.utils import parameters_to_vector
from torch.utils.data import DataLoader, TensorDataset

from sparsedis import (
    SparseMultiTaskClassifier,
    SparseMultiTaskMixed,
    SparseMultiTaskRepresentation,
)
from sparsedis.datasets import SparseTaskModel, SparseTaskStream, make_sparse_tasks
from sparsedis.encoders import MLP
from sparsedis.inputs._rows import distinct_rows
from sparsedis.metrics import mean_correlation_coefficient

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]

# After a few steps features are not used, or not to be trusted.
pytestmark = pytest.mark.filterwarnings(
    "ignore:(No head|.* may not be|The encoder overfits|A separate Ridge):UserWarning"
)


@pytest.fixture(scope="module")
def data():
    return make_sparse_tasks(150, 12, n_factors=4, return_bunch=True, random_state=0)


def linear(input_shape, n_components):
    return nn.Linear(*input_shape, n_components)


def quick(cls=SparseMultiTaskRepresentation, **params):
    defaults = {
        "n_components": 4,
        "rotation": None,
        "max_iter": 5,
        "random_state": 0,
        "alpha": 0.1,
    }
    return cls(**(defaults | params))


# Inner and outer samples


@pytest.mark.parametrize("gaps", [0.0, 0.3, 0.93])
@pytest.mark.parametrize(
    "cls", [SparseMultiTaskRepresentation, SparseMultiTaskClassifier]
)
def test_samples_can_be_split(data, cls, gaps):
    Y = data.target.copy()
    Y[np.random.RandomState(0).uniform(size=Y.shape) < gaps] = np.nan
    if cls is SparseMultiTaskClassifier:
        Y = np.where(np.isnan(Y), np.nan, Y > 0)
    with warnings.catch_warnings():
        # Few labels may be of one class.
        warnings.filterwarnings("ignore", ".* tasks have a single class", UserWarning)
        est = quick(cls, inner_fraction=0.5).fit(data.data, Y)
    assert np.isfinite(est.history_["loss"]).all()


def test_split_samples_disentangle():
    model = SparseTaskModel(4, mixing="linear", random_state=0)
    stream = SparseTaskStream(model, n_tasks=40, n_samples=60, random_state=0)
    X, factors = model.sample(2000, random_state=1)
    est = SparseMultiTaskRepresentation(
        4,
        rotation=None,
        inner_fraction=0.5,
        encoder=linear,
        max_iter=120,
        lr=0.05,
        random_state=0,
    )
    codes = est.fit_stream(stream).transform(X)
    assert mean_correlation_coefficient(factors, codes) > 0.97


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


def test_too_few_samples_to_split(data):
    est = quick(inner_fraction=0.5)
    y = np.full((150, 12), np.nan)
    y[np.arange(12), np.arange(12)] = 1.0
    with pytest.raises(ValueError, match="got at most one for each task"):
        est.fit(data.data, y)
    # Both labels of each task are those of one input.
    twice = np.r_[data.data[:12], data.data[:12]], np.r_[y[:12], 2 * y[:12]]
    with pytest.raises(ValueError, match=r"no task had 2 labels in two"):
        quick(inner_fraction=0.5, task_batch_size=1).fit(*twice)
    with pytest.raises(ValueError, match="some task of step 0 must have at least 2"):
        est.fit_stream([(data.data, y)])


# A learned penalty


def test_a_learned_penalty_leaves_what_does_not_generalise():
    # Few samples and much noise: heads must be sparser than where they start.
    model = SparseTaskModel(8, mixing="linear", random_state=0)
    learned = {}
    for noise in (0.0, 3.0):
        stream = SparseTaskStream(
            model, n_tasks=30, n_samples=30, noise_ratio=noise, random_state=0
        )
        est = SparseMultiTaskRepresentation(
            8,
            rotation=None,
            alpha=0.2,
            learn_alpha=True,
            inner_fraction=0.5,
            encoder=Fixed(),
            normalization=None,
            max_iter=40,
            lr=0.2,
            random_state=0,
        )
        est.fit_stream(stream)
        learned[noise] = est.learned_alpha_
        np.testing.assert_allclose(est.history_["alpha"][0], 0.2, rtol=1e-3)
    assert learned[0.0] < 0.1 < 0.3 < learned[3.0]
    # New heads use it.
    X, _ = model.sample(100, random_state=0)
    y = np.random.RandomState(0).normal(size=100)
    assert est.adapt(X, y).alpha_[0] == pytest.approx(
        est.adapt(X, y, alpha=learned[3.0]).alpha_[0]
    )


class Fixed(nn.Module):
    """The inputs, of a weight that hardly matters."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, rows):
        return rows + 0.0 * self.scale


def test_a_penalty_is_learned_on_fixed_features(data):
    params = {"alpha": 0.2, "learn_alpha": True, "inner_fraction": 0.5, "lr": 0.05}
    params |= {"n_components": 4, "normalization": None, "max_iter": 20}
    fixed = quick(encoder="identity", **params).fit(data.data, data.target)
    hardly = quick(encoder=Fixed(), **params).fit(data.data, data.target)
    assert fixed.n_iter_ == 20
    assert fixed.learned_alpha_ == pytest.approx(hardly.learned_alpha_, rel=1e-3)
    np.testing.assert_allclose(fixed.transform(data.data), data.data)


def test_weight_decay_spares_a_penalty_that_is_learned(data):
    params = {"alpha": 0.2, "learn_alpha": True, "inner_fraction": 0.5, "max_iter": 1}
    decayed, free = (
        quick(weight_decay=decay, **params).fit(data.data, data.target)
        for decay in (10.0, 0.0)
    )
    assert decayed.learned_alpha_ == free.learned_alpha_
    weights = (next(est.module_.parameters()) for est in (decayed, free))
    assert not torch.equal(*weights)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"inner_fraction": 0.5, "alpha_mode": "absolute"},
        {"inner_fraction": 0.5, "alpha": np.full(12, 0.1)},
    ],
)
def test_a_penalty_that_cannot_be_learned(data, params):
    with pytest.raises(ValueError, match="learn_alpha=True needs inner_fraction"):
        quick(learn_alpha=True, **params).fit(data.data, data.target)


# Stopping and resuming


def test_early_stopping_keeps_the_best_weights(data, rotation):
    # More weights than samples: training soon makes things worse.
    rng = np.random.RandomState(0)
    X = rng.normal(size=(120, 30))
    Y = X[:, :2] @ rng.normal(size=(2, 15)) + 3 * rng.normal(size=(120, 15))
    params = {"n_components": 8, "rotation": rotation, "max_iter": 400, "lr": 0.01}
    if rotation is not None:
        params |= {"alpha": "auto", "weight_decay": 0.0}
    est = quick(early_stopping=True, n_iter_no_change=3, **params).fit(X, Y)
    valid = est.history_["valid_loss"]
    ends = np.flatnonzero(~np.isnan(valid))
    np.testing.assert_array_equal(ends, np.arange(19, est.n_iter_, 20))
    assert est.n_iter_ < 400
    best = 0
    for i, loss in enumerate(valid[ends]):
        # By less than a ten-thousandth is no improvement.
        best = i if loss < (1 - 1e-4) * valid[ends[best]] else best
    assert len(ends) - 1 - best == 3
    # The weights are those after the best epoch: training stopped there, by hand.
    best = ends[best] + 1

    class Stop(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if net.n_steps_ == best:
                raise KeyboardInterrupt

    by_hand = quick(early_stopping=True, callbacks=[Stop()], **params).fit(X, Y)
    one, other = (
        (e.module_ if rotation is None else e.module_.representation)(
            torch.from_numpy(X).float()
        )
        for e in (est, by_hand)
    )
    torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


def lazy(input_shape, n_components):
    return nn.Sequential(nn.LazyLinear(8), nn.LazyBatchNorm1d(), nn.LazyLinear(2))


class Noting(nn.Linear):
    """Linear encoder that adds a buffer in the first step."""

    def __init__(self, input_shape, n_components):
        super().__init__(*input_shape, n_components)

    def forward(self, X):
        if self.training:
            self.register_buffer("scale", X.std(0))
        return super().forward(X)


@pytest.mark.parametrize("encoder", ["auto", lazy, Noting])
def test_early_stopping_keeps_a_moving_mean_of_the_weights(data, encoder):
    steps = []

    class Record(Callback):
        def on_batch_end(self, net, training=False, **kwargs):
            if training:
                weights = net.module_.parameters()
                steps.append(parameters_to_vector(weights).detach().clone())

    params = {"n_components": 2, "encoder": encoder, "early_stopping": True}
    est = quick(**params, max_iter=60, callbacks=[Record()]).fit(data.data, data.target)
    valid = est.history_["valid_loss"]
    mean = steps[0]
    for i in range(1, np.nanargmin(valid) + 1):
        mean = mean + (steps[i] - mean) / min(1 + (i + 1) // 10, 20)
    kept = parameters_to_vector(est.module_.parameters())
    torch.testing.assert_close(kept.detach(), mean, atol=1e-6, rtol=1e-5)


def test_early_stopping_in_every_form_of_labels(data, rotation):
    for gaps in (0.0, 0.9):
        Y = data.target[:, :6].copy()
        Y[np.random.RandomState(0).uniform(size=Y.shape) < gaps] = np.nan
        params = {"n_components": 2, "rotation": rotation, "early_stopping": True}
        params["validation_fraction"] = 0.1
        est = quick(**params, max_iter=45).fit(data.data, Y)
        assert np.isfinite(est.history_["valid_loss"][[19, 39, 44]]).all()
        classes = np.where(np.isnan(Y), np.nan, Y > 0)
        est = quick(SparseMultiTaskClassifier, **params, max_iter=25)
        est.fit(data.data, classes)
        assert np.isfinite(est.history_["valid_loss"][[19, 24]]).all()


def test_too_few_rows_to_validate(data):
    Y = np.full((20, 20), np.nan)
    Y[np.arange(20), np.arange(20)] = 1.0
    Y[np.arange(20), np.arange(20) - 1] = 2.0
    with pytest.raises(ValueError, match=r"validation_fraction=0.2 of 20 rows leaves"):
        quick(early_stopping=True).fit(data.data[:20], Y)


def test_a_warm_start_goes_on(data, rotation):
    est = quick(
        rotation=rotation,
        warm_start=True,
        max_iter=20,
        lr_schedule="constant",
        alpha_warmup=0.0,
    )
    first = est.fit(data.data, data.target).history_["loss"]
    second = est.fit(data.data, data.target).history_["loss"]
    assert second[0] == pytest.approx(first[-1], rel=0.1)
    assert second[0] < first[0] / 5
    cold = clone(est).fit(data.data, data.target)
    np.testing.assert_array_equal(cold.history_["loss"], first)
    with pytest.raises(ValueError, match=r"X has 3 features, but .* expecting 4"):
        est.fit(data.data[:, :3], data.target)


@pytest.mark.parametrize(
    "change", [{"n_components": 2}, {"normalization": None}, {"rotation": None}]
)
def test_a_warm_start_keeps_what_the_weights_are_for(data, change):
    est = quick(rotation="sparsest", warm_start=True).fit(data.data, data.target)
    before = est.transform(data.data)
    [(name, value)] = change.items()
    with pytest.raises(ValueError, match=rf"{name}=.*, got {name}={value}: set warm"):
        est.set_params(**change).fit(data.data, data.target)
    np.testing.assert_array_equal(est.transform(data.data), before)
    est.set_params(warm_start=False, early_stopping=False)
    est.fit(data.data, data.target)
    assert getattr(est, name) == value


@pytest.mark.parametrize(
    ("first", "then", "got"),
    [
        ("auto", "identity", "encoder='auto', got encoder='identity'"),
        ("auto", MLP, r"encoder='auto', got encoder=<class .*MLP'>"),
        (nn.Linear(4, 4), nn.Linear(4, 4), r"Linear\(.*\), got another"),
    ],
)
def test_a_warm_start_keeps_its_encoder(data, first, then, got):
    est = quick(encoder=first, warm_start=True).fit(data.data, data.target)
    est = pickle.loads(pickle.dumps(est)).fit(data.data, data.target)
    with pytest.raises(ValueError, match=rf"{got}: set warm_start=False"):
        est.set_params(encoder=then).fit(data.data, data.target)
    clone(est).fit(data.data, data.target)


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


def test_streams_take_lists(data):
    X, Y = data.data, data.target
    loader = DataLoader(TensorDataset(torch.tensor(X), torch.tensor(Y)), batch_size=50)
    est = quick().fit_stream(loader)
    other = quick().fit_stream((X[i : i + 50], Y[i : i + 50]) for i in [0, 50, 100] * 2)
    np.testing.assert_array_equal(est.transform(X), other.transform(X))


# Gradients and numbers


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


# Inputs that do not fit in memory


@pytest.fixture(scope="module")
def in_memory(data, rotation):
    """A table, and an estimator that was fitted to it in memory."""
    # In memory, rows are put in an order of their own.
    order, _ = distinct_rows(data.data)
    X, Y = data.data[order].astype(np.float32), data.target[order]
    return X, Y, quick(rotation=rotation).fit(X, Y)


@pytest.mark.parametrize("kind", ["memory map", "hdf5", "dataset"])
def test_inputs_are_read_on_demand(in_memory, kind, tmp_path, rotation):
    X, Y, expected = in_memory
    if kind == "memory map":
        np.save(tmp_path / "x.npy", X)
        lazy = np.load(tmp_path / "x.npy", mmap_mode="r")
    elif kind == "hdf5":
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file["x"] = X
        lazy = h5py.File(tmp_path / "x.h5")["x"]
    else:
        lazy = TensorDataset(torch.from_numpy(X))
    est = quick(rotation=rotation).fit(lazy, Y)
    np.testing.assert_array_equal(est.transform(lazy), expected.transform(X))
    np.testing.assert_array_equal(est.predict(lazy), expected.predict(X))
    assert est.score(lazy, Y) == expected.score(X, Y)
    assert est.n_features_in_ == 4
    if kind == "hdf5":
        lazy.file.close()


# Model selection


def test_a_search_shows_its_progress(data, capsys):
    from sklearn.callback import ProgressBar

    search = GridSearchCV(quick(), {"alpha": [0.1, 0.5]}, cv=2)
    search.set_callbacks(ProgressBar())
    search.fit(data.data, data.target)
    shown = capsys.readouterr().out
    assert "GridSearchCV" in shown
    assert "SparseMultiTaskRepresentation" in shown


def test_identifiability_of_the_heads(data):
    est = quick(encoder="identity", normalization=None, alpha=0.4)
    Y = data.target.copy()
    est.fit(data.factors, Y)
    report = est.identifiability(random_state=0)
    np.testing.assert_array_equal(report.supports, est.support_)
    assert report.verdict in ("holds", "undecidable")
    alone = est.adapt(data.factors, Y[:, :1])
    assert alone.identifiability(random_state=0).verdict == "fails"


def test_features_have_names(data, rotation):
    plain = quick(rotation=rotation).fit(data.data, data.target)
    est = quick(rotation=rotation).set_output(transform="pandas")
    est.fit(data.data, data.target)
    np.testing.assert_array_equal(est.predict(data.data), plain.predict(data.data))
    assert est.score(data.data, data.target) == plain.score(data.data, data.target)
    names = [f"sparsemultitaskrepresentation{j}" for j in range(4)]
    assert est.transform(data.data).columns.tolist() == names
    assert est.get_feature_names_out().tolist() == names


# The encoder of tables


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
