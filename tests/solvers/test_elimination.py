"""Elimination in many matrices at once against numpy.linalg."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sparsedis.solvers._elimination import Elimination


@pytest.mark.parametrize("k", [1, 2, 6, 20])
def test_solutions_on_supports_are_those_of_numpy(k):
    rng = np.random.default_rng(0)
    factors = rng.standard_normal((5, k, 2 * k))
    hessian = factors @ factors.mT / k
    support = rng.random((5, k)) < np.array([[0.5], [0.5], [0.5], [1.0], [0.0]])
    rhs = rng.standard_normal((5, k))
    x = Elimination(hessian.T, support.T).solve(rhs.T).T
    for t, S in enumerate(support):
        expected = np.linalg.solve(hessian[t][np.ix_(S, S)], rhs[t][S])
        assert_allclose(x[t][S], expected, rtol=1e-10)
        assert not x[t][~S].any()


def test_small_pivots_count_only_in_the_support():
    # The squared pivots are 1 and 1 - r^2.
    r = np.sqrt(1 - np.array([1e-6, 1e-8, 1e-8, 0.0, 0.0]))
    hessian = np.array([[r**0, r], [r, r**0]])
    support = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 1, 0]]) > 0
    poor = Elimination(hessian, support).poor(1e-7)
    assert poor.tolist() == [False, True, False, True, False]
