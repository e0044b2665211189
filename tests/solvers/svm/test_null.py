"""Dual solutions at W = 0: feasible, optimal, and the alpha that follows from them."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.optimize import linprog

from sparsedis.solvers.svm.null import null_beta
from sparsedis.solvers.svm.simplices import Simplices


@pytest.mark.parametrize(
    "sizes",
    [(5, 5, 5), (8, 7, 5), (8, 6, 4), (9, 6, 3), (12, 3, 2), (9, 6, 0), (7, 0, 0)],
)
def test_null_solution_with_intercepts(sizes):
    y = torch.tensor(np.repeat(np.arange(3), sizes))[None]
    n = len(y[0])
    simplices = Simplices.build(y, torch.ones(1, n).double(), 3, fit_intercept=True)
    beta = null_beta(simplices)[0].numpy()
    labels = np.eye(3)[y[0]]
    assert beta.min() >= 0
    assert_allclose(beta.sum(1), 1, atol=1e-12)
    assert_allclose(beta.sum(0), sizes, atol=1e-9)
    # Optimal for the problem without features, a linear program.
    rows = np.kron(np.eye(n), np.ones(3))
    columns = np.kron(np.ones(n), np.eye(3))
    best = linprog(
        -(1 - labels).ravel(),
        A_eq=np.vstack([rows, columns]),
        b_eq=np.concatenate([np.ones(n), sizes]),
    )
    assert_allclose((beta * (1 - labels)).sum(), -best.fun, atol=1e-9)


def test_null_solution_is_even_where_classes_are():
    y = torch.arange(12)[None] % 4
    simplices = Simplices.build(y, torch.ones(1, 12).double(), 4, fit_intercept=True)
    even = (1 - torch.nn.functional.one_hot(y, 4)) / 3
    assert_allclose(null_beta(simplices), even, atol=1e-9)
