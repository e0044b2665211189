"""Sparse heads in training find the factors, where dense ones do not."""

import numpy as np
import pytest
import torch
from sklearn import config_context
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from sparsedis import SparseMultiTaskClassifier, SparseMultiTaskRepresentation
from sparsedis.datasets import SparseTaskModel, SparseTaskStream, make_sparse_tasks
from sparsedis.metrics import (
    linear_r_score,
    make_disentanglement_scorer,
    mean_correlation_coefficient,
)
from tests.multitask._few_steps import linear

# After a few steps features are not to be trusted.
pytestmark = pytest.mark.filterwarnings(
    "ignore:(.* may not be factors|The encoder overfits|A separate Ridge):UserWarning"
)

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.fixture(scope="module")
def data():
    return make_sparse_tasks(
        n_samples=200, n_tasks=30, n_factors=4, return_bunch=True, random_state=0
    )


@pytest.mark.parametrize("device", DEVICES)
def test_sparse_heads_disentangle_where_dense_ones_do_not(device):
    model = SparseTaskModel(5, mixing="linear", rho=0.5, random_state=0)
    stream = SparseTaskStream(model, n_tasks=60, n_samples=60, random_state=0)
    X, factors = model.sample(2000, random_state=1)
    codes = {
        penalty: SparseMultiTaskRepresentation(
            n_components=5,
            rotation=None,
            penalty=penalty,
            alpha=0.4,
            encoder=linear,
            max_iter=100,
            lr=0.06,
            device=device,
            random_state=0,
        )
        .fit_stream(stream)
        .transform(X)
        for penalty in ("l1", "l2")
    }
    # Both find the span of the factors; only sparsity finds the factors.
    assert linear_r_score(factors, codes["l1"]) > 0.98
    assert linear_r_score(factors, codes["l2"]) > 0.98
    mcc = {p: mean_correlation_coefficient(factors, codes[p]) for p in codes}
    assert mcc["l1"] > 0.97
    assert mcc["l2"] < mcc["l1"] - 0.05


def test_fit_learns_the_factors_from_a_table():
    data = make_sparse_tasks(
        n_samples=600, n_tasks=120, n_factors=4, return_bunch=True, random_state=1
    )
    est = SparseMultiTaskRepresentation(
        n_components=4,
        rotation=None,
        alpha=0.4,
        encoder=linear,
        max_iter=200,
        lr=0.03,
        random_state=0,
    )
    codes = est.fit_transform(data.data, data.target)
    assert mean_correlation_coefficient(data.factors, codes) > 0.97
    # Heads on the factors themselves do no better.
    ideal = SparseMultiTaskRepresentation(
        n_components=4, rotation=None, alpha=0.4, encoder="identity"
    )
    ideal.fit(data.factors, data.target)
    assert est.score(data.data, data.target) > (
        ideal.score(data.factors, data.target) - 0.01
    )
    assert ideal.n_iter_ == 0  # there was nothing to train


def test_classes_disentangle_too():
    data = make_sparse_tasks(
        n_samples=800, n_tasks=100, n_factors=4, return_bunch=True, random_state=0
    )
    est = SparseMultiTaskClassifier(
        4,
        rotation=None,
        alpha=0.2,
        encoder=linear,
        max_iter=75,
        task_batch_size=25,
        lr=0.04,
        random_state=0,
    )
    codes = est.fit_transform(data.data, data.target > 0)
    assert mean_correlation_coefficient(data.factors, codes) > 0.97
    assert est.score(data.data, data.target > 0) > 0.94


def test_vectors_disentangle_too():
    # Outputs of a task share their support.
    rng = np.random.RandomState(0)
    factors = rng.normal(size=(500, 4))
    supports = rng.uniform(size=(60, 1, 4)) < 0.5
    supports[~supports.any(-1)[:, 0], :, 0] = True
    coef = supports * rng.normal(size=(60, 3, 4))
    X = factors @ rng.normal(size=(4, 4))
    Y = np.einsum("nk,tck->ntc", factors, coef)
    est = SparseMultiTaskRepresentation(
        4, rotation=None, encoder=linear, max_iter=250, lr=0.02, random_state=0
    )
    codes = est.fit_transform(X, Y)
    assert mean_correlation_coefficient(factors, codes) > 0.97
    assert est.score(X, Y) > 0.95


def test_grid_search_by_disentanglement_finds_the_alpha_that_disentangles():
    data = make_sparse_tasks(
        200, 40, n_factors=4, rho=0.5, return_bunch=True, random_state=0
    )
    X, Y, factors = data.data, data.target, data.factors
    est = SparseMultiTaskRepresentation(
        4, rotation=None, encoder=linear, lr=0.04, max_iter=50, random_state=0
    )
    alphas = [0.01, 0.1, 0.4]
    with config_context(enable_metadata_routing=True):
        search = GridSearchCV(
            est,
            {"alpha": alphas},
            scoring=make_disentanglement_scorer("mcc"),
            refit=False,
            cv=2,
        )
        search.fit(X, Y, factors=factors)
    mcc = [
        mean_correlation_coefficient(
            factors, clone(est).set_params(alpha=alpha).fit_transform(X, Y)
        )
        for alpha in alphas
    ]
    chosen = alphas.index(search.best_params_["alpha"])
    assert max(mcc) - min(mcc) > 0.1  # the choice matters
    assert mcc[chosen] > max(mcc) - 0.02
