"""Predictions of other heads on the same rows, to compare with the estimator's."""

import numpy as np
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import r2_score
from sklearn.preprocessing import StandardScaler

ALPHAS = np.logspace(-4, 4, 17)
# Of the free heads, per row and on features of variance 1.
_TINY = 1e-6
# Free heads with fewer labels per feature are shrunk.
_LABELS_PER_FEATURE = 3


def quality(Y, prediction, classification):
    """Mean over the tasks of R2, or of the accuracy.

    Parameters
    ----------
    Y, prediction : ndarray of shape (n_samples, n_tasks)
        Labels, none of them missing, and what was predicted.

    classification : bool
        Whether they are classes.

    Returns
    -------
    float
        Mean over the tasks.
    """
    if classification:
        return float((prediction == Y).mean())
    return float(r2_score(Y, prediction))


def predict_free(Z, Y, Z_test, classification):
    """Predictions of heads that use all features and are not penalised.

    Regression is least squares with a ridge of 1e-6, or a cross-validated one for
    tasks with less than three labels per feature; classification is a logistic
    regression with ``C=100``, or ``C=1`` for those.

    Parameters
    ----------
    Z, Z_test : ndarray of shape (n_rows, n_features)
        Features to learn from and to predict from.

    Y : ndarray of shape (n_samples, n_tasks)
        Labels, NaN where missing.

    classification : bool
        Whether they are classes.

    Returns
    -------
    ndarray of shape (n_test_samples, n_tasks)
        Predictions.
    """
    enough = _LABELS_PER_FEATURE * Z.shape[1]

    def learn(Z, y, Z_test):
        if classification:
            return _logistic(Z, y, Z_test, C=100.0 if len(y) >= enough else 1.0)
        if len(y) < enough:
            return _ridge(Z, y, Z_test)
        return _least_squares(Z, y, Z_test)

    return _predict_tasks(Z, Y, Z_test, learn)


def predict_ridge(X, Y, X_test, classification):
    """Predictions of a cross-validated Ridge of each task on the inputs.

    Classification is a logistic regression with ``C=1``.

    Parameters
    ----------
    X, X_test : ndarray of shape (n_rows, n_features)
        Inputs to learn from and to predict from.

    Y : ndarray of shape (n_samples, n_tasks)
        Labels, NaN where missing.

    classification : bool
        Whether they are classes.

    Returns
    -------
    ndarray of shape (n_test_samples, n_tasks)
        Predictions.
    """
    return _predict_tasks(X, Y, X_test, _logistic if classification else _ridge)


def predict_oracle(data):
    """Predictions from the true factors that each task depends on, without penalty.

    Parameters
    ----------
    data : Bunch
        See :func:`~benchmarks.factors._generate.make_data`.

    Returns
    -------
    ndarray of shape (n_test_samples, n_tasks)
        Predictions.
    """
    return np.column_stack(
        [
            predict_free(
                data.factors[:, support],
                y[:, None],
                data.factors_test[:, support],
                data.condition.classification,
            )
            for support, y in zip(data.supports, data.Y.T, strict=True)
        ]
    )


def _predict_tasks(X, Y, X_test, learn):
    """Predict task by task, or all at once where all rows are labelled."""
    scaler = StandardScaler().fit(X)
    X, X_test = scaler.transform(X), scaler.transform(X_test)
    labelled = np.isfinite(Y)
    if labelled.all() and learn is _ridge:
        return _ridge(X, Y, X_test)
    return np.column_stack(
        [
            learn(X[rows], y[rows], X_test)
            for rows, y in zip(labelled.T, Y.T, strict=True)
        ]
    )


def _least_squares(X, y, X_test):
    mean, center = y.mean(), X.mean(0)
    X = X - center
    gram = X.T @ X + _TINY * len(X) * np.eye(X.shape[1])
    coef = np.linalg.solve(gram, X.T @ (y - mean))
    return (X_test - center) @ coef + mean


def _ridge(X, y, X_test):
    # Targets of any unit: the search is over multiples of the same penalties.
    ridge = RidgeCV(ALPHAS, alpha_per_target=y.ndim > 1)
    return ridge.fit(X, y).predict(X_test)


def _logistic(X, y, X_test, C=1.0):
    if len(np.unique(y)) == 1:
        return np.full(len(X_test), y[0])
    return LogisticRegression(C=C, max_iter=1_000).fit(X, y).predict(X_test)
