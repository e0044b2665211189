"""Heads of one's own in the estimators, on features that are given."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import HuberRegressor, LogisticRegression, PoissonRegressor
from sklearn.model_selection import GridSearchCV

from sparsedis import SparseMultiTaskClassifier, SparseMultiTaskRepresentation
from sparsedis.datasets import make_sparse_tasks
from sparsedis.heads import LinearHead
from sparsedis.implicit import glm, glm_alpha_max
from sparsedis.solvers.losses import (
    Huber,
    Logistic,
    Multinomial,
    Poisson,
    Squared,
    log_loss,
)
from sparsedis.solvers.penalties import L1, L2, MCP, GroupL1, NonNegativeL1


def given(estimator=SparseMultiTaskRepresentation, **parameters):
    """An estimator that only fits heads, to features as they are."""
    how = {"encoder": "identity", "normalization": None, "rotation": None}
    if estimator is SparseMultiTaskRepresentation:
        how["normalize_y"] = False
    return estimator(**how | parameters, n_components=5, random_state=0)


@pytest.fixture(scope="module")
def tables():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 5))
    W = rng.standard_normal((6, 5)) * (rng.random((6, 5)) < 0.5)
    W[:, 0] = 1.0
    scores = X @ W.T + 0.3
    Y = scores + 0.3 * rng.standard_normal(scores.shape)
    outliers = Y + 50 * (rng.random(Y.shape) < 0.05)
    return {
        "X": X,
        "W": W,
        "numbers": Y,
        "outliers": outliers,
        "counts": rng.poisson(np.exp(0.4 * scores)).astype(float),
        "classes": (Y > 0).astype(int),
    }


def test_penalised_heads_are_solutions_of_the_layer(tables):
    X, Y = tables["X"], tables["outliers"]
    est = given(head=LinearHead(Huber(0.5), MCP()), alpha=0.2, refit="lasso")
    est.fit(X, Y)
    Z, y = torch.from_numpy(X), torch.from_numpy(Y.T.copy())
    how = {"loss": Huber(0.5), "penalty": MCP(), "fit_intercept": True}
    alpha = 0.2 * glm_alpha_max(Z, y, **how)
    W, b = glm(Z, y, alpha, **how)
    np.testing.assert_allclose(est.coef_, W, atol=1e-6)
    np.testing.assert_allclose(est.intercept_, b, atol=1e-6)
    np.testing.assert_allclose(est.alpha_, alpha)
    np.testing.assert_array_equal(est.support_, W != 0)


def test_huber_heads_bear_outliers(tables):
    X, W = tables["X"], tables["W"]
    robust = given(head=LinearHead(Huber(0.5), L2()), alpha=1e-4, alpha_mode="absolute")
    plain = given(penalty="l2", alpha=1e-4, alpha_mode="absolute")
    robust.fit(X, tables["outliers"])
    plain.fit(X, tables["outliers"])
    assert np.abs(robust.coef_ - W).max() < 0.15
    assert np.abs(plain.coef_ - W).max() > 0.5
    # scikit-learn's estimates the scale besides; both are near the truth.
    for t in range(6):
        own = HuberRegressor(alpha=0.0).fit(X, tables["outliers"][:, t])
        np.testing.assert_allclose(robust.coef_[t], own.coef_, atol=0.1)


def test_the_unit_of_robust_losses_bears_outliers(tables):
    X, W = tables["X"], tables["W"]
    for Y in (tables["outliers"], 1e3 * tables["outliers"] + 5e4):
        est = given(head=LinearHead(Huber(), L2()), alpha=1e-4, normalize_y=True)
        size = np.diff(Y[:2, 0])[0] / np.diff(tables["outliers"][:2, 0])[0]
        est.fit(X, Y)
        # Standard deviations, of some 11, would take most outliers for noise.
        assert np.abs(est.coef_ / size - W).max() < 0.15


def test_poisson_heads_predict_means(tables):
    X, counts = tables["X"], tables["counts"]
    head = LinearHead(Poisson(), L2())
    est = given(head=head, alpha=0.01, alpha_mode="absolute").fit(X, counts)
    for t in range(6):
        own = PoissonRegressor(alpha=0.01, tol=1e-10, solver="newton-cholesky")
        own.fit(X, counts[:, t])
        np.testing.assert_allclose(est.coef_[t], own.coef_, atol=1e-5)
        np.testing.assert_allclose(est.predict(X)[:, t], own.predict(X), rtol=1e-4)
    # The score is that of the predictions, not of their logarithms.
    each = 1 - ((counts - est.predict(X)) ** 2).mean(0) / counts.var(0)
    np.testing.assert_allclose(est.score(X, counts), each.mean())


def test_truth_values_are_numbers_for_the_logistic_loss(tables):
    X, y = tables["X"], tables["classes"].astype(float)
    est = given(head=LinearHead(Logistic(), L2()), alpha=0.01, alpha_mode="absolute")
    est.fit(X, y)
    for t in range(6):
        own = LogisticRegression(C=1 / (0.01 * len(X)), tol=1e-10, max_iter=1000)
        own.fit(X, y[:, t])
        np.testing.assert_allclose(est.coef_[t], own.coef_[0], atol=1e-5)
        expected = own.predict_proba(X)[:, 1]
        np.testing.assert_allclose(est.predict(X)[:, t], expected, atol=1e-5)


def test_counts_keep_their_unit(tables):
    head = LinearHead(Poisson(), L2())
    how = {"head": head, "alpha": 0.01, "alpha_mode": "absolute"}
    scaled = given(normalize_y=True, **how).fit(tables["X"], tables["counts"])
    plain = given(**how).fit(tables["X"], tables["counts"])
    np.testing.assert_array_equal(scaled.coef_, plain.coef_)


def test_relaxed_heads_keep_the_sign_that_a_penalty_asks_for(tables):
    head = LinearHead(Squared(), NonNegativeL1())
    est = given(head=head, alpha=0.05).fit(tables["X"], tables["numbers"])
    assert (est.coef_ >= 0).all()
    assert (est.coef_[est.support_] > 0).mean() > 0.9
    # Relaxed: what is used is not shrunk.
    assert abs(est.coef_[:, 0] - 1).max() < 0.5


def test_the_head_that_stands_for_the_default_is_the_default(tables):
    X, Y = tables["X"], tables["numbers"]
    own = given(head=LinearHead(Squared(), GroupL1()), alpha=0.2).fit(X, Y)
    default = given(alpha=0.2).fit(X, Y)
    np.testing.assert_array_equal(own.coef_, default.coef_)
    classes = tables["classes"]
    own = given(
        SparseMultiTaskClassifier, head=LinearHead(log_loss, GroupL1()), alpha=0.2
    ).fit(X, classes)
    default = given(SparseMultiTaskClassifier, alpha=0.2).fit(X, classes)
    np.testing.assert_array_equal(own.coef_, default.coef_)


def test_an_encoder_is_trained_and_rotated_with_them():
    X, Y = make_sparse_tasks(n_samples=200, n_tasks=40, n_factors=4, random_state=0)
    est = SparseMultiTaskRepresentation(
        head=LinearHead(Huber(), L2()), max_iter=40, lr=0.015, random_state=0
    ).fit(X, Y)
    losses = est.history_["loss"]
    assert losses[-1] < 0.6 * losses[0]
    assert est.n_components_ == 4
    assert est.score(X, Y) > 0.8


def test_heads_are_parameters_like_others(tables, tmp_path):
    X, Y = tables["X"], tables["outliers"]
    heads = [LinearHead(Squared(), L2()), LinearHead(Huber(0.5), L2())]
    est = given(alpha=1e-4, alpha_mode="absolute")
    search = GridSearchCV(est, {"head": heads}, cv=3, error_score="raise").fit(X, Y)
    assert search.best_params_["head"] in heads
    fitted = clone(est.set_params(head=heads[1])).fit(X, Y)
    assert "Huber(delta=0.5)" in repr(fitted)
    fitted.save_params(tmp_path / "model")
    again = clone(fitted).load_params(tmp_path / "model")
    np.testing.assert_array_equal(again.predict(X), fitted.predict(X))
    with pytest.raises(ValueError, match=r"head='LinearHead\(Huber\(delta=0.5\), L2"):
        clone(fitted).set_params(head=heads[0]).load_params(tmp_path / "model")


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"head": LinearHead(log_loss, L2())}, "head must have a loss for numbers"),
        (
            {"head": LinearHead(Huber(), L2()), "penalty": "l1"},
            "penalty must be 'auto'",
        ),
        (
            {"head": LinearHead(Multinomial(3), L2())},
            "head must have a loss for numbers",
        ),
        ({"head": "huber"}, "'head' parameter .* must be an instance of"),
        ({"head": LinearHead(Poisson(), L2())}, "y must not be negative"),
        (
            {"head": LinearHead(Huber(), L2()), "penalty_at": "outer"},
            "penalty_at='outer' requires penalty='l1'",
        ),
        ({"head": LinearHead(Huber(), L1([1.0, 2.0]))}, "for each of the 5 features"),
    ],
)
def test_heads_that_do_not_fit_are_refused(tables, parameters, match):
    with pytest.raises(ValueError, match=match):
        given(**parameters).fit(tables["X"], tables["numbers"])


def test_a_classifier_refuses_a_loss_of_numbers(tables):
    est = given(SparseMultiTaskClassifier, head=LinearHead(Squared(), L2()))
    with pytest.raises(ValueError, match="head must have a function of the number of"):
        est.fit(tables["X"], tables["classes"])


def test_what_is_no_head_is_refused():
    with pytest.raises(TypeError, match="loss must be a Loss, such as Squared"):
        LinearHead("huber", L2())
    with pytest.raises(TypeError, match="penalty must be a Penalty, such as L1"):
        LinearHead(Squared(), "l1")


WEIGHTED = {
    "huber": (SparseMultiTaskRepresentation, Huber(0.5), "outliers"),
    "poisson": (SparseMultiTaskRepresentation, Poisson(), "counts"),
    "logistic": (SparseMultiTaskRepresentation, Logistic(), "truth values"),
    "log loss": (SparseMultiTaskClassifier, log_loss, "classes"),
    "multinomial": (SparseMultiTaskClassifier, log_loss, "many classes"),
}


@pytest.mark.filterwarnings("ignore:No head")
@pytest.mark.parametrize("kind", WEIGHTED)
def test_an_encoder_is_trained_with_weights_of_labels_and_tasks(tables, kind):
    cls, loss, name = WEIGHTED[kind]
    X, Y = tables["X"], tables["numbers"]
    Y = {"truth values": 1.0 * (Y > 0), "many classes": np.digitize(Y, [-1, 1])}.get(
        name, tables.get(name)
    )
    rng = np.random.default_rng(1)
    gaps, weight = rng.random(Y.shape) < 0.2, rng.uniform(0.2, 3.0, Y.shape)
    weight[rng.random(Y.shape) < 0.1] = 0.0
    how = {"alpha_mode": "absolute", "alpha": 0.02, "head": LinearHead(loss, L2())}
    if cls is SparseMultiTaskRepresentation:
        how["normalize_y"] = False
    how |= {"batch_size": 200}  # all rows: the loss of a step is that of the table
    est = cls(
        3, rotation=None, refit="lasso", max_iter=15, lr=0.02, random_state=0, **how
    )
    labels = np.where(gaps, np.nan, Y)
    est.fit(X, labels, sample_weight=weight, task_weight=[1, 2, 0, 1, 0.5, 3])
    loss = est.history_["loss"]
    assert loss[-1] < 0.9 * loss[0]
    Z = est.transform(X).astype(float)
    for t in range(6):
        own = ~gaps[:, t] & (weight[:, t] > 0)
        features, y, w = Z[own], Y[own, t], weight[own, t]
        if kind == "huber":
            # Scores where the gradient vanishes, by its definition.
            residual = features @ est.coef_[t] + est.intercept_[t] - y
            pull = w * residual.clip(-0.5, 0.5) / w.sum()
            np.testing.assert_allclose(pull.sum(), 0, atol=1e-8)
            np.testing.assert_allclose(pull @ features, -0.02 * est.coef_[t], atol=1e-8)
            continue
        if kind == "poisson":
            other = PoissonRegressor(alpha=0.02, tol=1e-12, solver="newton-cholesky")
        else:
            other = LogisticRegression(C=1 / (0.02 * w.sum()), tol=1e-10, max_iter=5000)
        other.fit(features, y, sample_weight=w)
        coef = np.squeeze(other.coef_)
        np.testing.assert_allclose(est.coef_[t], coef, atol=1e-4)
