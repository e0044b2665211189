"""Sentences of a report, on columns with known faults."""

import numpy as np
from sklearn.utils import Bunch

from sparsedis.inspection import ModelReport
from sparsedis.inspection._report_notes import notes_of, summary_of

N = 8
FEATURES = {
    "feature": np.arange(3),
    "n_tasks": np.array([5, 4, 6]),
    "stability": np.ones(3),
    "trusted": np.ones(3, dtype=bool),
}
TASKS = {
    "task": np.array(list("abcdefgh")),
    "score": np.full(N, 0.9),
    "held_out": np.full(N, 0.9),
    "held_out_inputs": np.full(N, 0.5),
    "gain": np.full(N, 0.4),
    "n_features": np.full(N, 2.0),
}


def changed(columns, name, **values):
    """Columns of which some entries of one are replaced."""
    column = columns[name].copy()
    for at, value in values.items():
        column[int(at[1:])] = value
    return columns | {name: column}


def test_nothing_to_say():
    assert notes_of(TASKS, FEATURES, [], "R2") == []
    needed = {name: TASKS[name] for name in ("task", "n_features")}
    assert notes_of(needed, FEATURES, [], "R2") == []


def test_tasks():
    tasks = changed(TASKS, "n_features", _1=np.nan, _2=0)
    tasks = changed(tasks, "held_out", _3=-0.5)
    tasks = changed(tasks, "gain", _3=-0.2, _4=-0.001, _5=np.nan)
    assert notes_of(tasks, FEATURES, [], "R2") == [
        "No head, without labels or with a single class: b.",
        "Heads that use no feature: c.",
        "Not predicted better than by the mean, on held-out rows: d.",
        "Predicted worse than by models on X alone, on held-out rows: d.",
        *notes_of(TASKS | {"held_out": tasks["held_out"]}, FEATURES, [], "R2")[1:],
    ]


def test_many_tasks_are_counted():
    tasks = TASKS | {"n_features": np.zeros(N)}
    assert notes_of(tasks, FEATURES, [], "R2") == [
        "Heads that use no feature: a, b, c, d, e and 3 more."
    ]


def test_overfitting_is_judged_on_tasks_with_both_scores():
    tasks = TASKS | {"held_out": np.full(N, 0.5)}
    (note,) = notes_of(tasks, FEATURES, [], "R2")
    assert note.startswith("R2 is 0.90 on the given rows and 0.50 on held-out ones")
    tasks = TASKS | {"held_out": np.where(np.arange(N) < 4, 0.9, np.nan)}
    tasks["score"] = np.where(np.arange(N) < 4, 0.92, 9.0)
    assert notes_of(tasks, FEATURES, [], "R2") == []


def test_accuracy_is_not_compared_with_explained_deviance():
    tasks = TASKS | {"held_out": np.full(N, 0.5)}
    assert notes_of(tasks, FEATURES, [], "accuracy") == []


def test_features():
    features = changed(FEATURES, "n_tasks", _2=0)
    features = changed(features, "stability", _0=0.5, _1=0.949)
    assert notes_of(TASKS, features, [np.array([0, 1])], "R2") == [
        "Features that no head uses: 2.",
        "Features on which halves of the tasks disagree: 0, 1. Use more tasks or more "
        "labels.",
        "Features that the tasks do not separate: 0, 1.",
    ]


def test_summary():
    tasks = TASKS | {
        "held_out_heads": np.full(N, 0.8),
        "gain": np.array([0.0, 0.3, np.nan, 0.005, 0.5, -0.1, 0.01, 0.2]),
        "n_labels": np.array([4, 9, 4, 4, 4, 4, 4, 9]),
    }
    overlap = Bunch(smallest=0, median=1.5, n_pairs=28, n_disjoint=3)
    report = ModelReport("Some", tasks, FEATURES, "accuracy", overlap)
    assert summary_of(report) == [
        "8 tasks, 3 features",
        "D2 on held-out rows: 0.90 on average over 8 tasks; heads alone 0.80, models "
        "on X alone 0.50",
        "Gain from sharing, against models on X: +0.13 on average, 0.01 or more for "
        "4 of 7 tasks; most: e (+0.50), b (+0.30), h (+0.20), g (+0.01)",
        "Accuracy on the given rows: 0.90 on average over 8 tasks",
        "Labels of a task: 4 to 9, median 4; rows that two tasks share: 0 or more, "
        "median 1.5; 3 of 28 pairs share none",
        "Trusted as factors: 3 of 3 features; a head uses 2.0 on average",
    ]


def test_summary_of_tasks_without_scores():
    unknown = np.full(N, np.nan)
    scores = ("score", "held_out", "held_out_heads", "held_out_inputs", "gain")
    tasks = TASKS | dict.fromkeys(scores, unknown) | {"n_labels": np.full(N, 2)}
    assert summary_of(ModelReport("Some", tasks, FEATURES))[1:4] == [
        "R2 on held-out rows: unknown, no task has enough labels",
        "R2 on the given rows: unknown, no task has enough labels",
        "Labels of a task: 2",
    ]
    assert notes_of(tasks, FEATURES, [], "R2") == []
