"""Where celer is not installed, "auto" solves the same problems without it."""

import sys

import numpy as np
import pytest
import torch
from sklearn.linear_model import Lasso

from sparsedis import SparseMultiTaskRepresentation
from sparsedis.datasets import make_sparse_tasks
from sparsedis.implicit import lasso, logistic, multitask_lasso
from sparsedis.implicit._squared import has_celer


@pytest.fixture(autouse=True)
def _no_celer(monkeypatch):
    monkeypatch.setitem(sys.modules, "celer", None)  # `import celer` now raises
    monkeypatch.delitem(sys.modules, "sparsedis.solvers._celer", raising=False)
    has_celer.cache_clear()
    yield
    has_celer.cache_clear()


def problem(layer):
    """One wide task, for which "auto" takes celer if it is there."""
    rng = torch.Generator().manual_seed(0)
    Z = torch.randn(1, 30, 70, generator=rng, dtype=torch.float64)
    y = Z[..., :2] @ torch.tensor([[1.0, 2.0], [-2.0, 1.0]], dtype=torch.float64)
    targets = {lasso: y[..., 0], multitask_lasso: y, logistic: (y[..., 0] > 0).long()}
    return Z, targets[layer]


@pytest.mark.parametrize("layer", [lasso, multitask_lasso, logistic])
def test_auto_is_batched(layer):
    Z, y = problem(layer)
    w = layer(Z, y, 0.05)
    assert w.any()
    assert torch.equal(w, layer(Z, y, 0.05, solver="batched"))


@pytest.mark.parametrize("layer", [lasso, multitask_lasso, logistic])
def test_celer_is_asked_for_by_name(layer):
    with pytest.raises(ImportError, match="pip install celer"):
        layer(*problem(layer), 0.05, solver="celer")


# So few steps learn nothing that a linear model does not know.
@pytest.mark.filterwarnings("ignore:A separate Ridge:UserWarning")
def test_final_heads_are_those_of_scikit_learn():
    X, Y = make_sparse_tasks(90, 6, n_factors=8, random_state=0)
    est = SparseMultiTaskRepresentation(
        8,
        rotation=None,
        encoder="identity",
        normalization=None,
        alpha=0.1,
        alpha_mode="absolute",
        refit="lasso",
        normalize_y=False,
        max_iter=1,
        random_state=0,
    ).fit(X, Y)
    coef = Lasso(alpha=0.1, tol=1e-12, max_iter=10_000).fit(X, Y).coef_
    np.testing.assert_allclose(est.coef_, coef, atol=1e-6)
