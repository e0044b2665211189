"""Cross-validated sparse logistic models: against scikit-learn, task by task."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.metrics import log_loss
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold

from sparsedis.heads import SparseHeadsClassifier, SparseHeadsClassifierCV
from tests.heads._tables import masks
from tests.heads._tables import table_of_classes as table

# Rows of the penalties to compare: if all coefficients are zero, saga stops before the
# intercept has converged.
BELOW = slice(1, None)


def of_grid(X, y, alphas, splits, weight=None):
    """Mean held-out log losses of scikit-learn's models, (n_alphas, n_folds)."""
    weight = np.ones(len(y)) if weight is None else weight
    losses = np.empty((len(alphas), len(splits)))
    for f, (train, test) in enumerate(splits):
        total = weight[train].sum()
        how = {"tol": 1e-9, "max_iter": 10**5, "random_state": 0}
        model = LogisticRegression(l1_ratio=1, solver="saga", **how)
        for i, alpha in enumerate(alphas):
            model.set_params(C=1 / (alpha * total))
            model.fit(X[train], y[train], sample_weight=weight[train])
            p = model.predict_proba(X[test])
            losses[i, f] = log_loss(y[test], p, sample_weight=weight[test])
    return losses


def test_cross_validation_chooses_as_scikit_learn_task_by_task():
    X, Y = table(n_tasks=2)
    heads = SparseHeadsClassifierCV(6, eps=0.05, cv=3).fit(X, Y)
    for t in range(2):
        at = ~np.isnan(Y[:, t])
        x, y = X[at], Y[at, t]
        folds = list(StratifiedKFold(3).split(x, y))
        losses = of_grid(x, y, heads.alphas_[t], folds)
        ours = heads.log_loss_path_[t]
        np.testing.assert_allclose(ours[BELOW], losses[BELOW], atol=1e-4)
        assert heads.alpha_[t] == heads.alphas_[t][losses.mean(1).argmin()]
        # The largest penalty is the smallest one at which no feature is used.
        for factor, used in ((1.001, False), (0.999, True)):
            alpha = factor * heads.alphas_[t][0]
            assert SparseHeadsClassifier(alpha).fit(x, y).coef_.any() == used


def test_the_choice_is_that_of_logistic_regression_cv():
    X, Y = table(100, 5, 1, missing=0.0)
    y, cv = Y[:, 0], KFold(4)
    heads = SparseHeadsClassifierCV(8, eps=0.05, cv=cv, tol=1e-6).fit(X, y)
    # C is relative to the rows of each fit, which folds have in equal numbers.
    model = LogisticRegressionCV(
        Cs=1 / (75 * heads.alphas_),
        **{"cv": cv, "l1_ratios": (1,), "solver": "saga", "refit": False},
        **{"scoring": "neg_log_loss", "tol": 1e-6, "max_iter": 10**5},
        **{"use_legacy_attributes": False, "random_state": 0},
    )
    model.fit(X, y)
    losses = -model.scores_.reshape(4, 8).T
    ours = heads.log_loss_path_
    np.testing.assert_allclose(ours[BELOW], losses[BELOW], atol=1e-4)
    assert heads.alpha_ == heads.alphas_[losses.mean(1).argmin()]


def test_several_classes_are_chosen_by_the_same_rule():
    X, Y = table(90, 5, 2, 3, missing=0.2)
    heads = SparseHeadsClassifierCV(4, eps=0.1, cv=2).fit(X, Y)
    for t in range(2):
        at = ~np.isnan(Y[:, t])
        x, y = X[at], Y[at, t]
        for i in (0, 2, 3):
            alpha = heads.alphas_[t][i]
            for f, (train, test) in enumerate(StratifiedKFold(2).split(x, y)):
                one = SparseHeadsClassifier(alpha).fit(x[train], y[train])
                loss = log_loss(y[test], one.predict_proba(x[test]))
                assert heads.log_loss_path_[t, i, f] == pytest.approx(loss, abs=1e-7)
        best = heads.log_loss_path_[t].mean(1).argmin()
        assert heads.alpha_[t] == heads.alphas_[t][best]
        one = SparseHeadsClassifier(heads.alpha_[t]).fit(x, y)
        np.testing.assert_allclose(heads.coef_[t], one.coef_, atol=1e-7)


def test_weights_of_samples_are_those_of_scikit_learn():
    X, Y = table(90, 5, 2, missing=0.0)
    weight = np.random.default_rng(1).integers(0, 4, 90).astype(float)
    heads = SparseHeadsClassifierCV(6, eps=0.05, cv=KFold(3))
    heads.fit(X, Y, sample_weight=weight)
    kept = weight > 0
    splits = [
        (np.flatnonzero(train[kept]), np.flatnonzero(test[kept]))
        for train, test in masks(KFold(3), X)
    ]
    for t in range(2):
        losses = of_grid(X[kept], Y[kept, t], heads.alphas_[t], splits, weight[kept])
        ours = heads.log_loss_path_[t]
        np.testing.assert_allclose(ours[BELOW], losses[BELOW], atol=1e-4)


def test_groups_stay_together():
    X, Y = table(missing=0.3, n_tasks=2)
    groups = np.repeat(np.arange(12), 10)
    heads = SparseHeadsClassifierCV(5, eps=0.05, cv=3).fit(X, Y, groups=groups)
    splits = GroupKFold(3).split(X, groups=groups)
    explicit = SparseHeadsClassifierCV(5, eps=0.05, cv=list(splits)).fit(X, Y)
    np.testing.assert_array_equal(heads.log_loss_path_, explicit.log_loss_path_)


def test_generators_may_divide_by_the_classes_of_a_single_task():
    X, Y = table(n_tasks=1, missing=0.3)
    y, cv = Y[:, 0], StratifiedKFold(3, shuffle=True, random_state=0)
    heads = SparseHeadsClassifierCV(4, eps=0.1, cv=cv).fit(X, y)
    splits = list(cv.split(X, np.nan_to_num(y, nan=-1)))
    explicit = SparseHeadsClassifierCV(4, eps=0.1, cv=splits).fit(X, y)
    np.testing.assert_array_equal(heads.log_loss_path_, explicit.log_loss_path_)


def test_rare_classes_are_left_out_of_the_folds_that_alone_have_them():
    X, Y = table(60, 4, 1, missing=0.0)
    y = Y[:, 0]
    y[7] = 2
    heads = SparseHeadsClassifierCV(5, eps=0.1, cv=KFold(3)).fit(X, y)
    assert np.isfinite(heads.log_loss_path_).all()
    train, test = np.arange(20, 60), np.delete(np.arange(20), 7)
    alpha = heads.alphas_[-1]
    # A model of two of three classes has the same probabilities; the group norm of two
    # opposite coefficients is that of their difference by the root of two.
    model = SparseHeadsClassifier(alpha / np.sqrt(2)).fit(X[train], y[train])
    loss = log_loss(y[test], model.predict_proba(X[test]))
    assert heads.log_loss_path_[-1, 0] == pytest.approx(loss, abs=1e-7)


def test_one_standard_error_selects_fewer_features():
    X, Y = table(80, n_tasks=4)
    least, fewer = (
        SparseHeadsClassifierCV(8, eps=0.05, cv=3, selection=s).fit(X, Y)
        for s in ("cv", "1se")
    )
    assert (fewer.coef_ != 0).sum() < (least.coef_ != 0).sum()
    mean = least.log_loss_path_.mean(2)
    error = least.log_loss_path_.std(2, ddof=1) / np.sqrt(3)
    for t in range(4):
        best = mean[t].argmin()
        within = mean[t] <= mean[t, best] + error[t, best]
        assert fewer.alpha_[t] == least.alphas_[t][within.argmax()]


@pytest.mark.parametrize("n_classes", [2, 3])
def test_bic_counts_the_features_in_use(n_classes):
    X, Y = table(n_tasks=1, n_classes=n_classes)
    at = ~np.isnan(Y[:, 0])
    x, y = X[at], Y[at, 0]
    heads = SparseHeadsClassifierCV(5, eps=0.05, selection="bic").fit(X, Y[:, 0])
    expected = []
    for alpha in heads.alphas_:
        one = SparseHeadsClassifier(alpha).fit(x, y)
        n_used = (n_classes - 1) * one.coef_.any(0).sum()
        loss = log_loss(y, one.predict_proba(x), normalize=False)
        expected.append(2 * loss + np.log(len(y)) * n_used)
    np.testing.assert_allclose(heads.criterion_, expected, rtol=1e-7)
    assert heads.alpha_ == heads.alphas_[np.argmin(expected)]
    assert not hasattr(heads, "log_loss_path_")
