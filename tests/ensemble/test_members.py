"""Fits of several estimators."""

import warnings

import numpy as np
import pytest
from sklearn.base import BaseEstimator, TransformerMixin

from sparsedis import SparseMultiTaskEnsemble, SparseMultiTaskRepresentation
from sparsedis.datasets import make_sparse_tasks
from sparsedis.ensemble._members import fit_members


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
            "Warnings of 4 members: (3 times) same own 0 own 1 And 1 others.",
        ),
        (FutureWarning, "Warnings of 4 members: later"),
    ]


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_filters_apply_to_the_warnings_of_members(n_jobs):
    members = [Teller(["known one"]), Teller(["known two"])]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "known")
        fit_members(members, X, None, {}, n_jobs)


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_the_error_of_a_member_is_raised(n_jobs):
    members = [Teller(), Teller(error="cannot fit"), Teller()]
    with pytest.raises(ValueError, match="cannot fit"):
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
