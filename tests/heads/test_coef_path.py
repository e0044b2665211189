"""Coefficients of sparse heads along their paths: against scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import lasso_path

from sparsedis.heads import SparseHeadsCV


def table(n=60, p=8, n_tasks=3, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p)) + 3
    Y = X[:, :3] @ rng.standard_normal((3, n_tasks)) + rng.standard_normal((n, n_tasks))
    Y[rng.random(Y.shape) < 0.3] = np.nan
    return X, Y


@pytest.mark.parametrize("p", [8, 300])
@pytest.mark.parametrize("refit", ["lasso", "relaxed"])
def test_paths_are_those_of_scikit_learn(p, refit):
    X, Y = table(p=p)
    heads = SparseHeadsCV(12, eps=0.02, cv=3, refit=refit).fit(X, Y)
    alphas, coefs = heads.coef_path(X, Y)
    assert coefs.shape == (3, p, 12)
    for t in range(3):
        at = ~np.isnan(Y[:, t])
        x, y = X[at] - X[at].mean(0), Y[at, t] - Y[at, t].mean()
        expected = lasso_path(x, y, alphas=alphas[t], tol=1e-10, max_iter=10**6)
        np.testing.assert_allclose(alphas[t], expected[0], rtol=1e-12)
        np.testing.assert_allclose(coefs[t], expected[1], atol=1e-4)


def test_paths_pass_through_the_chosen_heads():
    X, Y = table()
    weights = np.random.default_rng(0).uniform(0.5, 2, (3, 8))
    weights[1, 2] = 0
    for how in ({}, {"adaptive": True}, {"k_features": [1, 3, 5]}):
        heads = SparseHeadsCV(12, feature_weights=weights, **how).fit(X, Y)
        alphas, coefs = heads.coef_path(X, Y)
        np.testing.assert_array_equal(alphas, heads.alphas_)
        at = (alphas == heads.alpha_[:, None]).argmax(1)
        own = coefs[np.arange(3), :, at]
        np.testing.assert_allclose(own, heads.coef_, atol=1e-9)


def test_some_tasks_by_name():
    X, Y = table()
    Y[:, 1] = np.nan
    frame = pd.DataFrame(Y, columns=list("abc"))
    heads = SparseHeadsCV(5).fit(X, frame)
    alphas, coefs = heads.coef_path(X, frame[list("cba")], tasks=["c", "a"])
    every = heads.coef_path(X, frame)
    np.testing.assert_array_equal(alphas, every[0][[2, 0]])
    np.testing.assert_array_equal(coefs, every[1][[2, 0]])
    assert np.isnan(every[1][1]).all()
    rows, tasks = np.nonzero(~np.isnan(Y))
    names, y = np.array(list("abc"))[tasks], Y[rows, tasks]
    long = SparseHeadsCV(5).fit(X[rows], y, task=names)
    _, own = long.coef_path(X[rows], y, task=names, tasks=["c", "a"])
    np.testing.assert_allclose(own, coefs, atol=1e-10)
    with pytest.raises(ValueError, match=r"^tasks must hold .*'z'.* are not among"):
        heads.coef_path(X, frame, tasks=["z"])
    with pytest.raises(ValueError, match="tasks must be a list of names, got 'a'"):
        heads.coef_path(X, frame, tasks="a")


def test_a_single_task_has_one_path():
    X, Y = table()
    y = np.nan_to_num(Y[:, 0])
    heads = SparseHeadsCV(5).fit(X, y)
    alphas, coefs = heads.coef_path(X, y)
    assert (alphas.shape, coefs.shape) == ((5,), (8, 5))
    with pytest.raises(NotFittedError):
        SparseHeadsCV().coef_path(X, y)
