"""scikit-learn's checks of the ensemble."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from sparsedis import (
    SparseMultiTaskClassifier,
    SparseMultiTaskEnsemble,
    SparseMultiTaskRepresentation,
)

QUICK = {"n_components": 2, "rotation": None, "alpha": 0.05, "max_iter": 2}


# Members trained for two steps on one task need not agree, nor use every feature.
@pytest.mark.filterwarnings("ignore:(No head uses|No feature occurs):UserWarning")
@parametrize_with_checks(
    [
        SparseMultiTaskEnsemble(SparseMultiTaskRepresentation(**QUICK), 2),
        SparseMultiTaskEnsemble(SparseMultiTaskClassifier(**QUICK), 2),
    ],
    xfail_strict=True,
)
def test_scikit_learn_accepts_the_ensemble(estimator, check):
    check(estimator)
