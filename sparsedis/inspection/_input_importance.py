"""Effect of the input columns on features and tasks, by permutation."""

from __future__ import annotations

import numbers
from copy import copy
from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils import Bunch, check_random_state, check_scalar

from sparsedis.inspection._estimators import (
    check_table,
    encode_once,
    final_estimator,
    final_inputs,
    score_tasks,
)

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import ArrayLike

    from sparsedis._typing import RandomState, SparseMatrix


def input_importance(
    estimator: Any,
    X: ArrayLike,
    y: ArrayLike | SparseMatrix | None = None,
    *,
    task: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    n_repeats: int = 5,
    random_state: RandomState = None,
) -> Any:
    """Permutation importance of each input column for each task and each feature.

    The values of a column are shuffled over the rows. Its importance for a task is the
    drop in the score of the task, as in
    :func:`sklearn.inspection.permutation_importance`. Its importance for a feature is
    one minus the squared correlation of the feature before and after: 0 if the feature
    does not depend on the column, 1 if the column determines it. Each shuffled
    table is encoded only once, for all tasks and features.

    Parameters
    ----------
    estimator : estimator
        Estimator with `transform`, fitted on tables. For a pipeline or search, columns
        are those of its inputs.

    X : array-like of shape (n_samples, n_features)
        Inputs, preferably rows that `fit` has not seen.

    y : array-like, DataFrame or sparse matrix, default=None
        Labels, in the forms that `fit` accepts; missing ones are left out. None: only
        the features are examined.

    task : array-like of shape (n_samples,), default=None
        The task of each row, in the long form.

    sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), \
default=None
        Weights for the scores of the tasks.

    n_repeats : int, default=5
        Number of shuffles of each column.

    random_state : int, RandomState instance or None, default=None
        Shuffles the columns. Pass an int for the same shuffles at every call, which are
        those of scikit-learn.

    Returns
    -------
    result : :class:`~sklearn.utils.Bunch`
        Importances. `tasks` and `baseline` are present only if `y` is given:

        features : Bunch
            `importances_mean` and `importances_std` over the repeats, of shape
            (n_components, n_features), and `importances`, of shape (n_components,
            n_features, n_repeats).
        tasks : Bunch
            The same for the tasks, in the order of `tasks_`. NaN for tasks without
            labels or head.
        baseline : ndarray of shape (n_tasks,)
            Score of each task without shuffling: R2, the accuracy of a classifier, or
            the explained share of the deviance for tasks of several types.

    Raises
    ------
    ValueError
        When X is not a table, or `n_repeats` is not positive.

    See Also
    --------
    input_gradients : Direction and size of the effects, from only the encoder.
    InputEffectDisplay : Draws the importances.

    Notes
    -----
    If two columns are correlated, shuffling one creates rows that do not occur, and
    each can seem unimportant because the other has the same information.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis import SparseMultiTaskRepresentation
    >>> from sparsedis.datasets import make_sparse_tasks
    >>> from sparsedis.inspection import input_importance
    >>> X, Y = make_sparse_tasks(200, 40, n_factors=2, random_state=0)
    >>> X = np.column_stack([X, np.random.default_rng(0).standard_normal(200)])
    >>> est = SparseMultiTaskRepresentation(
    ...     encoder="identity", max_iter=1, random_state=0
    ... ).fit(X, Y)
    >>> result = input_importance(est, X, Y, random_state=0)
    >>> result.tasks.importances_mean.shape
    (40, 3)
    >>> bool(result.features.importances_mean[:, 2].max() < 0.01)
    True
    """
    check_scalar(n_repeats, "n_repeats", numbers.Integral, min_val=1)
    # As in scikit-learn, all columns have the same shuffles.
    seed = check_random_state(random_state).randint(np.iinfo(np.int32).max + 1)
    final = final_estimator(estimator)
    check_table(X)

    def effects(X):
        Z, predictor, variables = encode_once(final, final_inputs(estimator, X))
        if y is None:
            return Z, None
        return Z, score_tasks(predictor, variables, y, task, sample_weight)

    Z, baseline = effects(X)
    shuffled = copy(X) if hasattr(X, "columns") else np.array(X)
    n_rows, n_columns = shuffled.shape
    features = np.empty((Z.shape[1], n_columns, n_repeats))
    tasks = None if y is None else np.empty((len(baseline), n_columns, n_repeats))
    for j in range(n_columns):
        column = values = _column(shuffled, j)
        draw, order = np.random.RandomState(seed), np.arange(n_rows)
        for r in range(n_repeats):
            draw.shuffle(order)
            values = values[order]
            _set_column(shuffled, j, values)
            moved, scores = effects(shuffled)
            features[:, j, r] = 1 - _squared_correlation(Z, moved)
            if y is not None:
                tasks[:, j, r] = baseline - scores
        _set_column(shuffled, j, column)
    result = Bunch(features=_summary(features))
    if y is not None:
        result.update(tasks=_summary(tasks), baseline=baseline)
    return result


def _column(X, j):
    # In the dtype of the column, such as categories.
    if hasattr(X, "iloc"):
        return X.iloc[:, j].array.copy()
    return X.to_series(j) if hasattr(X, "columns") else X[:, j].copy()


def _set_column(X, j, values):
    if hasattr(X, "iloc"):
        X.isetitem(j, values)
    elif hasattr(X, "columns"):  # of polars
        X.replace_column(j, values)
    else:
        X[:, j] = values


def _squared_correlation(Z, moved):
    """Squared correlations of the columns of two tables; 1 for unchanged columns."""
    Z, moved = Z - Z.mean(0), moved - moved.mean(0)
    spread = (Z**2).sum(0) * (moved**2).sum(0)
    square = (Z * moved).sum(0) ** 2
    unchanged = (np.abs(Z - moved) <= 1e-12 * np.abs(Z).max(0)).all(0)
    found = np.divide(square, spread, out=np.zeros_like(square), where=spread > 0)
    return np.where(unchanged, 1.0, np.minimum(found, 1.0))


def _summary(importances):
    return Bunch(
        importances_mean=importances.mean(-1),
        importances_std=importances.std(-1),
        importances=importances,
    )
