"""The duality gap against cvxpy, and against rounding errors."""

import cvxpy as cp
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from sparsedis.solvers.svm.certificates import duality_gap
from sparsedis.solvers.svm.simplices import Simplices


def make_problem(seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(12) % 3
    Z = rng.standard_normal((12, 7)) + rng.standard_normal((3, 7))[y]
    weight = rng.uniform(0.5, 2, 12)
    weight[-1] = 0.0
    return Z, y, weight


def solve_with_cvxpy(Z, y, weight, alpha, l2, fit_intercept):
    """W, intercept, beta and the optimal value; beta from the dual variables."""
    one_hot = np.eye(3)[y]
    W, b = cp.Variable((Z.shape[1], 3)), cp.Variable((1, 3))
    top = cp.Variable((len(y), 1))
    scores = Z @ W + np.ones((len(y), 1)) @ b
    above = top @ np.ones((1, 3)) >= scores + 1 - one_hot
    hinge = top[:, 0] - cp.sum(cp.multiply(scores, one_hot), axis=1)
    penalty = alpha * cp.sum(cp.norm(W, axis=1)) + l2 / 2 * cp.sum_squares(W)
    fixed = [] if fit_intercept else [b == 0]
    problem = cp.Problem(cp.Minimize(weight @ hinge + penalty), [above, *fixed])
    tight = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), 1e-9)
    problem.solve(solver=cp.CLARABEL, **tight)
    # Samples of weight zero have no dual variables.
    share = np.where(weight > 0, weight, 1.0)[:, None]
    beta = np.where(weight[:, None] > 0, above.dual_value / share, one_hot)
    return W.value, b.value[0], beta, problem.value


def measure(Z, y, weight, W, b, beta, alpha, l2, fit_intercept):
    labels, weight = torch.tensor(y)[None], torch.tensor(weight)[None]
    simplices = Simplices.build(labels, weight, 3, fit_intercept=fit_intercept)
    W, b, beta = torch.tensor(W), torch.tensor(b), torch.tensor(beta)
    penalties = torch.tensor([alpha, l2]).double()
    return float(duality_gap(torch.tensor(Z), W, beta, b, simplices, *penalties))


def objective(Z, y, weight, W, b, alpha, l2):
    scores = Z @ W + b
    hinge = (scores + 1 - np.eye(3)[y]).max(1) - scores[np.arange(len(y)), y]
    norms = np.linalg.norm(W, axis=1)
    return weight @ hinge + alpha * norms.sum() + l2 / 2 * (norms**2).sum()


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_gap_is_the_suboptimality_beside_an_optimal_beta(alpha, fit_intercept):
    Z, y, weight = make_problem()
    how = alpha, 0.5, fit_intercept
    W, b, beta, optimum = solve_with_cvxpy(Z, y, weight, *how)
    assert measure(Z, y, weight, W, b, beta, *how) < 1e-7
    excess = objective(Z, y, weight, W + 0.1, b, alpha, 0.5) - optimum
    gap = measure(Z, y, weight, W + 0.1, b, beta, *how)
    assert_allclose(gap, excess / weight.sum(), atol=1e-7)
    assert gap > 1e-3


def test_gap_bounds_the_suboptimality_beside_an_unbalanced_beta():
    # The constraint of the intercepts is violated, as it is by rounding errors.
    Z, y, weight = make_problem()
    W, b, beta, optimum = solve_with_cvxpy(Z, y, weight, 1.0, 0.5, True)
    rng = np.random.default_rng(0)
    for _ in range(20):
        other = 0.95 * beta + 0.05 * rng.dirichlet(np.ones(3), len(y))
        moved = W + 0.01 * rng.standard_normal(W.shape)
        excess = objective(Z, y, weight, moved, b, 1.0, 0.5) - optimum
        gap = measure(Z, y, weight, moved, b, other, 1.0, 0.5, True)
        assert gap >= excess / weight.sum() - 1e-8


def test_rounding_to_float32_does_not_count():
    Z, y, weight = make_problem()
    Z = Z.astype(np.float32)
    how = 1.0, 0.5, False
    W, b, beta, _ = solve_with_cvxpy(Z.astype(float), y, weight, *how)
    assert measure(Z, y, weight, W.astype(np.float32), b, beta, *how) < 1e-7
