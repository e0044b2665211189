"""Batch of tasks for one training step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from sparsedis.inputs._values import check_whole_vectors

if TYPE_CHECKING:
    from typing import Self


# What stands for a number of classes beside tasks that have one.
NUMBER, COUNT = 0, -1


@dataclass(frozen=True, eq=False)
class TaskBatch:
    """Several supervised tasks whose inputs are rows of one array.

    Each distinct input row is stored, and later encoded, once, however many tasks use
    it: the rows of task ``t`` are ``rows[index[t]]``.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, ...)
        The distinct inputs: feature vectors ``(n_rows, n_features)`` or images
        ``(n_rows, height, width, channels)``.

    y : ndarray of shape (n_tasks, n_samples) or (n_tasks, n_samples, n_outputs)
        Targets; for classification, integers starting at 0. A NaN is a missing label,
        which ``mask`` then excludes.

    index : ndarray of shape (n_tasks, n_samples) or (n_samples,) of int, default=None
        Positions in ``rows`` of the samples of each task, or of the samples that all
        the tasks share. None: every task uses all the rows, in order.

    mask : ndarray of shape (n_tasks, n_samples) of bool, default=None
        Valid samples, for tasks of unequal size. None: all samples whose label is not
        NaN.

    weight : ndarray of shape (n_tasks, n_samples), default=None
        Weights of the samples, not negative.

    task : ndarray of shape (n_tasks,) of int, default=None
        Numbers of the tasks in their table.

    n_classes : ndarray of shape (n_tasks,) of int, default=None
        Number of classes of each task of classification. None: as many as the labels
        of the batch show, at least 2. Beside tasks of classes, 0 stands for one of
        numbers, and -1 for one of counts.

    task_weight : ndarray of shape (n_tasks,), default=None
        Weight of the loss of each task in that of the encoder, not negative; only
        their ratios matter. None: all the same.

    Attributes
    ----------
    n_tasks : int
        Number of tasks.

    Raises
    ------
    ValueError
        When the shapes disagree, an index points outside ``rows``, a weight is
        negative or not finite, a number of classes is no integer, or a target that the
        mask keeps is infinite or NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.tasks import TaskBatch
    >>> rows = np.arange(6.0).reshape(3, 2)
    >>> TaskBatch(rows, y=[[0.0, 1.0, np.nan], [2.0, 3.0, 4.0]])
    TaskBatch(n_tasks=2, n_samples=3, n_rows=3, labelled=5)
    """

    rows: np.ndarray
    y: np.ndarray
    index: np.ndarray | None = None
    mask: np.ndarray | None = None
    weight: np.ndarray | None = None
    task: np.ndarray | None = None
    n_classes: np.ndarray | None = None
    task_weight: np.ndarray | None = None

    def __post_init__(self):
        set_ = object.__setattr__  # the dataclass is frozen
        set_(self, "rows", np.asarray(self.rows))
        y = np.asarray(self.y, dtype=float)
        if y.ndim not in (2, 3):
            raise ValueError(
                "y must have shape (n_tasks, n_samples) or (n_tasks, n_samples, "
                f"n_outputs), got {y.shape}."
            )
        shape = y.shape[:2]
        if self.index is None:
            if shape[1] != len(self.rows):
                raise ValueError(
                    "Without index, every task uses all the rows: y must have shape "
                    f"(n_tasks, {len(self.rows)}), got {y.shape}."
                )
        else:
            set_(self, "index", _check_index(self.index, shape, len(self.rows)))
        if self.weight is not None:
            weight = np.asarray(self.weight, dtype=float)
            if weight.shape != shape:
                raise ValueError(
                    f"weight must have the shape {shape} of y; got {weight.shape}."
                )
            bad = ~(np.isfinite(weight) & (weight >= 0))
            if bad.any():
                raise ValueError(
                    "weight must hold finite numbers from 0 on, got "
                    f"{weight[bad][0]:g}."
                )
            set_(self, "weight", weight)
        if self.task_weight is not None:
            weight = np.asarray(self.task_weight, dtype=float)
            known = np.isfinite(weight) & (weight >= 0)
            if weight.shape != shape[:1] or not known.all():
                raise ValueError(
                    f"task_weight must hold finite numbers from 0 on in the shape "
                    f"{shape[:1]} of the tasks; got {weight}."
                )
            set_(self, "task_weight", weight)
        if self.n_classes is not None:
            n_classes = np.asarray(self.n_classes)
            whole = np.issubdtype(n_classes.dtype, np.integer)
            if n_classes.shape != shape[:1] or not whole or (n_classes < COUNT).any():
                raise ValueError(
                    f"n_classes must hold an integer from {COUNT} on for each of "
                    f"{shape[0]} tasks, got {self.n_classes!r}."
                )
            set_(self, "n_classes", n_classes)
        missing = np.isnan(y)
        if y.ndim == 3:
            check_whole_vectors(missing)
            missing = missing[..., 0]
        labelled = ~missing
        if self.mask is not None:
            mask = np.asarray(self.mask, dtype=bool)
            if mask.shape != shape:
                raise ValueError(
                    f"mask must have the shape of y, {shape}; got {mask.shape}."
                )
            labelled &= mask
        if not np.isfinite(y[labelled]).all():
            raise ValueError("y holds an infinite target; targets must be finite.")
        if labelled.all():
            set_(self, "mask", None)
        else:
            set_(self, "mask", labelled)
            y = np.where(labelled if y.ndim == 2 else labelled[..., None], y, 0.0)
        set_(self, "y", y)

    @property
    def n_tasks(self) -> int:
        """Number of tasks."""
        return self.y.shape[0]

    def take(self, tasks: np.ndarray) -> Self:
        """Keep some of the tasks.

        Parameters
        ----------
        tasks : ndarray of shape (n_kept,) of int, or (n_tasks,) of bool
            Tasks to keep, in their new order.

        Returns
        -------
        TaskBatch
            With the same rows.
        """
        own = {name: getattr(self, name) for name in _PER_TASK}
        if self.index is not None and self.index.ndim == 2:
            own["index"] = self.index
        kept = {name: part[tasks] for name, part in own.items() if part is not None}
        return replace(self, **kept)

    def split(
        self, fraction: float, random_state: np.random.RandomState
    ) -> tuple[TaskBatch, TaskBatch] | tuple[None, None]:
        """Split the samples of every task at random; both parts share the rows.

        Parameters
        ----------
        fraction : float in (0, 1)
            Share of the samples of a task that the first part gets; both parts get at
            least one.

        random_state : RandomState instance
            Random numbers for the split.

        Returns
        -------
        inner, outer : TaskBatch
            Batches without the tasks that have a single sample. Both are None if no
            task is left.
        """
        shape = self.y.shape[:2]
        mask = np.ones(shape, dtype=bool) if self.mask is None else self.mask
        count = mask.sum(1)
        own = self.index is not None and self.index.ndim == 2
        # Tasks that share their samples share the split: one Gram matrix serves all.
        order = random_state.uniform(size=shape if own else shape[1:])
        rank = np.where(mask, order, np.inf).argsort(1).argsort(1)
        n_inner = np.clip(np.round(fraction * count), 1, count - 1)
        first = mask & (rank < n_inner[:, None])
        if self.mask is None and not own:
            parts = (np.flatnonzero(part) for part in (first[0], ~first[0]))
            inner, outer = (self._samples(part) for part in parts)
        else:
            inner = replace(self, mask=first)
            outer = replace(self, mask=mask & ~first)
        if count.min() >= 2:
            return inner, outer
        kept = count >= 2
        if not kept.any():
            return None, None
        return inner.take(kept), outer.take(kept)

    def _samples(self, at):
        """Keep some samples of tasks that share them all."""
        index = at if self.index is None else self.index[at]
        weight = None if self.weight is None else self.weight[:, at]
        return replace(self, y=self.y[:, at], index=index, weight=weight)

    def __repr__(self):
        n_tasks, n_samples = self.y.shape[:2]
        labelled = n_tasks * n_samples if self.mask is None else int(self.mask.sum())
        return (
            f"TaskBatch(n_tasks={n_tasks}, n_samples={n_samples}, "
            f"n_rows={len(self.rows)}, labelled={labelled})"
        )


_PER_TASK = ("y", "mask", "weight", "task", "n_classes", "task_weight")


def _check_index(index, shape, n_rows):
    index = np.asarray(index)
    if index.shape not in (shape, shape[1:]) or not np.issubdtype(
        index.dtype, np.integer
    ):
        raise ValueError(
            f"index must hold integers in the shape {shape} of y, or {shape[1:]} when "
            f"tasks share their samples; got {index.dtype} of shape {index.shape}."
        )
    if index.size and not 0 <= index.min() <= index.max() < n_rows:
        raise ValueError(
            f"index must lie in [0, {n_rows}), the rows; got values from "
            f"{index.min()} to {index.max()}."
        )
    return index.astype(np.int64, copy=False)
