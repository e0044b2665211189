"""The estimator: what it learns, what it returns, what it refuses."""

import copy
import pickle
import warnings
from itertools import islice, product

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import config_context
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from sparsedis import SparseMultiTaskClassifier, SparseMultiTaskRepresentation
from sparsedis.datasets import SparseTaskModel, SparseTaskStream, make_sparse_tasks
from sparsedis.metrics import (
    linear_r_score,
    make_disentanglement_scorer,
    mean_correlation_coefficient,
)
from sparsedis.tasks import TaskBatch

# After a few steps features are not to be trusted.
pytestmark = pytest.mark.filterwarnings(
    "ignore:(.* may not be factors|The encoder overfits|A separate Ridge):UserWarning"
)

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.fixture(scope="module")
def data():
    return make_sparse_tasks(
        n_samples=200, n_tasks=30, n_factors=4, return_bunch=True, random_state=0
    )


@pytest.fixture(scope="module")
def fitted(data, rotation):
    est = SparseMultiTaskRepresentation(
        n_components=4,
        rotation=rotation,
        alpha=0.2 if rotation is None else "auto",
        max_iter=60,
        random_state=0,
    )
    return est.fit(data.data, data.target)


def linear(input_shape, n_components):
    return nn.Linear(*input_shape, n_components)


def quick(**params):
    defaults = {
        "n_components": 4,
        "rotation": None,
        "max_iter": 5,
        "random_state": 0,
        "alpha": 0.05,
    }
    return SparseMultiTaskRepresentation(**(defaults | params))


# What it learns


@pytest.mark.parametrize("device", DEVICES)
def test_sparse_heads_disentangle_where_dense_ones_do_not(device):
    model = SparseTaskModel(5, mixing="linear", rho=0.5, random_state=0)
    stream = SparseTaskStream(model, n_tasks=60, n_samples=60, random_state=0)
    X, factors = model.sample(2000, random_state=1)
    codes = {
        penalty: SparseMultiTaskRepresentation(
            n_components=5,
            rotation=None,
            penalty=penalty,
            alpha=0.4,
            encoder=linear,
            max_iter=100,
            lr=0.06,
            device=device,
            random_state=0,
        )
        .fit_stream(stream)
        .transform(X)
        for penalty in ("l1", "l2")
    }
    # Both find the span of the factors; only sparsity finds the factors.
    assert linear_r_score(factors, codes["l1"]) > 0.98
    assert linear_r_score(factors, codes["l2"]) > 0.98
    mcc = {p: mean_correlation_coefficient(factors, codes[p]) for p in codes}
    assert mcc["l1"] > 0.97
    assert mcc["l2"] < mcc["l1"] - 0.05


def test_fit_learns_the_factors_from_a_table():
    data = make_sparse_tasks(
        n_samples=600, n_tasks=120, n_factors=4, return_bunch=True, random_state=1
    )
    est = SparseMultiTaskRepresentation(
        n_components=4,
        rotation=None,
        alpha=0.4,
        encoder=linear,
        max_iter=200,
        lr=0.03,
        random_state=0,
    )
    codes = est.fit_transform(data.data, data.target)
    assert mean_correlation_coefficient(data.factors, codes) > 0.97
    # Heads on the factors themselves do no better.
    ideal = SparseMultiTaskRepresentation(
        n_components=4, rotation=None, alpha=0.4, encoder="identity"
    )
    ideal.fit(data.factors, data.target)
    assert est.score(data.data, data.target) > (
        ideal.score(data.factors, data.target) - 0.01
    )
    assert ideal.n_iter_ == 0  # there was nothing to train


def test_classes_disentangle_too():
    data = make_sparse_tasks(
        n_samples=800, n_tasks=100, n_factors=4, return_bunch=True, random_state=0
    )
    est = SparseMultiTaskClassifier(
        4,
        rotation=None,
        alpha=0.2,
        encoder=linear,
        max_iter=75,
        task_batch_size=25,
        lr=0.04,
        random_state=0,
    )
    codes = est.fit_transform(data.data, data.target > 0)
    assert mean_correlation_coefficient(data.factors, codes) > 0.97
    assert est.score(data.data, data.target > 0) > 0.94


def test_vectors_disentangle_too():
    # Outputs of a task share their support.
    rng = np.random.RandomState(0)
    factors = rng.normal(size=(500, 4))
    supports = rng.uniform(size=(60, 1, 4)) < 0.5
    supports[~supports.any(-1)[:, 0], :, 0] = True
    coef = supports * rng.normal(size=(60, 3, 4))
    X = factors @ rng.normal(size=(4, 4))
    Y = np.einsum("nk,tck->ntc", factors, coef)
    est = SparseMultiTaskRepresentation(
        4, rotation=None, encoder=linear, max_iter=250, lr=0.02, random_state=0
    )
    codes = est.fit_transform(X, Y)
    assert mean_correlation_coefficient(factors, codes) > 0.97
    assert est.score(X, Y) > 0.95


# Heads


def test_the_unit_of_a_target_changes_nothing_but_its_head(data):
    X, Y = data.data, data.target
    scale = 10.0 ** np.arange(-15, 15)
    plain = quick(alpha=0.2).fit(X, Y)
    scaled = quick(alpha=0.2).fit(X, Y * scale)
    np.testing.assert_allclose(plain.transform(X), scaled.transform(X), atol=1e-3)
    np.testing.assert_array_equal(plain.support_, scaled.support_)
    np.testing.assert_allclose(
        plain.predict(X), scaled.predict(X) / scale, rtol=1e-3, atol=1e-3
    )


def test_without_intercept_heads_pass_through_zero(data):
    est = quick(fit_intercept=False).fit(data.data, data.target)
    np.testing.assert_array_equal(est.intercept_, 0)


def test_heads_belong_to_the_features_of_transform(data, fitted):
    prediction = fitted.transform(data.data) @ fitted.coef_.T + fitted.intercept_
    alone = fitted
    if fitted.rotation is not None:
        alone = clone(fitted).set_params(linear=None).fit(data.data, data.target)
    np.testing.assert_allclose(alone.predict(data.data), prediction)
    assert fitted.coef_.shape == fitted.support_.shape == (30, 4)
    np.testing.assert_array_equal(fitted.feature_usage_, fitted.support_.sum(0))


def test_statistics_at_the_end_are_those_of_the_training_rows(data, fitted):
    Z = fitted.transform(data.data)
    np.testing.assert_allclose(Z.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(Z.std(0), 1, atol=1e-3)


# Missing and degenerate labels


def test_missing_labels_are_left_out_of_the_score(data, rotation):
    Y = data.target.copy()
    Y[::3, ::2] = np.nan
    est = quick(rotation=rotation).fit(data.data, Y)
    prediction = est.predict(data.data)
    r2 = [
        LinearRegression.score(_Constant(p[~np.isnan(y)]), None, y[~np.isnan(y)])
        for y, p in zip(Y.T, prediction.T, strict=True)
    ]
    assert est.score(data.data, Y) == pytest.approx(np.mean(r2))


class _Constant(LinearRegression):
    """Predicts what it was given, to borrow scikit-learn's score."""

    def __init__(self, prediction=None):
        self.prediction = prediction

    def predict(self, X):
        return self.prediction


def test_a_task_without_labels_gets_a_head_of_nan(data, rotation):
    Y = data.target.copy()
    Y[:, 3] = np.nan
    with pytest.warns(UserWarning, match=r"1 of 30 tasks have no label \(3\)"):
        est = quick(rotation=rotation).fit(data.data, Y)
    assert np.isnan(est.coef_[3]).all()
    assert np.isnan(est.predict(data.data)[:, 3]).all()
    assert np.isfinite(np.delete(est.coef_, 3, axis=0)).all()
    # It does not count, even where a label appears later.
    assert est.score(data.data, data.target) == pytest.approx(
        est.score(data.data, Y), abs=1e-12
    )


def test_constant_targets_and_single_labels_get_constant_heads(data, rotation):
    Y = data.target.copy()
    Y[:, 0] = 7.0
    Y[1:, 1] = np.nan
    est = quick(rotation=rotation).fit(data.data, Y)
    np.testing.assert_array_equal(est.coef_[:2], 0)
    prediction = est.predict(data.data)
    np.testing.assert_allclose(prediction[:, 0], 7.0)
    np.testing.assert_allclose(prediction[:, 1], Y[0, 1])


def test_a_column_is_one_task(data, rotation):
    X, y = data.data, data.target[:, 0]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No head uses features")
        flat = quick(rotation=rotation).fit(X, y)
        column = quick(rotation=rotation).fit(X, y[:, None])
    assert flat.predict(X).shape == (200,)
    assert column.predict(X).shape == (200, 1)
    np.testing.assert_array_equal(flat.coef_, column.coef_)


def test_unused_features_are_reported(data):
    with pytest.warns(UserWarning, match=r"No head uses features .* lower alpha"):
        # One task cannot use what a penalty this large forbids.
        quick(alpha=0.99).fit(data.data, data.target[:, 0])


# Streams


def test_a_stream_leaves_no_heads(data, rotation):
    est = quick(rotation=rotation).fit_stream([(data.data, data.target)])
    assert est.transform(data.data).shape == (200, 4)
    for use in (
        lambda: est.coef_,
        lambda: est.predict(data.data),
        lambda: est.score(data.data, data.target),
    ):
        with pytest.raises(AttributeError, match="no coef_: fit_stream does not keep"):
            use()
    # A fit afterwards brings them.
    assert est.fit(data.data, data.target).coef_.shape == (30, 4)


def test_forms_of_a_stream_agree(data):
    X, Y = data.data, data.target
    batch = TaskBatch(X, Y.T)
    streams = (
        [(X, Y)],
        [batch],
        iter([batch] * 5),
        [TaskBatch(X, Y.T, np.arange(200))],
    )
    codes = [quick().fit_stream(stream).transform(X) for stream in streams]
    for other in codes[1:]:
        np.testing.assert_allclose(other, codes[0], atol=1e-5)


def test_separate_rows_train_as_shared_ones_do(data):
    X, Y = data.data, data.target
    index = np.tile(np.arange(200), (30, 1))
    shared = quick().fit_stream([TaskBatch(X, Y.T)]).transform(X)
    separate = quick().fit_stream([TaskBatch(X, Y.T, index)]).transform(X)
    np.testing.assert_allclose(separate, shared, atol=1e-4)


def test_a_stream_that_ends_ends_the_training(data):
    batch = TaskBatch(data.data, data.target.T)
    with pytest.warns(UserWarning, match="source ended after 4 of max_iter=9 steps"):
        est = quick(max_iter=9).fit_stream(iter([batch] * 4))
    assert est.n_iter_ == 4
    # In the second epoch, too; a list is gone through again.
    with pytest.warns(UserWarning, match="source ended after 33 of max_iter=50 steps"):
        quick(max_iter=50).fit_stream(iter([batch] * 33))
    assert quick(max_iter=9).fit_stream([batch] * 4).n_iter_ == 9


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ([], "source is empty"),
        (3, "source must be an iterable"),
        (["abc"], "must yield TaskBatch instances or .* got str"),
        (
            [TaskBatch(np.zeros((4, n)) + np.eye(4)[:, :n], np.eye(4)) for n in (2, 3)],
            "X has 3 features, but .* is expecting 2",
        ),
        (
            [TaskBatch(np.zeros((4, 3, n)), np.eye(4)) for n in (2, 3)],
            r"inputs of one shape; got \(3, 2\), then \(3, 3\)",
        ),
    ],
)
def test_bad_streams(source, message):
    with pytest.raises(ValueError, match=message):
        quick().fit_stream(source)


# Inputs


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_images(dtype, rotation):
    rng = np.random.RandomState(0)
    X = rng.randint(0, 256, size=(40, 8, 8, 3)).astype(dtype)
    X = X / np.float32(255) if dtype is np.float32 else X
    Y = rng.normal(size=(40, 20))
    est = quick(rotation=rotation).fit(X, Y)
    Z = est.transform(X)
    assert Z.dtype == np.float32
    assert Z.shape == (40, 4)
    assert est.predict(X).shape == (40, 20)
    with pytest.raises(
        ValueError, match=r"shape \(8, 8, 3\), as in fit; got \(8, 9, 3\)"
    ):
        est.transform(np.zeros((2, 8, 9, 3), dtype))


def test_8_bit_images_are_those_in_the_unit_interval():
    rng = np.random.RandomState(0)
    X = rng.randint(0, 256, size=(40, 8, 8, 3)).astype(np.uint8)
    Y = rng.normal(size=(40, 20))
    as_float = quick().fit(X / np.float32(255), Y).transform(X / np.float32(255))
    np.testing.assert_allclose(quick().fit(X, Y).transform(X), as_float, atol=1e-4)


def test_an_8_bit_table_is_a_table(data):
    X = (data.data * 20 + 100).clip(0, 255).astype(np.uint8)
    same = quick().fit(X.astype(float), data.target).transform(X.astype(float))
    np.testing.assert_allclose(quick().fit(X, data.target).transform(X), same)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_transform_keeps_the_dtype(data, fitted, dtype):
    X = data.data.astype(dtype)
    assert fitted.transform(X).dtype == dtype
    np.testing.assert_allclose(
        fitted.transform(X), fitted.transform(data.data), atol=1e-4
    )


# Its weights are the same whatever other files draw when they are imported.
with torch.random.fork_rng():
    torch.manual_seed(0)
    MODULE = nn.Sequential(nn.Linear(4, 9), nn.Tanh(), nn.Linear(9, 4))

ENCODERS = [
    MODULE,
    linear,
    "mlp",
    "identity",
]
NORMALIZATIONS = ["batch", "layer", None]


@pytest.mark.parametrize(
    ("encoder", "normalization", "rotation"),
    [
        *((*pair, None) for pair in product(ENCODERS, NORMALIZATIONS)),
        # A rotation comes after both: each of them once.
        *((encoder, "layer", "sparsest") for encoder in ENCODERS),
        *(("mlp", normalization, "sparsest") for normalization in ("batch", None)),
    ],
)
# Features normalised per row sum to zero, so that no head on all of them is unique.
@pytest.mark.filterwarnings("ignore:The features in the support:RuntimeWarning")
# Five steps teach little.
@pytest.mark.filterwarnings("ignore:The features miss:UserWarning")
def test_encoders(data, encoder, normalization, rotation):
    est = quick(rotation=rotation, encoder=encoder, normalization=normalization)
    est.fit(data.data, data.target)
    assert np.isfinite(est.predict(data.data)).all()


def test_the_users_module_is_left_alone(data, rotation):
    module = nn.Linear(4, 4)
    before = module.weight.detach().clone()
    est = quick(rotation=rotation, encoder=module, lr=0.1).fit(data.data, data.target)
    torch.testing.assert_close(module.weight, before)
    trained = est.module_ if rotation is None else est.module_.representation
    assert not torch.equal(trained.encoder.weight.cpu(), before)


# Bad input


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"alpha": 0.0}, r"alpha must lie in \(0, 1\].* got 0.0"),
        ({"alpha": 1.5}, r"alpha must lie in \(0, 1\].* got 1.5"),
        ({"alpha": -1.0, "alpha_mode": "absolute"}, "'alpha' parameter"),
        ({"penalty": "l3"}, "'penalty' parameter.*'l3'"),
        ({"solver": "lars"}, "'solver' parameter.*'lars'"),
        ({"encoder": "resnet"}, "'encoder' parameter.*'resnet'"),
        ({"encoder": nn.Linear(4, 7)}, r"encoder must return .* got \(100, 7\)"),
        ({"n_components": 0}, "'n_components' parameter"),
        ({"lr": 1e30, "max_iter": 20}, "NaN, infinite or huge features .* lower lr"),
    ],
)
def test_bad_parameters(data, params, message):
    with pytest.raises(ValueError, match=message):
        quick(**params).fit(data.data, data.target)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_bad_X(data, value):
    X = data.data.copy()
    X[3, 1] = value
    with pytest.raises(ValueError, match="Input X contains"):
        quick().fit(X, data.target)


def test_bad_y(data, fitted):
    X, Y = data.data, data.target
    infinite = Y.copy()
    infinite[2, 2] = np.inf
    with pytest.raises(ValueError, match="Input y contains infinity"):
        quick().fit(X, infinite)
    with pytest.raises(ValueError, match="y holds no label at all"):
        quick().fit(X, np.full_like(Y, np.nan))
    with pytest.raises(ValueError, match="same number of rows, got 200 and 199"):
        quick().fit(X, Y[:-1])
    with pytest.raises(
        ValueError, match=r"y must have shape \(200, 30\).* got 2 columns"
    ):
        fitted.score(X, Y[:, :2])
    single = np.full_like(Y, np.nan)
    single[3, 3] = 1.0
    with pytest.raises(ValueError, match="y must label at least two"):
        fitted.score(X, single)


def refuse(input_shape, n_components):
    raise ValueError("not these inputs")


@pytest.fixture(
    scope="module",
    params=[
        (SparseMultiTaskRepresentation, None),
        (SparseMultiTaskRepresentation, "sparsest"),
        (SparseMultiTaskClassifier, None),
    ],
    ids=["plain", "rotated", "classes"],
)
def settled(data, request):
    """An estimator that was fitted, of which each test takes a copy."""
    estimator, rotation = request.param
    X, Y = pd.DataFrame(data.data, columns=list("abcd")), (data.target > 0).astype(int)
    est = estimator(4, rotation=rotation, max_iter=5, alpha=0.05, random_state=0)
    return est.fit(X, Y)


@pytest.mark.parametrize(
    ("params", "refit", "message"),
    [
        ({}, lambda est, X, Y: est.fit(X, np.full(Y.shape, np.nan)), "no label at all"),
        ({}, lambda est, X, Y: est.fit(X, Y[:-1]), "same number of rows"),
        ({"alpha": 2.0}, lambda est, X, Y: est.fit(X, Y), "alpha must lie in"),
        ({"alpha": 2.0}, lambda est, X, Y: est.fit_stream([(X, Y)]), "alpha must lie"),
        ({}, lambda est, X, Y: est.fit_stream([]), "source is empty"),
        ({"encoder": refuse}, lambda est, X, Y: est.fit(X, Y), "not these inputs"),
        (
            {"encoder": refuse},
            lambda est, X, Y: est.fit_stream([(X, Y)]),
            "not these inputs",
        ),
        # The weights are there, and the first step fails.
        (
            {"encoder": nn.Linear(4, 4)},
            lambda est, X, Y: est.fit_stream([(X, Y)]),
            "mat1 and mat2",
        ),
    ],
)
def test_a_fit_that_cannot_start_changes_nothing(data, settled, params, refit, message):
    X, Y = pd.DataFrame(data.data, columns=list("abcd")), (data.target > 0).astype(int)
    est = copy.deepcopy(settled)
    codes = est.transform(X)
    est.set_params(**params).set_callbacks(teardown := Teardown())
    before = dict(vars(est))
    with pytest.raises((ValueError, RuntimeError), match=message):
        refit(est, data.data[:, :3], Y)
    assert vars(est).keys() == before.keys()
    assert [name for name in before if vars(est)[name] is not before[name]] == []
    np.testing.assert_array_equal(est.transform(X), codes)
    assert teardown.setups == teardown.teardowns


class Teardown:
    """A callback of scikit-learn's that counts what surrounds a fit."""

    def __init__(self):
        self.setups = self.teardowns = 0

    def setup(self, estimator, context):
        self.setups += 1

    def on_fit_task_begin(self, estimator, context, **kwargs):
        pass

    def on_fit_task_end(self, estimator, context, **kwargs):
        pass

    def teardown(self, estimator, context):
        self.teardowns += 1


def test_a_first_fit_that_fails_leaves_nothing(data, rotation):
    est = quick(rotation=rotation)
    before = dict(vars(est))
    with pytest.raises(ValueError, match="y holds no label at all"):
        est.fit(data.data, np.full_like(data.target, np.nan))
    assert vars(est) == before


# Life as an estimator


def test_the_seed_decides_everything(data, rotation):
    X, Y = data.data, data.target
    torch.manual_seed(5)
    first = quick(rotation=rotation, random_state=3).fit(X, Y)
    state = torch.get_rng_state()
    torch.manual_seed(6)
    again = quick(rotation=rotation, random_state=3).fit(X, Y)
    other = quick(rotation=rotation, random_state=4).fit(X, Y)
    np.testing.assert_array_equal(first.transform(X), again.transform(X))
    np.testing.assert_array_equal(first.coef_, again.coef_)
    assert not np.array_equal(first.coef_, other.coef_)
    # The global generator of torch is the user's.
    torch.manual_seed(5)
    assert torch.equal(state, torch.get_rng_state())


def test_alpha_warms_up(data):
    est = quick(alpha=0.4, alpha_warmup=0.5, max_iter=10).fit(data.data, data.target)
    np.testing.assert_allclose(
        est.history_["alpha"], 0.4 * np.minimum(np.arange(1, 11) / 5, 1)
    )
    flat = quick(alpha=0.4, alpha_warmup=0.0).fit(data.data, data.target)
    np.testing.assert_array_equal(flat.history_["alpha"], 0.4)


def test_history_is_a_table_of_the_steps(fitted, rotation):
    columns = {"loss", "alpha", "active"}
    if rotation is not None:
        columns.add("valid_loss")
    assert set(fitted.history_) == columns
    assert all(
        len(column) == 60 == fitted.n_iter_ for column in fitted.history_.values()
    )
    loss = fitted.history_["loss"]
    assert loss[-10:].mean() < loss[:10].mean()
    assert (fitted.history_["active"] <= 1).all()


def test_pickle(data, fitted):
    copy = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(copy.predict(data.data), fitted.predict(data.data))


@pytest.mark.parametrize("device", DEVICES)
def test_a_model_moves_between_devices(data, device, rotation):
    est = quick(rotation=rotation, device=device).fit(data.data, data.target)
    expected = est.transform(data.data)
    moved = pickle.loads(pickle.dumps(est)).set_params(device="cpu")
    np.testing.assert_allclose(moved.transform(data.data), expected, atol=1e-6)


def test_pipeline_and_grid_search(data):
    pipe = make_pipeline(StandardScaler(), quick())
    search = GridSearchCV(
        pipe, {"sparsemultitaskrepresentation__alpha": [0.05, 0.9]}, cv=2
    )
    search.fit(data.data, data.target)
    assert search.best_params_ == {"sparsemultitaskrepresentation__alpha": 0.05}
    names = search.best_estimator_.get_feature_names_out()
    assert names[0] == "sparsemultitaskrepresentation0"
    assert len(names) == 4


def test_grid_search_by_disentanglement_finds_the_alpha_that_disentangles():
    data = make_sparse_tasks(
        200, 40, n_factors=4, rho=0.5, return_bunch=True, random_state=0
    )
    X, Y, factors = data.data, data.target, data.factors
    est = SparseMultiTaskRepresentation(
        4, rotation=None, encoder=linear, lr=0.04, max_iter=50, random_state=0
    )
    alphas = [0.01, 0.1, 0.4]
    with config_context(enable_metadata_routing=True):
        search = GridSearchCV(
            est,
            {"alpha": alphas},
            scoring=make_disentanglement_scorer("mcc"),
            refit=False,
            cv=2,
        )
        search.fit(X, Y, factors=factors)
    mcc = [
        mean_correlation_coefficient(
            factors, clone(est).set_params(alpha=alpha).fit_transform(X, Y)
        )
        for alpha in alphas
    ]
    chosen = alphas.index(search.best_params_["alpha"])
    assert max(mcc) - min(mcc) > 0.1  # the choice matters
    assert mcc[chosen] > max(mcc) - 0.02


def test_callbacks_of_scikit_learn_see_every_epoch(data, rotation):
    class Recorder:
        def __init__(self):
            self.begun, self.ended = [], []

        def setup(self, estimator, context):
            pass

        def teardown(self, estimator, context):
            pass

        def on_fit_task_begin(self, estimator, context):
            self.begun.append(context.task_name)

        def on_fit_task_end(self, estimator, context):
            self.ended.append(context.task_name)
            return self.stop and context.task_name == "epoch"

    recorder = Recorder()
    recorder.stop = False
    est = quick(rotation=rotation, max_iter=50).set_callbacks(recorder)
    est.fit(data.data, data.target)
    assert recorder.begun == ["fit", "epoch", "epoch", "epoch"]
    assert recorder.ended == ["epoch", "epoch", "epoch", "fit"]

    recorder.stop = True
    est.fit(data.data, data.target)
    assert est.n_iter_ == 20


def test_skorch_callbacks_and_log(data, capsys):
    from skorch.callbacks import Callback

    class Counter(Callback):
        steps = 0

        def on_batch_end(self, net, **kwargs):
            type(self).steps += 1

    est = quick(callbacks=[Counter()], verbose=1).fit(data.data, data.target)
    assert Counter.steps == est.n_iter_ == 5
    assert "train_loss" in capsys.readouterr().out


def test_clone_and_repr():
    est = SparseMultiTaskRepresentation(n_components=3, alpha=0.3)
    assert repr(est) == "SparseMultiTaskRepresentation(alpha=0.3, n_components=3)"
    assert clone(est).get_params() == est.get_params()


def test_fresh_tasks_follow_the_stream():
    model = SparseTaskModel(3, random_state=0)
    stream = SparseTaskStream(model, n_tasks=5, n_samples=20, random_state=0)
    steps = [batch.y for batch in islice(stream, 2)]
    assert not np.array_equal(*steps)


def wide_encoder(input_shape, n_components):
    return torch.nn.Linear(*input_shape, n_components, dtype=torch.float64)


def test_a_column_that_the_encoder_cannot_tell_is_warned_of():
    X, Y = make_sparse_tasks(60, 6, 3, random_state=0)
    times = pd.DataFrame(X, columns=["a", "time", "c"]) + [0, 1.7e9, 0]
    with pytest.warns(UserWarning, match=r"columns of X \(\['time'\]\) vary by less"):
        quick().fit(times, Y)
    with pytest.warns(UserWarning, match=r"columns of X \(\[1\]\) vary by less"):
        quick().fit_stream([(times.to_numpy(), Y)])


@pytest.mark.parametrize("encoder", ["mlp", wide_encoder])
@pytest.mark.parametrize("default", [torch.float32, torch.float64])
def test_torchs_default_dtype_and_that_of_the_encoder_do_not_matter(encoder, default):
    rng = np.random.RandomState(0)
    X = rng.normal(size=(60, 4))
    Y = X @ rng.normal(size=(4, 5))
    before = torch.get_default_dtype()
    torch.set_default_dtype(default)
    try:
        est = SparseMultiTaskRepresentation(
            3, rotation=None, encoder=encoder, max_iter=5, random_state=0
        ).fit(X, Y)
        assert {p.dtype for p in est.module_.parameters()} == {torch.float32}
        assert np.isfinite(est.predict(X)).all()
    finally:
        torch.set_default_dtype(before)
