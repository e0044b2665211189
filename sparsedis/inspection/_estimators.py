"""Reading fitted estimators for the displays."""

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from sparsedis.identifiability import support_matrix


def final_estimator(estimator):
    """Find the fitted estimator in a search or at the end of a pipeline.

    Parameters
    ----------
    estimator : estimator
        Fitted, perhaps a search or a pipeline.

    Returns
    -------
    estimator
        The estimator itself.
    """
    check_is_fitted(estimator)
    if hasattr(estimator, "best_estimator_"):
        return final_estimator(estimator.best_estimator_)
    if isinstance(estimator, Pipeline):
        return final_estimator(estimator[-1])
    return estimator


def head_supports(estimator):
    """Tell which features the heads of an estimator use.

    Parameters
    ----------
    estimator : estimator
        Fitted, with `support_`, or with `coef_` alone.

    Returns
    -------
    supports : ndarray of shape (n_heads, n_features) of bool
        True where a head uses a feature.

    tasks : ndarray of shape (n_heads,) of int
        The tasks that have a head: those with labels.
    """
    coef = estimator.coef_  # raises an error with the reason if there is none
    if not hasattr(estimator, "support_"):
        coef = np.asarray(coef)
        coef = coef.reshape(1, -1) if coef.ndim == 1 else coef
    # The head of a task with fewer classes than others has NaN for those it lacks.
    tasks = np.flatnonzero([np.isfinite(head).any() for head in coef])
    if not len(tasks):
        raise ValueError("estimator has no head: coef_ is NaN for every task.")
    if hasattr(estimator, "support_"):
        return np.asarray(estimator.support_)[tasks], tasks
    return support_matrix(coef[tasks]), tasks
