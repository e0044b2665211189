"""The scorer inside scikit-learn's model selection."""

import pickle
from functools import partial

import numpy as np
import pytest
import sklearn
from numpy.testing import assert_allclose
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.decomposition import PCA
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    KFold,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sparsedis.metrics import (
    dci,
    linear_r_score,
    make_disentanglement_scorer,
    mean_correlation_coefficient,
)


class Rotation(TransformerMixin, BaseEstimator):
    """Turn the plane: a transformer whose best parameter is known."""

    def __init__(self, angle=0.0):
        self.angle = angle

    def fit(self, X, y=None):
        self.fitted_with_ = None if y is None else np.shape(y)
        return self

    def transform(self, X):
        c, s = np.cos(self.angle), np.sin(self.angle)
        return X @ np.array([[c, s], [-s, c]])


ANGLES = {"angle": [0.0, 0.3, 0.6, 0.9]}


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    factors = rng.standard_normal((120, 2))
    X = Rotation(-0.6).transform(factors)
    return X, rng.standard_normal(120), factors


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


@pytest.fixture
def scorer(routing):
    return make_disentanglement_scorer("mcc").set_score_request(factors=True)


def test_score_is_that_of_the_transformed_inputs(data):
    X, y, factors = data
    scorer = make_disentanglement_scorer()
    expected = mean_correlation_coefficient(factors, Rotation(0.3).transform(X))
    assert scorer(Rotation(0.3), X, y, factors=factors) == expected
    assert scorer(Rotation(0.3), X, factors=factors) == expected
    both = make_disentanglement_scorer(["mcc", "dci_completeness"])
    assert both(Rotation(0.3), X, y, factors=factors) == {
        "mcc": expected,
        "dci_completeness": dci(factors, Rotation(0.3).transform(X)).completeness,
    }
    one = make_disentanglement_scorer(["mcc"])
    assert one(Rotation(0.3), X, factors=factors) == {"mcc": expected}


@pytest.mark.parametrize("y", [None, "labels"])
def test_grid_search_routes_the_factors(data, scorer, y):
    X, labels, factors = data
    y = None if y is None else labels
    search = GridSearchCV(Rotation(), ANGLES, scoring=scorer, error_score="raise")
    search.fit(X, y, factors=factors)
    assert search.best_params_ == {"angle": 0.6}
    assert_allclose(search.best_score_, 1)
    assert search.best_estimator_.fitted_with_ == (None if y is None else (120,))
    expected = np.mean(
        [
            mean_correlation_coefficient(
                factors[test], Rotation(0.3).transform(X[test])
            )
            for _, test in KFold(5).split(X)
        ]
    )
    assert_allclose(search.cv_results_["mean_test_score"][1], expected)


def test_factors_are_requested_without_being_told(data, routing):
    X, y, factors = data
    scoring = make_disentanglement_scorer()
    search = GridSearchCV(Rotation(), ANGLES, scoring=scoring)
    assert search.fit(X, y, factors=factors).best_params_ == {"angle": 0.6}
    scoring.set_score_request(factors=False)
    with pytest.raises(TypeError, match="unexpected argument"):
        search.fit(X, y, factors=factors)
    scoring.set_score_request(factors="latents")
    assert search.fit(X, y, latents=factors).best_params_ == {"angle": 0.6}


@pytest.mark.parametrize("metric", [["mcc", "r"], {"mcc": "mcc", "r": linear_r_score}])
def test_several_metrics_at_once(data, routing, metric):
    X, y, factors = data
    scoring = make_disentanglement_scorer(metric)
    search = GridSearchCV(
        Rotation(), ANGLES, scoring=scoring, refit="mcc", error_score="raise"
    ).fit(X, y, factors=factors)
    assert search.best_params_ == {"angle": 0.6}
    assert_allclose(search.cv_results_["mean_test_r"], 1)
    assert search.cv_results_["mean_test_mcc"][0] < 0.9
    results = cross_validate(
        Rotation(0.6), X, y, scoring=scoring, params={"factors": factors}
    )
    assert_allclose(results["test_mcc"], 1)
    assert_allclose(results["test_r"], 1)


def test_dict_of_scorers(data, routing):
    X, y, factors = data
    scoring = {name: make_disentanglement_scorer(name) for name in ("mcc", "r")}
    search = GridSearchCV(Rotation(), ANGLES, scoring=scoring, refit="mcc")
    assert search.fit(X, y, factors=factors).best_params_ == {"angle": 0.6}
    assert_allclose(search.cv_results_["mean_test_r"], 1)


def test_halving_search_and_cross_validate(data, scorer):
    X, y, factors = data
    search = HalvingGridSearchCV(
        Rotation(), ANGLES, scoring=scorer, factor=2, cv=3, error_score="raise"
    ).fit(X, y, factors=factors)
    assert search.best_params_ == {"angle": 0.6}
    assert search.n_iterations_ > 1
    results = cross_validate(
        make_pipeline(StandardScaler(), PCA(2)),
        X,
        y,
        scoring=scorer,
        params={"factors": factors},
        error_score="raise",
    )
    assert results["test_score"].shape == (5,)
    assert (results["test_score"] < 1).all()


def test_factors_as_y_need_no_routing(data):
    X, y, factors = data
    scoring = make_disentanglement_scorer(use_y=True)
    search = GridSearchCV(Rotation(), ANGLES, scoring=scoring, error_score="raise")
    assert search.fit(X, factors).best_params_ == {"angle": 0.6}
    with pytest.raises(ValueError, match="as y or as factors=, not both"):
        scoring(Rotation(), X, y, factors=factors)
    with pytest.raises(ValueError, match="needs the ground-truth factors as y"):
        scoring(Rotation(), X)


def test_scorer_can_be_cloned_and_pickled(data, scorer):
    X, y, factors = data
    expected = scorer(Rotation(0.3), X, y, factors=factors)
    scorer.set_score_request(factors="latents")
    for copy in (clone(scorer), pickle.loads(pickle.dumps(scorer))):
        assert copy(Rotation(0.3), X, y, factors=factors) == expected
        search = GridSearchCV(Rotation(), ANGLES, scoring=copy)
        assert clone(search).fit(X, y, latents=factors).best_params_ == {"angle": 0.6}


def test_arguments_go_to_the_metrics_that_take_them(data):
    X, y, factors = data
    three = np.column_stack([factors, y])
    scorer = make_disentanglement_scorer(
        ["mcc", "dci_informativeness"], unmatched="drop", random_state=0
    )
    scores = scorer(Rotation(0.3), X, factors=three)
    codes = Rotation(0.3).transform(X)
    assert scores == {
        "mcc": mean_correlation_coefficient(three, codes, unmatched="drop"),
        "dci_informativeness": dci(three, codes, random_state=0).informativeness,
    }
    bound = partial(mean_correlation_coefficient, unmatched="drop")
    scores = make_disentanglement_scorer([bound])(Rotation(0.3), X, factors=three)
    assert scores == {
        "mean_correlation_coefficient": mean_correlation_coefficient(
            three, codes, unmatched="drop"
        )
    }


def test_bad_arguments_raise(data):
    X, y, factors = data
    with pytest.raises(ValueError, match=r"metric must be one of .*got 'matthews'"):
        make_disentanglement_scorer("matthews")
    with pytest.raises(ValueError, match=r"metric must be one of .*got 3"):
        make_disentanglement_scorer([3])
    with pytest.raises(ValueError, match=r"at least one metric; got \[\]"):
        make_disentanglement_scorer([])
    with pytest.raises(ValueError, match="must not repeat a name"):
        make_disentanglement_scorer(["mcc", "mcc"])
    with pytest.raises(TypeError, match=r"takes the argument\(s\) \['unmatch'\]"):
        make_disentanglement_scorer(unmatch="drop")
    scorer = make_disentanglement_scorer()
    with pytest.raises(ValueError, match="enable_metadata_routing=True"):
        scorer(Rotation(), X, y)
    with pytest.raises(TypeError, match=r"method transform.*got LinearRegression"):
        scorer(LinearRegression().fit(X, y), X, y, factors=factors)
