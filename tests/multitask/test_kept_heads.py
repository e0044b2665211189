"""Heads that are trained together with the encoder."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from sparsedis.heads import LinearHead
from sparsedis.heads._problem import InnerProblem
from sparsedis.inputs._batch import TaskBatch
from sparsedis.multitask._kept_heads import KeptHeads
from sparsedis.multitask._objective import TaskObjective
from sparsedis.solvers.losses import log_loss as loss_of_classes
from sparsedis.solvers.penalties import L2

CPU = torch.device("cpu")
PROBLEM = InnerProblem(
    LinearHead(loss_of_classes, L2()), "inner", "relative", True, "auto"
)


@pytest.fixture(params=[(2, 2, 2), (2, 3, 2)], ids=["two", "three"])
def table(request):
    """Features, noisy classes, and logistic regressions without a penalty."""
    rng = np.random.default_rng(0)
    n_classes = np.array(request.param)
    Z = rng.standard_normal((120, 4))
    scores = Z @ rng.standard_normal((4, 3)) + rng.standard_normal((120, 3))
    y = np.stack(
        [
            np.digitize(s, np.quantile(s, np.arange(1, c) / c))
            for s, c in zip(scores.T, n_classes, strict=True)
        ]
    )
    models = [LogisticRegression(C=1e8, tol=1e-8, max_iter=1000).fit(Z, t) for t in y]
    width = 1 if n_classes.max() == 2 else n_classes.max()
    coef, intercept = np.full((3, width, 4), np.nan), np.full((3, width), -np.inf)
    for t, model in enumerate(models):
        W, b = model.coef_, model.intercept_
        if len(W) < width and len(W) == 1:
            W, b = np.stack([-0.5, 0.5])[:, None] * W, np.array([-0.5, 0.5]) * b
        coef[t, : len(W)], intercept[t, : len(b)] = W, b
    batch = TaskBatch(Z, y.astype(float), task=np.arange(3), n_classes=n_classes)
    return Z, y, batch, models, coef, intercept


def test_at_the_heads_of_all_labels_only_the_features_have_a_gradient(table):
    Z, y, batch, models, coef, intercept = table
    objective = KeptHeads(PROBLEM, 1e-4, coef, intercept, CPU)
    features = torch.tensor(Z, requires_grad=True)
    loss = objective(features, batch, 1.0, 0).loss
    due = np.mean(
        [log_loss(t, m.predict_proba(Z)) for t, m in zip(y, models, strict=True)]
    )
    assert_allclose(loss.item(), due, rtol=1e-5)
    loss.backward()
    assert_allclose(objective.W.grad, 0, atol=1e-5)
    assert_allclose(objective.intercept.grad, 0, atol=1e-5)
    step = 1e-5 * np.random.default_rng(1).standard_normal(Z.shape)
    change = [
        np.mean(
            [log_loss(t, m.predict_proba(X)) for t, m in zip(y, models, strict=True)]
        )
        for X in (Z - step, Z + step)
    ]
    slope = (features.grad.numpy() * step).sum()
    assert_allclose(slope, np.diff(change)[0] / 2, rtol=1e-4)


def test_a_batch_has_the_heads_of_its_tasks(table):
    Z, y, batch, models, coef, intercept = table
    objective = KeptHeads(PROBLEM, 1e-4, coef, intercept, CPU)
    some = np.array([2, 1])
    loss = objective(torch.tensor(Z), batch.take(some), 1.0, 0).loss
    due = np.mean([log_loss(y[t], models[t].predict_proba(Z)) for t in some])
    assert_allclose(loss.item(), due, rtol=1e-5)
    loss.backward()
    assert not objective.W.grad[0].any()
    assert objective.W.grad[1].any()


def test_held_out_rows_are_judged_by_heads_of_their_own(table):
    Z, _, batch, _, coef, intercept = table
    Z = torch.tensor(Z)
    found, due = (
        objective.judge(Z, batch, Z, batch)
        for objective in (
            KeptHeads(PROBLEM, 0.1, 0 * coef, intercept, CPU),
            TaskObjective(PROBLEM, 0.1),
        )
    )
    assert found == due
