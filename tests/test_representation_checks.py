"""scikit-learn's checks of the estimators."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from sparsedis import SparseMultiTaskClassifier, SparseMultiTaskRepresentation


# One sparse task, which is all that most checks give, cannot use every feature.
@pytest.mark.filterwarnings("ignore:No head uses features:UserWarning")
@parametrize_with_checks(
    [
        SparseMultiTaskRepresentation(n_components=3, max_iter=20, alpha=0.05),
        SparseMultiTaskRepresentation(n_components=3, max_iter=20, penalty="l2"),
        SparseMultiTaskClassifier(n_components=3, max_iter=20, alpha=0.05),
    ],
    xfail_strict=True,
)
def test_scikit_learn_accepts_the_estimators(estimator, check):
    check(estimator)
