"""ModelReport: what a fitted model has learned, in tables and sentences."""

import sys
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sparsedis import (
    SparseMultiTaskClassifier,
    SparseMultiTaskEnsemble,
    SparseMultiTaskMixed,
    SparseMultiTaskRepresentation,
)
from sparsedis.datasets import make_sparse_tasks
from sparsedis.inspection import ModelReport
from sparsedis.metrics import task_scores

NAME = "<b>&'\""
QUICK = {"rotation": None, "alpha": 0.05, "max_iter": 5, "random_state": 0}


@pytest.fixture(scope="module")
def data():
    X, Y = make_sparse_tasks(150, 24, n_factors=3, labelled=0.7, random_state=0)
    Y[:, 4] = np.nan
    names = [NAME, *(f"task {t}" for t in range(1, 24))]
    return X, pd.DataFrame(Y, columns=names)


@pytest.fixture(scope="module")
def rotated(data):
    est = SparseMultiTaskRepresentation(3, max_iter=30, random_state=0)
    with pytest.warns(UserWarning, match="task 4"):
        return est.fit(*data)


@pytest.fixture(scope="module")
def report(rotated, data):
    return ModelReport.from_estimator(rotated, *data)


def lines_of(report):
    return repr(report).split("\n")


def test_columns_of_tasks(rotated, data, report):
    X, Y = data
    tasks, linear = report.tasks, rotated.linear_
    assert list(tasks) == [
        *("task", "type", "n_labels", "score", "held_out", "held_out_heads"),
        *("held_out_linear", "held_out_inputs", "gain", "share", "n_features"),
        "features",
    ]
    assert_array_equal(tasks["task"], Y.columns)
    assert set(tasks["type"]) == {"number"}
    assert_array_equal(tasks["n_labels"], Y.notna().sum())
    assert_allclose(tasks["score"], task_scores(Y.to_numpy(), rotated.predict(X)))
    assert_array_equal(tasks["held_out"], linear.score)
    assert_array_equal(tasks["held_out_heads"], linear.score_heads)
    assert_array_equal(tasks["held_out_linear"], linear.score_linear)
    assert_array_equal(tasks["held_out_inputs"], linear.score_inputs)
    assert_array_equal(tasks["gain"], linear.score - linear.score_inputs)
    headed = np.arange(24) != 4
    assert_array_equal(tasks["share"][headed], linear.share[headed])
    assert np.isnan(tasks["share"][4])
    assert_array_equal(tasks["n_features"][headed], rotated.support_[headed].sum(1))
    assert np.isnan(tasks["n_features"][4])
    assert tasks["features"][4] == ()
    supports = [np.flatnonzero(support) for support in rotated.support_[headed]]
    assert [list(used) for used in tasks["features"][headed]] == [
        support.tolist() for support in supports
    ]


@pytest.mark.filterwarnings("ignore:.*are NaN and left out:UserWarning")
def test_columns_of_features(rotated, report):
    features = report.features
    assert list(features) == ["feature", "n_tasks", "stability", "trusted"]
    headed = np.arange(24) != 4
    assert_array_equal(features["n_tasks"], rotated.support_[headed].sum(0))
    assert_array_equal(features["stability"], rotated.stability_)
    trusted = rotated.identifiability(random_state=0).trusted
    assert_array_equal(features["trusted"], trusted)


def test_overlap(data, report):
    labelled = data[1].notna().to_numpy().astype(int)
    shared = (labelled.T @ labelled)[np.triu_indices(24, 1)]
    # A task without labels is in no pair.
    shared = shared[shared > 0]
    assert report.overlap == {
        "smallest": shared.min(),
        "median": np.median(shared),
        "n_pairs": 23 * 22 // 2,
        "n_disjoint": 0,
    }


def test_text(report):
    lines = lines_of(report)
    assert lines[0] == "ModelReport: SparseMultiTaskRepresentation"
    assert lines[1] == "24 tasks, 3 features"
    assert lines[2].startswith("R2 on held-out rows: ")
    assert "on average over 23 tasks; heads alone " in lines[2]
    assert lines[3].startswith("Gain from sharing, against models on X: ")
    assert lines[4].startswith("R2 on the given rows: ")
    assert lines[5].startswith("Labels of a task: 0 to ")
    start = lines.index("")
    header = lines[start + 1]
    assert header.split()[:4] == ["task", "type", "labels", "score"]
    assert lines[start + 2].startswith(NAME)
    assert [line.split()[3:10] for line in lines if line.startswith("task 4 ")] == [
        ["0", "-", "-", "-", "-", "-", "-"]
    ]
    # The first 20 tasks, and all the features.
    assert sum("number" in line for line in lines) == 20
    assert lines[start + 22] == "... and 4 more"
    assert lines[start + 24].split() == ["feature", "tasks", "stability", "trusted"]
    assert "- No head, without labels or with a single class: task 4." in lines
    assert str(report) == repr(report)


class Parsed(HTMLParser):
    """Text, tags and attributes; every tag must be closed in turn."""

    def __init__(self, html):
        super().__init__()
        self.text, self.open, self.tags, self.attributes = [], [], set(), set()
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_html_is_whole_and_escaped(report):
    html = report._repr_html_()
    parsed = Parsed(html)
    # The name of the task is text, not a tag.
    assert "b" not in parsed.tags
    assert parsed.text.count(NAME) == 1
    assert "<b>" not in html
    assert parsed.attributes == {"class"}
    assert "url(" not in html
    assert "... and 4 more" in parsed.text
    rows = html.count("<tr>")
    assert rows == 1 + 20 + 1 + 3
    for line in (*lines_of(report)[:7], *report.notes):
        assert line in parsed.text


def test_html_escapes_sentences(report):
    named = ModelReport("E<i>", report.tasks, report.features, notes=["<script>"])
    parsed = Parsed(named._repr_html_())
    assert not parsed.tags & {"i", "script"}


def test_frame(report):
    frame = report.to_frame()
    assert list(frame.columns) == list(report.tasks)
    assert len(frame) == 24
    assert_array_equal(frame["score"], report.tasks["score"])


def test_frame_without_pandas(report, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        report.to_frame()


def test_without_data(rotated, data, report):
    alone = ModelReport.from_estimator(rotated)
    assert not {"score", "n_labels"} & set(alone.tasks)
    assert alone.overlap is None
    labels = ModelReport.from_estimator(rotated, y=data[1])
    assert "score" not in labels.tasks
    assert_array_equal(labels.tasks["n_labels"], report.tasks["n_labels"])
    assert labels.overlap == report.overlap


def test_without_rotation(data):
    X, Y = data
    est = SparseMultiTaskRepresentation(3, **QUICK).fit(X, Y.iloc[:, :4])
    report = ModelReport.from_estimator(est, X, Y.iloc[:, :4])
    assert not {"held_out", "gain", "share"} & set(report.tasks)
    assert list(report.features) == ["feature", "n_tasks", "trusted"]
    assert lines_of(report)[2].startswith("R2 on the given rows: ")
    Parsed(report._repr_html_())


def test_vectors(data):
    X, Y = data
    vectors = np.stack([Y.iloc[:, :3], -2 * Y.iloc[:, :3]], -1)
    est = SparseMultiTaskRepresentation(3, **QUICK).fit(X, vectors)
    report = ModelReport.from_estimator(est, X, vectors)
    assert set(report.tasks["type"]) == {"vector"}
    assert_array_equal(report.tasks["n_labels"], Y.iloc[:, :3].notna().sum())
    assert_allclose(report.tasks["score"].mean(), est.score(X, vectors))


def test_a_single_target(data):
    X, Y = data
    y = np.nan_to_num(Y.iloc[:, 0])
    est = SparseMultiTaskRepresentation(2, **QUICK).fit(X, y)
    report = ModelReport.from_estimator(est, X, y)
    assert lines_of(report)[1] == "1 task, 2 features"
    assert "Labels of a task: 150" in lines_of(report)
    assert report.overlap is None
    assert_allclose(report.tasks["score"], [est.score(X, y)])


def test_classes(data):
    X, Y = data
    classes = (Y > 0).astype(float)
    classes["task 1"] += Y["task 1"] > 0.5
    classes = classes.where(Y.notna()).iloc[:, :5]
    est = SparseMultiTaskClassifier(3, **QUICK)
    with pytest.warns(UserWarning, match="task 4"):
        est.fit(X, classes)
    report = ModelReport.from_estimator(est, X, classes)
    assert report.score_name == "accuracy"
    assert list(report.tasks["type"][:3]) == ["binary", "class", "binary"]
    expected = task_scores(classes, est.predict(X), metric="accuracy")
    assert_allclose(report.tasks["score"], expected)
    assert any(line.startswith("Accuracy on the given") for line in lines_of(report))


def test_several_types(data):
    X, Y = data
    mixed = Y.iloc[:, :3].copy()
    mixed["class"] = np.where(Y["task 3"] > 0, "a", "b")
    mixed.loc[:40, "class"] = None
    est = SparseMultiTaskMixed(3, **QUICK).fit(X, mixed)
    report = ModelReport.from_estimator(est, X, mixed)
    assert report.score_name == "D2"
    assert list(report.tasks["type"]) == ["number"] * 3 + ["binary"]
    assert_array_equal(report.tasks["n_labels"], mixed.notna().sum())
    assert_allclose(report.tasks["score"], est.task_scores(X, mixed)["d2"])


def test_the_long_form(data):
    X, Y = data
    Y = Y.to_numpy()[:, :3]
    rows, task = np.nonzero(~np.isnan(Y))
    est = SparseMultiTaskRepresentation(3, **QUICK).fit(X[rows], Y[rows, task], task)
    wide = ModelReport.from_estimator(est, X, Y)
    long = ModelReport.from_estimator(est, X[rows], Y[rows, task], task=task)
    assert_array_equal(long.tasks["n_labels"], wide.tasks["n_labels"])
    assert_allclose(long.tasks["score"], wide.tasks["score"])
    assert long.overlap == wide.overlap
    # Labels at the same row are several labels.
    twice = np.r_[rows, rows], np.r_[task, task]
    double = ModelReport.from_estimator(est, X[twice[0]], Y[twice], task=twice[1])
    assert_array_equal(double.tasks["n_labels"], 2 * wide.tasks["n_labels"])
    assert double.overlap == wide.overlap
    # Without X it is not known which rows are the same.
    labels = ModelReport.from_estimator(est, y=Y[rows, task], task=task)
    assert_array_equal(labels.tasks["n_labels"], wide.tasks["n_labels"])
    assert labels.overlap is None


def test_an_estimator_in_a_pipeline_of_a_search(data):
    X, Y = data
    Y = Y.iloc[:, :4]
    pipeline = make_pipeline(
        StandardScaler(), SparseMultiTaskRepresentation(3, **QUICK)
    )
    search = GridSearchCV(
        pipeline, {"sparsemultitaskrepresentation__max_iter": [3]}, cv=KFold(2)
    ).fit(X, Y)
    report = ModelReport.from_estimator(search, X, Y)
    assert report.estimator == "SparseMultiTaskRepresentation"
    assert_allclose(report.tasks["score"].mean(), search.best_estimator_.score(X, Y))


def test_bad_input_raises(rotated, data):
    X, Y = data
    with pytest.raises(ValueError, match="y must hold labels to score"):
        ModelReport.from_estimator(rotated, X)
    members = SparseMultiTaskEnsemble(SparseMultiTaskRepresentation(3, **QUICK), 1)
    members.fit(X, Y.iloc[:, :4])
    with pytest.raises(ValueError, match="For an ensemble, pass one of its"):
        ModelReport.from_estimator(members)
    stream = [(X, Y.iloc[:, :3].fillna(0).to_numpy())]
    est = SparseMultiTaskRepresentation(3, **QUICK).fit_stream(stream)
    with pytest.raises(AttributeError, match="fit_stream does not keep its tasks"):
        ModelReport.from_estimator(est)
