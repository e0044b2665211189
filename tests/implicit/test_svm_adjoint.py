"""The adjoint of the group Lasso SVM against the same formulas written out in numpy.

The reference works in classes and on all features: it projects on the face of beta by a
pseudo-inverse, and builds the Jacobian of the link feature by feature.
"""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from sparsedis.implicit._svm_adjoint import svm_adjoint
from sparsedis.solvers.svm.dual import solve_svm_dual
from sparsedis.solvers.svm.null import alpha_bound

N_TASKS, N, P, C = 2, 10, 6, 3


def make_problem(kind):
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(N).expand(N_TASKS, N) % C
    means = torch.randn(N_TASKS, C, P, dtype=torch.float64, generator=generator)
    Z = torch.randn(N_TASKS, N, P, dtype=torch.float64, generator=generator)
    Z = Z + means.gather(1, y.unsqueeze(-1).expand(-1, -1, P))
    weight = torch.linspace(0.5, 2, N_TASKS * N).double().reshape(N_TASKS, N)
    if kind == "copied samples":
        # The dual solution, and with it the adjoint system, is not unique.
        Z[:, 3:6], y = Z[:, :3], y.clone()
        Z[:, 9] = 0
    elif kind == "padding":
        weight[1, -3:] = 0
    elif kind == "shared":
        Z = Z[:1]
        y = torch.stack([y[0], y[0].roll(1)])
    return Z, y, weight


def reference(Z, y, weight, beta, face, W, alpha, l2, G, g):
    """Gradients of one task; ``a`` is of minimum norm."""
    Y, s = np.eye(C)[y], weight[:, None]
    norms = np.linalg.norm(W, axis=1)
    # Jacobian of the link from V, row-major, to W.
    M = np.zeros((P * C, P * C))
    for j in np.flatnonzero(norms):
        w = W[j] / norms[j]
        v = alpha + l2 * norms[j]
        block = ((1 - alpha / v) * np.eye(C) + alpha / v * np.outer(w, w)) / l2
        M[j * C : (j + 1) * C, j * C : (j + 1) * C] = block
    to_scores = np.kron(s * Z, np.eye(C))
    # Directions on the face: zero off it, every row sums to zero.
    conditions = [
        np.diag((~face).ravel().astype(float)),
        np.kron(np.eye(N), np.ones(C)),
    ]
    conditions = np.vstack(conditions)
    Pi = np.eye(N * C) - np.linalg.pinv(conditions) @ conditions
    H = Pi @ to_scores @ M @ to_scores.T @ Pi
    right = Pi @ to_scores @ M @ G.ravel()
    if g is not None:
        E = Pi @ np.kron(s, np.eye(C))
        zeros = np.zeros((C, C))
        H = np.block([[H, E], [E.T, zeros]])
        right = np.concatenate([right, g - g.mean()])
    a = (np.linalg.pinv(H, rcond=1e-11) @ right)[: N * C].reshape(N, C)
    U = (M @ (G - Z.T @ (s * a)).ravel()).reshape(P, C)
    grad_Z = s * (Y - beta) @ U.T - (s * a) @ W.T
    units = W / np.where(norms > 0, norms, 1)[:, None]
    return grad_Z, -(U * units).sum(), -(U * W).sum()


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.2])
@pytest.mark.parametrize("kind", ["plain", "copied samples", "padding", "shared"])
def test_adjoint_follows_its_formulas(kind, share, fit_intercept):
    Z, y, weight = make_problem(kind)
    how = {"fit_intercept": fit_intercept}
    alpha = share * alpha_bound(Z, y, weight, C, **how).expand(N_TASKS)
    l2 = torch.tensor([2.0, 20.0]).double()
    solution = solve_svm_dual(Z, y, weight, alpha, l2, C, **how)
    generator = torch.Generator().manual_seed(1)
    G = torch.randn(N_TASKS, P, C, dtype=torch.float64, generator=generator)
    g = torch.randn(N_TASKS, C, dtype=torch.float64, generator=generator)
    g = g * fit_intercept
    grad_Z, grad_alpha, grad_l2 = svm_adjoint(Z, solution, alpha, l2, G, g)
    expected = []
    for t in range(N_TASKS):
        own = Z[0 if len(Z) == 1 else t]
        parts = (
            own,
            y[t],
            weight[t],
            solution.beta[t],
            solution.active[t],
            solution.W[t],
        )
        parts = [part.numpy() for part in (*parts, alpha[t], l2[t], G[t])]
        expected.append(reference(*parts, g[t].numpy() if fit_intercept else None))
    for_Z, for_alpha, for_l2 = (np.stack(part) for part in zip(*expected, strict=True))
    if len(Z) == 1:
        for_Z = for_Z.sum(0, keepdims=True)
    size = np.abs(for_Z).max()
    assert_allclose(grad_Z, for_Z, atol=1e-7 * size)
    assert_allclose(grad_alpha, for_alpha, rtol=1e-6, atol=1e-7)
    assert_allclose(grad_l2, for_l2, rtol=1e-6, atol=1e-7)


def test_penalties_without_a_need_get_zeros():
    Z, y, weight = make_problem("plain")
    alpha = 0.2 * alpha_bound(Z, y, weight, C)
    l2 = torch.ones(N_TASKS).double()
    solution = solve_svm_dual(Z, y, weight, alpha, l2, C)
    args = Z, solution, alpha, l2, torch.ones(N_TASKS, P, C).double()
    none = torch.zeros(N_TASKS, C).double()
    whole = svm_adjoint(*args, none)
    part = svm_adjoint(*args, none, needs=(False, True))
    assert_allclose(part[0], whole[0])
    assert not bool(part[1].any())
    assert_allclose(part[2], whole[2])
