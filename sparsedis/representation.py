"""Sparse multi-task representation learning as a scikit-learn estimator."""

import warnings
from numbers import Integral, Real

import numpy as np
import torch
from sklearn.base import RegressorMixin, _fit_context
from sklearn.callback import with_callbacks
from sklearn.metrics import r2_score
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_array, check_is_fitted

from sparsedis._base import BaseRepresentation
from sparsedis._heads import fit_heads
from sparsedis.tasks import WideTasks

__all__ = ["SparseMultiTaskRepresentation"]


class SparseMultiTaskRepresentation(RegressorMixin, BaseRepresentation):
    r"""Representation shared by many regression tasks with sparse linear heads.

    One encoder f serves all the tasks; each task t has its own head, the exact
    solution of a convex problem on the features, and the encoder is trained through
    that solution by implicit differentiation (Eq. 4 of [1]_):

    .. math::

        \min_f \frac{1}{T} \sum_t \frac{1}{2 n_t} \|y_t - f(X_t) \hat w_t\|^2
        \quad \text{with} \quad
        \hat w_t = \arg\min_w \frac{1}{2 n_t} \|y_t - f(X_t) w\|^2
        + \lambda_t \|w\|_1

    With enough tasks of varied sparse supports the features are the factors behind
    the tasks, up to order and scale (Theorem 3.1): they are disentangled.

    Parameters
    ----------
    n_components : int, default=6
        Number of features.

    alpha : float, default=0.4
        Strength of the penalty. With ``alpha_mode="relative"`` a fraction, in (0, 1],
        of the smallest penalty that makes a task's head zero, computed for every task
        at every step; no gradient flows through it. Small values leave correlated
        factors mixed: the shrinkage of the heads then costs less with mixed features.

    penalty : {"l1", "l2"}, default="l1"
        "l1": Lasso heads ("inner-Lasso"). "l2": Ridge heads ("inner-Ridge"), the
        dense baseline, which does not disentangle.

    alpha_mode : {"relative", "absolute"}, default="relative"
        Whether `alpha` is a fraction or the penalty :math:`\lambda` itself (on
        targets of unit variance when ``normalize_y=True``).

    alpha_warmup : float in [0, 1], default=0.4
        Fraction of the steps over which `alpha` rises linearly to its value. A large
        penalty from the first step can switch a feature off for good.

    encoder : str, torch module or callable, default="auto"
        "auto", "mlp", "conv" or "identity", where "auto" is "conv" for images
        ``(n, height, width, channels)``, else "mlp" (see :mod:`sparsedis.encoders`). A
        module is copied; a class or function is called with
        ``(input_shape, n_components)``. Images reach it as
        ``(n, channels, height, width)``.

    normalization : {"batch", "layer", None}, default="batch"
        Normalisation, without learned scale and shift, appended to any encoder. It
        keeps the norm of the features, and so the meaning of the penalty, fixed. With
        "layer" the features of a row sum to zero, so that they depend on each other.

    refit : {"relaxed", "lasso"}, default="relaxed"
        Final heads with ``penalty="l1"``: least squares on the selected features, so
        that predictions are not shrunk, or the Lasso solution itself.

    fit_intercept : bool, default=True
        Whether heads have an intercept, which is not penalised.

    normalize_y : bool, default=True
        Whether `fit` trains on targets of unit variance per task, so that no task's
        unit rules the loss. Undone in `coef_` and `intercept_`. Where targets share a
        unit and factors are strongly correlated, False disentangles better. The
        targets of a stream are taken as they are.

    solver : {"auto", "batched", "celer"}, default="auto"
        Of the Lasso heads, see :func:`sparsedis.implicit.lasso`.

    max_iter : int, default=400
        Steps of training.

    batch_size : int, default=100
        Samples per task in a step of `fit`. Where labels are dense these rows are
        shared by all the tasks of the step.

    task_batch_size : int, default=100
        Tasks in a step of `fit`.

    lr : float, default=4e-3
        Learning rate.

    lr_schedule : {"cosine", "constant"}, default="cosine"
        Decay of the learning rate to zero over `max_iter` steps, or none.

    optimizer : type, default=torch.optim.Adam
        Optimiser class, or a function that makes one from parameters and ``lr``.

    callbacks : list of skorch callbacks, default=None
        Called during training; an epoch is 20 steps. For a progress bar use
        ``set_callbacks(sklearn.callback.ProgressBar())``.

    device : str or torch.device, default="auto"
        Where to train and encode. "auto": a CUDA device where there is one, else the
        CPU.

    random_state : int, RandomState instance or None, default=None
        Decides initial weights and batches.

    verbose : int, default=0
        Whether to print skorch's log of the epochs.

    Attributes
    ----------
    module_ : torch.nn.Module
        Encoder and normalisation.

    coef_ : ndarray of shape (n_tasks, n_components)
        Heads on the features, one row per task. NaN for a task without any label.
        Not after `fit_stream`, whose tasks are gone.

    intercept_ : ndarray of shape (n_tasks,)
        Intercepts of the heads.

    alpha_ : ndarray of shape (n_tasks,)
        Absolute penalty of each head.

    support_ : ndarray of shape (n_tasks, n_components) of bool
        Features that each head uses.

    feature_usage_ : ndarray of shape (n_components,)
        Number of heads that use each feature; after `fit_stream`, the mean share of
        heads over the last steps.

    history_ : dict of ndarray
        Per step: "loss" (outer loss), "alpha" and "active" (mean share of features
        that a head uses).

    n_iter_ : int
        Steps done.

    n_features_in_ : int
        Number of features of the input; for images, their height.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the input features, where X has names.

    input_shape_ : tuple of int
        Shape of one input.

    See Also
    --------
    sparsedis.implicit.lasso : The inner problem as a layer for other models.

    Notes
    -----
    Inputs are not scaled: put a :class:`~sklearn.preprocessing.StandardScaler` before
    the estimator for tables whose columns have different units.

    References
    ----------
    .. [1] S. Lachapelle et al., "Synergies between Disentanglement and Sparsity:
       Generalization and Identifiability in Multi-Task Learning", ICML 2023.

    Examples
    --------
    >>> from sparsedis import SparseMultiTaskRepresentation
    >>> from sparsedis.datasets import make_sparse_tasks
    >>> X, Y = make_sparse_tasks(
    ...     n_samples=300, n_tasks=60, n_factors=4, random_state=0
    ... )
    >>> est = SparseMultiTaskRepresentation(
    ...     n_components=4, alpha=0.2, max_iter=100, random_state=0
    ... )
    >>> Z = est.fit_transform(X, Y)
    >>> Z.shape, est.coef_.shape
    ((300, 4), (60, 4))
    """

    _parameter_constraints = {  # noqa: RUF012 - scikit-learn's protocol
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "penalty": [StrOptions({"l1", "l2"})],
        "alpha_mode": [StrOptions({"relative", "absolute"})],
        "alpha_warmup": [Interval(Real, 0, 1, closed="both")],
        "encoder": [
            StrOptions({"auto", "mlp", "conv", "identity"}),
            torch.nn.Module,
            callable,
        ],
        "normalization": [StrOptions({"batch", "layer"}), None],
        "refit": [StrOptions({"relaxed", "lasso"})],
        "fit_intercept": ["boolean"],
        "normalize_y": ["boolean"],
        "solver": [StrOptions({"auto", "batched", "celer"})],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 2, None, closed="left")],
        "task_batch_size": [Interval(Integral, 1, None, closed="left")],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "lr_schedule": [StrOptions({"cosine", "constant"})],
        "optimizer": [callable],
        "callbacks": [list, None],
        "device": [str, torch.device],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        n_components=6,
        *,
        alpha=0.4,
        penalty="l1",
        alpha_mode="relative",
        alpha_warmup=0.4,
        encoder="auto",
        normalization="batch",
        refit="relaxed",
        fit_intercept=True,
        normalize_y=True,
        solver="auto",
        max_iter=400,
        batch_size=100,
        task_batch_size=100,
        lr=4e-3,
        lr_schedule="cosine",
        optimizer=torch.optim.Adam,
        callbacks=None,
        device="auto",
        random_state=None,
        verbose=0,
    ):
        self.n_components = n_components
        self.alpha = alpha
        self.penalty = penalty
        self.alpha_mode = alpha_mode
        self.alpha_warmup = alpha_warmup
        self.encoder = encoder
        self.normalization = normalization
        self.refit = refit
        self.fit_intercept = fit_intercept
        self.normalize_y = normalize_y
        self.solver = solver
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.task_batch_size = task_batch_size
        self.lr = lr
        self.lr_schedule = lr_schedule
        self.optimizer = optimizer
        self.callbacks = callbacks
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    @with_callbacks
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y):
        """Learn the representation and the head of every task.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, height, width, \
channels)
            Inputs: a table, or images as unsigned 8-bit integers (scaled to [0, 1]) or
            floats.

        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            Targets, one column per task, NaN where a label is missing.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            When X holds NaN or inf, y inf or no label at all, shapes disagree, or a
            parameter is out of range.
        """
        self._check_alpha()
        X = self._validate_X(X, reset=True)
        Y = self._validate_y(y, X)
        scale = _target_scale(Y) if self.normalize_y else np.ones(Y.shape[1])
        Y = Y / scale
        self._forget()
        random_state = check_random_state(self.random_state)
        source = WideTasks(
            X,
            Y,
            n_samples=self.batch_size,
            n_tasks=self.task_batch_size,
            random_state=random_state,
        )
        self._train(source, X, y, random_state)
        self.module_.set_statistics(self._blocks(X, np.float32))

        unlabelled = np.flatnonzero(np.isnan(Y).all(0))
        if len(unlabelled):
            warnings.warn(
                f"{len(unlabelled)} of {Y.shape[1]} tasks have no label (columns "
                f"{unlabelled[:5].tolist()}{', ...' if len(unlabelled) > 5 else ''} of "
                "y); their heads and predictions are NaN.",
                UserWarning,
                stacklevel=2,
            )
        heads = fit_heads(
            self._encode(X).astype(np.float64),
            Y,
            self.alpha,
            refit=self.refit,
            **self._inner(),
        )
        self.coef_ = heads.coef * scale[:, None]
        self.intercept_ = heads.intercept * scale
        self.alpha_ = heads.alpha
        self.support_ = heads.support
        self.feature_usage_ = heads.support.sum(0)
        self._warn_if_unused()
        return self

    def predict(self, X):
        """Predictions of every task.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, height, width, \
channels)
            Inputs, as in `fit`.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_tasks)
            Predictions, in the layout of the y of `fit`.

        Raises
        ------
        AttributeError
            After `fit_stream`, which leaves no heads.
        """
        check_is_fitted(self, "module_")
        coef, intercept = self.coef_, self.intercept_
        Z = self.transform(X)
        y = Z @ coef.T.astype(Z.dtype) + intercept.astype(Z.dtype)
        return y[:, 0] if self._single_task else y

    def score(self, X, y, sample_weight=None):
        """Mean over the tasks of the coefficient of determination R2.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, height, width, \
channels)
            Inputs, as in `fit`.

        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            Targets; a NaN is left out. Tasks with fewer than two labels here, or none
            in `fit`, do not count.

        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights.

        Returns
        -------
        score : float
            Mean R2.

        Raises
        ------
        ValueError
            When no task can be scored.
        """
        prediction = self.predict(X)
        y = check_array(
            y, ensure_2d=False, dtype=np.float64, ensure_all_finite="allow-nan"
        )
        if y.ndim == 2 and y.shape[1] == 1 and prediction.ndim == 1:
            y = y[:, 0]
        if y.shape != prediction.shape:
            raise ValueError(
                f"y must have shape {prediction.shape}, like the predictions; got "
                f"{y.shape}."
            )
        y, prediction = y.reshape(len(y), -1), prediction.reshape(len(y), -1)
        present = ~np.isnan(y) & ~np.isnan(prediction)
        scored = np.flatnonzero(present.sum(0) >= 2)
        if len(scored) == 0:
            raise ValueError(
                "y must label at least two samples of a task that had labels in fit."
            )
        scores = []
        for t in scored:
            at = present[:, t]
            weight = None if sample_weight is None else np.asarray(sample_weight)[at]
            scores.append(r2_score(y[at, t], prediction[at, t], sample_weight=weight))
        return float(np.mean(scores))

    def _validate_y(self, y, X):
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is "
                "None."
            )
        y = check_array(
            y,
            ensure_2d=False,
            dtype=np.float64,
            ensure_all_finite="allow-nan",
            input_name="y",
        )
        if len(y) != len(X):
            raise ValueError(
                f"X and y must have as many rows, got {len(X)} and {len(y)}."
            )
        if np.isnan(y).all():
            raise ValueError("y holds no label at all: every entry is NaN.")
        self._single_task = y.ndim == 1
        return y.reshape(len(y), -1)


def _target_scale(Y):
    """Standard deviation of each column, NaN apart; 1 for a constant one."""
    labelled = ~np.isnan(Y)
    count = np.maximum(labelled.sum(0), 1)
    centred = np.where(labelled, Y - np.where(labelled, Y, 0).sum(0) / count, 0)
    scale = np.sqrt((centred**2).sum(0) / count)
    # What centring leaves of a constant column is rounding.
    noise = 10 * np.finfo(Y.dtype).eps * np.where(labelled, np.abs(Y), 0).max(0)
    return np.where(scale > noise, scale, 1.0)
