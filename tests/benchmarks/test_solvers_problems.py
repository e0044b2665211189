"""Problems of the benchmark of solvers, and their references."""

import numpy as np
import pytest
import torch

from benchmarks.solvers.problems import (
    lasso_reference,
    make_lasso,
    make_svm,
    svm_reference,
)
from sparsedis.implicit import group_lasso_svm, lasso


def _solved(layer, problem, *names):
    Z, *penalties = (torch.tensor(problem[name]).double() for name in ("Z", *names))
    Z.requires_grad_()
    labels = torch.tensor(problem["y"])
    W = layer(Z, labels, *penalties)
    (W * torch.from_numpy(problem["G"])).sum().backward()
    return W.detach().numpy(), Z.grad.numpy()


@pytest.mark.parametrize("ratio", [0.3, 0.0])
def test_svm_reference_is_the_solution_and_gradient_of_the_layer(ratio):
    problem = make_svm(2, 40, ratio)
    W, gradient, dual, gap = svm_reference(problem)
    assert gap < 1e-9
    assert (dual > 0).all()

    def layer(Z, y, alpha, l2):
        return group_lasso_svm(Z, y, alpha, l2, fit_intercept=False)

    found = _solved(layer, problem, "alpha", "l2")
    np.testing.assert_allclose(found[0], W, atol=1e-6)
    np.testing.assert_allclose(found[1], gradient, atol=1e-5)


@pytest.mark.parametrize("correlation", [0.0, 0.9])
def test_lasso_reference_is_the_solution_and_gradient_of_the_layer(correlation):
    problem = make_lasso(4, n=2000, correlation=correlation)
    R = np.corrcoef(problem["Z"].reshape(-1, 6).T)
    np.testing.assert_allclose(R[np.triu_indices(6, 1)], correlation, atol=0.05)
    w, gradient, _, gap = lasso_reference(problem)
    assert gap < 1e-9

    def layer(Z, y, alpha):
        return lasso(Z, y, alpha, fit_intercept=False)

    found = _solved(layer, problem, "alpha")
    np.testing.assert_allclose(found[0], w, atol=1e-8)
    np.testing.assert_allclose(found[1], gradient, atol=1e-7)
