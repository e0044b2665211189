"""Estimators that train for a few steps."""

from torch import nn

from sparsedis import SparseMultiTaskRepresentation


def linear(input_shape, n_components):
    return nn.Linear(*input_shape, n_components)


def quick(cls=SparseMultiTaskRepresentation, **params):
    defaults = {
        "n_components": 4,
        "rotation": None,
        "max_iter": 5,
        "random_state": 0,
        "alpha": 0.1,
    }
    return cls(**(defaults | params))
