"""Newton systems in the coefficients against the full system, written out."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from sparsedis.solvers.svm.primal_newton import PrimalSystem
from sparsedis.solvers.svm.simplices import Simplices


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("stiff", [0, 10])
def test_newton_systems(stiff, intercept):
    # With samples whose weight is next to nothing, as towards the end.
    rng = np.random.default_rng(0)
    n, k, c = 40, 5, 4
    simplices = Simplices.build(
        torch.zeros(1, n, dtype=torch.long),
        torch.ones(1, n).double(),
        c,
        fit_intercept=False,
    )
    basis, m = simplices.basis[0], c - 1
    d = torch.tensor(10.0 ** rng.uniform(-stiff, stiff / 2, (n, c)))
    S = torch.tensor(rng.standard_normal((n, k + intercept)))
    a, along = torch.tensor(rng.uniform(1, 2, (2, k)))
    direction = torch.nn.functional.normalize(torch.tensor(rng.standard_normal((m, k))))
    along = -0.5 * along / direction.square().sum(0)
    r, g = torch.tensor(rng.standard_normal((n, c))), rng.standard_normal((m, k))
    # Small where the system is stiff.
    r = r / (1 + d)
    balance = torch.tensor(rng.standard_normal(m)) if intercept else None
    system = PrimalSystem(S, d, basis, (a, along, direction))
    x, w, b = system.solve(r, torch.tensor(g), balance)

    size = n * c
    blocks = [
        a_j * np.eye(m) + b_j * np.outer(u, u)
        for a_j, b_j, u in zip(
            a.numpy(), along.numpy(), direction.T.numpy(), strict=True
        )
    ]
    # Unknowns: x, the levels of its rows, w and the intercepts, feature by feature.
    P = np.zeros(((k + intercept) * m,) * 2)
    for j, block in enumerate(blocks):
        P[j * m : (j + 1) * m, j * m : (j + 1) * m] = block
    to_scores = np.kron(S.numpy(), basis.numpy())
    ones = np.kron(np.eye(n), np.ones((c, 1)))
    matrix = np.block(
        [
            [np.diag(1 / d.numpy().ravel()), ones, to_scores],
            [ones.T, np.zeros((n, n + len(P)))],
            [-to_scores.T, np.zeros((len(P), n)), P],
        ]
    )
    ends = [] if balance is None else -balance.numpy()
    right = np.concatenate([r.numpy().ravel(), np.zeros(n), g.T.ravel(), ends])
    solution = np.linalg.solve(matrix, right)
    expected = solution[size + n :].reshape(-1, m).T
    assert_allclose(w, expected[:, :k], rtol=1e-6, atol=1e-8)
    assert_allclose(x, solution[:size].reshape(n, c), rtol=1e-5, atol=1e-7)
    assert_allclose(x.sum(-1), 0, atol=1e-9)
    if intercept:
        assert_allclose(b[0], expected[:, -1], rtol=1e-6, atol=1e-8)
