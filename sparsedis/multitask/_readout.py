"""Dense linear models of each task on the hidden units of an encoder and the inputs."""

import copy

import numpy as np
import torch
from scipy.linalg import cho_factor, cho_solve
from torch import nn

from sparsedis.encoders import MLP, RotatedRepresentation, prepare_rows

# Penalty of each label, for hidden units of total variance 1, and inputs of the same.
PENALTY = 1e-3


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


def readouts(J, Y, folds, weight=None, *, fit_intercept=True):
    """Ridge regressions with one penalty, and their errors on held-out rows.

    Parameters
    ----------
    J : ndarray of shape (n, d)
        See :func:`in_units`.

    Y : ndarray of shape (n, n_tasks, n_outputs)

    folds : ndarray of shape (n,) of int
        Fold of each held-out row; -1 for the other rows.

    weight : ndarray of shape (n,), default=None
        Positive weights of the rows.

    fit_intercept : bool, default=True

    Returns
    -------
    coef : ndarray of shape (n_tasks, n_outputs, d)

    intercept : ndarray of shape (n_tasks, n_outputs)

    errors : ndarray of shape (n, n_tasks, n_outputs)
        Label minus prediction of a fit without the fold; NaN for rows that are not
        held out, or if no other row is left.
    """
    share = np.ones(len(J)) if weight is None else weight
    share = share / share.sum()
    mean = share @ J if fit_intercept else np.zeros(J.shape[1])
    centred, y = J - mean, Y.reshape(len(J), -1)
    # Hidden units may be zero on all rows. SciPy 1.13 solves no empty systems.
    used = centred.any(0)
    used[0] = True
    centred = centred[:, used]
    fits = _fits_by_rows if len(J) < centred.shape[1] else _fits_by_columns
    out = [folds == fold for fold in range(folds.max() + 1)]
    out = [at for at in out if at.any() and not at.all()]
    every, *others = fits(centred, y, out, share, fit_intercept)
    coef = np.zeros((J.shape[1], y.shape[1]))
    coef[used], intercept = every
    errors = np.full(y.shape, np.nan)
    for at, (W, b) in zip(out, others, strict=True):
        errors[at] = y[at] - centred[at] @ W - b
    intercept = (intercept - mean @ coef).reshape(Y.shape[1:])
    return coef.T.reshape(*Y.shape[1:], -1), intercept, errors.reshape(Y.shape)


def _fits_by_columns(J, y, out, share, fit_intercept):
    """Ridge regressions on all rows, and without those of each fold.

    Parameters
    ----------
    J : ndarray of shape (n, d)

    y : ndarray of shape (n, m)

    out : list of ndarray of shape (n,) of bool
        Rows of each fold.

    share : ndarray of shape (n,)
        Positive weights of the rows.

    fit_intercept : bool

    Yields
    ------
    coef : ndarray of shape (d, m)

    intercept : float or ndarray of shape (m,)
    """
    if fit_intercept:
        J = np.column_stack([np.ones(len(J)), J])
    rest, parts = ~np.any([np.zeros(len(J), dtype=bool), *out], axis=0), []
    for at in (rest, *out):
        root = np.sqrt(share[at, None])
        own = root * J[at]
        parts.append((own.T @ own, own.T @ (root * y[at]), share[at].sum()))
    for left_out in (None, *parts[1:]):
        # A difference would lose digits if a fold has most of the weight.
        kept = (part for part in parts if part is not left_out)
        gram, right, size = map(sum, zip(*kept, strict=True))
        penalty = np.full(len(gram), PENALTY * size)
        penalty[:fit_intercept] = 0.0
        coef = _solve(gram, right, penalty)
        yield coef[fit_intercept:], coef[:fit_intercept].sum(0)


def _fits_by_rows(J, y, out, share, fit_intercept):
    """The same as :func:`_fits_by_columns`, from products of the rows."""
    products = J @ J.T
    for left_out in (np.zeros(len(J), dtype=bool), *out):
        at = np.flatnonzero(~left_out)
        part, gram = share[at] / share[at].sum(), products[np.ix_(at, at)]
        root, y_mean = np.sqrt(part)[:, None], fit_intercept * (part @ y[at])
        if fit_intercept:
            mean = gram @ part
            gram -= mean
            gram -= (mean - part @ mean)[:, None]
        gram *= root
        gram *= root.T
        dual = root * _solve(gram, root * (y[at] - y_mean), PENALTY)
        if fit_intercept:
            dual -= part[:, None] * dual.sum(0)
        coef = J[at].T @ dual
        yield coef, y_mean - fit_intercept * (part @ J[at]) @ coef


def _solve(gram, right, penalty):
    """Solve a system with a penalty added to its diagonal, in place."""
    gram.flat[:: len(gram) + 1] += penalty
    # LAPACK stores matrices by columns.
    factor = cho_factor(gram.T, lower=True, overwrite_a=True, check_finite=False)
    return cho_solve(factor, right, check_finite=False)
