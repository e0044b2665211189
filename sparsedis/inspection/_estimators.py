"""Access to fitted estimators for the displays."""

import numpy as np
from sklearn.base import is_classifier
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from sparsedis._fitted import shallow_copy
from sparsedis.identifiability import support_matrix
from sparsedis.metrics import make_task_scorer


def final_estimator(estimator):
    """Find the fitted estimator in a search or at the end of a pipeline.

    Parameters
    ----------
    estimator : estimator
        Fitted estimator, search or pipeline.

    Returns
    -------
    estimator
        The estimator in the search or pipeline, or `estimator` itself.
    """
    check_is_fitted(estimator)
    if hasattr(estimator, "best_estimator_"):
        return final_estimator(estimator.best_estimator_)
    if isinstance(estimator, Pipeline):
        return final_estimator(estimator[-1])
    return estimator


def members(estimator):
    """Find the estimators of an ensemble.

    Parameters
    ----------
    estimator : estimator
        Fitted estimator, not in a search or a pipeline.

    Returns
    -------
    list of estimators
        Empty if it is no ensemble.
    """
    found = getattr(estimator, "estimators_", ())
    return [final_estimator(member) for member in found]


def head_coefs(estimator):
    """Find the coefficients of the heads of an estimator.

    Parameters
    ----------
    estimator : estimator
        Fitted estimator with `coef_` or `heads_`, or an ensemble of such estimators.

    Returns
    -------
    ndarray of shape (n_tasks, ...)
        Those of the first estimator of an ensemble. NaN for tasks without a head.
    """
    if not hasattr(estimator, "coef_"):
        if hasattr(estimator, "heads_"):
            return np.asarray(estimator.heads_)
        if members(estimator):
            return head_coefs(members(estimator)[0])
    coef = np.asarray(estimator.coef_)  # its error gives the reason if there is none
    return coef.reshape(1, -1) if coef.ndim == 1 else coef


def head_supports(estimator):
    """Find the features that the heads of an estimator use.

    Parameters
    ----------
    estimator : estimator
        Fitted estimator with `support_`, or only with `coef_`.

    Returns
    -------
    supports : ndarray of shape (n_heads, n_features) of bool
        True where a head uses a feature; for an ensemble, in more than half of its
        estimators.

    tasks : ndarray of shape (n_heads,) of int
        The tasks that have a head: those with labels.
    """
    coef = head_coefs(estimator)
    # The head of a task with fewer classes than others has NaN for the missing ones.
    tasks = np.flatnonzero([np.isfinite(head).any() for head in coef])
    if not len(tasks):
        raise ValueError("estimator has no head: coef_ is NaN for every task.")
    if hasattr(estimator, "support_"):
        return np.asarray(estimator.support_)[tasks] > 0.5, tasks
    return support_matrix(coef[tasks]), tasks


def final_inputs(estimator, X):
    """Transform inputs to those of the estimator in a search or a pipeline.

    Parameters
    ----------
    estimator : estimator
        Fitted estimator, search or pipeline.

    X : array-like of shape (n_samples, ...)
        Inputs of `estimator`.

    Returns
    -------
    array-like of shape (n_samples, ...)
        Inputs of ``final_estimator(estimator)``.
    """
    if hasattr(estimator, "best_estimator_"):
        return final_inputs(estimator.best_estimator_, X)
    if isinstance(estimator, Pipeline):
        if len(estimator) > 1:
            X = estimator[:-1].transform(X)
        return final_inputs(estimator[-1], X)
    return X


def check_table(X):
    """Refuse inputs without columns.

    Parameters
    ----------
    X : array-like

    Returns
    -------
    array-like of shape (n_samples, n_features)
        X itself.
    """
    if np.ndim(X) != 2:
        raise ValueError(
            "X must be a table of shape (n_samples, n_features), whose columns can "
            f"have an effect; got shape {np.shape(X)}. For images, see "
            "LatentTraversalDisplay."
        )
    return X


def encode_once(estimator, X):
    """Encode inputs once, for the features and for the predictions.

    Parameters
    ----------
    estimator : estimator
        Fitted estimator.

    X : array-like of shape (n_samples, n_features)

    Returns
    -------
    Z : ndarray of shape (n_samples, n_components)
        Features.

    stand_in : estimator
        A copy that makes the predictions of `estimator` from `variables`, without its
        encoder.

    variables : array-like of shape (n_samples, ...)
        Inputs of `stand_in`.
    """
    if not hasattr(estimator, "_predicted_by"):
        # For example an ensemble, whose members have their own encoders.
        return np.asarray(estimator.transform(X)), estimator, X
    inputs = estimator._validate_X(X, reset=False)
    variables = np.concatenate(list(estimator._predicted_by(inputs)))
    stand_in = shallow_copy(estimator)
    vars(stand_in).update(
        _validate_X=lambda variables, reset: variables,
        _predicted_by=lambda variables: [variables],
    )
    return variables[:, : estimator.n_components_], stand_in, variables


def score_tasks(estimator, X, y, task=None, sample_weight=None):
    """Score the predictions of each task.

    Parameters
    ----------
    estimator : estimator
        Fitted estimator with `tasks_`.

    X : array-like of shape (n_samples, ...)

    y, task, sample_weight : array-like
        Labels and weights, in the forms that `score` of `estimator` accepts.

    Returns
    -------
    ndarray of shape (n_tasks,)
        R2, or the accuracy of a classifier, or the explained share of the deviance for
        tasks of several types; NaN for tasks that cannot be scored.
    """
    given = {"task": task, "sample_weight": sample_weight}
    if hasattr(estimator, "task_scores"):
        return estimator.task_scores(X, y, **given)["d2"]
    if hasattr(estimator, "task_types_"):
        return estimator._explained_deviance(X, y, **given)
    scorer = make_task_scorer("accuracy" if is_classifier(estimator) else "r2")
    (scores,) = scorer.score_each(estimator, X, y, **given)[0].values()
    return scores


def score_name(estimator):
    """Name of the score that `score_tasks` computes.

    Parameters
    ----------
    estimator : estimator

    Returns
    -------
    {"D2", "accuracy", "R2"}
        The name.
    """
    if hasattr(estimator, "task_types_"):
        return "D2"
    return "accuracy" if is_classifier(estimator) else "R2"
