"""scikit-learn's checks of the estimators."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from sparsedis import (
    SparseMultiTaskClassifier,
    SparseMultiTaskMixed,
    SparseMultiTaskRepresentation,
)


# One sparse task of a few rows, which is all that most checks give, cannot use every
# feature, nor show that a feature is a factor; targets that are noise use none.
@pytest.mark.filterwarnings(
    "ignore:(No head|.* may not be|The encoder overfits|A separate Ridge):UserWarning",
    "ignore:(No factors were found|.* rows are too few to hold any out):UserWarning",
)
@parametrize_with_checks(
    [
        SparseMultiTaskRepresentation(max_iter=3),
        SparseMultiTaskRepresentation(3, rotation=None, max_iter=3, alpha=0.05),
        SparseMultiTaskClassifier(max_iter=3),
        SparseMultiTaskClassifier(3, rotation=None, max_iter=3, alpha=0.05),
        SparseMultiTaskMixed(max_iter=3),
    ],
    xfail_strict=True,
)
def test_scikit_learn_accepts_the_estimators(estimator, check):
    check(estimator)
