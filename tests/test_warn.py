"""Warnings point at the line of the user."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.model_selection import GridSearchCV

from sparsedis import (
    SparseMultiTaskClassifier,
    SparseMultiTaskEnsemble,
    SparseMultiTaskRepresentation,
)
from sparsedis.heads import SparseHeadsClassifier, SparseHeadsCV
from sparsedis.implicit import group_lasso_svm, lasso
from sparsedis.rotation import SparseRotation
from sparsedis.svm import GroupLassoSVC

RNG = np.random.default_rng(0)
X = RNG.standard_normal((30, 4))
Y = X @ RNG.standard_normal((4, 3))
# Such a column has neither a label nor a head.
HOLES = np.c_[Y, np.full(30, np.nan)]


def short(cls, **params):
    return cls(2, max_iter=3, rotation=None, alpha=0.1, random_state=0, **params)


def search():
    est = short(SparseMultiTaskRepresentation, linear=None)
    return GridSearchCV(est, {"alpha": [0.1]}, cv=2, error_score="raise")


CALLS = {
    "fit": lambda: short(SparseMultiTaskRepresentation).fit(X, HOLES),
    "a rotated fit": lambda: SparseMultiTaskRepresentation(
        max_iter=3, random_state=0
    ).fit(X, HOLES),
    "a classifier": lambda: short(SparseMultiTaskClassifier).fit(
        X, np.c_[Y[:, :2] > 0, np.ones(30)].astype(int)
    ),
    "an ensemble": lambda: SparseMultiTaskEnsemble(
        short(SparseMultiTaskRepresentation), 2, random_state=0
    ).fit(X, HOLES),
    "a search": lambda: search().fit(X, HOLES),
    "heads": lambda: SparseHeadsClassifier(0.01).fit(
        X, np.c_[Y[:, 0] > 0, np.ones(30)].astype(int)
    ),
    "sizes": lambda: SparseHeadsCV(k_features=[2, 9], cv=2).fit(X, Y),
    "factors": lambda: SparseRotation(random_state=0).fit(X, Y[:, :2]),
    "an SVM": lambda: GroupLassoSVC(tol=1e-30).fit(X, Y[:, 0] > 0),
    "a Lasso layer": lambda: lasso(
        torch.tensor(X), torch.tensor(Y[:, 0]), 1e-6, tol=1e-30
    ),
    "an SVM layer": lambda: group_lasso_svm(
        torch.tensor(X), torch.tensor(Y[:, 0] > 0), 0.1, 1.0, tol=1e-30
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_the_line_of_a_warning(name):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        CALLS[name]()
    assert caught
    assert {record.filename for record in caught} == {__file__}
