"""scikit-learn's checks of the meta-learner.

They know of no episodes: the two or three classes of a check, some with two samples,
are enough for the smallest ones only, of 2 ways and 1 shot. Nor can they check an
encoder of a fixed size, or one that is not trained, against data of all sizes; that
leaves "mlp". The classifier that ``adapt`` returns takes the inputs of its learner
only, whereas a check brings its own; what applies to it is tested by hand.
"""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from sparsedis import GroupLassoSVMMetaLearner

SMALLEST = {"encoder": "mlp", "n_ways": 2, "n_shots": 1, "n_queries": 1, "max_iter": 1}


# The features of a check may be too poor for any head.
@pytest.mark.filterwarnings("ignore:No head used a feature:UserWarning")
@parametrize_with_checks(
    [
        GroupLassoSVMMetaLearner(**SMALLEST),
        GroupLassoSVMMetaLearner(head="prototypes", **SMALLEST),
    ],
    xfail_strict=True,
)
def test_scikit_learn_accepts_the_estimator(estimator, check):
    check(estimator)
