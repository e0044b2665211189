"""Cross-validated sparse heads: against scikit-learn, task by task."""

import numpy as np
import pytest
from sklearn.linear_model import LassoCV, LassoLarsIC, lars_path
from sklearn.model_selection import GroupKFold, KFold

from sparsedis.heads import SparseHeads, SparseHeadsCV
from sparsedis.heads._folds import choose
from tests.heads._tables import masks, table


def cv_of(X, y, weight=None, **params):
    at = ~np.isnan(y)
    model = LassoCV(tol=1e-9, max_iter=10**6, **params)
    own = None if weight is None else weight[at]
    return model.fit(X[at], y[at], sample_weight=own)


@pytest.mark.parametrize(("p", "n", "eps"), [(8, 120, 0.01), (300, 40, 0.1)])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_cross_validation_chooses_as_scikit_learn_task_by_task(
    p, n, eps, fit_intercept
):
    X, Y = table(n, p, 2, missing=0.3)
    how = {"alphas": 12, "eps": eps, "fit_intercept": fit_intercept}
    heads = SparseHeadsCV(**how).fit(X, Y)
    for t in range(2):
        model = cv_of(X, Y[:, t], **how)
        np.testing.assert_allclose(heads.alphas_[t], model.alphas_, rtol=1e-10)
        np.testing.assert_allclose(heads.mse_path_[t], model.mse_path_, rtol=1e-3)
        assert heads.alpha_[t] == pytest.approx(model.alpha_, rel=1e-10)
        np.testing.assert_allclose(heads.coef_[t], model.coef_, atol=1e-4)


@pytest.mark.parametrize("p", [8, 300])
def test_weights_of_samples_are_those_of_scikit_learn(p):
    X, Y = table(60, p, 2, missing=0.0)
    weight = np.random.default_rng(1).integers(0, 4, 60).astype(float)
    heads = SparseHeadsCV(10, eps=0.05, cv=KFold(3)).fit(X, Y, sample_weight=weight)
    for t in range(2):
        kept = weight > 0
        folds = [
            (np.flatnonzero(train[kept]), np.flatnonzero(test[kept]))
            for train, test in masks(KFold(3), X)
        ]
        model = LassoCV(alphas=10, eps=0.05, cv=folds, tol=1e-9, max_iter=10**6)
        model.fit(X[kept], Y[kept, t], sample_weight=weight[kept])
        np.testing.assert_allclose(heads.mse_path_[t], model.mse_path_, rtol=1e-3)
        assert heads.alpha_[t] == pytest.approx(model.alpha_, rel=1e-9)
        np.testing.assert_allclose(heads.coef_[t], model.coef_, atol=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_folds_count_the_same_whatever_their_weights(seed):
    X, Y = table(60, 5, 1, missing=0.0, seed=seed)
    weight = 10 ** np.random.default_rng(seed).uniform(-2, 2, 60)
    heads = SparseHeadsCV().fit(X, Y[:, 0], sample_weight=weight)
    model = cv_of(X, Y[:, 0], weight, alphas=100)
    assert heads.alpha_ == pytest.approx(model.alpha_, rel=1e-9)


def test_groups_stay_together():
    X, Y = table(120, n_tasks=5, missing=0.5)
    groups = np.repeat(np.arange(12), 10)
    heads = SparseHeadsCV(10, eps=0.05, cv=4).fit(X, Y, groups=groups)
    for t in range(5):
        at = ~np.isnan(Y[:, t])
        folds = [
            (np.flatnonzero(train[at]), np.flatnonzero(test[at]))
            for train, test in masks(GroupKFold(4), X, groups)
        ]
        model = cv_of(X, Y[:, t], alphas=10, eps=0.05, cv=folds)
        assert heads.alpha_[t] == pytest.approx(model.alpha_, rel=1e-9)


@pytest.mark.parametrize("distance", [1e3, 1e6, 1e8])
@pytest.mark.parametrize("where", ["clusters", "outlier"])
def test_rows_far_from_those_of_a_task_change_nothing(where, distance):
    X, Y = table(60, 5, 3, missing=0.0)
    Y[:30, 0] = np.nan
    far = X.copy()
    far[slice(30) if where == "clusters" else 0, 0] += distance
    alone, there = (SparseHeads(0.05).fit(x, Y) for x in (X, far))
    np.testing.assert_allclose(there.coef_[0], alone.coef_[0], rtol=1e-5, atol=1e-8)
    heads = SparseHeadsCV(10, eps=0.05).fit(far, Y[:, 1])
    model = cv_of(far, Y[:, 1], alphas=10, eps=0.05)
    np.testing.assert_allclose(heads.mse_path_, model.mse_path_, rtol=1e-3)


def test_one_standard_error_selects_fewer_features():
    X, Y = table(120, n_tasks=12)
    least, fewer = (SparseHeadsCV(selection=s).fit(X, Y) for s in ("cv", "1se"))
    assert (fewer.alpha_ >= least.alpha_).all()
    assert (fewer.coef_ != 0).sum() < (least.coef_ != 0).sum()
    mean = least.mse_path_.mean(2)
    error = least.mse_path_.std(2, ddof=1) / np.sqrt(5)
    for t in range(12):
        best = mean[t].argmin()
        within = mean[t] <= mean[t, best] + error[t, best]
        assert fewer.alpha_[t] == least.alphas_[t][within.argmax()]


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_bic_is_that_of_scikit_learn(fit_intercept):
    X, Y = table()
    for t in range(3):
        at = ~np.isnan(Y[:, t])
        x, y = X[at], Y[at, t]
        model = LassoLarsIC("bic", fit_intercept=fit_intercept).fit(x, y)
        if fit_intercept:
            x, y = x - x.mean(0), y - y.mean()
        # Between breakpoints, where rounding errors do not let features in.
        breaks, _, path = lars_path(x, y, method="lasso")
        alphas, coef = (breaks[1:] + breaks[:-1]) / 2, (path[:, 1:] + path[:, :-1]) / 2
        rss, n = ((y[:, None] - x @ coef) ** 2).sum(0), len(y)
        noise = model.noise_variance_
        expected = n * np.log(2 * np.pi * noise) + rss / noise
        expected += np.log(n) * (coef != 0).sum(0)
        heads = SparseHeadsCV(alphas, selection="bic", fit_intercept=fit_intercept)
        heads.fit(X, Y)
        np.testing.assert_allclose(heads.criterion_[t], expected, rtol=1e-8)
        assert heads.alpha_[t] == alphas[expected.argmin()]
    assert not hasattr(heads, "mse_path_")


def test_bic_needs_more_labels_than_features():
    X, Y = table(40, 300)
    with pytest.raises(ValueError, match="'bic' needs more labels than features"):
        SparseHeadsCV(selection="bic").fit(X, Y)


def test_choice_leaves_out_folds_without_labels():
    errors = np.array([[[3.0, np.nan], [2.0, np.nan], [2.5, np.nan]]])
    assert choose(errors, "cv").tolist() == [1]
    assert choose(np.full((1, 3, 2), np.nan), "cv").tolist() == [0]
    errors = np.array([[[3.0, 1.0], [1.0, 4.0]]])
    assert choose(errors, "cv").tolist() == [0]


@pytest.mark.parametrize("shape", [(5,), (120, 1)])
def test_groups_of_another_shape_are_named(shape):
    X, Y = table(120)
    with pytest.raises(ValueError, match="groups must hold the group of each"):
        SparseHeadsCV().fit(X, Y, groups=np.ones(shape))
