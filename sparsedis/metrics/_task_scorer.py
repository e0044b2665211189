"""Scorer of many tasks with missing labels, for model selection."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing
from sklearn.utils.metadata_routing import UNUSED

from sparsedis.inputs._known_tasks import known_tasks
from sparsedis.metrics._task_labels import read_task_labels
from sparsedis.metrics._task_metrics import TASK_METRICS
from sparsedis.metrics._task_predictions import score_tasks
from sparsedis.metrics._validation import check_option

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

# scikit-learn's names: higher is better.
_SCORERS = {
    f"neg_{name}" if metric.is_loss else name: metric
    for name, metric in TASK_METRICS.items()
}


def make_task_scorer(
    metric: str | list[str] = "r2", *, average: Literal["mean", "labels"] = "mean"
) -> Callable[..., float]:
    """Make a scorer of many tasks that leaves out missing labels.

    The scorers of scikit-learn refuse NaN in `y`. This one scores each task on its
    labels, as :func:`task_scores` does, and averages over the tasks. It works with any
    estimator that predicts a column for each task.

    Parameters
    ----------
    metric : str or list of str, default="r2"
        Metric or metrics, for which higher is better: "r2", "neg_rmse", "neg_mse",
        "neg_mae", "accuracy", "balanced_accuracy", "roc_auc" or "neg_log_loss". With a
        list the scorer returns a dict with a score for each.

    average : {"mean", "labels"}, default="mean"
        Average over the tasks that can be scored: with equal weights, or weighted by
        their numbers of labels.

    Returns
    -------
    scorer : callable
        Called as ``scorer(estimator, X, y, *, task=None, sample_weight=None)``, it
        returns a float, or a dict of floats for several metrics. It requests `task`,
        the task of each row of labels in the long form; `sample_weight`, of shape
        (n_samples,) or (n_samples, n_tasks), after
        ``scorer.set_score_request(sample_weight=True)``.

    Raises
    ------
    ValueError
        If a metric or `average` is unknown.

    See Also
    --------
    task_scores : Scores of each task, from arrays.

    Notes
    -----
    Labels may have any form that the estimators of sparsedis accept. Columns of a frame
    and ids in `task` are matched with the `tasks_` of the estimator, or of the last
    step of a pipeline, if it has them; otherwise columns must have the order of its
    predictions. The long form needs these `tasks_`, metadata routing, and in a
    pipeline a last step that requests `task` for `predict` and `predict_proba`.

    Tasks are left out that lack labels or predictions, or for which a classifier knows
    fewer than two classes. Like `score`, the scorer takes a class that the classifier
    has not seen for an error; its probability is 0.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.model_selection import cross_validate
    >>> from sparsedis import SparseMultiTaskRepresentation
    >>> from sparsedis.datasets import make_sparse_tasks
    >>> from sparsedis.metrics import make_task_scorer
    >>> X, Y = make_sparse_tasks(200, 20, n_factors=3, labelled=0.5, random_state=0)
    >>> est = SparseMultiTaskRepresentation(3, max_iter=40, random_state=0)
    >>> scorer = make_task_scorer(["r2", "neg_mae"])
    >>> result = cross_validate(est, X, Y, cv=2, scoring=scorer)
    >>> bool(result["test_r2"].mean() > 0.5)
    True
    >>> result["test_neg_mae"].shape
    (2,)
    """
    _check(metric, average)
    return TaskScorer(metric, average=average)


class TaskScorer(BaseEstimator):
    """The scorer that :func:`make_task_scorer` makes.

    Parameters
    ----------
    metric : str or list of str, default="r2"
        Metric or metrics.

    average : {"mean", "labels"}, default="mean"
        How tasks are averaged.
    """

    # Without it, labels in the long form have no tasks.
    __metadata_request__score: ClassVar = {"task": True, "estimator": UNUSED}

    def __init__(self, metric="r2", *, average="mean"):
        self.metric = metric
        self.average = average

    def score(self, estimator, X, y, *, task=None, sample_weight=None):
        """Score the predictions of an estimator.

        Parameters
        ----------
        estimator : object
            Fitted estimator.

        X : array-like of shape (n_samples, ...)
            Inputs of `estimator`.

        y : array-like, DataFrame or sparse matrix
            Labels.

        task : array-like of shape (n_samples,), default=None
            The task of each row, in the long form.

        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), \
default=None
            Weights of the samples or of the labels.

        Returns
        -------
        float or dict of str to float
            The score, or the scores by name if `metric` is a list.

        Raises
        ------
        ValueError
            When no task can be scored.
        """
        _check(self.metric, self.average)
        found, labels = self.score_each(
            estimator, X, y, task=task, sample_weight=sample_weight
        )
        scores = {
            name: self._average(each, labels, name) for name, each in found.items()
        }
        return scores if isinstance(self.metric, list | tuple) else scores[self.metric]

    # scikit-learn calls scorers.
    __call__ = score

    def score_each(self, estimator, X, y, *, task=None, sample_weight=None):
        """Score each task.

        Parameters
        ----------
        estimator, X, y, task, sample_weight : object
            As in `score`.

        Returns
        -------
        scores : dict of str to ndarray of shape (n_tasks,)
            Values of each metric, which are not negated; NaN where a task cannot be
            scored. Tasks are in the order of the `tasks_` of the estimator, if it has
            them.

        labels : TaskLabels
            The labels that were scored.
        """
        names = _listed(self.metric)
        real = _SCORERS[names[0]].of == "targets"
        labels, targets = read_task_labels(y, task, sample_weight, real=real)
        labels = _by_tasks_of(estimator, labels, targets, y)
        classes = None if real else _classes(estimator, labels)
        if classes is not None:
            known = np.array([len(own) > 1 for own in classes])
            labels = labels.at(known[labels.tasks])
        if labels.is_long:
            X, task = _safe_indexing(X, labels.rows), _safe_indexing(task, labels.rows)
            n = len(labels.rows)
            labels = replace(labels, rows=np.arange(n), n_rows=n)
        params = {"task": task} if labels.is_long else {}
        scores, predictions = {}, {}
        for name in names:
            metric = _SCORERS[name]
            method = _method(estimator, metric.methods, name)
            if method not in predictions and len(labels.rows):
                predictions[method] = getattr(estimator, method)(X, **params)
            scores[name] = np.full(labels.n_tasks, np.nan)
            if predictions:
                scores[name] = score_tasks(metric, labels, predictions[method], classes)
        return scores, labels

    def _average(self, each, labels, name):
        metric, scored = _SCORERS[name], ~np.isnan(each)
        if not scored.any():
            raise ValueError(
                f"No task can be scored by {name!r}: y must hold {metric.needs} for "
                "some task that the estimator has learned."
            )
        weight = labels.counts()[scored] if self.average == "labels" else None
        score = float(np.average(each[scored], weights=weight))
        return -score if metric.is_loss else score


def _listed(metric):
    return list(metric) if isinstance(metric, list | tuple) else [metric]


def _check(metric, average):
    names = _listed(metric)
    for name in names:
        check_option(name, "metric", list(_SCORERS))
    if not names or len(set(names)) < len(names):
        raise ValueError(f"metric must name metrics, each once; got {metric!r}.")
    if len({_SCORERS[name].of == "targets" for name in names}) > 1:
        raise ValueError(
            "metric must name metrics of regression or of classification, not both; "
            f"got {metric!r}."
        )
    check_option(average, "average", ("mean", "labels"))


def _method(estimator, methods, name):
    for method in methods:
        if hasattr(estimator, method):
            return method
    raise TypeError(
        f"{name!r} needs an estimator with a method {' or '.join(methods)}; got "
        f"{estimator!r}."
    )


def _by_tasks_of(estimator, labels, targets, y):
    """Labels in the order of the estimator's tasks, if it names them."""
    while not hasattr(estimator, "tasks_"):
        if isinstance(estimator, Pipeline):
            estimator = estimator[-1]
        elif hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        elif labels.is_long:
            raise TypeError(
                "task= needs an estimator that has the names of its tasks in tasks_; "
                f"got {estimator!r}. Pass the labels as a table, NaN where missing."
            )
        else:
            return labels
    layout = getattr(estimator, "_layout", "wide")
    number = known_tasks(targets, y, labels.n_rows, estimator.tasks_, layout)
    return labels.among(estimator.tasks_, number)


def _classes(estimator, labels):
    """Classes of each task, if the estimator has them."""
    classes = getattr(estimator, "classes_", None)
    if isinstance(classes, list):
        if len(classes) != labels.n_tasks:
            raise ValueError(
                f"y must have a column for each of the {len(classes)} tasks of the "
                f"estimator; got {labels.n_tasks}."
            )
        return classes
    # With several tasks in an array, its entries are the tasks, not classes.
    return None if classes is None or labels.n_tasks > 1 else [classes]
