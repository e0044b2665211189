"""Scores task by task: those of scikit-learn on the labelled rows of each."""

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    log_loss,
    mean_absolute_error,
    mean_squared_error,
    r2_score,
    roc_auc_score,
    root_mean_squared_error,
)

from sparsedis.metrics import task_scores

ERRORS = {
    "r2": r2_score,
    "rmse": root_mean_squared_error,
    "mse": mean_squared_error,
    "mae": mean_absolute_error,
}
HITS = {"accuracy": accuracy_score, "balanced_accuracy": balanced_accuracy_score}
N, T = 60, 4


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def weights(rng, kind):
    if kind is None:
        return None
    shape = (N,) if kind == "rows" else (N, T)
    return rng.integers(0, 3, shape) * 0.5


def expected(function, Y, P, weight, labelled):
    """Scores of each task by scikit-learn."""
    scores = []
    for t, own in enumerate(labelled.T):
        w = None
        if weight is not None:
            w = weight if weight.ndim == 1 else weight[:, t]
            own = own & (w > 0)
            w = w[own]
        p = P[t][own] if isinstance(P, list) else P[own, t]
        with warnings.catch_warnings():
            # Predictions of classes that the labelled rows do not have.
            warnings.simplefilter("ignore", UserWarning)
            scores.append(function(Y[own, t], p, sample_weight=w))
    return scores


@pytest.mark.parametrize("metric", ERRORS)
@pytest.mark.parametrize("outputs", [(), (3,)])
@pytest.mark.parametrize("kind", [None, "rows", "labels"])
def test_targets(rng, metric, outputs, kind):
    Y = rng.standard_normal((N, T, *outputs)) + 3
    P = Y + rng.standard_normal(Y.shape)
    labelled = rng.random((N, T)) < 0.6
    weight = weights(rng, kind)
    found = task_scores(
        np.where(labelled.reshape(N, T, *[1] * len(outputs)), Y, np.nan),
        P,
        metric=metric,
        sample_weight=weight,
    )
    assert_allclose(found, expected(ERRORS[metric], Y, P, weight, labelled))


@pytest.mark.parametrize("metric", HITS)
@pytest.mark.parametrize("labels", [[0, 1, 2], ["lo", "mid", "hi"], [False, True]])
@pytest.mark.parametrize("kind", [None, "rows", "labels"])
def test_classes(rng, metric, labels, kind):
    Y, P = (np.array(labels)[rng.integers(len(labels), size=(N, T))] for _ in range(2))
    P = np.where(rng.random((N, T)) < 0.5, Y, P)
    labelled = rng.random((N, T)) < 0.3
    weight = weights(rng, kind)
    found = task_scores(
        np.where(labelled, Y.astype(object), None),
        P,
        metric=metric,
        sample_weight=weight,
    )
    assert_allclose(found, expected(HITS[metric], Y, P, weight, labelled))


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy"])
def test_text_and_numbers_are_no_classes_of_one_task(metric):
    numbers = np.array([[0, 1], [1, 1], [0, 0]])
    text = numbers.astype(str).astype(object)
    text[0, 1] = None
    message = "y_pred must hold classes of the kind .* got {} for the label {} of task"
    for y, p, shown in ((text, numbers, (0, "'0'")), (numbers, text, ("'0'", 0))):
        y, p = (pd.DataFrame(part, columns=["a", "b"]) for part in (y, p))
        with pytest.raises(ValueError, match=message.format(*shown) + " a: one is"):
            task_scores(y[["a"]], p[["a"]], metric=metric)
    # In tasks of their own, and for a prediction that is only wrong.
    mixed = np.column_stack([text[:, 0], numbers[:, 1]])
    assert_allclose(task_scores(mixed, mixed, metric=metric), 1)
    assert_allclose(task_scores([["0"], ["1"]], [["1"], ["0"]], metric=metric), 0)


def test_balanced_accuracy_counts_the_classes_that_are_labelled():
    Y = np.array([["a"], ["a"], ["b"], [None]], dtype=object)
    found = task_scores(Y, [["a"], ["c"], ["b"], ["b"]], metric="balanced_accuracy")
    assert_array_equal(found, [0.75])


def probabilities(rng, n_classes):
    p = rng.random((N, n_classes)) + 0.05
    return p / p.sum(1, keepdims=True)


def auc(y, p, sample_weight):
    if p.ndim == 2 and p.shape[1] == 2:
        p = p[:, 1]
    return roc_auc_score(y, p, sample_weight=sample_weight, multi_class="ovr")


PROBABILISTIC = {"roc_auc": auc, "log_loss": log_loss}


@pytest.mark.parametrize("metric", PROBABILISTIC)
@pytest.mark.parametrize("kind", [None, "rows", "labels"])
def test_probabilities_of_classes(rng, metric, kind):
    counts = [2, 3, 4, 2]
    Y = np.stack([rng.integers(c, size=N) for c in counts], 1).astype(float)
    P = [probabilities(rng, c) for c in counts]
    labelled, weight = rng.random((N, T)) < 0.8, weights(rng, kind)
    given = np.where(labelled, Y, np.nan)
    found = task_scores(given, P, metric=metric, sample_weight=weight)
    assert_allclose(
        found, expected(PROBABILISTIC[metric], Y, P, weight, labelled), rtol=1e-12
    )
    named = task_scores(
        given,
        P,
        metric=metric,
        sample_weight=weight,
        classes=[list(range(c)) for c in counts],
    )
    assert_array_equal(named, found)


@pytest.mark.parametrize("metric", PROBABILISTIC)
def test_probabilities_of_the_second_class(rng, metric):
    Y = np.where(rng.random((N, T)) < 0.7, rng.integers(2, size=(N, T)), np.nan)
    p = rng.random((N, T))
    both = [np.stack([1 - q, q], 1) for q in p.T]
    found = task_scores(Y, p, metric=metric)
    assert_allclose(found, task_scores(Y, both, metric=metric))
    words = np.where(np.isnan(Y), None, np.where(Y == 1, "b", "a"))
    assert_array_equal(task_scores(words, p, metric=metric), found)


def test_a_class_without_column_has_probability_zero():
    y, p = np.array(["a", "b", "c", "a"]), np.array([[0.5, 0.5]] * 4)
    found = task_scores(y, p, metric="log_loss", classes=["a", "b"])
    assert_allclose(found, log_loss(y, np.pad(p, ((0, 0), (0, 1)))))


def test_known_classes_that_are_not_labelled():
    y, p = np.array([1.0, 1.0, np.nan]), np.array([0.9, 0.8, 0.1])
    found = task_scores(y, p, metric="log_loss", classes=[0, 1])
    assert_allclose(found, log_loss([1, 1], p[:2], labels=[0, 1]))
    assert np.isnan(task_scores(y, p, metric="roc_auc", classes=[0, 1]))


@pytest.mark.parametrize(
    ("metric", "scored"),
    [
        ("r2", [False, False, True]),
        ("rmse", [False, True, True]),
        ("mae", [False, True, True]),
        ("accuracy", [False, True, True]),
        ("balanced_accuracy", [False, True, True]),
        ("roc_auc", [False, False, True]),
        ("log_loss", [False, False, True]),
    ],
)
def test_tasks_that_cannot_be_scored(metric, scored):
    nan = np.nan
    Y = np.array([[nan, 1.0, 0.0], [nan, nan, 1.0], [nan, nan, 1.0]])
    found = task_scores(Y, np.full((3, 3), 0.25), metric=metric)
    assert_array_equal(~np.isnan(found), scored)


@pytest.mark.parametrize("metric", ["r2", "accuracy", "log_loss"])
def test_tasks_without_predictions(metric):
    Y, P = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), np.full((3, 2), 0.5)
    P[:, 0] = np.nan
    assert_array_equal(np.isnan(task_scores(Y, P, metric=metric)), [True, False])
    P[0, 0] = 0.5
    with pytest.raises(ValueError, match=r"y_pred lacks 2 of 3 predictions .* task 0"):
        task_scores(Y, P, metric=metric)
    # A missing prediction of what has no label does not matter.
    Y[1:, 0] = np.nan
    assert task_scores(Y, P, metric=metric).shape == (2,)


def test_a_task_that_the_classifier_never_saw():
    Y = np.array([[0, 1], [1, 0]])
    p = [np.empty((2, 0)), np.array([[0.2, 0.8], [0.6, 0.4]])]
    found = task_scores(Y, p, metric="roc_auc", classes=[[], [0, 1]])
    assert_array_equal(found, [np.nan, 1.0])


@pytest.mark.parametrize("metric", ["r2", "accuracy", "roc_auc"])
def test_forms_of_labels(rng, metric):
    Y = np.where(rng.random((N, T)) < 0.7, rng.integers(2, size=(N, T)), np.nan)
    P = rng.random((N, T)) if metric != "accuracy" else rng.integers(2, size=(N, T))
    wide = task_scores(Y, P, metric=metric)
    rows, tasks = np.nonzero(~np.isnan(Y))
    stored = sp.csr_array((Y[rows, tasks], (rows, tasks)), shape=Y.shape)
    assert_allclose(task_scores(stored, P, metric=metric), wide)
    frame = pd.DataFrame(Y, columns=list("abcd"))
    assert_array_equal(
        task_scores(frame, pd.DataFrame(P, columns=list("abcd")), metric=metric), wide
    )
    assert_array_equal(task_scores(frame.astype("Int64"), P, metric=metric), wide)
    masked = np.ma.masked_invalid(Y)
    assert_array_equal(task_scores(masked, P, metric=metric), wide)
    long = task_scores(
        Y[rows, tasks],
        P[rows, tasks],
        metric=metric,
        task=np.array(list("abcd"))[tasks],
    )
    assert_allclose(long, wide)
    one = task_scores(Y[:, 0], P[:, 0], metric=metric)
    assert_array_equal(one, wide[:1])
    assert_array_equal(task_scores(Y[:, :1], P[:, :1], metric=metric), one)
    assert_array_equal(task_scores(Y[:, 0], P[:, :1], metric=metric), one)


def test_probabilities_in_the_long_form(rng):
    # As `predict_proba(X, task=task)` pads those of tasks with fewer classes.
    counts, task = [3, 2], np.repeat(["x", "y"], N)
    y = np.concatenate([rng.integers(c, size=N) for c in counts])
    p = [probabilities(rng, c) for c in counts]
    padded = np.concatenate([p[0], np.pad(p[1], ((0, 0), (0, 1)))])
    found = task_scores(y, padded, metric="log_loss", task=task)
    assert_allclose(found, [log_loss(y[:N], p[0]), log_loss(y[N:], p[1])])


@pytest.mark.parametrize(
    ("y", "p", "params", "message"),
    [
        ([1.0, 2.0], [1.0], {}, r"y_pred must have shape \(2,\), .*; got \(1,\)"),
        (np.ones((2, 3)), np.ones((2, 2)), {}, r"shape \(2, 3\), .*; got \(2, 2\)"),
        ([1.0, 2.0], [1.0, np.inf], {}, "y_pred holds infinity"),
        ([np.nan, np.nan], [1.0, 1.0], {}, "y holds no label at all"),
        ([1.0, 2.0], [1.0, 1.0], {"metric": "r3"}, "metric must be one of .*'r3'"),
        ([0.5, 1.2], [1, 1], {"metric": "accuracy"}, "continuous"),
        (
            np.ones((2, 3)),
            np.ones((2, 3)),
            {"sample_weight": np.ones((2, 2))},
            r"sample_weight must have shape \(2,\) or \(2, 3\); got \(2, 2\)",
        ),
        (
            np.ones((2, 1)),
            np.ones((2, 1)),
            {"sample_weight": [[1.0], [-1.0]]},
            "not negative wherever y has a label; got -1",
        ),
        (
            np.ones((2, 1)),
            np.ones((2, 1)),
            {"sample_weight": [[0.0], [0.0]]},
            "all weights are zero",
        ),
        (
            pd.DataFrame({"a": [1.0, 2.0], "b": [1.0, 2.0]}),
            pd.DataFrame({"b": [1.0, 2.0], "a": [1.0, 2.0]}),
            {},
            r"columns of y_true, in the same order; got \['b', 'a'\]",
        ),
        (
            [0, 1, 2],
            [0.1, 0.2, 0.3],
            {"metric": "log_loss"},
            "a probability of each class for task 0, which has 3 classes",
        ),
        (
            [0, 1, 0],
            np.full((3, 3), 1 / 3),
            {"metric": "roc_auc"},
            "3 columns for task 0, for which 2 classes are known; classes=",
        ),
        (
            np.array([[0, 1], [1, 0]]),
            [np.ones((2, 2))],
            {"metric": "roc_auc"},
            r"a list of 2 arrays \(2, n_classes\); got \[\(2, 2\)\]",
        ),
        (
            np.array([[0, 1], [1, 0]]),
            np.ones((2, 3)),
            {"metric": "log_loss"},
            r"of shape \(2, 2\), or be a list .*; got \(2, 3\)",
        ),
        (
            np.array([[0, 1], [1, 0]]),
            np.ones((2, 2)),
            {"metric": "log_loss", "classes": [[0, 1]]},
            "those of each of the 2 tasks, .*; got those of 1 tasks",
        ),
    ],
)
def test_errors(y, p, params, message):
    with pytest.raises(ValueError, match=message):
        task_scores(y, p, **params)
