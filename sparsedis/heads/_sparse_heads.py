"""Lasso models of many tasks with given penalties."""

from __future__ import annotations

from numbers import Integral, Real
from typing import TYPE_CHECKING, ClassVar

from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval

from sparsedis._fitted import whole_or_not
from sparsedis._typing import keeps_types
from sparsedis.heads._folds import Folds
from sparsedis.heads._penalties import read_alpha, read_sizes
from sparsedis.heads._task_lassos import TaskLassos

if TYPE_CHECKING:
    from typing import Literal, Self

    import torch
    from numpy.typing import ArrayLike

    from sparsedis._typing import SparseMatrix
    from sparsedis.solvers.penalties import MCP

# End of the paths to a number of features, relative to their largest penalties.
_END = 1e-6


class SparseHeads(TaskLassos):
    r"""Lasso regressions of many tasks on the same features.

    For each task t, with labels at the rows :math:`I_t`, minimises

    .. math::
        \frac{1}{2 |I_t|} \sum_{i \in I_t} (y_{it} - x_i w_t - b_t)^2
        + \alpha_t \|w_t\|_1

    as :class:`~sklearn.linear_model.Lasso` on these rows does. All tasks are solved
    together and exactly, by the homotopy method: the path of the solution is followed
    from the largest penalty to the one asked for. With `penalty` or `feature_groups`,
    Newton steps follow it, from penalty to penalty.

    Parameters
    ----------
    alpha : float or array-like of shape (n_tasks,), default=1.0
        Strength of the penalty, of each task if it is an array.

    k_features : int, default=None
        Largest number of features of each head, instead of `alpha`. The head is that of
        the last point of the path at which no more features with a penalty have been
        in use together. The path ends at 1e-6 times its largest penalty.

    penalty : MCP, default=None
        :class:`~sparsedis.solvers.penalties.MCP` instead of the Lasso's penalty, which
        does not shrink large coefficients. It is not convex: the head is the stationary
        point that the path from zero leads to. Features should have variances near 1.
        Small penalties take long if there are more features than labels.

    feature_groups : array-like of shape (n_features,), default=None
        Group of each feature, a number or text. The penalty acts on the norms of the
        coefficients of the groups, so that a head uses all features of a group or none:
        the group Lasso [2]_, or MCP of the norms. Not with `positive` or `k_features`.

    feature_weights : array-like, default=None
        Factors :math:`v_j` of the penalty of each feature, which then is
        :math:`\alpha_t \sum_j v_j |w_{tj}|`, of shape (n_features,), or of each task,
        of shape (n_tasks, n_features). 0: no penalty, as for the intercept (not
        with `positive`); inf: the feature is not used. None: 1 for all. With
        `penalty` or `feature_groups`, the penalty is that of :math:`v_j w_{tj}`.

    adaptive : bool, default=False
        Whether to fit the adaptive Lasso [1]_: first a Lasso, then another one in which
        the weight of each feature is divided by the size of its first coefficient,
        relative to the largest one. Features of the first Lasso alone take part, and
        large coefficients are hardly shrunk. Groups have the norms of theirs. Not with
        `penalty`.

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
        Penalties of the heads.

    coef_ : ndarray of shape (n_features,) or (n_tasks, n_features)
        Coefficients; NaN for tasks without labels.

    intercept_ : float or ndarray of shape (n_tasks,)
        Intercepts.

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
    SparseHeadsCV : Chooses the penalty of each task.

    References
    ----------
    .. [1] H. Zou, "The adaptive lasso and its oracle properties", Journal of the
       American Statistical Association 101, 2006.
    .. [2] M. Yuan, Y. Lin, "Model selection and estimation in regression with grouped
       variables", Journal of the Royal Statistical Society B 68, 2006.

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
        **TaskLassos._parameter_constraints,
        "alpha": [Interval(Real, 0, None, closed="neither"), "array-like"],
        "k_features": [None, Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        alpha: ArrayLike = 1.0,
        *,
        k_features: int | None = None,
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
        self.alpha = alpha
        self.k_features = k_features
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
    ) -> Self:
        """Fit the head of every task.

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
            Weights of the samples or of the labels.

        task : array-like of shape (n_samples,), default=None
            The task of each row, if y holds one label per row: numbers or text.

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
        UserWarning
            When `k_features` is larger than the number of features.
        """
        X, targets, weight = self._read(X, y, sample_weight, task)
        alphas = read_alpha(self.alpha, targets.names)[:, None]
        sizes = read_sizes(self.k_features, X.shape[1])
        if self.adaptive and sizes is not None:
            raise ValueError(
                "adaptive=True needs a penalty for the first Lasso, which k_features "
                "does not give; use SparseHeadsCV."
            )
        problem = self._problem(alphas, _END, sizes, "cv", targets.names)
        self._fit(X, targets, weight, Folds(0), problem)
        return self
