"""Logistic heads: their optimality, their information, and supports."""

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_expit
from sklearn.linear_model import LogisticRegression

from sparsedis.rotation._logistic import logistic_heads


def make_labels(n=150, m=3, H=4, seed=0):
    rng = np.random.default_rng(seed)
    Z = rng.standard_normal((n, m))
    target = (rng.random((n, H)) < expit(Z @ rng.standard_normal((m, H)) + 1)) * 1.0
    share = rng.integers(0, 3, (n, H)).astype(float)
    return Z, target, share


def test_heads_minimise_the_penalised_loss():
    Z, target, share = make_labels()
    W, intercept, _ = logistic_heads(Z, target, share)
    left = share * (expit(Z @ W.T + intercept) - target)
    assert_allclose(Z.T @ left + W.T, 0, atol=1e-4)
    assert_allclose(left.sum(0), 0, atol=1e-4)


def test_weights_over_decades():
    # With outlying features too: full Newton steps go too far.
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((20, 3)) ** 3
    target = (rng.random((20, 50)) < expit(Z @ rng.standard_normal((3, 50)))) * 1.0
    share = 10.0 ** rng.uniform(-2, 3, target.shape)
    W, intercept, _ = logistic_heads(Z, target, share)
    left = share * (expit(Z @ W.T + intercept) - target)
    assert_allclose(Z.T @ left + W.T, 0, atol=1e-3)


def test_information_is_the_curvature_without_the_intercept():
    Z, target, share = make_labels()
    W, _, information = logistic_heads(Z, target, share)

    def gradient(w, h):
        def loss(b):
            score = Z @ w + b
            fit = target[:, h] * log_expit(score)
            fit += (1 - target[:, h]) * log_expit(-score)
            return -(share[:, h] * fit).sum()

        b = minimize_scalar(loss, (-3, 3), options={"xtol": 1e-12}).x
        return Z.T @ (share[:, h] * (expit(Z @ w + b) - target[:, h])) + w

    for h in range(4):
        step = 1e-3 * np.eye(3)
        numeric = [(gradient(W[h] + e, h) - gradient(W[h] - e, h)) / 2e-3 for e in step]
        assert_allclose(information[h], numeric, rtol=1e-3, atol=1e-3)


def test_supports_leave_features_out():
    Z, target, share = make_labels()
    support = np.array([[1, 1, 1], [1, 0, 1], [0, 1, 0], [0, 0, 0]], dtype=bool)
    W, intercept, _ = logistic_heads(Z, target, share, support)
    assert_array_equal(W != 0, support)
    for h in range(3):
        model = LogisticRegression(C=1, tol=1e-10)
        model.fit(Z[:, support[h]], target[:, h], share[:, h])
        assert_allclose(W[h, support[h]], model.coef_[0], atol=1e-4)
        assert_allclose(intercept[h], model.intercept_[0], atol=1e-4)
    rate = np.average(target[:, 3], weights=share[:, 3])
    assert_allclose(expit(intercept[3]), rate, rtol=1e-5)


def test_separable_classes_have_finite_heads():
    Z = np.linspace(-3, 3, 50)[:, None]
    W, intercept, information = logistic_heads(Z, (Z > 0) * 1.0, np.ones((50, 1)))
    assert 1 < W[0, 0] < 10
    assert abs(intercept[0]) < 0.1
    assert information[0, 0, 0] > 1


def test_a_prior_is_a_change_of_coordinates():
    Z, target, share = make_labels()
    rng = np.random.default_rng(1)
    M = rng.standard_normal((3, 3))
    W, intercept, information = logistic_heads(Z, target, share)
    # Heads of Z @ M are those of Z times the inverse of M'.
    other = logistic_heads(Z @ M, target, share, precision=M.T @ M)
    assert_allclose(other[0] @ M.T, W, atol=1e-4)
    assert_allclose(other[1], intercept, atol=1e-4)
    assert_allclose(other[2], M.T @ information @ M, rtol=1e-3, atol=1e-3)


def test_starts_lead_to_the_same_heads():
    Z, target, share = make_labels()
    W, intercept, _ = logistic_heads(Z, target, share)
    for size in (1e-2, 1.0, 1e4):
        start = np.full(W.shape, size), np.full(len(W), -size)
        again, b, _ = logistic_heads(Z, target, share, start=start)
        assert_allclose(again, W, atol=1e-4)
        assert_allclose(b, intercept, atol=1e-4)
