"""Sparse logistic models of many tasks, with penalties that are chosen for each."""

from __future__ import annotations

from numbers import Integral, Real
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval, StrOptions

from sparsedis._fitted import whole_or_not
from sparsedis._typing import keeps_types
from sparsedis.heads._folds import Folds
from sparsedis.heads._logistic_head import LogisticProblem
from sparsedis.heads._penalties import read_alphas
from sparsedis.heads._sparse_classifier import SparseClassifier
from sparsedis.inputs._devices import read_exact_device

if TYPE_CHECKING:
    from typing import Any, Literal, Self

    import torch
    from numpy.typing import ArrayLike

    from sparsedis._typing import SparseMatrix


class SparseHeadsClassifierCV(SparseClassifier):
    r"""Sparse logistic regressions of many tasks, with a penalty for each by folds.

    The models are those of :class:`SparseHeadsClassifier`: an l1 penalty for two
    classes, and a group penalty for more. The path of each task and of all its folds
    is followed from the largest penalty to the smallest, and each solution starts from
    the last one [1]_.

    Parameters
    ----------
    alphas : int or array-like of shape (n_alphas,), default=100
        Number of penalties of each task, from the largest one that matters down to
        `eps` times that, or the penalties of all tasks.

    eps : float, default=1e-3
        Smallest penalty relative to the largest, if `alphas` is a number.

    cv : int, cross-validation generator or iterable, default=5
        Folds. A number divides the labelled rows of each task, as
        :class:`~sklearn.model_selection.StratifiedKFold` does, or the groups of rows.
        Others must hold out each row once, and train on all others. Generators that
        divide by classes need a single task.

    selection : {"cv", "1se", "bic"}, default="cv"
        "cv": the penalty with the smallest mean log loss on the folds; "1se": the
        largest one whose loss is within a standard error of that, which selects fewer
        features; "bic": the one with the smallest Bayesian information criterion, which
        needs no folds. It counts the coefficients of each feature in use: one for two
        classes, and one less than the number of classes for more.

    fit_intercept : bool, default=True
        Whether to fit intercepts, which are not penalised.

    refit : {"lasso", "relaxed"}, default="lasso"
        "relaxed": fit each head again on the features that the penalty selects, with
        the squared l2 penalty that is scikit-learn's default (``C=1``) instead.

    tol : float, default=1e-8
        Duality gap to aim at, and above which to warn, relative to the log loss at
        zero.

    n_jobs : int, default=None
        Number of processes for the tasks.

    device : str or torch.device, default="cpu"
        Device that follows the paths, in float64: "cpu", "cuda", or "auto", which is
        CUDA if there is a device. The steps are small, so that a GPU may only be faster
        with many labels or features. Results are numpy arrays.

    Attributes
    ----------
    classes_ : ndarray, or list of n_tasks ndarray
        Classes of each task; a single array if y has one dimension.

    alpha_ : float or ndarray of shape (n_tasks,)
        Chosen penalties.

    coef_ : ndarray of shape (n_tasks, n_features) or (n_tasks, n_classes, n_features)
        Coefficients with these penalties, of the logit of the second class if no task
        has more than two classes, otherwise of the logits of up to the largest number
        of classes. NaN for tasks with fewer than two classes. If y has one dimension,
        of shape (1, n_features) or (n_classes, n_features), as in scikit-learn.

    intercept_ : ndarray of shape (n_tasks,) or (n_tasks, n_classes)
        Intercepts; -inf for classes that a task does not have.

    alphas_ : ndarray of shape (n_alphas,) or (n_tasks, n_alphas)
        Penalties, in decreasing order.

    log_loss_path_ : ndarray of shape (n_tasks, n_alphas, n_folds)
        Mean log losses on each fold, half the mean deviance. NaN for folds that say
        nothing. Without the first axis if y has one dimension. Not for "bic".

    criterion_ : ndarray of shape (n_alphas,) or (n_tasks, n_alphas)
        Information criterion of each penalty. Only for "bic".

    dual_gap_ : float or ndarray of shape (n_tasks,)
        Certificate: the duality gap of the penalised problem of each task, relative to
        its log loss at zero.

    tasks_ : ndarray of shape (n_tasks,)
        Names of the tasks: columns of a DataFrame, or 0, 1, ...

    n_features_in_ : int
        Number of features.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if X has names.

    See Also
    --------
    SparseHeadsClassifier : The same with given penalties.
    SparseHeadsCV : The same for regression tasks.

    Notes
    -----
    Labels of a class that no other fold has are left out of the loss of their fold. A
    fold says nothing if others have a single class. Tasks for which no fold says
    anything have the largest penalty, and tasks with a single class always predict it.

    References
    ----------
    .. [1] J. Friedman, T. Hastie, R. Tibshirani, "Regularization paths for generalized
       linear models via coordinate descent", Journal of Statistical Software 33, 2010.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.heads import SparseHeadsClassifierCV
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((200, 30))
    >>> scores = X[:, :3] @ rng.standard_normal((3, 8)) + rng.logistic(size=(200, 8))
    >>> y = np.where(rng.random(scores.shape) < 0.5, scores > 0, np.nan)
    >>> heads = SparseHeadsClassifierCV().fit(X, y)
    >>> heads.coef_.shape, heads.alpha_.shape
    ((8, 30), (8,))
    """

    _parameter_constraints: ClassVar = {
        **SparseClassifier._parameter_constraints,
        "alphas": [Interval(Integral, 1, None, closed="left"), "array-like"],
        "eps": [Interval(Real, 0, 1, closed="neither")],
        "cv": ["cv_object"],
        "selection": [StrOptions({"cv", "1se", "bic"})],
    }

    def __init__(
        self,
        alphas: ArrayLike = 100,
        *,
        eps: float = 1e-3,
        cv: Any = 5,
        selection: Literal["cv", "1se", "bic"] = "cv",
        fit_intercept: bool = True,
        refit: Literal["lasso", "relaxed"] = "lasso",
        tol: float = 1e-8,
        n_jobs: int | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        self.alphas = alphas
        self.eps = eps
        self.cv = cv
        self.selection = selection
        self.fit_intercept = fit_intercept
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
        groups: ArrayLike | None = None,
    ) -> Self:
        """Choose the penalty of every task, and fit its head.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        y : array-like, DataFrame or sparse matrix of shape (n_samples,) or \
(n_samples, n_tasks)
            Labels of any dtype, one column per task, missing where NaN, None or pd.NA.
            In a sparse matrix the stored entries, zeros included, are the labels.

        sample_weight : array-like of shape (n_samples,) or of the shape of y, \
default=None
            Weights of the samples or of the labels, also in the loss of a fold. All
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
            When X contains NaN or inf, no task has labels of two classes, labels are
            not classes, lengths disagree, penalties are not positive and finite, or
            `cv` does not hold out each row once and train on the others.

        Warns
        -----
        ConvergenceWarning
            When the gap of a task is above `tol`.
        UserWarning
            When tasks have a single class.
        """
        X, targets, classes, weight = self._read(X, y, sample_weight)
        alphas = [read_alphas(self.alphas)] * targets.n_tasks
        problem = LogisticProblem(
            eps=self.eps,
            rule=self.selection,
            relaxed=self.refit == "relaxed",
            fit_intercept=self.fit_intercept,
            tol=self.tol,
            device=read_exact_device(self.device),
        )
        by_folds = self.selection != "bic"
        folds = Folds(0)
        if by_folds:
            # A generator can divide by the classes of a single task only. Rows without
            # a label are a class, whose folds do not matter.
            strata = None
            if targets.n_tasks == 1:
                strata = np.full(len(X), -1)
                strata[targets.rows] = targets.values
            folds = Folds.read(self.cv, X, groups, strata)
        self.alpha_, self.alphas_, losses, criterion = self._fit(
            X, targets, classes, weight, alphas, folds, problem
        )
        if by_folds:
            self.log_loss_path_ = losses
        else:
            self.criterion_ = criterion
        return self
