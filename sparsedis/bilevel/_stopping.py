"""Callbacks that evaluate the weights in training, and restore the best ones."""

import numpy as np
from skorch.callbacks import Callback, EarlyStopping
from skorch.utils import noop

from sparsedis.bilevel._averaging import moving_mean
from sparsedis.bilevel._net import UNSOUND, NonFiniteError, copy_state, load_state

# Largest number of steps that the mean of the weights spans.
_SPAN = 20


class StopEarly(EarlyStopping):
    """Stop when "valid_loss" does not improve, and restore the best weights.

    The weights of the module are a moving mean over the steps, which is less noisy than
    the last weights while the learning rate is large; those of the objective, learned
    penalties, are the last ones.

    Parameters
    ----------
    patience : int
        Number of epochs without improvement before stopping.

    Attributes
    ----------
    mean_ : dict of str to tensor
        Exponential mean of the weights of the module, over about a tenth of the steps
        so far, at most 20.

    best_ : list of dict of tensor
        Mean weights with the least "valid_loss".
    """

    def __init__(self, patience):
        super().__init__(patience=patience, sink=noop)

    def on_train_begin(self, net, **kwargs):
        super().on_train_begin(net, **kwargs)
        self.best_, self.mean_ = None, {}

    def on_batch_begin(self, net, batch=None, training=False, **kwargs):
        if not training:
            self._last = copy_state(net)
            net.module_.load_state_dict(self.mean_)

    def on_batch_end(self, net, batch=None, training=False, **kwargs):
        if training:
            state = net.module_.state_dict()
            # A tenth, so that the mean of a short training does not lag behind.
            span = min(1 + net.n_steps_ // 10, _SPAN)
            self.mean_ = moving_mean(self.mean_, state, span)
        else:
            self._best = copy_state(net)
            load_state(net, self._last)

    def on_epoch_end(self, net, **kwargs):
        super().on_epoch_end(net, **kwargs)
        if self.misses_ == 0:
            self.best_ = self._best

    def on_train_end(self, net, **kwargs):
        if self.best_ is not None:
            load_state(net, self.best_)


class KeepBest(Callback):
    """Validate at regular intervals, and restore the best weights at the end.

    Parameters
    ----------
    validate : callable
        Function that returns the accuracy of a net.

    every : int
        Steps between validations. The last step is always validated.

    Attributes
    ----------
    step_, accuracy_ : list
        Steps and results of the validations.

    best_ : list of dict of tensor
        Weights with the best accuracy.

    best_step_ : int
        Step of the final weights, if training ended without an error.
    """

    def __init__(self, validate, every):
        self.validate = validate
        self.every = every

    def on_train_begin(self, net, **kwargs):
        self.step_, self.accuracy_ = [], []

    def on_batch_end(self, net, **kwargs):
        if net.n_steps_ % self.every == 0:
            self._validate(net)

    def on_train_end(self, net, **kwargs):
        if net.n_steps_ and (not self.step_ or self.step_[-1] != net.n_steps_):
            self._validate(net)
        if self.step_:
            load_state(net, self.best_)
            self.best_step_ = self.step_[int(np.argmax(self.accuracy_))]

    def _validate(self, net):
        try:
            accuracy = self.validate(net)
        except NonFiniteError:
            net.fail(UNSOUND)
        if not self.step_ or accuracy > max(self.accuracy_):
            self.best_ = copy_state(net)
        self.step_.append(net.n_steps_)
        self.accuracy_.append(accuracy)
