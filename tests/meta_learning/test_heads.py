"""Heads of episodes against independent implementations, and their gradients."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import NearestCentroid
from sklearn.svm import LinearSVC
from torch import nn

from sparsedis.heads._few_shot import HEADS
from sparsedis.meta_learning._learned_head import LearnedHead, active_features

N_CLASSES = 3
SPARSE = ("group_lasso_svm", "logistic")


def episode(n_shots=6, k=8, n_tasks=1, seed=0, dtype=torch.float64):
    rng = np.random.RandomState(seed)
    y = np.repeat(np.arange(N_CLASSES), n_shots)
    Z = rng.normal(size=(n_tasks, N_CLASSES, k))[:, y] + rng.normal(
        size=(n_tasks, len(y), k)
    )
    labels = torch.as_tensor(y).expand(n_tasks, -1)
    return torch.as_tensor(Z, dtype=dtype), labels


def fit(kind, Z, y, alpha=0.0, l2=1.0, relative=True):
    head = LearnedHead(HEADS[kind], alpha, l2, relative=relative)
    W, b = head.fit(Z, y, N_CLASSES)
    return head, W, b


def test_the_dense_svm_is_that_of_crammer_and_singer():
    Z, y = episode()
    _, W, b = fit("group_lasso_svm", Z, y, l2=0.5)
    reference = LinearSVC(
        multi_class="crammer_singer",
        fit_intercept=False,
        C=2.0,
        tol=1e-10,
        max_iter=1_000_000,
    ).fit(Z[0], y[0])
    assert b is None
    np.testing.assert_allclose(W[0].T, reference.coef_, atol=1e-4)


def test_the_dense_logistic_head_is_that_of_scikit_learn():
    Z, y = episode()
    _, W, _ = fit("logistic", Z, y, l2=0.5)
    reference = LogisticRegression(C=2.0, fit_intercept=False, tol=1e-10)
    reference.fit(Z[0], y[0])
    np.testing.assert_allclose(W[0].T, reference.coef_, atol=1e-5)


def test_two_logistic_classes_share_one_logit():
    Z, y = episode()
    two = y[0] < 2
    W, _ = LearnedHead(HEADS["logistic"], 0.0, 0.5, relative=True).fit(
        Z[:, two], y[:, two], 2
    )
    reference = LogisticRegression(C=2.0, fit_intercept=False, tol=1e-10)
    reference.fit(Z[0, two], y[0, two])
    np.testing.assert_allclose(W[0, :, 1] - W[0, :, 0], reference.coef_[0], atol=1e-5)
    np.testing.assert_array_equal(W[0, :, 1], -W[0, :, 0])


@pytest.mark.parametrize("k", [8, 40])  # fewer, and more, than samples
def test_ridge_is_that_of_scikit_learn(k):
    Z, y = episode(k=k)
    _, W, _ = fit("ridge", Z, y, l2=0.5)
    reference = Ridge(alpha=0.5, fit_intercept=False).fit(Z[0], np.eye(3)[y[0]])
    np.testing.assert_allclose(W[0].T, reference.coef_, atol=1e-10)


def test_prototypes_find_the_nearest_centroid():
    Z, y = episode()
    head, W, b = fit("prototypes", Z, y)
    queries = episode(seed=1)[0]
    logits = head.logits(queries, W, b)[0]
    reference = NearestCentroid().fit(Z[0], y[0])
    np.testing.assert_array_equal(logits.argmax(-1), reference.predict(queries[0]))
    # Up to what all classes share, logits are minus mean squared distances.
    distance = torch.cdist(queries[0], torch.as_tensor(reference.centroids_)) ** 2
    expected = (-10 * distance / 8).softmax(-1)
    torch.testing.assert_close(logits.softmax(-1).detach(), expected)


@pytest.mark.parametrize("kind", SPARSE)
def test_a_relative_alpha_is_a_share_of_what_leaves_no_feature(kind):
    Z, y = episode(k=30, n_tasks=3)
    shares = [
        active_features(fit(kind, Z, y, alpha=alpha)[1]).double().mean()
        for alpha in (0.0, 0.1, 0.4, 1.0)
    ]
    assert shares[0] == 1
    assert shares[0] > shares[1] > shares[2] > shares[3] == 0
    # Scaling the features changes nothing; an absolute penalty would not notice l2.
    W = fit(kind, Z, y, alpha=0.3, l2=1e-3)[1]
    scaled = fit(kind, 5 * Z, y, alpha=0.3, l2=25e-3)[1]
    torch.testing.assert_close(W, 5 * scaled, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("kind", HEADS)
def test_tasks_are_solved_as_if_alone(kind):
    Z, y = episode(n_tasks=4)
    _, W, b = fit(kind, Z, y, alpha=0.2)
    for t in range(4):
        _, alone, intercept = fit(kind, Z[t : t + 1], y[t : t + 1], alpha=0.2)
        torch.testing.assert_close(W[t], alone[0], atol=1e-7, rtol=1e-5)
        if b is not None:
            torch.testing.assert_close(b[t], intercept[0])


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dead_features_stay_unused(kind, dtype):
    Z, y = episode(k=12, dtype=dtype)
    Z[..., 4:9] = 0
    Z.requires_grad_()
    head, W, b = fit(kind, Z, y, alpha=0.1)
    assert W.dtype == dtype
    assert not active_features(W)[0, 4:9].any()
    head.logits(Z, W, b).square().sum().backward()
    assert torch.isfinite(Z.grad).all()


@pytest.mark.parametrize("kind", HEADS)
def test_the_outer_loss_has_the_gradient_of_finite_differences(kind):
    Z, y = episode(n_shots=5, k=6, n_tasks=2)
    queries, answers = episode(n_shots=4, k=6, n_tasks=2, seed=1)
    sparse, penalised = kind in SPARSE, kind != "prototypes"
    head = LearnedHead(
        HEADS[kind], 0.3, 0.7, relative=False, learn_alpha=sparse, learn_l2=penalised
    ).double()

    fitted = _Fit(head)
    names = [name for name, _ in fitted.named_parameters()]

    def outer(Z, queries, *parameters):
        values = dict(zip(names, parameters, strict=True))
        logits = torch.func.functional_call(fitted, values, (Z, y, queries))
        return nn.functional.cross_entropy(logits.flatten(0, 1), answers.flatten())

    inputs = [Z, queries, *(p.detach().clone() for p in head.parameters())]
    inputs = [value.requires_grad_() for value in inputs]
    # Along random directions of all inputs, the penalties among them.
    torch.autograd.gradcheck(outer, inputs, eps=1e-5, atol=1e-6, fast_mode=True)


class _Fit(nn.Module):
    """The head as a module, so that its parameters can be exchanged."""

    def __init__(self, head):
        super().__init__()
        self.head = head

    def forward(self, Z, y, queries):
        return self.head.logits(queries, *self.head.fit(Z, y, N_CLASSES))
