"""Batches from a user's iterable."""

import math
from collections import deque
from dataclasses import replace
from itertools import chain

import numpy as np
from sklearn.base import is_classifier

from sparsedis.inputs._arrays import as_inputs, validate_inputs
from sparsedis.inputs._batch import TaskBatch
from sparsedis.inputs._forms import Targets, check_sizes, read_targets
from sparsedis.inputs._rows import check_magnitude, warn_of_offsets
from sparsedis.inputs._weights import as_counts, without_extremes

# More classes of a task take too much memory.
_MOST_CLASSES = 10_000


class StreamTasks:
    """Batches of a user's stream; the first is read before training.

    Parameters
    ----------
    source : iterable
        Iterable of :class:`TaskBatch`, or of pairs ``(X, Y)``, in any form that `fit`
        takes.

    remember : int
        Number of last batches that are kept.

    estimator : BaseEstimator
        Stores the number and names of the features, or compares them with its own.

    reset : bool, default=True
        Whether the first batch decides on the features.

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
        batch without labels, or whose tasks all have the weight zero. A note has the
        number of the batch.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.base import BaseEstimator
    >>> from sparsedis.inputs._stream import StreamTasks
    >>> source = [(np.eye(5), np.zeros((5, 3)))]
    >>> StreamTasks(source, 1, BaseEstimator()).first
    TaskBatch(n_tasks=3, n_samples=5, n_rows=5, labelled=15)
    """

    def __init__(self, source, remember, estimator, *, reset=True):
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
        self.estimator = estimator
        self.first = self._read(first, 0, reset=reset)
        self.remembered = deque(maxlen=remember)
        one_shot = iterator is source
        self._source = chain([first], iterator) if one_shot else source

    def __iter__(self):
        for number, batch in enumerate(self._source):
            batch = self._read(batch, number, reset=False)
            self.remembered.append(batch)
            yield batch

    def last_inputs(self, n_rows=math.inf):
        """Inputs of the last batches, in their order.

        Parameters
        ----------
        n_rows : float, default=inf
            Rows to reach with as few batches as possible.

        Returns
        -------
        list of array of shape (n, ...)
        """
        found = []
        for batch in reversed(self.remembered):
            found.insert(0, batch.rows)
            n_rows -= len(batch.rows)
            if n_rows <= 0:
                break
        return found

    def _read(self, batch, number, *, reset):
        try:
            batch = self._batch(batch, reset)
        except (TypeError, ValueError) as error:
            error.add_note(f"In batch {number} of source, counted from 0.")
            if is_classifier(self.estimator):
                error.add_note("Classes in a stream are integers starting at 0.")
            raise
        check_magnitude(batch.rows, f"source: batch {number}, counted from 0,")
        if number == 0 and reset:
            warn_of_offsets(batch.rows, vars(self.estimator).get("feature_names_in_"))
        return batch

    def _batch(self, batch, reset):
        # Torch's DataLoader yields lists.
        if isinstance(batch, tuple | list) and len(batch) == 2:
            X = self._inputs(batch[0], reset)
            batch = TaskBatch(X, np.swapaxes(_labels(batch[1], len(X)), 0, 1))
        elif isinstance(batch, TaskBatch):
            rows = self._inputs(batch.rows, reset)
            if rows is not batch.rows:
                batch = replace(batch, rows=rows)
        else:
            raise ValueError(
                "source must yield TaskBatch instances or (X, Y) pairs, got "
                f"{type(batch).__name__}."
            )
        names = np.arange(batch.n_tasks)
        check_sizes(Targets("wide", names, np.swapaxes(batch.y, 0, 1)))
        if is_classifier(self.estimator):
            if batch.n_classes is None:
                batch = _numbered(batch)
            elif batch.n_classes.max(initial=0) > _MOST_CLASSES:
                raise ValueError(
                    f"n_classes must be at most {_MOST_CLASSES}, got "
                    f"{batch.n_classes.max()}. Leave it out: heads then have the "
                    "classes that the labels of the batch show."
                )
        return _useful(batch)

    def _inputs(self, X, reset):
        if len(np.shape(X)) > 1 and len(X) < 2:
            raise ValueError(
                "source must yield batches with at least two rows of inputs, to learn "
                f"how they differ; got {len(X)}."
            )
        X, first = as_inputs(X), vars(self).get("first")
        if first is not None:
            was, now = first.rows.shape[1:], np.shape(X)[1:]
            # Scikit-learn compares the columns of tables.
            if was != now and (len(was), len(now)) != (1, 1):
                raise ValueError(
                    f"source must yield inputs of one shape; got {was}, then {now}."
                )
        return validate_inputs(self.estimator, X, reset=reset)


def _labels(Y, n_samples):
    """Labels as an array of shape (n_samples, n_tasks, ...), NaN where missing."""
    targets = read_targets(Y, n_samples, real=True, estimator="fit_stream")
    if targets.is_table:
        return targets.values
    values = np.full((n_samples, targets.n_tasks), np.nan)
    values[targets.rows, targets.tasks] = targets.values
    return values


def _numbered(batch):
    """A batch whose classes are numbered without gaps: heads have all smaller ones."""
    labelled = np.ones(batch.y.shape, bool) if batch.mask is None else batch.mask
    classes, numbers = np.unique(batch.y[labelled], return_inverse=True)
    # From 2**53 on, floats merge integers.
    wrong = classes[(classes < 0) | (classes % 1 != 0) | (classes >= 2.0**53)]
    if len(wrong):
        raise ValueError(
            f"y must hold whole numbers from 0 on, below 2**53, got {wrong[0]:g}."
        )
    y = np.zeros(batch.y.shape)
    y[labelled] = numbers
    return replace(batch, y=y)


def _useful(batch):
    """A batch without the tasks that have no label or weigh nothing, in usual units."""
    kept = np.ones(batch.n_tasks, dtype=bool)
    if batch.task_weight is not None:
        kept = batch.task_weight > 0
        if not kept.any():
            raise ValueError(
                "source must yield batches with a positive task_weight for some task; "
                "got only zeros."
            )
    if batch.mask is not None:
        kept = kept & batch.mask.any(1)
    if batch.weight is not None:
        labelled = True if batch.mask is None else batch.mask
        kept = kept & (labelled & (batch.weight > 0)).any(1)
    if not kept.any():
        raise ValueError(
            "source must yield batches in which some task has a label with a positive "
            f"weight; got {batch!r}."
        )
    if not kept.all():
        batch = batch.take(kept)
    if batch.weight is None:
        return batch
    weight = without_extremes(batch.weight)
    labelled = True if batch.mask is None else batch.mask
    return replace(batch, weight=as_counts(weight, weight.mean(where=labelled)))
