"""The group Lasso multiclass SVM as a plain scikit-learn classifier."""

import warnings
from numbers import Integral, Real
from typing import ClassVar

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
)

from sparsedis._deprecated import (
    check_renamed,
    parameter,
    renamed_attribute,
    renamed_parameters,
)
from sparsedis._fitted import whole_or_not
from sparsedis.inputs._numbers import validate_numbers
from sparsedis.inputs._plain import check_plain
from sparsedis.inputs._values import complete_labels
from sparsedis.solvers.svm.dual import solve_svm_dual
from sparsedis.solvers.svm.features import Features
from sparsedis.solvers.svm.null import null_beta
from sparsedis.solvers.svm.primal import solve_svm_primal
from sparsedis.solvers.svm.simplices import Simplices

__all__ = ["GroupLassoSVC"]

# Largest number of dual variables for which a Newton step in them is cheap.
_MAX_DUAL = 1000


@renamed_parameters(l1="alpha", l1_mode="alpha_mode")
class GroupLassoSVC(ClassifierMixin, BaseEstimator):
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
        "alpha": [Interval(Real, 0, None, closed="left")],
        "l2": [Interval(Real, 0, None, closed="neither")],
        "alpha_mode": [StrOptions({"relative", "absolute"})],
        "fit_intercept": ["boolean"],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "tol": [Interval(Real, 0, None, closed="neither")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        alpha=0.1,
        *,
        l2=1.0,
        alpha_mode="relative",
        fit_intercept=True,
        class_weight=None,
        tol=1e-8,
        max_iter=200,
        l1="deprecated",
        l1_mode="deprecated",
    ):
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
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
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
        check_plain(X, "X")
        check_plain(y, "y")
        X, y = validate_numbers(self, X, y, accept_sparse="csr", dtype=np.float64)
        X, labels, weight = self._read_labels(X, y, sample_weight)
        features, n_classes = self._features(X, weight), len(self.classes_)
        weight, labels = torch.from_numpy(weight), torch.from_numpy(labels)
        self.alpha_max_ = _alpha_max(features, labels, weight, self.fit_intercept)
        if not np.isfinite(self.alpha_max_):
            largest = float(abs(X).max())
            raise ValueError(
                f"X has values up to {largest:.1e} in magnitude, whose squares are too "
                "large for float64. Scale the features."
            )
        self.alpha_ = float(alpha * (self.alpha_max_ if relative else 1))

        solve = solve_svm_primal if self._prefers_primal(X) else _solve_dual
        W, intercept, gap, n_iter = solve(
            features,
            labels,
            weight,
            self.alpha_,
            float(self.l2),
            n_classes,
            fit_intercept=self.fit_intercept,
            tol=self.tol,
            max_iter=self.max_iter,
        )
        coef, intercept = W.T.numpy(), intercept.numpy()
        if features.mean is not None:
            intercept = intercept - coef @ features.mean
        if n_classes == 2:
            coef, intercept = coef[1:] - coef[:1], intercept[1:] - intercept[:1]
        self.coef_, self.intercept_ = np.ascontiguousarray(coef), intercept
        self.active_features_ = np.flatnonzero(coef.any(0))
        self.dual_gap_, self.n_iter_ = gap, n_iter
        if not gap <= self.tol:
            warnings.warn(
                f"GroupLassoSVC stopped after {n_iter} iterations with a relative "
                f"duality gap of {gap:.1e}, above tol={self.tol:g}. Scale the "
                "features, increase max_iter or l2, or relax tol.",
                ConvergenceWarning,
                stacklevel=4,
            )
        return self

    def decision_function(self, X):
        """Compute the scores of the classes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features.

        Returns
        -------
        scores : ndarray of shape (n_samples,) or (n_samples, n_classes)
            Score of each class; for two classes, that of ``classes_[1]`` minus that of
            ``classes_[0]``.
        """
        check_is_fitted(self)
        check_plain(X, "X")
        X = validate_numbers(
            self, X, accept_sparse="csr", dtype=np.float64, reset=False
        )
        scores = safe_sparse_dot(X, self.coef_.T, dense_output=True) + self.intercept_
        return scores.ravel() if scores.shape[1] == 1 else scores

    def predict(self, X):
        """Predict the class with the highest score.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            Predicted labels.
        """
        scores = self.decision_function(X)
        best = (scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(1)
        return self.classes_[best]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _read_labels(self, X, y, sample_weight):
        """Return the rows with a positive weight, their encoded labels and weights."""
        y = complete_labels(y)
        check_classification_targets(y)
        sample_weight = _check_sample_weight(
            sample_weight, X, dtype=np.float64, ensure_non_negative=True
        )
        counts = sample_weight > 0
        if not counts.all():
            X, y, sample_weight = X[counts], y[counts], sample_weight[counts]
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"{type(self).__name__} needs samples of at least 2 classes with "
                f"positive weights; got 1 class: {self.classes_[0]!r}."
            )
        class_weight = compute_class_weight(
            self.class_weight, classes=self.classes_, y=y, sample_weight=sample_weight
        )
        if not (class_weight > 0).all() or np.isinf(class_weight).any():
            raise ValueError(
                f"class_weight={self.class_weight!r} must be positive and finite. To "
                "leave out a class, leave out its samples."
            )
        return X, labels.astype(np.int64), sample_weight * class_weight[labels]

    def _features(self, X, weight):
        # With an intercept, centring only reduces rounding errors.
        mean = np.asarray(weight @ X) / weight.sum() if self.fit_intercept else None
        return Features(X, mean)

    def _prefers_primal(self, X):
        n_samples, n_features = X.shape
        if n_features <= n_samples:
            return True
        # Without alpha, the working set would hold all features: more than the samples.
        return self.alpha_ > 0 and n_samples * (len(self.classes_) - 1) > _MAX_DUAL


def _alpha_max(features, labels, weight, fit_intercept):
    """``max_j ||V_j||`` of a dual solution at W = 0, see :func:`alpha_bound`."""
    n_classes = int(labels.max()) + 1
    sizes = weight.new_zeros(1, n_classes).index_add_(1, labels, weight.unsqueeze(0))
    # Samples of one class have the same dual variables.
    simplices = Simplices.build(
        torch.arange(n_classes).unsqueeze(0),
        sizes,
        n_classes,
        fit_intercept=fit_intercept,
    )
    X = simplices.coordinates(null_beta(simplices))[0][labels]
    V = features.pull(weight.unsqueeze(-1) * X)
    return float(V.square().sum(0).amax().sqrt())


def _solve_dual(features, labels, weight, alpha, l2, n_classes, **how):
    Z = features.columns().unsqueeze(0)
    solution = solve_svm_dual(
        Z,
        labels.unsqueeze(0),
        weight.unsqueeze(0),
        weight.new_tensor([alpha]),
        weight.new_tensor([l2]),
        n_classes,
        **how,
    )
    info = solution.info
    return solution.W[0], solution.intercept[0], float(info.gap), int(info.n_iter)
