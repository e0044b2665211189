"""CoefPathDisplay: coefficients of sparse heads along their penalties."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sparsedis.heads import SparseHeadsCV
from sparsedis.inspection import CoefPathDisplay


def table(n=60, p=8, n_tasks=5, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p))
    Y = X[:, :3] @ rng.standard_normal((3, n_tasks)) + rng.standard_normal((n, n_tasks))
    return X, Y


def test_named_tasks_of_heads():
    X, Y = table()
    X = pd.DataFrame(X, columns=list("abcdefgh"))
    Y = pd.DataFrame(Y, columns=["v", "w", "x", "y", "z"])
    model = make_pipeline(StandardScaler().set_output(transform="pandas"))
    model = make_pipeline(model, SparseHeadsCV(10)).fit(X, Y)
    heads = model[-1]
    display = CoefPathDisplay.from_estimator(model, X, Y, tasks=["z", "v"])
    alphas, coefs = heads.coef_path(model[:-1].transform(X), Y, tasks=["z", "v"])
    for i, t in enumerate([4, 0]):
        for j, line in enumerate(display.lines_[i]):
            np.testing.assert_array_equal(line.get_xdata(), alphas[i])
            np.testing.assert_array_equal(line.get_ydata(), coefs[i, j])
        ax = display.axes_[i]
        marks = [li for li in ax.lines if li not in display.lines_[i]]
        assert marks[0].get_xdata() == [heads.alpha_[t]] * 2
        assert ax.get_xscale() == "log"
        assert f"task {'zv'[i]}" in ax.get_ylabel()
        largest = np.argsort(-np.abs(heads.coef_[t]))[:6]
        used = {f"feature {'abcdefgh'[j]}" for j in largest if heads.coef_[t, j]}
        labels = [text.get_text() for text in ax.get_legend().get_texts()]
        assert set(labels[:-1]) == used
        assert labels[-1].startswith("chosen: alpha = ")


def test_the_first_tasks_with_labels():
    X, Y = table()
    Y[:, 1] = np.nan
    heads = SparseHeadsCV(5).fit(X, Y)
    display = CoefPathDisplay.from_estimator(heads, X, Y)
    assert display.task_names == ["0", "2", "3"]
    single = CoefPathDisplay.from_estimator(
        SparseHeadsCV(5).fit(X, Y[:, 0]), X, Y[:, 0]
    )
    assert len(single.axes_) == 1
    assert single.axes_[0].get_ylabel() == "coefficient"


def test_a_feature_has_one_style_in_all_panels():
    # Each task uses its own eight of ten features.
    coefs = np.arange(1.0, 11.0)[:, None] * [0.5, 1.0]
    coefs = np.stack([coefs, coefs[::-1], np.roll(coefs, 3, axis=0)])
    display = CoefPathDisplay(alphas=[[2.0, 1.0]] * 3, coefs=coefs).plot()
    styles = {}
    for panel in display.lines_:
        for j, line in enumerate(panel):
            if line.get_label().startswith("feature"):
                own = line.get_color(), line.get_linestyle()
                assert styles.setdefault(j, own) == own
    assert len(styles) == len(set(styles.values())) == 10


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"coefs": np.ones((1, 2))}, "coefs must have shape"),
        ({"alphas": [[1.0]]}, "coefs must have shape"),
        ({"alphas": [[1.0, 0.0]]}, "alphas must be positive"),
        ({"coefs": np.full((1, 3, 2), np.nan)}, "alphas must be positive, and coefs"),
        ({"chosen": [1.0, 2.0]}, "chosen must hold 1 penalties"),
        ({"chosen": [-1.0]}, "chosen must be positive, got"),
        ({"task_names": ["a", "b"]}, "task_names must hold 1 names"),
        ({"feature_names": ["a"]}, "feature_names must hold 3 names"),
    ],
)
def test_wrong_arguments_are_named(wrong, message):
    right = {"alphas": [[2.0, 1.0]], "coefs": np.ones((1, 3, 2))}
    with pytest.raises(ValueError, match=message):
        CoefPathDisplay(**{**right, **wrong})


def test_other_estimators_are_refused():
    X, Y = table()
    with pytest.raises(
        TypeError, match=r"must be a SparseHeadsCV, .* LinearRegression"
    ):
        CoefPathDisplay.from_estimator(LinearRegression().fit(X, Y), X, Y)
