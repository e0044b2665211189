"""Penalty of the heads of classes, chosen on held-out rows."""

import numpy as np
import torch

from sparsedis.inputs._batch import COUNT, NUMBER
from sparsedis.multitask._final_heads import final_heads
from sparsedis.multitask._linear_models import head_scores
from sparsedis.multitask._table_heads import fit_heads, task_batches
from sparsedis.solvers.losses import log_loss

# Penalties to choose from, see `relaxed_heads`.
PENALTIES = (10.0, 1.0, 0.1, 0.01)


def held_out_heads(Z, folds, table, problem, *, rule, spike):
    """Fit heads without each fold, with the penalty that predicts the folds best.

    The rows on which features were trained cannot choose: their labels seem to need
    less of a penalty than new ones. All tasks of classes share it; other heads have
    none.

    Parameters
    ----------
    Z : ndarray of shape (n_rows, k)
        Features of the rows of the table.

    folds : ndarray of shape (n_rows,) of int
        Fold of each held-out row; -1 for the other rows.

    table : TaskTable
        With targets in the units of the heads.

    problem : InnerProblem

    rule : {"bic", "cv", "1se"}

    spike : ndarray of shape (k,)
        See :func:`sparsedis.rotation.select_heads`.

    Returns
    -------
    heads : list of tuple of ndarray
        Coefficients, of shape (n_tasks, n_outputs, k), and intercepts, of shape
        (n_tasks, n_outputs), for each fold.

    l2 : float
        The penalty; 1 if no label of a class is held out.
    """
    n_tasks, k = table.labels.n_tasks, Z.shape[1]
    several = table.n_classes is not None and (table.n_classes > 1).any()
    penalties = PENALTIES if several else (1.0,)
    heads, losses = {l2: [] for l2 in penalties}, dict.fromkeys(penalties, 0.0)
    for fold in range(folds.max() + 1):
        # The features of the heads are also selected without these rows.
        others, rows = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        known, unknown = table.take(others), table.take(rows)
        found = final_heads(
            *(Z[others], known, np.ones(n_tasks), problem, 0.0),
            refit="relaxed",
            rule=rule,
            spike=spike,
        )
        coef, intercept = found["coef_"], found["intercept_"]
        plain = coef.reshape(n_tasks, -1, k), intercept.reshape(n_tasks, -1)
        for l2 in penalties:
            own = plain
            if l2 != 1:
                refitted = fit_heads(
                    *(Z[others], known, np.zeros(n_tasks), problem),
                    refit="relaxed",
                    support=found["support_"],
                    l2=l2,
                )
                own = refitted.coef, refitted.intercept
            heads[l2].append(own)
            if several:
                losses[l2] += _loss_of_classes(own, Z[rows], unknown)
    best = min(losses, key=lambda l2: (losses[l2], l2 != 1))
    return heads[best], best


@torch.no_grad()
def _loss_of_classes(heads, Z, table):
    """Sum of the log losses of all labels of classes for which there are scores."""
    total = 0.0
    for tasks, features, y, options in task_batches(Z, table, skip=(NUMBER, COUNT, 1)):
        loss = log_loss(int(table.n_classes[tasks[0]]))
        weight = torch.ones_like(y, dtype=features.dtype)
        for part in options.values():
            weight = weight if part is None else weight * part
        scores = head_scores(heads, tasks, features, loss)
        known = (weight > 0) & torch.isfinite(scores).all(-1)
        each = loss.value(torch.where(known.unsqueeze(-1), scores, 0.0), y)
        total += float(torch.where(known, weight * each, 0.0).sum())
    return total
