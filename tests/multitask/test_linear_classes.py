"""Linear models of classes and counts on the inputs beside the heads."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from scipy.special import expit, softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import GridSearchCV

from sparsedis import SparseMultiTaskClassifier, SparseMultiTaskMixed
from sparsedis.datasets import make_sparse_tasks
from sparsedis.ensemble import SparseMultiTaskEnsemble
from sparsedis.inputs._labels import DenseLabels
from sparsedis.inputs._table import TaskTable
from sparsedis.inputs._table_source import TableSource
from sparsedis.inspection import ModelReport
from sparsedis.multitask import _task_heads, _training
from sparsedis.multitask._linear import is_quick, linear_part
from sparsedis.multitask._ridge import ridge

# Dense tasks have no factors, and linear ones are what heads on features lose to.
pytestmark = [
    pytest.mark.filterwarnings(rf"ignore:{message}")
    for message in (
        r"\d+ of \d+ features may not be factors",
        "No head uses features",
        "The encoder overfits",
    )
]


def few_steps(cls=SparseMultiTaskClassifier, **params):
    return cls(max_iter=20, random_state=0, **params)


@pytest.fixture(scope="module")
def data():
    """Linear tasks of many inputs: no few features serve them."""
    rng = np.random.default_rng(1)
    X = rng.standard_normal((600, 12))
    eta = X @ rng.standard_normal((12, 15)) + 2 * rng.logistic(size=(600, 15))
    return X[:150], eta[:150], X[150:], eta[150:]


@pytest.fixture(scope="module")
def fitted(data):
    X, eta, *_ = data
    missing = np.random.default_rng(2).uniform(size=eta.shape) < 0.2
    return few_steps().fit(X, np.where(missing, np.nan, eta > 0))


@pytest.fixture(scope="module")
def whole(data):
    """Without missing labels."""
    X, eta, *_ = data
    return few_steps().fit(X, eta > 0)


@pytest.fixture(scope="module")
def alone(data):
    X, eta, *_ = data
    return few_steps(linear=None).fit(X, eta > 0)


@pytest.fixture(scope="module")
def mixed(data):
    X, eta, *_ = data
    return few_steps(SparseMultiTaskMixed, task_types=TYPES).fit(X, columns(eta))


TYPES = ["number"] * 4 + ["count"] * 4 + ["binary"] * 4 + ["class"] * 3


def columns(eta):
    y = pd.DataFrame(eta)
    rng = np.random.default_rng(0)
    y[[4, 5, 6, 7]] = rng.poisson(np.exp(np.minimum(0.3 * eta[:, 4:8], 3)))
    y = y.astype(dict.fromkeys(range(8, 15), object))
    y[[8, 9, 10, 11]] = eta[:, 8:12] > 0
    y[[12, 13, 14]] = np.array(["a", "b", "c"])[np.digitize(eta[:, 12:], [-2, 2])]
    return y


def of_readouts(est, X):
    """Scores of the readouts of hidden units and inputs."""
    hidden = torch.nn.Sequential(
        *list(copy.deepcopy(est.module_.encoder).double())[:-1]
    )
    with torch.no_grad():
        units = hidden(torch.tensor(X))[:, : est.module_.encoder.n_hidden]
        J = np.hstack([units.numpy(), X])
    readout = est.linear_.readout
    return np.tensordot(J, readout, (1, -1)) + est.linear_.readout_intercept


def test_predictions_of_linear_tasks_are_not_below_logistic_regression(
    data, whole, alone
):
    X, eta, X_test, eta_test = data
    Y, Y_test = eta > 0, eta_test > 0
    grid = GridSearchCV(LogisticRegression(), {"C": np.logspace(-2, 1, 4)}, cv=5)
    own = np.transpose([grid.fit(X, y).predict_proba(X_test)[:, 1] for y in Y.T])
    p = np.stack([p[:, 1] for p in whole.predict_proba(X_test)], 1)
    p_alone = np.stack([p[:, 1] for p in alone.predict_proba(X_test)], 1)

    def loss(p):
        return np.mean([log_loss(y, q) for y, q in zip(Y_test.T, p.T, strict=True)])

    assert loss(p) < loss(own) + 0.01
    assert loss(p) < loss(p_alone) - 0.03
    assert whole.score(X_test, Y_test) > ((own > 0.5) == Y_test).mean() - 0.01
    # Nothing but the penalty of the heads and the predictions differs.
    np.testing.assert_array_equal(whole.support_, alone.support_)
    np.testing.assert_array_equal(whole.transform(X_test), alone.transform(X_test))


def test_no_training_sees_the_rows_that_judge(monkeypatch):
    X, Y = make_sparse_tasks(200, 30, n_factors=3, random_state=0)
    seen, judged = [], []

    def source(table, **options):
        seen.append(table.at)
        return TableSource(table, **options)

    def part(Z, folds, table, *args, **kwargs):
        judged.append(table.at[folds == 0])
        return linear_part(Z, folds, table, *args, **kwargs)

    monkeypatch.setattr(_training, "TableSource", source)
    monkeypatch.setattr(_task_heads, "linear_part", part)
    few_steps().fit(X, Y > 0)
    # Two more follow, with fewer features.
    assert len(seen) == 3
    assert len(np.intersect1d(np.concatenate(seen), judged[0])) == 0


def test_logits_are_shares_of_both(data, fitted):
    _, _, X_test, eta_test = data
    linear = fitted.linear_
    heads = fitted.transform(X_test) @ fitted.coef_.T + fitted.intercept_
    heads = (heads + of_readouts(fitted, X_test)) / 2
    inputs = X_test @ linear.coef.T + linear.intercept
    logit = linear.share * heads + (1 - linear.share) * inputs
    assert (linear.share < 0.99).any()
    for t, p in enumerate(fitted.predict_proba(X_test)):
        np.testing.assert_allclose(p[:, 1], expit(logit[:, t]), atol=1e-5)
    # But for rounding errors of float32 next to the boundary.
    clear = np.abs(logit) > 1e-4
    np.testing.assert_array_equal(fitted.predict(X_test)[clear], (logit > 0)[clear])
    accuracy = accuracy_score((eta_test > 0).ravel(), fitted.predict(X_test).ravel())
    assert fitted.score(X_test, eta_test > 0) == pytest.approx(accuracy)


def test_several_classes(data):
    X, eta, X_test, _ = data
    est = few_steps().fit(X, np.digitize(eta[:, :6], [-2, 2]))
    linear = est.linear_
    assert linear.coef.shape == (6, 3, 12)
    heads = np.einsum("nk,tck->ntc", est.transform(X_test), est.coef_)
    inputs = np.einsum("nk,tck->ntc", X_test, linear.coef)
    heads = (heads + est.intercept_ + of_readouts(est, X_test)) / 2
    share = linear.share[:, None]
    logits = share * heads + (1 - share) * (inputs + linear.intercept)
    for t, p in enumerate(est.predict_proba(X_test)):
        np.testing.assert_allclose(p, softmax(logits[:, t], -1), atol=1e-5)


def test_tasks_of_every_type(data, mixed):
    X, eta, X_test, eta_test = data
    linear = mixed.linear_
    share = linear.share[:, None]
    heads = np.einsum("nk,tck->ntc", mixed.transform(X_test), mixed.coef_)
    inputs = np.einsum("nk,tck->ntc", X_test, linear.coef)
    heads = heads + np.where(np.isfinite(mixed.intercept_), mixed.intercept_, -1e9)
    # Counts have no readout.
    half = np.where(np.array(TYPES) == "count", 0.0, 0.5)[:, None]
    heads = (1 - half) * heads + half * of_readouts(mixed, X_test)
    both = share * heads + (1 - share) * (inputs + linear.intercept)
    prediction = mixed.predict(X_test)
    for t in range(4, 8):
        np.testing.assert_allclose(prediction[t], np.exp(both[:, t, 0]), rtol=1e-4)
    p = mixed.predict_proba(X_test)
    for t in range(8, 12):
        np.testing.assert_allclose(p[t], softmax(both[:, t, :2], -1), atol=1e-5)
    for t in range(12, 15):
        np.testing.assert_allclose(p[t], softmax(both[:, t], -1), atol=1e-5)
    assert np.isfinite(linear.score).all()
    alone = few_steps(SparseMultiTaskMixed, task_types=TYPES, linear=None)
    alone.fit(X, columns(eta))
    y_test = columns(eta_test)
    of_types = slice(4, 8), slice(8, 12), slice(12, 15)
    ours, theirs = (e.task_scores(X_test, y_test)["d2"] for e in (mixed, alone))
    for own in of_types:
        assert ours[own].mean() > theirs[own].mean() + 0.02


def test_numbers_beside_other_types_have_their_ridge(data, mixed):
    X, eta, *_ = data
    linear = mixed.linear_
    coef = ridge(X, eta[:, :4, None])[0][:, 0]
    np.testing.assert_allclose(linear.coef[:4, 0], coef, atol=1e-8)
    np.testing.assert_array_equal(linear.coef[:4, 1:], 0)
    assert np.diff(linear.first)[:4].min() > 0


def test_units_of_counts_move_only_intercepts(mixed):
    linear, counts = mixed.linear_, np.array(TYPES) == "count"
    twice = linear.times(np.full(15, 2.0))
    np.testing.assert_array_equal(twice.coef[counts], linear.coef[counts])
    np.testing.assert_allclose(
        twice.intercept[counts], linear.intercept[counts] + np.log(2)
    )
    np.testing.assert_array_equal(twice.coef[:4], 2 * linear.coef[:4])
    level = 0.8
    margins = np.where(counts, np.sqrt(2), 2) * linear.margins(level)
    np.testing.assert_allclose(twice.margins(level), margins)


def test_every_form_of_labels_gives_the_same_linear_models(data, fitted):
    X, eta, *_ = data
    missing = np.random.default_rng(2).uniform(size=eta.shape) < 0.2
    rows, tasks = np.nonzero(~missing)
    y = (eta > 0)[rows, tasks]
    long = few_steps().fit(X[rows], y, task=tasks)
    stored = sparse.coo_array((y.astype(float), (rows, tasks)), shape=eta.shape)
    stored = few_steps().fit(X, stored)
    for other in (long, stored):
        np.testing.assert_allclose(other.linear_.coef, fitted.linear_.coef, atol=1e-6)
        np.testing.assert_allclose(other.linear_.share, fitted.linear_.share, atol=1e-3)


def test_copies_files_and_ensembles_keep_the_linear_models(data, fitted, tmp_path):
    X, eta, X_test, _ = data
    expected = fitted.predict_proba(X_test)
    fitted.save_params(tmp_path / "est")
    loaded = few_steps().load_params(tmp_path / "est")
    for other in (loaded, pickle.loads(pickle.dumps(fitted))):
        np.testing.assert_array_equal(other.predict_proba(X_test), expected)
    ensemble = SparseMultiTaskEnsemble(few_steps(), n_estimators=2, random_state=0)
    ensemble.fit(X, eta > 0)
    members = [member.predict_proba(X_test) for member in ensemble.estimators_]
    assert all(hasattr(member, "linear_") for member in ensemble.estimators_)
    np.testing.assert_allclose(
        ensemble.predict_proba(X_test), np.mean(members, axis=0), atol=1e-6
    )


def new_tasks(data):
    """Inputs of `data`, and scores of tasks of which no encoder has learned."""
    X, _, X_test, _ = data
    rng = np.random.default_rng(3)
    coef = rng.standard_normal((12, 15))
    eta = (Z @ coef + 2 * rng.logistic(size=(len(Z), 15)) for Z in (X, X_test))
    return X, X_test, *eta


def test_new_tasks_share_their_logits(data, fitted, alone):
    X, X_test, eta, eta_test = new_tasks(data)
    new, heads = (est.adapt(X, eta[:, :3] > 0) for est in (fitted, alone))
    assert not hasattr(heads, "linear_")
    assert_heads_predict(heads, X_test)
    assert np.diff(new.linear_.first).tolist() == [150] * 3
    assert new.score(X_test, eta_test[:, :3] > 0) > (
        heads.score(X_test, eta_test[:, :3] > 0) + 0.02
    )


def test_new_tasks_of_every_type_share_their_scores(data, mixed):
    X, X_test, eta, eta_test = new_tasks(data)
    alone = copy.copy(mixed).set_params(linear=None)
    d2 = [
        est.adapt(X, columns(eta), task_types=TYPES).task_scores(
            X_test, columns(eta_test)
        )["d2"]
        for est in (mixed, alone)
    ]
    gain = np.subtract(*d2)
    for own in (slice(0, 4), slice(4, 8), slice(8, 12), slice(12, 15)):
        assert gain[own].mean() > 0.02


def assert_heads_predict(est, X):
    heads = est.transform(X) @ est.coef_.T + est.intercept_
    p = np.stack([p[:, 1] for p in est.predict_proba(X)], 1)
    np.testing.assert_allclose(p, expit(heads), atol=1e-5)


def test_where_none_are_asked_for_heads_predict(data, alone):
    with pytest.raises(AttributeError, match="no linear_"):
        _ = alone.linear_
    assert_heads_predict(alone, data[2])


@pytest.mark.parametrize(
    "params",
    [{"rotation": None}, {"early_stopping": False}],
    ids=lambda params: next(iter(params)),
)
def test_without_linear_models_heads_predict(data, params):
    X, eta, X_test, _ = data
    est = few_steps(**params).fit(X, eta > 0)
    with pytest.raises(AttributeError, match="no linear_"):
        _ = est.linear_
    assert_heads_predict(est, X_test)


@pytest.mark.parametrize(("n_classes", "quick"), [(0, True), (2, False), (5, False)])
def test_costs_of_classes_count_task_by_task(n_classes, quick):
    X, Y = np.zeros((1000, 200)), np.zeros((1000, 100))
    every = np.arange(1000), DenseLabels(Y, None)
    assert is_quick(TaskTable(X, *every, np.full(100, n_classes))) == quick
    # Fewer columns take less; a single class takes nothing.
    assert is_quick(TaskTable(X[:, :10], *every, np.full(100, n_classes)))
    assert is_quick(TaskTable(X, *every, np.ones(100, dtype=int)))


def test_wide_tables_are_left_to_heads(data):
    X, eta, *_ = data
    noise = np.random.default_rng(0).standard_normal((150, 1000))
    est = few_steps().fit(np.hstack([X, noise]), eta > 0)
    assert not hasattr(est, "linear_")


def test_more_inputs_than_rows_float32_and_a_constant(data):
    X, eta, X_test, _ = data
    noise = np.random.default_rng(0).standard_normal((600, 100))
    X, X_test = (
        np.hstack([part, more, np.full((len(part), 1), 7.0)]).astype(np.float32)
        for part, more in ((X[:80], noise[:80]), (X_test, noise[150:]))
    )
    est = few_steps().fit(X, eta[:80] > 0)
    assert est.linear_.coef.shape == (15, 113)
    np.testing.assert_array_equal(est.linear_.coef[:, -1], 0)
    assert np.isfinite(est.predict_proba(X_test)).all()


def test_rare_classes_single_classes_and_tasks_without_labels(data):
    X, eta, X_test, _ = data
    Y = (eta > 0).astype(float)
    Y[:, 0] = 1
    Y[:, 1] = np.nan
    # One label each, of which half are held out or not.
    for t in range(2, 8):
        Y[:, t] = 0
        Y[t, t] = 1
    Y[:, 8] = np.digitize(eta[:, 8], [-2, 2])
    Y[9, 8] = 3
    with (
        pytest.warns(UserWarning, match="1 of 15 tasks have no label"),
        pytest.warns(UserWarning, match="1 of 15 tasks have a single class"),
    ):
        est = few_steps().fit(X, Y)
    p = est.predict_proba(X_test)
    assert all(np.isfinite(own).all() for own in p)
    np.testing.assert_array_equal(p[0], 1)
    assert p[1].shape[1] == 0
    linear = est.linear_
    assert ((linear.share >= 0) & (linear.share <= 1)).all()
    assert np.isnan(linear.coef[:2]).all()
    assert np.isfinite(linear.coef[2:]).all()


def test_counts_that_are_zero_almost_everywhere(data):
    X, eta, X_test, _ = data
    y = pd.DataFrame(eta)
    for t in range(6):
        y[t] = 0.0
        y.loc[t, t] = 3.0
    y[6] = np.random.default_rng(0).poisson(1.0, 150)
    est = few_steps(SparseMultiTaskMixed, task_types=["count"] * 7 + ["number"] * 8)
    est.fit(X, y)
    assert np.isfinite(est.predict(X_test)).all(axis=None)
    assert ((est.linear_.share >= 0) & (est.linear_.share <= 1)).all()


def test_weights_of_labels(data):
    X, eta, X_test, _ = data
    weight = np.random.default_rng(0).integers(0, 3, eta.shape).astype(float)
    est = few_steps().fit(X, eta > 0, sample_weight=weight)
    missing = np.where(weight == 0, np.nan, eta > 0)
    same = few_steps().fit(X, missing, sample_weight=np.maximum(weight, 1))
    np.testing.assert_allclose(est.linear_.coef, same.linear_.coef, atol=1e-6)
    assert np.isfinite(est.predict_proba(X_test)).all()


def test_warm_starts_renew_the_linear_models(data, whole):
    X, eta, *_ = data
    est = pickle.loads(pickle.dumps(whole)).set_params(warm_start=True)
    est.fit(X, eta < 0)
    np.testing.assert_allclose(est.linear_.coef, -whole.linear_.coef, atol=1e-6)


def test_reports_name_the_score_on_held_out_rows(data, fitted):
    X, eta, *_ = data
    report = ModelReport.from_estimator(fitted, X, eta > 0)
    np.testing.assert_array_equal(report.tasks["held_out"], fitted.linear_.score)
    text = repr(report)
    assert "D2 on held-out rows: " in text
    assert "Accuracy on the given rows: " in text
    # Of another kind: not compared.
    assert "overfits" not in text
