"""AlphaPathDisplay: scores of searches along a parameter."""

import numpy as np
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import make_regression
from sklearn.decomposition import FastICA
from sklearn.exceptions import NotFittedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import ElasticNet, Lasso
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sparsedis.inspection import AlphaPathDisplay
from sparsedis.metrics import make_disentanglement_scorer
from sparsedis.model_selection import UDRSearch

ALPHAS = [1.0, 0.1, 10.0]


@pytest.fixture(scope="module")
def data():
    return make_regression(60, 8, n_informative=3, noise=5.0, random_state=0)


def n_used(estimator, X, y):
    return np.mean(estimator.coef_ != 0)


@pytest.fixture(scope="module")
def multimetric(data):
    scoring = {"r2": "r2", "active_share": n_used}
    return GridSearchCV(
        Lasso(), {"alpha": ALPHAS}, scoring=scoring, refit="r2", cv=4
    ).fit(*data)


def texts(ax):
    legend = ax.get_legend()
    return [] if legend is None else [text.get_text() for text in legend.get_texts()]


def tick_labels(ax):
    return [label.get_text() for label in ax.get_xticklabels()]


def test_several_scores_of_a_search(multimetric):
    display = AlphaPathDisplay.from_estimator(multimetric)
    results = multimetric.cv_results_
    sort = np.argsort(ALPHAS)
    assert list(display.lines_) == ["r2", "active_share"]
    for ax, name in zip(display.axes_, display.lines_, strict=True):
        (line,) = display.lines_[name]
        assert line.axes is ax
        assert_array_equal(line.get_xdata(), [0.1, 1.0, 10.0])
        assert_allclose(line.get_ydata(), results[f"mean_test_{name}"][sort])
        (points,) = display.points_[name]
        splits = [results[f"split{i}_test_{name}"][sort] for i in range(4)]
        assert_array_equal(points.get_ydata().reshape(3, 4), np.transpose(splits))
        assert_array_equal(points.get_xdata(), np.repeat([0.1, 1.0, 10.0], 4))
    assert [ax.get_ylabel() for ax in display.axes_] == ["$R^2$", "active share"]
    assert display.axes_[-1].get_xlabel() == "alpha"


def test_the_chosen_setting_is_marked(multimetric):
    display = AlphaPathDisplay.from_estimator(multimetric)
    best = multimetric.best_params_["alpha"]
    for ax in display.axes_:
        (mark,) = [line for line in ax.lines if len(line.get_xdata()) == 2]
        assert_array_equal(mark.get_xdata(), [best, best])
    assert texts(display.axes_[0]) == [f"chosen: alpha = {best:g}"]


def test_metrics_are_chosen_and_named(multimetric):
    display = AlphaPathDisplay.from_cv_results(
        multimetric.cv_results_, metrics=["active_share"]
    )
    assert list(display.lines_) == ["active_share"]
    display = AlphaPathDisplay.from_cv_results(
        multimetric.cv_results_, metrics={"active_share": "features used", "r2": "r2"}
    )
    assert list(display.lines_) == ["features used", "r2"]
    assert display.axes_[0].get_ylabel() == "features used"
    # The first score decides: the smallest penalty uses the most.
    assert texts(display.axes_[0]) == ["chosen: alpha = 0.1"]


def test_other_parameters_make_curves(data):
    grid = {"elasticnet__alpha": ALPHAS, "elasticnet__l1_ratio": [0.5, 1.0]}
    pipeline = make_pipeline(StandardScaler(), ElasticNet())
    search = GridSearchCV(pipeline, grid, cv=3).fit(*data)
    display = AlphaPathDisplay.from_estimator(search)
    assert texts(display.axes_[0])[:2] == ["l1_ratio = 0.5", "l1_ratio = 1"]
    for line, ratio in zip(display.lines_["score"], [0.5, 1.0], strict=True):
        expected = [
            search.cv_results_["mean_test_score"][
                search.cv_results_["params"].index(
                    {"elasticnet__alpha": alpha, "elasticnet__l1_ratio": ratio}
                )
            ]
            for alpha in sorted(ALPHAS)
        ]
        assert_allclose(line.get_ydata(), expected)


def test_settings_without_the_parameter_are_left_out(data):
    grid = [{"fit_intercept": [True]}, {"alpha": [10.0, 0.1]}]
    search = GridSearchCV(Lasso(alpha=1.0), grid, cv=3).fit(*data)
    display = AlphaPathDisplay.from_estimator(search)
    assert_array_equal(display.lines_["score"][0].get_xdata(), [0.1, 10.0])
    assert search.best_index_ == 0
    assert texts(display.axes_[0]) == []


def test_halving(data):
    search = HalvingGridSearchCV(
        Lasso(), {"alpha": ALPHAS}, cv=3, factor=2, random_state=0, min_resources=20
    ).fit(*data)
    display = AlphaPathDisplay.from_estimator(search)
    first, second = display.lines_["score"]
    assert len(first.get_xdata()) == 3
    assert len(second.get_xdata()) == 2
    assert texts(display.axes_[0])[:2] == ["20 resources", "40 resources"]


@pytest.mark.parametrize("columns", [["n_resources", "iter"], ["n_resources"]])
def test_the_best_of_a_halving_search_is_of_the_last_round(columns):
    alphas = [0.1, 1.0, 10.0, 0.1, 1.0]
    results = {
        "params": [{"alpha": alpha} for alpha in alphas],
        "param_alpha": np.array(alphas),
        "n_resources": np.array([20, 20, 20, 40, 40]),
        "iter": np.array([0, 0, 0, 1, 1]),
        # Few samples make 10 look best.
        "mean_test_score": np.array([0.6, 0.7, 0.9, 0.5, 0.4]),
    }
    results = {
        key: column
        for key, column in results.items()
        if key in columns or "param" in key or "score" in key
    }
    display = AlphaPathDisplay.from_cv_results(results)
    assert display.best_index == 3
    assert texts(display.axes_[0])[-1] == "chosen: alpha = 0.1"
    results["mean_test_score"] = np.array([0.6, 0.7, 0.9, np.nan, 0.4])
    assert AlphaPathDisplay.from_cv_results(results).best_index == 4
    results["mean_test_score"] = np.array([0.6, 0.7, 0.9, np.nan, np.nan])
    assert AlphaPathDisplay.from_cv_results(results).best_index == 3


def test_rounds_with_the_same_resources(data):
    search = HalvingGridSearchCV(
        Lasso(),
        {"alpha": [0.1, 1.0, 3.0, 10.0, 30.0]},
        cv=3,
        factor=2,
        random_state=0,
        min_resources=20,
        max_resources=40,
        aggressive_elimination=True,
    ).fit(*data)
    display = AlphaPathDisplay.from_estimator(search)
    assert texts(display.axes_[0])[:3] == [
        "20 resources, round 1",
        "20 resources, round 2",
        "40 resources",
    ]
    again = AlphaPathDisplay.from_cv_results(search.cv_results_)
    assert again.best_index == display.best_index == search.best_index_


def test_factors_and_no_factors():
    rng = np.random.default_rng(0)
    factors = rng.uniform(size=(100, 2))
    X = factors @ [[1.0, 0.5], [0.5, 1.0]]
    ica = FastICA(random_state=0)
    with sklearn.config_context(enable_metadata_routing=True):
        search = GridSearchCV(
            ica,
            {"fun": ["logcosh", "cube"]},
            scoring=make_disentanglement_scorer(["mcc", "r"]),
            refit="mcc",
            cv=3,
        ).fit(X, factors=factors)
    display = AlphaPathDisplay.from_estimator(search, param_name="fun")
    assert [ax.get_ylabel() for ax in display.axes_] == ["MCC", "R"]
    assert tick_labels(display.axes_[1]) == ["logcosh", "cube"]
    # Nothing lies between two names.
    assert display.lines_["mcc"][0].get_linestyle() == "None"

    search = UDRSearch(ica, {"max_iter": [100, 200]}, n_seeds=2, random_state=0).fit(X)
    display = AlphaPathDisplay.from_estimator(
        search, param_name="max_iter", metrics={"score": "UDR"}
    )
    (line,) = display.lines_["UDR"]
    assert_array_equal(line.get_xdata(), [100, 200])
    assert_allclose(line.get_ydata(), search.cv_results_["mean_test_score"])
    assert len(display.points_["UDR"][0].get_xdata()) == 4


def test_results_without_splits():
    results = {
        "params": [{"alpha": 1.0}, {"alpha": 2.0}],
        "param_alpha": np.ma.array([1.0, 2.0], dtype=object),
        "mean_test_mcc": np.array([0.5, 0.75]),
    }
    display = AlphaPathDisplay.from_cv_results(results)
    assert_array_equal(display.lines_["mcc"][0].get_ydata(), [0.5, 0.75])
    assert display.points_["mcc"] == []
    assert texts(display.axes_[0]) == ["chosen: alpha = 2"]


def test_failed_splits_are_left_out():
    scores = [[0.5, np.nan], [np.nan, np.nan], [0.2, 0.4]]
    display = AlphaPathDisplay(param_values=[1, 2, 3], scores={"mcc": scores}).plot()
    assert_allclose(display.lines_["mcc"][0].get_ydata(), [0.5, np.nan, 0.3])


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([0.01, 0.1, 1.0], "log"),
        ([0.02, 0.1, 0.4, 0.8], "log"),
        ([0, 0.01, 0.1, 1.0], "symlog"),
        ([2, 4, 8], "linear"),
        ([-10, -1, 0], "linear"),
        ([0.1], "linear"),
        (np.geomspace(1e-3, 1, 30), "log"),
    ],
)
def test_scale_of_numbers(values, scale):
    scores = {"mcc": np.zeros((len(values), 1))}
    display = AlphaPathDisplay(param_values=values, scores=scores).plot()
    (ax,) = display.axes_
    assert ax.get_xscale() == scale
    if len(values) <= 10:
        assert_array_equal(ax.get_xticks(), values)
        assert tick_labels(ax) == [f"{value:g}" for value in values]


def test_other_values_stand_in_order_of_appearance():
    scores = {"mcc": [[0.1], [0.2], [0.3]]}
    display = AlphaPathDisplay(param_values=["b", None, True], scores=scores).plot()
    assert tick_labels(display.axes_[0]) == ["b", "None", "True"]
    assert_array_equal(display.lines_["mcc"][0].get_ydata(), [0.1, 0.2, 0.3])


def test_bad_input_raises(multimetric):
    results = multimetric.cv_results_
    with pytest.raises(ValueError, match=r"the search, \['alpha'\]; got 'lr'"):
        AlphaPathDisplay.from_cv_results(results, param_name="lr")
    with pytest.raises(ValueError, match=r"\['r2', 'active_share'\]; got \['mcc'\]"):
        AlphaPathDisplay.from_cv_results(results, metrics=["mcc"])
    with pytest.raises(NotFittedError):
        AlphaPathDisplay.from_estimator(GridSearchCV(Lasso(), {"alpha": ALPHAS}))
    with pytest.raises(TypeError, match=r"must have cv_results_.*got Lasso"):
        AlphaPathDisplay.from_estimator(Lasso().fit([[0.0], [1.0]], [0.0, 1.0]))
    scores = {"mcc": [[0.5], [0.6]]}
    with pytest.raises(ValueError, match=r"shape \(1, n_splits\), .* got shape \(2, 1"):
        AlphaPathDisplay(param_values=[1], scores=scores)
    with pytest.raises(ValueError, match="with a finite score"):
        AlphaPathDisplay(param_values=[1], scores={"mcc": [[np.nan]]})
    with pytest.raises(ValueError, match="scores must hold at least one"):
        AlphaPathDisplay(param_values=[1], scores={})
    with pytest.raises(ValueError, match=r"got \(None, 1\) several times"):
        AlphaPathDisplay(param_values=[1, 1], scores=scores)
    with pytest.raises(ValueError, match="each of 2 settings; got 1"):
        AlphaPathDisplay(param_values=[1, 2], scores=scores, groups=["a"])
    with pytest.raises(ValueError, match="best_index == 2, must be <= 1"):
        AlphaPathDisplay(param_values=[1, 2], scores=scores, best_index=2)
