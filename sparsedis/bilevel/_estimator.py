"""Base class of the estimators that train an encoder through the heads of tasks."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.callback import CallbackSupportMixin
from sklearn.utils.validation import check_is_fitted
from skorch.callbacks import LRScheduler
from torch.optim.lr_scheduler import LambdaLR

from sparsedis._randomness import TorchRandomness
from sparsedis._warn import warn
from sparsedis.bilevel._averaging import AverageWeights
from sparsedis.bilevel._checkpoint import checkpoint_of, identify
from sparsedis.bilevel._memory import keep_freed_memory
from sparsedis.bilevel._module import (
    ModuleMixin,
    device_blocks,
    encode_blocks,
    stacked,
)
from sparsedis.bilevel._net import BilevelNet, NonFiniteError, learns
from sparsedis.bilevel._optimizers import light
from sparsedis.bilevel._progress import STEPS_PER_EPOCH, Progress
from sparsedis.bilevel._schedules import SCHEDULES
from sparsedis.distributed import processes
from sparsedis.encoders._standardized import Standardized
from sparsedis.inputs._arrays import validate_inputs
from sparsedis.inputs._rows import blocks_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_DIFFERENT = (
    "The processes that share the training must fit the same: parameters, data or "
    "initial weights of the encoder differ. random_state must be the same int in all, "
    "and torch must have the same seed if it creates a module for encoder. Or another "
    "process has failed before: its own error says why."
)


class BilevelEstimator(
    CallbackSupportMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    ModuleMixin,
    BaseEstimator,
):
    """Training of an encoder through an outer loss, and encoding.

    A subclass declares these parameters and `encoder`, `normalization`, `max_iter`,
    `lr` and `lr_schedule`, and defines the method `_keep_objective`.

    Parameters
    ----------
    callbacks : list of skorch callbacks, default=None
        Callbacks for training, such as GradientNormClipping and ProgressBar. An epoch
        has 20 steps. For scikit-learn's progress bar, call
        ``set_callbacks(sklearn.callback.ProgressBar())``.

    checkpoint : str or path-like, default=None
        Folder in which to save the state of training after every epoch. If `fit` is
        interrupted and called again, it continues from there, and the result is the
        same bit for bit. Training that has finished is not repeated. Each combination
        of parameters, data and seed has its own file, so the candidates of a search can
        share the folder. `random_state` must be an int.

    device : str or torch.device, default="auto"
        Device for training and encoding. "auto": a CUDA device if there is one,
        otherwise the CPU.

    verbose : int, default=0
        If not 0, print skorch's log of the epochs.

    Attributes
    ----------
    n_features_in_ : int
        Number of features of the input; for images, their height.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the input features, if X has names.

    input_shape_ : tuple of int
        Shape of one input.
    """

    # Columns of `history_`, and their names in the net.
    _columns: ClassVar = {"loss": "train_loss", "active": "active"}

    # What is missing after interrupted training, for a note on the error.
    _without = ""

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Features of X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, height, width, \
channels)
            Inputs, in any form that `fit` accepts.

        Returns
        -------
        Z : ndarray of shape (n_samples, `n_components_`)
            Features; float64 if X is a float64 table, otherwise float32.
        """
        check_is_fitted(self, "module_")
        X = self._validate_X(X, reset=False)
        wide = X.dtype == np.float64 and X.ndim == 2
        return stacked(self._encoded(X), len(X), np.float64 if wide else np.float32)

    def _validate_X(self, X, y="no_validation", *, reset):
        """Check inputs, and labels if given."""
        checked = validate_inputs(self, X, y, reset=reset)
        X = checked[0] if isinstance(checked, tuple) else checked
        self._check_shape_of(X, reset)
        return checked

    def _check_shape_of(self, X, reset):
        if reset:
            self.input_shape_ = X.shape[1:]
        elif X.shape[1:] != self.input_shape_:
            raise ValueError(
                f"X must hold inputs of shape {self.input_shape_}, as in fit; got "
                f"{X.shape[1:]}."
            )

    def _encoded(self, X, module=None):
        """Features of validated X, block by block, as arrays."""
        for codes in self._codes(blocks_of(X, np.arange(len(X))), module):
            yield codes.cpu().numpy()

    @torch.no_grad()
    def _codes(self, blocks, module=None):
        """Features of blocks of inputs, as tensors on the device."""
        device = self._device()
        # Float64 also for float32 tables: inputs far from zero would lose precision.
        wide = len(self.input_shape_) == 1 and device.type != "mps"
        module = self.module_ if module is None else module
        yield from encode_blocks(module, blocks, device, wide=wide)

    def _train(
        self,
        make_module,
        objective,
        batches,
        *,
        seed,
        rows,
        data,
        contents,
        valid=None,
        stopping=None,
        **options,
    ):
        """Train an encoder, and set the fitted attributes, even after an error.

        Parameters
        ----------
        make_module : callable
            Creates the module, with weights drawn from torch's generator.

        objective : Objective
            Heads and outer loss.

        batches : iterable
            A batch for each step.

        seed : int
            Seed of torch's random numbers.

        rows : callable
            Returns blocks of rows, for the statistics of the normalisation.

        data : dict
            X and y, for callbacks.

        contents : tuple
            Data that identify this training run, for the name of its checkpoint.

        valid : tuple (TaskBatch, TaskBatch), default=None
            Batches to fit and evaluate heads on after every epoch, for "valid_loss".

        stopping : Callback, default=None
            Evaluates the weights, and restores the best ones at the end.

        **options : dict
            Passed to :class:`~sparsedis.bilevel._net.BilevelNet`; `lr` and `max_iter`
            override those of the estimator.

        Returns
        -------
        steps : list of dict
            Record of each step. Empty if the encoder has no weights.
        """
        keep_freed_memory()
        options = {"max_iter": self.max_iter, "lr": self.lr} | options
        max_iter = options["max_iter"]
        n_epochs = -(-max_iter // STEPS_PER_EPOCH)
        context = self._init_callback_context(max_subtasks=n_epochs)
        context.call_on_fit_task_begin(estimator=self, **data)
        device = self._device()
        randomness = TorchRandomness(seed, device)
        with randomness.lent():
            module = make_module()
        if learns(module) or any(p.requires_grad for p in objective.penalties()):
            if processes().size > 1:
                processes().check_same(
                    int(identify(self, module, *contents)[:15], 16), device, _DIFFERENT
                )
            checkpoint, callbacks = checkpoint_of(self, module, *contents)
            own = [("progress", Progress(self, context))]
            if stopping is not None:
                own.append(("stopping", stopping))
            elif self.lr_schedule == "average":
                own.append(("average", AverageWeights(max_iter)))
            known = light(options["optimizer"])
            if known is not None:
                options["optimizer"] = known
                if _is_plain(module, device):
                    # One call a step saves a tenth of the time of a small encoder.
                    options = {"optimizer__fused": True} | options
            net = BilevelNet(
                module,
                criterion=objective,
                randomness=randomness,
                checkpoint=checkpoint,
                device=device,
                callbacks=[*own, *callbacks, *self._schedule(max_iter)],
                verbose=self.verbose,
                **options,
            )
            self._run(net, batches, valid, rows, stopping)
            steps = net.steps_
        else:
            steps = []
            self._keep(module, objective, rows)
            self._record(steps, valid, stopping)
        context.call_on_fit_task_end(estimator=self, **data)
        return steps

    def _schedule(self, max_iter):
        if self.lr_schedule not in SCHEDULES:
            return []
        factor = partial(SCHEDULES[self.lr_schedule], max_iter=max_iter)
        schedule = LRScheduler(LambdaLR, lr_lambda=factor, step_every="batch")
        return [("lr_schedule", schedule)]

    def _run(self, net, batches, valid, rows, stopping):
        try:
            net.fit_batches(batches, valid)
            self._keep(net.module_, net.criterion_, rows)
            net.check_sound()
        except BaseException as error:
            if not isinstance(error, NonFiniteError):
                processes().close()
            # NaN weights, Ctrl-C, a full disk, a broken stream: keep the weights so
            # far.
            if net.n_steps_:
                net.leave_sound()
                self._keep(net.module_, net.criterion_, rows)
                self._record(net.history, valid, stopping)
                if not isinstance(error, NonFiniteError):
                    error.add_note(self._note_of(net))
            raise
        self._record(net.history, valid, stopping)
        if net.ran_out_:
            warn(
                f"source ended after {net.n_steps_} of max_iter={net.max_iter} "
                "steps: an iterable that can be used only once, such as a generator, "
                "must have that many batches; a list is repeated.",
                UserWarning,
            )

    def _note_of(self, net):
        note = (
            f"{type(self).__name__} keeps the weights after step {net.n_steps_} of "
            f"{net.max_iter}{self._without}."
        )
        if net.checkpoint is not None and os.path.exists(net.checkpoint.path):
            return f"{note} The same fit continues from {net.checkpoint.path}."
        if hasattr(self, "warm_start"):
            return f"{note} With warm_start=True, fit starts from them."
        return note

    def _standardize(self, encoder, blocks, **how):
        """Let a new encoder of tables take columns in the units of some rows."""
        first = next(encoder.children(), None)
        # A module that was given may have been trained in other units.
        given = isinstance(self.encoder, torch.nn.Module)
        flat = len(self.input_shape_) == 1
        if flat and isinstance(first, Standardized) and not given:
            first.set_statistics(device_blocks(blocks, torch.device("cpu")), **how)

    def _keep(self, module, objective, rows):
        """Set a module and the other fitted attributes."""
        device = self._device()
        self.module_ = module.to(device).eval()
        self.n_components_ = module.n_components
        self._note_shape()
        self._keep_objective(objective)
        self.module_.set_statistics(device_blocks(rows(), device))

    def _record(self, history, valid, stopping):
        """Set the attributes that describe the training, from the history of a net."""
        steps, valid_loss = [], []
        for epoch in history:
            mine = [step for step in epoch["batches"] if "train_loss" in step]
            if mine:
                steps += mine
                end = epoch.get("valid_loss", np.nan)
                valid_loss += [np.nan] * (len(mine) - 1) + [end]
        self.n_iter_ = len(steps)
        self.history_ = {
            name: np.array([step[key] for step in steps])
            for name, key in self._columns.items()
        }
        if valid is not None:
            self.history_["valid_loss"] = np.array(valid_loss)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    @property
    def _n_features_out(self):
        return self.n_components_


def _is_plain(module, device):
    """Whether fused optimisers take the weights: real numbers on a usual device."""
    real = all(weight.is_floating_point() for weight in module.parameters())
    return real and device.type in ("cpu", "cuda")
