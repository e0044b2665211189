"""Prediction intervals and sets from errors on held-out rows."""

import re
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import entropy
from sklearn.metrics import log_loss

from sparsedis import SparseMultiTaskClassifier, SparseMultiTaskMixed
from sparsedis.multitask import _task_heads
from sparsedis.multitask._conformal import class_set, count_interval, ranked
from sparsedis.multitask._held_out import HeldOutDeviance
from sparsedis.multitask._linear import linear_part
from sparsedis.solvers.losses import Logistic, Poisson

RNG = np.random.default_rng(0)

# Dense tasks have no factors, and linear ones are what heads on features lose to.
pytestmark = [
    pytest.mark.filterwarnings(rf"ignore:{message}")
    for message in (
        r"\d+ of \d+ features may not be factors",
        "No head uses features",
        "The encoder overfits",
    )
]

TYPES = ["number"] * 2 + ["count"] * 4 + ["binary"] * 4 + ["class"] * 4


def few_steps(cls=SparseMultiTaskClassifier, **params):
    return cls(3, max_iter=5, random_state=0, **params)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(1)
    X = rng.standard_normal((600, 8))
    return X, X @ rng.standard_normal((8, 14)) + rng.logistic(size=(600, 14))


def labels(eta):
    """A frame of tasks of all types."""
    y = pd.DataFrame(eta, columns=[f"t{t}" for t in range(14)])
    rng = np.random.default_rng(0)
    for t in range(2, 6):
        y[f"t{t}"] = rng.poisson(np.exp(0.3 * eta[:, t]))
    for t in range(6, 10):
        y[f"t{t}"] = eta[:, t] > 0
    for t in range(10, 14):
        y[f"t{t}"] = np.array(["a", "b", "c"])[np.digitize(eta[:, t], [-2, 2])]
    return y


@pytest.fixture(scope="module")
def binary(data):
    """Linear models of a fit of binary tasks to 200 rows, and the held-out rows."""
    seen = []

    def recorded(Z, folds, table, *args, **kwargs):
        seen.append(table.at[folds == 0])
        return linear_part(Z, folds, table, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_task_heads, "linear_part", recorded)
        est = few_steps().fit(data[0][:200], data[1][:200] > 0)
    return est.linear_, seen[0]


@pytest.fixture(scope="module")
def fitted(data):
    X, eta = data
    missing = np.random.default_rng(2).uniform(size=(200, 14)) < 0.2
    Y = np.where(missing, np.nan, np.digitize(eta[:200], [-2, 2]))
    # Few held-out labels.
    Y[20:, 0] = np.nan
    return few_steps().fit(X[:200], Y), Y


@pytest.fixture(scope="module")
def mixed(data):
    X, eta = data
    Y = labels(eta[:200])
    Y.loc[20:, ["t2", "t10"]] = None
    X = pd.DataFrame(X[:200])
    return few_steps(SparseMultiTaskMixed, task_types=TYPES).fit(X, Y)


@pytest.mark.parametrize("level", ["1/2", "4/5", "9/10", "19/20"])
def test_rank_is_the_first_that_covers_often_enough(level):
    level = Fraction(level)
    for n in range(25):
        sizes = RNG.permutation(np.arange(1.0, n + 1))
        # One more error has any rank among n + 1 with the same probability.
        covering = [k for k in range(1, n + 1) if Fraction(k, n + 1) >= level]
        expected = min(covering, default=np.inf)
        assert ranked(sizes, float(level)) == expected


def test_levels_near_zero_have_the_first_rank():
    assert ranked(np.array([3.0, 1.0, 2.0]), 1e-12) == 1.0
    assert ranked(np.empty(0), 1e-12) == np.inf


def assert_covers(inside, level, n_errors):
    """The exact probability, within four standard errors."""
    p = np.ceil((n_errors + 1) * level) / (n_errors + 1)
    assert abs(np.mean(inside) - p) < 4 * np.sqrt(p * (1 - p) / len(inside))


def test_sets_of_known_probabilities_hold_a_new_label_as_often_as_asked():
    inside = []
    for _ in range(2000):
        p = RNG.dirichlet(np.ones(5), size=30)
        y = (RNG.uniform(size=(30, 1)) > p.cumsum(1)).sum(1)
        margin = ranked(-np.log(p[np.arange(29), y[:29]]), 0.9)
        inside.append(class_set(p[29:], margin, 5)[0, y[29]])
    assert_covers(inside, 0.9, 29)


@pytest.mark.parametrize("whole", [True, False])
def test_intervals_of_known_means_hold_a_new_count_as_often_as_asked(whole):
    inside = []
    for _ in range(2000):
        mean = RNG.gamma(1.0, 4.0, size=25)
        # Negative binomial: the variance is larger than the mean.
        y = RNG.poisson(mean * RNG.gamma(2.0, 0.5, size=25))
        margin = ranked(np.abs(np.sqrt(y) - np.sqrt(mean))[:24], 0.8)
        ((low, high),) = count_interval(mean[24:], margin, whole)
        inside.append(low <= y[24] <= high)
    assert_covers(inside, 0.8, 24)


@pytest.mark.parametrize("margin", [0.0, 0.3, 1.0, 2.5])
def test_ends_are_the_first_and_last_count_within_the_margin(margin):
    mean = np.append(RNG.uniform(0, 30, 50), [0.0, 0.09, 1.0, 6.25, 16.0])
    counts = np.arange(200)
    for (low, high), mu in zip(count_interval(mean, margin, True), mean, strict=True):
        near = np.abs(np.sqrt(counts) - np.sqrt(mu)) <= margin + 1e-12
        inside = (low <= counts) & (counts <= high)
        np.testing.assert_array_equal(inside, near)
    low, high = count_interval(mean, margin, False).T
    np.testing.assert_allclose(np.sqrt(high) - np.sqrt(mean), margin, atol=1e-12)
    gap = np.minimum(margin, np.sqrt(mean))
    np.testing.assert_allclose(np.sqrt(mean) - np.sqrt(low), gap, atol=1e-12)


def test_intervals_of_huge_and_unknown_means():
    found = count_interval(np.array([1e300, np.inf, np.nan]), 0.5, True)
    assert (found[:2, 1] >= 1e300).all()
    assert np.isnan(found[2]).all()
    np.testing.assert_array_equal(
        count_interval(np.array([3.0]), np.inf, True), [[0, np.inf]]
    )


def test_sets_hold_classes_of_small_log_loss_and_the_most_probable_one():
    p = np.array([[0.5, 0.3, 0.2], [0.8, 0.15, 0.05], [1.0, 0.0, 0.0]])
    found = class_set(p, -np.log(0.3), 3)
    expected = [[True, True, False], [True, False, False], [True, False, False]]
    np.testing.assert_array_equal(found, expected)
    # Without a class of so small a loss.
    assert class_set(p, 0.0, 3).sum(1).tolist() == [1, 1, 1]
    np.testing.assert_array_equal(class_set(p, np.inf, 2), [[True, True, False]] * 3)
    margin, n_classes = np.array([np.inf, 0.0]), np.array([3, 2])
    assert class_set(p[:2], margin, n_classes).sum(1).tolist() == [3, 1]
    assert not class_set(np.full((1, 2), np.nan), 1.0, 2).any()
    assert class_set(np.empty((4, 0)), np.inf, 0).shape == (4, 0)


@pytest.mark.parametrize("loss", [Logistic(), Poisson()], ids=repr)
def test_errors_are_those_of_labels_with_a_weight(loss):
    linear, heads = torch.from_numpy(RNG.standard_normal((2, 2, 30, 1)))
    y = torch.from_numpy(RNG.integers(2, size=(2, 30)).astype(float))
    weight = torch.ones_like(y)
    weight[0, :10] = 0
    heads[0, 27:] = torch.nan
    judged = HeldOutDeviance(3)
    judged.add(np.array([0, 2]), loss, y, linear, heads, weight)
    found = judged.errors(np.array([0.25, 0.0, 1.0]))
    scores = (0.25 * heads[0] + 0.75 * linear[0])[:27, 0].numpy()
    if isinstance(loss, Poisson):
        expected = np.sqrt(y[0, :27].numpy()) - np.exp(scores / 2)
    else:
        p = torch.sigmoid(torch.from_numpy(scores)).numpy()
        expected = [
            log_loss([v], [q], labels=[0, 1]) for v, q in zip(y[0, :27], p, strict=True)
        ]
    np.testing.assert_allclose(np.sort(found[0][:17]), np.sort(expected[10:]))
    # Labels that a head without these rows cannot predict.
    np.testing.assert_array_equal(found[0][17:], np.inf)
    assert len(found[1]) == 0
    assert len(found[2]) == 30


def test_errors_of_classes_are_those_of_the_score(data, binary):
    linear, held_at = binary
    Y = data[1] > 0
    np.testing.assert_array_equal(linear.kinds, 2)
    for t, own in enumerate(np.split(linear.errors, linear.first[1:-1])):
        assert len(own) == len(held_at)
        share = Y[held_at, t].mean()
        score = 1 - own.mean() / entropy([share, 1 - share])
        assert linear.score[t] == pytest.approx(score)


def test_a_class_in_no_other_row_is_an_error_of_any_size(data, binary):
    (X, eta), (_, held_at) = data, binary
    Y = np.digitize(eta[:200], [-1, 1])
    Y[held_at[:2], 3] = 3
    linear = few_steps().fit(X[:200], Y).linear_
    infinite = [np.isinf(e).sum() for e in np.split(linear.errors, linear.first[1:-1])]
    assert np.flatnonzero(infinite).tolist() == [3]
    assert infinite[3] == 2


def test_labels_without_weight_do_not_calibrate(data, binary):
    (X, eta), (_, held_at) = data, binary
    Y = (eta > 0)[:200]
    weight = RNG.uniform(0.5, 2, Y.shape)
    weight[held_at[:7], 5] = 0
    found = few_steps().fit(X[:200], Y, sample_weight=weight).linear_
    expected = np.full(14, len(held_at))
    expected[5] -= 7
    np.testing.assert_array_equal(np.diff(found.first), expected)


def test_sets_hold_new_labels_as_often_as_asked(data, fitted):
    X, eta = data
    est, _ = fitted
    X_test, y_test = X[200:], np.digitize(eta[200:], [-2, 2])
    y, sets = est.predict_set(X_test)
    np.testing.assert_array_equal(y, est.predict(X_test))
    covered = [s[np.arange(400), y_test[:, t]].mean() for t, s in enumerate(sets)]
    n = np.diff(est.linear_.first)
    few = n < 9
    assert few.tolist() == [True] + [False] * 13
    assert sets[0].all()
    # The coverage given the held-out labels has a beta distribution.
    error = np.sqrt(0.9 * 0.1 * np.mean(1 / (n[1:] + 2)) / 13)
    assert 0.9 - 4 * error < np.mean(covered[1:]) < 0.95 + 4 * error
    assert sum(s.sum() for s in sets[1:]) < 0.9 * 3 * 400 * 13
    for t, own in enumerate(sets):
        assert own[np.arange(400), y[:, t].astype(int)].all()
    _, wider = est.predict_set(X_test, confidence_level=0.95)
    assert all((b >= a).all() for a, b in zip(sets, wider, strict=True))


def test_sets_of_named_tasks_and_of_one(data, fitted):
    X, eta = data
    est, _ = fitted
    _, every = est.predict_set(X[:50])
    task = RNG.integers(14, size=50)
    y, own = est.predict_set(X[:50], task=task)
    np.testing.assert_array_equal(y, est.predict(X[:50], task=task))
    np.testing.assert_array_equal(own, np.stack(every, 1)[np.arange(50), task])
    single = few_steps().fit(X[:200], eta[:200, 0] > 0)
    y, sets = single.predict_set(X[:50])
    assert y.shape == (50,)
    assert sets.shape == (50, 2)


def test_tasks_of_one_class_and_without_labels(data):
    X, eta = data
    Y = np.where(eta[:100, :5] > 0, 1.0, 0.0)
    Y[:, 3], Y[:, 4] = 1, np.nan
    with pytest.warns(UserWarning, match="single class|no label"):
        est = few_steps().fit(X[:100], Y)
    _, sets = est.predict_set(X[:10])
    np.testing.assert_array_equal(sets[3], np.ones((10, 1)))
    assert sets[4].shape == (10, 0)
    _, of_rows = est.predict_set(X[:3], task=[0, 3, 4])
    np.testing.assert_array_equal(of_rows[1:], [[True, False], [False, False]])


def test_tables_of_every_type_have_intervals_and_sets(data, mixed):
    X, eta = data
    X_test = pd.DataFrame(X[200:], index=np.arange(400) + 7)
    y_test = labels(eta)[200:]
    y, intervals = mixed.predict_interval(X_test)
    pd.testing.assert_frame_equal(y, mixed.predict(X_test))
    assert list(intervals) == [f"t{t}" for t in range(6)]
    y, sets = mixed.predict_set(X_test)
    pd.testing.assert_frame_equal(y, mixed.predict(X_test))
    assert list(sets) == [f"t{t}" for t in range(6, 14)]
    inside = {}
    for name, ends in intervals.items():
        assert ends.columns.tolist() == ["lower", "upper"]
        pd.testing.assert_index_equal(ends.index, X_test.index)
        new = y_test[name].to_numpy()
        low, high = ends.to_numpy().T
        inside[name] = ((low <= new) & (new <= high)).mean()
        if name != "t2":
            assert (low <= y[name]).all()
            assert (y[name] <= high + 1).all()
    assert (intervals["t3"] % 1 == 0).all(axis=None)
    # Too few held-out labels.
    np.testing.assert_array_equal(intervals["t2"], [[0, np.inf]] * 400)
    assert sets["t10"].all(axis=None)
    for name, own in sets.items():
        assert own.columns.tolist() == mixed.classes_[int(name[1:])].tolist()
        pd.testing.assert_index_equal(own.index, X_test.index)
        column = own.columns.get_indexer(y_test[name])
        inside[name] = own.to_numpy()[np.arange(400), column].mean()
    del inside["t2"], inside["t10"]
    n = np.diff(mixed.linear_.first)
    error = np.sqrt(0.9 * 0.1 / (n[0] + 2) / len(inside))
    covered = np.mean(list(inside.values()))
    assert 0.9 - 4 * error < covered < 0.95 + 4 * error


def test_arrays_have_arrays_of_intervals_and_sets(data):
    X, eta = data
    Y = labels(eta[:100])[["t0", "t2", "t6", "t10"]].to_numpy(dtype=object)
    est = few_steps(
        SparseMultiTaskMixed, task_types=["number", "count", "binary", "class"]
    )
    est.fit(X[:100], Y)
    for method, shapes in (
        (est.predict_interval, {0: (500, 2), 1: (500, 2)}),
        (est.predict_set, {2: (500, 2), 3: (500, 3)}),
    ):
        y, found = method(X[100:], confidence_level=0.8)
        np.testing.assert_array_equal(y, est.predict(X[100:]))
        assert {t: array.shape for t, array in found.items()} == shapes


def test_tasks_of_several_types_can_be_named_for_each_row(data, mixed):
    X = data[0][:200]
    rng = np.random.default_rng(0)
    names = np.array([f"t{t}" for t in rng.integers(6, size=200)])
    every = mixed.predict_interval(X)[1]
    y, intervals = mixed.predict_interval(X, names)
    np.testing.assert_array_equal(y, mixed.predict(X, names))
    expected = [every[name].to_numpy()[i] for i, name in enumerate(names)]
    np.testing.assert_allclose(intervals, expected, rtol=1e-9)
    names = np.array([f"t{t}" for t in rng.integers(6, 14, size=200)])
    p, every = mixed.predict_proba(X), mixed.predict_set(X, confidence_level=0.8)[1]
    y, sets = mixed.predict_set(X, names, confidence_level=0.8)
    np.testing.assert_array_equal(y, mixed.predict(X, names))
    found = mixed.predict_proba(X, task=names)
    assert sets.shape == found.shape == (200, 3)
    for i, name in enumerate(names):
        n = p[name].shape[1]
        np.testing.assert_allclose(found[i], np.append(p[name][i], [0.0] * (3 - n)))
        own = np.append(every[name].to_numpy()[i], [False] * (3 - n))
        np.testing.assert_array_equal(sets[i], own)


def test_named_tasks_must_have_what_is_asked_for(data, mixed):
    X = data[0][:2]
    for method in (mixed.predict_proba, mixed.predict_set):
        with pytest.raises(ValueError, match="got 't2', of the type 'count'"):
            method(X, ["t6", "t2"])
    with pytest.raises(ValueError, match="got 't13', of the type 'class'"):
        mixed.predict_interval(X, ["t0", "t13"])


def test_named_tasks_of_one_class_or_without_labels_beside_numbers(data):
    X, eta = data
    Y = labels(eta[:100])[["t0", "t6", "t10", "t11", "t12"]].astype(object)
    Y["t11"], Y["t12"] = "a", None
    types = ["number", "binary", "class", "class", "class"]
    est = few_steps(SparseMultiTaskMixed, task_types=types)
    with pytest.warns(UserWarning, match="single class|no label"):
        est.fit(X[:100], Y.to_numpy())
    _, sets = est.predict_set(X[:2], [3, 4])
    expected = [[True, False, False], [False, False, False]]
    np.testing.assert_array_equal(sets, expected)
    p = est.predict_proba(X[:2], [3, 4])
    np.testing.assert_array_equal(p, [[1, 0, 0], [np.nan] * 3])


def test_ends_of_counts_with_fractions_are_not_rounded(data):
    X, eta = data
    Y = labels(eta[:100])[["t0", "t2", "t3"]].to_numpy()
    est = few_steps(SparseMultiTaskMixed, task_types=["number", "count", "count"])
    est.fit(X[:100], Y / [1, 4, 1])
    assert est.linear_.whole.tolist() == [False, False, True]
    _, intervals = est.predict_interval(X)
    assert (intervals[1] % 1 != 0).any()
    assert (intervals[2] % 1 == 0).all()


def test_files_keep_what_calibrates(data, mixed, tmp_path):
    X = data[0][200:230]
    mixed.save_params(tmp_path / "est")
    loaded = few_steps(SparseMultiTaskMixed).load_params(tmp_path / "est")
    for method in ("predict_interval", "predict_set"):
        expected, found = (getattr(e, method)(X)[1] for e in (mixed, loaded))
        assert expected.keys() == found.keys()
        for name in expected:
            np.testing.assert_array_equal(expected[name], found[name])


@pytest.mark.parametrize("level", [0, 1, 90, np.nan, "0.9", None, [0.5], True])
def test_levels_are_probabilities(data, fitted, mixed, level):
    for method in (fitted[0].predict_set, mixed.predict_set, mixed.predict_interval):
        with pytest.raises(ValueError, match=re.escape(f"in (0, 1), got {level!r}")):
            method(data[0], confidence_level=level)


def test_sets_need_held_out_rows_and_classes(data, fitted):
    X, eta = data
    adapted = fitted[0].adapt(X[:9], eta[:9, :2] > 0)
    with pytest.raises(ValueError, match="need linear_, which is not there"):
        adapted.predict_set(X)
    numbers = few_steps(SparseMultiTaskMixed).fit(X[:100], eta[:100])
    assert not hasattr(numbers, "predict_set")
    assert numbers.predict_interval(X)[1][0].shape == (600, 2)
