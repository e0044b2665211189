"""Batches of tasks that share their inputs."""

from dataclasses import dataclass

import numpy as np


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

    y : ndarray of shape (n_tasks, n_samples)
        Targets. A NaN is a missing label, and joins ``mask``.

    index : ndarray of shape (n_tasks, n_samples) of int, default=None
        Positions in ``rows`` of the samples of each task. None: every task uses all
        the rows, in order.

    mask : ndarray of shape (n_tasks, n_samples) of bool, default=None
        Which samples exist, for tasks of unequal size. None: all those whose label
        is not NaN.

    Attributes
    ----------
    n_tasks : int
        Number of tasks.

    Raises
    ------
    ValueError
        When the shapes disagree, an index points outside ``rows``, or a target that
        the mask keeps is infinite or NaN.

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

    def __post_init__(self):
        set_ = object.__setattr__  # the dataclass is frozen
        set_(self, "rows", np.asarray(self.rows))
        y = np.asarray(self.y, dtype=float)
        if y.ndim != 2:
            raise ValueError(f"y must have shape (n_tasks, n_samples), got {y.shape}.")
        if self.index is None:
            if y.shape[1] != len(self.rows):
                raise ValueError(
                    "Without index every task uses all the rows: y must have shape "
                    f"(n_tasks, {len(self.rows)}), got {y.shape}."
                )
        else:
            index = np.asarray(self.index)
            if index.shape != y.shape or not np.issubdtype(index.dtype, np.integer):
                raise ValueError(
                    f"index must hold integers in the shape of y, {y.shape}; got "
                    f"{index.dtype} of shape {index.shape}."
                )
            if index.size and not 0 <= index.min() <= index.max() < len(self.rows):
                raise ValueError(
                    f"index must lie in [0, {len(self.rows)}), the rows; got values "
                    f"from {index.min()} to {index.max()}."
                )
            set_(self, "index", index.astype(np.int64, copy=False))
        labelled = ~np.isnan(y)
        if self.mask is not None:
            mask = np.asarray(self.mask, dtype=bool)
            if mask.shape != y.shape:
                raise ValueError(
                    f"mask must have the shape of y, {y.shape}; got {mask.shape}."
                )
            labelled &= mask
        if not np.isfinite(y[labelled]).all():
            raise ValueError("y holds an infinite target; targets must be finite.")
        if labelled.all():
            set_(self, "mask", None)
        else:
            set_(self, "mask", labelled)
            y = np.where(labelled, y, 0.0)
        set_(self, "y", y)

    @property
    def n_tasks(self):
        """Number of tasks."""
        return self.y.shape[0]

    def __repr__(self):
        labelled = self.y.size if self.mask is None else int(self.mask.sum())
        return (
            f"TaskBatch(n_tasks={self.n_tasks}, n_samples={self.y.shape[1]}, "
            f"n_rows={len(self.rows)}, labelled={labelled})"
        )
