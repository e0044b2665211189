"""Few-shot classifiers: heads of new tasks on a learned representation."""

import pickle

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import NearestCentroid
from sklearn.preprocessing import LabelBinarizer
from sklearn.svm import LinearSVC

from sparsedis.meta_learning import FewShotClassifier
from tests.meta_learning._learners import HEADS, identity, quick


@pytest.mark.parametrize("labels", ["abcd", [7, -2, 5, 0], [True, False]])
def test_adapt_takes_any_labels_and_unequal_shots(data, labels):
    X, y = data
    support = np.concatenate([np.arange(3 + c) + 12 * c for c in range(len(labels))])
    names = np.array(list(labels))[support // 12]
    clf = identity(alpha=0.0, l2=0.5).fit(X, y).adapt(X[support], names)
    assert isinstance(clf, FewShotClassifier)
    np.testing.assert_array_equal(clf.classes_, np.unique(names))
    prediction = clf.predict(X[: 12 * len(labels)])
    assert prediction.dtype == names.dtype
    if len(labels) > 2:
        reference = LinearSVC(
            multi_class="crammer_singer",
            fit_intercept=False,
            C=2.0,
            tol=1e-10,
            max_iter=1_000_000,
        ).fit(X[support], names)
        np.testing.assert_allclose(clf.coef_, reference.coef_, atol=1e-4)
        np.testing.assert_array_equal(
            prediction, reference.predict(X[: 12 * len(labels)])
        )


def test_adapt_with_other_heads(data):
    X, y = data
    ridge = identity(head="ridge", l2=0.5).fit(X, y).adapt(X[:48], y[:48])
    one_hot = LabelBinarizer().fit_transform(y[:48])
    reference = Ridge(alpha=0.5, fit_intercept=False).fit(X[:48], one_hot)
    np.testing.assert_allclose(ridge.coef_, reference.coef_, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(ridge.intercept_, np.zeros(4))
    best = ridge.classes_[reference.predict(X).argmax(1)]
    np.testing.assert_array_equal(ridge.predict(X), best)
    prototypes = identity(head="prototypes").fit(X, y).adapt(X[:48], y[:48])
    np.testing.assert_array_equal(
        prototypes.predict(X), NearestCentroid().fit(X[:48], y[:48]).predict(X)
    )


def test_probabilities_are_those_of_the_scaled_scores(data, fitted):
    X, y = data
    clf = fitted.adapt(X[:36], y[:36])
    P = clf.predict_proba(X)
    np.testing.assert_allclose(P.sum(1), 1)
    np.testing.assert_array_equal(clf.classes_[P.argmax(1)], clf.predict(X))
    scores = fitted.transform(X) @ clf.coef_.T + clf.intercept_
    scale = float(fitted.head_.log_scale.exp())
    odds = np.log(P[:, 0] / P[:, 1])
    np.testing.assert_allclose(odds, scale * (scores[:, 0] - scores[:, 1]), atol=1e-6)
    assert clf.score(X[:36], y[:36]) == np.mean(clf.predict(X[:36]) == y[:36])


def test_active_features_are_those_with_weight(data):
    X, y = data
    clf = identity(alpha=0.5).fit(X, y).adapt(X[:48], y[:48])
    assert 0 < len(clf.active_features_) < 10
    np.testing.assert_array_equal(
        clf.active_features_, np.flatnonzero((clf.coef_ != 0).any(0))
    )


def test_a_classifier_outlives_another_fit(data, fitted):
    X, y = data
    est = clone(fitted).set_params(max_iter=3).fit(X, y)
    clf = est.adapt(X[:36], y[:36])
    before = clf.predict_proba(X)
    est.set_params(random_state=1).fit(X, y)
    np.testing.assert_array_equal(clf.predict_proba(X), before)


def test_a_classifier_can_be_cloned_and_cross_validated(data, fitted):
    X, y = data
    clf = fitted.adapt(X[:36], y[:36])
    again = clone(clf).fit(X[:36], y[:36])
    np.testing.assert_array_equal(again.coef_, clf.coef_)
    copy = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(copy.predict(X), clf.predict(X))
    assert cross_val_score(clf, X[:36], y[:36], cv=3).mean() > 0.5


def test_labels_unseen_in_the_support_are_refused(data, fitted):
    X, y = data
    clf = fitted.adapt(X[:24], y[:24])
    with pytest.raises(ValueError, match=r"support set lacked: \['c02'\]; it had"):
        clf.score(X[:36], y[:36])


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("how", ["set_output", "config"])
def test_adapted_classifiers_do_not_mind_the_output_of_transform(data, head, how):
    X, y = data
    meta = quick(head=head).fit(X, y)
    expected = meta.adapt(X[:60], y[:60]).predict_proba(X)
    if how == "set_output":
        classifier = meta.set_output(transform="pandas").adapt(X[:60], y[:60])
        found = classifier.predict_proba(X)
    else:
        with config_context(transform_output="pandas"):
            found = meta.adapt(X[:60], y[:60]).predict_proba(X)
    np.testing.assert_array_equal(found, expected)


def test_a_few_shot_classifier_keeps_its_learner(data):
    X, y = data
    meta, other = quick().fit(X, y), quick(random_state=1).fit(X, y)
    classifier = FewShotClassifier(meta).fit(X[:60], y[:60])
    expected = classifier.predict_proba(X)
    meta.set_params(n_components=3).fit(X[:, :5], y)
    np.testing.assert_array_equal(classifier.predict_proba(X), expected)
    classifier.set_params(learner=other)
    np.testing.assert_array_equal(classifier.predict_proba(X), expected)
    for bad_X, bad_y, message in (
        (X[:60], np.repeat("one", 60), "at least two classes"),
        (X[:60, :3], y[:60], "3 features"),
        (np.where(X[:60] > 0, np.nan, 0), y[:60], "NaN"),
        (np.ma.masked_greater(X[:60], 0), y[:60], "X holds .* masked"),
        (X[:60], y[:59], "same number of rows"),
    ):
        with pytest.raises(ValueError, match=message):
            classifier.fit(bad_X, bad_y)
        np.testing.assert_array_equal(classifier.predict_proba(X), expected)
