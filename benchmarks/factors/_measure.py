"""Comparison of an estimator with the truth, through its public interface only."""

import time
import warnings

import numpy as np

from benchmarks.factors._heads import (
    predict_free,
    predict_oracle,
    predict_ridge,
    quality,
)
from benchmarks.factors._oracle import f1_of_decided, identified
from sparsedis.metrics import linear_r_score, mean_correlation_coefficient

# The keys of what `measure` returns. For classes all that is R2 is accuracy.
RESULTS = (
    "identified",  # see identified
    "mcc",  # mean correlation coefficient, on the test rows like all that follows
    "r",  # linear R score
    "n_components",  # number of codes
    "count_right",  # whether that is the number of factors
    "f1",  # of the supports, see support_f1
    "f1_oracle",  # of what the labels decide of them, see f1_of_decided
    "r2",  # R2 of the predictions, on noisy labels
    "r2_signal",  # the same on noiseless targets
    "r2_free",  # of heads without a penalty on the codes
    "r2_ridge",  # of a Ridge of each task on the inputs
    "r2_oracle",  # of heads on the true factors of each task
    "train_r2",  # on the training rows
    "stability",  # mean of stability_, where there is one
    "fit_seconds",
    "cpu_seconds",  # of the same, which other processes change little
    "fit_warnings",  # their messages
)


def measure(estimator, data):
    """Fit an estimator, and compare what it finds with the truth.

    Parameters
    ----------
    estimator : estimator
        With `fit`, `transform`, `predict`, `score` and, once fitted, ``support_``.

    data : Bunch
        See :func:`~benchmarks.factors._generate.make_data`.

    Returns
    -------
    dict
        With the keys `RESULTS`, whose meaning stands there.
    """
    classification = data.condition.classification
    start, cpu_start = time.perf_counter(), time.process_time()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        estimator.fit(data.X, data.Y)
    seconds = time.perf_counter() - start
    cpu_seconds = time.process_time() - cpu_start
    codes = np.asarray(estimator.transform(data.X_test), dtype=float)
    own_codes = np.asarray(estimator.transform(data.X), dtype=float)
    prediction = np.asarray(estimator.predict(data.X_test), dtype=float)
    found = mean_correlation_coefficient(data.factors_test, codes, return_details=True)
    others = {
        "free": predict_free(own_codes, data.Y, codes, classification),
        "ridge": predict_ridge(data.X, data.Y, data.X_test, classification),
        "oracle": predict_oracle(data),
    }
    labelled = np.isfinite(data.Y).any(axis=0)
    return {
        "identified": identified(data),
        "mcc": found.score,
        "r": linear_r_score(data.factors_test, codes),
        "n_components": codes.shape[1],
        "count_right": codes.shape[1] == data.factors.shape[1],
        "f1": support_f1(
            data.supports[labelled], estimator.support_[labelled], found.matching
        ),
        "f1_oracle": f1_of_decided(data),
        "r2": quality(data.Y_test, prediction, classification),
        "r2_signal": quality(data.signal_test, prediction, classification),
        **{
            f"r2_{name}": quality(data.Y_test, other, classification)
            for name, other in others.items()
        },
        "train_r2": estimator.score(data.X, data.Y),
        "stability": float(np.mean(getattr(estimator, "stability_", np.nan))),
        "fit_seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "fit_warnings": " | ".join(sorted({str(w.message) for w in caught})),
    }


def support_f1(supports, found, matching):
    """F1 of the supports, the mean over the tasks.

    Parameters
    ----------
    supports : ndarray of shape (n_tasks, n_factors) of bool
        Factors that each task depends on.

    found : ndarray of shape (n_tasks, n_codes) of bool
        Codes that each head uses.

    matching : ndarray of shape (n_factors,) of int
        Code of each factor, -1 for none. Factors without a code count as missed, codes
        without a factor as wrong where a head uses them.

    Returns
    -------
    float
        Mean F1. Heads without any code have an F1 of 0.
    """
    matched = matching >= 0
    right = (supports[:, matched] & found[:, matching[matched]]).sum(axis=1)
    total = supports.sum(axis=1) + found.sum(axis=1)
    return float((2 * right / total).mean())
