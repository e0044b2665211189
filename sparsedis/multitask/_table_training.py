"""Rows of a table that are held out of training, and batches to judge it by."""

from dataclasses import dataclass

import numpy as np

from sparsedis.inputs._batch import TaskBatch
from sparsedis.inputs._table import TaskTable

# Rows to hold out from which early stopping is worth them.
_HELD_OUT = 5


@dataclass(frozen=True)
class Split:
    """A table in two parts.

    Attributes
    ----------
    trained : TaskTable
        What is trained on.

    held_out : TaskTable or None
        Rows that are not trained on, if any.

    valid : tuple (TaskBatch, TaskBatch) or None
        Batches of the same tasks, to fit heads on and to judge the training by.
    """

    trained: TaskTable
    held_out: TaskTable | None = None
    valid: tuple[TaskBatch, TaskBatch] | None = None


def split_table(table, early_stopping, fraction, *, n_tasks, n_samples, random_state):
    """Hold out rows of a table where that pays.

    Parameters
    ----------
    table : TaskTable

    early_stopping : bool or "auto"
        "auto": where enough rows are held out, and tasks can be judged by them.

    fraction : float
        Share of the rows to hold out.

    n_tasks, n_samples : int
        Size of a batch of training; those to judge by have ten times the samples.

    random_state : RandomState instance

    Returns
    -------
    Split

    Raises
    ------
    ValueError
        When ``early_stopping=True`` and no task can be judged.
    """
    if early_stopping == "auto":
        if fraction * table.n_rows < _HELD_OUT:
            return Split(table)
    elif not early_stopping:
        return Split(table)
    trained, held_out = table.split(fraction, random_state)
    useful = (trained.labels.counts() >= 2) & (held_out.labels.counts() >= 1)
    if trained.n_classes is not None:
        useful &= trained.n_classes >= 2
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
