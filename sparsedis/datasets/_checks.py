"""Checks of the arguments of data sets."""

from numbers import Integral, Real

import numpy as np
from sklearn.utils import check_random_state


def check_index(index, n_images):
    """Positions as a 1-d int64 array, in ``[0, n_images)``.

    Parameters
    ----------
    index : int or array-like of int of shape (n,)
        Positions.

    n_images : int
        Number of images.

    Returns
    -------
    ndarray of shape (n,), int64
        The positions.

    Raises
    ------
    ValueError
        When the positions are not integers, not 1-dimensional, or outside the range.
    """
    array = np.asarray(index)
    if array.size == 0 and array.ndim == 1:
        return np.zeros(0, dtype=np.int64)
    if not np.issubdtype(array.dtype, np.integer) or array.ndim > 1:
        raise ValueError(
            "index must be an integer or a 1-d array of integers, got dtype "
            f"{array.dtype} and shape {array.shape}."
        )
    array = np.atleast_1d(array).astype(np.int64, copy=False)
    if array.min() < 0 or array.max() >= n_images:
        raise ValueError(
            f"index must lie in [0, {n_images}), got values from {array.min()} to "
            f"{array.max()}."
        )
    return array


def check_count(value, name, minimum=1):
    """A count as an int, at least ``minimum``.

    Parameters
    ----------
    value : int
        The count.

    name : str
        Name of the argument in error messages.

    minimum : int, default=1
        Smallest count that is accepted.

    Returns
    -------
    int
        The count.

    Raises
    ------
    ValueError
        When it is not an integer or too small.
    """
    if not isinstance(value, Integral) or isinstance(value, bool) or value < minimum:
        raise ValueError(f"{name} must be an integer >= {minimum}, got {value!r}.")
    return int(value)


def check_number(value, name, low, high, *, low_open=False, high_open=False):
    """A real number in an interval, as a float.

    Parameters
    ----------
    value : float
        The number.

    name : str
        Name of the argument in error messages.

    low, high : float
        Ends of the interval.

    low_open, high_open : bool, default=False
        Whether the ends are excluded.

    Returns
    -------
    float
        The number.

    Raises
    ------
    ValueError
        When it is not a real number of the interval.
    """
    valid = isinstance(value, Real) and not isinstance(value, bool)
    if valid:
        above = value > low if low_open else value >= low
        below = value < high if high_open else value <= high
        valid = above and below
    if not valid:
        left, right = "(" if low_open else "[", ")" if high_open else "]"
        raise ValueError(
            f"{name} must be a number in {left}{low}, {high}{right}, got {value!r}."
        )
    return float(value)


def check_option(value, name, options):
    """One of several strings.

    Parameters
    ----------
    value : str
        The choice.

    name : str
        Name of the argument in error messages.

    options : sequence of str
        Accepted values.

    Returns
    -------
    str
        The choice.

    Raises
    ------
    ValueError
        When it is not one of the options.
    """
    if not isinstance(value, str) or value not in options:
        raise ValueError(f"{name} must be one of {tuple(options)}, got {value!r}.")
    return value


def as_generator(random_state):
    """Make a numpy Generator from a `random_state` of scikit-learn, or a Generator.

    Parameters
    ----------
    random_state : int, RandomState instance, Generator instance or None
        A Generator is returned as it is; from a RandomState a seed is drawn, which
        moves it on; None gives a fresh seed.

    Returns
    -------
    numpy.random.Generator
        The generator.
    """
    if random_state is None or isinstance(random_state, np.random.Generator):
        return np.random.default_rng(random_state)
    if isinstance(random_state, Integral) and random_state >= 0:
        return np.random.default_rng(int(random_state))
    # The remaining cases, and the error for invalid values.
    seeds = check_random_state(random_state).randint(2**32, size=4, dtype=np.uint32)
    return np.random.default_rng(seeds)
