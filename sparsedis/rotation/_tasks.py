"""Conversion of the labels of many tasks to numbers, and back."""

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from sparsedis.inputs._classes import decode_classes, encode_classes
from sparsedis.inputs._forms import read_targets
from sparsedis.inputs._plain import check_tensor
from sparsedis.rotation._class_labels import ClassLabels, Part
from sparsedis.rotation._classes import class_moments
from sparsedis.rotation._moments import regression_moments


@dataclass(frozen=True, eq=False)
class Tasks:
    """Labels of the rows with a positive weight, as numbers.

    Attributes
    ----------
    Y : ndarray of shape (n, n_tasks, n_outputs)
        Targets or numbers of classes, NaN where missing.

    names : ndarray of shape (n_tasks,)

    layout : str
        See :class:`sparsedis.inputs._forms.Targets`.

    scalar : bool
        Whether targets are not vectors.

    classes : list of ndarray, or None
        Labels of each task, for classes.
    """

    Y: np.ndarray
    names: np.ndarray
    layout: str
    scalar: bool
    classes: list | None

    @property
    def n_classes(self):
        """Numbers of classes, of shape (n_tasks,), or None."""
        return (
            None if self.classes is None else np.array([len(c) for c in self.classes])
        )

    def take(self, rows):
        """Labels of some rows."""
        return replace(self, Y=self.Y[rows])

    def owners(self):
        """Tasks and classes of the columns of `columns`, for classes."""
        n_classes = self.n_classes
        n_outputs = np.where(n_classes > 2, n_classes, n_classes - 1).clip(0)
        owner = np.repeat(np.arange(len(n_classes)), n_outputs)
        first = np.cumsum(n_outputs) - n_outputs
        return owner, np.arange(len(owner)) - first[owner] + (n_classes[owner] == 2)

    def columns(self):
        """Targets as a table, with a column for each output or class.

        Returns
        -------
        Y : ndarray of shape (n, n_columns)
            0 where missing.

        share : ndarray of shape (n, n_columns)
            0 where missing, else 1.
        """
        Y = self.Y.reshape(len(self.Y), -1)
        if self.classes is not None:
            owner, label = self.owners()
            Y = Y[:, owner]
            Y = np.where(np.isnan(Y), np.nan, label == Y)
        return np.nan_to_num(Y), (~np.isnan(Y)).astype(float)

    def moments(self, Z, weight):
        """Moments of the heads on features of shape (n, m)."""
        if self.classes is None:
            return regression_moments(Z, self.Y, weight)[0]
        return class_moments(self.labels(Z, weight), Z.shape[1])

    def labels(self, Z, weight):
        """Classes as binary labels of features of shape (n, m)."""
        # A single class contains no information.
        Y = np.where(self.n_classes > 1, self.Y[..., 0], np.nan)
        return ClassLabels.of([Part.of(Z, Y, self.n_classes, weight)])


def read_tasks(Y, n, weight, classification, who):
    """Read the labels of many tasks.

    Parameters
    ----------
    Y : array-like, DataFrame or sparse matrix

    n : int
        Number of rows.

    weight : ndarray of shape (n,) or None
        Rows without weight are left out.

    classification : bool

    who : str
        Name for messages.

    Returns
    -------
    Tasks
    """
    check_tensor(Y, "y")
    if not classification and _holds_text(Y):
        label = np.asarray(Y).ravel()[:1].tolist()[0]
        raise ValueError(
            f"y must hold real numbers, got {label!r}. If labels are classes, set "
            "task_type='classification' (SparseRotation) or classification=True "
            "(white_heads)."
        )
    targets = read_targets(Y, n, weight=weight, real=not classification, estimator=who)
    classes, scalar, n_tasks = None, targets.values.ndim < 3, targets.n_tasks
    if classification:
        targets, classes = encode_classes(targets)
        if all(len(own) < 2 for own in classes):
            one = next(own for own in classes if len(own)).tolist()[0]
            raise ValueError(
                f"{who} needs labels of at least two classes in some task; y has "
                f"only the class {one!r}."
            )
    values = targets.values
    if not targets.is_table:
        values = np.full((n, n_tasks), np.nan)
        values[targets.rows, targets.tasks] = targets.values
    values = values.reshape(n, n_tasks, -1)
    if weight is not None:
        values = values[weight > 0]
    return Tasks(values, targets.names, targets.layout, scalar, classes)


def _holds_text(Y):
    """Whether labels are text, in an array or a list."""
    return not sp.issparse(Y) and np.asarray(Y).dtype.kind in "US"


def labels_of(scores, classes):
    """Labels of the highest scores.

    Parameters
    ----------
    scores : ndarray of shape (n, n_tasks) or (n, n_tasks, n_classes)
        Scores of the second of two classes, or of each. NaN for tasks without a head.

    classes : list of ndarray
        Labels of each task.

    Returns
    -------
    ndarray of shape (n, n_tasks)
        See :func:`~sparsedis.inputs._classes.decode_classes`.
    """
    if scores.ndim == 2:
        codes = (scores > 0).astype(int)
    else:
        codes = np.where(np.isnan(scores), -np.inf, scores).argmax(-1)
    return decode_classes(codes, np.arange(len(classes)), classes)
