"""Group Lasso SVM with a chosen penalty: against searches over given ones."""

import numpy as np
import pytest
import scipy.sparse as sp
from joblib import parallel_config
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    StratifiedKFold,
)

from sparsedis.svm import GroupLassoSVC, GroupLassoSVCCV


def make_data(n_samples=40, n_features=60, n_classes=3, seed=0):
    return make_classification(
        n_samples,
        n_features,
        n_informative=4,
        n_redundant=0,
        n_classes=n_classes,
        n_clusters_per_class=1,
        class_sep=0.7,
        flip_y=0.1,
        shuffle=False,
        random_state=seed,
    )


def size(clf, X, y):
    """Score that shows the coefficients and intercepts."""
    return np.abs(clf.coef_).sum() + 0.1 * np.abs(clf.intercept_).sum()


@pytest.mark.parametrize(
    ("shape", "fit_intercept", "scoring"),
    [
        ((40, 60), True, None),
        ((40, 60), False, "f1_macro"),
        ((40, 60), True, size),
        ((30, 6), True, size),
        ((30, 6), False, size),
    ],
)
def test_the_choice_is_that_of_a_search(shape, fit_intercept, scoring):
    X, y = make_data(*shape)
    alphas = [0.1, 0.6, 0.3]
    how = {"l2": 0.5, "fit_intercept": fit_intercept, "class_weight": "balanced"}
    clf = GroupLassoSVCCV(alphas, cv=2, scoring=scoring, **how).fit(X, y)
    grid = {"alpha": sorted(alphas)[::-1]}
    search = GridSearchCV(GroupLassoSVC(**how), grid, cv=2, scoring=scoring).fit(X, y)
    for f in range(2):
        expected = search.cv_results_[f"split{f}_test_score"]
        assert_allclose(clf.score_path_[:, f], expected, rtol=1e-5)
    best = search.best_estimator_
    assert clf.alpha_ == pytest.approx(best.alpha_, rel=1e-12)
    assert_allclose(clf.alphas_, np.array([0.6, 0.3, 0.1]) * best.alpha_max_)
    assert_allclose(clf.coef_, best.coef_, atol=1e-6)
    assert_allclose(clf.decision_function(X), best.decision_function(X), atol=1e-5)
    assert_array_equal(clf.active_features_, best.active_features_)
    assert clf.dual_gap_ <= 1e-8


@pytest.mark.parametrize("mode", ["relative", "absolute"])
def test_a_number_of_penalties_ends_at_eps(mode):
    X, y = make_data()
    how = {"cv": 2, "alpha_mode": mode, "scoring": size}
    clf = GroupLassoSVCCV(4, eps=0.1, **how).fit(X, y)
    grid = np.logspace(0, -1, 4)
    assert_allclose(clf.alphas_, grid * clf.alpha_max_)
    if mode == "absolute":
        grid = clf.alphas_
    given = GroupLassoSVCCV(grid, **how).fit(X, y)
    assert_allclose(clf.score_path_, given.score_path_)
    # The penalties of a fold are fractions of its own largest one, or the same.
    train, _ = next(StratifiedKFold(2).split(X, y))
    one = GroupLassoSVC(grid[2], alpha_mode=mode).fit(X[train], y[train])
    assert clf.score_path_[2, 0] == pytest.approx(size(one, X, y), rel=1e-6)


@pytest.mark.parametrize(
    ("name", "shape"),
    [("_BLOCK", (40, 60)), ("_MAX_DUAL", (30, 40)), ("_MAX_BATCHED", (30, 6))],
)
def test_batches_and_solvers_change_nothing(monkeypatch, shape, name):
    X, y = make_data(*shape)
    model = GroupLassoSVCCV([0.5, 0.2], cv=2, scoring=size)
    batched = clone(model).fit(X, y)
    monkeypatch.setattr(f"sparsedis.svm._problem.{name}", 1)
    with parallel_config("threading"):
        other = clone(model).set_params(n_jobs=2).fit(X, y)
    assert_allclose(other.score_path_, batched.score_path_, rtol=1e-6)
    assert_allclose(other.coef_, batched.coef_, atol=1e-7)


def test_weights_count_samples_in_fits_and_scores():
    X, y = make_data()
    weight = np.random.default_rng(0).integers(0, 3, 40).astype(float)
    clf = GroupLassoSVCCV([0.5, 0.2], cv=KFold(2, shuffle=True, random_state=0))
    clf.fit(X, y, sample_weight=weight)
    for f, (train, test) in enumerate(clf.cv.split(X)):
        for i, alpha in enumerate((0.5, 0.2)):
            one = GroupLassoSVC(alpha).fit(X[train], y[train], weight[train])
            score = one.score(X[test], y[test], weight[test])
            assert clf.score_path_[i, f] == pytest.approx(score)


def test_groups_stay_together():
    X, y = make_data()
    groups = np.random.default_rng(0).integers(0, 6, 40)
    model = GroupLassoSVCCV([0.5, 0.2], scoring=size)
    clf = clone(model).set_params(cv=GroupKFold(2)).fit(X, y, groups=groups)
    splits = list(GroupKFold(2).split(X, y, groups))
    explicit = model.set_params(cv=splits).fit(X, y)
    assert_array_equal(clf.score_path_, explicit.score_path_)


def test_a_rank_is_scored_for_two_classes():
    X, y = make_data(n_classes=2)
    names = np.array(["no", "yes"])[y]
    how = {"alphas": [0.5, 0.2], "cv": 2, "scoring": "roc_auc"}
    clf = GroupLassoSVCCV(**how).fit(X, names)
    grid = {"alpha": [0.5, 0.2]}
    search = GridSearchCV(GroupLassoSVC(), grid, cv=2, scoring="roc_auc").fit(X, y)
    mean = search.cv_results_["mean_test_score"]
    assert_allclose(clf.score_path_.mean(1), mean)
    assert clf.coef_.shape == (1, 60)
    assert_array_equal(clf.classes_, ["no", "yes"])


@pytest.mark.parametrize("kind", [sp.csr_array, sp.csc_matrix])
def test_sparse_is_dense(kind):
    X, y = make_data()
    X[np.abs(X) < 0.7] = 0
    model = GroupLassoSVCCV([0.5, 0.2], cv=2, scoring=size)
    dense, sparse = clone(model).fit(X, y), clone(model).fit(kind(X), y)
    assert_allclose(sparse.score_path_, dense.score_path_, rtol=1e-6)
    assert_allclose(sparse.coef_, dense.coef_, atol=1e-7)


def test_folds_and_scores_that_are_missing():
    X, y = make_data(n_classes=2)
    with pytest.raises(ValueError, match=r"cv=\[\] must yield at least one fold"):
        GroupLassoSVCCV(cv=[]).fit(X, y)
    with pytest.raises(ValueError, match=r"scoring=.* must not be NaN"):
        GroupLassoSVCCV([0.5], scoring=lambda *_: np.nan).fit(X, y)


def test_folds_that_say_nothing_do_not_count():
    X, y = make_data(n_classes=2)
    order = np.argsort(y, kind="stable")
    X, y = X[order], y[order]
    rows = np.arange(40)
    # Others have one class, or nothing is judged.
    empty = [(rows[y == 0], rows[y == 1]), (rows, rows[:0])]
    splits = [*empty, (rows[::2], rows[1::2])]
    clf = GroupLassoSVCCV([0.5, 0.2], cv=splits).fit(X, y)
    assert np.isnan(clf.score_path_[:, :2]).all()
    assert np.isfinite(clf.score_path_[:, 2]).all()
    assert clf.alpha_ == clf.alphas_[clf.score_path_[:, 2].argmax()]
    with pytest.raises(ValueError, match="must leave samples of at least two classes"):
        GroupLassoSVCCV([0.5], cv=empty).fit(X, y)


def test_folds_may_lack_a_class():
    X, y = make_data()
    weights = {0: 1.0, 1: 2.0, 2: 0.5}
    rare = (y == 2).nonzero()[0]
    train = np.setdiff1d(np.arange(40)[::2], rare)
    test = np.setdiff1d(np.arange(40), train)
    model = GroupLassoSVCCV([0.5, 0.2], cv=[(train, test)], class_weight=weights)
    clf = model.fit(X, y)
    for i, alpha in enumerate((0.5, 0.2)):
        one = GroupLassoSVC(alpha, class_weight={0: 1.0, 1: 2.0})
        score = one.fit(X[train], y[train]).score(X[test], y[test])
        assert clf.score_path_[i, 0] == pytest.approx(score)


def test_the_largest_of_equal_penalties_is_chosen():
    X, y = make_data()
    clf = GroupLassoSVCCV(3, cv=2, scoring=lambda *_: 1.0).fit(X, y)
    assert clf.alpha_ == clf.alphas_[0] == clf.alpha_max_
    assert clf.active_features_.size == 0


def test_an_early_stop_of_a_fold_warns_once():
    X, y = make_data()
    clf = GroupLassoSVCCV([0.5, 0.2], cv=2, max_iter=1)
    with pytest.warns(ConvergenceWarning, match="above tol=1e-08") as caught:
        clf.fit(X, y)
    assert len(caught) == 1
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"alphas": 0}, "'alphas' parameter"),
        ({"alphas": True}, "alphas must be a number of penalties.* got True"),
        ({"alphas": []}, "alphas must be a number of penalties"),
        ({"alphas": [0.5, 0.0]}, "alphas must be a number of penalties"),
        ({"alphas": [2.0]}, r"fractions of at most 1 with alpha_mode='relative'"),
        ({"alphas": [np.inf], "alpha_mode": "absolute"}, "finite penalties"),
        ({"alphas": list("ab")}, "alphas must be a number of penalties"),
        ({"eps": 1.0}, "'eps' parameter"),
        ({"cv": 1}, "'cv' parameter"),
        ({"cv": GroupKFold(2)}, "'groups' parameter"),
        ({"scoring": "loss"}, "'scoring' parameter"),
        ({"l2": 0.0}, "'l2' parameter"),
    ],
)
def test_wrong_parameters_are_named(params, message):
    X, y = make_data()
    with pytest.raises(ValueError, match=message):
        GroupLassoSVCCV(**params).fit(X, y)


def test_a_single_class_is_refused():
    with pytest.raises(ValueError, match=r"at least 2 classes .* got 1 class"):
        GroupLassoSVCCV().fit(make_data()[0], np.zeros(40))
