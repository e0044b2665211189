"""Means of the weights: against those of the weights of every step."""

import copy

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from torch import nn

from sparsedis import SparseMultiTaskRepresentation

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 5))
Y = X[:, :3] @ RNG.normal(size=(3, 10)) + 0.1 * RNG.normal(size=(80, 10))


class Record(Callback):
    """Weights after every step."""

    def __init__(self):
        self.states = []

    def on_batch_end(self, net, training=None, **kwargs):
        if training:
            self.states.append(copy.deepcopy(net.module_.state_dict()))


def encoder(input_shape, n_components):
    return nn.Sequential(
        nn.Linear(*input_shape, 8), nn.BatchNorm1d(8), nn.Linear(8, n_components)
    )


def fit(record, **params):
    params = {"n_components": 3, "rotation": None, "max_iter": 20} | params
    return SparseMultiTaskRepresentation(
        encoder=encoder, callbacks=[record], random_state=0, **params
    ).fit(X, Y)


@pytest.mark.parametrize("max_iter", [20, 1])
def test_final_weights_are_the_mean_of_the_last_ones(max_iter):
    record = Record()
    est = fit(record, lr_schedule="average", max_iter=max_iter)
    last = record.states[-max(1, round(0.3 * max_iter)) :]
    for name, found in est.module_.encoder.state_dict().items():
        values = [state[f"encoder.{name}"] for state in last]
        if not found.is_floating_point():
            assert torch.equal(found, values[-1])
            continue
        expected = torch.stack(values).double().mean(0)
        torch.testing.assert_close(found.double(), expected, atol=1e-6, rtol=1e-5)


def test_the_steps_are_those_of_a_constant_rate():
    average, constant = Record(), Record()
    averaged = fit(average, lr_schedule="average")
    last = fit(constant, lr_schedule="constant")
    for one, other in zip(average.states, constant.states, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)
    assert not np.allclose(averaged.transform(X), last.transform(X))


def test_heads_are_those_of_the_mean():
    est = fit(Record(), lr_schedule="average", penalty="l2", linear=None)
    Z = est.transform(X)
    residual = Y - Z @ est.coef_.T - est.intercept_
    assert np.abs(residual.mean(0)).max() < 1e-6
    assert est.score(X, Y) > 0.5


# 20 steps are too few for factors.
@pytest.mark.filterwarnings("ignore:.* features may not be factors")
def test_early_stopping_has_a_mean_of_its_own():
    found = [
        fit(Record(), rotation="sparsest", early_stopping=True, lr_schedule=schedule)
        for schedule in ("average", "constant")
    ]
    assert np.array_equal(*(est.transform(X) for est in found))
