"""Predict one table after one split: with the package, and with its peers."""

import time
import warnings
from functools import partial

import numpy as np
import torch
from scipy.special import expit
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from benchmarks.tables._peers import (
    predict_boosting,
    predict_forest,
    predict_lasso,
    predict_logistic,
    predict_mlp,
    predict_ridge,
)
from benchmarks.tables._tables import load
from sparsedis import SparseMultiTaskClassifier, SparseMultiTaskRepresentation
from sparsedis.metrics import task_scores

PEERS = {
    "ridge": predict_ridge,
    "lasso": predict_lasso,
    "forest": predict_forest,
    "boosting": predict_boosting,
    "mlp": predict_mlp,
    "dropout": partial(predict_mlp, dropout=0.3),
}
CLASS_PEERS = {
    "logistic": predict_logistic,
    "forest": partial(predict_forest, classes=True),
    "boosting": partial(predict_boosting, classes=True),
    "mlp": partial(predict_mlp, classes=True),
    "dropout": partial(predict_mlp, classes=True, dropout=0.3),
}

# Confidence level of the intervals.
_LEVEL = 0.9

# Minimal number of training labels of a task, and of the smaller of two classes.
_LABELS = 10


def measure_numbers(setting, parameters):
    """Predict the numbers of a table.

    Parameters
    ----------
    setting : dict
        Key of the row: `name` and `seed`.

    parameters : dict
        Parameters of the estimator.

    Returns
    -------
    dict
        Mean R2 of the predictions of the estimator, of its heads alone, and of the
        peers; the mean share of the heads; the share of the test labels in intervals of
        level .9; number of features; seconds of the fit.
    """
    X, X_test, Y, Y_test = _parts(**setting)
    kept = (~np.isnan(Y)).sum(0) >= _LABELS
    Y, Y_test = Y[:, kept], Y_test[:, kept]
    estimator = SparseMultiTaskRepresentation(random_state=setting["seed"])
    fitted = _fit(estimator.set_params(**parameters), X, Y)
    heads = estimator.transform(X_test) @ estimator.coef_.T + estimator.intercept_
    predictions = {"sparsedis": estimator.predict(X_test), "heads": heads}
    for name, predict in PEERS.items():
        predictions[name] = predict(X, Y, X_test, setting["seed"])
    found = {name: _mean_r2(Y_test, p) for name, p in predictions.items()}
    coverage = np.nan
    if hasattr(estimator, "linear_"):
        _, interval = estimator.predict_interval(X_test, confidence_level=_LEVEL)
        inside = (interval[..., 0] <= Y_test) & (Y_test <= interval[..., 1])
        coverage = inside[~np.isnan(Y_test)].mean()
    return found | {"coverage": coverage} | fitted


def measure_classes(setting, parameters):
    """Predict which numbers of a table are above the median of their task.

    Parameters
    ----------
    setting, parameters
        See :func:`measure_numbers`.

    Returns
    -------
    dict
        Mean log loss of the estimator, of its heads alone, and of the peers, then their
        mean accuracy; the share of the test labels in sets of level .9, and the mean
        size of these sets; the rest as in :func:`measure_numbers`.
    """
    X, X_test, Y, Y_test = _parts(**setting)
    median = np.nanmedian(Y, 0)
    Y, Y_test = (np.where(np.isnan(y), np.nan, y > median) for y in (Y, Y_test))
    few = np.minimum((Y == 0).sum(0), (Y == 1).sum(0))
    Y, Y_test = Y[:, few >= _LABELS], Y_test[:, few >= _LABELS]
    estimator = SparseMultiTaskClassifier(random_state=setting["seed"])
    fitted = _fit(estimator.set_params(**parameters), X, Y)
    heads = estimator.transform(X_test) @ estimator.coef_.T + estimator.intercept_
    joint = np.stack([p[:, 1] for p in estimator.predict_proba(X_test)], 1)
    predictions = {"sparsedis": joint, "heads": expit(heads)}
    for name, predict in CLASS_PEERS.items():
        predictions[name] = predict(X, Y, X_test, setting["seed"])
    loss = {n: _mean(Y_test, p, "log_loss") for n, p in predictions.items()}
    right = {
        f"{n} accuracy": _mean(Y_test, (p > 0.5).astype(float), "accuracy")
        for n, p in predictions.items()
    }
    coverage = size = np.nan
    if hasattr(estimator, "linear_"):
        _, sets = estimator.predict_set(X_test, confidence_level=_LEVEL)
        sets, known = np.stack(sets, 1), ~np.isnan(Y_test)
        inside = np.where(Y_test == 1, sets[..., 1], sets[..., 0])
        coverage, size = inside[known].mean(), sets.sum(-1)[known].mean()
    return loss | right | {"coverage": coverage, "set size": size} | fitted


def _parts(name, seed, **_):
    """Training and test rows, with scaled inputs."""
    torch.set_num_threads(1)
    X, Y = load(name)
    X, X_test, Y, Y_test = train_test_split(X, Y, test_size=0.3, random_state=seed)
    scaler = StandardScaler().fit(X)
    return scaler.transform(X), scaler.transform(X_test), Y, Y_test


def _fit(estimator, X, Y):
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.fit(X, Y)
    seconds = time.perf_counter() - start
    share = estimator.linear_.share.mean() if hasattr(estimator, "linear_") else 1.0
    return {
        "share": share,
        "n_components": estimator.n_components_,
        "fit_seconds": seconds,
    }


def _mean_r2(Y, prediction):
    return np.nanmean(np.maximum(task_scores(Y, prediction, metric="r2"), -1.0))


def _mean(Y, prediction, metric):
    return np.nanmean(task_scores(Y, prediction, metric=metric, classes=[0.0, 1.0]))
