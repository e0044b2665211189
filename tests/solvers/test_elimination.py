"""Elimination in many matrices at once against numpy.linalg."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sparsedis.solvers._elimination import eliminate


@pytest.mark.parametrize("k", [1, 2, 6, 20])
def test_solutions_on_supports_are_those_of_numpy(k):
    rng = np.random.default_rng(0)
    factors = rng.standard_normal((5, k, 2 * k))
    hessian = factors @ factors.mT / k
    support = rng.random((5, k)) < np.array([[0.5], [0.5], [0.5], [1.0], [0.0]])
    rhs = rng.standard_normal((5, k))
    x, inverse = (part.T for part in eliminate(hessian.T, support.T, rhs.T))
    for t, S in enumerate(support):
        expected = np.linalg.solve(hessian[t][np.ix_(S, S)], rhs[t][S])
        assert_allclose(x[t][S], expected, rtol=1e-10)
        assert not x[t][~S].any()
        # The determinant is the product of the pivots.
        pivots = 1 / inverse[t][S]
        assert_allclose(pivots.prod(), np.linalg.det(hessian[t][np.ix_(S, S)]))
        assert not inverse[t][~S].any()


def test_pivots_that_are_not_positive_count_as_tiny():
    # The second pivots are 3/4, 0 and -3.
    r = np.array([0.5, 1.0, 2.0])
    hessian = np.array([[r**0, r], [r, r**0]])
    _, inverse = eliminate(hessian, np.ones((2, 3)), np.ones((2, 3)))
    assert_allclose(inverse[0], 1)
    assert_allclose(inverse[1, 0], 4 / 3)
    assert (inverse[1, 1:] > 1e300).all()
