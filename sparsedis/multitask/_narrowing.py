"""Weights of an encoder with fewer features, from those of a trained one."""

import copy

import torch
from torch import nn


@torch.no_grad()
def take_over(narrow, wide, components, mean, rows):
    """Initialise a representation from one with more features.

    Parameters
    ----------
    narrow : Representation
        Has an encoder of the same architecture.

    wide : Representation
        The trained representation.

    components : tensor of shape (n_components, n_features)
        Linear map from the features of `wide` to those of `narrow`.

    mean : tensor of shape (n_features,)
        Mean to subtract from the features of `wide` first.

    rows : tensor of shape (n, ...)
        Inputs on which to compare the results.

    Returns
    -------
    bool
        Whether the encoders give the same features. If they do not, since their last
        layer is not linear, `narrow` does not change.
    """
    before = copy.deepcopy(narrow.encoder.state_dict())
    state, there = copy.deepcopy(before), wide.encoder.state_dict()
    if state.keys() != there.keys():
        return False
    changed = {
        name for name, value in state.items() if value.shape != there[name].shape
    }
    last = [
        name
        for name, layer in wide.encoder.named_modules(prefix="last")
        if isinstance(layer, nn.Linear) and layer.out_features == wide.n_components
    ]
    if not last:
        return False
    weight, bias = (f"{last[-1]}.{part}"[len("last.") :] for part in ("weight", "bias"))
    if not {weight} <= changed <= {weight, bias}:
        return False
    scale, shift = torch.ones_like(mean), -mean
    if isinstance(wide.normalization, nn.BatchNorm1d):
        norm = wide.normalization
        scale = (norm.running_var + norm.eps).rsqrt()
        shift = shift - norm.running_mean * scale
    elif not isinstance(wide.normalization, nn.Identity):
        return False
    state = {name: there[name] for name in state.keys() - changed} | {
        weight: (components * scale) @ there[weight]
    }
    if bias in changed:
        state[bias] = components @ (scale * there[bias] + shift)
    narrow.encoder.load_state_dict(state)
    training = narrow.training
    found, due = narrow.eval().encode(rows), (wide.eval()(rows) - mean) @ components.T
    if bias not in changed:
        found, due = found - found.mean(0), due - due.mean(0)
    narrow.train(training)
    if torch.allclose(found, due, rtol=1e-3, atol=1e-3):
        return True
    narrow.encoder.load_state_dict(before)
    return False
