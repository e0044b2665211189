"""Batches from a user's iterable."""

from collections import deque
from itertools import chain

import numpy as np

from sparsedis.inputs._batch import TaskBatch
from sparsedis.inputs._rows import check_magnitude


class StreamTasks:
    """Batches of a user's stream; the first is read before training.

    Parameters
    ----------
    source : iterable
        Iterable of :class:`TaskBatch`, or of pairs ``(X, Y)`` of arrays.

    remember : int
        Number of last batches that are kept.

    Attributes
    ----------
    first : TaskBatch
        The first batch.

    remembered : deque of TaskBatch
        The last batches.

    Raises
    ------
    ValueError
        When `source` is not iterable, is empty or yields something else, such as a
        batch whose tasks all have the weight zero.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.inputs._stream import StreamTasks
    >>> StreamTasks([(np.zeros((5, 2)), np.zeros((5, 3)))], remember=1).first
    TaskBatch(n_tasks=3, n_samples=5, n_rows=5, labelled=15)
    """

    def __init__(self, source, remember):
        try:
            iterator = iter(source)
        except TypeError:
            raise ValueError(
                "source must be an iterable of TaskBatch or (X, Y) pairs, got "
                f"{type(source).__name__}."
            ) from None
        first = next(iterator, None)
        if first is None:
            raise ValueError("source is empty: it must yield at least one batch.")
        self.first = _read_batch(first)
        _check_magnitude(self.first, 0)
        self.remembered = deque(maxlen=remember)
        one_shot = iterator is source
        self._source = chain([first], iterator) if one_shot else source

    def __iter__(self):
        for number, batch in enumerate(self._source):
            batch = _read_batch(batch)
            if batch.rows.shape[1:] != self.first.rows.shape[1:]:
                raise ValueError(
                    "source must yield inputs of one shape; got "
                    f"{self.first.rows.shape[1:]}, then {batch.rows.shape[1:]}."
                )
            _check_magnitude(batch, number)
            self.remembered.append(batch)
            yield batch


def _check_magnitude(batch, number):
    check_magnitude(batch.rows, f"source: batch {number}, counted from 0,")


def _read_batch(batch):
    # Torch's DataLoader yields lists.
    if isinstance(batch, tuple | list) and len(batch) == 2:
        X, Y = batch
        if np.ma.is_masked(X):
            raise ValueError(
                "source yields an X with masked entries; X must be complete."
            )
        if np.ma.isMaskedArray(Y):
            Y = Y.astype(float).filled(np.nan)
        X, Y = np.asarray(X), np.asarray(Y)
        if X.dtype.kind in "OUS":
            X = X.astype(float)
        Y = Y[:, None] if Y.ndim == 1 else Y
        batch = TaskBatch(X, np.swapaxes(Y, 0, 1))
    if isinstance(batch, TaskBatch):
        if len(batch.rows) < 2:
            raise ValueError(
                "source must yield batches with at least two rows of inputs, to learn "
                f"how they differ; got {len(batch.rows)}."
            )
        return batch if batch.task_weight is None else _teaching(batch)
    raise ValueError(
        "source must yield TaskBatch instances or (X, Y) pairs, got "
        f"{type(batch).__name__}."
    )


def _teaching(batch):
    """A batch without the tasks that weigh nothing: they have no head to get."""
    kept = batch.task_weight > 0
    if not kept.any():
        raise ValueError(
            "source must yield batches with a positive task_weight for some task; got "
            "only zeros."
        )
    return batch if kept.all() else batch.take(kept)
