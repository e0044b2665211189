"""Held-out rows of a table, and batches for validation."""

from dataclasses import dataclass

import numpy as np

from sparsedis.inputs._batch import TaskBatch
from sparsedis.inputs._table import TaskTable

# Minimal number of held-out rows for early stopping.
_HELD_OUT = 5

# Share of the rows to hold out and, where that is fewer rows than the second number,
# the share up to which to hold out that many.
_SHARE, _ROWS, _LARGEST_SHARE = 0.1, 50, 0.2


@dataclass(frozen=True)
class Split:
    """A table in two parts.

    Attributes
    ----------
    trained : TaskTable
        Rows for training.

    held_out : TaskTable or None
        Held-out rows, if any.

    valid : tuple (TaskBatch, TaskBatch) or None
        Batches of the same tasks, to fit heads and to evaluate them.
    """

    trained: TaskTable
    held_out: TaskTable | None = None
    valid: tuple[TaskBatch, TaskBatch] | None = None


def split_table(table, early_stopping, fraction, *, n_tasks, n_samples, random_state):
    """Hold out rows of a table if this is useful.

    Parameters
    ----------
    table : TaskTable

    early_stopping : bool or "auto"
        "auto": if enough rows can be held out, and tasks can be evaluated on them.

    fraction : float or "auto"
        Share of the rows to hold out.

    n_tasks, n_samples : int
        Size of a training batch; validation batches have ten times the samples.

    random_state : RandomState instance

    Returns
    -------
    Split

    Raises
    ------
    ValueError
        When ``early_stopping=True`` and no task can be evaluated.
    """
    if fraction == "auto":
        rows = _ROWS / max(1, table.n_rows)
        fraction = max(_SHARE, min(rows, _LARGEST_SHARE))
    if early_stopping == "auto":
        if fraction * table.n_rows < _HELD_OUT:
            return Split(table)
    elif not early_stopping:
        return Split(table)
    trained, held_out = table.split(fraction, random_state)
    useful = (trained.labels.counts() >= 2) & (held_out.labels.counts() >= 1)
    useful &= trained.teaching
    if trained.n_classes is not None:
        useful &= trained.n_classes != 1
    tasks = np.flatnonzero(useful)
    if len(tasks) == 0:
        if early_stopping == "auto":
            return Split(trained, held_out)
        raise ValueError(
            f"validation_fraction={fraction:g} of {table.n_rows} rows leaves no task "
            "with samples both to train on and to validate on."
        )
    tasks = random_state.permutation(tasks)[:n_tasks]
    inner = trained.batch(tasks, 10 * n_samples, random_state)
    outer = held_out.batch(inner.task, 10 * n_samples, random_state)
    inner = inner.take(np.isin(inner.task, outer.task))
    return Split(trained, held_out, (inner, outer))
