"""The parameters of the estimators of a shared representation."""

from numbers import Integral, Real
from os import PathLike

import numpy as np
import torch
from sklearn.utils._param_validation import Interval, StrOptions

from sparsedis._inner import InnerProblem
from sparsedis.bilevel._estimator import BilevelEstimator
from sparsedis.encoders import build_encoder, input_shape_of, n_features_of

# Features to train where their number is found afterwards.
_WIDE = 32

# Penalties where none is asked for, as fractions of their scale.
_LASSO_ALPHA, _OUTER_ALPHA = 0.4, 0.05

# Shrunk logistic heads are nearly linear in the features, as probabilities are not: the
# encoder then bends the features towards probabilities, and the factors are lost.
_RIDGE_ALPHA = {"gaussian": 0.01, "categorical": 1e-4}


class RepresentationParameters(BilevelEstimator):
    """Parameters, whether they fit together, and what is made of them.

    See :class:`~sparsedis.SparseMultiTaskRepresentation`.
    """

    _parameter_constraints = {  # noqa: RUF012 - scikit-learn's protocol
        "n_components": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "rotation": [StrOptions({"sparsest"}), None],
        "selection": [StrOptions({"bic", "cv", "1se"})],
        "alpha": [
            Interval(Real, 0, None, closed="left"),
            "array-like",
            StrOptions({"auto"}),
        ],
        "penalty": [StrOptions({"auto", "l1", "elasticnet", "l2"})],
        "alpha_mode": [StrOptions({"relative", "absolute"})],
        "alpha_warmup": [Interval(Real, 0, 1, closed="both")],
        "learn_alpha": ["boolean"],
        "l2": [Interval(Real, 0, None, closed="left")],
        "penalty_at": [StrOptions({"inner", "outer"})],
        "inner_fraction": [Interval(Real, 0, 1, closed="neither"), None],
        "encoder": [
            StrOptions({"auto", "mlp", "conv", "conv4", "resnet12", "identity"}),
            torch.nn.Module,
            callable,
        ],
        "normalization": [StrOptions({"batch", "layer"}), None],
        "refit": [StrOptions({"relaxed", "lasso"})],
        "fit_intercept": ["boolean"],
        "solver": [StrOptions({"auto", "batched", "celer"})],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 2, None, closed="left")],
        "task_batch_size": [Interval(Integral, 1, None, closed="left")],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "lr_schedule": [StrOptions({"cosine", "constant"})],
        "optimizer": [callable],
        "weight_decay": [
            Interval(Real, 0, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "precision": [StrOptions({"float32", "bfloat16"})],
        "early_stopping": ["boolean", StrOptions({"auto"})],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "warm_start": ["boolean"],
        "callbacks": [list, None],
        "checkpoint": [str, PathLike, None],
        "device": [str, torch.device],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        n_components="auto",
        *,
        rotation="sparsest",
        selection="bic",
        alpha="auto",
        penalty="auto",
        alpha_mode="relative",
        alpha_warmup=0.4,
        learn_alpha=False,
        l2=0.01,
        penalty_at="inner",
        inner_fraction=None,
        encoder="auto",
        normalization="batch",
        refit="relaxed",
        fit_intercept=True,
        solver="auto",
        max_iter=400,
        batch_size=100,
        task_batch_size=100,
        lr=4e-3,
        lr_schedule="cosine",
        optimizer=torch.optim.AdamW,
        weight_decay="auto",
        precision="float32",
        early_stopping="auto",
        validation_fraction=0.1,
        n_iter_no_change=5,
        warm_start=False,
        callbacks=None,
        checkpoint=None,
        device="auto",
        random_state=None,
        verbose=0,
    ):
        self.n_components = n_components
        self.rotation = rotation
        self.selection = selection
        self.alpha = alpha
        self.penalty = penalty
        self.alpha_mode = alpha_mode
        self.alpha_warmup = alpha_warmup
        self.learn_alpha = learn_alpha
        self.l2 = l2
        self.penalty_at = penalty_at
        self.inner_fraction = inner_fraction
        self.encoder = encoder
        self.normalization = normalization
        self.refit = refit
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.task_batch_size = task_batch_size
        self.lr = lr
        self.lr_schedule = lr_schedule
        self.optimizer = optimizer
        self.weight_decay = weight_decay
        self.precision = precision
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.callbacks = callbacks
        self.checkpoint = checkpoint
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    @property
    def _penalty(self):
        """The penalty in training: Ridge trains best where a rotation separates."""
        if self.penalty != "auto":
            return self.penalty
        lasso = self.rotation is None or self.penalty_at == "outer"
        return "l1" if lasso else "l2"

    @property
    def _alpha(self):
        if not isinstance(self.alpha, str):
            return self.alpha
        if self._penalty == "l2":
            return _RIDGE_ALPHA[self._likelihood]
        return _OUTER_ALPHA if self.penalty_at == "outer" else _LASSO_ALPHA

    @property
    def _module_alone(self):
        """Whether the number of features is that of the encoder, whatever is asked."""
        return isinstance(self.encoder, torch.nn.Module) or self.encoder == "identity"

    def _width(self, input_shape, n_outputs=None):
        """Number of features to train.

        Parameters
        ----------
        input_shape : tuple of int
            Shape of one input.

        n_outputs : int, default=None
            Outputs of all the tasks together: as many features, at most, serve them.

        Returns
        -------
        int
        """
        if self.n_components != "auto":
            return self.n_components
        if self._module_alone:
            shape = input_shape_of(np.empty((0, *input_shape)))
            return n_features_of(build_encoder(self.encoder, shape), shape)
        return _WIDE if n_outputs is None else min(_WIDE, n_outputs)

    def _check_parameters(self, n_tasks):
        if self.alpha_mode == "absolute" and isinstance(self.alpha, str):
            raise ValueError(
                "alpha must be a number when alpha_mode='absolute', got 'auto'."
            )
        alpha = np.asarray(self._alpha, dtype=float)
        if alpha.ndim and n_tasks is None:
            raise ValueError(
                "alpha must be a number in fit_stream, whose tasks are fresh at every "
                f"step; got an array of shape {alpha.shape}."
            )
        if alpha.ndim and alpha.shape != (n_tasks,):
            raise ValueError(
                f"alpha must be a number or one for each of the {n_tasks} tasks, got "
                f"shape {alpha.shape}."
            )
        low, high = alpha.min(), alpha.max()
        if self.alpha_mode == "relative" and not 0 < low <= high <= 1:
            value = low if low <= 0 else high
            raise ValueError(
                "alpha must lie in (0, 1] when alpha_mode='relative', got "
                f"{value!s}. For a raw penalty set alpha_mode='absolute'."
            )
        if low < 0 or not np.isfinite(high):
            raise ValueError(f"alpha must be finite and not negative, got {low!s}.")
        if self.penalty_at == "outer" and self._penalty != "l1":
            raise ValueError(
                "penalty_at='outer' goes with penalty='l1', got penalty="
                f"{self.penalty!r}."
            )
        if not self.learn_alpha:
            return
        if self.inner_fraction is None or self.alpha_mode != "relative" or alpha.ndim:
            raise ValueError(
                "learn_alpha=True needs inner_fraction, since on the same samples the "
                "smallest penalty always fits best, alpha_mode='relative' and a number "
                f"alpha to start from; got inner_fraction={self.inner_fraction}, "
                f"alpha_mode={self.alpha_mode!r}, alpha={self.alpha!r}."
            )
        if alpha == 1:
            raise ValueError("alpha must be below 1 to be learned, got 1.")

    def _problem(self):
        return InnerProblem(
            likelihood=self._likelihood,
            penalty=self._penalty,
            penalty_at=self.penalty_at,
            alpha_mode=self.alpha_mode,
            l2=self.l2,
            fit_intercept=self.fit_intercept,
            solver=self.solver,
        )
