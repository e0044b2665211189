"""Heads of every task of a table on a fixed representation."""

from dataclasses import dataclass

import numpy as np
import torch

from sparsedis._threads import threads_for
from sparsedis.heads._relaxed import relaxed_heads
from sparsedis.inputs._draws import gather
from sparsedis.solvers.penalties import L2

# Maximal size of the features of the tasks that are solved at once.
_CHUNK = 2**19


@dataclass
class Heads:
    """Linear heads of all the tasks.

    Attributes
    ----------
    coef : ndarray of shape (n_tasks, n_outputs, k)
        One output for a scalar target or two classes. Tasks with fewer outputs than
        others have rows of zeros at the end.

    intercept : ndarray of shape (n_tasks, n_outputs)
        -inf for missing classes of a task.

    alpha : ndarray of shape (n_tasks,)
        Absolute penalties.

    support : ndarray of shape (n_tasks, k) of bool
        Features that the penalised solution uses.
    """

    coef: np.ndarray
    intercept: np.ndarray
    alpha: np.ndarray
    support: np.ndarray


# Many small operations, whatever the size of the inputs.
@threads_for(1)
@torch.no_grad()
def fit_heads(Z, table, alpha, problem, *, refit, support=None, l2=1.0):
    """Fit the head of every task on all of its labels.

    Parameters
    ----------
    Z : ndarray of shape (n_rows, k)
        Features of the rows of the table.

    table : TaskTable

    alpha : ndarray of shape (n_tasks,)
        See :class:`~sparsedis.heads._problem.InnerProblem`.

    problem : InnerProblem

    refit : {"relaxed", "lasso"}
        Whether to fit again, without the penalty, on the features that it selects.

    support : ndarray of shape (n_tasks, k) of bool, default=None
        Features that each task uses. None: the penalty selects them.

    l2 : float, default=1.0
        See :func:`~sparsedis.heads._relaxed.relaxed_heads`.

    Returns
    -------
    Heads
        NaN for tasks without any label, or without two classes.
    """
    labels = table.labels
    n_tasks, n_outputs = labels.n_tasks, 1
    if table.n_classes is not None:
        n_outputs = max(2, table.n_classes.max())
        n_outputs = 1 if n_outputs == 2 else n_outputs
    elif not labels.is_scalar:
        n_outputs = labels.of(0)[1].shape[1]
    heads = Heads(
        np.full((n_tasks, n_outputs, Z.shape[1]), np.nan),
        np.full((n_tasks, n_outputs), np.nan),
        np.full(n_tasks, np.nan),
        np.zeros((n_tasks, Z.shape[1]), dtype=bool),
    )
    relaxed = refit == "relaxed" and not isinstance(problem.head.penalty, L2)
    relaxed &= problem.penalty_at == "inner"
    for tasks, features, y, options in task_batches(Z, table):
        n_classes = 2 if table.n_classes is None else int(table.n_classes[tasks[0]])
        if support is None:
            part = problem.solve(
                features,
                y,
                torch.from_numpy(alpha[tasks]),
                n_classes=n_classes,
                **options,
            )
            W, intercept, chosen = part.W, part.intercept, part.info.support
            heads.alpha[tasks] = part.alpha.numpy()
        else:
            chosen, heads.alpha[tasks] = torch.from_numpy(support[tasks]), 0.0
        if relaxed or support is not None:
            W, intercept = relaxed_heads(
                problem, features, y, chosen, n_classes=n_classes, l2=l2, **options
            )
        coef, intercept = _pad(W.mT.numpy(), intercept.numpy(), n_outputs, n_classes)
        heads.coef[tasks], heads.intercept[tasks] = coef, intercept
        heads.support[tasks] = chosen.numpy()
    return heads


def _pad(coef, intercept, n_outputs, n_classes):
    """Pad heads with fewer outputs to a common shape, without changing their scores."""
    if coef.shape[1] == n_outputs:
        return coef, intercept
    if coef.shape[1] == 1 and n_classes == 2:
        # Two classes: half of the logit for one, half against the other.
        coef = np.concatenate([-0.5 * coef, 0.5 * coef], 1)
        intercept = np.concatenate([-0.5 * intercept, 0.5 * intercept], 1)
    extra = n_outputs - coef.shape[1]
    coef = np.pad(coef, ((0, 0), (0, extra), (0, 0)))
    return coef, np.pad(intercept, ((0, 0), (0, extra)), constant_values=-np.inf)


def task_batches(Z, table, skip=1):
    """Tasks of one number of classes, in groups that fit in memory.

    Parameters
    ----------
    Z : ndarray of shape (n_rows, k)
        Features of the rows of the table.

    table : TaskTable

    skip : int or list of int, default=1
        Numbers of classes of the tasks to leave out.

    Yields
    ------
    tasks : ndarray of int
        Tasks with labels.

    Z : tensor of shape (n_rows, k) or (n_tasks, n, k)
        Features, the same for all these tasks or of each.

    y : tensor of shape (n_tasks, n) or (n_tasks, n, n_outputs)

    options : dict
        "mask" of the labels and their "weight", of shape (n_tasks, n), or None.
    """
    counts = table.labels.counts()
    n_classes = table.n_classes
    if n_classes is None:
        n_classes = np.full(len(counts), 2)
    for c in np.setdiff1d(n_classes[counts > 0], skip):
        mine = n_classes == c
        full = np.zeros(0, dtype=int)
        if table.rows_first:
            full = np.flatnonzero(mine & (counts == table.n_rows))
            per_chunk = max(1, _CHUNK // table.n_rows)
            for first in range(0, len(full), per_chunk):
                tasks = full[first : first + per_chunk]
                y, weight = table.labels.block(np.arange(table.n_rows), tasks)
                yield (
                    tasks,
                    torch.from_numpy(Z),
                    torch.tensor(y),
                    _options(weight=weight),
                )
        # Sorted by size, so that tasks in one group need little padding.
        partial = np.flatnonzero(mine & (counts > 0))
        partial = np.setdiff1d(partial, full, assume_unique=True)
        partial = partial[np.argsort(counts[partial], kind="stable")[::-1]]
        first = 0
        while first < len(partial):
            per_chunk = max(1, _CHUNK // (counts[partial[first]] * Z.shape[1]))
            tasks = partial[first : first + per_chunk]
            drawn = [table.labels.of(t) for t in tasks]
            positions, index, y, weight = gather(drawn)
            features = torch.from_numpy(Z[positions])[torch.from_numpy(index)]
            mask = ~np.isnan(y.reshape(*y.shape[:2], -1)[..., 0])
            mask = None if mask.all() else mask
            y = np.nan_to_num(y)
            yield tasks, features, torch.from_numpy(y), _options(mask, weight)
            first += per_chunk


def _options(mask=None, weight=None):
    return {
        "mask": None if mask is None else torch.from_numpy(mask),
        "weight": None if weight is None else torch.tensor(weight),
    }
