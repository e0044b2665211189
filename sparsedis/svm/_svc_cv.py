"""Group Lasso multiclass SVM with a penalty that is chosen by cross-validation."""

from __future__ import annotations

from numbers import Integral, Real
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import _fit_context
from sklearn.metrics import check_scoring, get_scorer_names
from sklearn.model_selection import check_cv
from sklearn.utils._param_validation import Interval, StrOptions

from sparsedis._fitted import whole_or_not
from sparsedis._typing import keeps_types
from sparsedis.svm._classifier import GroupLassoSVMClassifier
from sparsedis.svm._problem import SVMProblem
from sparsedis.svm._svc import GroupLassoSVC

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal, Self

    from numpy.typing import ArrayLike

    from sparsedis._typing import SparseMatrix


class GroupLassoSVCCV(GroupLassoSVMClassifier):
    r"""Linear multiclass SVM with a group penalty that is chosen by cross-validation.

    The models are those of :class:`GroupLassoSVC`. The penalty is the one that a
    :class:`~sklearn.model_selection.GridSearchCV` of that finds on the same folds. All
    penalties of a fold are solved together, if there are up to 400 samples times one
    less than the number of classes (1,000 if there are more features than samples).
    Then a search takes two to three times as long.

    Parameters
    ----------
    alphas : int or array-like of shape (n_alphas,), default=20
        Number of penalties, from the largest one that matters down to `eps` times that,
        or the penalties, positive. With ``alpha_mode="relative"`` they are fractions of
        the `alpha_max_` of each fit, at most 1.

    eps : float, default=1e-2
        Smallest penalty relative to the largest, if `alphas` is a number.

    l2 : float, default=1.0
        Strength of the squared l2 penalty, positive. The hinge is a sum over the
        samples, not a mean.

    alpha_mode : {"relative", "absolute"}, default="relative"
        Whether `alphas` are fractions of `alpha_max_` or the penalties themselves.

    cv : int, cross-validation generator or iterable, default=5
        Folds. A number divides as :class:`~sklearn.model_selection.StratifiedKFold`.

    scoring : str or callable, default=None
        What to maximise, by a name for :func:`~sklearn.metrics.get_scorer` or a scorer;
        the accuracy by default. There are no probabilities to score.

    fit_intercept : bool, default=True
        Whether to add an unpenalised intercept to each class.

    class_weight : dict or "balanced", default=None
        Positive weights of the classes, which multiply those of their samples.
        "balanced" makes them inversely proportional to the frequencies of the classes.

    tol : float, default=1e-8
        Duality gap to reach, relative to the objective at zero, which is the sum of
        the weights.

    max_iter : int, default=200
        Largest number of interior-point iterations of a fit; about 10 to 40 are usual.

    n_jobs : int, default=None
        Number of processes for the folds.

    Attributes
    ----------
    alpha_ : float
        Chosen penalty, in absolute value.

    alphas_ : ndarray of shape (n_alphas,)
        Penalties of the fit to all samples, in absolute value and decreasing order.

    score_path_ : ndarray of shape (n_alphas, n_folds)
        Scores on each fold of the classifiers that were fitted without it. NaN for
        folds without samples, and if the others have a single class.

    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        Coefficients with the chosen penalty, as in :class:`GroupLassoSVC`.

    intercept_ : ndarray of shape (1,) or (n_classes,)
        Intercepts, in the same form.

    classes_ : ndarray of shape (n_classes,)
        Labels of the classes that have samples with a positive weight.

    active_features_ : ndarray of int
        Features with a coefficient that is not zero.

    alpha_max_ : float
        Value of alpha, in closed form, at and above which all coefficients are zero.

    dual_gap_ : float
        Duality gap of the solution, relative to the objective at zero.

    n_iter_ : int
        Number of iterations of the fit to all samples.

    n_features_in_ : int
        Number of features.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if X has names.

    See Also
    --------
    GroupLassoSVC : The same with a given penalty.
    sparsedis.heads.SparseHeadsClassifierCV : Sparse logistic models of many tasks.

    Notes
    -----
    Of penalties with the same mean score, the largest is chosen. Folds with a NaN among
    their scores do not count.

    Where optimal intercepts are not unique, those of a search and of
    :class:`GroupLassoSVC` may differ, and with them scores and the chosen penalty.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sparsedis.svm import GroupLassoSVCCV
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = GroupLassoSVCCV(alphas=[0.5, 0.1, 0.02], cv=3).fit(X, y)
    >>> clf.score_path_.mean(1).round(2)
    array([0.67, 0.95, 0.98])
    >>> clf.active_features_
    array([0, 1, 2, 3])
    """

    _parameter_constraints: ClassVar = {
        **GroupLassoSVMClassifier._parameter_constraints,
        "alphas": [Interval(Integral, 1, None, closed="left"), "array-like"],
        "eps": [Interval(Real, 0, 1, closed="neither")],
        "cv": ["cv_object"],
        "scoring": [StrOptions(set(get_scorer_names())), callable, None],
        "n_jobs": [None, Integral],
    }

    def __init__(
        self,
        alphas: ArrayLike = 20,
        *,
        eps: float = 1e-2,
        l2: float = 1.0,
        alpha_mode: Literal["relative", "absolute"] = "relative",
        cv: Any = 5,
        scoring: str | Callable | None = None,
        fit_intercept: bool = True,
        class_weight: dict | Literal["balanced"] | None = None,
        tol: float = 1e-8,
        max_iter: int = 200,
        n_jobs: int | None = None,
    ) -> None:
        self.alphas = alphas
        self.eps = eps
        self.l2 = l2
        self.alpha_mode = alpha_mode
        self.cv = cv
        self.scoring = scoring
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.tol = tol
        self.max_iter = max_iter
        self.n_jobs = n_jobs

    @whole_or_not
    @keeps_types(_fit_context(prefer_skip_nested_validation=True))
    def fit(
        self,
        X: ArrayLike | SparseMatrix,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        groups: ArrayLike | None = None,
    ) -> Self:
        """Choose the penalty, and fit the classifier.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features.

        y : array-like of shape (n_samples,)
            Labels.

        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of the samples, also in the score of a fold, if it is
            given. All folds count the same.

        groups : array-like of shape (n_samples,), default=None
            Groups of samples, for `cv`.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            When X holds NaN or inf, there are fewer than two classes, a weight is
            negative, a parameter is out of range, or no fold can be judged.

        Warns
        -----
        ConvergenceWarning
            When the duality gap of a fit stays above `tol`.
        """
        grid = self._read_grid()
        X, y, weight = self._read(X, y, sample_weight)
        problem = self._problem(X, y, weight)
        if grid is None:
            largest = 1.0 if self.alpha_mode == "relative" else self.alpha_max_
            grid = largest * np.logspace(0, np.log10(self.eps), self.alphas)
        scorer = check_scoring(GroupLassoSVC(), self.scoring)
        weighted = sample_weight is not None
        splits = check_cv(self.cv, y, classifier=True).split(X, y, groups)
        found = Parallel(n_jobs=self.n_jobs)(
            delayed(self._judge)(X, y, weight, weighted, *split, grid, scorer)
            for split in splits
        )
        if not found:
            raise ValueError(f"cv={self.cv!r} must yield at least one fold.")
        scores, worst = zip(*found, strict=True)
        self.score_path_ = np.transpose(scores)
        known = ~np.isnan(self.score_path_).any(0)
        if not known.any():
            raise ValueError(
                f"cv={self.cv!r} must leave samples of at least two classes with a "
                "positive weight to train on, and some to judge, in one fold at least, "
                f"where scoring={self.scoring!r} must not be NaN for any penalty."
            )
        best = self.score_path_[:, known].mean(1).argmax()
        self.alphas_ = self._absolute(grid, self.alpha_max_)
        self.alpha_ = float(self.alphas_[best])
        (solution,) = self._solve(problem, self.alphas_[[best]])
        self._keep(solution)
        every = [solution, *filter(None, worst)]
        self._warn_of_gap(max(every, key=_gap))
        return self

    def _read_grid(self):
        """Penalties in decreasing order, or None if there is a number of them."""
        relative = self.alpha_mode == "relative"
        if isinstance(self.alphas, Integral) and not isinstance(self.alphas, bool):
            return None
        try:
            grid = np.sort(np.asarray(self.alphas, dtype=float))[::-1].copy()
        except (TypeError, ValueError):
            grid = np.empty(0)
        inside = (grid > 0) & (grid <= (1 if relative else np.finfo(float).max))
        if grid.ndim != 1 or not len(grid) or not inside.all():
            kind = "fractions of at most 1" if relative else "finite penalties"
            raise ValueError(
                "alphas must be a number of penalties, or a list of positive ones "
                f"({kind} with alpha_mode={self.alpha_mode!r}), got {self.alphas!r}."
            )
        return grid

    def _absolute(self, grid, alpha_max):
        return grid * (alpha_max if self.alpha_mode == "relative" else 1.0)

    def _judge(self, X, y, weight, weighted, train, test, grid, scorer):
        """Scores on a fold, and the solution with the largest gap."""
        nothing = np.full(len(grid), np.nan), None
        rows = np.arange(len(y))
        own = np.bincount(rows[train], minlength=len(y)) * weight
        test = rows[test][weight[test] > 0]
        classes = np.unique(y[own > 0])
        if len(classes) < 2 or not len(test):
            return nothing
        factors = self.class_weight
        if isinstance(factors, dict):
            factors = {c: factors[c] for c in factors.keys() & set(classes.tolist())}
        problem = SVMProblem(X, y, own, factors, self.fit_intercept)
        solutions = self._solve(problem, self._absolute(grid, problem.alpha_max()))
        how = {"sample_weight": weight[test]} if weighted else {}
        scores = []
        for solution in solutions:
            classifier = GroupLassoSVC()
            classifier.classes_, classifier.n_features_in_ = classes, X.shape[1]
            classifier._keep(solution)
            scores.append(scorer(classifier, X[test], y[test], **how))
        return scores, max(solutions, key=_gap)

    def _solve(self, problem, alphas):
        how = {"tol": self.tol, "max_iter": self.max_iter, "batched": True}
        return problem.solve(alphas, self.l2, **how)


def _gap(solution):
    """Gap of a solution; infinite if it is NaN."""
    return np.inf if np.isnan(solution.gap) else solution.gap
