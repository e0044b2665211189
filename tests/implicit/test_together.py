"""Tasks that share features, of which each has only some rows."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.linear_model import LogisticRegression

from sparsedis.implicit import logistic, ridge_alpha_max
from sparsedis.implicit._inputs import read_tasks
from sparsedis.implicit._together import spread_together

N_TASKS, N, K = 5, 60, 4
L2 = 0.01


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    Z = rng.normal(size=(N, K)) * [1.0, 2.0, 0.5, 1.0] + [0.0, 3.0, 0.0, -1.0]
    logit = (Z - Z.mean(0)) @ rng.normal(size=(K, N_TASKS))
    y = (logit + rng.logistic(size=logit.shape) > 0).astype(int).T
    mask = rng.random((N_TASKS, N)) < 0.5
    weight = rng.uniform(0.5, 2.0, (N_TASKS, N))
    return tuple(map(torch.from_numpy, (Z, y, mask, weight)))


def reference(Z, y, mask, weight, intercept):
    """Coefficients and intercepts of scikit-learn, task by task."""
    found = []
    for t in range(len(y)):
        at = mask[t]
        share = weight[t][at] / weight[t][at].sum()
        model = LogisticRegression(C=1 / L2, fit_intercept=intercept, tol=1e-12)
        model.set_params(solver="newton-cholesky", max_iter=1000)
        model.fit(Z[at], y[t][at], share)
        found.append(np.append(model.coef_[0], model.intercept_))
    return np.array(found)


@pytest.mark.parametrize("intercept", [True, False])
def test_logistic_agrees_with_scikit_learn(data, intercept):
    Z, y, mask, weight = data
    how = {"mask": mask, "sample_weight": weight, "fit_intercept": intercept}
    tasks = read_tasks(Z, y, mask=mask, sample_weight=weight, together=True)
    assert spread_together(tasks, intercept) is not None
    found = logistic(Z, y, 0.0, l2=L2, **how)
    W, b = found if intercept else (found, torch.zeros(N_TASKS))
    due = reference(*data, intercept)
    assert_allclose(W, due[:, :K], rtol=1e-5, atol=1e-7)
    assert_allclose(b, due[:, K], rtol=1e-5, atol=1e-7)


def test_the_gradient_of_shared_features_agrees_with_finite_differences(data):
    Z, y, mask, weight = data

    def value(Z):
        how = {"mask": mask, "sample_weight": weight, "fit_intercept": True}
        W, b = logistic(Z, y, 0.0, l2=L2, **how)
        return (W * torch.arange(1.0, 1 + K)).sum() + b.sin().sum()

    Z = Z.clone().requires_grad_()
    value(Z).backward()
    rng = np.random.default_rng(1)
    for _ in range(5):
        way = torch.from_numpy(rng.normal(size=Z.shape))
        with torch.no_grad():
            slope = (value(Z + 1e-5 * way) - value(Z - 1e-5 * way)) / 2e-5
        assert_allclose((Z.grad * way).sum(), slope, rtol=1e-6)


@pytest.mark.parametrize("intercept", [True, False])
def test_ridge_alpha_max_is_the_mean_square_in_each_task(data, intercept):
    Z, _, mask, weight = data
    y = torch.zeros(mask.shape)
    how = {"mask": mask, "sample_weight": weight, "fit_intercept": intercept}
    due = []
    for t in range(N_TASKS):
        rows, share = Z[mask[t]].numpy(), weight[t][mask[t]].numpy()
        centre = np.average(rows, axis=0, weights=share) if intercept else 0.0
        due.append(np.average((rows - centre) ** 2, axis=0, weights=share).sum())
    assert_allclose(ridge_alpha_max(Z, y, **how), due, rtol=1e-12)


def test_a_feature_that_is_constant_in_a_task_has_no_coefficient(data):
    Z, y, mask, _ = data
    Z[mask[1], 2] = 0.3
    how = {"l2": L2, "mask": mask, "fit_intercept": True}
    W, _ = logistic(Z, y, 0.0, **how)
    assert W[1, 2] == 0
    alone, _ = logistic(Z[mask[1]], y[1][mask[1]], 0.0, l2=L2, fit_intercept=True)
    assert_allclose(W[1], alone, rtol=1e-6, atol=1e-9)


def test_huge_rows_of_another_task_do_not_matter(data):
    Z, y, mask, _ = data
    mask[:, :4], mask[0] = False, False
    mask[0, :4] = True
    Z[:4, 0] = 1e10 * torch.tensor([1.0, 1.0, 2.0, 2.0])
    y[0, :4] = torch.tensor([0, 1, 0, 1])
    W, b = logistic(Z, y, 0.0, l2=L2, mask=mask, fit_intercept=True)
    due = reference(Z, y[1:], mask[1:], torch.ones(N_TASKS, N), True)
    assert_allclose(W[1:], due[:, :K], rtol=1e-5, atol=1e-7)
    assert_allclose(b[1:], due[:, K], rtol=1e-5, atol=1e-7)


def test_rows_without_any_weight_are_ignored(data):
    Z, y, mask, _ = data
    mask[:, 3] = False
    how = {"l2": L2, "mask": mask, "fit_intercept": True}
    due = logistic(Z, y, 0.0, **how)
    Z[3] = torch.nan
    for value, expected in zip(logistic(Z, y, 0.0, **how), due, strict=True):
        assert_allclose(value, expected, rtol=1e-9, atol=1e-12)


def test_a_row_of_some_tasks_must_be_finite(data):
    Z, y, mask, _ = data
    mask[0, 3], mask[1:, 3] = True, False
    Z[3, 1] = torch.nan
    with pytest.raises(ValueError, match="Z must be finite; it holds NaN or inf"):
        logistic(Z, y, 0.0, l2=L2, mask=mask)
