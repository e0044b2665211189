"""Results of a search as a table."""

import numpy as np
from scipy.stats import rankdata


def cv_results(settings, scores, times):
    """Table of a search, as that of scikit-learn's searches.

    Parameters
    ----------
    settings : list of dict

    scores : ndarray of shape (n_settings, n_seeds)
        NaN for models that failed.

    times : ndarray of shape (n_settings, n_seeds)
        Seconds of the fits.

    Returns
    -------
    dict of ndarray of shape (n_settings,)
    """
    table = {
        "mean_fit_time": times.mean(1),
        "std_fit_time": times.std(1),
        "params": settings,
    }
    for name in sorted({name for params in settings for name in params}):
        values = np.empty(len(settings), dtype=object)
        for i, params in enumerate(settings):
            values[i] = params.get(name)
        missing = [name not in params for params in settings]
        table[f"param_{name}"] = np.ma.MaskedArray(values, mask=missing)
    for seed, column in enumerate(scores.T):
        table[f"split{seed}_test_score"] = column
    # Without the models that failed; NaN if none is left.
    scores = np.ma.masked_invalid(scores)
    table["mean_test_score"] = scores.mean(1).filled(np.nan)
    table["std_test_score"] = scores.std(1).filled(np.nan)
    ranks = rankdata(-scores.mean(1).filled(-np.inf), method="min")
    table["rank_test_score"] = ranks.astype(int)
    return table
