"""Regressions of the factors on the codes, scored on held-out samples."""

import numbers

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils import check_scalar

from sparsedis._warn import warn
from sparsedis.metrics._columns import ColumnNormalizer
from sparsedis.metrics._validation import check_test_set, is_varying


def hold_out(factors, codes, test_factors, test_codes, test_size, rng):
    """Take the given test set, or hold out a random part of the samples.

    Parameters
    ----------
    factors : ndarray of shape (n_samples, n_factors)
        Validated factors.

    codes : ndarray of shape (n_samples, n_codes)
        Validated codes.

    test_factors : array-like of shape (n_test_samples, n_factors) or None
        Held-out factors. None, with `test_codes`: there is no test set.

    test_codes : array-like of shape (n_test_samples, n_codes) or None
        Held-out codes.

    test_size : float or int
        Share or number of samples held out where there is no test set.

    rng : RandomState
        Draws them.

    Returns
    -------
    factors, codes, test_factors, test_codes : ndarray
        Training samples, and test samples.
    """
    if test_factors is not None or test_codes is not None:
        return factors, codes, *check_test_set(test_factors, test_codes, factors, codes)
    # Imported on use: it loads much of scikit-learn.
    from sklearn.model_selection import train_test_split

    check_scalar(test_size, "test_size", numbers.Real)
    train, test = train_test_split(
        np.arange(len(codes)), test_size=test_size, random_state=rng
    )
    return factors[train], codes[train], factors[test], codes[test]


def standardize_both(factors, codes, test_factors, test_codes):
    """Standardise the columns of both as on the training samples.

    Parameters
    ----------
    factors, codes, test_factors, test_codes : ndarray
        Training samples, and test samples. Finite values.

    Returns
    -------
    factors, codes, test_factors, test_codes : ndarray
        New arrays.
    """
    scale = np.sqrt(len(codes))
    z, c = ColumnNormalizer(factors), ColumnNormalizer(codes)
    return (
        scale * z.transform(factors),
        scale * c.transform(codes),
        scale * z.transform(test_factors),
        scale * c.transform(test_codes),
    )


def fit_factors(regressor, factors, codes, test_codes, rng):
    """Fit a clone of a regressor for each factor that varies, on the live codes.

    Parameters
    ----------
    regressor : regressor
        Its `random_state`, and those of its parts, are drawn from `rng`.

    factors : ndarray of shape (n_samples, n_factors)
        Finite values.

    codes : ndarray of shape (n_samples, n_codes)
        Finite values.

    test_codes : ndarray of shape (n_test_samples, n_codes)
        Finite values.

    rng : RandomState
        Draws seeds.

    Yields
    ------
    i : int
        Column of the factor.

    model : regressor
        Fitted on the codes that vary, of which there is one at least.

    prediction : ndarray of shape (n_test_samples,)
        Of the factor on the test samples.

    Raises
    ------
    ValueError
        If a prediction is NaN or infinite.
    """
    live = is_varying(codes)
    for i in np.flatnonzero(is_varying(factors)) if live.any() else ():
        model = clone(regressor)
        # Also those of the steps of a pipeline.
        seeds = {
            name: rng.randint(2**31 - 1)
            for name in sorted(model.get_params())
            if name.split("__")[-1] == "random_state"
        }
        model.set_params(**seeds)
        model.fit(codes[:, live], factors[:, i])
        prediction = model.predict(test_codes[:, live])
        if not np.isfinite(prediction).all():
            raise ValueError(f"The regressor {model!r} predicts NaN or infinity.")
        yield i, model, prediction


def warn_of_constant_parts(factor_mask, scored, score):
    """Warn of factors that vary, but not in both the training and the test samples.

    Parameters
    ----------
    factor_mask : ndarray of shape (n_factors,) of bool
        Factors that vary.

    scored : ndarray of shape (n_factors,) of bool
        Factors that vary in both parts.

    score : str
        What they are left out of.
    """
    if scored.sum() < factor_mask.sum():
        warn(
            f"Column(s) {np.flatnonzero(factor_mask & ~scored).tolist()} of factors "
            f"are constant in the training or test samples and left out of {score}.",
            UndefinedMetricWarning,
        )
