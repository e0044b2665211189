"""Labels in every form, and the heads and training that they give."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn import config_context
from sklearn.model_selection import GridSearchCV, KFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sparsedis import SparseMultiTaskClassifier, SparseMultiTaskRepresentation
from sparsedis.datasets import make_sparse_tasks

# After a few steps features are not used, or not to be trusted.
pytestmark = pytest.mark.filterwarnings(
    "ignore:(No head|.* may not be|The encoder overfits|A separate Ridge):UserWarning"
)

NAMES = np.array([f"t{t:02}" for t in range(12)])


@pytest.fixture(scope="module", params=[0.7, 0.06], ids=["dense", "sparse"])
def data(request):
    X, Y = make_sparse_tasks(160, 12, n_factors=2, random_state=0)
    rng = np.random.RandomState(0)
    gaps = rng.uniform(size=Y.shape) > request.param
    gaps[np.arange(160), np.arange(160) % 12] = False
    Y[gaps] = np.nan
    return X, Y


def make(cls=SparseMultiTaskRepresentation, **params):
    defaults = {
        "n_components": 2,
        "rotation": None,
        "max_iter": 4,
        "random_state": 0,
        "alpha": 0.2,
    }
    return cls(**(defaults | params))


def forms(X, Y, values=lambda y: y):
    """Arguments of `fit` for the same labels, rows in other orders."""
    rows, tasks = np.nonzero(~np.isnan(Y))
    labels = values(Y[rows, tasks])
    yield {"X": X[::-1], "y": pd.DataFrame(Y[::-1], columns=NAMES)}
    sparse = sp.coo_array((labels, (rows, tasks)), shape=Y.shape)
    yield {"X": X, "y": sparse}
    order = np.random.RandomState(1).permutation(len(rows))
    rows, tasks = rows[order], tasks[order]
    yield {"X": X[rows], "y": labels[order], "task": NAMES[tasks]}


@pytest.mark.parametrize(
    ("frozen", "rotation"), [(True, None), (False, None), (False, "sparsest")]
)
@pytest.mark.parametrize(
    "cls", [SparseMultiTaskRepresentation, SparseMultiTaskClassifier]
)
def test_every_form_gives_the_same_model(data, cls, frozen, rotation):
    X, Y = data
    if cls is SparseMultiTaskClassifier:
        Y = np.where(np.isnan(Y), np.nan, Y > 0)
    params = {"rotation": rotation}
    if frozen:
        params |= {"encoder": "identity", "normalization": None}
    expected = make(cls, **params).fit(X, Y)
    for arguments in forms(X, Y):
        est = make(cls, **params).fit(**arguments)
        for name in ("coef_", "intercept_", "alpha_"):
            np.testing.assert_allclose(
                getattr(est, name), getattr(expected, name), rtol=1e-9, atol=1e-9
            )
        np.testing.assert_array_equal(est.transform(X), expected.transform(X))
        np.testing.assert_array_equal(est.history_["loss"], expected.history_["loss"])


def test_long_predictions_and_scores_are_the_wide_ones(data, rotation):
    X, Y = data
    wide, _, long = forms(X, Y)
    est = make(rotation=rotation).fit(**long)
    np.testing.assert_array_equal(est.tasks_, NAMES)
    everything = est.predict(X)
    assert everything.shape == (160, 12)
    column = np.searchsorted(NAMES, long["task"])
    own = est.predict(long["X"], task=long["task"])
    np.testing.assert_allclose(own, est.predict(long["X"])[np.arange(len(own)), column])
    score = est.score(**long)
    assert score == pytest.approx(est.score(**wide))
    # By name, whatever the order and number of columns.
    Y = wide["y"][NAMES[::-1]]
    assert est.score(wide["X"], Y) == pytest.approx(score)
    est.score(wide["X"], Y[NAMES[3:7]])


def test_the_long_form_goes_through_model_selection(data):
    X, Y = data
    *_, long = forms(X, Y)
    X, y, task = long["X"], long["y"], long["task"]
    with config_context(enable_metadata_routing=True):
        est = make().set_fit_request(task=True).set_score_request(task=True)
        pipe = make_pipeline(StandardScaler(), est)
        scores = cross_validate(pipe, X, y, cv=3, params={"task": task})["test_score"]
        search = GridSearchCV(
            pipe, {"sparsemultitaskrepresentation__alpha": [0.1, 0.9]}, cv=3
        ).fit(X, y, task=task)
    # The slices are those of a loop by hand.
    for (train, test), score in zip(KFold(3).split(X), scores, strict=True):
        scaler = StandardScaler().fit(X[train])
        mine = make().fit(scaler.transform(X[train]), y[train], task=task[train])
        assert mine.score(
            scaler.transform(X[test]), y[test], task=task[test]
        ) == pytest.approx(score)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_tasks_that_fit_has_not_seen(data, rotation):
    X, Y = data
    *_, long = forms(X, Y)
    seen = long["task"] != "t03"
    est = make(rotation=rotation)
    est.fit(long["X"][seen], long["y"][seen], task=long["task"][seen])
    with pytest.raises(ValueError, match=r"ids of tasks seen in fit; \['t03'\]"):
        est.predict(long["X"], task=long["task"])
    with pytest.raises(ValueError, match="task of each of the 160 rows of X, got 2"):
        est.predict(X, task=["t01", "t02"])
    known = est.score(long["X"][seen], long["y"][seen], task=long["task"][seen])
    with pytest.warns(UserWarning, match=r"1 tasks of y, such as \['t03'\]"):
        assert est.score(**long) == pytest.approx(known)


def test_the_classifier_takes_labels_of_any_dtype(data):
    X, Y = data
    scaled = Y / np.nanstd(Y, axis=0)
    numbers = np.where(np.isnan(Y), np.nan, np.digitize(scaled, [-0.7, 0.7]))
    numbers[:, ::2] = np.where(np.isnan(Y[:, ::2]), np.nan, Y[:, ::2] > 0)
    expected = make(SparseMultiTaskClassifier).fit(X, numbers)
    words = np.array(["low", "mid", "top"], dtype=object)
    text = np.full(Y.shape, None, dtype=object)
    there = ~np.isnan(Y)
    text[there] = words[numbers[there].astype(int)]
    for y in (text, pd.DataFrame(text).astype("string"), pd.DataFrame(text)):
        est = make(SparseMultiTaskClassifier).fit(X, y)
        np.testing.assert_array_equal(est.coef_, expected.coef_)
        np.testing.assert_array_equal(
            est.predict(X), words[expected.predict(X).astype(int)]
        )
        assert est.score(X, y) == expected.score(X, numbers)
    # Tasks of two and of three classes stand side by side.
    assert expected.coef_.shape == (12, 3, 2)
    counts = [len(classes) for classes in expected.classes_]
    assert counts == [len(set(y[~np.isnan(y)])) for y in numbers.T]
    assert set(counts) == {2, 3}
    for t, p in enumerate(expected.predict_proba(X)):
        np.testing.assert_allclose(p.sum(1), 1)
        assert p.shape == (160, counts[t])
        np.testing.assert_array_equal(
            expected.classes_[t][p.argmax(1)], expected.predict(X)[:, t]
        )
    task = np.arange(160) % 12
    np.testing.assert_array_equal(
        expected.predict(X, task=task), expected.predict(X)[np.arange(160), task]
    )
    one_each = expected.predict_proba(X, task=task)
    assert one_each.shape == (160, 3)
    np.testing.assert_allclose(one_each[0, :2], expected.predict_proba(X)[0][0])


def test_tasks_with_one_class_or_none(data, rotation):
    X, Y = data
    labels = np.full(Y.shape, None, dtype=object)
    labels[~np.isnan(Y)] = np.where(Y[~np.isnan(Y)] > 0, "yes", "no")
    labels[:, 4] = None
    labels[:, 5] = "no"
    with (
        pytest.warns(UserWarning, match=r"1 of 12 tasks have a single class \(5\)"),
        pytest.warns(UserWarning, match=r"1 of 12 tasks have no label \(4\)"),
    ):
        est = make(SparseMultiTaskClassifier, rotation=rotation).fit(X, labels)
    prediction = est.predict(X)
    assert set(prediction[:, 4]) == {None}
    assert set(prediction[:, 5]) == {"no"}
    assert np.isnan(est.coef_[[4, 5]]).all()
    assert est.predict_proba(X)[5].tolist() == [[1.0]] * 160
    others = np.delete(np.arange(12), [4, 5])
    # They do not count in the score.
    labels[:, 4] = "no"
    there = np.vectorize(lambda label: label is not None)(labels)
    right = [(prediction == labels)[there[:, t], t].mean() for t in others]
    assert est.score(X, labels) == pytest.approx(np.mean(right))


def test_classes_that_fit_has_not_seen(data, rotation):
    X, Y = data
    y = np.where(Y[:, 0] > 0, "b", "a")
    est = make(SparseMultiTaskClassifier, rotation=rotation).fit(X, y)
    base = est.score(X, y)
    right = np.flatnonzero(est.predict(X) == y)[0]
    y[right] = "z"
    with pytest.warns(UserWarning, match=r"not seen \('z' in task 0\)"):
        assert est.score(X, y) == pytest.approx(base - 1 / 160)
    with pytest.raises(
        ValueError, match=r"two classes in some task; y has only the class 'a'"
    ):
        make(SparseMultiTaskClassifier).fit(X, np.full(160, "a"))


def test_weighted_scores(data, rotation):
    X, Y = data
    weight = np.random.RandomState(0).randint(0, 3, 160)
    twice = np.repeat(np.arange(160), weight)
    for cls, labels in (
        (SparseMultiTaskRepresentation, Y),
        (SparseMultiTaskClassifier, np.where(np.isnan(Y), np.nan, Y > 0)),
    ):
        est = make(cls, rotation=rotation).fit(X, labels)
        assert est.score(X, labels, sample_weight=weight) == pytest.approx(
            est.score(X[twice], labels[twice])
        )


def test_predictions_take_the_memory_of_their_output():
    X, Y = make_sparse_tasks(60, 12, n_factors=2, random_state=0)
    est = make(SparseMultiTaskClassifier).fit(X, np.digitize(Y, [-0.5, 0.5]))
    X = np.tile(X, (600, 1))
    tracemalloc.start()
    labels = est.predict(X)
    memory = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert memory < 2 * labels.nbytes
    # Block by block, in the long form, too.
    task = np.arange(len(X)) % 12
    own = np.arange(len(X)), task
    np.testing.assert_array_equal(est.predict(X, task=task), labels[own])
    each = np.stack(est.predict_proba(X), 1)
    np.testing.assert_allclose(est.predict_proba(X, task=task), each[own], atol=1e-12)
