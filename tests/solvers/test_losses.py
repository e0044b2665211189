"""Losses against scikit-learn, their definitions and numerical conjugates."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from sklearn.linear_model import QuantileRegressor
from sklearn.metrics import d2_tweedie_score, mean_poisson_deviance
from sklearn.metrics import log_loss as sklearn_log_loss

from sparsedis.implicit import glm
from sparsedis.solvers.losses import (
    Huber,
    Logistic,
    Loss,
    Multinomial,
    Poisson,
    Squared,
    log_loss,
)
from sparsedis.solvers.losses._classes import contrasts
from sparsedis.solvers.penalties import L1

RNG = np.random.default_rng(0)
N = 12
TARGETS = {
    "squared": (Squared(), RNG.standard_normal(N)),
    "vectors": (Squared(), RNG.standard_normal((N, 3))),
    "huber": (Huber(0.7), 2 * RNG.standard_normal(N)),
    "huber vectors": (Huber(0.7), 2 * RNG.standard_normal((N, 2))),
    "logistic": (Logistic(), RNG.integers(0, 2, N)),
    "multinomial": (Multinomial(4), RNG.integers(0, 4, N)),
    "poisson": (Poisson(), RNG.poisson(2.0, N)),
}


@pytest.fixture(params=TARGETS)
def case(request):
    loss, y = TARGETS[request.param]
    y = torch.as_tensor(y, dtype=torch.float64)[None]
    generator = torch.Generator().manual_seed(0)
    shape = (1, N, loss.n_scores(y))
    return loss, torch.randn(shape, dtype=torch.float64, generator=generator), y


def test_values_are_those_of_scikit_learn():
    rng = np.random.default_rng(1)
    scores = rng.standard_normal(N)
    column = torch.as_tensor(scores)[None, :, None]
    counts = rng.poisson(2.0, N).astype(float)
    value = Poisson().value(column, torch.as_tensor(counts)[None]).mean()
    deviance = mean_poisson_deviance(counts, np.exp(scores))
    np.testing.assert_allclose(value, deviance / 2)
    labels = rng.integers(0, 2, N)
    value = Logistic().value(column, torch.as_tensor(labels)[None].double()).mean()
    p = 1 / (1 + np.exp(-scores))
    np.testing.assert_allclose(value, sklearn_log_loss(labels, p, labels=[0, 1]))
    labels, scores = rng.integers(0, 4, N), torch.as_tensor(rng.standard_normal((N, 3)))
    value = Multinomial(4).value(scores[None], torch.as_tensor(labels)[None]).mean()
    p = Multinomial(4).predict(scores)
    np.testing.assert_allclose(value, sklearn_log_loss(labels, p, labels=range(4)))


def test_a_perfect_poisson_model_has_no_deviance_left():
    counts = np.arange(1.0, 6.0)
    value = Poisson().value(
        torch.as_tensor(np.log(counts))[None, :, None], torch.as_tensor(counts)[None]
    )
    np.testing.assert_allclose(value, 0, atol=1e-12)
    assert d2_tweedie_score(counts, counts, power=1) == 1


def test_derivatives_are_those_of_autograd(case):
    loss, scores, y = case
    scores = scores.requires_grad_()
    value = loss.value(scores, y).sum()
    (gradient,) = torch.autograd.grad(value, scores, create_graph=True)
    with torch.no_grad():
        np.testing.assert_allclose(
            loss.gradient(scores, y), gradient.detach(), atol=1e-12
        )
        # The base class' own, through `value` alone.
        np.testing.assert_allclose(
            Loss.gradient(loss, scores, y), gradient.detach(), atol=1e-12
        )
        np.testing.assert_allclose(
            loss.hessian(scores, y), Loss.hessian(loss, scores, y), atol=1e-12
        )


def test_second_derivatives_are_bounded_by_the_curvature(case):
    loss, scores, y = case
    if loss.curvature is None:
        large = loss.hessian(scores + 50, y)
        assert large.max() > 1e20
    else:
        largest = torch.linalg.eigvalsh(loss.hessian(0.1 * scores, y)).max()
        assert 0.5 * loss.curvature < largest <= loss.curvature + 1e-12


def test_conjugates_are_suprema(case):
    loss, scores, y = case
    dual = 0.6 * loss.gradient(scores, y)
    found = loss.conjugate(dual, y)[0]
    for i in range(N):

        def negative(s, i=i):
            s = torch.as_tensor(s)
            value = loss.value(s[None, None], y[:, i : i + 1])
            return float(value - (dual[0, i] * s).sum())

        least = minimize(negative, scores[0, i].numpy(), tol=1e-12).fun
        np.testing.assert_allclose(found[i], -least, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_contrasts_are_orthonormal_and_sum_to_zero(n_classes):
    basis = contrasts(n_classes, torch.zeros(1, dtype=torch.float64))
    np.testing.assert_allclose(basis.T @ basis, np.eye(n_classes - 1), atol=1e-12)
    np.testing.assert_allclose(basis.sum(0), 0, atol=1e-12)


@pytest.mark.parametrize(
    ("loss", "y", "match"),
    [
        (Squared(), torch.tensor([[1, 2]]), "floating dtype, got torch.int64"),
        (Poisson(), torch.tensor([[1.0, -2.0]]), "not be negative, got -2"),
        (Logistic(), torch.tensor([[1.0, 2.0]]), "per sample, 0 or 1; got 2"),
        (Logistic(), torch.ones(1, 2, 2), r"got shape \(1, 2, 2\)"),
        (Multinomial(3), torch.tensor([[0.0, 3.0]]), "from 0 to 2; got 3"),
        (Multinomial(3), torch.tensor([[0.0, 0.5]]), "from 0 to 2; got 0.5"),
    ],
)
def test_targets_of_another_kind_are_refused(loss, y, match):
    with pytest.raises(ValueError, match=match):
        loss.check_targets(y)


def test_bad_parameters():
    with pytest.raises(ValueError, match="delta must be positive and finite, got -1"):
        Huber(-1)
    with pytest.raises(ValueError, match="n_classes must be at least 2, got 1"):
        Multinomial(1)


def test_losses_are_values():
    assert Huber(2.0) == Huber(2.0) != Huber(1.0)
    assert hash(Huber(2.0)) == hash(Huber(2.0))
    assert repr(Huber(2.0)) == "Huber(delta=2.0)"
    assert log_loss(2) == Logistic()
    assert log_loss(3) == Multinomial(3)


def test_hubers_loss_of_small_delta_is_nearly_the_absolute_error():
    rng = np.random.default_rng(0)
    n_tasks, alpha = 4, 0.1
    Z = rng.standard_normal((n_tasks, 60, 5))
    truth = rng.standard_normal((n_tasks, 5)) * (rng.random((n_tasks, 5)) < 0.6)
    y = np.einsum("tnk,tk->tn", Z, truth) + 0.5 + rng.laplace(size=(n_tasks, 60))
    weight = rng.uniform(0.2, 2, y.shape)

    def objective(W, intercept):
        error = np.abs(y - np.einsum("tnk,tk->tn", Z, W) - intercept[:, None])
        return np.average(error, 1, weight) + alpha * np.abs(W).sum(1)

    # Half of the absolute error is the loss of the median.
    exact = [
        QuantileRegressor(quantile=0.5, alpha=alpha / 2).fit(*task)
        for task in zip(Z, y, weight, strict=True)
    ]
    least = objective(
        np.array([head.coef_ for head in exact]),
        np.array([head.intercept_ for head in exact]),
    )
    for delta in (1.0, 0.1, 0.01):
        found = glm(
            *(torch.from_numpy(part) for part in (Z, y)),
            delta * alpha,
            loss=Huber(delta),
            penalty=L1(),
            sample_weight=torch.from_numpy(weight),
            fit_intercept=True,
        )
        excess = objective(*(part.numpy() for part in found)) - least
        assert (excess > -1e-9).all()
        assert (excess < delta / 2).all()
