"""Dense linear models of each task on the hidden units of an encoder and the inputs."""

import copy

import numpy as np
import torch
from torch import nn

from sparsedis.encoders import MLP, RotatedRepresentation, prepare_rows

# Penalty of each label, for hidden units of total variance 1, and inputs of the same.
_PENALTY = 1e-3


class FeaturesAndHidden(nn.Module):
    """The features of an MLP, followed by its last hidden units.

    Parameters
    ----------
    module : RotatedRepresentation
        One that :func:`has_hidden`. It is left as it is, and the weights are shared.
    """

    def __init__(self, module):
        super().__init__()
        *hidden, last = module.encoder
        # A copy with the last layer in place of the encoder, whose copy takes long.
        self.output = copy.deepcopy(module, {id(module.encoder): last})
        self.hidden, self.n_hidden = nn.Sequential(*hidden), module.encoder.n_hidden

    def forward(self, rows):
        """Map inputs of shape (n, ...) to (n, n_components + n_hidden)."""
        hidden = self.hidden(prepare_rows(rows))
        # Others are the inputs again.
        units = hidden[:, : self.n_hidden]
        return torch.cat([self.output(hidden), units], 1)


def has_hidden(module):
    """Whether features are linear in the hidden units of an MLP.

    Parameters
    ----------
    module : torch.nn.Module

    Returns
    -------
    bool
    """
    if not isinstance(module, RotatedRepresentation):
        return False
    encoder = module.encoder
    # With two layers, the first one standardises the inputs.
    return (
        isinstance(encoder, MLP)
        and len(encoder) > 2
        and isinstance(encoder[-1], nn.Linear)
    )


def in_units(hidden, X):
    """Hidden units, and inputs of unit variance, each of a total variance of 1.

    Parameters
    ----------
    hidden : ndarray of shape (n, m)

    X : ndarray of shape (n, p)

    Returns
    -------
    J : ndarray of shape (n, m + p)

    unit : ndarray of shape (m + p,)
        Infinite for constant columns.
    """
    spread = X.std(0)
    varies = spread > 1e-12 * np.abs(X.mean(0))
    total = np.sqrt(hidden.var(0).sum()) or np.inf
    of_inputs = np.where(varies, spread * np.sqrt(max(1, varies.sum())), np.inf)
    unit = np.append(np.full(hidden.shape[1], total), of_inputs)
    return np.hstack([hidden, X]) / unit, unit


def readouts(J, Y, weight=None, *, fit_intercept=True):
    """Ridge regressions with one penalty.

    Parameters
    ----------
    J : ndarray of shape (n, d)
        See :func:`in_units`.

    Y : ndarray of shape (n, n_tasks, n_outputs)

    weight : ndarray of shape (n, n_tasks), default=None
        Positive weights.

    fit_intercept : bool, default=True

    Returns
    -------
    coef : ndarray of shape (n_tasks, n_outputs, d)

    intercept : ndarray of shape (n_tasks, n_outputs)
    """
    n, n_tasks, n_outputs = Y.shape
    if weight is None:
        weight = np.ones((n, n_tasks))
    if (weight != weight[:, :1]).any():
        parts = [
            readouts(J, Y[:, [t]], weight[:, [t]], fit_intercept=fit_intercept)
            for t in range(n_tasks)
        ]
        return tuple(map(np.concatenate, zip(*parts, strict=True)))
    share = weight[:, :1] / weight[:, 0].sum()
    Y = Y.reshape(n, -1)
    J_mean, Y_mean = np.zeros(J.shape[1]), np.zeros(Y.shape[1])
    if fit_intercept:
        J_mean, Y_mean = (share * J).sum(0), (share * Y).sum(0)
    root = np.sqrt(share)
    J, Y = root * (J - J_mean), root * (Y - Y_mean)
    if n < J.shape[1]:
        coef = J.T @ np.linalg.solve(J @ J.T + _PENALTY * np.eye(n), Y)
    else:
        coef = np.linalg.solve(J.T @ J + _PENALTY * np.eye(J.shape[1]), J.T @ Y)
    intercept = (Y_mean - J_mean @ coef).reshape(n_tasks, n_outputs)
    return coef.T.reshape(n_tasks, n_outputs, -1), intercept
