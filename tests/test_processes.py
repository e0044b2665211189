"""Fits in several processes: of members, of candidates of a search, and of seeds.

They are in one file to share the processes, each of which has to import torch.
"""

import warnings

import joblib
import numpy as np
import pytest
from dask.distributed import Client, get_task_stream
from sklearn import config_context
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.model_selection import GridSearchCV
from sklearn.random_projection import GaussianRandomProjection

from sparsedis import SparseMultiTaskEnsemble, SparseMultiTaskRepresentation
from sparsedis.datasets import make_sparse_tasks
from sparsedis.ensemble._members import fit_members
from sparsedis.heads import SparseHeadsCV
from sparsedis.metrics import make_disentanglement_scorer
from sparsedis.model_selection import UDRSearch


class Teller(TransformerMixin, BaseEstimator):
    """Warns, or fails, as it is told."""

    def __init__(self, texts=(), error=None, category=UserWarning):
        self.texts = texts
        self.error = error
        self.category = category

    def fit(self, X, y=None):
        for text in self.texts:
            warnings.warn(text, self.category, stacklevel=2)
        if self.error is not None:
            raise ValueError(self.error)
        self.mean_ = np.mean(X, axis=0)
        return self

    def transform(self, X):
        return X - self.mean_


X = np.arange(6.0).reshape(3, 2)


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_members_and_features_come_back_in_order(n_jobs):
    given = [Teller(category=c) for c in (UserWarning, FutureWarning, UserWarning)]
    members, codes = fit_members(given, X, None, {}, n_jobs)
    assert [m.category for m in members] == [m.category for m in given]
    for Z in codes:
        np.testing.assert_array_equal(Z, X - X.mean(0))


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_one_summary_of_each_category(n_jobs):
    members = [
        Teller(["same", "own 0"]),
        Teller(["same"]),
        Teller(["later"], category=FutureWarning),
        Teller(["same", "own 1", "own 2"]),
    ]
    with pytest.warns() as caught:
        fit_members(members, X, None, {}, n_jobs)
    assert [(w.category, str(w.message)) for w in caught] == [
        (
            UserWarning,
            "Warnings of 4 members: (3 times) same own 0 own 1 And 1 more.",
        ),
        (FutureWarning, "Warnings of 4 members: later"),
    ]


def test_a_single_member_is_counted_in_words():
    with pytest.warns(UserWarning, match="^Warnings of one member: only$"):
        fit_members([Teller(["only"])], X, None, {}, None)


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_filters_apply_to_the_warnings_of_members(n_jobs):
    members = [Teller(["known one"]), Teller(["known two"])]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "known")
        fit_members(members, X, None, {}, n_jobs)


@pytest.mark.filterwarnings("ignore:.* features may not be factors:UserWarning")
def test_the_number_of_jobs_changes_nothing():
    X, Y = make_sparse_tasks(60, 10, n_factors=2, random_state=0)
    base = SparseMultiTaskRepresentation(2, max_iter=10)
    alone, together = (
        SparseMultiTaskEnsemble(base, 2, n_jobs=n_jobs, random_state=0).fit(X, Y)
        for n_jobs in (None, 2)
    )
    np.testing.assert_array_equal(alone.predict(X), together.predict(X))
    np.testing.assert_array_equal(alone.transform(X), together.transform(X))


def test_blocks_of_sparse_heads_in_processes_change_nothing(monkeypatch):
    X, Y = make_sparse_tasks(60, 6, n_factors=2, random_state=0)
    monkeypatch.setattr("sparsedis.heads._task_paths._BLOCK", 1)
    alone, together = (
        SparseHeadsCV(5, cv=3, n_jobs=n_jobs).fit(X, Y) for n_jobs in (None, 2)
    )
    np.testing.assert_array_equal(alone.coef_, together.coef_)
    np.testing.assert_array_equal(alone.alpha_, together.alpha_)


@pytest.mark.parametrize("similarity", ["lasso", "spearman", "mcc"])
def test_n_jobs_and_seed_change_nothing(similarity):
    X = np.random.default_rng(0).normal(size=(100, 4))
    scores = [
        UDRSearch(
            GaussianRandomProjection(),
            {"n_components": [3, 4]},
            similarity=similarity,
            n_jobs=n_jobs,
            random_state=3,
        )
        .fit(X)
        .cv_results_["mean_test_score"]
        for n_jobs in (1, 2)
    ]
    np.testing.assert_array_equal(*scores)


@pytest.mark.filterwarnings(
    "ignore:(No head|.* may not be|The encoder overfits|A separate Ridge):UserWarning"
)
def test_a_search_on_two_processes_finds_what_one_does():
    data = make_sparse_tasks(150, 12, n_factors=4, return_bunch=True, random_state=0)
    grid = {"alpha": [0.1, 0.5]}
    est = SparseMultiTaskRepresentation(
        4, rotation=None, max_iter=5, random_state=0, alpha=0.1
    )
    with config_context(enable_metadata_routing=True):
        searches = [
            GridSearchCV(
                est,
                grid,
                scoring={"mcc": make_disentanglement_scorer("mcc"), "r2": _r2},
                refit="mcc",
                cv=2,
                n_jobs=n_jobs,
            ).fit(data.data, data.target, factors=data.factors)
            for n_jobs in (1, 2)
        ]
    one, two = searches
    assert one.best_params_ == two.best_params_
    for key in ("mean_test_mcc", "mean_test_r2"):
        np.testing.assert_array_equal(one.cv_results_[key], two.cv_results_[key])
    np.testing.assert_array_equal(one.best_estimator_.coef_, two.best_estimator_.coef_)


# After five steps, the larger penalty leaves features that no head uses.
@pytest.mark.filterwarnings("ignore:No head:UserWarning")
def test_a_search_on_dask_finds_what_this_process_does():
    X, Y = make_sparse_tasks(60, 6, n_factors=2, random_state=0)
    est = SparseMultiTaskRepresentation(2, rotation=None, max_iter=5, random_state=0)
    here, there = (GridSearchCV(est, {"alpha": [0.1, 0.5]}, cv=2) for _ in range(2))
    here.fit(X, Y)
    # Two workers in this process: others would have to import torch. joblib does not
    # call dask for a single one.
    where = {"processes": False, "n_workers": 2, "threads_per_worker": 1}
    with (
        Client(dashboard_address=None, **where) as client,
        get_task_stream(client) as stream,
        joblib.parallel_config("dask"),
    ):
        there.fit(X, Y)
    assert len(stream.data) > 0
    for key in ("split0_test_score", "split1_test_score"):
        np.testing.assert_array_equal(here.cv_results_[key], there.cv_results_[key])
    np.testing.assert_array_equal(
        here.best_estimator_.coef_, there.best_estimator_.coef_
    )


def _r2(estimator, X, y):
    return estimator.score(X, y)


# The last test, since an error ends the processes.
@pytest.mark.parametrize("n_jobs", [None, 2])
def test_the_error_of_a_member_is_raised(n_jobs):
    members = [Teller(), Teller(error="cannot fit"), Teller()]
    with pytest.raises(ValueError, match="cannot fit"):
        fit_members(members, X, None, {}, n_jobs)
