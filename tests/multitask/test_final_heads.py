"""Heads on a frozen representation against other solvers; all of Eq. 4's variants."""

import numpy as np
import pytest
from celer import ElasticNet as CelerElasticNet
from celer import Lasso as CelerLasso
from sklearn.linear_model import (
    ElasticNet,
    LogisticRegression,
    MultiTaskLasso,
    Ridge,
)

from sparsedis import SparseMultiTaskClassifier, SparseMultiTaskRepresentation
from sparsedis.datasets import make_sparse_tasks

# After a few steps features are not to be trusted.
UNSURE = pytest.mark.filterwarnings(
    "ignore:(No head|.* may not be|The (encoder|features)|A separate Ridge):UserWarning"
)


@pytest.fixture(scope="module")
def data():
    return make_sparse_tasks(90, 12, n_factors=8, return_bunch=True, random_state=0)


def frozen(cls=SparseMultiTaskRepresentation, **params):
    """An estimator whose features are the inputs."""
    defaults = {
        "n_components": 8,
        "rotation": None,
        "encoder": "identity",
        "normalization": None,
        "alpha": 0.1,
        "alpha_mode": "absolute",
        "refit": "lasso",
    }
    if cls is SparseMultiTaskRepresentation:
        defaults["normalize_y"] = False
    return cls(**(defaults | params))


def with_gaps(Y):
    Y = Y.copy()
    Y[np.random.RandomState(0).uniform(size=Y.shape) < 0.4] = np.nan
    return Y


@pytest.mark.parametrize("solver", ["auto", "batched", "celer"])
def test_lasso_heads_are_those_of_celer(data, solver):
    X, Y = data.data, with_gaps(data.target)
    est = frozen(solver=solver).fit(X, Y)
    for t, y in enumerate(Y.T):
        at = ~np.isnan(y)
        reference = CelerLasso(alpha=0.1, tol=1e-12).fit(X[at], y[at])
        np.testing.assert_allclose(est.coef_[t], reference.coef_, atol=1e-6)
        assert est.intercept_[t] == pytest.approx(reference.intercept_, abs=1e-6)


@pytest.mark.parametrize("solver", ["auto", "batched", "celer"])
def test_elastic_net_heads_are_those_of_celer_and_scikit_learn(data, solver):
    X, Y = data.data, data.target
    est = frozen(penalty="elasticnet", l2=0.3, solver=solver).fit(X, Y)
    # alpha times l1_ratio is the l1 term, the rest the l2 term.
    params = {"alpha": 0.4, "l1_ratio": 0.25, "tol": 1e-12}
    for t, y in enumerate(Y.T):
        for reference in (
            CelerElasticNet(**params),
            ElasticNet(**params, max_iter=10_000),
        ):
            reference.fit(X, y)
            np.testing.assert_allclose(est.coef_[t], reference.coef_, atol=1e-6)


@pytest.mark.parametrize("solver", ["auto", "batched", "celer"])
def test_heads_of_vector_targets_are_those_of_scikit_learn(data, solver):
    X, Y = data.data, data.target.reshape(90, 4, 3)
    Y = Y.copy()
    Y[::5, 1] = np.nan
    est = frozen(solver=solver).fit(X, Y)
    assert est.coef_.shape == (4, 3, 8)
    assert est.intercept_.shape == (4, 3)
    for t in range(4):
        at = ~np.isnan(Y[:, t, 0])
        reference = MultiTaskLasso(alpha=0.1, tol=1e-12, max_iter=10_000)
        reference.fit(X[at], Y[at, t])
        np.testing.assert_allclose(est.coef_[t], reference.coef_, atol=1e-6)
        np.testing.assert_allclose(est.intercept_[t], reference.intercept_, atol=1e-6)
        np.testing.assert_array_equal(est.support_[t], est.coef_[t].any(0))
    prediction = est.predict(X)
    assert prediction.shape == (90, 4, 3)
    task = np.arange(90) % 4
    np.testing.assert_allclose(
        est.predict(X, task=task), prediction[np.arange(90), task]
    )
    r2 = []
    for t in range(4):
        at = ~np.isnan(Y[:, t, 0])
        spread = ((Y[at, t] - Y[at, t].mean(0)) ** 2).sum(0)
        r2.append(1 - ((Y[at, t] - prediction[at, t]) ** 2).sum(0) / spread)
    assert est.score(X, Y) == pytest.approx(np.mean(r2))


def test_dense_heads_of_vector_targets_are_ridge(data):
    X, Y = data.data, data.target.reshape(90, 4, 3)
    est = frozen(penalty="l2").fit(X, Y)
    for t in range(4):
        reference = Ridge(alpha=0.1 * 90).fit(X, Y[:, t])
        np.testing.assert_allclose(est.coef_[t], reference.coef_, atol=1e-8)


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("solver", ["auto", "batched", "celer"])
def test_binary_heads_are_those_of_scikit_learn(data, solver, fit_intercept):
    X, Y = data.data, np.where(np.isnan(with_gaps(data.target)), np.nan, 0.0)
    Y = np.where(np.isnan(Y), np.nan, data.target > 0.3)
    alpha = 0.05
    est = frozen(
        SparseMultiTaskClassifier,
        alpha=alpha,
        solver=solver,
        fit_intercept=fit_intercept,
    ).fit(X, Y)
    for t, y in enumerate(Y.T):
        at = ~np.isnan(y)
        reference = LogisticRegression(
            C=1 / (alpha * at.sum()),
            l1_ratio=1,
            # saga does not penalise the intercept.
            solver="saga",
            tol=1e-12,
            max_iter=50_000,
            fit_intercept=fit_intercept,
        ).fit(X[at], y[at])
        np.testing.assert_allclose(est.coef_[t], reference.coef_[0], atol=1e-6)
        np.testing.assert_allclose(est.intercept_[t], reference.intercept_, atol=1e-6)


@pytest.mark.parametrize("penalty", ["l2", "elasticnet"])
def test_smooth_heads_of_classes_are_those_of_scikit_learn(data, penalty):
    X = data.data
    Y = np.digitize(data.target, [-0.6, 0.6])
    params = {"alpha": 0.0, "l2": 0.1} if penalty == "elasticnet" else {"alpha": 0.1}
    est = frozen(SparseMultiTaskClassifier, penalty=penalty, **params).fit(X, Y)
    proba = est.predict_proba(X)
    for t, y in enumerate(Y.T):
        reference = LogisticRegression(C=1 / (0.1 * 90), tol=1e-10, max_iter=1000)
        reference.fit(X, y)
        np.testing.assert_allclose(proba[t], reference.predict_proba(X), atol=1e-5)


def test_relaxed_heads_of_classes_are_logistic_on_the_support(data):
    X = data.data
    Y = np.digitize(data.target, [-0.6, 0.6])
    Y[:, :5] = Y[:, :5] > 0
    est = frozen(
        SparseMultiTaskClassifier, alpha=0.4, alpha_mode="relative", refit="relaxed"
    ).fit(X, Y)
    assert 0 < est.support_.mean() < 1
    proba = est.predict_proba(X)
    for t, support in enumerate(est.support_):
        reference = LogisticRegression(tol=1e-10, max_iter=1000)
        reference.fit(X[:, support], Y[:, t])
        np.testing.assert_allclose(
            proba[t], reference.predict_proba(X[:, support]), atol=1e-5
        )


def test_relaxed_heads_of_the_elastic_net_keep_their_l2_term(data):
    est = frozen(
        penalty="elasticnet", l2=0.5, alpha=0.3, alpha_mode="relative", refit="relaxed"
    ).fit(data.data, data.target)
    for t, support in enumerate(est.support_):
        reference = Ridge(alpha=0.5 * 90)
        reference.fit(data.data[:, support], data.target[:, t])
        np.testing.assert_allclose(est.coef_[t, support], reference.coef_, atol=1e-8)


@pytest.mark.parametrize("mode", ["relative", "absolute"])
def test_one_alpha_per_task(data, mode):
    X, Y = data.data, data.target
    alphas = np.linspace(0.05, 0.6, 12)
    est = frozen(alpha=alphas, alpha_mode=mode).fit(X, Y)
    for t in range(12):
        alone = frozen(alpha=alphas[t], alpha_mode=mode).fit(X, Y[:, [t]])
        np.testing.assert_allclose(est.coef_[t], alone.coef_[0], atol=1e-9)
        assert est.alpha_[t] == pytest.approx(alone.alpha_[0])


def test_weighted_heads_are_those_of_scikit_learn(data):
    X, Y = data.data, data.target
    weight = np.random.RandomState(0).uniform(0, 2, 90)
    est = frozen(solver="batched").fit(X, Y, sample_weight=weight)
    for t, y in enumerate(Y.T):
        reference = ElasticNet(alpha=0.1, l1_ratio=1, tol=1e-12, max_iter=10_000)
        reference.fit(X, y, sample_weight=weight)
        np.testing.assert_allclose(est.coef_[t], reference.coef_, atol=1e-6)


def test_with_the_penalty_outside_heads_are_a_tiny_ridge(data):
    X, Y = data.data, data.target
    est = frozen(penalty_at="outer", alpha=0.2).fit(X, Y)
    centred = X - X.mean(0)
    ridge = 1e-6 * (centred**2).sum()
    reference = Ridge(alpha=ridge).fit(X, Y)
    np.testing.assert_allclose(est.coef_, reference.coef_, atol=1e-8)


# Adapting


@pytest.mark.parametrize("refit", ["relaxed", "lasso"])
def test_adapted_heads_are_those_of_fit(data, refit):
    X, Y = data.data, data.target
    est = frozen(alpha=0.2, alpha_mode="relative", refit=refit).fit(X, Y)
    head = est.adapt(X, Y[:, 3])
    assert head.module_ is est.module_
    np.testing.assert_allclose(head.coef_[0], est.coef_[3], atol=1e-9)
    np.testing.assert_allclose(head.predict(X), est.predict(X)[:, 3], atol=1e-9)
    assert head.score(X, Y[:, 3]) == pytest.approx(
        frozen(alpha=0.2, alpha_mode="relative", refit=refit)
        .fit(X, Y[:, [3]])
        .score(X, Y[:, [3]])
    )
    # The others are as they were.
    assert est.coef_.shape == (12, 8)
    # In any form, with any penalty.
    long = est.adapt(X, Y[:, 3], task=np.full(90, "new"), alpha=0.5)
    assert long.tasks_.tolist() == ["new"]
    assert long.alpha_[0] == pytest.approx(2.5 * head.alpha_[0])


@UNSURE
def test_a_stream_is_adapted_from(data, rotation):
    X, Y = data.data, data.target
    est = SparseMultiTaskRepresentation(
        8, rotation=rotation, alpha=0.1, max_iter=3, random_state=0
    )
    est.fit_stream([(X, Y)])
    head = est.adapt(X, Y)
    assert head.predict(X).shape == (90, 12)
    with pytest.raises(AttributeError, match="There is no coef_"):
        est.predict(X)


@UNSURE
def test_classifiers_adapt_to_other_classes(data, rotation):
    X, Y = data.data, data.target
    est = SparseMultiTaskClassifier(
        8, rotation=rotation, alpha=0.1, max_iter=3, random_state=0
    )
    est.fit(X, Y > 0)
    words = np.array(["a", "b", "c"])[np.digitize(Y[:, 0], [-0.5, 0.5])]
    head = est.adapt(X, words)
    assert head.classes_.tolist() == ["a", "b", "c"]
    assert set(head.predict(X)) <= {"a", "b", "c"}
    assert head.predict_proba(X).shape == (90, 3)
    assert len(est.classes_) == 12
