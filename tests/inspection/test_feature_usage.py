"""FeatureUsageDisplay: sorted shares of tasks."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import MultiTaskLasso
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sparsedis.inspection import FeatureUsageDisplay


def labels(display):
    return [text.get_text() for text in display.legend_.get_texts()]


def test_curves_are_sorted():
    display = FeatureUsageDisplay(
        usage={"dense": [1.0, 1.0, 1.0], "sparse": [0.2, 0.6, 0.1, 0.0]}
    ).plot()
    dense, sparse = display.lines_
    assert_array_equal(dense.get_xdata(), [1, 2, 3])
    assert_array_equal(dense.get_ydata(), [1, 1, 1])
    assert_array_equal(sparse.get_xdata(), [1, 2, 3, 4])
    assert_array_equal(sparse.get_ydata(), [0.6, 0.2, 0.1, 0.0])
    assert labels(display) == ["dense (mean 1.00)", "sparse (mean 0.23)"]
    assert dense.get_color() != sparse.get_color()
    low, high = display.ax_.get_ylim()
    assert low < 0 < 1 < high


def test_values_of_a_parameter_name_the_curves():
    usage = {0.3: [0.5], 0.0: [1.0]}
    display = FeatureUsageDisplay(usage=usage, param_name="alpha").plot()
    assert labels(display) == ["alpha = 0.3 (mean 0.50)", "alpha = 0 (mean 1.00)"]


def test_a_single_curve_tells_its_mean():
    display = FeatureUsageDisplay(usage=[0.25, 0.75]).plot()
    assert labels(display) == ["mean 0.50"]


@pytest.mark.parametrize(("n_features", "marker"), [(40, "o"), (41, "None")])
def test_markers_of_few_features(n_features, marker):
    (line,) = FeatureUsageDisplay(usage=np.ones(n_features)).plot().lines_
    assert line.get_marker() == marker


def test_heads_of_an_estimator(fitted):
    coef = np.array([[1.0, 0.0], [np.nan, np.nan], [3.0, 0.5], [-1.0, 0.0]])
    support = coef > 0.8
    # Counts of all tasks, of which the second has no label.
    est = fitted(coef_=coef, support_=support, feature_usage_=support.sum(0))
    (line,) = FeatureUsageDisplay.from_estimator(est).lines_
    assert_allclose(line.get_ydata(), [2 / 3, 0])


def test_heads_of_classifiers(fitted):
    coef = np.ones((4, 3, 2))
    coef[1, 2] = np.nan  # has two of the three classes
    coef[3] = np.nan  # has no label
    support = np.array([[1, 0], [1, 1], [1, 0], [0, 0]], dtype=bool)
    est = fitted(coef_=coef, support_=support)
    (line,) = FeatureUsageDisplay.from_estimator(est).lines_
    assert_allclose(line.get_ydata(), [1, 1 / 3])


def test_after_a_stream_there_is_only_the_usage(fitted):
    display = FeatureUsageDisplay.from_estimator(
        {
            0.1: fitted(feature_usage_=np.array([0.4, 0.6])),
            0.2: fitted(feature_usage_=np.array([0.4, 0.1])),
        },
        param_name="alpha",
    )
    assert_array_equal(display.lines_[0].get_ydata(), [0.6, 0.4])
    assert labels(display)[1] == "alpha = 0.2 (mean 0.25)"


def test_a_search_over_a_pipeline_of_scikit_learn():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 5))
    Y = X[:, :2] @ rng.standard_normal((2, 4))
    pipeline = make_pipeline(StandardScaler(), MultiTaskLasso())
    search = GridSearchCV(pipeline, {"multitasklasso__alpha": [0.3]}, cv=3).fit(X, Y)
    (line,) = FeatureUsageDisplay.from_estimator(search).lines_
    used = (search.best_estimator_[-1].coef_ != 0).mean(0)
    assert_array_equal(line.get_ydata(), np.sort(used)[::-1])
    assert 0 < used.mean() < 1


def test_bad_input_raises(fitted):
    with pytest.raises(ValueError, match=r"not counts: .* from 3 to 7"):
        FeatureUsageDisplay(usage=[3, 7])
    with pytest.raises(ValueError, match="from nan to nan"):
        FeatureUsageDisplay(usage=[0.5, np.nan])
    with pytest.raises(ValueError, match=r"\(n_features,\); got \(1, 2\)"):
        FeatureUsageDisplay(usage=[[0.5, 0.5]])
    with pytest.raises(ValueError, match="coef_ is NaN for every task"):
        FeatureUsageDisplay.from_estimator(fitted(coef_=np.full((2, 2), np.nan)))
    with pytest.raises(NotFittedError):
        FeatureUsageDisplay.from_estimator(MultiTaskLasso())


def test_usage_of_an_ensemble_is_that_of_its_members(fitted):
    est = fitted(support_=np.array([[1.0, 0.5], [0.0, 0.5]]), feature_usage_=[1.0, 1.0])
    display = FeatureUsageDisplay.from_estimator(est)
    assert_array_equal(display.lines_[0].get_ydata(), [0.5, 0.5])
