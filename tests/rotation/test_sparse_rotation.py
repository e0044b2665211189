"""The transformer: scikit-learn's checks, factors of given features, and bad input."""

import pickle
import re
import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import linear_sum_assignment
from sklearn import config_context
from sklearn.base import is_classifier, is_regressor
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from sparsedis.metrics import mean_correlation_coefficient
from sparsedis.rotation import SparseRotation


# One task, and random targets, show no factor.
@pytest.mark.filterwarnings("ignore:y holds one task:UserWarning")
@pytest.mark.filterwarnings("ignore:No factors were found:UserWarning")
@pytest.mark.filterwarnings("ignore:n_components=3 is more:UserWarning")
@pytest.mark.filterwarnings("ignore:.* may not be factors:UserWarning")
@parametrize_with_checks(
    [
        SparseRotation(),
        SparseRotation(n_components=3, selection="1se"),
        SparseRotation(task_type="classification"),
    ],
    xfail_strict=True,
)
def test_scikit_learn_accepts_the_estimator(estimator, check):
    check(estimator)


def make_tasks(n=300, p=8, k=4, T=120, noise=0.05, *, rho=0.5, seed=0):
    """Features, targets and factors; noise is its share of the variance."""
    rng = np.random.default_rng(seed)
    F = rng.standard_normal((n, k)) * np.sqrt(1 - rho)
    F += np.sqrt(rho) * rng.standard_normal((n, 1))
    W = rng.standard_normal((k, T)) * (rng.random((k, T)) < 0.4)
    W[rng.integers(k, size=T), np.arange(T)] = 1
    Y = F @ W
    Y = Y / Y.std(0) * np.sqrt(1 - noise)
    Y = Y + np.sqrt(noise) * rng.standard_normal(Y.shape)
    Z = F @ rng.standard_normal((k, p)) + 0.1 * rng.standard_normal((n, p))
    return Z, Y, F, W


@pytest.fixture(scope="module")
def fitted():
    Z, Y, F, W = make_tasks()
    return SparseRotation(random_state=0).fit(Z, Y), Z, Y, F, W


def test_finds_the_factors_and_their_tasks(fitted):
    est, Z, _, F, W = fitted
    found = est.transform(Z)
    assert est.n_components_ == est.count_.n_factors == 4
    assert_allclose(found.std(0), 1)
    assert_allclose(found, (Z - est.mean_) @ est.components_.T)
    assert mean_correlation_coefficient(F, found) > 0.98
    _, match = linear_sum_assignment(-np.abs(np.corrcoef(F.T, found.T)[:4, 4:]))
    assert (est.support_[:, match] == (W.T != 0)).mean() > 0.9
    assert_array_equal(est.heads_ != 0, est.support_)
    assert est.heads_.shape == est.support_.shape == (120, 4)


@pytest.mark.parametrize("task_type", ["regression", "classification"])
def test_units_of_features_do_not_matter(task_type):
    rng = np.random.default_rng(0)
    F = rng.standard_normal((300, 4))
    heads = rng.standard_normal((4, 30)) * (rng.random((4, 30)) < 0.5)
    Y = F @ heads + 0.1 * rng.standard_normal((300, 30))
    # Such as pressures in pascal beside lengths in metres.
    Z = F @ np.linalg.qr(rng.standard_normal((4, 4)))[0] * [1e-6, 1, 1e5, 1e-3]
    est = SparseRotation(task_type=task_type, random_state=0)
    est.fit(Z, Y if task_type == "regression" else Y > 0)
    assert est.n_components_ == 4
    assert mean_correlation_coefficient(F, est.transform(Z)) > 0.95


def test_features_that_vary_like_rounding_errors_are_named():
    rng = np.random.default_rng(0)
    F = rng.standard_normal((100, 2))
    Y = F @ rng.standard_normal((2, 20))
    # Constant ones are no loss.
    Z = np.column_stack([1e12 * F[:, 0], np.full(100, 0.1), 1e-12 * F[:, 1]])
    with pytest.warns(UserWarning, match=r"1 features vary by less .*\(\[2\]\)"):
        SparseRotation(random_state=0).fit(Z, Y)


@pytest.mark.filterwarnings("ignore:.* of 40 tasks:UserWarning")
@pytest.mark.filterwarnings("ignore:No factors were found:UserWarning")
@pytest.mark.parametrize("n", [2, 3, 4])
def test_few_rows_of_classes(n):
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((n, 5))
    est = SparseRotation(task_type="classification", random_state=0)
    est.fit(Z, Z @ rng.standard_normal((5, 40)) > 0)
    assert np.isfinite(est.transform(Z)).all()


def test_predictions_are_least_squares_on_the_support(fitted):
    est, Z, Y, _, _ = fitted
    found = est.transform(Z)
    prediction = est.predict(Z)
    for t in range(0, 120, 7):
        on = est.support_[t]
        model = LinearRegression().fit(found[:, on], Y[:, t])
        assert_allclose(prediction[:, t], model.predict(found[:, on]), rtol=1e-6)
    assert_allclose(est.score(Z, Y), r2_score(Y, prediction))
    weight = np.random.default_rng(0).uniform(0, 2, len(Z))
    expected = r2_score(Y, prediction, sample_weight=weight)
    assert_allclose(est.score(Z, Y, weight), expected)


def test_frames_name_tasks_and_features(fitted):
    est, Z, Y, _, _ = fitted
    X = pd.DataFrame(Z, columns=list("abcdefgh"))
    targets = pd.DataFrame(Y, columns=[f"task {t}" for t in range(120)])
    other = SparseRotation(random_state=0).fit(X, targets)
    assert_array_equal(other.tasks_, targets.columns)
    assert_array_equal(other.feature_names_in_, X.columns)
    assert_allclose(other.components_, est.components_)
    frame = other.set_output(transform="pandas").transform(X)
    assert list(frame) == [f"sparserotation{i}" for i in range(4)]
    assert_allclose(other.predict(X), est.predict(Z))


@pytest.mark.parametrize("task_type", ["regression", "classification"])
def test_named_targets_are_judged_by_their_names(task_type):
    Z, Y, _, _ = make_tasks(noise=0.02, rho=0.3)
    Y = pd.DataFrame(Y if task_type == "regression" else Y > 0).add_prefix("task ")
    est = SparseRotation(4, task_type=task_type, random_state=0).fit(Z, Y)
    expected = est.score(Z, Y.to_numpy())
    assert expected > 0.8
    assert est.score(Z, Y) == expected
    order = np.random.default_rng(0).permutation(120)
    assert_allclose(est.score(Z, Y.iloc[:, order]), expected)
    # Each task by itself, and together with one that was not there.
    alone = [est.score(Z, Y.iloc[:, [t]]) for t in range(120)]
    assert_allclose(np.mean(alone), expected)
    other = Y[["task 7"]].assign(new=Y["task 7"])
    with pytest.warns(UserWarning, match=r"1 tasks of y, such as \['new'\]") as caught:
        assert est.score(Z, other) == alone[7]
    assert caught[0].filename == __file__
    with pytest.raises(ValueError, match=r"such as \['new'\], none of which was seen"):
        est.score(Z, other[["new"]])
    # A fit without names takes columns as they come.
    unnamed = SparseRotation(4, task_type=task_type, random_state=0)
    assert unnamed.fit(Z, Y.to_numpy()).score(Z, Y) == expected


def test_classes_of_any_kind():
    Z, Y, F, _ = make_tasks(n=600, noise=0.02, rho=0.3)
    labels = np.where(Y > 0, "high", "low").astype(object)
    labels[:, 0] = np.where(Y[:, 0] > 1, "top", labels[:, 0])
    labels[np.random.default_rng(0).random(Y.shape) < 0.2] = None
    est = SparseRotation(task_type="classification", random_state=0).fit(Z, labels)
    assert est.n_components_ == 4
    assert mean_correlation_coefficient(F, est.transform(Z)) > 0.97
    assert est.heads_.shape == (120, 3, 4)
    assert_array_equal(est.classes_[0], ["high", "low", "top"])
    prediction = est.predict(Z)
    known = labels != None  # noqa: E711
    right = [(prediction == labels)[known[:, t], t].mean() for t in range(120)]
    assert_allclose(est.score(Z, labels), np.mean(right))
    assert est.score(Z, labels) > 0.85
    assert is_classifier(est)
    assert is_regressor(SparseRotation())


def test_labels_that_floats_cannot_tell_apart():
    Z, Y, _, _ = make_tasks(noise=0.02, rho=0.3)
    labels = np.full((300, 121), None, dtype=object)
    labels[:, :-1] = (Y > 0) + 2**60
    est = SparseRotation(task_type="classification", random_state=0)
    with pytest.warns(UserWarning, match=r"1 of 121 tasks .* no label"):
        est.fit(Z, labels)
    small = SparseRotation(task_type="classification", random_state=0).fit(Z, Y > 0)
    predicted = est.predict(Z)
    assert_array_equal(predicted[:, :-1] - 2**60, small.predict(Z))
    assert set(predicted[:, -1]) == {None}
    assert est.score(Z, labels) == small.score(Z, Y > 0) > 0.85


def test_parameters_count_from_the_next_fit():
    Z, Y, _, _ = make_tasks(noise=0.02, rho=0.3)
    for y, other in ((Y, "classification"), (Y > 0, "regression")):
        task_type = "regression" if y is Y else "classification"
        est = SparseRotation(task_type=task_type, random_state=0).fit(Z, y)
        before = est.transform(Z), est.predict(Z), est.score(Z, y)
        est.set_params(task_type=other, n_components=1, selection="cv")
        after = est.transform(Z), est.predict(Z), est.score(Z, y)
        for was, now in zip(before, after, strict=True):
            assert_array_equal(now, was)
        assert is_classifier(est) == (other == "classification")


def test_gaps_and_vectors():
    Z, Y, F, _ = make_tasks()
    Y[np.random.default_rng(0).random(Y.shape) < 0.5] = np.nan
    est = SparseRotation(random_state=0).fit(Z, Y)
    assert mean_correlation_coefficient(F, est.transform(Z)) > 0.97
    Z, Y, F, _ = make_tasks(k=2)
    est = SparseRotation(2, random_state=0).fit(Z, Y.reshape(300, 60, 2))
    assert est.heads_.shape == (60, 2, 2)
    assert est.support_.shape == (60, 2)
    assert est.predict(Z).shape == (300, 60, 2)


def test_many_features():
    Z, Y, F, _ = make_tasks(n=400, p=500, k=3, T=60, noise=0.2, rho=0.3)
    Z[:, 0] = 1.0
    train, test = slice(0, 300), slice(300, 400)
    est = SparseRotation(random_state=0).fit(Z[train], Y[train])
    assert est.n_components_ == 3
    assert mean_correlation_coefficient(F[test], est.transform(Z[test])) > 0.97
    assert est.score(Z[test], Y[test]) > 0.75
    Y[np.random.default_rng(0).random(Y.shape) < 0.5] = np.nan
    est = SparseRotation(random_state=0).fit(Z[train], Y[train])
    assert est.n_components_ == 3
    assert mean_correlation_coefficient(F[test], est.transform(Z[test])) > 0.97


@pytest.mark.filterwarnings("ignore:No factors were found:UserWarning")
def test_many_features_of_noise_hold_no_factor():
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((200, 300))
    est = SparseRotation(random_state=0).fit(Z, rng.standard_normal((200, 30)))
    assert est.count_.n_factors == 0


@pytest.mark.filterwarnings("ignore:.* may not be factors:UserWarning")
def test_pipelines_searches_and_routing(fitted):
    _, Z, Y, _, _ = fitted
    pipeline = make_pipeline(StandardScaler(), SparseRotation(2, random_state=0))
    search = GridSearchCV(pipeline, {"sparserotation__n_components": [1, 2]}, cv=2)
    search.fit(Z, Y[:, :15])
    assert search.best_params_["sparserotation__n_components"] == 2
    weight = np.ones(300)
    weight[200:] = 0
    with config_context(enable_metadata_routing=True):
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        est = SparseRotation(2, random_state=0).set_fit_request(sample_weight=True)
        routed = make_pipeline(scaler, est).fit(Z, Y[:, :15], sample_weight=weight)
    mean = routed[0].transform(Z[:200]).mean(0)
    assert_allclose(routed[1].mean_, mean, atol=1e-12)
    copy = pickle.loads(pickle.dumps(routed))
    assert_array_equal(copy.transform(Z), routed.transform(Z))


def test_precision_of_factors_follows_the_input(fitted):
    est, Z, _, _, _ = fitted
    assert est.transform(Z.astype(np.float32)).dtype == np.float32
    # Targets may be large beside what the factors add to them.
    assert est.predict(Z.astype(np.float32)).dtype == np.float64


@pytest.mark.parametrize(
    ("change", "warning"),
    [
        (lambda Z, Y: (Z, Y[:, 0]), "y holds one task"),
        (
            lambda Z, Y: (Z, Y[:, :2]),
            "n_components=6 is more than .* n_components_ is 2",
        ),
        (lambda Z, Y: (Z, Y[:, [0, 0, 0]]), "n_components_ is 1"),
        (lambda Z, Y: (Z, 0 * Y), "No factors were found"),
        (lambda Z, Y: (Z[:6], Y[:6]), "n_components_ is"),
        (lambda Z, Y: (0 * Z, Y), "only constant features"),
        (lambda Z, Y: (0 * np.tile(Z, 20), Y), "only constant features"),
        (
            lambda Z, Y: (Z, np.where(np.arange(120) < 2, np.nan, Y)),
            r"2 of 120 .* \(0, 1",
        ),
        (lambda Z, Y: (np.c_[Z, Z, np.ones(300)], Y[:, :9]), "may not be factors"),
    ],
)
def test_poor_input_is_warned_of_and_finite(change, warning):
    Z, Y, _, _ = make_tasks()
    Z, Y = change(Z, Y)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        est = SparseRotation(6, random_state=0).fit(Z, Y)
    assert any(re.search(warning, str(w.message)) for w in caught)
    assert {w.category for w in caught} == {UserWarning}
    assert np.isfinite(est.components_).all()
    assert np.isfinite(est.stability_).all()
    assert np.isfinite(est.transform(Z)).all()
    labelled = ~np.isnan(Y.reshape(len(Y), -1)).all(0)
    assert_array_equal(np.isfinite(est.heads_).all(1), labelled)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_components": 0}, "'n_components' .* Got 0"),
        ({"selection": "aic"}, "'selection' .* Got 'aic'"),
        ({"task_type": "classes"}, "'task_type' .* Got 'classes'"),
    ],
)
def test_bad_parameters(options, message):
    with pytest.raises(ValueError, match=message):
        SparseRotation(**options).fit(*make_tasks()[:2])


def test_bad_targets(fitted):
    est, Z, Y, _, _ = fitted
    with pytest.raises(ValueError, match=r"must hold real numbers, got 'a'\."):
        SparseRotation().fit(Z, np.full((300, 2), "a"))
    with pytest.raises(ValueError, match="only the class 1"):
        SparseRotation(task_type="classification").fit(Z, np.ones((300, 2), int))
    with pytest.raises(ValueError, match=r"shape \(300, 120\), .* got 3 columns"):
        est.score(Z, Y[:, :3])
    with pytest.raises(ValueError, match="at least two samples"):
        est.score(Z[:1], Y[:1])


@pytest.mark.filterwarnings(
    "ignore:(y holds one task|No factors|n_components=|.* may not be):UserWarning"
)
@pytest.mark.parametrize("seed", range(26))
def test_few_odd_tasks_give_finite_factors_and_heads(seed):
    rng = np.random.default_rng(seed)
    T, k, n, p = (
        int(rng.integers(*ends)) for ends in ((1, 6), (1, 7), (5, 60), (1, 7))
    )
    Z = rng.standard_normal((n, p))
    Y = Z @ (rng.standard_normal((p, T)) * (rng.random((p, T)) < 0.5))
    Y += rng.choice([0, 0.1]) * rng.standard_normal((n, T))
    if rng.random() < 0.5:
        Y[:, 0] = 1.0
    if rng.random() < 0.3:
        Y[:, -1] = Y[:, 0]
    if rng.random() < 0.3:
        Y[1:][rng.random((n - 1, T)) < 0.5] = np.nan
    for n_components in (k, "auto"):
        est = SparseRotation(n_components, random_state=0).fit(Z, Y)
        assert np.isfinite(est.transform(Z)).all()
        assert np.isfinite(est.heads_).all()
        assert ((est.stability_ >= 0) & (est.stability_ <= 1 + 1e-9)).all()


@pytest.mark.filterwarnings("ignore:.* may not be factors:UserWarning")
def test_a_fit_that_is_refused_leaves_the_earlier_one(fitted):
    _, Z, Y, _, _ = fitted
    est = SparseRotation(2, random_state=0).fit(Z, Y[:, :10])
    before = est.transform(Z)
    with pytest.raises(ValueError, match=r"X holds .* masked entries"):
        est.fit(np.ma.masked_greater(Z[:, :3], 1), Y)
    with pytest.raises(ValueError, match="inf"):
        est.fit(Z[:, :3], np.full((len(Z), 2), np.inf))
    assert_array_equal(est.transform(Z), before)


def test_constant_targets_are_told_from_constant_features():
    Z = np.random.default_rng(0).standard_normal((11, 6))
    for X, message in ((Z, "X predicts no target"), (Z * 0, "X has only constant")):
        with pytest.warns(UserWarning, match=message):
            SparseRotation(random_state=0).fit(X, np.ones(11))
