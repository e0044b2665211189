"""The search that needs no factors."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.exceptions import FitFailedWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sparsedis import SparseMultiTaskRepresentation
from sparsedis.datasets import make_sparse_tasks
from sparsedis.metrics import unsupervised_disentanglement_ranking
from sparsedis.model_selection import UDRSearch


class Mixer(TransformerMixin, BaseEstimator):
    """Rotates its input by a random matrix, the less the smaller `mix` is."""

    def __init__(self, mix=0.0, scale=1.0, random_state=None):
        self.mix = mix
        self.scale = scale
        self.random_state = random_state

    def fit(self, X, y=None):
        noise = np.random.RandomState(self.random_state).normal(size=(X.shape[1],) * 2)
        self.matrix_ = np.eye(X.shape[1]) + self.mix * noise
        return self

    def transform(self, X):
        return self.scale * X @ self.matrix_


@pytest.fixture
def X():
    return np.random.RandomState(0).normal(size=(300, 4))


def test_agreement_finds_what_does_not_mix(X):
    search = UDRSearch(Mixer(), {"mix": [1.0, 0.0, 0.3]}, random_state=0).fit(X)
    assert search.best_params_ == {"mix": 0.0}
    assert search.best_index_ == 1
    np.testing.assert_array_equal(search.cv_results_["rank_test_score"], [3, 1, 2])
    np.testing.assert_allclose(search.transform(X), X)


def test_scores_are_those_of_the_ranking(X):
    search = UDRSearch(Mixer(), {"mix": [0.5]}, n_seeds=3, random_state=0).fit(X)
    codes = [
        Mixer(0.5, random_state=int(seed)).fit(X).transform(X) for seed in search.seeds_
    ]
    expected = unsupervised_disentanglement_ranking(codes, similarity="mcc")
    results = search.cv_results_
    scores = [results[f"split{i}_test_score"][0] for i in range(3)]
    np.testing.assert_allclose(scores, expected)
    assert results["mean_test_score"][0] == pytest.approx(expected.mean())
    assert search.best_score_ == pytest.approx(expected.mean())
    # The best estimator is the model that agrees most.
    best = codes[int(expected.argmax())]
    np.testing.assert_allclose(search.best_estimator_.transform(X), best)


def test_results_are_a_table_like_that_of_grid_search(X):
    grid = [{"mix": [0.1, 0.2]}, {"scale": [2.0]}]
    results = UDRSearch(Mixer(), grid, n_seeds=2, random_state=0).fit(X).cv_results_
    assert results["params"] == [{"mix": 0.1}, {"mix": 0.2}, {"scale": 2.0}]
    assert results["param_mix"].tolist() == [0.1, 0.2, None]
    assert results["param_scale"].tolist() == [None, None, 2.0]
    assert all(len(column) == 3 for column in results.values())


def test_unused_features_do_not_count():
    data = make_sparse_tasks(200, 40, n_factors=3, return_bunch=True, random_state=0)
    est = SparseMultiTaskRepresentation(n_components=3, rotation=None, max_iter=80)
    search = UDRSearch(est, {"alpha": [0.01, 0.4]}, n_seeds=2, random_state=0)
    search.fit(data.data, data.target)
    assert search.best_params_ == {"alpha": 0.4}
    assert search.predict(data.data).shape == data.target.shape


def test_pipelines_get_the_seeds_wherever_they_are(X):
    def pipeline(**params):
        return make_pipeline(StandardScaler(), Mixer(**params), Mixer())

    grid = {"mixer-1__mix": [0.5, 0.0]}
    search = UDRSearch(pipeline(), grid, n_seeds=2, random_state=0).fit(X)
    assert search.best_params_ == {"mixer-1__mix": 0.0}
    names = ["mixer-1__random_state", "mixer-2__random_state"]
    seeds = [search.best_estimator_.get_params()[name] for name in names]
    assert seeds[0] == seeds[1]
    assert seeds[0] in search.seeds_


@pytest.mark.filterwarnings("ignore:(No head uses|Models):UserWarning")
def test_heads_of_a_pipeline_tell_unused_features():
    X, Y = make_sparse_tasks(60, 8, n_factors=3, random_state=0)
    est = SparseMultiTaskRepresentation(3, rotation=None, max_iter=3, alpha=0.9)
    grid = {"alpha": [np.full(8, 0.3), np.linspace(0.9, 1, 8)]}
    options = {"n_seeds": 2, "random_state": 0}
    search = UDRSearch(est, grid, **options).fit(X, Y)
    nested = {f"sparsemultitaskrepresentation__{k}": v for k, v in grid.items()}
    piped = UDRSearch(make_pipeline(est), nested, **options).fit(X, Y)
    name = "mean_test_score"
    np.testing.assert_array_equal(search.cv_results_[name], piped.cv_results_[name])
    assert search.cv_results_["param_alpha"][1] is grid["alpha"][1]
    assert search.score(X, Y) == search.best_estimator_.score(X, Y)
    task = np.arange(60) % 8
    np.testing.assert_allclose(
        search.predict(X, task=task), search.predict(X)[np.arange(60), task]
    )
    assert search.score(X, Y[np.arange(60), task], task=task) < 1


@pytest.mark.parametrize(
    "values",
    [
        [np.zeros((4, 4)), np.ones((4, 4))],
        [[0.1, 0.2], [0.3, 0.4]],
        [(1, 2), 3.0],
    ],
)
def test_values_of_a_grid_may_be_arrays(X, values):
    class Passive(Mixer):
        def fit(self, X, y=None):
            self.mix, mix = 0.5, self.mix
            super().fit(X)
            self.mix = mix
            return self

    search = UDRSearch(Passive(), {"mix": values}, n_seeds=2).fit(X)
    column = search.cv_results_["param_mix"]
    assert column.shape == (len(values),)
    assert all(found is value for found, value in zip(column, values, strict=True))


@pytest.mark.parametrize("fitted", [True, False])
def test_output_and_names_are_those_of_the_best_model(X, fitted):
    class Named(Mixer):
        def get_feature_names_out(self, input_features=None):
            return [f"z{i}" for i in range(len(self.matrix_))]

    search = UDRSearch(make_pipeline(StandardScaler(), Named()), {}, n_seeds=2)
    if fitted:
        search.fit(X).set_output(transform="pandas")
    else:
        search.set_output(transform="pandas").fit(X)
    assert search.transform(X).columns.tolist() == ["z0", "z1", "z2", "z3"]
    assert search.get_feature_names_out() == ["z0", "z1", "z2", "z3"]
    assert not hasattr(search, "score")


def test_a_refused_search_leaves_the_earlier_one(X):
    search = UDRSearch(Mixer(), {"mix": [0.1]}, n_seeds=2).fit(X)
    before = {name: v for name, v in vars(search).items() if name.endswith("_")}
    for params, message in (
        ({"param_grid": {"nix": [1]}}, "Invalid parameter 'nix'"),
        ({"param_grid": {"mix": [0.1], "random_state": [1]}}, "not set random_state"),
        ({"n_seeds": 0}, "n_seeds"),
        ({"n_seeds": 3, "param_grid": {"mix": ["much"]}}, "."),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            search.set_params(**params).fit(X)
        now = {name: v for name, v in vars(search).items() if name.endswith("_")}
        assert now.keys() == before.keys()
        assert all(now[name] is value for name, value in before.items())


class Fragile(Mixer):
    """Fails with some of the seeds that a search draws from 0, or returns NaN."""

    def fit(self, X, y=None):
        if self.mix == 0 and self.random_state % 3 == 0:
            raise RuntimeError("no convergence")
        return super().fit(X)

    def transform(self, X):
        return super().transform(np.nan * X if self.scale == 0 else X)


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_models_that_fail_do_not_end_a_search(X, n_jobs):
    grid = [{"mix": [0.5, 0.0]}, {"scale": [0.0]}]
    search = UDRSearch(Fragile(), grid, random_state=0, n_jobs=n_jobs)
    n_lost = sum(seed % 3 == 0 for seed in seeds_of(5))
    assert 0 < n_lost < 4
    with pytest.warns(FitFailedWarning, match=f"^{n_lost + 5} of 15 models failed"):
        search.fit(X)
    results = search.cv_results_
    splits = np.array([results[f"split{i}_test_score"] for i in range(5)]).T
    assert_array_equal(np.isnan(splits).sum(1), [0, n_lost, 5])
    assert search.best_params_ == {"mix": 0.0}
    assert search.best_score_ == results["mean_test_score"][1] == pytest.approx(1)
    assert np.isnan(results["mean_test_score"][2])
    assert_array_equal(results["rank_test_score"], [2, 1, 3])
    np.testing.assert_allclose(search.transform(X), X)


def test_the_score_of_a_model_that_fails(X):
    search = UDRSearch(Fragile(), {"mix": [0.0]}, error_score=0, random_state=0)
    with pytest.warns(FitFailedWarning, match="RuntimeError: no convergence"):
        search.fit(X)
    n_lost = sum(seed % 3 == 0 for seed in seeds_of(5))
    assert search.best_score_ == pytest.approx(1 - n_lost / 5)
    # A large one must not make models that failed the best.
    grid = {"scale": [0.0, 1.0]}
    with pytest.warns(FitFailedWarning):
        search.set_params(param_grid=grid, error_score=9).fit(X)
    assert search.best_params_ == {"scale": 1.0}
    with pytest.raises(RuntimeError, match="no convergence"):
        search.set_params(param_grid={"mix": [0.0]}, error_score="raise").fit(X)


def seeds_of(n):
    return np.random.RandomState(0).randint(np.iinfo(np.int32).max, size=n)


def test_bad_arguments(X):
    with pytest.raises(ValueError, match="estimator must have a parameter random_st"):
        UDRSearch(StandardScaler(), {"with_mean": [True]}).fit(X)
    with pytest.raises(ValueError, match="'n_seeds' parameter"):
        UDRSearch(Mixer(), {"mix": [0.1]}, n_seeds=1).fit(X)
    with pytest.raises(ValueError, match="not set mixer__random_state, got 5"):
        UDRSearch(make_pipeline(Mixer()), {"mixer__random_state": [5]}).fit(X)
    with pytest.raises(ValueError, match="'similarity' parameter"):
        UDRSearch(Mixer(), {"mix": [0.1]}, similarity="cosine").fit(X)
    with pytest.raises(ValueError, match=r"at least one setting, got \[\]"):
        UDRSearch(Mixer(), []).fit(X)
    message = "No setting has two models .* 5 of 5 .* contains NaN"
    with pytest.raises(ValueError, match=f"(?s){message}"):
        UDRSearch(Fragile(mix=1, scale=0.0), {}).fit(X)
    # Before any training, which would be lost.
    for tau in (2, np.nan, "a"):
        with pytest.raises(ValueError, match="'tau' parameter"):
            UDRSearch(Mixer(), {"mix": [0.1]}, tau=tau).fit(X)
    assert not hasattr(UDRSearch(Mixer(), {}), "predict")
