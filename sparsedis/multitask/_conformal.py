"""Prediction intervals and sets from errors on held-out rows."""

import numpy as np

# Rounding error of ends of intervals and of probabilities.
_ROUNDING = 1e-9


def check_level(confidence_level):
    """Refuse a confidence level that is no probability.

    Parameters
    ----------
    confidence_level : float

    Raises
    ------
    ValueError
    """
    number = np.asarray(confidence_level)
    if number.ndim or number.dtype.kind not in "iuf" or not 0 < number < 1:
        raise ValueError(
            f"confidence_level must lie in (0, 1), got {confidence_level!r}."
        )


def ranked(sizes, confidence_level):
    """Size that covers one more error with a probability.

    Parameters
    ----------
    sizes : ndarray of shape (n,)
        Sizes of the errors.

    confidence_level : float in (0, 1)

    Returns
    -------
    float
        Infinite with too few errors.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.multitask._conformal import ranked
    >>> float(ranked(np.arange(1.0, 10.0), 0.9)), ranked(np.ones(8), 0.9)
    (9.0, inf)
    """
    # Rounding errors must not increase a rank that is an integer. The first is 1.
    rank = max(1, int(np.ceil((len(sizes) + 1) * confidence_level - 1e-9)))
    if rank > len(sizes):
        return np.inf
    return np.partition(sizes, rank - 1)[rank - 1]


def count_interval(mean, margin, whole):
    """Interval of counts whose square roots are near that of the mean.

    Square roots of Poisson counts have about the same variance for any mean.

    Parameters
    ----------
    mean : ndarray of shape (n,)
        Mean counts.

    margin : float
        Largest difference of the square roots.

    whole : bool
        Whether counts have no fractions, so that the ends have none.

    Returns
    -------
    ndarray of shape (n, 2)
        Lower and upper ends.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.multitask._conformal import count_interval
    >>> count_interval(np.array([0.2, 4.0]), 0.8, True)
    array([[0., 1.],
           [2., 7.]])
    """
    root = np.sqrt(np.minimum(mean, np.finfo(float).max))
    with np.errstate(over="ignore"):
        low, high = np.maximum(root - margin, 0.0) ** 2, (root + margin) ** 2
        if whole:
            low = np.ceil(np.maximum(low - _ROUNDING * (1 + low), 0.0))
            high = np.floor(high + _ROUNDING * (1 + high))
    return np.stack([low, high], -1)


def class_set(p, margin, n_classes):
    """Classes whose log loss is at most the margin, and the most probable one.

    Parameters
    ----------
    p : ndarray of shape (n, k)
        Probabilities of the classes.

    margin : float or ndarray of shape (n,)
        Largest log loss.

    n_classes : int or ndarray of shape (n,) of int
        Number of classes of the task; further columns are no classes.

    Returns
    -------
    ndarray of shape (n, k) of bool
        No class where p is NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.multitask._conformal import class_set
    >>> p = np.array([[0.7, 0.3, 0.0], [0.9, 0.1, 0.0]])
    >>> class_set(p, -np.log(0.2), 2)
    array([[ True,  True, False],
           [ True, False, False]])
    """
    low = np.minimum(np.exp(-np.asarray(margin)), p.max(-1, initial=0.0))
    of_task = np.arange(p.shape[-1]) < np.asarray(n_classes)[..., None]
    return (p >= low[..., None] * (1 - _ROUNDING)) & of_task
