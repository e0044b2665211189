"""Sparse multi-task representation learning as a scikit-learn estimator."""

import copy
import warnings
from collections import deque
from itertools import chain
from numbers import Integral, Real

import numpy as np
import torch
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    MultiOutputMixin,
    RegressorMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.metrics import r2_score
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_array, check_is_fitted, validate_data
from skorch.callbacks import Callback, LRScheduler
from torch.optim.lr_scheduler import CosineAnnealingLR

from sparsedis._heads import fit_heads
from sparsedis._net import STEPS_PER_EPOCH, BilevelNet
from sparsedis.encoders import Representation, build_encoder, input_shape_of
from sparsedis.tasks import TaskBatch, WideTasks

__all__ = ["SparseMultiTaskRepresentation"]

# Rows that are encoded at a time outside of training.
_BLOCK = 1024

# Last steps of a stream whose rows stand for its training set.
_REMEMBERED_STEPS = 50


class SparseMultiTaskRepresentation(
    CallbackSupportMixin,
    MultiOutputMixin,
    ClassNamePrefixFeaturesOutMixin,
    RegressorMixin,
    TransformerMixin,
    BaseEstimator,
):
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
        keeps the norm of the features, and so the meaning of the penalty, fixed.

    refit : {"relaxed", "lasso"}, default="relaxed"
        Final heads with ``penalty="l1"``: least squares on the selected features, so
        that predictions are not shrunk, or the Lasso solution itself.

    fit_intercept : bool, default=True
        Whether heads have an intercept, which is not penalised.

    normalize_y : bool, default=True
        Whether `fit` trains on targets of unit variance per task, so that no task's
        unit rules the loss. Undone in `coef_` and `intercept_`. The targets of a
        stream are taken as they are.

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

    @with_callbacks
    @_fit_context(prefer_skip_nested_validation=True)
    def fit_stream(self, source):
        """Learn the representation from fresh tasks at every step.

        The setting of the paper: tasks are drawn, used for one step and forgotten, so
        that afterwards the estimator transforms, but has no heads.

        Parameters
        ----------
        source : iterable
            Of :class:`~sparsedis.tasks.TaskBatch`, or of pairs ``(X, Y)`` of arrays
            as `fit` takes them; finite ones are repeated.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            When `source` is empty or yields something else.
        """
        self._check_alpha()
        stream = _Stream(source)
        first = stream.first.rows
        self._validate_X(first, reset=True)
        self._forget()
        random_state = check_random_state(self.random_state)
        last_steps = self._train(stream, first, None, random_state)
        device = self._device()
        self.module_.set_statistics(
            _to_device(rows, device, np.float32) for rows in stream.remembered
        )
        if not last_steps:
            raise ValueError("encoder has nothing to train: fit_stream needs weights.")
        self.feature_usage_ = np.mean([step["usage"] for step in last_steps], axis=0)
        self._warn_if_unused()
        return self

    def transform(self, X):
        """Features of X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, height, width, \
channels)
            Inputs, as in `fit`.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_components)
            Features; float64 when X is, else float32.
        """
        check_is_fitted(self, "module_")
        return self._encode(self._validate_X(X, reset=False))

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

    def _check_alpha(self):
        if self.alpha_mode == "relative" and not 0 < self.alpha <= 1:
            raise ValueError(
                "alpha must lie in (0, 1] when alpha_mode='relative', got "
                f"{self.alpha!r}. For a raw penalty set alpha_mode='absolute'."
            )

    def _validate_X(self, X, *, reset):
        # 8-bit images stay as they are; an 8-bit table is a table of numbers.
        dtypes = [np.float64, np.float32]
        if getattr(X, "ndim", 2) == 4:
            dtypes.append(np.uint8)
        X = validate_data(
            self,
            X,
            reset=reset,
            dtype=dtypes,
            allow_nd=True,
            ensure_min_samples=2 if reset else 1,
        )
        if reset:
            self.input_shape_ = X.shape[1:]
        elif X.shape[1:] != self.input_shape_:
            raise ValueError(
                f"X must hold inputs of shape {self.input_shape_}, as in fit; got "
                f"{X.shape[1:]}."
            )
        return X

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

    def _forget(self):
        """Drop what an earlier fit, of either kind, has left."""
        for name in ("coef_", "intercept_", "alpha_", "support_"):
            self.__dict__.pop(name, None)

    def _inner(self):
        return {
            "penalty": self.penalty,
            "alpha_mode": self.alpha_mode,
            "fit_intercept": self.fit_intercept,
            "solver": self.solver,
        }

    def _train(self, source, X, y, random_state):
        seed = random_state.randint(np.iinfo(np.int32).max)
        n_epochs = -(-self.max_iter // STEPS_PER_EPOCH)
        context = self._init_callback_context(max_subtasks=n_epochs)
        context.call_on_fit_task_begin(estimator=self, X=X, y=y)
        device = self._device()
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            module = self._make_module(input_shape_of(X))
            steps = []
            if any(p.requires_grad for p in module.parameters()):
                net = self._make_net(module, device, context).fit_source(source)
                module = net.module_
                steps = [step for epoch in net.history for step in epoch["batches"]]
        self.module_ = module.to(device).eval()
        self.n_iter_ = len(steps)
        self.history_ = {
            name: np.array([step[key] for step in steps])
            for name, key in (
                ("loss", "train_loss"),
                ("alpha", "alpha"),
                ("active", "active"),
            )
        }
        context.call_on_fit_task_end(estimator=self, X=X, y=y)
        return steps[-_REMEMBERED_STEPS:]

    def _make_net(self, module, device, context):
        callbacks = [("progress", _Progress(self, context)), *(self.callbacks or [])]
        if self.lr_schedule == "cosine":
            schedule = LRScheduler(
                CosineAnnealingLR, T_max=self.max_iter, step_every="batch"
            )
            callbacks.append(("lr_schedule", schedule))
        return BilevelNet(
            module,
            max_iter=self.max_iter,
            alpha=self.alpha,
            alpha_warmup=self.alpha_warmup,
            inner=self._inner(),
            lr=self.lr,
            optimizer=self.optimizer,
            device=device,
            callbacks=callbacks,
            verbose=self.verbose,
        )

    def _make_module(self, input_shape):
        encoder = build_encoder(self.encoder, input_shape, self.n_components)
        module = Representation(encoder, self.n_components, self.normalization)
        if len(input_shape) == 3:
            # Twice as fast on a CPU, and free: images are stored that way.
            module = module.to(memory_format=torch.channels_last)
        return module

    def _device(self):
        if self.device != "auto":
            return torch.device(self.device)
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def _blocks(self, X, dtype):
        device = self._device()
        for first in range(0, len(X), _BLOCK):
            yield _to_device(X[first : first + _BLOCK], device, dtype)

    @torch.no_grad()
    def _encode(self, X):
        module = self.module_.to(self._device())
        dtype = np.float64 if X.dtype == np.float64 and X.ndim == 2 else np.float32
        if dtype == np.float64:
            # In float32 a row's features would depend, in the last digits, on the
            # rows that it is encoded with.
            module = copy.deepcopy(module).double()
        blocks = [module(block).cpu().numpy() for block in self._blocks(X, dtype)]
        return np.concatenate(blocks)

    def _warn_if_unused(self):
        unused = np.flatnonzero(self.feature_usage_ == 0)
        if len(unused):
            warnings.warn(
                f"No head uses features {unused.tolist()} of {self.n_components}: "
                f"lower alpha (now {self.alpha:g}) or lr (now {self.lr:g}), raise "
                f"alpha_warmup (now {self.alpha_warmup:g}) or max_iter (now "
                f"{self.max_iter}), or ask for fewer n_components.",
                UserWarning,
                stacklevel=3,
            )

    def __getattr__(self, name):
        if name in ("coef_", "intercept_", "alpha_", "support_") and (
            "module_" in self.__dict__
        ):
            raise AttributeError(
                f"There is no {name} after fit_stream: its tasks were used for one "
                "step each and are gone. transform works; fit on the features, or call "
                "fit, to get heads."
            )
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}.")

    def __getstate__(self):
        state = super().__getstate__()
        if "module_" in state:
            # A model trained on another device must load without it.
            state["module_"] = copy.deepcopy(state["module_"]).cpu()
        return state

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    @property
    def _n_features_out(self):
        return self.n_components


class _Progress(Callback):
    """Tell scikit-learn's callbacks about every epoch."""

    def __init__(self, estimator, context):
        self.estimator = estimator
        self.context = context

    def on_epoch_begin(self, net, **kwargs):
        self._epoch = self.context.subcontext(task_name="epoch")
        self._epoch.call_on_fit_task_begin(estimator=self.estimator)

    def on_epoch_end(self, net, **kwargs):
        if self._epoch.call_on_fit_task_end(estimator=self.estimator):
            raise KeyboardInterrupt  # how skorch stops early


class _Stream:
    """A user's stream as task batches, the first one seen before training."""

    def __init__(self, source):
        try:
            iterator = iter(source)
        except TypeError:
            raise ValueError(
                "source must be an iterable of TaskBatch or (X, Y) pairs, got "
                f"{type(source).__name__}."
            ) from None
        first = next(iterator, None)
        if first is None:
            raise ValueError("source is empty: it must yield at least one batch.")
        self.first = _read_batch(first)
        self.remembered = deque(maxlen=_REMEMBERED_STEPS)
        one_shot = iterator is source
        self._source = chain([first], iterator) if one_shot else source

    def __iter__(self):
        for batch in self._source:
            batch = _read_batch(batch)
            if batch.rows.shape[1:] != self.first.rows.shape[1:]:
                raise ValueError(
                    "source must yield inputs of one shape; it went from "
                    f"{self.first.rows.shape[1:]} to {batch.rows.shape[1:]}."
                )
            self.remembered.append(batch.rows)
            yield batch


def _read_batch(batch):
    if isinstance(batch, TaskBatch):
        return batch
    if isinstance(batch, tuple) and len(batch) == 2:
        X, Y = (np.asarray(part) for part in batch)
        return TaskBatch(X, Y.reshape(len(Y), -1).T)
    raise ValueError(
        "source must yield TaskBatch instances or (X, Y) pairs, got "
        f"{type(batch).__name__}."
    )


def _target_scale(Y):
    """Standard deviation of each column, NaN apart; 1 for a constant one."""
    labelled = ~np.isnan(Y)
    count = np.maximum(labelled.sum(0), 1)
    centred = np.where(labelled, Y - np.where(labelled, Y, 0).sum(0) / count, 0)
    scale = np.sqrt((centred**2).sum(0) / count)
    # What centring leaves of a constant column is rounding.
    noise = 10 * np.finfo(Y.dtype).eps * np.where(labelled, np.abs(Y), 0).max(0)
    return np.where(scale > noise, scale, 1.0)


def _to_device(rows, device, dtype):
    if rows.dtype != np.uint8:
        rows = rows.astype(dtype, copy=False)
    if not rows.flags.writeable:
        rows = rows.copy()  # torch has no read-only tensors, and says so
    return torch.as_tensor(rows, device=device)
