"""Base class of group Lasso SVMs: their data, scores and predictions."""

from __future__ import annotations

from numbers import Integral, Real
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from sparsedis._warn import warn
from sparsedis.inputs._numbers import validate_numbers
from sparsedis.inputs._plain import check_plain
from sparsedis.inputs._values import check_discrete, required_labels
from sparsedis.svm._problem import SVMProblem

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from sparsedis._typing import SparseMatrix

# Products of smaller weights could vanish.
_SMALL = 1e-100


class GroupLassoSVMClassifier(ClassifierMixin, BaseEstimator):
    """Base class of linear multiclass SVMs with a group penalty."""

    _parameter_constraints: ClassVar = {
        "l2": [Interval(Real, 0, None, closed="neither")],
        "alpha_mode": [StrOptions({"relative", "absolute"})],
        "fit_intercept": ["boolean"],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "tol": [Interval(Real, 0, None, closed="neither")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
    }

    def decision_function(self, X: ArrayLike | SparseMatrix) -> np.ndarray:
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

    def predict(self, X: ArrayLike | SparseMatrix) -> np.ndarray:
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

    def _read(self, X, y, sample_weight):
        """Validate the data, and return it with a weight of each sample."""
        check_plain(X, "X")
        check_plain(y, "y")
        y = required_labels(y)
        X, y = validate_numbers(self, X, y, accept_sparse="csr", dtype=np.float64)
        check_discrete(y)
        weight = _check_sample_weight(
            sample_weight, X, dtype=np.float64, ensure_non_negative=True
        )
        return X, y, weight

    def _problem(self, X, y, weight):
        """The problem of all samples, whose classes and largest penalty are kept."""
        self.classes_ = np.unique(y[weight > 0])
        if len(self.classes_) < 2:
            raise ValueError(
                f"{type(self).__name__} needs samples of at least 2 classes with "
                f"positive weights; got 1 class: {self.classes_.tolist()[0]!r}."
            )
        if weight.max() < _SMALL:
            raise ValueError(
                f"sample_weight has values up to {float(weight.max()):.1e}, whose "
                "squares vanish in float64. Scale them."
            )
        how = self.class_weight, self.fit_intercept
        problem = SVMProblem(X, y, weight, *how)
        self.alpha_max_ = problem.alpha_max()
        if not np.isfinite(self.alpha_max_):
            largest = float(abs(X).max())
            raise ValueError(
                f"X has values up to {largest:.1e} in magnitude, and sample_weight up "
                f"to {float(weight.max()):.1e}: the squares of their products are too "
                "large for float64. Scale them."
            )
        return problem

    def _keep(self, solution):
        self.coef_, self.intercept_ = solution.coef, solution.intercept
        self.active_features_ = solution.active
        self.dual_gap_, self.n_iter_ = solution.gap, solution.n_iter

    def _warn_of_gap(self, solution):
        """Warn if the gap of a solution is above the tolerance."""
        if not solution.gap <= self.tol:
            warn(
                f"{type(self).__name__} stopped after {solution.n_iter} iterations "
                f"with a relative duality gap of {solution.gap:.1e}, above "
                f"tol={self.tol:g}. Scale the features, increase max_iter or l2, or "
                "relax tol.",
                ConvergenceWarning,
            )
