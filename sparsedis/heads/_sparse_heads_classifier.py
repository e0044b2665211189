"""Sparse logistic models of many tasks with given penalties."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, ClassVar

from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval

from sparsedis._fitted import whole_or_not
from sparsedis._typing import keeps_types
from sparsedis.heads._folds import Folds
from sparsedis.heads._logistic_head import LogisticProblem
from sparsedis.heads._penalties import read_alpha
from sparsedis.heads._sparse_classifier import SparseClassifier
from sparsedis.inputs._devices import read_exact_device

if TYPE_CHECKING:
    from typing import Literal, Self

    import torch
    from numpy.typing import ArrayLike

    from sparsedis._typing import SparseMatrix


class SparseHeadsClassifier(SparseClassifier):
    r"""Sparse logistic regressions of many tasks on the same features.

    For each task t, with labels at the rows :math:`I_t`, minimises

    .. math::
        \frac{1}{|I_t|} \sum_{i \in I_t} \log(1 + e^{-s_{it} (x_i w_t + b_t)})
        + \alpha_t \|w_t\|_1

    with :math:`s_{it} = 1` for the second of its two classes and -1 for the first. This
    is the problem of :class:`~sklearn.linear_model.LogisticRegression` on these rows,
    with an l1 penalty and :math:`C = 1 / (\alpha_t |I_t|)`. A task with more classes
    has a multinomial model with a group penalty,

    .. math::
        \frac{1}{|I_t|} \sum_{i \in I_t} \Big(\log \sum_c e^{\eta_{itc}}
        - \eta_{it y_{it}}\Big) + \alpha_t \sum_j \|W_{tj}\|_2, \qquad
        \eta_{it} = x_i W_t + b_t

    so that all logits of a task use the same features.

    Parameters
    ----------
    alpha : float or array-like of shape (n_tasks,), default=0.01
        Strength of the penalty, of each task if it is an array.

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

    coef_ : ndarray of shape (n_tasks, n_features) or (n_tasks, n_classes, n_features)
        Coefficients of the logit of the second class if no task has more than two
        classes, otherwise of the logits of up to the largest number of classes. NaN for
        tasks with fewer than two classes. If y has one dimension, of shape (1,
        n_features) or (n_classes, n_features), as in scikit-learn.

    intercept_ : ndarray of shape (n_tasks,) or (n_tasks, n_classes)
        Intercepts; -inf for classes that a task does not have.

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
    SparseHeadsClassifierCV : Chooses the penalty of each task.
    SparseHeads : The same for regression tasks.

    Notes
    -----
    Tasks with a single class always predict it.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.heads import SparseHeadsClassifier
    >>> X = np.random.default_rng(0).standard_normal((100, 4))
    >>> y = np.where(X[:, :2] > [0.0, 0.3], "yes", "no").astype(object)
    >>> y[:50, 0] = None
    >>> heads = SparseHeadsClassifier(alpha=0.1).fit(X, y)
    >>> heads.coef_ != 0
    array([[ True, False, False, False],
           [False,  True, False, False]])
    """

    _parameter_constraints: ClassVar = {
        **SparseClassifier._parameter_constraints,
        "alpha": [Interval(Real, 0, None, closed="neither"), "array-like"],
    }

    def __init__(
        self,
        alpha: ArrayLike = 0.01,
        *,
        fit_intercept: bool = True,
        refit: Literal["lasso", "relaxed"] = "lasso",
        tol: float = 1e-8,
        n_jobs: int | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        self.alpha = alpha
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
    ) -> Self:
        """Fit the head of every task.

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
            Weights of the samples or of the labels.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            When X contains NaN or inf, no task has labels of two classes, labels are
            not classes, lengths disagree, or a penalty is not positive and finite.

        Warns
        -----
        ConvergenceWarning
            When the gap of a task is above `tol`.
        UserWarning
            When tasks have a single class.
        """
        X, targets, classes, weight = self._read(X, y, sample_weight)
        problem = LogisticProblem(
            eps=1.0,
            rule="cv",
            relaxed=self.refit == "relaxed",
            fit_intercept=self.fit_intercept,
            tol=self.tol,
            device=read_exact_device(self.device),
        )
        alphas = read_alpha(self.alpha, targets.names)[:, None]
        self._fit(X, targets, classes, weight, alphas, Folds(0), problem)
        return self
