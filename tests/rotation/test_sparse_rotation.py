"""The transformer: scikit-learn's checks, factors of given features, and bad input."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from sparsedis.rotation import SparseRotation


# One task, and random targets, show no factor.
@pytest.mark.filterwarnings("ignore:y holds one task:UserWarning")
@pytest.mark.filterwarnings("ignore:The heads of the tasks show no:UserWarning")
@pytest.mark.filterwarnings("ignore:n_components=3 is more:UserWarning")
@pytest.mark.filterwarnings("ignore:.* may be no factors:UserWarning")
@parametrize_with_checks(
    [
        SparseRotation(),
        SparseRotation(n_components=3, selection="1se"),
        SparseRotation(task_type="classification"),
    ],
    xfail_strict=True,
)
def test_scikit_learn_accepts_the_estimator(estimator, check):
    check(estimator)
