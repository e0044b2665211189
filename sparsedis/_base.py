"""What all estimators of a shared representation do."""

import copy
import warnings

import numpy as np
import torch
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    MultiOutputMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from skorch.callbacks import LRScheduler
from torch.optim.lr_scheduler import CosineAnnealingLR

from sparsedis._net import STEPS_PER_EPOCH, BilevelNet, Progress
from sparsedis.encoders import Representation, build_encoder, input_shape_of
from sparsedis.tasks import StreamTasks

# Rows that are encoded at a time outside of training.
_BLOCK = 1024

# Last steps of a stream whose rows stand for its training set.
_REMEMBERED_STEPS = 50


class BaseRepresentation(
    CallbackSupportMixin,
    MultiOutputMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
):
    """Training of an encoder through the heads of its tasks, and encoding.

    The parameters are those of
    :class:`~sparsedis.representation.SparseMultiTaskRepresentation`.
    """

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
        stream = StreamTasks(source, remember=_REMEMBERED_STEPS)
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
        callbacks = [("progress", Progress(self, context)), *(self.callbacks or [])]
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


def _to_device(rows, device, dtype):
    if rows.dtype != np.uint8:
        rows = rows.astype(dtype, copy=False)
    if not rows.flags.writeable:
        rows = rows.copy()  # torch has no read-only tensors, and says so
    return torch.as_tensor(rows, device=device)
