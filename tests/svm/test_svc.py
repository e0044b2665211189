"""The group Lasso SVM as a classifier: independent references and limit cases."""

import warnings

import cvxpy as cp
import numpy as np
import pytest
import scipy.sparse as sp
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_breast_cancer, load_iris, make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_selection import SelectFromModel
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from sparsedis.implicit import group_lasso_svm_alpha_max
from sparsedis.svm import GroupLassoSVC


def make_data(n_samples=60, n_features=12, n_classes=3, seed=0):
    return make_classification(
        n_samples,
        n_features,
        n_informative=4,
        n_redundant=2,
        n_classes=n_classes,
        n_clusters_per_class=1,
        class_sep=0.7,
        flip_y=0.1,
        shuffle=False,
        random_state=seed,
    )


# The first shape is solved in the coefficients, the second in the dual variables.
both_shapes = pytest.mark.parametrize("shape", [(60, 12), (40, 60)])


def full(clf):
    """W, (n_features, n_classes), and the intercepts of a fitted classifier."""
    coef, intercept = clf.coef_, np.atleast_1d(clf.intercept_)
    if len(coef) == 1:
        coef = np.concatenate([-coef, coef]) / 2
        intercept = np.concatenate([-intercept, intercept]) / 2
    return coef.T, intercept


def objective(X, y, W, b, alpha, l2, weight=1.0):
    scores = X @ W + b
    labels = np.unique(y, return_inverse=True)[1]
    own = scores[np.arange(len(y)), labels]
    hinge = (scores + 1 - np.eye(W.shape[1])[labels]).max(1) - own
    penalty = alpha * np.linalg.norm(W, axis=1).sum() + l2 / 2 * (W**2).sum()
    return (weight * hinge).sum() + penalty


def assert_same_predictions(y, scores):
    """Equal but for ties: these samples are where the hinge wants them to be."""
    best = np.sort(scores, 1)
    clear = best[:, -1] - best[:, -2] > 1e-3
    assert clear.mean() > 0.85
    assert_array_equal(y[clear], scores.argmax(1)[clear])


def solve_with_cvxpy(X, y, alpha, l2, weight, fit_intercept):
    labels = np.unique(y, return_inverse=True)[1]
    one_hot = np.eye(labels.max() + 1)[labels]
    W = cp.Variable((X.shape[1], one_hot.shape[1]))
    b = cp.Variable(one_hot.shape[1])
    scores = X @ W + np.ones((len(X), 1)) @ cp.reshape(b, (1, len(one_hot.T)), "C")
    hinge = cp.max(scores + 1 - one_hot, axis=1)
    hinge = hinge - cp.sum(cp.multiply(scores, one_hot), axis=1)
    penalty = alpha * cp.sum(cp.norm(W, axis=1)) + l2 / 2 * cp.sum_squares(W)
    constraints = [cp.sum(b) == 0] if fit_intercept else [b == 0]
    problem = cp.Problem(cp.Minimize(weight @ hinge + penalty), constraints)
    accuracy = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), 1e-9)
    problem.solve(solver=cp.CLARABEL, **accuracy)
    return W.value, b.value


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize(("n_classes", "alpha", "l2"), [(2, 0.1, 1.0), (4, 0.3, 0.01)])
@pytest.mark.parametrize("shape", [(70, 12), (30, 50)])
def test_agrees_with_cvxpy(shape, n_classes, alpha, l2, fit_intercept):
    X, y = make_data(*shape, n_classes=n_classes)
    weight = np.random.default_rng(0).uniform(0.5, 2, len(X))
    clf = GroupLassoSVC(alpha=alpha, l2=l2, fit_intercept=fit_intercept)
    clf.fit(X, y, sample_weight=weight)
    W, b = solve_with_cvxpy(X, y, clf.alpha_, l2, weight, fit_intercept)
    expected = objective(X, y, W, b, clf.alpha_, l2, weight)
    assert_allclose(
        objective(X, y, *full(clf), clf.alpha_, l2, weight), expected, rtol=1e-6
    )
    assert_allclose(full(clf)[0], W, atol=1e-4 * np.abs(W).max())
    assert_same_predictions(clf.predict(X), X @ W + b)
    active = np.linalg.norm(W, axis=1) > 1e-5 * np.abs(W).max()
    assert 0 < active.sum() < len(active)
    assert_array_equal(clf.active_features_, np.flatnonzero(active))
    assert clf.dual_gap_ <= clf.tol


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("l2", [0.1, 10.0])
@both_shapes
def test_is_the_svm_of_scikit_learn_without_alpha(shape, n_classes, l2):
    X, y = make_data(*shape, n_classes=n_classes)
    ours = GroupLassoSVC(alpha=0.0, l2=l2, fit_intercept=False).fit(X, y)
    theirs = LinearSVC(
        multi_class="crammer_singer",
        fit_intercept=False,
        C=1 / l2,
        tol=1e-9,
        max_iter=1_000_000,
        random_state=0,
    ).fit(X, y)
    values = [objective(X, y, *full(clf), 0.0, l2) for clf in (ours, theirs)]
    assert_allclose(*values, atol=1e-5)
    assert ours.coef_.shape == theirs.coef_.shape
    assert_allclose(ours.coef_, theirs.coef_, atol=2e-4)
    assert_same_predictions(ours.predict(X), X @ full(theirs)[0])
    assert_allclose(ours.decision_function(X), theirs.decision_function(X), atol=2e-3)
    assert len(ours.active_features_) == X.shape[1]


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("kind", [sp.csr_array, sp.csc_matrix, sp.coo_array])
@both_shapes
def test_sparse_is_dense(shape, kind, fit_intercept):
    X, y = make_data(*shape)
    X[np.abs(X) < 0.7] = 0
    X[:, 3] = 0
    dense = GroupLassoSVC(alpha=0.2, fit_intercept=fit_intercept).fit(X, y)
    sparse = GroupLassoSVC(alpha=0.2, fit_intercept=fit_intercept).fit(kind(X), y)
    assert_allclose(sparse.coef_, dense.coef_, atol=1e-7)
    assert_allclose(sparse.intercept_, dense.intercept_, atol=1e-7)
    scores = sparse.decision_function(kind(X))
    assert_allclose(scores, dense.decision_function(X), atol=1e-6)


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize(
    ("few", "many", "n_features", "n_classes"),
    [
        # As many samples as features, and one less.
        (59, 60, 60, 3),
        # More features than samples, on either side of 1,000 dual variables.
        (200, 201, 220, 6),
    ],
)
def test_the_solution_does_not_depend_on_the_solver(
    few, many, n_features, n_classes, fit_intercept
):
    X, y = make_data(many, n_features, n_classes)
    X, y = X[::-1], y[::-1]
    how = {"alpha": 8.0, "alpha_mode": "absolute", "fit_intercept": fit_intercept}
    without = GroupLassoSVC(**how).fit(X[:few], y[:few])
    # One more sample, whose weight does not change the solution.
    weight = np.ones(many)
    weight[few:] = 1e-9
    with_it = GroupLassoSVC(**how).fit(X, y, sample_weight=weight)
    assert 0 < len(without.active_features_) < n_features
    assert_array_equal(with_it.active_features_, without.active_features_)
    assert_allclose(with_it.coef_, without.coef_, atol=1e-6)
    for clf in (with_it, without):
        assert clf.dual_gap_ <= clf.tol


def test_two_classes_follow_scikit_learn():
    X, y = make_data(n_classes=2)
    clf = GroupLassoSVC().fit(X, np.array(["no", "yes"])[y])
    assert clf.coef_.shape == (1, X.shape[1])
    assert clf.intercept_.shape == (1,)
    scores = clf.decision_function(X)
    assert_allclose(scores, X @ clf.coef_[0] + clf.intercept_)
    assert_array_equal(clf.classes_, ["no", "yes"])
    assert_array_equal(clf.predict(X) == "yes", scores > 0)


def test_several_classes():
    X, y = make_data()
    names = np.array(["ash", "oak", "yew"])
    clf = GroupLassoSVC().fit(X, names[y])
    scores = clf.decision_function(X)
    assert scores.shape == (len(X), 3)
    assert_allclose(scores, X @ clf.coef_.T + clf.intercept_)
    assert_array_equal(clf.predict(X), names[scores.argmax(1)])
    assert_allclose(clf.coef_.sum(0), 0, atol=1e-12)
    assert_allclose(clf.intercept_.sum(), 0, atol=1e-12)
    assert clf.score(X, names[y]) > 0.7


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("n_classes", [2, 4])
@both_shapes
def test_alpha_max(shape, n_classes, fit_intercept):
    X, y = make_data(*shape, n_classes=n_classes)
    weight = np.random.default_rng(0).uniform(0.5, 2, len(X))
    clf = GroupLassoSVC(alpha=1.0, fit_intercept=fit_intercept)
    clf.fit(X, y, sample_weight=weight)
    expected = group_lasso_svm_alpha_max(
        torch.tensor(X),
        torch.tensor(y),
        sample_weight=torch.tensor(weight),
        fit_intercept=fit_intercept,
    )
    assert_allclose(clf.alpha_max_, float(expected), rtol=1e-10)
    assert clf.alpha_ == clf.alpha_max_
    assert not clf.coef_.any()
    assert len(clf.active_features_) == 0
    assert clf.predict(X).shape == y.shape
    absolute = GroupLassoSVC(alpha_mode="absolute", fit_intercept=fit_intercept)
    relative = GroupLassoSVC(alpha=0.25, fit_intercept=fit_intercept)
    relative.fit(X, y, sample_weight=weight)
    absolute.set_params(alpha=0.25 * clf.alpha_max_).fit(X, y, sample_weight=weight)
    assert_allclose(absolute.coef_, relative.coef_, atol=1e-9)


@pytest.mark.parametrize("alpha", [0.0, 0.2])
@both_shapes
def test_an_intercept_takes_over_what_all_samples_share(shape, alpha):
    X, y = make_data(*shape)
    # Sums with the offset are exact.
    X, offset = np.round(32 * X) / 32, 2.0**33
    near = GroupLassoSVC(alpha=alpha).fit(X, y)
    far = GroupLassoSVC(alpha=alpha).fit(X + offset, y)
    assert far.dual_gap_ <= far.tol
    assert_allclose(far.alpha_max_, near.alpha_max_)
    assert_allclose(far.coef_, near.coef_, atol=1e-8)
    # What intercepts of that size are rounded to.
    scores = far.decision_function(X + offset)
    assert_allclose(scores, near.decision_function(X), atol=1e-4)


def test_fewer_features_the_larger_alpha():
    X, y = make_data(200, 30)
    counts = [
        len(GroupLassoSVC(alpha=alpha).fit(X, y).active_features_)
        for alpha in (0.0, 0.05, 0.15, 0.3, 1.0)
    ]
    assert counts[0] == 30
    assert counts[-1] == 0
    assert counts == sorted(counts, reverse=True)
    assert len(set(counts)) == 5


@pytest.mark.parametrize("alpha", [0.0, 0.2])
@pytest.mark.parametrize("shape", [(60, 12), (40, 150)])
def test_weights_count_samples(shape, alpha):
    # Repeated, the samples of the second shape are still fewer than the features.
    X, y = make_data(*shape)
    weight = np.random.default_rng(0).integers(0, 4, len(X))
    weighted = GroupLassoSVC(alpha=alpha).fit(X, y, sample_weight=weight)
    repeated = GroupLassoSVC(alpha=alpha).fit(X.repeat(weight, 0), y.repeat(weight))
    assert_allclose(weighted.alpha_, repeated.alpha_)
    assert_allclose(weighted.coef_, repeated.coef_, atol=1e-6)
    assert_allclose(weighted.intercept_, repeated.intercept_, atol=1e-6)


def test_weights_of_zero_remove_samples():
    X, y = make_data()
    clf = GroupLassoSVC().fit(X, y, sample_weight=(y != 1).astype(float))
    without = GroupLassoSVC().fit(X[y != 1], y[y != 1])
    assert_array_equal(clf.classes_, [0, 2])
    assert_array_equal(clf.coef_, without.coef_)
    assert_array_equal(clf.intercept_, without.intercept_)


@pytest.mark.parametrize("class_weight", ["balanced", {0: 2.0, 2: 0.5}])
def test_class_weights_multiply_those_of_samples(class_weight):
    X, y = make_data()
    X, y = X[10:], y[10:]
    sample_weight = np.random.default_rng(0).uniform(0.5, 2, len(X))
    factor = np.array([2.0, 1.0, 0.5])
    if class_weight == "balanced":
        sizes = np.bincount(y, weights=sample_weight)
        factor = sizes.sum() / (3 * sizes)
    ours = GroupLassoSVC(class_weight=class_weight).fit(X, y, sample_weight)
    by_hand = GroupLassoSVC().fit(X, y, sample_weight * factor[y])
    assert_allclose(ours.coef_, by_hand.coef_, atol=1e-10)


def test_steps_that_stall_go_on_in_the_dual_variables():
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    # Steps in the coefficients stop with a gap of 5e-4 on these rows.
    train, _ = list(StratifiedKFold(5).split(X, y))[2]
    clf = GroupLassoSVC(alpha=0.6158482110660264).fit(X[train], y[train])
    assert clf.dual_gap_ <= 1e-8
    W, b = solve_with_cvxpy(X[train], y[train], clf.alpha_, 1.0, np.ones(455), True)
    values = [
        objective(X[train], y[train], *solution, clf.alpha_, 1.0)
        for solution in (full(clf), (W, b))
    ]
    assert_allclose(*values, rtol=1e-6)


def test_selects_features():
    X, y = make_data(150, 40)
    selector = SelectFromModel(GroupLassoSVC(alpha=0.5)).fit(X, y)
    clf = selector.estimator_
    assert 0 < len(clf.active_features_) < 10
    assert_array_equal(selector.get_support(indices=True), clf.active_features_)
    assert selector.transform(X).shape == (150, len(clf.active_features_))


def test_is_searched_in_a_pipeline():
    X, y = load_iris(return_X_y=True, as_frame=True)
    grid = {"grouplassosvc__alpha": [1.0, 0.1], "grouplassosvc__l2": [0.1, 10.0]}
    model = make_pipeline(StandardScaler(), GroupLassoSVC())
    search = GridSearchCV(model, grid, cv=3).fit(X, y)
    assert search.best_params_["grouplassosvc__alpha"] < 1
    assert search.best_score_ > 0.94
    assert search.predict(X[:3]).shape == (3,)


@pytest.mark.parametrize(("shape", "max_iter"), [((200, 30), 8), ((40, 60), 4)])
def test_an_early_stop_warns_and_has_a_valid_gap(shape, max_iter):
    X, y = make_data(*shape)
    exact = GroupLassoSVC(alpha=0.1).fit(X, y)
    clf = GroupLassoSVC(alpha=0.1, max_iter=max_iter)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        clf.fit(X, y)
    assert [w.category for w in caught] == [ConvergenceWarning]
    assert "relative duality gap" in str(caught[0].message)
    assert clf.n_iter_ == max_iter
    values = [objective(X, y, *full(c), exact.alpha_, 1.0) for c in (clf, exact)]
    assert clf.tol < (values[0] - values[1]) / len(y) <= clf.dual_gap_


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"alpha": -0.1}, "alpha"),
        ({"alpha": 1.5}, "alpha=1.5 must be a fraction between 0 and 1"),
        ({"alpha": np.nan}, "alpha"),
        ({"alpha": np.inf, "alpha_mode": "absolute"}, "alpha"),
        ({"l2": 0.0}, "l2"),
        ({"l2": -1.0}, "l2"),
        ({"alpha_mode": "share"}, "alpha_mode"),
        ({"tol": 0.0}, "tol"),
        ({"max_iter": 0}, "max_iter"),
        ({"class_weight": "even"}, "class_weight"),
        ({"class_weight": {0: 0.0}}, "must be positive and finite"),
        ({"class_weight": {0: -1.0}}, "must be positive and finite"),
        ({"class_weight": {7: 2.0, 8: 1.0, 9: 1.0}}, "not in class_weight"),
    ],
)
def test_bad_parameters(params, message):
    X, y = make_data()
    with pytest.raises(ValueError, match=message):
        GroupLassoSVC(**params).fit(X, y)


@pytest.mark.parametrize(
    ("X", "y", "weight", "message"),
    [
        ([[1.0], [np.nan]], [0, 1], None, "NaN"),
        ([[1.0], [np.inf]], [0, 1], None, "infinity"),
        ([[1e200], [2e200]], [0, 1], None, "X has values up to 2.0e.200"),
        ([[1.0], [2.0]], [0, 0], None, "at least 2 classes .* got 1 class: 0"),
        ([[1.0], [2.0]], [0, 1], [1.0, 0.0], "positive weights; got 1 class"),
        ([[1.0], [2.0]], [0, 1], [1.0, -1.0], "[Nn]egative"),
        ([[1.0], [2.0]], [0.1, 0.7], None, "Unknown label type: continuous"),
        ([[1.0], [2.0]], [0, 1, 1], None, "inconsistent numbers of samples"),
        ([[1.0], [2.0]], None, None, "y to be passed"),
    ],
)
def test_bad_data(X, y, weight, message):
    with pytest.raises(ValueError, match=message):
        GroupLassoSVC().fit(np.array(X), y, sample_weight=weight)


def test_sample_weights_that_overflow():
    X, y = np.eye(4), [0, 0, 1, 1]
    with pytest.raises(ValueError, match=r"sample_weight up to 1\.0e\+200"):
        GroupLassoSVC().fit(X, y, np.full(4, 1e200))


def test_sample_weights_that_vanish():
    X, y = make_data()
    message = r"sample_weight has values up to 1\.0e-200"
    with pytest.raises(ValueError, match=message):
        GroupLassoSVC().fit(X, y, sample_weight=np.full(len(y), 1e-200))
