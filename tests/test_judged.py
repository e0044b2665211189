"""Scores of the estimators: those of their predictions, whatever form labels have."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score

from sparsedis import SparseMultiTaskClassifier, SparseMultiTaskRepresentation, _judged

# After a few steps features are not used, or not to be trusted.
pytestmark = pytest.mark.filterwarnings(
    "ignore:(No head|.* may not be|The encoder overfits|A separate Ridge):UserWarning"
)

N, T = 90, 7
RNG = np.random.default_rng(0)
X = RNG.standard_normal((N, 3))
Y = X @ RNG.standard_normal((3, T)) + 0.3 * RNG.standard_normal((N, T))
GAPS = RNG.random((N, T)) < 0.3
Y_GAPS = np.where(GAPS, np.nan, Y)
LABELS = np.where(GAPS, np.nan, Y > 0)


def make(cls=SparseMultiTaskRepresentation, **params):
    defaults = {"n_components": 2, "rotation": None, "max_iter": 3, "random_state": 0}
    return cls(**(defaults | params))


@pytest.fixture(scope="module")
def regression():
    return make().fit(X, Y_GAPS)


@pytest.fixture(scope="module")
def classifier():
    return make(SparseMultiTaskClassifier).fit(X, LABELS)


def forms(Y):
    rows, tasks = np.nonzero(~np.isnan(Y))
    yield X, Y, None
    yield X, np.ma.masked_invalid(Y), None
    yield X, pd.DataFrame(Y, columns=list("abcdefg")), None
    yield X, pd.DataFrame(Y)[[3, 1, 0, 2, 6, 5, 4]], None
    yield X, sp.csr_array((Y[rows, tasks], (rows, tasks)), shape=Y.shape), None
    order = RNG.permutation(len(rows))
    rows, tasks = rows[order], tasks[order]
    yield X[rows], Y[rows, tasks], tasks


@pytest.mark.parametrize("labels_at_a_time", [1, 50, 10**6])
@pytest.mark.parametrize("weighted", [False, True])
def test_scores_are_those_of_the_predictions(
    regression, classifier, labels_at_a_time, weighted, monkeypatch
):
    monkeypatch.setattr(_judged, "_LABELS", labels_at_a_time)
    every = RNG.integers(0, 3, N) if weighted else np.ones(N)
    for est, Y, metric in (
        (regression, Y_GAPS, r2_score),
        (classifier, LABELS, accuracy_score),
    ):
        predicted, seen = est.predict(X), ~np.isnan(Y)
        expected = np.mean(
            [
                metric(Y[own, t], predicted[own, t], sample_weight=every[own])
                for t, own in enumerate(seen.T)
            ]
        )
        for rows, y, task in forms(Y):
            weight = every
            if task is not None:
                at = (X[:, None] == rows[None]).all(-1).argmax(0)
                weight = every[at]
            score = est.score(rows, y, task=task, sample_weight=weight)
            assert score == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("dtype", "kind"),
    [
        ("float64", "f"),
        ("Int64", "i"),
        ("boolean", "b"),
        ("Float32", "f"),
        (object, "f"),
    ],
)
def test_classes_of_frames_suit_the_metrics_of_scikit_learn(classifier, dtype, kind):
    frame = pd.DataFrame(LABELS).astype(dtype)
    est = make(SparseMultiTaskClassifier).fit(X, frame)
    predicted = est.predict(X)
    assert predicted.dtype.kind == kind
    np.testing.assert_array_equal(predicted, classifier.predict(X))
    assert est.score(X, frame) == classifier.score(X, LABELS)
    seen = ~GAPS[:, 0]
    truth = LABELS[seen, 0].astype(int)
    assert accuracy_score(truth, predicted[seen, 0]) == accuracy_score(
        truth, classifier.predict(X)[seen, 0]
    )


@pytest.mark.parametrize("labels", ["number", "text", "date"])
def test_tasks_without_labels_are_not_certain(labels):
    values = {
        "number": [0, 1, np.nan],
        "text": ["no", "yes", None],
        "date": np.array(["2020", "2021", "NaT"], dtype="M8[D]"),
    }[labels]
    y = np.empty((N, 4), dtype=object if labels == "text" else None)
    y = np.array(values, dtype=object if labels == "text" else None)[
        np.stack([Y[:, 0] > 0, np.full(N, 2), np.full(N, 1), Y[:, 1] > 0], 1).astype(
            int
        )
    ]
    with (
        pytest.warns(UserWarning, match=r"1 of 4 tasks have no label \(1\)"),
        pytest.warns(UserWarning, match=r"1 of 4 tasks have a single class \(2\)"),
    ):
        est = make(SparseMultiTaskClassifier).fit(X, y)
    predicted = est.predict(X)
    assert pd.isna(predicted[:, 1]).all()
    assert (predicted[:, 2] == values[1]).all()
    assert set(predicted[:, 0]) <= set(values[:2])
    p = est.predict_proba(X[:4], task=[0, 1, 2, 3])
    assert np.isnan(p[1]).all()
    assert p[2].tolist() == [1, 0]
    np.testing.assert_allclose(p[[0, 3]].sum(1), 1)
    each = est.predict_proba(X)
    assert [own.shape for own in each] == [(N, 2), (N, 0), (N, 1), (N, 2)]
    assert pd.isna(est.predict(X[:4], task=[0, 1, 2, 3])).tolist() == [0, 1, 0, 0]


def test_large_whole_numbers_stay_what_they_are():
    big = 2**53 + np.array([0, 1])
    y = np.full((N, 2), None, dtype=object)
    y[:, 0] = big[(Y[:, 0] > 0).astype(int)]
    with pytest.warns(UserWarning, match="no label"):
        est = make(SparseMultiTaskClassifier).fit(X, y)
    assert set(est.predict(X)[:, 0]) == set(big.tolist())


@pytest.mark.parametrize("labels", ["number", "text"])
def test_classifiers_with_blanks_are_searched(labels):
    y = LABELS
    if labels == "text":
        y = np.where(GAPS, None, np.where(LABELS == 1, "yes", "no"))
    est, cv = make(SparseMultiTaskClassifier), KFold(2)
    scores = cross_val_score(est, X, y, cv=cv, error_score="raise")
    expected = [
        est.fit(X[train], y[train]).score(X[test], y[test])
        for train, test in cv.split(X)
    ]
    np.testing.assert_array_equal(scores, expected)
    search = GridSearchCV(est, {"alpha": [0.4]}, cv=cv, error_score="raise").fit(X, y)
    np.testing.assert_allclose(search.best_score_, np.mean(expected))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("of_X", "of_Y"), [(0, 1.7e9), (0, -1e12), (1e5, 0)])
def test_what_is_far_from_zero_keeps_its_score(dtype, of_X, of_Y):
    near, far = X.astype(dtype), (X + of_X).astype(dtype)
    options = {"n_components": 3, "encoder": "identity"}
    expected = make(**options).fit(near, Y).score(near, Y)
    est = make(**options).fit(far, Y + of_Y)
    assert est.score(far, Y + of_Y) == pytest.approx(expected, abs=0.01)


def peak(function, *args):
    tracemalloc.start()
    function(*args)
    memory = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return memory


def test_scores_take_memory_for_some_of_the_labels_alone():
    n, n_tasks = 1000, 400
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, 20))
    Y = X @ rng.standard_normal((20, n_tasks))
    options = {"encoder": "identity", "n_components": 20, "alpha": 0.4}
    for cls, y in (
        (SparseMultiTaskRepresentation, Y),
        (SparseMultiTaskClassifier, Y > 0),
    ):
        est = make(cls, **options).fit(X[:100], y[:100, :])
        # The features and coefficients of all labels would take 40 times Y.
        assert peak(est.score, X, y) < 5 * Y.nbytes
