"""Logistic heads: their optimality, their information, and supports."""

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_expit
from sklearn.linear_model import LogisticRegression

from sparsedis.rotation._logistic import classification_moments, logistic_heads


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


def test_moments_solve_for_the_heads():
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((200, 3))
    Y = np.column_stack([rng.integers(0, 2, 200), rng.integers(0, 3, 200)]) * 1.0
    moments = classification_moments(Z, Y, np.array([2, 3]))
    heads, _ = moments.solve(0.0)
    ones = np.ones((200, 1))
    W, _, information = logistic_heads(Z, Y[:, :1], ones)
    assert_allclose(heads[0, 0], W[0], rtol=1e-6)
    assert_array_equal(heads[0, 1:], 0)
    assert_allclose(moments.hessian[0], information[0], rtol=1e-6)
    assert_array_equal(moments.n_outputs, [1, 2])
    assert_array_equal(moments.noise, 1)


def test_more_classes_are_compared_with_the_most_frequent_one():
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((300, 3))
    y = rng.choice(3, 300, p=[0.3, 0.6, 0.1]).astype(float)
    moments = classification_moments(Z, y[:, None], np.array([3]))
    W, information = [], []
    for c in (0, 2):
        rows = (y == c) | (y == 1)
        share = np.ones((rows.sum(), 1))
        found = logistic_heads(Z[rows], (y[rows, None] == c) * 1.0, share)
        W.append(found[0][0])
        information.append(found[2][0])
    assert_allclose(moments.hessian[0], np.mean(information, axis=0), rtol=1e-6)
    # Each head in units of its own error.
    size = np.trace(information, axis1=1, axis2=2)
    expected = np.array(W) * np.sqrt(size / size.mean())[:, None]
    heads, _ = moments.solve(0.0)
    assert_allclose(heads[0], expected, rtol=1e-6)


def test_softmax_of_linear_scores_has_no_other_directions():
    # One class against all others would need functions of the factors that bend.
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((2000, 3))
    W = rng.standard_normal((40, 4, 3)) * 1.5
    scores = np.einsum("nk,tck->ntc", Z, W) + rng.gumbel(size=(2000, 40, 4))
    Y = scores.argmax(-1).astype(float)
    F = np.column_stack([Z, Z**2])
    F = (F - F.mean(0)) / F.std(0)
    moments = classification_moments(F, Y, np.full(40, 4))
    heads, _ = moments.solve(0.0)
    along = (heads**2).mean((0, 1))
    assert along[3:].max() < 0.02 * along[:3].min()
