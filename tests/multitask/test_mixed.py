"""Numbers, counts and classes on one representation."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.metrics import (
    d2_log_loss_score,
    d2_tweedie_score,
    mean_absolute_error,
    r2_score,
    roc_auc_score,
)
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sparsedis import (
    SparseMultiTaskClassifier,
    SparseMultiTaskMixed,
    SparseMultiTaskRepresentation,
)
from sparsedis.datasets import make_sparse_tasks
from sparsedis.metrics import mean_correlation_coefficient

# Few steps, and few tasks, leave some features unsettled.
pytestmark = pytest.mark.filterwarnings(
    "ignore:(No head uses|.* may not be factors|The tasks use all):UserWarning",
    "ignore:(The encoder has learned|A Ridge of):UserWarning",
)

N, T = 200, 18
QUICK = {"max_iter": 5, "random_state": 0}
HEADS = ("coef_", "intercept_", "alpha_", "support_", "stability_")


@pytest.fixture(scope="module")
def data():
    bunch = make_sparse_tasks(
        N, T, 3, noise_ratio=0.3, return_bunch=True, random_state=0
    )
    return bunch.data, bunch.target / bunch.target.std(0)


@pytest.fixture(scope="module")
def frame(data):
    """Six tasks of numbers, six of classes, six of counts, with holes."""
    Y, rng = data[1], np.random.default_rng(0)
    frame = pd.DataFrame(Y, columns=[f"t{t}" for t in range(T)])
    for t in range(6, 10):
        frame[f"t{t}"] = Y[:, t] > 0
    frame["t10"] = pd.Categorical(
        np.where(Y[:, 10] > 0, "high", "low"), ["low", "high", "never"]
    )
    frame["t11"] = np.digitize(Y[:, 11], [-0.5, 0.5]).astype(str)
    for t in range(12, T):
        frame[f"t{t}"] = rng.poisson(np.exp(1 + 0.7 * Y[:, t]))
    holes = rng.random(frame.shape) < 0.2
    holes[:, [1, 6, 12]] = False
    return frame.mask(holes)


COUNTS = {f"t{t}": "count" for t in range(12, T)}


@pytest.fixture(scope="module")
def fitted(data, frame):
    return SparseMultiTaskMixed(3, task_types=COUNTS, **QUICK).fit(data[0], frame)


def assert_same_heads(a, b):
    for name in HEADS:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
    for name in a.history_:
        np.testing.assert_array_equal(a.history_[name], b.history_[name])


@pytest.mark.parametrize("labelled", [0.7, 0.09])
@pytest.mark.parametrize("rotation", ["sparsest", None])
def test_numbers_alone_are_those_of_the_regressor(data, labelled, rotation):
    X, Y = data
    Y = np.where(np.random.default_rng(1).random(Y.shape) < labelled, Y, np.nan)
    args = {"n_components": 3, "rotation": rotation} | QUICK
    one = SparseMultiTaskRepresentation(**args).fit(X, Y)
    other = SparseMultiTaskMixed(**args).fit(X, Y)
    if rotation is None:
        for name in ("coef_", "intercept_", "support_"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    else:
        assert_same_heads(one, other)
    np.testing.assert_array_equal(one.predict(X), other.predict(X))
    assert one.score(X, Y) == other.score(X, Y)
    assert set(other.task_types_) == {"number"}


def test_classes_alone_are_those_of_the_classifier(data):
    X, Y = data
    labels = np.where(Y > 0, "yes", "no").astype(object)
    labels[:, 3] = np.digitize(Y[:, 3], [-0.5, 0.5])
    labels[np.random.default_rng(1).random(Y.shape) < 0.3] = None
    one = SparseMultiTaskClassifier(**QUICK).fit(X, labels)
    types = [None] * 3 + ["class"] + [None] * (T - 4)
    other = SparseMultiTaskMixed(task_types=types, **QUICK).fit(X, labels)
    assert_same_heads(one, other)
    np.testing.assert_array_equal(one.predict(X), other.predict(X))
    p = other.predict_proba(X)
    for t, expected in enumerate(one.predict_proba(X)):
        np.testing.assert_allclose(p[t], expected, atol=1e-12)
    assert other.task_types_.tolist() == ["binary"] * 3 + ["class"] + ["binary"] * 14


def test_types_come_from_dtypes(fitted):
    expected = ["number"] * 6 + ["binary"] * 5 + ["class"] + ["count"] * 6
    assert fitted.task_types_.tolist() == expected
    assert fitted.classes_[10].tolist() == ["high", "low"]
    assert fitted.coef_.shape == (T, 3, 3)
    assert (fitted.coef_[:6, 1:] == 0).all()


def test_a_frame_comes_back(data, frame, fitted):
    X = pd.DataFrame(data[0], index=np.arange(N) + 7)
    found = clone(fitted).fit(X, frame).predict(X)
    assert found.index.equals(X.index)
    assert found.columns.equals(frame.columns)
    assert found["t10"].dtype == frame["t10"].dtype
    assert found["t6"].dtype == bool
    # What had holes is of objects in the frame, too.
    assert found.dtypes[6:12].tolist() == frame.dtypes[6:12].tolist()
    assert (found.iloc[:, 12:] > 0).all(axis=None)


def test_arrays_come_back_as_arrays(data, frame, fitted):
    X = data[0]
    found = clone(fitted).set_params(task_types=fitted.task_types_.tolist())
    found = found.fit(X, frame.to_numpy())
    assert_same_heads(found, fitted)
    values = found.predict(X)
    assert values.dtype == object
    named = fitted.predict(X)
    assert (values == named.to_numpy()).all()
    one = found.predict(X[:3], task=[0, 11, 13])
    assert one[0] == pytest.approx(values[0, 0])
    assert one[1] == values[1, 11]
    assert one[2] == pytest.approx(values[2, 13])


def test_classes_that_are_numbers_give_floats(data):
    X, Y = data
    Y = Y[:, :8].copy()
    Y[:, 4:] = np.digitize(Y[:, 4:], [0.0])
    types = [None] * 4 + ["class"] * 4
    est = SparseMultiTaskMixed(3, task_types=types, **QUICK).fit(X, Y)
    found = est.predict(X)
    assert found.dtype == float
    assert set(found[:, 4:].ravel()) == {0.0, 1.0}


def test_the_long_form_gives_the_same_heads(data, frame, fitted):
    rows, tasks = np.nonzero(frame.notna().to_numpy())
    order = np.random.default_rng(0).permutation(len(rows))
    rows, tasks = rows[order], tasks[order]
    y = frame.to_numpy()[rows, tasks]
    names = frame.columns.to_numpy(dtype=str)[tasks]
    long = clone(fitted).fit(data[0][rows], y, task=names)
    at = [long.tasks_.tolist().index(name) for name in frame.columns]
    assert long.task_types_[at].tolist() == fitted.task_types_.tolist()
    score = long.score(data[0][rows], y, task=names)
    assert score == pytest.approx(long.score(data[0], frame))


def test_scores_are_those_of_scikit_learn(data, frame, fitted):
    X = data[0]
    table = pd.DataFrame(fitted.task_scores(X, frame)).set_index("task")
    found, p = fitted.predict(X), fitted.predict_proba(X)
    for name in ("t0", "t10", "t11", "t13"):
        has = frame[name].notna().to_numpy()
        y, guess, row = frame[name][has], found[name][has], table.loc[name]
        assert row["n_labels"] == has.sum()
        if name == "t0":
            assert row["d2"] == pytest.approx(r2_score(y, guess))
        elif name == "t13":
            y = y.astype(float)
            assert row["d2"] == pytest.approx(d2_tweedie_score(y, guess, power=1))
            assert row["mae"] == pytest.approx(mean_absolute_error(y, guess))
            assert np.isnan(row["accuracy"])
        else:
            y, own = y.astype(str), p[name][has]
            assert row["d2"] == pytest.approx(d2_log_loss_score(y, own))
            assert row["accuracy"] == (y == guess.astype(str)).mean()
            own = own[:, 1] if own.shape[1] == 2 else own
            auc = roc_auc_score(y, own, multi_class="ovr")
            assert row["roc_auc"] == pytest.approx(auc)
            assert np.isnan(row["rmse"])
    assert fitted.score(X, frame) == pytest.approx(table["d2"].mean())
    weight = np.zeros(N)
    weight[:50] = 1.0
    part = fitted.score(X, frame, sample_weight=weight)
    assert part == pytest.approx(fitted.score(X[:50], frame[:50]))


def test_heads_are_those_of_scikit_learn_on_their_features(data, frame, fitted):
    from sklearn.linear_model import LinearRegression, PoissonRegressor

    Z = fitted.transform(data[0]).astype(float)
    for t, name in [(0, "t0"), (12, "t12")]:
        has = frame[name].notna().to_numpy()
        used, y = fitted.support_[t], frame[name][has].astype(float)
        model = LinearRegression()
        if name == "t12":
            model = PoissonRegressor(alpha=1 / has.sum(), tol=1e-10, max_iter=1000)
        model.fit(Z[has][:, used], y)
        np.testing.assert_allclose(
            fitted.coef_[t, 0, used], model.coef_, atol=1e-5, rtol=1e-4
        )
        assert fitted.intercept_[t, 0] == pytest.approx(model.intercept_, abs=1e-4)


def test_all_types_lead_to_the_factors():
    data = make_sparse_tasks(
        500, 60, 4, rho=0.3, noise_ratio=0.3, return_bunch=True, random_state=0
    )
    rng, Y = np.random.default_rng(0), data.target / data.target.std(0)
    frame = pd.DataFrame(Y)
    for t in range(20, 40):
        frame[t] = Y[:, t] > 0
    for t in range(40, 60):
        frame[t] = rng.poisson(np.exp(1 + 0.7 * Y[:, t]))
    types = dict.fromkeys(range(40, 60), "count")
    est = SparseMultiTaskMixed(task_types=types, encoder="identity", random_state=0)
    Z = est.fit(data.data, frame).transform(data.data)
    assert est.n_components_ == 4
    assert mean_correlation_coefficient(data.factors, Z) > 0.99
    assert est.identifiability().trusted.all()


def test_counts_of_any_size_count_alike(data):
    X, Y = data
    rng = np.random.default_rng(0)
    Y = Y[:, :6].copy()
    Y[:, 3] = rng.poisson(np.exp(8 + Y[:, 3]))
    est = SparseMultiTaskMixed(3, task_types=[None] * 3 + ["count"] + [None] * 2)
    est.set_params(max_iter=20, random_state=0).fit(X, Y)
    # The loss without heads is one half for each task.
    assert est.history_["loss"][0] < 0.55
    assert est.score(X, Y) > 0.5


@pytest.mark.parametrize(
    ("column", "kind", "message"),
    [
        ([1.0, -2.0, 3.0], "count", "must not be negative in task 'b'.* got -2"),
        (["1", "two", "3"], "number", "must hold numbers in task 'b'.* got '1'"),
        ([1.0, np.inf, 3.0], None, "contains infinity: inf in task 'b'"),
        (["x", "y", "z"], "binary", "at most two classes in task 'b'"),
        ([0.5, 1.5, 2.25], "class", "Task 'b' has type 'class'"),
        (
            np.array(["2020-01-01"] * 3, dtype="M8[ns]"),
            None,
            "holds dates or times in task 'b'",
        ),
    ],
)
def test_labels_of_another_type_are_refused(column, kind, message):
    y = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": column})
    est = SparseMultiTaskMixed(task_types={"b": kind})
    with pytest.raises(ValueError, match=message):
        est.fit(np.eye(3), y)


@pytest.mark.parametrize(
    ("types", "message"),
    [
        ({"z": "count"}, r"names \['z'\], which are not tasks of y"),
        (["number"], "a type for each of the 2 tasks, got 1"),
        ({"a": "text"}, "got 'text' for task 'a'"),
    ],
)
def test_wrong_types_are_refused(types, message):
    y = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [1.0, 2.0, 4.0]})
    with pytest.raises(ValueError, match=message):
        SparseMultiTaskMixed(task_types=types).fit(np.eye(3), y)


def test_labels_that_are_all_the_same(data, frame):
    X = data[0]
    y = frame.iloc[:, :8].copy()
    y["one"], y["none"], y["flat"] = "only", 0, 3.5
    y["empty"] = np.nan
    est = SparseMultiTaskMixed(3, task_types={"none": "count"}, **QUICK)
    with (
        pytest.warns(UserWarning, match="2 of 12 tasks have a single class"),
        pytest.warns(UserWarning, match="1 of 12 tasks have no label"),
    ):
        est.fit(X, y)
    found = est.predict(X)
    assert (found["one"] == "only").all()
    assert (found["none"] == 0).all()
    np.testing.assert_allclose(found["flat"], 3.5)
    assert found["empty"].isna().all()
    assert est.predict_proba(X)["one"].tolist() == [[1.0]] * N
    table = pd.DataFrame(est.task_scores(X, y)).set_index("task")
    assert table.loc[["one", "none", "empty"], "n_labels"].tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="at least two classes, or numbers"):
        SparseMultiTaskMixed().fit(X, np.full(N, "only"))


def test_new_classes_count_as_errors_in_the_accuracy(data, frame, fitted):
    y = frame.copy()
    y.loc[0, "t11"] = "new"
    with pytest.warns(UserWarning, match="classes that fit has not seen .'new'"):
        table = pd.DataFrame(fitted.task_scores(data[0], y)).set_index("task")
    before = pd.DataFrame(fitted.task_scores(data[0], frame)).set_index("task")
    assert table["accuracy"]["t11"] <= before["accuracy"]["t11"]
    assert np.isfinite(table["d2"]["t11"])


def test_adapt_takes_tasks_of_other_types(data, frame, fitted):
    X = data[0]
    rng = np.random.default_rng(3)
    score = X[:, 1] + 0.5 * rng.standard_normal(N)
    new = pd.DataFrame({"kind": np.where(score > 0, "u", "v")})
    new["c"] = rng.poisson(np.exp(X[:, 0]))
    adapted = fitted.adapt(X, new, task_types={"c": "count"})
    assert adapted.task_types_.tolist() == ["binary", "count"]
    assert set(adapted.predict(X)["kind"]) == {"u", "v"}
    assert adapted.module_ is fitted.module_
    assert fitted.predict(X).shape == (N, T)


def test_files_and_pickles_predict_the_same(tmp_path, data, fitted):
    X = data[0]
    expected = fitted.predict(X)
    copy = pickle.loads(pickle.dumps(fitted))
    pd.testing.assert_frame_equal(copy.predict(X), expected)
    fitted.save_params(tmp_path / "model")
    loaded = SparseMultiTaskMixed(3, **QUICK)
    loaded.load_params(tmp_path / "model")
    pd.testing.assert_frame_equal(loaded.predict(X), expected)
    assert loaded.task_types_.tolist() == fitted.task_types_.tolist()
    assert [own.tolist() for own in loaded.classes_] == [
        own.tolist() for own in fitted.classes_
    ]


def test_files_of_classes_and_of_others_after_a_warm_start(tmp_path, data):
    # The encoder of classes has its inputs beside the hidden units, and stays.
    X, Y = data
    est = SparseMultiTaskMixed(3, warm_start=True, **QUICK).fit(X, Y > 0)
    for y in (Y > 0, Y):
        est.fit(X, y)
        est.save_params(tmp_path / "model")
        loaded = SparseMultiTaskMixed(3, **QUICK)
        loaded.load_params(tmp_path / "model")
        assert loaded.module_.encoder[-1].in_features == 256 + X.shape[1]
        np.testing.assert_array_equal(loaded.transform(X), est.transform(X))


def test_search_and_pipeline_without_a_scorer(data, frame):
    X = data[0]
    est = SparseMultiTaskMixed(3, task_types=COUNTS, **QUICK)
    pipe = make_pipeline(StandardScaler(), est)
    name = "sparsemultitaskmixed__selection"
    search = GridSearchCV(pipe, {name: ["bic", "1se"]}, cv=2, error_score="raise")
    search.fit(X, frame)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    pipe.set_output(transform="pandas")
    assert pipe.fit(X, frame).transform(X).columns.tolist() == [
        f"sparsemultitaskmixed{i}" for i in range(3)
    ]


def test_there_is_neither_a_stream_nor_a_probability_of_numbers(data):
    est = SparseMultiTaskMixed(3, rotation=None, **QUICK).fit(*data)
    assert not hasattr(est, "fit_stream")
    assert not hasattr(est, "predict_proba")
    with pytest.raises(ValueError, match="'head' parameter"):
        clone(est).set_params(head="none").fit(*data)


@pytest.mark.parametrize("penalty", ["l1", "elasticnet"])
def test_sparse_heads_in_training(data, frame, penalty):
    est = SparseMultiTaskMixed(
        3, rotation=None, penalty=penalty, alpha=0.1, task_types=COUNTS, **QUICK
    )
    est.fit(data[0], frame)
    assert np.isfinite(est.coef_).all()
    assert 0 < est.support_.mean() < 1


@pytest.mark.parametrize("weighted", [False, True])
def test_a_task_of_counts_without_labels_predicts_nan(data, weighted):
    X, Y = data
    y = np.column_stack([Y[:, :3], np.arange(len(X)) % 3])
    weight = np.ones(y.shape)
    if weighted:
        weight[:, 3] = 0
    else:
        y[:, 3] = np.nan
    est = SparseMultiTaskMixed(2, task_types={3: "count"}, **QUICK)
    with pytest.warns(UserWarning, match="1 of 4 tasks have no label"):
        est.fit(X, y, sample_weight=weight)
    np.testing.assert_array_equal(np.isnan(est.predict(X[:2])), [[0, 0, 0, 1]] * 2)
