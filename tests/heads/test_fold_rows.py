"""Products of all folds at once: against those of the rows of each part."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LassoCV

from sparsedis.heads import SparseHeadsCV
from sparsedis.heads._fold_rows import FoldRows
from sparsedis.heads._task_rows import fold_error, task_parts


def data(seed=0, n=60, p=4):
    rng = np.random.default_rng(seed)
    Z, y = rng.standard_normal((n, p)), rng.standard_normal(n)
    weight = rng.uniform(0.1, 2.0, n) * (rng.random(n) < 0.6)
    fold = rng.integers(0, 4, n)
    parts = Z - Z.mean(0), y, weight, fold
    return tuple(torch.from_numpy(part) for part in parts)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("n_folds", [4, 6])
def test_products_are_those_of_each_part(fit_intercept, n_folds):
    Z, y, weight, fold = data()
    # A fold without labels, if there are 6, and one that is larger than others.
    fold[:15] = 1
    rows = FoldRows(Z, weight, fold, n_folds, fit_intercept)
    corr, y_sq, y_mean, sound = rows.targets(y)
    assert rows.sound
    assert sound
    free = torch.zeros(Z.shape[1], dtype=torch.bool)
    parts = task_parts(Z, weight, fold, n_folds, fit_intercept, free)
    for i, part in enumerate(parts):
        assert bool(rows.valid[i]) == (part is not None)
        if part is None:
            assert not rows.gram[i].any()
            assert not corr[i].any()
            continue
        target, completion = part.centre(y)
        torch.testing.assert_close(rows.gram[i], part.Z.T @ part.Z)
        torch.testing.assert_close(corr[i], part.Z.T @ target)
        torch.testing.assert_close(y_sq[i], target @ target)
        torch.testing.assert_close(rows.x_mean[i], completion.x_mean)
        torch.testing.assert_close(y_mean[i], completion.y_mean)


def test_errors_are_those_of_each_fold():
    Z, y, weight, fold = data()
    rng = np.random.default_rng(1)
    coef = torch.from_numpy(rng.standard_normal((5, 3, 4)))
    intercept = torch.from_numpy(rng.standard_normal((5, 3)))
    rows = FoldRows(Z, weight, fold, 5, True).held_out
    found = rows.errors(Z, y, coef, intercept)
    for f in range(4):
        expected = fold_error(Z, y, weight, fold, f, coef[f], intercept[f])
        torch.testing.assert_close(found[:, f], expected)
    assert found[:, 4].isnan().all()


@pytest.mark.parametrize("case", ["constant", "far", "targets", "one fold"])
def test_means_that_hide_the_rest_are_found(case):
    Z, y, weight, fold = data()
    if case == "constant":
        Z[:, 1] = 1 / 3
    elif case == "far":
        Z[:, 1] += 1e6
    elif case == "targets":
        y = y + 1e6
    else:
        # Constant outside of the third fold.
        Z[:, 1] = torch.where(fold == 2, Z[:, 1], 0.7)
    rows = FoldRows(Z, weight, fold, 4, True)
    assert not (rows.sound and rows.targets(y)[-1])


def test_features_without_entries_are_exact():
    Z, _, weight, fold = data()
    Z[:, 1] = 0.0
    assert FoldRows(Z, weight, fold, 4, True).sound


def test_folds_far_from_each_other_are_those_of_scikit_learn():
    rng = np.random.default_rng(2)
    X, y = rng.standard_normal((100, 5)), rng.standard_normal(100)
    X[:, 1] += 1e5 * (np.arange(100) >= 80)
    y += X[:, 0] + 0.1 * X[:, 1]
    ours = SparseHeadsCV(30).fit(X, y)
    theirs = LassoCV(alphas=30, tol=1e-12, max_iter=10**6).fit(X, y)
    np.testing.assert_allclose(ours.alphas_, theirs.alphas_)
    np.testing.assert_allclose(ours.mse_path_, theirs.mse_path_, rtol=1e-6)
    assert ours.alpha_ == ours.alphas_[theirs.mse_path_.mean(1).argmin()]
