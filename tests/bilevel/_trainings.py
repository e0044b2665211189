"""Short trainings, and callbacks that end them or count their steps."""

import numpy as np
from skorch.callbacks import Callback
from torch import nn

from sparsedis import GroupLassoSVMMetaLearner, SparseMultiTaskRepresentation

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 6))
Y = X[:, :3] @ RNG.normal(size=(3, 12)) + 0.1 * RNG.normal(size=(120, 12))
Y[RNG.random(Y.shape) < 0.2] = np.nan


class PowerFailure(RuntimeError):
    pass


class Kill(Callback):
    """Fail in the middle of an epoch."""

    def __init__(self, step):
        self.step = step

    def on_batch_begin(self, net, training=None, **kwargs):
        if training and net.n_steps_ == self.step:
            raise PowerFailure


class Count(Callback):
    """Count the steps that are done."""

    n_steps = 0

    def on_batch_end(self, net, training=None, **kwargs):
        self.n_steps += training


def with_dropout(input_shape, n_components):
    return nn.Sequential(
        nn.Linear(input_shape[0], 16),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(16, n_components),
    )


def representation(**params):
    defaults = {
        "n_components": 3,
        "rotation": None,
        "penalty": "l2",
        "max_iter": 50,
        "batch_size": 30,
        "random_state": 0,
    }
    return SparseMultiTaskRepresentation(**(defaults | params))


def meta_learner(**params):
    defaults = {
        "encoder": with_dropout,
        "n_components": 4,
        "n_ways": 3,
        "n_shots": 2,
        "n_queries": 3,
        "episodes_per_batch": 2,
        "max_iter": 45,
        "random_state": 0,
        "lr": 0.02,
    }
    return GroupLassoSVMMetaLearner(**(defaults | params))


def assert_same(est, other, data):
    inputs = data()[0]
    inputs = inputs if isinstance(inputs, np.ndarray) else next(iter(inputs))
    inputs = getattr(inputs, "rows", inputs)
    inputs = inputs[0] if isinstance(inputs, tuple) else inputs
    np.testing.assert_array_equal(est.transform(inputs), other.transform(inputs))
    assert est.n_iter_ == other.n_iter_
    for name, values in est.history_.items():
        np.testing.assert_array_equal(values, other.history_[name], err_msg=name)
    for name in ("coef_", "feature_usage_", "learned_alpha_", "best_iter_", "alpha_"):
        if name in vars(est):
            np.testing.assert_array_equal(getattr(est, name), getattr(other, name))
