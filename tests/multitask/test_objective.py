"""The gradient that an encoder gets through the heads."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.linear_model import LogisticRegression

from sparsedis import SparseMultiTaskRepresentation
from sparsedis.datasets import make_sparse_tasks
from sparsedis.heads import LinearHead
from sparsedis.heads._problem import InnerProblem
from sparsedis.implicit import lasso, lasso_alpha_max
from sparsedis.solvers.losses import log_loss
from sparsedis.solvers.penalties import L2


@pytest.fixture(scope="module")
def data():
    return make_sparse_tasks(90, 12, n_factors=8, return_bunch=True, random_state=0)


def hypergradient(est, Z, Y, alpha):
    """The gradient that one step gives to features that are parameters."""

    class Table(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.Z = torch.nn.Parameter(torch.from_numpy(Z).float())

        def forward(self, rows):
            return self.Z[rows[:, 0].long()]

    rates = []

    def optimizer(parameters, lr):
        rates.append(lr)
        return torch.optim.SGD(parameters, lr=lr)

    est.set_params(
        encoder=Table(),
        optimizer=optimizer,
        lr=1.0,
        max_iter=1,
        lr_schedule="constant",
        alpha=alpha,
        alpha_warmup=0.0,
        normalization=None,
    )
    est.fit(np.arange(len(Z))[:, None] * 1.0, Y)
    return Z - est.module_.encoder.Z.detach().numpy().astype(float)


@pytest.mark.parametrize("penalty_at", ["inner", "outer"])
def test_a_step_descends_the_bilevel_objective(data, penalty_at):
    Z = data.data[:, :4].astype(np.float32).astype(float)
    Y = data.target[:, :5]
    est = SparseMultiTaskRepresentation(
        4,
        rotation=None,
        penalty_at=penalty_at,
        normalize_y=False,
        fit_intercept=False,
        random_state=0,
    )
    found = hypergradient(est, Z, Y, 0.3)

    def objective(Z):
        Z, Y_ = torch.from_numpy(Z), torch.from_numpy(Y.T.copy())
        alpha = 0.3 * lasso_alpha_max(torch.from_numpy(data.data[:, :4]), Y_)
        if penalty_at == "inner":
            W = lasso(Z, Y_, alpha)
            penalty = 0.0
        else:
            tiny = 1e-6 * (data.data[:, :4] ** 2).sum()
            gram = Z.T @ Z + tiny * torch.eye(4)
            W = torch.linalg.solve(gram, Z.T @ Y_.T).T
            penalty = alpha * W.abs().sum(1)
        residual = Y_ - W @ Z.T
        return float((0.5 * residual.square().mean(1) + penalty).mean())

    eps = 1e-5
    for i, j in [(0, 0), (17, 1), (40, 3), (88, 2)]:
        up, down = Z.copy(), Z.copy()
        up[i, j] += eps
        down[i, j] -= eps
        expected = (objective(up) - objective(down)) / (2 * eps)
        assert found[i, j] == pytest.approx(expected, rel=1e-2, abs=1e-6)


@pytest.mark.parametrize("alpha", [1e-4, 1e-2])
def test_heads_in_training_give_the_gradient_of_exact_heads(alpha):
    rng = np.random.default_rng(0)
    Z = rng.normal(size=(80, 8))
    y = (Z @ rng.normal(size=(8, 6)) + rng.logistic(size=(80, 6)) > 0).T
    problem = InnerProblem(
        LinearHead(log_loss, L2()), "inner", "absolute", True, "auto"
    )
    features = torch.from_numpy(Z).requires_grad_()
    labels, alphas = torch.from_numpy(y).double(), torch.full((6,), alpha).double()
    heads = problem.solve(features, labels, alphas, training=True)
    problem.loss(features, labels, heads).mean().backward()

    def value(Z):
        losses = []
        for labels in y:
            peer = LogisticRegression(C=1 / (80 * alpha), tol=1e-12, max_iter=1000)
            peer.set_params(solver="newton-cholesky").fit(Z, labels)
            score = peer.decision_function(Z)
            losses.append(np.logaddexp(0, np.where(labels, -score, score)).mean())
        return np.mean(losses)

    for _ in range(4):
        way = rng.normal(size=Z.shape)
        slope = (value(Z + 1e-5 * way) - value(Z - 1e-5 * way)) / 2e-5
        found = (features.grad.numpy() * way).sum()
        size = np.linalg.norm(features.grad) * np.linalg.norm(way)
        assert_allclose(found, slope, atol=2e-6 * size, rtol=0)
