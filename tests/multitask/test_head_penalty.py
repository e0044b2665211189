"""Penalty of the heads of classes, chosen on held-out rows."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from sparsedis import (
    SparseMultiTaskClassifier,
    SparseMultiTaskMixed,
    SparseMultiTaskRepresentation,
)
from sparsedis.datasets import make_sparse_tasks
from sparsedis.multitask import _linear
from sparsedis.multitask._head_penalty import PENALTIES

# After a few steps features are not to be trusted.
pytestmark = pytest.mark.filterwarnings(
    r"ignore:(\d+ of \d+ features may not be|No factors|The encoder overfits)"
)


def table(noise):
    rng = np.random.default_rng(0)
    X, Y = make_sparse_tasks(200, 12, n_factors=3, noise_ratio=0.0, random_state=0)
    return X, (Y > 0) ^ (rng.random(Y.shape) < noise)


def make(cls=SparseMultiTaskClassifier, **params):
    return cls(max_iter=30, random_state=0, **params)


def test_it_is_that_of_the_least_held_out_loss(monkeypatch):
    seen = []

    def keep(*args, **kwargs):
        seen.append((args, chosen(*args, **kwargs)))
        return seen[-1][1]

    chosen = _linear.held_out_heads
    monkeypatch.setattr(_linear, "held_out_heads", keep)
    X, Y = table(0.05)
    est = make().fit(X, Y)
    [((Z, folds, *_), (heads, l2))] = seen
    assert (folds == -1).sum() > (folds == 0).sum() > 0
    [(coef, intercept)] = heads
    Y, held_out = Y[est_rows(X, Z, est)], folds == 0
    losses = dict.fromkeys(PENALTIES, 0.0)
    for y, w, b in zip(Y.T, coef[:, 0], intercept, strict=True):
        used = w != 0
        for penalty in PENALTIES:
            model = LogisticRegression(C=1 / penalty, tol=1e-8, max_iter=1000)
            model.fit(Z[~held_out][:, used], y[~held_out])
            p = model.predict_proba(Z[held_out][:, used])
            losses[penalty] += log_loss(y[held_out], p, labels=[False, True])
            if penalty == l2:
                np.testing.assert_allclose(w[used], model.coef_[0], rtol=1e-3)
                np.testing.assert_allclose(b, model.intercept_, rtol=1e-3, atol=1e-5)
    assert min(losses, key=losses.get) == l2 == est.linear_.l2


def est_rows(X, Z, est):
    """Positions in X of the rows of features."""
    distance = np.abs(est.transform(X)[:, None] - Z).sum(-1)
    assert distance.min(0).max() < 1e-4
    return distance.argmin(0)


@pytest.mark.parametrize(("noise", "allowed"), [(0.0, (0.01, 0.1)), (0.35, (1, 10))])
def test_noisy_labels_need_a_larger_one(noise, allowed):
    X, Y = table(noise)
    est = make().fit(X, Y)
    assert est.linear_.l2 in allowed
    Z = est.transform(X)
    for t, used in enumerate(est.support_):
        if used.any():
            model = LogisticRegression(C=1 / est.linear_.l2, tol=1e-8, max_iter=1000)
            model.fit(Z[:, used], Y[:, t])
            np.testing.assert_allclose(est.coef_[t, used], model.coef_[0], rtol=1e-3)


def test_it_predicts_new_rows_better():
    X, Y = make_sparse_tasks(1000, 12, n_factors=3, noise_ratio=0.0, random_state=0)
    Y = Y > 0
    est = make().fit(X[:200], Y[:200])
    plain = make(linear=None).fit(X[:200], Y[:200])
    np.testing.assert_array_equal(est.support_, plain.support_)

    def loss(est):
        p = expit(est.transform(X[200:]) @ est.coef_.T + est.intercept_)
        return np.mean([log_loss(y, q) for y, q in zip(Y[200:].T, p.T, strict=True)])

    assert loss(est) < 0.8 * loss(plain)


def test_new_tasks_choose_their_own():
    X, Y = table(0.0)
    est = make().fit(X, Y)
    noisy = table(0.35)[1]
    assert est.adapt(X, noisy).linear_.l2 > est.linear_.l2


def test_numbers_have_none():
    X, Y = make_sparse_tasks(200, 12, n_factors=3, random_state=0)
    est = make(SparseMultiTaskRepresentation).fit(X, Y)
    assert est.linear_.l2 == 1.0
    Z = np.column_stack([np.ones(len(X)), est.transform(X)])
    residual = Y - Z @ np.column_stack([est.intercept_, est.coef_]).T
    # Least squares on the selected features.
    used = np.column_stack([np.ones(len(est.support_)), est.support_]) > 0
    assert np.abs((residual.T @ Z)[used]).max() < 1e-3 * np.abs(Y.T @ Z).max()


def test_it_is_one_without_held_out_classes():
    X, _ = table(0.0)
    mixed = X[:, [0, 1, 2, 0]].astype(object)
    # All rows of two labels are used for training.
    mixed[:, 3] = None
    mixed[:2, 3] = "a", "b"
    est = make(SparseMultiTaskMixed).fit(X, mixed)
    assert est.linear_.first[4] == est.linear_.first[3]
    assert est.linear_.l2 == 1
