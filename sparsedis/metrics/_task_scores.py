"""Scores of each of many tasks with missing labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparsedis.metrics._task_labels import read_task_labels
from sparsedis.metrics._task_metrics import TASK_METRICS
from sparsedis.metrics._task_predictions import score_tasks
from sparsedis.metrics._validation import check_option

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal

    import numpy as np
    from numpy.typing import ArrayLike

    from sparsedis._typing import SparseMatrix


def task_scores(
    y_true: ArrayLike | SparseMatrix,
    y_pred: ArrayLike | Sequence[ArrayLike],
    *,
    metric: Literal[
        "r2",
        "rmse",
        "mse",
        "mae",
        "accuracy",
        "balanced_accuracy",
        "roc_auc",
        "log_loss",
    ] = "r2",
    task: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    classes: ArrayLike | Sequence[ArrayLike] | None = None,
) -> np.ndarray:
    """Score predictions task by task, without missing labels.

    Parameters
    ----------
    y_true : array-like, DataFrame or sparse matrix of shape (n_samples,), \
(n_samples, n_tasks) or (n_samples, n_tasks, n_outputs)
        Labels, missing where NaN (or None, for classes); in a sparse matrix, entries
        that are not stored are missing.

    y_pred : array-like of the shape of `y_true`, or list of n_tasks arrays
        Predictions, or for "roc_auc" and "log_loss" probabilities: a list of arrays
        of shape (n_samples, n_classes), as `predict_proba` returns them, or an array
        of shape (n_samples, n_tasks) with that of the second of two classes, in sorted
        order ("roc_auc" takes any scores). With a single task or `task`, the array of
        shape (n_samples, n_classes) itself.

    metric : {"r2", "rmse", "mse", "mae", "accuracy", "balanced_accuracy", "roc_auc", \
"log_loss"}, default="r2"
        Metric, averaged over outputs. "roc_auc" of more than two classes is the mean of
        each class against the rest.

    task : array-like of shape (n_samples,), default=None
        The long form: the task of each row. `y_true` then has one label per row.

    sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), \
default=None
        Weights of the samples or of the labels; labels of weight 0 are left out.

    classes : array-like, or list of n_tasks array-like, default=None
        Sorted classes of the columns of the probabilities, for all tasks or for each,
        such as `classes_` of a classifier. None: those of the labels. Any other label
        has probability 0.

    Returns
    -------
    scores : ndarray of shape (n_tasks,)
        Result of scikit-learn's function of that name for the labelled rows of each
        task, in the order of the columns of `y_true` or of the sorted ids in `task`.
        NaN for tasks that cannot be scored: those without labels or predictions, with
        fewer than two labels for "r2", without labels of each class for "roc_auc",
        with a single class for "roc_auc" and "log_loss".

    Raises
    ------
    ValueError
        When shapes disagree, there is no label at all, or a task lacks some of its
        predictions.

    See Also
    --------
    make_task_scorer : The same, averaged, for model selection.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.metrics import task_scores
    >>> Y = np.array([[1.0, np.nan], [2.0, 5.0], [3.0, np.nan]])
    >>> task_scores(Y, [[1.5, 0.0], [2.5, 4.0], [3.5, 0.0]])
    array([0.625,   nan])
    >>> task_scores(Y, [[1.5, 0.0], [2.5, 4.0], [3.5, 0.0]], metric="mae")
    array([0.5, 1. ])
    """
    check_option(metric, "metric", list(TASK_METRICS))
    metric = TASK_METRICS[metric]
    labels, _ = read_task_labels(
        y_true, task, sample_weight, real=metric.of == "targets"
    )
    if hasattr(y_true, "columns") and hasattr(y_pred, "columns"):
        names = list(y_true.columns), list(y_pred.columns)
        if names[0] != names[1]:
            raise ValueError(
                "y_pred must have the columns of y_true, in the same order; got "
                f"{names[1][:5]} and {names[0][:5]}."
            )
    return score_tasks(metric, labels, y_pred, classes)
