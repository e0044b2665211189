"""scikit-learn's checks of the group Lasso SVMs."""

from sklearn.utils.estimator_checks import parametrize_with_checks

from sparsedis.svm import GroupLassoSVC, GroupLassoSVCCV


@parametrize_with_checks(
    [
        GroupLassoSVC(),
        GroupLassoSVC(alpha=0.0, class_weight="balanced"),
        GroupLassoSVCCV([0.2], cv=2),
    ],
    xfail_strict=True,
)
def test_scikit_learn_accepts_the_classifier(estimator, check):
    check(estimator)
