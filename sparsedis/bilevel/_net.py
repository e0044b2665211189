"""Bilevel training as a private skorch net, with guards against NaN."""

import copy

import torch

from sparsedis.bilevel._module import device_blocks, to_device
from sparsedis.bilevel._sharing import (
    check_same_batch,
    joined,
    shared_encoding,
    sum_gradients,
)
from sparsedis.bilevel._steps import SteppedNet
from sparsedis.distributed import processes

UNSOUND = "The encoder returned NaN, infinite or huge features"


class NonFiniteError(ValueError):
    """Raised when features, weights or the loss are NaN or infinite."""


class BilevelNet(SteppedNet):
    """Net that encodes a batch, solves its heads, and takes a gradient step.

    Parameters
    ----------
    module : torch.nn.Module
        The representation.

    criterion : Objective
        Heads and outer loss.

    warmup : float
        Fraction of the steps over which the penalty rises to its full value.

    precision : {"float32", "bfloat16"}
        Arithmetic of the encoder while training.

    **kwargs : dict
        Passed to :class:`~sparsedis.bilevel._steps.SteppedNet`. The encoder and the
        augmentation draw their random numbers from `randomness`.

    Attributes
    ----------
    good_ : list of dict, or None
        Weights of the module and the criterion that gave the last finite loss; None
        before the first finite loss.
    """

    def __init__(self, module, *, criterion, warmup, precision="float32", **kwargs):
        self.warmup = warmup
        self.precision = precision
        super().__init__(module, criterion=criterion, **kwargs)

    def initialize(self):
        self.good_ = None
        return super().initialize()

    def pass_over(self, batch):
        self.criterion_.pass_over(batch)

    def train_step_single(self, batch, **fit_params):
        """Encode a batch, solve its heads, and differentiate the outer loss."""
        self._set_training(True)
        check_same_batch(batch, self.n_steps_, self.device)
        objective = self.criterion_
        rows = to_device(objective.inputs(batch), self.device)
        with self.randomness.lent():
            Z = self._features(objective.augment(rows))
        if not objective.bears(Z):
            self.fail(UNSOUND)
        if not Z.requires_grad and learns(self.module_):
            raise ValueError(
                "encoder returned features without a gradient, though it has weights: "
                "it must not detach them, nor run under torch.no_grad."
            )
        own = objective(Z, batch, self._warmth(), self.n_steps_)
        loss, size, record = joined(own, self.device)
        if not bool(torch.isfinite(loss)):
            self.fail("The loss is NaN or infinite")
        self.note_good()
        own.loss.backward()
        sum_gradients([*self.module_.parameters(), *objective.parameters()])
        return {"loss": loss, "y_pred": None, "size": size, "record": record}

    @torch.no_grad()
    def validation_step(self, batch, **fit_params):
        """Outer loss of heads, fitted on one batch and evaluated on another."""
        self._set_training(False)
        inner, outer = batch
        loss = self.criterion_.judge(*self._encoded(inner), *self._encoded(outer))
        # Training must end at the same step in all processes.
        loss = processes().first(loss, self.device)
        return {"loss": loss, "y_pred": None, "size": inner.n_tasks, "record": {}}

    def _encoded(self, batch):
        blocks = device_blocks([batch.rows], self.device)
        return torch.cat([self.module_(rows) for rows in blocks]), batch

    def note_good(self):
        """Record the current weights, which gave a finite loss."""
        if self.good_ is None:
            self.good_ = copy_state(self)
            return
        for noted, state in zip(self.good_, _states(self), strict=True):
            for name, value in state.items():
                there, tensor = noted.get(name), isinstance(value, torch.Tensor)
                # In place, except for tensors that an encoder has added or resized.
                if tensor and there is not None and there.shape == value.shape:
                    there.copy_(value)
                else:
                    noted[name] = copy.deepcopy(value)

    def is_sound(self):
        """Whether weights, penalties and statistics are finite."""
        numbers = (
            value
            for state in _states(self)
            for value in state.values()
            if isinstance(value, torch.Tensor) and value.dtype.is_floating_point
        )
        return all(bool(torch.isfinite(value.float()).all()) for value in numbers)

    def check_sound(self):
        """Refuse weights, or statistics of the features, that are not finite.

        Raises
        ------
        NonFiniteError
            The net then has its last good weights.
        """
        if not self.is_sound():
            self.fail("The weights or the features are NaN or infinite")

    def leave_sound(self):
        """Restore the last good weights, unless the current ones are finite."""
        if not self.is_sound():
            load_state(self, self.good_)

    def fail(self, what):
        """Restore the last good weights, and raise an error.

        Parameters
        ----------
        what : str
            What went wrong.

        Raises
        ------
        NonFiniteError
            Always.
        """
        kept = "No weights have given a finite loss yet."
        if self.good_ is not None:
            load_state(self, self.good_)
            kept = "The estimator keeps the weights of the last finite loss."
        raise NonFiniteError(
            f"{what} at step {self.n_steps_}: lower lr (now {self.lr:g}), clip the "
            "gradients with skorch's GradientNormClipping in callbacks, or scale the "
            f"inputs. {kept}"
        )

    def _features(self, rows):
        with shared_encoding(self.module_, rows, self.n_steps_) as own:
            if self.precision == "float32":
                return self.module_(own)
            device_type = torch.device(self.device).type
            # Within another autocast, a cache would keep the weights of the first step.
            with torch.autocast(device_type, torch.bfloat16, cache_enabled=False):
                raw = self.module_.encode(own)
            return self.module_.normalization(raw.float())

    def _warmth(self):
        ramp = self.warmup * self.max_iter
        return min(1.0, (self.n_steps_ + 1) / ramp if ramp else 1.0)


def learns(module):
    """Whether a module has weights to train."""
    return any(p.requires_grad for p in module.parameters())


def copy_state(net):
    """Weights of the module and the criterion of a net, detached from them."""
    return [copy.deepcopy(state) for state in _states(net)]


def load_state(net, states):
    """Load the weights of :func:`copy_state` into a net."""
    for part, state in zip((net.module_, net.criterion_), states, strict=True):
        part.load_state_dict(state)


def _states(net):
    return [part.state_dict() for part in (net.module_, net.criterion_)]
