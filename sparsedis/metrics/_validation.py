"""Input validation and column statistics shared by all metrics."""

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils import check_array

from sparsedis._warn import warn
from sparsedis.inputs._plain import check_plain


def check_matrix(array, name, *, min_samples=2, missing=False):
    """Return `array` as a finite float64 matrix, or raise naming it.

    Parameters
    ----------
    array : array-like of shape (n_samples, n_columns)
        Input.

    name : str
        Name of the argument in error messages.

    min_samples : int, default=2
        Least number of rows.

    missing : bool, default=False
        Accept NaN, and masked entries, which become NaN.

    Returns
    -------
    ndarray of shape (n_samples, n_columns) of float64
        The validated array.
    """
    if missing and np.ma.is_masked(array):
        array = np.ma.filled(array.astype(np.float64), np.nan)
    check_plain(array, name)
    _check_integers(array, name)
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            # scikit-learn looks for NaN in the sum, which large numbers overflow.
            return check_array(
                array,
                dtype=np.float64,
                input_name=name,
                ensure_min_samples=min_samples,
                ensure_all_finite="allow-nan" if missing else True,
            )
    except ValueError as error:
        if name in str(error):
            raise
        raise ValueError(
            f"{name} must hold numbers, in rows of samples: {error}"
        ) from error


def _check_integers(array, name):
    """Raise if float64 merges integers of a column, such as codes of 64 bits."""
    if not (hasattr(array, "dtype") or hasattr(array, "columns")):
        return
    values = np.asarray(array)
    if values.dtype.kind not in "iu" or values.ndim != 2:
        return
    largest = np.abs(values.astype(np.float64)).max(0, initial=0.0)
    for j in np.flatnonzero(largest >= 2.0**53):
        distinct = np.unique(values[:, j])
        if len(np.unique(distinct.astype(np.float64))) < len(distinct):
            raise ValueError(
                f"{name} holds integers beyond 2**53 in column {j}, such as "
                f"{distinct[0]}, of which float64 merges some. Number its values, by "
                "np.unique(..., return_inverse=True), or subtract the smallest one."
            )


def is_varying(X):
    """Tell which columns take more than one value.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_columns)
        Finite values, or NaN, which does not count.

    Returns
    -------
    ndarray of shape (n_columns,) of bool
        False where the column is constant, or NaN throughout.
    """
    # Not `X.std(axis=0) > 0`: rounding gives a constant 0.1 a positive deviation.
    return np.fmin.reduce(X, axis=0) < np.fmax.reduce(X, axis=0)


def known_groups(factors, *others):
    """Group the factors that are known on the same samples.

    Every metric of partly labelled factors takes its rows from here.

    Parameters
    ----------
    factors : ndarray of shape (n_samples, n_factors)
        Factors; NaN where they are not known.

    *others : tuple of ndarray of shape (n_other_samples, n_factors)
        The same factors of other samples, such as a test set.

    Yields
    ------
    columns : ndarray of int, or slice
        Factors of the group.

    *rows : tuple of ndarray of bool, or slice
        For each argument, the samples on which they are known. With fewer than two of
        them in any, the factors are in no group.
    """
    arrays = (factors, *others)
    known = [~np.isnan(array) for array in arrays]
    if all(k.all() for k in known):
        yield slice(None), *[slice(None)] * len(arrays)  # no copies
        return
    patterns, group = np.unique(np.vstack(known), axis=1, return_inverse=True)
    ends = np.cumsum([len(array) for array in arrays])[:-1]
    for g, pattern in enumerate(patterns.T):
        rows = np.split(pattern, ends)
        if min(r.sum() for r in rows) > 1:
            yield np.flatnonzero(group.ravel() == g), *rows


def check_all_known(factors, what):
    """Raise if a factor is not known on a sample.

    Parameters
    ----------
    factors : ndarray of shape (n_samples, n_factors)
        Factors; NaN where they are not known.

    what : str
        What needs them all, for the message.
    """
    if np.isnan(factors).any():
        raise ValueError(
            f"factors contains NaN, and {what} needs all factors of all samples: leave "
            "out the rows with NaN."
        )


def check_factors_codes(
    factors,
    codes,
    *,
    names=("factors", "codes"),
    min_factors=1,
    min_codes=1,
):
    """Validate factors and codes, and find the constant columns of both.

    Parameters
    ----------
    factors : array-like of shape (n_samples, n_factors)
        Ground-truth factors; NaN where they are not known.

    codes : array-like of shape (n_samples, n_codes)
        Learned codes of the same samples.

    names : tuple of two str, default=("factors", "codes")
        Names of the arguments in messages.

    min_factors : int, default=1
        Least number of factors that vary for the metric to be defined.

    min_codes : int, default=1
        Least number of codes, dead ones included, for the metric to be defined.


    Returns
    -------
    factors : ndarray of shape (n_samples, n_factors) of float64
        Validated factors, with the NaN that they hold.

    codes : ndarray of shape (n_samples, n_codes) of float64
        Validated codes.

    factor_mask : ndarray of shape (n_factors,) of bool
        Factors that vary.

    code_mask : ndarray of shape (n_codes,) of bool
        Codes that vary.
    """
    factors = check_matrix(factors, names[0], missing=True)
    codes = check_matrix(codes, names[1])
    if len(factors) != len(codes):
        raise ValueError(
            f"{names[0]} and {names[1]} must describe the same samples; got "
            f"{len(factors)} rows in {names[0]} and {len(codes)} in {names[1]}."
        )
    if codes.shape[1] < min_codes:
        raise ValueError(
            f"{names[1]} must have at least {min_codes} columns for this metric, "
            f"which compares codes with each other; got {codes.shape[1]}."
        )
    factor_mask, code_mask = is_varying(factors), is_varying(codes)
    if factor_mask.sum() < min_factors:
        raise ValueError(
            f"{names[0]} must have at least {min_factors} column(s) that vary for "
            f"this metric; got {factor_mask.sum()} among {len(factor_mask)}."
        )
    if not factor_mask.all():
        warn(
            f"Constant column(s) {np.flatnonzero(~factor_mask).tolist()} of "
            f"{names[0]} are left out.",
            UndefinedMetricWarning,
        )
    if not code_mask.all():
        warn(
            f"Dead (constant) column(s) {np.flatnonzero(~code_mask).tolist()} of "
            f"{names[1]} carry no information and count as such.",
            UndefinedMetricWarning,
        )
    return factors, codes, factor_mask, code_mask


def check_option(value, name, options):
    """Raise unless `value` is one of `options`.

    Parameters
    ----------
    value : object
        Argument to check.

    name : str
        Name of the parameter.

    options : sequence of str
        Accepted values.
    """
    if not isinstance(value, str) or value not in options:
        raise ValueError(f"{name} must be one of {list(options)}; got {value!r}.")


def check_test_set(test_factors, test_codes, factors, codes):
    """Validate held-out factors and codes against those of the fit.

    Parameters
    ----------
    test_factors : array-like of shape (n_test_samples, n_factors)
        Held-out factors; NaN where they are not known.

    test_codes : array-like of shape (n_test_samples, n_codes)
        Held-out codes.

    factors : ndarray of shape (n_samples, n_factors)
        Factors of the fit.

    codes : ndarray of shape (n_samples, n_codes)
        Codes of the fit.

    Returns
    -------
    test_factors : ndarray of shape (n_test_samples, n_factors) of float64
        Validated factors.

    test_codes : ndarray of shape (n_test_samples, n_codes) of float64
        Validated codes.
    """
    if (test_factors is None) != (test_codes is None):
        missing = "test_factors" if test_factors is None else "test_codes"
        raise ValueError(f"test_factors and test_codes go together; {missing} is None.")
    test_factors = check_matrix(test_factors, "test_factors", missing=True)
    test_codes = check_matrix(test_codes, "test_codes")
    if len(test_factors) != len(test_codes):
        raise ValueError(
            "test_factors and test_codes must describe the same samples; got "
            f"{len(test_factors)} and {len(test_codes)} rows."
        )
    for name, test, train in (
        ("factors", test_factors, factors),
        ("codes", test_codes, codes),
    ):
        if test.shape[1] != train.shape[1]:
            raise ValueError(
                f"test_{name} must have the columns of {name}, {train.shape[1]}; got "
                f"{test.shape[1]}."
            )
    return test_factors, test_codes
