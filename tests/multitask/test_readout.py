"""Readouts of hidden units beside the heads."""

from functools import partial

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from torch import nn

from sparsedis import (
    SparseMultiTaskClassifier,
    SparseMultiTaskMixed,
    SparseMultiTaskRepresentation,
)
from sparsedis.encoders import MLP
from sparsedis.multitask import _linear
from sparsedis.multitask._readout import FeaturesAndHidden, in_units, readouts

RNG = np.random.default_rng(0)

# Twenty steps on noise find no factors.
pytestmark = [
    pytest.mark.filterwarnings(rf"ignore:{message}")
    for message in (
        r"\d+ of \d+ features may not be factors",
        "A separate Ridge for each task",
        "No head uses features",
        "The encoder overfits",
        "The features miss",
    )
]


def few_steps(kind=SparseMultiTaskRepresentation, **params):
    return kind(max_iter=20, random_state=0, **params)


@pytest.fixture(scope="module")
def data():
    X = RNG.standard_normal((80, 4))
    return X, np.tanh(X @ RNG.standard_normal((4, 6))) + RNG.standard_normal((80, 6))


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("d", [3, 40])
def test_readouts_are_ridge_regressions_with_and_without_each_fold(
    d, weighted, fit_intercept
):
    J = RNG.normal(size=(20, d)) + 1
    J[:, 1] = 0.0
    Y = RNG.normal(size=(20, 2, 2)) + 3
    folds = np.repeat([-1, 0, 1, 3], 5)
    weight = RNG.uniform(0.2, 2, size=20) if weighted else np.ones(20)
    weight[5:10] *= 1e6 if weighted else 1
    found = readouts(
        *(J, Y, folds, weight if weighted else None), fit_intercept=fit_intercept
    )
    assert (found[0][..., 1] == 0).all()
    for t in range(2):

        def fit(at, t=t):
            penalty = 1e-3 * weight[at].sum()
            model = Ridge(alpha=penalty, fit_intercept=fit_intercept, solver="svd")
            return model.fit(J[at], Y[at, t], sample_weight=weight[at])

        model, errors = fit(folds > -2), np.full((20, 2), np.nan)
        for fold in (0, 1, 3):
            out = folds == fold
            errors[out] = Y[out, t] - fit(~out).predict(J[out])
        expected = model.coef_, model.intercept_, errors
        for a, b in zip(found, expected, strict=True):
            part = a[:, t] if a.ndim == 3 and len(a) == 20 else a[t]
            np.testing.assert_allclose(part, b, rtol=1e-6, atol=1e-8)


def test_readouts_know_no_error_if_all_rows_are_held_out():
    *_, errors = readouts(np.eye(3), np.ones((3, 1, 1)), np.zeros(3, dtype=int))
    assert np.isnan(errors).all()


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_readouts_without_any_variable_predict_the_mean(fit_intercept):
    y = np.arange(4.0)[:, None, None]
    coef, intercept, errors = readouts(
        *(np.zeros((4, 3)), y, np.array([-1, -1, 0, 0])), fit_intercept=fit_intercept
    )
    np.testing.assert_array_equal(coef, 0)
    mean, of_others = (1.5, 0.5) if fit_intercept else (0, 0)
    np.testing.assert_allclose(intercept, mean)
    np.testing.assert_allclose(errors[2:, 0, 0], y[2:, 0, 0] - of_others)


def test_units_are_of_total_variance_one_whatever_those_of_the_inputs():
    hidden, X = RNG.normal(size=(50, 7)), RNG.normal(size=(50, 3))
    X[:, 1] = 5.0
    J, unit = in_units(hidden, X)
    np.testing.assert_allclose([J[:, :7].var(0).sum(), J[:, 7:].var(0).sum()], 1)
    assert (J[:, 8] == 0).all()
    assert np.isinf(unit[8])
    np.testing.assert_allclose(in_units(hidden, 1e6 * X)[0], J, atol=1e-12)
    assert (in_units(0 * hidden, X)[0][:, :7] == 0).all()


@pytest.mark.parametrize("skip", [False, True])
def test_hidden_units_follow_the_features(data, skip):
    X, Y = data
    est = few_steps(encoder=partial(MLP, skip=skip)).fit(X, Y)
    rows = torch.tensor(X, dtype=torch.float32)
    with torch.no_grad():
        both = FeaturesAndHidden(est.module_)(rows)
    k = est.n_components_
    assert both.shape == (80, k + 256)
    np.testing.assert_allclose(both[:, :k], est.transform(X), atol=1e-5)
    encoder = est.module_.encoder
    with torch.no_grad():
        hidden = nn.Sequential(*list(encoder)[:-1])(rows)
        assert hidden.shape[1] == 256 + skip * X.shape[1]
        torch.testing.assert_close(both[:, k:], hidden[:, :256])


def test_predictions_copy_no_hidden_layer_and_leave_the_module(data):
    est = few_steps().fit(*data)
    layers = list(est.module_.encoder)
    both = FeaturesAndHidden(est.module_)
    assert list(both.hidden) == layers[:-1]
    assert both.output.encoder is layers[-1]
    assert list(est.module_.encoder) == layers


@pytest.mark.parametrize(
    "encoder", ["identity", MLP((4,), 3, ()), MLP((4,), None, (8,))]
)
def test_without_hidden_units_heads_are_alone_beside_models_of_inputs(
    data, encoder, of_inputs
):
    X, Y = data
    assert_heads_share(few_steps(encoder=encoder).fit(X, Y), X, of_inputs)


def test_readouts_that_take_long_are_left_out(data, monkeypatch, of_inputs):
    X, Y = data
    monkeypatch.setattr(_linear, "_WORK", 2e5)
    assert_heads_share(few_steps().fit(X, Y), X, of_inputs)


def assert_heads_share(est, X, of_inputs):
    linear = est.linear_
    assert not linear.readout.any()
    heads = est.transform(X) @ est.coef_.T + est.intercept_
    expected = linear.share * heads + (1 - linear.share) * of_inputs(linear, X)
    np.testing.assert_allclose(est.predict(X), expected, atol=1e-5)


def test_counts_have_no_readout(data):
    X, Y = data
    Y = np.column_stack([Y[:, :4], Y[:, 4] > 0, np.floor(np.exp(Y[:, 5]))])
    types = ["number"] * 4 + ["binary", "count"]
    est = few_steps(SparseMultiTaskMixed, task_types=types).fit(X, Y)
    linear = est.linear_
    used = linear.readout.any(axis=tuple(range(1, linear.readout.ndim)))
    assert used.tolist() == [True] * 5 + [False]
    heads = est.transform(X) @ est.coef_[5] + est.intercept_[5]
    inputs = X @ linear.coef[5] + linear.intercept[5]
    rate = np.exp(linear.share[5] * heads + (1 - linear.share[5]) * inputs)
    np.testing.assert_allclose(np.asarray(est.predict(X))[:, 5], rate, rtol=1e-4)


def test_readouts_of_classes_are_logistic_regressions(data):
    X, Y = data
    Y = Y > 0
    est = few_steps(SparseMultiTaskClassifier).fit(X, Y)
    with torch.no_grad():
        both = FeaturesAndHidden(est.module_)(torch.tensor(X, dtype=torch.float32))
    J, unit = in_units(both[:, est.n_components_ :].double().numpy(), X)
    for t in range(6):
        model = LogisticRegression(C=1 / (1e-3 * 80), tol=1e-10, max_iter=10000)
        model.fit(J, Y[:, t])
        found = J @ (est.linear_.readout[t] * unit) + est.linear_.readout_intercept[t]
        np.testing.assert_allclose(found, model.decision_function(J), atol=1e-3)


def test_readouts_predict_classes_better():
    """Few features are not enough for tasks that bend in any direction."""
    rng = np.random.default_rng(3)
    X = rng.standard_normal((660, 5))
    signal = 2 * np.sin(X @ rng.standard_normal((5, 30)))
    Y = signal + 0.3 * rng.logistic(size=signal.shape) > 0
    est = few_steps(SparseMultiTaskClassifier).set_params(max_iter=40)
    est.fit(X[:200], Y[:200])

    def loss():
        p = np.stack([part[:, 1] for part in est.predict_proba(X[200:])], 1)
        return -np.log(np.where(Y[200:], p, 1 - p)).mean()

    both = loss()
    est.linear_.kinds[:] = 1
    assert both < loss() - 0.01


def test_readouts_predict_noisy_labels_better(data):
    """Exact heads of nonlinear targets learn the noise of few labels."""
    rng = np.random.default_rng(3)
    X = rng.standard_normal((560, 5))
    signal = np.tanh(X @ rng.standard_normal((5, 30)))
    Y = signal + rng.standard_normal(signal.shape)
    est = few_steps().set_params(max_iter=40).fit(X[:100], Y[:100])
    est.linear_.share[:] = 1
    both = est.score(X[100:], signal[100:])
    est.linear_.kinds[:] = 1
    assert both > est.score(X[100:], signal[100:]) + 0.01
