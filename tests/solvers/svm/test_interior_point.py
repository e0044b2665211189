"""The interior-point method against cvxpy, task by task of a batch."""

import cvxpy as cp
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from sparsedis.solvers.svm.interior_point import interior_point
from sparsedis.solvers.svm.ridge_penalty import RidgePenalty
from sparsedis.solvers.svm.simplices import Simplices
from sparsedis.solvers.svm.working_set import WorkingSet

SHAPE = N_TASKS, N, P, C = 3, 12, 8, 3


def make_problem():
    rng = np.random.default_rng(0)
    y = np.arange(N) % C
    Z = (
        rng.standard_normal((N_TASKS, N, P))
        + rng.standard_normal((N_TASKS, C, P))[:, y]
    )
    # Tasks of unequal difficulty, and the last with padding.
    Z[1] *= 5
    weight = rng.uniform(0.5, 2, (N_TASKS, N))
    weight[2, -2:] = 0
    return Z, np.broadcast_to(y, (N_TASKS, N)), weight


def run(alpha, l2, *, fit_intercept, max_iter=100):
    """The pairs that were emitted, one list per task, with W in classes."""
    Z, y, weight = (torch.tensor(np.array(a)) for a in make_problem())
    simplices = Simplices.build(y, weight, C, fit_intercept=fit_intercept)
    X = simplices.uniform()
    l2 = torch.full((N_TASKS,), l2).double()
    if alpha:
        strength = torch.full((N_TASKS,), alpha).double()
        tasks = torch.arange(N_TASKS)
        penalty = WorkingSet(Z, tasks, weight, strength, l2, C - 1)
        V = (Z.mT @ (weight.unsqueeze(-1) * X)).mT
        start = penalty.begin(X, V, (simplices.cost * simplices.beta(X)).sum((1, 2)))
    else:
        factor = (weight / l2.sqrt()[:, None]).unsqueeze(-1) * Z
        penalty = RidgePenalty(factor, factor @ factor.mT, rotated=False)
        start = (0.9 * X,)
    found = [[] for _ in range(N_TASKS)]

    def emit(tasks, n_iter, pair):
        for i, t in enumerate(tasks.tolist()):
            part = pair.take(slice(i, i + 1))
            W = part.iterate.W[0]
            # With alpha, features are columns, and those that are far from active are
            # missing.
            if alpha:
                W = W.new_zeros(P, C - 1).index_copy_(0, part.iterate.index[0], W.T)
            else:
                W = W / l2[t].sqrt()
            found[t].append((n_iter, part, (W @ simplices.basis[t].T).numpy()))

    interior_point(penalty, simplices, *start, tol=1e-9, max_iter=max_iter, emit=emit)
    return found


def solve_with_cvxpy(Z, y, weight, alpha, l2, fit_intercept):
    one_hot = np.eye(C)[y]
    W, b = cp.Variable((P, C)), cp.Variable((1, C))
    scores = Z @ W + np.ones((N, 1)) @ b
    hinge = cp.max(scores + 1 - one_hot, axis=1)
    hinge = hinge - cp.sum(cp.multiply(scores, one_hot), axis=1)
    penalty = alpha * cp.sum(cp.norm(W, axis=1)) + l2 / 2 * cp.sum_squares(W)
    constraints = [cp.sum(b) == 0] if fit_intercept else [b == 0]
    problem = cp.Problem(cp.Minimize(weight @ hinge + penalty), constraints)
    accuracy = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), 1e-9)
    problem.solve(solver=cp.CLARABEL, **accuracy)
    return W.value


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 2.0])
def test_every_task_is_solved_once(alpha, fit_intercept):
    Z, y, weight = make_problem()
    found = run(alpha, 0.5, fit_intercept=fit_intercept)
    for t in range(N_TASKS):
        ((_, pair, W),) = found[t]
        assert float(pair.gap) <= 1e-13
        expected = solve_with_cvxpy(Z[t], y[t], weight[t], alpha, 0.5, fit_intercept)
        size = np.abs(expected).max()
        assert_allclose(W, expected, atol=1e-4 * size)
        small = np.linalg.norm(expected, axis=1) < 1e-6 * size
        assert not W[small].any()
        # The face is where beta is positive.
        assert bool((pair.beta[~pair.face] == 0).all())
        assert_allclose(pair.beta.sum(-1), 1, atol=1e-12)


@pytest.mark.parametrize("max_iter", [0, 3])
@pytest.mark.parametrize("alpha", [0.0, 2.0])
def test_tasks_that_run_out_of_iterations_stop_too(alpha, max_iter):
    found = run(alpha, 0.5, fit_intercept=False, max_iter=max_iter)
    assert [len(pairs) for pairs in found] == [1] * N_TASKS
    assert all(pairs[0][0] <= max_iter for pairs in found)
    assert max(float(pairs[0][1].gap) for pairs in found) > 1e-9
