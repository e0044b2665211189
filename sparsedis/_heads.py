"""Heads of every task on a fixed representation."""

from dataclasses import dataclass

import numpy as np
import torch

from sparsedis.implicit import lasso, lasso_alpha_max, ridge, ridge_alpha_max
from sparsedis.implicit._inputs import centre, read_tasks, scale_rows
from sparsedis.solvers._linalg import solve_on_support
from sparsedis.tasks import gather, labelled_rows

# Numbers in the features of the tasks that are solved at a time.
_CHUNK = 2**23

# Where features nearly depend on each other, as early in training, rounding alone can
# lift the gap of an exact solution above the layers' default.
_TOL = 1e-10

# The layer of each penalty and the scale of its relative alpha.
INNER = {"l1": (lasso, lasso_alpha_max), "l2": (ridge, ridge_alpha_max)}


def solve_inner(Z, y, alpha, *, penalty, alpha_mode, fit_intercept, solver, mask=None):
    """Solve the inner problem of every task of a batch.

    Parameters
    ----------
    Z : tensor of shape (n_tasks, n_samples, k), or (n_samples, k) when shared

    y : tensor of shape (n_tasks, n_samples)

    alpha : float
        Fraction of each task's alpha_max, through which no gradient flows, or the
        penalty itself.

    penalty : {"l1", "l2"}

    alpha_mode : {"relative", "absolute"}

    fit_intercept : bool

    solver : {"auto", "batched", "celer"}
        Of the l1 problem.

    mask : tensor of shape (n_tasks, n_samples) of bool, default=None

    Returns
    -------
    w : tensor of shape (n_tasks, k)

    intercept : tensor of shape (n_tasks,)

    alpha : tensor of shape (n_tasks,)
        Absolute penalties.

    info : SolverInfo
    """
    layer, alpha_max = INNER[penalty]
    options = {"mask": mask, "fit_intercept": fit_intercept}
    alpha = torch.full(y.shape[:1], alpha, dtype=Z.dtype, device=Z.device)
    if alpha_mode == "relative":
        alpha = alpha * alpha_max(Z.detach(), y, **options)
    if penalty == "l1":
        options["solver"] = solver
    w, *rest = layer(Z, y, alpha, tol=_TOL, return_info=True, **options)
    intercept = rest[0] if fit_intercept else torch.zeros_like(w[:, 0])
    return w, intercept, alpha, rest[-1]


@dataclass
class Heads:
    """Linear heads of all the tasks.

    Attributes
    ----------
    coef : ndarray of shape (n_tasks, k)
    intercept : ndarray of shape (n_tasks,)
    alpha : ndarray of shape (n_tasks,)
        Absolute penalties.
    support : ndarray of shape (n_tasks, k) of bool
        Features that the penalised solution uses.
    """

    coef: np.ndarray
    intercept: np.ndarray
    alpha: np.ndarray
    support: np.ndarray


@torch.no_grad()
def fit_heads(Z, Y, alpha, *, refit, fit_intercept, **inner):
    """Fit the head of every task on all of its labels.

    Parameters
    ----------
    Z : ndarray of shape (n_samples, k)
        Features.

    Y : ndarray of shape (n_samples, n_tasks)
        Targets, NaN where missing. A task without any gets a head of NaN.

    alpha : float
        See :func:`solve_inner`.

    refit : {"relaxed", "lasso"}
        With the l1 penalty: least squares on its support, or its own coefficients.

    fit_intercept : bool

    **inner : dict
        Passed to :func:`solve_inner`.

    Returns
    -------
    Heads
    """
    k, n_tasks = Z.shape[1], Y.shape[1]
    heads = Heads(
        np.full((n_tasks, k), np.nan),
        np.full(n_tasks, np.nan),
        np.full(n_tasks, np.nan),
        np.zeros((n_tasks, k), dtype=bool),
    )
    for tasks, features, y, mask in _chunks(Z, Y):
        w, intercept, alphas, info = solve_inner(
            features, y, alpha, mask=mask, fit_intercept=fit_intercept, **inner
        )
        if refit == "relaxed" and inner["penalty"] == "l1":
            w, intercept = _least_squares(
                features, y, mask, info.support, fit_intercept
            )
        heads.coef[tasks] = w.numpy()
        heads.intercept[tasks] = intercept.numpy()
        heads.alpha[tasks] = alphas.numpy()
        heads.support[tasks] = info.support.numpy()
    return heads


def _chunks(Z, Y):
    """Tasks in groups that fit in memory, with their features, targets and mask."""
    n_samples = len(Y)
    indptr, indices = labelled_rows(Y)
    counts = np.diff(indptr)
    full = np.flatnonzero(counts == n_samples)
    if len(full):
        shared, y = torch.from_numpy(Z), torch.from_numpy(Y.T[full])
        per_chunk = max(1, _CHUNK // n_samples)
        for first in range(0, len(full), per_chunk):
            part = slice(first, first + per_chunk)
            yield full[part], shared, y[part], None
    # Sorted, so that tasks padded to one size have about that size.
    partial = np.flatnonzero((counts > 0) & (counts < n_samples))
    partial = partial[np.argsort(counts[partial], kind="stable")[::-1]]
    first = 0
    while first < len(partial):
        per_chunk = max(1, _CHUNK // (counts[partial[first]] * Z.shape[1]))
        tasks = partial[first : first + per_chunk]
        rows = [indices[indptr[t] : indptr[t + 1]] for t in tasks]
        batch = gather(Z, Y, tasks, rows)
        mask = None if batch.mask is None else torch.from_numpy(batch.mask)
        features = torch.from_numpy(batch.rows)[torch.from_numpy(batch.index)]
        yield tasks, features, torch.from_numpy(batch.y), mask
        first += per_chunk


def _least_squares(Z, y, mask, support, fit_intercept):
    tasks = read_tasks(Z, y, mask=mask)
    Z, y = tasks.Z, tasks.y
    if fit_intercept:
        Z, y, Z_mean, y_mean = centre(tasks)
    Z, y = scale_rows(tasks, Z, y)
    corr = (Z.mT @ y.unsqueeze(-1)).squeeze(-1)
    w, _ = solve_on_support(Z.mT @ Z, corr, support)
    intercept = (
        y_mean - (Z_mean * w).sum(-1) if fit_intercept else torch.zeros_like(w[:, 0])
    )
    return w, intercept
