"""Linear models of classes and counts with an l2 penalty, and leave-one-out scores."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, PoissonRegressor

from sparsedis.multitask._penalised import (
    PENALTIES,
    models_by_fold,
    penalised_models,
)
from sparsedis.solvers.losses import Logistic, Multinomial, Poisson

LOSSES = [Logistic(), Multinomial(3), Poisson()]


def one_task(loss, n=80, k=4, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, k))
    eta = X[:, 0] + 0.5 * X[:, 1]
    noisy = eta + rng.logistic(size=n)
    if isinstance(loss, Poisson):
        return X, rng.poisson(np.exp(0.5 * eta + 1)).astype(float)
    if isinstance(loss, Multinomial):
        return X, np.digitize(noisy, [-0.7, 0.7]).astype(float)
    return X, (noisy > 0).astype(float)


def fit(loss, X, y, weight=None, **options):
    weight = np.ones_like(y) if weight is None else weight
    Z = torch.from_numpy(X if X.ndim == 3 else X[None])
    return penalised_models(
        loss, Z, torch.from_numpy(y), torch.from_numpy(weight), **options
    )


def of_sklearn(loss, X, y, penalty, weight, fit_intercept):
    if isinstance(loss, Poisson):
        model = PoissonRegressor(
            alpha=penalty / weight.sum(),
            fit_intercept=fit_intercept,
            tol=1e-10,
            max_iter=10000,
        )
    else:
        model = LogisticRegression(
            C=1 / penalty, fit_intercept=fit_intercept, tol=1e-10, max_iter=10000
        )
    return model.fit(X, y, weight)


def scores_of_sklearn(loss, model, X):
    scores = model.coef_ @ X.T
    scores = (scores.T + model.intercept_).reshape(len(X), -1)
    return scores - scores.mean(1, keepdims=True) if scores.shape[1] > 1 else scores


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_models_are_those_of_sklearn_for_one_of_the_penalties(
    loss, fit_intercept, weighted
):
    X, y = one_task(loss)
    weight = np.ones(len(y))
    if weighted:
        weight = np.random.default_rng(1).uniform(0, 2, len(y))
        weight[:5] = 0
        weight /= weight[5:].mean()
    W, b, _ = fit(loss, X, y[None], weight[None], fit_intercept=fit_intercept)
    scores = loss.expand(torch.from_numpy(X) @ W[0] + b[0]).numpy()
    errors = []
    for penalty in PENALTIES:
        model = of_sklearn(loss, X, y, penalty, weight, fit_intercept)
        errors.append(np.abs(scores_of_sklearn(loss, model, X) - scores).max())
    assert min(errors) < 1e-5
    # The neighbours are others.
    assert np.sort(errors)[1] > 1e-2


@pytest.mark.parametrize("loss", LOSSES[:2], ids=repr)
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_models_without_a_fold_are_those_of_sklearn(loss, fit_intercept):
    X, y = one_task(loss)
    weight = np.random.default_rng(1).uniform(0, 2, 80)
    folds = np.repeat([-1, 0, 1, -1], 20)
    tensors = (torch.from_numpy(part[None]) for part in (X, y, weight, folds))
    W, b, left_out = models_by_fold(loss, *tensors, 0.02, fit_intercept=fit_intercept)

    def expected(at, rows):
        penalty = 0.02 * weight[at].sum()
        model = of_sklearn(loss, X[at], y[at], penalty, weight[at], fit_intercept)
        return scores_of_sklearn(loss, model, X[rows])

    every = np.ones(80, dtype=bool)
    found = loss.expand(torch.from_numpy(X) @ W[0] + b[0])
    np.testing.assert_allclose(found, expected(every, every), atol=1e-5)
    for fold in (0, 1):
        out = folds == fold
        found = loss.expand(left_out[0, out])
        np.testing.assert_allclose(found, expected(~out, out), atol=1e-5)
    assert torch.isnan(left_out[0, folds == -1]).all()


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_scores_without_a_row_are_one_newton_step_away(loss):
    X, y = one_task(loss, n=30)
    weight = np.random.default_rng(2).uniform(0.2, 1.8, 30)
    weight /= weight.mean()
    W, b, left_out = fit(loss, X, y[None], weight[None])
    target = torch.from_numpy(y)
    V = torch.cat([W[0], b]).numpy()
    Z = np.column_stack([X, np.ones(30)])
    scores = torch.from_numpy(Z @ V)
    pull = weight[:, None] * loss.gradient(scores, target).numpy()
    bend = weight[:, None, None] * loss.hessian(scores, target).numpy()
    ridge = np.diag([1.0] * 4 + [0.0])
    # The penalty at which the gradient is zero.
    penalty = -(V[:4] * (X.T @ pull)).sum() / (V[:4] ** 2).sum()
    assert np.isclose(penalty, PENALTIES, rtol=1e-4).any()
    for i, others in enumerate(~np.eye(30, dtype=bool)):
        gradient = Z[others].T @ pull[others] + penalty * ridge @ V
        hessian = np.einsum(
            "ij,iab,ik->jakb", Z[others], bend[others], Z[others]
        ) + penalty * np.einsum("jk,ab->jakb", ridge, np.eye(V.shape[1]))
        size = V.size
        step = np.linalg.solve(hessian.reshape(size, size), gradient.ravel())
        expected = Z[i] @ (V - step.reshape(V.shape))
        np.testing.assert_allclose(left_out[0, i], expected, atol=1e-5)


@pytest.mark.parametrize("loss", [Logistic(), Poisson()], ids=repr)
def test_penalty_has_the_least_leave_one_out_deviance(loss):
    X, y = one_task(loss, n=40)
    left_out = fit(loss, X, y[None])[2]
    target = torch.from_numpy(y)
    losses = []
    for penalty in PENALTIES:
        scores = np.zeros((40, 1))
        for i, others in enumerate(~np.eye(40, dtype=bool)):
            ones = np.ones(39)
            model = of_sklearn(loss, X[others], y[others], penalty, ones, True)
            scores[i] = scores_of_sklearn(loss, model, X[[i]])[0]
        losses.append(float(loss.value(torch.from_numpy(scores), target).sum()))
    found = float(loss.value(left_out[0], target).sum())
    assert found == pytest.approx(min(losses), rel=0.02)
    # Others are worse.
    assert max(losses) > 1.1 * min(losses)


def test_tasks_do_not_affect_each_other():
    X, y = one_task(Logistic())
    other = (np.random.default_rng(3).uniform(size=y.shape) < 0.1).astype(float)
    both = fit(Logistic(), X, np.stack([y, other]))
    for t, labels in enumerate((y, other)):
        for found, own in zip(both, fit(Logistic(), X, labels[None]), strict=True):
            np.testing.assert_allclose(found[t], own[0], atol=1e-8)


def test_missing_labels_are_as_if_their_rows_were_not_there():
    X, y = one_task(Multinomial(3))
    weight = np.ones_like(y)
    weight[::3] = 0
    rest = weight > 0
    W, b, left_out = fit(Multinomial(3), X, y[None], weight[None])
    own = fit(Multinomial(3), X[rest], y[None, rest])
    np.testing.assert_allclose(W, own[0], atol=1e-7)
    np.testing.assert_allclose(b, own[1], atol=1e-7)
    np.testing.assert_allclose(left_out[:, rest], own[2], atol=1e-7)


def test_separate_inputs_of_tasks():
    (X, y), (X2, y2) = one_task(Poisson()), one_task(Poisson(), seed=1)
    both = fit(Poisson(), np.stack([X, X2]), np.stack([y, y2]))
    for t, (inputs, labels) in enumerate(((X, y), (X2, y2))):
        for found, own in zip(both, fit(Poisson(), inputs, labels[None]), strict=True):
            np.testing.assert_allclose(found[t], own[0], atol=1e-7)


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_labels_that_are_separable_rare_or_extreme_give_finite_models(loss):
    X, y = one_task(loss, n=40, k=60)
    if isinstance(loss, Poisson):
        y[0] = 1e6
    elif isinstance(loss, Logistic):
        y = np.zeros(40)
        y[7] = 1
    else:
        y = (X[:, 0] > 0).astype(float)
        y[3] = 2
    for part in fit(loss, X, y[None]):
        assert torch.isfinite(part).all()
