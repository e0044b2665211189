"""Group Lasso multiclass SVM with a given penalty."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval

from sparsedis._deprecated import (
    check_renamed,
    parameter,
    renamed_attribute,
    renamed_parameters,
)
from sparsedis._fitted import whole_or_not
from sparsedis._typing import keeps_types
from sparsedis.svm._classifier import GroupLassoSVMClassifier

if TYPE_CHECKING:
    from typing import Any, Literal, Self

    from numpy.typing import ArrayLike

    from sparsedis._typing import SparseMatrix


@renamed_parameters(l1="alpha", l1_mode="alpha_mode")
class GroupLassoSVC(GroupLassoSVMClassifier):
    r"""Linear multiclass SVM that uses a feature for all classes or for none.

    Minimises

    .. math::

        \sum_i s_i \left[ \max_c \left( 1_{c \neq y_i} + f_c(x_i) \right)
        - f_{y_i}(x_i) \right]
        + \alpha \sum_j \|W_j\|_2 + \frac{l_2}{2} \|W\|_F^2,
        \qquad f(x) = x W + b

    over W, of shape (n_features, n_classes), and the intercepts b: the multiclass
    hinge of Crammer and Singer with the base penalty of Eq. 6 and Eq. 79 of [1]_. The
    first penalty makes whole rows of W zero, which selects features. Without it, this
    is scikit-learn's :class:`~sklearn.svm.LinearSVC` with
    ``multi_class="crammer_singer"`` and ``C = 1 / l2``.

    Parameters
    ----------
    alpha : float, default=0.1
        Strength of the group penalty. With ``alpha_mode="relative"`` it is a fraction
        of `alpha_max_`, in [0, 1]; with ``alpha=1`` no feature is used.

    l2 : float, default=1.0
        Strength of the squared l2 penalty, positive. The hinge is a sum over the
        samples, not a mean.

    alpha_mode : {"relative", "absolute"}, default="relative"
        Whether `alpha` is a fraction of `alpha_max_` or the penalty itself.

    fit_intercept : bool, default=True
        Whether to add an unpenalised intercept to each class.

    class_weight : dict or "balanced", default=None
        Positive weights of the classes, which multiply those of their samples.
        "balanced" makes them inversely proportional to the frequencies of the classes.

    tol : float, default=1e-8
        Duality gap to reach, relative to the objective at zero, which is the sum of
        the weights.

    max_iter : int, default=200
        Largest number of interior-point iterations; about 10 to 40 are usual.

    l1, l1_mode : float, str, default="deprecated"
        Old names of `alpha` and `alpha_mode`.

        .. deprecated:: 0.1
            They will be removed in version 0.2.

    Attributes
    ----------
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        Coefficients, :math:`W^\top`, which sum to zero over the classes. For two
        classes, the difference of the second and the first row.

    intercept_ : ndarray of shape (1,) or (n_classes,)
        Intercepts, in the same form. If they are not unique, they lie inside the range
        of the optimal ones.

    classes_ : ndarray of shape (n_classes,)
        Labels of the classes that have samples with a positive weight.

    active_features_ : ndarray of int
        Features with a coefficient that is not zero.

    alpha_ : float
        Absolute value of `alpha`.

    alpha_max_ : float
        Value of alpha, in closed form, at and above which all coefficients are zero.
        They may be zero for somewhat smaller values too.

    dual_gap_ : float
        Duality gap of the solution, relative to the objective at zero: an upper bound
        on its suboptimality.

    n_iter_ : int
        Number of iterations.

    n_features_in_ : int
        Number of features.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if X has names.

    See Also
    --------
    GroupLassoSVCCV : Chooses the penalty by cross-validation.
    sparsedis.implicit.group_lasso_svm : The same as a differentiable layer.

    Notes
    -----
    Features should have comparable scales: put a
    :class:`~sklearn.preprocessing.StandardScaler` before the classifier.

    One of two exact interior-point methods is chosen by the shape of X. A Newton step
    is a linear system in the dual variables, ``n_samples * (n_classes - 1)``, if there
    are more features than samples and either alpha=0 or at most 1,000 dual variables.
    Otherwise it is a linear system in the coefficients of a working set of features:
    memory grows with the square of the number of features that the solution uses, times
    the number of classes. Unless alpha=0, only the working set of a sparse X is made
    dense.

    References
    ----------
    .. [1] S. Lachapelle et al., "Synergies between Disentanglement and Sparsity:
       Generalization and Identifiability in Multi-Task Learning", ICML 2023.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sparsedis.svm import GroupLassoSVC
    >>> X, y = load_wine(return_X_y=True, as_frame=True)
    >>> clf = make_pipeline(StandardScaler(), GroupLassoSVC(alpha=0.6)).fit(X, y)
    >>> X.columns[clf[-1].active_features_].to_list()
    ['alcohol', 'flavanoids', 'color_intensity', 'hue',
     'od280/od315_of_diluted_wines', 'proline']
    >>> round(clf.score(X, y), 2)
    0.96
    """

    _parameter_constraints: ClassVar = {
        **GroupLassoSVMClassifier._parameter_constraints,
        "alpha": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        alpha: float = 0.1,
        *,
        l2: float = 1.0,
        alpha_mode: Literal["relative", "absolute"] = "relative",
        fit_intercept: bool = True,
        class_weight: dict | Literal["balanced"] | None = None,
        tol: float = 1e-8,
        max_iter: int = 200,
        l1: Any = "deprecated",
        l1_mode: Any = "deprecated",
    ) -> None:
        self.alpha = alpha
        self.l2 = l2
        self.alpha_mode = alpha_mode
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.tol = tol
        self.max_iter = max_iter
        self.l1 = l1
        self.l1_mode = l1_mode

    l1_ = renamed_attribute("l1_", "alpha_")
    l1_max_ = renamed_attribute("l1_max_", "alpha_max_")

    @whole_or_not
    @keeps_types(_fit_context(prefer_skip_nested_validation=True))
    def fit(
        self,
        X: ArrayLike | SparseMatrix,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Fit the classifier.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features.

        y : array-like of shape (n_samples,)
            Labels.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of the samples. A weight of zero removes the sample, a
            weight of two counts it twice.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            When X holds NaN or inf, there are fewer than two classes, a weight is
            negative, or a parameter is out of range.

        Warns
        -----
        ConvergenceWarning
            When the duality gap stays above `tol`.
        """
        check_renamed(self)
        alpha = parameter(self, "alpha")
        relative = parameter(self, "alpha_mode") == "relative"
        if relative and alpha > 1:
            raise ValueError(
                f"alpha={alpha!r} must be a fraction between 0 and 1 with "
                "alpha_mode='relative'; alpha_mode='absolute' takes the penalty itself."
            )
        problem = self._problem(*self._read(X, y, sample_weight))
        self.alpha_ = float(alpha * (self.alpha_max_ if relative else 1))
        (solution,) = problem.solve(
            np.array([self.alpha_]), self.l2, tol=self.tol, max_iter=self.max_iter
        )
        self._keep(solution)
        self._warn_of_gap(solution)
        return self
