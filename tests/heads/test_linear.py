"""A head of any loss and penalty solves the problem that the layer of all solves."""

import numpy as np
import pytest
import torch

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
from sparsedis.solvers.penalties import (
    L1,
    L2,
    MCP,
    ElasticNet,
    GroupL1,
    NonNegativeL1,
)

N_CLASSES = {Logistic(): 2, Multinomial(2): 2, Multinomial(3): 3}


def targets(loss, n_tasks=3, n=60):
    rng = np.random.default_rng(0)
    if loss in N_CLASSES:
        return torch.as_tensor(rng.integers(0, N_CLASSES[loss], (n_tasks, n))).double()
    if isinstance(loss, Poisson):
        return torch.as_tensor(rng.poisson(2.0, (n_tasks, n))).double()
    return torch.as_tensor(rng.standard_normal((n_tasks, n)))


def features(n_tasks=3, n=60, k=4):
    rng = np.random.default_rng(1)
    return torch.as_tensor(rng.standard_normal((n_tasks, n, k)))


@pytest.mark.parametrize("solver", ["auto", "batched", "celer"])
@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize(
    "penalty",
    [L1(), GroupL1(), GroupL1([1, 2, 0, 1]), ElasticNet(0.1), L2(), NonNegativeL1()],
    ids=repr,
)
@pytest.mark.parametrize(
    "loss",
    [Squared(), Huber(), Poisson(), Logistic(), Multinomial(2), Multinomial(3)],
    ids=repr,
)
def test_every_pair_is_solved(loss, penalty, fit_intercept, solver):
    if penalty.single and loss == Multinomial(3):
        with pytest.raises(ValueError, match="supports one score only"):
            LinearHead(loss, penalty).fit(features(), targets(loss), 0.1)
        return
    Z, y = features(), targets(loss)
    how = {"fit_intercept": fit_intercept}
    head = LinearHead(loss, penalty)
    own = {"loss": loss, "penalty": penalty, **how}
    largest = glm_alpha_max(Z, y, **own)
    np.testing.assert_allclose(head.alpha_max(Z, y, **how), largest, atol=1e-12)
    alpha = torch.where(torch.isfinite(largest), 0.3 * largest, 0.3)
    W, b, info = head.fit(Z, y, alpha, l2=0.01, solver=solver, **how)
    expected = glm(Z, y, alpha, l2=0.01, **own)
    expected, *rest = expected if fit_intercept else (expected,)
    np.testing.assert_allclose(W, expected.reshape(W.shape), atol=1e-7)
    if fit_intercept:
        np.testing.assert_allclose(b, rest[0].reshape(b.shape), atol=1e-7)
    else:
        assert not b.any()
    assert info.converged.all()


@pytest.mark.parametrize("n_classes", [2, 3])
def test_classes_are_counted_when_they_are_known(n_classes):
    loss = log_loss(n_classes)
    Z, y = features(), targets(loss)
    by_number = LinearHead(log_loss, GroupL1()).fit(Z, y, 0.02, n_classes=n_classes)
    by_loss = LinearHead(loss, GroupL1()).fit(Z, y, 0.02)
    for one, other in zip(by_number[:2], by_loss[:2], strict=True):
        np.testing.assert_array_equal(one, other)


def test_vectors_have_a_layer_too():
    Z = features()
    y = torch.stack([targets(Squared()), targets(Squared()).flip(0)], -1)
    for penalty in (GroupL1(), MCP(), L2()):
        W, b, _ = LinearHead(Squared(), penalty).fit(
            Z, y, torch.full((3,), 0.1).double()
        )
        own = {"loss": Squared(), "penalty": penalty, "multi_output": True}
        expected = glm(Z, y, 0.1, fit_intercept=True, **own)
        np.testing.assert_allclose(W, expected[0], atol=1e-7)
        np.testing.assert_allclose(b, expected[1], atol=1e-7)


def test_relative_penalties_have_a_unit_where_no_feature_is_ever_left_out():
    Z, y = features(), targets(Huber())
    scale = LinearHead(Huber(), L2()).scale(Z, y, fit_intercept=False)
    np.testing.assert_allclose(scale, (Z**2).sum((1, 2)) / Z.shape[1])
    head = LinearHead(Huber(), L1())
    np.testing.assert_array_equal(head.scale(Z, y), head.alpha_max(Z, y))
