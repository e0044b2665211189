"""Linear models on the inputs beside the heads: fitted, weighed, and in predictions."""

import copy
import itertools
import math

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.metrics import r2_score

from sparsedis import SparseMultiTaskRepresentation
from sparsedis.heads import LinearHead
from sparsedis.multitask import _task_heads
from sparsedis.multitask._best_means import BestMeans
from sparsedis.multitask._held_out import HeldOutErrors
from sparsedis.multitask._kernel import KernelRidge
from sparsedis.multitask._linear import linear_part
from sparsedis.multitask._ridge import ALPHAS, ridge
from sparsedis.solvers.losses import Huber
from sparsedis.solvers.penalties import L2

RNG = np.random.default_rng(0)

# Dense tasks have no factors, and linear ones are what heads on features lose to.
pytestmark = [
    pytest.mark.filterwarnings(rf"ignore:{message}")
    for message in (
        r"\d+ of \d+ features may not be factors",
        "A separate Ridge for each task",
        "No head uses features",
        "The encoder overfits",
    )
]


def few_steps(**params):
    return SparseMultiTaskRepresentation(max_iter=40, random_state=0, **params)


@pytest.fixture(scope="module")
def data():
    """Linear tasks of many inputs: no few features serve them."""
    rng = np.random.default_rng(1)
    X = rng.standard_normal((600, 12))
    Y = X @ rng.standard_normal((12, 15)) + 3 * rng.standard_normal((600, 15))
    return X[:150], Y[:150], X[150:], Y[150:]


@pytest.fixture(scope="module")
def fitted(data):
    X, Y, *_ = data
    Y = np.where(np.random.default_rng(2).uniform(size=Y.shape) < 0.2, np.nan, Y)
    return few_steps().fit(X, Y), Y


@pytest.fixture(scope="module")
def whole(data):
    """Without missing labels."""
    return few_steps().fit(*data[:2])


@pytest.fixture(scope="module")
def alone(data):
    return few_steps(linear=None).fit(*data[:2])


def units_of_readouts(est, X, X_fit):
    """Hidden units and inputs, each of a total variance of 1 over the rows of a fit."""
    layers = list(copy.deepcopy(est.module_.encoder).double())
    with torch.no_grad():
        hidden, of_fit = (
            torch.nn.Sequential(*layers[:-1])(torch.tensor(part)).numpy()
            for part in (X, X_fit)
        )
    inputs = X / X_fit.std(0) / math.sqrt(X.shape[1])
    return np.hstack([hidden / np.sqrt(of_fit.var(0).sum()), inputs])


def readout(J, y):
    """Ridge with the penalty of readouts."""
    return Ridge(alpha=1e-3 * len(J)).fit(J, y)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("weighted", [False, True])
def test_ridge_and_its_errors_are_those_of_sklearn_without_each_row(
    fit_intercept, weighted
):
    X = RNG.normal(size=(30, 4)) * [1, 5, 0.1, 2] + 3
    Y = (X @ RNG.normal(size=(4, 4)) + RNG.normal(size=(30, 4))).reshape(30, 2, 2)
    weight = RNG.uniform(0.2, 2, size=30) if weighted else None
    coef, intercept, errors = ridge(X, Y, weight, fit_intercept=fit_intercept)
    w = weight / weight.mean() if weighted else np.ones(30)
    for t in range(2):
        mean = np.average(X, axis=0, weights=w) if fit_intercept else 0.0
        Z = (X - mean) / np.sqrt(np.average((X - mean) ** 2, axis=0, weights=w))
        found = []
        for alpha in ALPHAS:
            model = Ridge(alpha=alpha, fit_intercept=fit_intercept)
            left = [
                Y[i, t] - model.fit(Z[k], Y[k, t], w[k]).predict(Z[[i]])[0]
                for i, k in enumerate(~np.eye(30, dtype=bool))
            ]
            loss = (w[:, None] * np.square(left)).sum()
            found.append((loss, left, model.fit(Z, Y[:, t], w).predict(Z)))
        _, left, prediction = min(found, key=lambda f: f[0])
        np.testing.assert_allclose(errors[:, t], left, atol=1e-10)
        np.testing.assert_allclose(X @ coef[t].T + intercept[t], prediction, atol=1e-10)


def test_ridge_of_one_label_predicts_it_and_knows_no_error():
    coef, intercept, errors = ridge(np.ones((1, 3)), np.full((1, 2, 1), 7.0))
    np.testing.assert_array_equal(coef, 0)
    np.testing.assert_array_equal(intercept, 7)
    assert np.isnan(errors).all()


def test_ridge_ignores_a_constant_column():
    X = RNG.normal(size=(40, 2))
    Y = (X @ [1.0, 2.0] + 0.1 * RNG.normal(size=40))[:, None, None]
    with_constant = np.column_stack([X, np.full(40, 1e6)])
    for a, b in zip(ridge(X, Y), ridge(with_constant, Y), strict=True):
        np.testing.assert_allclose(a, b[..., :2] if b.shape[-1] == 3 else b, atol=1e-8)


def test_r2_is_that_of_the_mean_with_the_share():
    y, linear, heads = RNG.normal(size=(3, 500, 1, 1))
    judged = HeldOutErrors(1)
    judged.add(np.array([0]), y, linear, heads, None, np.ones(1))
    share = np.array([0.3])
    of_both = judged.r2(share)[2]
    error = share * heads + (1 - share) * linear
    assert of_both[0] == pytest.approx(r2_score(y.ravel(), (y - error).ravel()))


@pytest.mark.parametrize("n", [60, 500])
def test_share_is_shrunk_to_two_errors_below_that_of_all_tasks(n):
    heads, linear = RNG.normal(size=(2, n, 2, 1))
    linear *= 1.5
    heads[:, 1] = np.nan
    judged = HeldOutErrors(2)
    judged.add(np.arange(2), np.ones((n, 2, 1)), linear, heads, None, np.ones(2))
    share = judged.share()
    # Regression of the errors of the linear model on the differences, with White's
    # standard error.
    own, step = linear[:, 0, 0], (linear - heads)[:, 0, 0]
    best = np.linalg.lstsq(step[:, None], own, rcond=None)[0][0]
    deviation = np.sqrt(np.sum((own - best * step) ** 2 * step**2)) / (step @ step)
    assert 0 < share[1] < best < 1
    assert share[1] == pytest.approx(best - 2 * deviation)
    assert share[0] == pytest.approx((n * best + 40 * share[1]) / (n + 40))
    assert np.isnan(judged.r2(share)[2][1])


@pytest.mark.parametrize(("size", "expected"), [(10.0, 0.0), (0.1, 1.0)])
def test_share_is_that_of_the_only_good_models(size, expected):
    linear, heads = np.ones((2, 200, 1, 1))
    heads = size * heads
    judged = HeldOutErrors(1)
    judged.add(np.array([0]), np.ones((200, 1, 1)), linear, heads, None, np.ones(1))
    assert judged.share()[0] == pytest.approx(expected, abs=0.02)


def test_predictions_of_linear_tasks_are_not_below_ridge(data, whole, alone):
    X, Y, X_test, Y_test = data
    own = [RidgeCV(np.logspace(-3, 3, 7)).fit(X, y).predict(X_test) for y in Y.T]
    of_ridge = r2_score(Y_test, np.transpose(own))
    assert whole.score(X_test, Y_test) > of_ridge - 0.01
    assert alone.score(X_test, Y_test) < of_ridge - 0.05
    # Nothing but the predictions differs.
    np.testing.assert_array_equal(whole.coef_, alone.coef_)
    np.testing.assert_array_equal(whole.transform(X_test), alone.transform(X_test))


def test_predictions_are_shares_of_all_three(data, fitted, of_inputs):
    X, _, X_test, _ = data
    est, Y = fitted
    linear = est.linear_
    heads = est.transform(X_test) @ est.coef_.T + est.intercept_
    J, J_test = (units_of_readouts(est, part, X) for part in (X, X_test))
    known = ~np.isnan(Y)
    read = [
        readout(J[known[:, t]], Y[known[:, t], t]).predict(J_test) for t in range(15)
    ]
    both = (heads + np.transpose(read)) / 2
    expected = linear.share * both + (1 - linear.share) * of_inputs(linear, X_test)
    np.testing.assert_allclose(est.predict(X_test), expected, atol=1e-6)
    task = RNG.integers(15, size=len(X_test))
    of_rows = expected[np.arange(len(task)), task]
    np.testing.assert_allclose(est.predict(X_test, task=task), of_rows, atol=1e-6)


def test_score_is_that_of_the_predictions(data, fitted):
    X_test, Y_test = data[2:]
    est, _ = fitted
    expected = r2_score(Y_test, est.predict(X_test))
    assert est.score(X_test, Y_test) == pytest.approx(expected)
    rows, tasks = np.nonzero(RNG.uniform(size=Y_test.shape) < 0.5)
    kept = np.full(Y_test.shape, np.nan)
    kept[rows, tasks] = Y_test[rows, tasks]
    long = est.score(X_test[rows], Y_test[rows, tasks], task=tasks)
    assert long == pytest.approx(est.score(X_test, kept))


def _errors_of_inputs(X, Y):
    """Leave-one-out errors of the means of linear models and of those of kernels."""
    every, (n, n_tasks) = np.arange(len(X)), Y.shape
    models = [found[2] for found in KernelRidge(X, n).fit(every, Y[..., None])]
    errors = np.stack([ridge(X, Y[..., None])[2], *models])
    means = BestMeans(n_tasks, len(errors))
    means.add(np.arange(n_tasks), errors, None, Y.var(0))
    return np.einsum("tm,mnto->nt", means.weights(), errors)


def test_scores_are_those_of_held_out_rows(data, monkeypatch):
    X, Y, *_ = data
    splits = []

    def recorded(Z, folds, table, *args, **kwargs):
        splits.append((table.at[folds == 0], table.at[folds < 0]))
        return linear_part(Z, folds, table, *args, **kwargs)

    monkeypatch.setattr(_task_heads, "linear_part", recorded)
    est = few_steps().fit(X, Y)
    linear, J = est.linear_, units_of_readouts(est, X, X)
    ((held, rest),) = splits
    assert len(held) == 30
    np.testing.assert_array_equal(np.sort(linear.rows, 0), np.sort(X, 0))
    of_inputs = _errors_of_inputs(X, Y)
    assert len(np.intersect1d(held, rest)) == 0
    for t, y in enumerate(Y.T):
        own = linear.errors[linear.first[t] : linear.first[t + 1]]
        of_ridge = ridge(X, y[:, None, None])[2][held, 0, 0]
        for score, error in (
            (linear.score, own),
            (linear.score_linear, of_ridge),
            (linear.score_inputs, of_inputs[held, t]),
        ):
            assert score[t] == pytest.approx(r2_score(y[held], y[held] - error))
        if linear.share[t] > 0.01:
            # What remains are errors of heads and readouts without these rows.
            left_out = of_inputs[held, t]
            of_both = left_out + (own - left_out) / linear.share[t]
            of_readout = y[held] - readout(J[rest], y[rest]).predict(J[held])
            of_heads = 2 * of_both - of_readout
            score = r2_score(y[held], y[held] - of_heads)
            assert linear.score_heads[t] == pytest.approx(score)
    assert np.mean(linear.score_linear) > np.mean(linear.score_heads) + 0.02
    assert ((linear.share >= 0) & (linear.share <= 1)).all()
    assert (linear.share > 0.01).sum() > 5
    assert repr(linear).startswith("LinearPart(n_tasks=15, mean share of heads=0.")


def test_every_form_of_labels_gives_the_same_linear_models(data, fitted):
    X = data[0]
    est, Y = fitted
    rows, tasks = np.nonzero(~np.isnan(Y))
    long = few_steps().fit(X[rows], Y[rows, tasks], task=tasks)
    stored = sparse.coo_array((Y[rows, tasks], (rows, tasks)), shape=Y.shape)
    stored = few_steps().fit(X, stored)
    for other in (long, stored):
        np.testing.assert_allclose(other.linear_.coef, est.linear_.coef, atol=1e-8)
        np.testing.assert_allclose(other.linear_.share, est.linear_.share, atol=1e-3)


def test_units_of_the_targets_do_not_matter(data, whole):
    X, Y, X_test, _ = data
    unit = np.logspace(-6, 6, 15)
    other = few_steps().fit(X, 5 * unit + Y * unit)
    np.testing.assert_allclose(other.linear_.share, whole.linear_.share, atol=1e-3)
    np.testing.assert_allclose(
        other.predict(X_test) / unit - 5, whole.predict(X_test), atol=1e-2
    )


def test_weights_count_as_repetitions(data):
    X, Y, *_ = data
    weight = RNG.integers(1, 3, size=150)
    twice = np.repeat(np.arange(150), weight)
    found = ridge(X, Y[:, :2, None], weight.astype(float))
    coef = found[0][:, 0]
    # The penalty is in units of the mean weight.
    alpha = [
        a * weight.mean()
        for a in ALPHAS
        if np.allclose(_ridge_of(X[twice], Y[twice, 0], a * weight.mean()), coef[0])
    ]
    assert len(alpha) == 1


def _ridge_of(X, y, alpha):
    unit = X.std(0)
    return Ridge(alpha=alpha).fit(X / unit, y).coef_ / unit


def test_vector_targets(data):
    X, Y, X_test, Y_test = data
    vectors, vectors_test = Y.reshape(-1, 5, 3), Y_test.reshape(-1, 5, 3)
    est = few_steps().fit(X, vectors)
    with pytest.raises(ValueError, match="scalar targets; got vectors of 3 numbers"):
        est.predict_interval(X_test)
    assert est.linear_.coef.shape == (5, 3, 12)
    assert est.linear_.share.shape == (5,)
    expected = r2_score(Y_test, est.predict(X_test).reshape(-1, 15))
    assert est.score(X_test, vectors_test) == pytest.approx(expected)


def test_files_keep_the_linear_models(data, fitted, tmp_path):
    est, _ = fitted
    est.save_params(tmp_path / "est")
    loaded = few_steps().load_params(tmp_path / "est")
    np.testing.assert_array_equal(loaded.predict(data[2]), est.predict(data[2]))


def test_tasks_without_labels_predict_nan(data):
    X, Y, X_test, _ = data
    Y = pd.DataFrame(Y).assign(none=np.nan)
    with pytest.warns(UserWarning, match="1 of 16 tasks have no label"):
        est = few_steps().fit(X, Y)
    assert np.isnan(est.predict(X_test)[:, -1]).all()
    assert np.isfinite(est.predict(X_test)[:, :-1]).all()


def assert_heads_predict(est, X):
    heads = est.transform(X) @ est.coef_.T + est.intercept_
    np.testing.assert_allclose(est.predict(X), heads, atol=1e-6)


def test_where_none_are_asked_for_heads_predict(data, alone):
    with pytest.raises(AttributeError, match="no linear_"):
        _ = alone.linear_
    assert_heads_predict(alone, data[2])


@pytest.mark.parametrize(
    "params",
    [
        {"rotation": None},
        {"early_stopping": False},
        {"head": LinearHead(Huber(), L2())},
    ],
    ids=lambda params: next(iter(params)),
)
def test_without_linear_models_heads_predict(data, params):
    X, Y, X_test, _ = data
    est = few_steps(**params).fit(X, Y)
    with pytest.raises(AttributeError, match="no linear_"):
        _ = est.linear_
    assert_heads_predict(est, X_test)


def test_new_tasks_are_shared_by_cross_validation(data, alone, monkeypatch, of_inputs):
    X, _, X_test, _ = data
    rng = np.random.default_rng(3)
    coef = rng.standard_normal((12, 3))
    new, y_test = (Z @ coef + 3 * rng.standard_normal((len(Z), 3)) for Z in (X, X_test))
    est = copy.copy(alone).set_params(linear="auto")
    seen = []

    def recorded(Z, folds, table, *args, **kwargs):
        seen.append((table.at, folds))
        return linear_part(Z, folds, table, *args, **kwargs)

    monkeypatch.setattr(_task_heads, "linear_part", recorded)
    adapted = est.adapt(X, new)
    linear, ((at, folds),) = adapted.linear_, seen
    np.testing.assert_array_equal(np.bincount(folds), 30)
    left_out, read = np.empty_like(new), np.empty_like(new)
    J = units_of_readouts(est, X, X)
    for fold in range(5):
        rest, out = at[folds != fold], at[folds == fold]
        left_out[out] = alone.adapt(X[rest], new[rest]).predict(X[out])
        read[out] = readout(J[rest], new[rest]).predict(J[out])
    inputs = _errors_of_inputs(X, new)
    errors = inputs + linear.share * (new - (left_out + read) / 2 - inputs)
    found = linear.errors.reshape(3, -1).T
    np.testing.assert_allclose(np.sort(found, 0), np.sort(errors, 0), atol=1e-6)
    np.testing.assert_allclose(
        linear.score_heads, r2_score(new, left_out, multioutput="raw_values"), atol=1e-6
    )
    heads = alone.adapt(X, new)
    np.testing.assert_array_equal(adapted.coef_, heads.coef_)
    # On the rows of the fit.
    both = (heads.predict(X) + readout(J, new).predict(J)) / 2
    expected = linear.share * both + (1 - linear.share) * of_inputs(linear, X)
    np.testing.assert_allclose(adapted.predict(X), expected, atol=1e-6)
    assert adapted.score(X_test, y_test) > heads.score(X_test, y_test) + 0.05
    _, interval = adapted.predict_interval(X_test)
    inside = (interval[..., 0] <= y_test) & (y_test <= interval[..., 1])
    # Of 150 labels of a task; the test rows are the same for the three tasks.
    assert abs(inside.mean() - 0.9) < 4 * np.sqrt(0.09 * (1 / 150 + 1 / 450) / 3)
    assert not hasattr(est, "linear_")


def test_new_tasks_of_few_rows_are_predicted_by_heads(data, fitted):
    X, Y, X_test, _ = data
    adapted = fitted[0].adapt(X[:9], Y[:9, :3])
    assert_heads_predict(adapted, X_test)
    with pytest.raises(AttributeError, match="no linear_"):
        _ = adapted.linear_
    assert hasattr(fitted[0], "linear_")
    assert hasattr(fitted[0].adapt(X[:10], Y[:10, :3]), "linear_")


def test_margins_are_the_errors_of_the_right_rank(fitted):
    linear = fitted[0].linear_
    margins = linear.margins(0.8)
    for t, (start, stop) in enumerate(itertools.pairwise(linear.first)):
        own = np.sort(np.abs(linear.errors[start:stop]))
        rank = math.ceil((len(own) + 1) * 0.8)
        assert margins[t] == own[rank - 1]
    assert (linear.margins(0.5) < margins).all()


def test_tasks_with_few_errors_take_the_rank_of_all(fitted):
    linear = fitted[0].linear_
    level = 0.99
    assert np.diff(linear.first).max() < 99
    of_all = np.abs(linear.errors) / np.repeat(linear.unit, np.diff(linear.first))
    rank = math.ceil((len(of_all) + 1) * level)
    np.testing.assert_allclose(
        linear.margins(level), np.sort(of_all)[rank - 1] * linear.unit
    )
    assert np.isinf(linear.margins(1 - 1e-6)).all()


def test_intervals_hold_new_labels_as_often_as_asked(data):
    *_, X, Y = data
    levels = [0.5, 0.9]
    covered = []
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(X))
        train, test = order[:300], order[300:]
        est = few_steps().set_params(random_state=seed).fit(X[train], Y[train])
        for level in levels:
            y, interval = est.predict_interval(X[test], confidence_level=level)
            np.testing.assert_array_equal(y, est.predict(X[test]))
            low, high = interval[..., 0], interval[..., 1]
            covered.append(((low <= Y[test]) & (Y[test] <= high)).mean())
    # 50 held-out rows of 15 tasks, three times.
    np.testing.assert_allclose(np.reshape(covered, (3, 2)).mean(0), levels, atol=0.04)


def test_intervals_of_named_tasks_and_of_one(data, fitted):
    X_test = data[2]
    est, _ = fitted
    _, every = est.predict_interval(X_test)
    task = RNG.integers(15, size=len(X_test))
    _, own = est.predict_interval(X_test, task=task)
    np.testing.assert_allclose(own, every[np.arange(len(task)), task])
    single = few_steps().fit(data[0], data[1][:, 0])
    y, interval = single.predict_interval(X_test)
    assert interval.shape == (*y.shape, 2)


@pytest.mark.parametrize("level", [0, 1, 90])
def test_levels_are_probabilities(data, fitted, level):
    with pytest.raises(ValueError, match=rf"in \(0, 1\), got {level}"):
        fitted[0].predict_interval(data[2], confidence_level=level)


def test_intervals_need_held_out_rows(data, alone):
    with pytest.raises(ValueError, match="need linear_, which is not there"):
        alone.predict_interval(data[2])
