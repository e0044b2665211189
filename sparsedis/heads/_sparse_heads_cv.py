"""Lasso models of many tasks, with penalties that are chosen for each."""

from __future__ import annotations

from dataclasses import replace
from numbers import Integral, Real
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from sparsedis._fitted import whole_or_not
from sparsedis._typing import keeps_types
from sparsedis.heads._folds import Folds
from sparsedis.heads._penalties import read_alphas, read_sizes
from sparsedis.heads._task_lassos import TaskLassos, task_table
from sparsedis.heads._task_paths import coef_paths
from sparsedis.inputs._known_tasks import known_tasks, tasks_of_rows

if TYPE_CHECKING:
    from typing import Any, Literal, Self

    import torch
    from numpy.typing import ArrayLike

    from sparsedis._typing import SparseMatrix
    from sparsedis.solvers.penalties import MCP


class SparseHeadsCV(TaskLassos):
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
        Smallest penalty relative to the largest, if `alphas` is a number or with
        `k_features`.

    k_features : int or array-like of shape (n_numbers,), default=None
        Numbers of features to choose from, instead of penalties. The head of a number
        is that of the last point of the path, down to `eps`, at which no more features
        with a penalty have been in use together, on all labels or without a fold. With
        ``refit="relaxed"``, errors are those of heads that are fitted again.

    cv : int, cross-validation generator or iterable, default=5
        Folds. A number divides the labelled rows of each task, in their order, as
        :class:`~sklearn.model_selection.KFold` does, or the groups of rows. Others
        must hold out each row once, and train on all others.

    selection : {"cv", "1se", "bic"}, default="cv"
        "cv": the penalty with the smallest mean error on the folds; "1se": the largest
        one whose error is within a standard error of that, which selects fewer
        features; "bic": the one with the smallest Bayesian information criterion, as
        in :class:`~sklearn.linear_model.LassoLarsIC`. It needs no folds, and more
        labels than features. Its degrees of freedom are the features in use, which for
        groups are too many, since their coefficients are shrunk.

    penalty : MCP, default=None
        :class:`~sparsedis.solvers.penalties.MCP` instead of the Lasso's penalty, which
        does not shrink large coefficients. It is not convex: the head is the stationary
        point that the path from zero leads to. Features should have variances near 1.
        Small penalties take long if there are more features than labels.

    feature_groups : array-like of shape (n_features,), default=None
        Group of each feature, a number or text. The penalty acts on the norms of the
        coefficients of the groups, so that a head uses all features of a group or none:
        the group Lasso [4]_, or MCP of the norms. Not with `positive` or `k_features`.

    feature_weights : array-like, default=None
        Factors :math:`v_j` of the penalty of each feature, which then is
        :math:`\alpha_t \sum_j v_j |w_{tj}|`, of shape (n_features,), or of each task,
        of shape (n_tasks, n_features). 0: no penalty, as for the intercept (not
        with `positive`); inf: the feature is not used. None: 1 for all. With
        `penalty` or `feature_groups`, the penalty is that of :math:`v_j w_{tj}`.

    adaptive : bool, default=False
        Whether to fit the adaptive Lasso [3]_: first a Lasso, then another one in which
        the weight of each feature is divided by the size of its first coefficient,
        relative to the largest one. Features of the first Lasso alone take part, and
        large coefficients are hardly shrunk. Groups have the norms of theirs. Not with
        `penalty`. The penalty of the first Lasso is that
        with the smallest error on the folds (or the best criterion, for "bic"). For
        the error on a fold, the first Lasso is also chosen and fitted without it.

    fit_intercept : bool, default=True
        Whether to fit intercepts, which are not penalised.

    positive : bool, default=False
        Whether coefficients must not be negative. Only with the Lasso's penalty.

    refit : {"lasso", "relaxed"}, default="lasso"
        "relaxed": fit each head again by least squares on the features that the Lasso
        selects, which removes the shrinkage. Not with `positive`.

    tol : float, default=1e-10
        Value of `dual_gap_` above which to warn.

    n_jobs : int, default=None
        Number of processes for blocks of tasks.

    device : str or torch.device, default="cpu"
        Device that follows the paths, in float64: "cpu", "cuda", or "auto", which is
        CUDA if there is a device. The steps are small, so that a GPU may only be faster
        with many tasks, and up to 256 features. With more, Lasso paths stay on the CPU.
        Results are numpy arrays.

    Attributes
    ----------
    alpha_ : float or ndarray of shape (n_tasks,)
        Chosen penalties.

    coef_ : ndarray of shape (n_features,) or (n_tasks, n_features)
        Coefficients with these penalties; NaN for tasks without labels.

    intercept_ : float or ndarray of shape (n_tasks,)
        Intercepts.

    k_features_ : float or ndarray of shape (n_tasks,)
        Chosen numbers of features, at most `n_features_in_`; NaN for tasks without
        labels. Only with `k_features`.

    alphas_ : ndarray of shape (n_alphas,) or (n_tasks, n_alphas)
        Penalties, in decreasing order; with `k_features`, those of each number, which
        are in increasing order.

    mse_path_ : ndarray of shape (n_alphas, n_folds) or (n_tasks, n_alphas, n_folds)
        Mean squared errors on each fold; NaN for folds without labels. Not for "bic".

    feature_weights_ : ndarray of shape (n_features,) or (n_tasks, n_features)
        Weights of the features in the second Lasso; inf for those that are not in the
        first. Only with `adaptive`.

    criterion_ : ndarray of shape (n_alphas,) or (n_tasks, n_alphas)
        Information criterion of each penalty. Only for "bic".

    dual_gap_ : float or ndarray of shape (n_tasks,)
        Certificate: the duality gap of the Lasso of each task, relative to its squared
        error without the features that have a penalty. With MCP it is the largest
        violation of the optimality conditions, relative to that at zero.

    tasks_ : ndarray of shape (n_tasks,)
        Names of the tasks: columns of a DataFrame, ids in `task`, or 0, 1, ...

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
    .. [3] H. Zou, "The adaptive lasso and its oracle properties", Journal of the
       American Statistical Association 101, 2006.
    .. [4] M. Yuan, Y. Lin, "Model selection and estimation in regression with grouped
       variables", Journal of the Royal Statistical Society B 68, 2006.

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
        **TaskLassos._parameter_constraints,
        "alphas": [Interval(Integral, 1, None, closed="left"), "array-like"],
        "eps": [Interval(Real, 0, 1, closed="neither")],
        "k_features": [
            None,
            Interval(Integral, 1, None, closed="left"),
            "array-like",
        ],
        "cv": ["cv_object"],
        "selection": [StrOptions({"cv", "1se", "bic"})],
    }

    def __init__(
        self,
        alphas: ArrayLike = 100,
        *,
        eps: float = 1e-3,
        k_features: ArrayLike | None = None,
        cv: Any = 5,
        selection: Literal["cv", "1se", "bic"] = "cv",
        penalty: MCP | None = None,
        feature_groups: ArrayLike | None = None,
        feature_weights: ArrayLike | None = None,
        adaptive: bool = False,
        fit_intercept: bool = True,
        positive: bool = False,
        refit: Literal["lasso", "relaxed"] = "lasso",
        tol: float = 1e-10,
        n_jobs: int | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        self.alphas = alphas
        self.eps = eps
        self.k_features = k_features
        self.cv = cv
        self.selection = selection
        self.penalty = penalty
        self.feature_groups = feature_groups
        self.feature_weights = feature_weights
        self.adaptive = adaptive
        self.fit_intercept = fit_intercept
        self.positive = positive
        self.refit = refit
        self.tol = tol
        self.n_jobs = n_jobs
        self.device = device

    @whole_or_not
    @keeps_types(_fit_context(prefer_skip_nested_validation=True))
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike | SparseMatrix,
        sample_weight: ArrayLike | None = None,
        *,
        task: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> Self:
        """Choose the penalty of every task, and fit its head.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        y : array-like, DataFrame or sparse matrix of shape (n_samples,) or \
(n_samples, n_tasks)
            Targets, one column per task, missing where NaN. In a sparse matrix the
            stored entries, zeros included, are the labels. With `task`, one label of
            each row.

        sample_weight : array-like of shape (n_samples,) or of the shape of y, \
default=None
            Weights of the samples or of the labels, also in the error of a fold. All
            folds count the same.

        task : array-like of shape (n_samples,), default=None
            The task of each row, if y holds one label per row: numbers or text.

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
            disagree, penalties are not positive and finite, `cv` does not hold out
            each row once and train on the others, or has fewer than 3 folds with
            `adaptive`.

        Warns
        -----
        ConvergenceWarning
            When the gap of a task is above `tol`.
        UserWarning
            When `k_features` is larger than the number of features.
        """
        X, targets, weight = self._read(X, y, sample_weight, task)
        alphas, names = read_alphas(self.alphas), targets.names
        sizes = read_sizes(self.k_features, X.shape[1])
        problem = self._problem(alphas, self.eps, sizes, self.selection, names)
        by_folds = self.selection != "bic"
        folds = Folds.read(self.cv, X, groups) if by_folds else Folds(0)
        if self.adaptive and by_folds and folds.n_folds < 3:
            raise ValueError(
                "cv must have at least 3 folds with adaptive=True, since two others "
                f"choose the first Lasso of each; got {folds.n_folds}."
            )
        result = self._fit(X, targets, weight, folds, problem)
        self.alphas_ = result("alphas")
        if sizes is not None:
            chosen = result("chosen")
            known = ~np.isnan(chosen)
            own = sizes[np.where(known, chosen, 0).astype(int)]
            self.k_features_ = np.where(known, own, np.nan)[()]
        if self.adaptive:
            self.feature_weights_ = result("weights")
        if by_folds:
            self.mse_path_ = result("errors")
        else:
            self.criterion_ = result("criterion")
        return self

    def coef_path(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        task: ArrayLike | None = None,
        tasks: ArrayLike | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients of tasks for all their penalties.

        `fit` does not keep them, since they need much memory; they are computed again
        from the same data.

        Parameters
        ----------
        X, y, sample_weight, task : array-like
            The data of `fit`.

        tasks : array-like of shape (n_paths,), default=None
            Names of tasks, as in ``tasks_``. None: all.

        Returns
        -------
        alphas : ndarray of shape (n_alphas,) or (n_paths, n_alphas)
            Penalties, those of ``alphas_``.

        coefs : ndarray of shape (n_features, n_alphas) or \
(n_paths, n_features, n_alphas)
            Coefficients of the Lasso, not those of a relaxed fit; NaN for tasks without
            labels.

        Raises
        ------
        ValueError
            When `tasks` is not a list, or for a task that `fit` has not seen.
        """
        check_is_fitted(self)
        X, targets, weight = self._read(X, y, sample_weight, task, reset=False)
        every = np.arange(len(self.tasks_))
        if tasks is not None:
            if np.ndim(tasks) != 1:
                raise ValueError(f"tasks must be a list of names, got {tasks!r}.")
            every = tasks_of_rows(tasks, len(tasks), self.tasks_, "tasks")
        column = np.full(len(self.tasks_), -1)
        number = known_tasks(targets, y, len(X), self.tasks_, self._layout)
        column[number[number >= 0]] = np.flatnonzero(number >= 0)
        alphas, names = np.atleast_2d(self.alphas_), self.tasks_
        problem = self._problem(alphas, self.eps, None, self.selection, names)
        if self.adaptive:
            weights = np.atleast_2d(self.feature_weights_)
            problem = replace(problem, feature_weights=weights)
        coefs = np.full((len(every), X.shape[1], alphas.shape[1]), np.nan)
        for i, t in enumerate(every):
            if column[t] >= 0 and not np.isnan(alphas[t, 0]):
                one = np.array([column[t]])
                data = task_table(targets, weight, one, len(X))
                used = data[1].any(1)
                data = (X[used], *(part[used] for part in data))
                coefs[i] = coef_paths(*data, problem.take([t]))[0].T
        if self._layout == "single":
            return alphas[0], coefs[0]
        return alphas[every], coefs
