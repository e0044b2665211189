"""Sparse linear models of many tasks on given features."""

import warnings
from numbers import Integral, Real
from typing import ClassVar

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import (
    BaseEstimator,
    MultiOutputMixin,
    RegressorMixin,
    _fit_context,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from sparsedis._fitted import whole_or_not
from sparsedis._judged import mean_score
from sparsedis._scores import head_scores
from sparsedis.heads._folds import Folds
from sparsedis.heads._task_paths import HeadProblem, block_size, fit_heads
from sparsedis.inputs._forms import read_targets
from sparsedis.inputs._numbers import validate_numbers
from sparsedis.inputs._plain import check_plain
from sparsedis.inputs._weights import check_weights, label_weights


class _SparseHeads(MultiOutputMixin, RegressorMixin, BaseEstimator):
    """Base class of sparse linear models of many tasks."""

    _parameter_constraints: ClassVar = {
        "fit_intercept": ["boolean"],
        "positive": ["boolean"],
        "refit": [StrOptions({"lasso", "relaxed"})],
        "tol": [Interval(Real, 0, None, closed="neither")],
        "n_jobs": [None, Integral],
    }

    def predict(self, X):
        """Predict the target of every task.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_tasks)
            Predictions; NaN for tasks without labels.
        """
        check_is_fitted(self)
        check_plain(X, "X")
        X = validate_numbers(self, X, reset=False, dtype=np.float64)
        coef = np.atleast_2d(self.coef_)
        y = head_scores(X, coef, np.atleast_1d(self.intercept_))
        return y[:, 0] if self._layout == "single" else y

    def score(self, X, y, sample_weight=None):
        """Mean over the tasks of the coefficient of determination.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        y : array-like, DataFrame or sparse matrix of shape (n_samples,) or \
(n_samples, n_tasks)
            Targets, as in `fit`. Named columns may have another order, or be a subset
            of those of `fit`. Tasks with fewer than two labels here, or none in `fit`,
            are left out.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples.

        Returns
        -------
        score : float
            Mean R2, as scikit-learn defines it.
        """
        y_pred = self.predict(X)
        counted = ~np.isnan(np.atleast_1d(self.intercept_))
        return mean_score(
            y, y_pred, sample_weight, False, counted, self.tasks_, self._layout
        )

    def _read(self, X, y, sample_weight):
        """Validate the data."""
        if self.positive and self.refit == "relaxed":
            raise ValueError(
                "refit='relaxed' fits by least squares, which may give negative "
                "coefficients; use refit='lasso' with positive=True."
            )
        check_plain(X, "X")
        X = validate_numbers(self, X, dtype=np.float64, ensure_min_samples=2)
        weight = check_weights(sample_weight, len(X), y)
        targets = read_targets(
            y, len(X), weight=weight, real=True, estimator=type(self).__name__
        )
        if targets.values.ndim == 3:
            raise ValueError("y must have one or two dimensions, got 3.")
        return X, targets, weight

    def _fit(self, X, targets, weight, folds, problem):
        """Fit all tasks in blocks; return their penalties and held-out errors."""
        counts = targets.counts() if targets.is_table else np.bincount(targets.tasks)
        tasks = np.flatnonzero(counts)
        size = block_size(*X.shape, folds.n_folds, problem)
        blocks = [tasks[i : i + size] for i in range(0, len(tasks), size)]
        parts = Parallel(n_jobs=self.n_jobs)(
            delayed(fit_heads)(
                X, *_table(targets, weight, block, len(X)), folds, problem.take(block)
            )
            for block in blocks
        )
        self.tasks_, self._layout = targets.names, targets.layout

        def joined(name):
            values = np.concatenate([getattr(part, name) for part in parts])
            whole = np.full((targets.n_tasks, *values.shape[1:]), np.nan)
            whole[tasks] = values
            return whole[0] if self._layout == "single" else whole

        self.coef_, self.intercept_ = joined("coef"), joined("intercept")
        self.dual_gap_ = joined("gap")
        self._warn_of_gaps()
        return [joined(n) for n in ("alpha", "alphas", "errors", "criterion")]

    def _warn_of_gaps(self):
        gap = np.atleast_1d(self.dual_gap_)
        missed = self.tasks_[gap > self.tol]
        if len(missed):
            warnings.warn(
                f"{len(missed)} of {len(gap)} tasks (first: {missed[:5].tolist()}) "
                f"have a relative gap above tol={self.tol:g}; the largest is "
                f"{np.nanmax(gap):.1e}. Features may be nearly combinations of others.",
                ConvergenceWarning,
                stacklevel=5,
            )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags


class SparseHeads(_SparseHeads):
    r"""Lasso regressions of many tasks on the same features.

    For each task t, with labels at the rows :math:`I_t`, minimises

    .. math::
        \frac{1}{2 |I_t|} \sum_{i \in I_t} (y_{it} - x_i w_t - b_t)^2
        + \alpha_t \|w_t\|_1

    as :class:`~sklearn.linear_model.Lasso` on these rows does. All tasks are solved
    together and exactly, by the homotopy method: the path of the solution is followed
    from the largest penalty to the one asked for.

    Parameters
    ----------
    alpha : float or array-like of shape (n_tasks,), default=1.0
        Strength of the penalty, of each task if it is an array.

    fit_intercept : bool, default=True
        Whether to fit intercepts, which are not penalised.

    positive : bool, default=False
        Whether coefficients must not be negative.

    refit : {"lasso", "relaxed"}, default="lasso"
        "relaxed": fit each head again by least squares on the features that the Lasso
        selects, which removes the shrinkage. Not with `positive`.

    tol : float, default=1e-10
        Duality gap above which to warn, relative to the squared error at zero.

    n_jobs : int, default=None
        Number of processes for blocks of tasks.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_tasks, n_features)
        Coefficients; NaN for tasks without labels.

    intercept_ : float or ndarray of shape (n_tasks,)
        Intercepts.

    dual_gap_ : float or ndarray of shape (n_tasks,)
        Certificate: the duality gap of the Lasso of each task, relative to its squared
        error at zero.

    tasks_ : ndarray of shape (n_tasks,)
        Names of the tasks: columns of a DataFrame, or 0, 1, ...

    n_features_in_ : int
        Number of features.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if X has names.

    See Also
    --------
    SparseHeadsCV : Chooses the penalty of each task.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.heads import SparseHeads
    >>> X = np.random.default_rng(0).standard_normal((100, 4))
    >>> Y = X[:, :2] * [3.0, -2.0] + [0.0, 5.0]
    >>> Y[:50, 0] = np.nan
    >>> heads = SparseHeads(alpha=0.1).fit(X, Y)
    >>> heads.coef_ != 0
    array([[ True, False, False, False],
           [False,  True, False, False]])
    """

    _parameter_constraints: ClassVar = {
        **_SparseHeads._parameter_constraints,
        "alpha": [Interval(Real, 0, None, closed="neither"), "array-like"],
    }

    def __init__(
        self,
        alpha=1.0,
        *,
        fit_intercept=True,
        positive=False,
        refit="lasso",
        tol=1e-10,
        n_jobs=None,
    ):
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.positive = positive
        self.refit = refit
        self.tol = tol
        self.n_jobs = n_jobs

    @whole_or_not
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
        """Fit the head of every task.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        y : array-like, DataFrame or sparse matrix of shape (n_samples,) or \
(n_samples, n_tasks)
            Targets, one column per task, missing where NaN. In a sparse matrix the
            stored entries, zeros included, are the labels.

        sample_weight : array-like of shape (n_samples,) or of the shape of y, \
default=None
            Weights of the samples or of the labels.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            When X or y contain inf, X contains NaN, y contains no label, or lengths
            disagree.

        Warns
        -----
        ConvergenceWarning
            When the gap of a task is above `tol`.
        """

        X, targets, weight = self._read(X, y, sample_weight)
        alpha, n_tasks = _penalties(self.alpha), targets.n_tasks
        if alpha.shape not in ((), (n_tasks,)):
            raise ValueError(
                f"alpha must be a positive number, or {n_tasks} of them for as many "
                f"tasks, got {self.alpha!r}."
            )
        alphas = np.repeat(alpha, n_tasks if alpha.ndim == 0 else 1)[:, None]
        problem = HeadProblem(
            alphas,
            eps=1.0,
            rule="cv",
            relaxed=self.refit == "relaxed",
            fit_intercept=self.fit_intercept,
            positive=self.positive,
            tol=self.tol,
        )
        self._fit(X, targets, weight, Folds(0), problem)
        return self


class SparseHeadsCV(_SparseHeads):
    r"""Lasso regressions of many tasks, with a penalty for each by cross-validation.

    The same as :class:`~sklearn.linear_model.LassoCV` on the labelled rows of each
    task, for all tasks together and exactly. The homotopy method follows the whole
    path of each task and each fold. The paths of up to 256 features do not depend on
    the number of rows, once their products are added up.

    Parameters
    ----------
    alphas : int or array-like of shape (n_alphas,), default=100
        Number of penalties of each task, from the largest one that matters down to
        `eps` times that, or the penalties of all tasks.

    eps : float, default=1e-3
        Smallest penalty relative to the largest, if `alphas` is a number.

    cv : int, cross-validation generator or iterable, default=5
        Folds. A number divides the labelled rows of each task, in their order, as
        :class:`~sklearn.model_selection.KFold` does, or the groups of rows. Others
        must hold out each row once, and train on all others.

    selection : {"cv", "1se", "bic"}, default="cv"
        "cv": the penalty with the smallest mean error on the folds; "1se": the largest
        one whose error is within a standard error of that, which selects fewer
        features; "bic": the one with the smallest Bayesian information criterion, as
        in :class:`~sklearn.linear_model.LassoLarsIC`. It needs no folds, and more
        labels than features.

    fit_intercept : bool, default=True
        Whether to fit intercepts, which are not penalised.

    positive : bool, default=False
        Whether coefficients must not be negative.

    refit : {"lasso", "relaxed"}, default="lasso"
        "relaxed": fit each head again by least squares on the features that the Lasso
        selects, which removes the shrinkage. Not with `positive`.

    tol : float, default=1e-10
        Duality gap above which to warn, relative to the squared error at zero.

    n_jobs : int, default=None
        Number of processes for blocks of tasks.

    Attributes
    ----------
    alpha_ : float or ndarray of shape (n_tasks,)
        Chosen penalties.

    coef_ : ndarray of shape (n_features,) or (n_tasks, n_features)
        Coefficients with these penalties; NaN for tasks without labels.

    intercept_ : float or ndarray of shape (n_tasks,)
        Intercepts.

    alphas_ : ndarray of shape (n_alphas,) or (n_tasks, n_alphas)
        Penalties, in decreasing order.

    mse_path_ : ndarray of shape (n_alphas, n_folds) or (n_tasks, n_alphas, n_folds)
        Mean squared errors on each fold; NaN for folds without labels. Not for "bic".

    criterion_ : ndarray of shape (n_alphas,) or (n_tasks, n_alphas)
        Information criterion of each penalty. Only for "bic".

    dual_gap_ : float or ndarray of shape (n_tasks,)
        Certificate: the duality gap of the Lasso of each task, relative to its squared
        error at zero.

    tasks_ : ndarray of shape (n_tasks,)
        Names of the tasks: columns of a DataFrame, or 0, 1, ...

    n_features_in_ : int
        Number of features.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if X has names.

    See Also
    --------
    SparseHeads : The same with given penalties.
    sparsedis.rotation.SparseRotation : Rotates features to make the heads sparse.

    Notes
    -----
    Tasks with fewer labels than folds use fewer folds, and those with one label, or
    equal labels, predict their mean.

    References
    ----------
    .. [1] M. R. Osborne, B. Presnell, B. A. Turlach, "A new approach to variable
       selection in least squares problems", IMA Journal of Numerical Analysis 20, 2000.
    .. [2] B. Efron, T. Hastie, I. Johnstone, R. Tibshirani, "Least angle regression",
       Annals of Statistics 32, 2004.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.heads import SparseHeadsCV
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((200, 30))
    >>> Y = X[:, :3] @ rng.standard_normal((3, 50)) + rng.standard_normal((200, 50))
    >>> Y[rng.random(Y.shape) < 0.5] = np.nan
    >>> heads = SparseHeadsCV().fit(X, Y)
    >>> heads.coef_.shape, heads.alpha_.shape
    ((50, 30), (50,))
    """

    _parameter_constraints: ClassVar = {
        **_SparseHeads._parameter_constraints,
        "alphas": [Interval(Integral, 1, None, closed="left"), "array-like"],
        "eps": [Interval(Real, 0, 1, closed="neither")],
        "cv": ["cv_object"],
        "selection": [StrOptions({"cv", "1se", "bic"})],
    }

    def __init__(
        self,
        alphas=100,
        *,
        eps=1e-3,
        cv=5,
        selection="cv",
        fit_intercept=True,
        positive=False,
        refit="lasso",
        tol=1e-10,
        n_jobs=None,
    ):
        self.alphas = alphas
        self.eps = eps
        self.cv = cv
        self.selection = selection
        self.fit_intercept = fit_intercept
        self.positive = positive
        self.refit = refit
        self.tol = tol
        self.n_jobs = n_jobs

    @whole_or_not
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None, *, groups=None):
        """Choose the penalty of every task, and fit its head.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        y : array-like, DataFrame or sparse matrix of shape (n_samples,) or \
(n_samples, n_tasks)
            Targets, one column per task, missing where NaN. In a sparse matrix the
            stored entries, zeros included, are the labels.

        sample_weight : array-like of shape (n_samples,) or of the shape of y, \
default=None
            Weights of the samples or of the labels, also in the error of a fold. All
            folds count the same.

        groups : array-like of shape (n_samples,), default=None
            Groups of rows that stay together in one fold.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            When X or y contain inf, X contains NaN, y contains no label, lengths
            disagree, penalties are not positive and finite, or `cv` does not hold out
            each row once and train on the others.

        Warns
        -----
        ConvergenceWarning
            When the gap of a task is above `tol`.
        """
        X, targets, weight = self._read(X, y, sample_weight)
        alphas = self.alphas
        if not isinstance(alphas, Integral):
            alphas = np.sort(_penalties(alphas))[::-1].copy()
            if alphas.ndim != 1 or not len(alphas):
                raise ValueError(
                    "alphas must be a number of penalties, or a list of positive ones, "
                    f"got {self.alphas!r}."
                )
        problem = HeadProblem(
            alphas,
            eps=self.eps,
            rule=self.selection,
            relaxed=self.refit == "relaxed",
            fit_intercept=self.fit_intercept,
            positive=self.positive,
            tol=self.tol,
        )
        by_folds = self.selection != "bic"
        folds = Folds.read(self.cv, X, groups) if by_folds else Folds(0)
        self.alpha_, self.alphas_, errors, criterion = self._fit(
            X, targets, weight, folds, problem
        )
        if by_folds:
            self.mse_path_ = errors
        else:
            self.criterion_ = criterion
        return self


def _penalties(values):
    """Penalties as an array, which is empty unless all are positive and finite."""
    try:
        values = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        return np.empty(0)
    return values if ((values > 0) & np.isfinite(values)).all() else np.empty(0)


def _table(targets, weight, tasks, n):
    """Targets and weights of some tasks, 0 where missing.

    Parameters
    ----------
    targets : Targets

    weight : ndarray of shape (n,) or (n, n_tasks), csr_array or None

    tasks : ndarray of int
        In increasing order.

    n : int
        Number of rows.

    Returns
    -------
    Y, share : ndarray of shape (n, len(tasks))
    """
    Y, share = np.zeros((2, n, len(tasks)))
    if targets.is_table:
        some, missing = targets.values[:, tasks], targets.missing
        missing = np.isnan(some) if missing is None else missing[:, tasks]
        rows, at = np.nonzero(~missing)
        values = some[rows, at]
    else:
        # Labels of a list are sorted by task.
        kept = slice(
            np.searchsorted(targets.tasks, tasks[0]),
            np.searchsorted(targets.tasks, tasks[-1], side="right"),
        )
        rows, values = targets.rows[kept], targets.values[kept]
        at = np.searchsorted(tasks, targets.tasks[kept])
    Y[rows, at] = values
    share[rows, at] = 1.0 if weight is None else label_weights(weight, rows, tasks[at])
    return Y, share
