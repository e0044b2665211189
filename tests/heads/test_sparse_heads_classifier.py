"""Sparse logistic models of many tasks: against scikit-learn, celer and cvxpy."""

import warnings

import cvxpy as cp
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from celer import LogisticRegression as CelerLogistic
from joblib import parallel_config
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.metrics import log_loss
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    ShuffleSplit,
    StratifiedGroupKFold,
    StratifiedKFold,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from sparsedis.heads import SparseHeadsClassifier, SparseHeadsClassifierCV
from sparsedis.heads._logistic_head import blocks_of_tasks
from sparsedis.heads._strata import stratify


def table(n=120, p=6, n_tasks=4, n_classes=2, missing=0.4, seed=0):
    """Correlated features, and labels with holes: 0 to n_classes - 1, or NaN."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 2)) @ rng.standard_normal((2, p))
    X += rng.standard_normal((n, p))
    scores = X[:, :3] @ rng.standard_normal((n_tasks, 3, n_classes))
    scores += rng.gumbel(size=scores.shape)
    y = scores.argmax(-1).T.astype(float)
    y[rng.random(y.shape) < missing] = np.nan
    return X, y


def objective(X, y, coef, intercept, alpha):
    """Mean log loss and penalty of a model of labels 0 to C - 1."""
    coef, intercept = np.atleast_2d(coef), np.atleast_1d(intercept)
    if len(coef) == 1:
        size = np.abs(coef).sum()
        coef, intercept = np.vstack([0 * coef, coef]), np.append(0.0, intercept)
    else:
        size = np.linalg.norm(coef - coef.mean(0), axis=0).sum()
    logits = X @ coef.T + intercept
    each = np.logaddexp.reduce(logits, 1) - logits[np.arange(len(y)), y.astype(int)]
    return each.mean() + alpha * size


def peer(alpha, n, **params):
    params = {"tol": 1e-9, "max_iter": 10**5, "random_state": 0} | params
    return LogisticRegression(C=1 / (n * alpha), l1_ratio=1, solver="saga", **params)


SHORT = SparseHeadsClassifierCV(4, eps=0.1, cv=2)

# Rows of the penalties to compare: if all coefficients are zero, saga stops before the
# intercept has converged.
BELOW = slice(1, None)


def of_grid(X, y, alphas, splits, weight=None):
    """Mean held-out log losses of scikit-learn's models, (n_alphas, n_folds)."""
    weight = np.ones(len(y)) if weight is None else weight
    losses = np.empty((len(alphas), len(splits)))
    for f, (train, test) in enumerate(splits):
        total = weight[train].sum()
        model = peer(1.0, 1)
        for i, alpha in enumerate(alphas):
            model.set_params(C=1 / (alpha * total))
            model.fit(X[train], y[train], sample_weight=weight[train])
            p = model.predict_proba(X[test])
            losses[i, f] = log_loss(y[test], p, sample_weight=weight[test])
    return losses


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_given_penalties_give_the_model_of_each_task(fit_intercept):
    X, Y = table()
    alpha = np.array([0.003, 0.01, 0.03, 0.1])
    how = {"fit_intercept": fit_intercept}
    heads = SparseHeadsClassifier(alpha, **how).fit(X, Y)
    assert heads.dual_gap_.max() <= 1e-8
    for t in range(4):
        at = ~np.isnan(Y[:, t])
        x, y = X[at], Y[at, t]
        own = heads.coef_[t], heads.intercept_[t]
        model = peer(alpha[t], len(y), **how).fit(x, y)
        ours = objective(x, y, *own, alpha[t])
        theirs = objective(x, y, model.coef_, model.intercept_, alpha[t])
        assert ours == pytest.approx(theirs, abs=1e-8)
        np.testing.assert_allclose(heads.coef_[t], model.coef_[0], atol=1e-3)
        p = heads.predict_proba(X)[t]
        np.testing.assert_allclose(p, model.predict_proba(X), atol=1e-3)
        np.testing.assert_array_equal(heads.predict(X)[:, t], model.predict(X))
        # Labels that are missing take no part.
        alone = SparseHeadsClassifier(alpha[t], **how).fit(x, y)
        np.testing.assert_allclose(alone.coef_[0], heads.coef_[t], atol=1e-8)
        assert alone.intercept_[0] == pytest.approx(heads.intercept_[t], abs=1e-8)


@pytest.mark.parametrize("p", [6, 80])
def test_objectives_are_those_of_celer(p):
    X, Y = table(60, p, 3, missing=0.3)
    heads = SparseHeadsClassifier(0.02, fit_intercept=False).fit(X, Y)
    for t in range(3):
        at = ~np.isnan(Y[:, t])
        x, y = X[at], Y[at, t]
        model = CelerLogistic(C=1 / (0.02 * len(y)), tol=1e-10, fit_intercept=False)
        theirs = objective(x, y, model.fit(x, y).coef_, 0.0, 0.02)
        ours = objective(x, y, heads.coef_[t], 0.0, 0.02)
        assert ours == pytest.approx(theirs, abs=1e-8)


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_several_classes_have_the_group_penalty(fit_intercept):
    X, Y = table(40, 4, 1, 3, missing=0.0)
    heads = SparseHeadsClassifier(0.05, fit_intercept=fit_intercept).fit(X, Y[:, 0])
    W, b = cp.Variable((3, 4)), cp.Variable(3)
    logits = X @ W.T + (np.ones((40, 1)) @ cp.reshape(b, (1, 3), "C"))
    picked = cp.sum(cp.multiply(logits, np.eye(3)[Y[:, 0].astype(int)]))
    loss = (cp.sum(cp.log_sum_exp(logits, axis=1)) - picked) / 40
    penalty = 0.05 * cp.sum(cp.norm(W, 2, axis=0))
    wanted = [] if fit_intercept else [b == 0]
    least = cp.Problem(cp.Minimize(loss + penalty), wanted).solve("CLARABEL")
    ours = objective(X, Y[:, 0], heads.coef_, heads.intercept_, 0.05)
    assert ours == pytest.approx(least, abs=1e-7)
    np.testing.assert_allclose(heads.coef_, W.value, atol=1e-4)
    used = heads.coef_ != 0
    assert (used.all(0) | ~used.any(0)).all()
    np.testing.assert_allclose(heads.coef_.sum(0), 0.0, atol=1e-12)


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


def masks(cv, X, groups=None):
    """Training and test rows as masks."""
    for train, test in cv.split(X, groups=groups):
        yield tuple(np.isin(np.arange(len(X)), part) for part in (train, test))


@pytest.mark.parametrize("refit", ["lasso", "relaxed"])
def test_weights_of_labels_are_repetitions(refit):
    X, Y = table(60, 5, 2, 3, missing=0.0)
    weight = np.random.default_rng(0).integers(0, 3, Y.shape).astype(float)
    model = SparseHeadsClassifier(0.03, refit=refit)
    heads = clone(model).fit(X, Y, sample_weight=weight)
    for t in range(2):
        rows = np.repeat(np.arange(60), weight[:, t].astype(int))
        alone = clone(model).fit(X[rows], Y[rows, t])
        np.testing.assert_allclose(heads.coef_[t], alone.coef_, atol=1e-8)


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


@pytest.mark.parametrize("n_folds", [2, 3, 5])
def test_strata_are_those_of_scikit_learn(n_folds):
    rng = np.random.default_rng(n_folds)
    labels = rng.permutation(np.repeat([0, 1, 2], [7, 12, 5]))
    folds = np.empty(24, dtype=int)
    for f, (_, test) in enumerate(StratifiedKFold(n_folds).split(labels, labels)):
        folds[test] = f
    np.testing.assert_array_equal(stratify(labels, n_folds), folds)


def test_every_form_of_labels_gives_the_same_heads():
    X, Y = table(60, 4, 3, n_classes=3)
    model = SparseHeadsClassifier(0.1)
    heads = clone(model).fit(X, Y)
    rows, tasks = np.nonzero(~np.isnan(Y))
    names = np.array(["red", "green", "blue"])
    text = np.full(Y.shape, None, dtype=object)
    # Sorted labels: blue, green, red.
    text[rows, tasks] = names[2 - Y[rows, tasks].astype(int)]
    frame = pd.DataFrame(Y, columns=list("abc"))
    forms = [
        frame,
        pd.DataFrame(Y).astype("Int64"),
        pd.DataFrame(text).astype("string"),
        text,
        sp.coo_array((Y[rows, tasks], (rows, tasks)), shape=Y.shape),
    ]
    fits = [clone(model).fit(X, form) for form in forms]
    for form, other in zip(forms, fits, strict=True):
        np.testing.assert_array_equal(other.coef_, heads.coef_)
        assert other.score(X, form) == heads.score(X, Y)
    of_frame, of_text = fits[0], fits[3]
    assert of_text.classes_[0].tolist() == ["blue", "green", "red"]
    expected = names[2 - heads.predict(X).astype(int)]
    np.testing.assert_array_equal(of_text.predict(X), expected)
    assert of_frame.tasks_.tolist() == list("abc")
    assert of_frame.score(X, frame[list("cba")]) == pytest.approx(heads.score(X, Y))


def test_tasks_have_their_own_classes():
    X, Y = table(n_tasks=3, n_classes=2, missing=0.2)
    more = table(n_tasks=1, n_classes=4, missing=0.2)[1][:, 0]
    labels = pd.DataFrame({"two": Y[:, 0], "four": more, "text": Y[:, 1]})
    labels["text"] = labels["text"].map({0: "no", 1: "yes"})
    heads = SparseHeadsClassifier(0.02).fit(X, labels)
    assert [len(own) for own in heads.classes_] == [2, 4, 2]
    assert heads.coef_.shape == (3, 4, 6)
    alone = SparseHeadsClassifier(0.02).fit(X, Y[:, :2])
    logit = heads.coef_[[0, 2], 1] - heads.coef_[[0, 2], 0]
    np.testing.assert_allclose(logit, alone.coef_, atol=1e-10)
    assert (heads.intercept_[[0, 2], 2:] == -np.inf).all()
    for p, expected in zip(
        heads.predict_proba(X)[::2], alone.predict_proba(X), strict=True
    ):
        np.testing.assert_allclose(p, expected, atol=1e-10)
    predicted = heads.predict(X)
    assert predicted.shape == (120, 3)
    assert set(predicted[:, 2]) == {"no", "yes"}
    p = heads.predict_proba(X)[1]
    np.testing.assert_array_equal(predicted[:, 1], heads.classes_[1][p.argmax(1)])


@pytest.mark.parametrize("p", [6, 80])
def test_candidates_change_nothing(monkeypatch, p):
    X, Y = table(60, p, 1)
    model = SparseHeadsClassifierCV(6, eps=0.05, cv=2)
    whole = clone(model).fit(X, Y)
    monkeypatch.setattr("sparsedis.solvers.two_class_path.NARROW", 200 if p > 64 else 0)
    other = clone(model).fit(X, Y)
    np.testing.assert_allclose(other.coef_, whole.coef_, atol=1e-7)
    np.testing.assert_allclose(other.log_loss_path_, whole.log_loss_path_, atol=1e-8)


@pytest.mark.parametrize("p", [6, 70])
def test_tasks_that_are_solved_together_are_those_alone(p):
    X, y = table(p=p, n_tasks=5)
    # Fewer labels, and more classes, than the tasks around.
    y[60:, 1] = np.nan
    y[:40, 3] = np.where(np.isnan(y[:40, 3]), np.nan, 2)
    together = SparseHeadsClassifierCV(20, cv=3).fit(X, y)
    for t in range(5):
        alone = SparseHeadsClassifierCV(20, cv=3).fit(X, y[:, t])
        np.testing.assert_allclose(
            together.log_loss_path_[t], alone.log_loss_path_, rtol=1e-6
        )
        assert together.alpha_[t] == pytest.approx(alone.alpha_, rel=1e-12)
        n = len(alone.classes_)
        expected = alone.coef_ if n > 2 else 0.5 * alone.coef_ * [[-1], [1]]
        np.testing.assert_allclose(together.coef_[t, :n], expected, atol=1e-6)


def test_blocks_hold_tasks_of_two_classes_that_fit_in_the_cache():
    def task(n, n_classes=2):
        return np.arange(n), np.arange(n) % n_classes, np.ones(n), 10

    few = [task(100), task(100), task(50, 3), task(100), task(2**18 // 6)]
    assert [len(block) for block in blocks_of_tasks(few, 6)] == [2, 1, 1, 1]
    assert [len(block) for block in blocks_of_tasks(few, 70)] == [1] * 5


def test_tasks_in_parallel_change_nothing():
    X, Y = table(60)
    one = SparseHeadsClassifier(0.05).fit(X, Y)
    with parallel_config(backend="threading"):
        two = SparseHeadsClassifier(0.05, n_jobs=2).fit(X, Y)
    np.testing.assert_array_equal(one.coef_, two.coef_)


@pytest.mark.parametrize("p", [6, 80])
def test_tasks_that_say_little(p):
    X, Y = table(50, p, 5, missing=0.0)
    Y[:, 0] = np.nan
    Y[1:, 1] = np.nan
    Y[:, 2] = 1
    Y[:, 3] = np.nan
    Y[:2, 3] = [0, 1]
    with pytest.warns(UserWarning, match="2 of 5 tasks have a single class"):
        heads = SparseHeadsClassifierCV(5, eps=0.1).fit(X, Y)
    assert np.isnan(heads.coef_[:3]).all()
    assert np.isnan(heads.alpha_[:3]).all()
    predicted = heads.predict(X)
    assert np.isnan(predicted[:, 0]).all()
    assert (predicted[:, 1] == Y[0, 1]).all()
    assert (predicted[:, 2] == 1).all()
    # No fold can be judged: the others have a single class.
    assert np.isnan(heads.log_loss_path_[3]).all()
    assert heads.alpha_[3] == heads.alphas_[3, 0]
    assert not heads.coef_[3].any()
    p = heads.predict_proba(X)
    assert p[0].shape == (50, 0)
    assert (p[2] == 1).all()
    for own in p[1:]:
        np.testing.assert_allclose(own.sum(1), 1.0)
    assert heads.score(X, Y) > 0.5


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


def test_separable_classes_have_finite_heads():
    X, _ = table(40, 80, 1)
    y = (X[:, 0] > 0).astype(int)
    for selection in ("cv", "bic"):
        heads = SparseHeadsClassifierCV(
            6, eps=0.05, cv=2, selection=selection, refit="relaxed"
        )
        assert heads.fit(X, y).score(X, y) > 0.9
        assert np.isfinite(heads.coef_).all()
        assert heads.dual_gap_ <= 1e-8


def test_constant_features_are_not_used():
    X, Y = table(n_tasks=2, n_classes=3)
    X[:, 3] = 0.1
    X[~np.isnan(Y[:, 0]), 4] = 1e5
    heads = clone(SHORT).fit(X, Y)
    assert not heads.coef_[..., 3].any()
    assert not heads.coef_[0, :, 4].any()
    assert np.isfinite(heads.coef_).all()
    constant = clone(SHORT).fit(np.ones((120, 2)), Y)
    assert not constant.coef_.any()
    share = np.bincount(Y[~np.isnan(Y[:, 0]), 0].astype(int))
    p = constant.predict_proba(X[:1, :2])[0][0]
    np.testing.assert_allclose(p, share / share.sum())


@pytest.mark.parametrize("where", ["clusters", "outlier"])
def test_rows_far_from_those_of_a_task_change_nothing(where):
    X, Y = table(60, 5, 2, missing=0.0)
    Y[:30, 0] = np.nan
    far = X.copy()
    far[slice(30) if where == "clusters" else 0, 0] += 1e5
    alone, there = (SparseHeadsClassifier().fit(x, Y) for x in (X, far))
    np.testing.assert_allclose(there.coef_[0], alone.coef_[0], rtol=1e-5, atol=1e-8)


@pytest.fixture(scope="module", params=[6, 80])
def fitted(request):
    """Data and a short path of a task, on few and on many features."""
    X, Y = table(50, request.param, 1)
    return X, Y, clone(SHORT).fit(X, Y)


@pytest.mark.parametrize("unit", [1e-120, 1e-8, 1e8])
def test_units_do_not_matter(fitted, unit):
    X, Y, heads = fitted
    other = clone(SHORT).fit(unit * X, Y)
    np.testing.assert_allclose(unit * other.coef_, heads.coef_, rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(other.alpha_, unit * heads.alpha_, rtol=1e-9)


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


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_relaxed_heads_are_those_of_scikit_learn(n_classes, fit_intercept):
    X, Y = table(n_tasks=2, n_classes=n_classes)
    how = {"fit_intercept": fit_intercept}
    alpha = 0.1 * n_classes
    heads = SparseHeadsClassifier(alpha, refit="relaxed", **how).fit(3 * X, Y)
    lasso = SparseHeadsClassifier(alpha, **how).fit(3 * X, Y)
    for t in range(2):
        at = ~np.isnan(Y[:, t])
        used = np.atleast_2d(lasso.coef_[t]).any(0)
        assert 0 < used.sum() < 6
        model = LogisticRegression(tol=1e-10, max_iter=10**4, **how)
        model.fit(3 * X[at][:, used], Y[at, t])
        coef = np.atleast_2d(heads.coef_[t])
        np.testing.assert_allclose(coef[:, used], model.coef_, rtol=1e-4, atol=1e-6)
        assert not coef[:, ~used].any()
    np.testing.assert_array_equal(heads.dual_gap_, lasso.dual_gap_)
    none = SparseHeadsClassifier(1e3, refit="relaxed", **how).fit(X, Y)
    assert not none.coef_.any()


def test_searches_and_pipelines():
    X, Y = table(60, n_tasks=2, missing=0.0)
    model = make_pipeline(StandardScaler(), SparseHeadsClassifier())
    grid = {"sparseheadsclassifier__alpha": [0.01, 10.0]}
    search = GridSearchCV(model, grid, cv=KFold(2)).fit(X, Y)
    assert search.best_params_ == {"sparseheadsclassifier__alpha": 0.01}


def test_a_gap_above_tol_is_said():
    X, Y = table(n_tasks=2)
    with pytest.warns(ConvergenceWarning, match="of 2 tasks .* above tol=1e-300"):
        SparseHeadsClassifier(0.03, tol=1e-300).fit(X, Y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SparseHeadsClassifier(0.03).fit(X, Y)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_small_penalties_have_certificates_down_to_rounding_errors(n_classes):
    X, Y = table(40, 3, 3, n_classes, missing=0.0)
    heads = SparseHeadsClassifier([1e-8, 3e-9, 1e-9]).fit(X, Y)
    assert heads.dual_gap_.max() <= 1e-8
    with pytest.warns(ConvergenceWarning, match="so small that rounding errors hide"):
        SparseHeadsClassifier(1e-15).fit(X, Y[:, 0])


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (SparseHeadsClassifier([1.0, 2.0]), "alpha must be a positive number, or 4"),
        (SparseHeadsClassifier([1, 1, 1, 0]), "alpha must be a positive number"),
        (SparseHeadsClassifier(list("abcd")), "alpha must be a positive number"),
        (SparseHeadsClassifier(-1.0), "'alpha' parameter"),
        (SparseHeadsClassifier(True), "alpha must be a positive number, .* got True"),
        (SparseHeadsClassifierCV(True), "alphas must be a number of .* got True"),
        (SparseHeadsClassifierCV([0.1, np.inf]), "alphas must be a number of"),
        (SparseHeadsClassifierCV([]), "alphas must be a number of penalties"),
        (SparseHeadsClassifierCV(cv=ShuffleSplit(3)), "cv must hold out each row"),
        (SparseHeadsClassifierCV(cv=StratifiedKFold(3)), "classes of a single class"),
        (
            SparseHeadsClassifierCV(cv=StratifiedGroupKFold(3)),
            "a single classification",
        ),
        (SparseHeadsClassifierCV(cv=GroupKFold(3)), "cv=Group.* 'groups' parameter"),
        (SparseHeadsClassifierCV(cv=[([0], [120])]), "cv must give pairs.* split 0"),
        (SparseHeadsClassifierCV(cv=[1]), "failed to divide the rows"),
        (SparseHeadsClassifierCV(selection="aic"), "'selection' parameter"),
    ],
)
def test_wrong_parameters_are_named(estimator, message):
    X, Y = table()
    with pytest.raises(ValueError, match=message):
        estimator.fit(X, Y)
    assert not hasattr(estimator, "coef_")


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.ones(120), "needs labels of at least two classes in some task"),
        (np.linspace(0, 1, 120), "Unknown label type"),
        (np.full(120, np.nan), "y holds no label at all"),
        (np.where(np.arange(120) > 5, np.inf, 1.0), "infinity"),
        (np.zeros((120, 2, 2)), "y must have shape"),
        (np.arange(100) % 2, "same number of rows, got 120 and 100"),
    ],
)
def test_wrong_labels_are_named(y, message):
    with pytest.raises(ValueError, match=message):
        SparseHeadsClassifier().fit(table()[0], y)


@parametrize_with_checks(
    [SparseHeadsClassifier(0.05), SparseHeadsClassifierCV(2, eps=0.2, cv=2)]
)
def test_scikit_learn_accepts_the_estimators(estimator, check):
    check(estimator)
