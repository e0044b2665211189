"""Discrete values: factors as labels, codes in bins, and their mutual information."""

import numbers

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils import check_scalar

from sparsedis._warn import warn
from sparsedis.metrics._validation import known_groups

# Cochran's rule for contingency tables: fewer per value say little about a value.
MIN_SAMPLES_PER_VALUE = 5

# Differences of numbers up to this do not overflow.
MAX_SAFE = np.finfo(np.float64).max / 4


def check_bins(n_bins, name):
    """Raise unless `n_bins` is a number of bins.

    Parameters
    ----------
    n_bins : int
        Number of bins.

    name : str
        Name of the parameter.
    """
    check_scalar(n_bins, name, numbers.Integral, min_val=2)


def bin_values(x, n_bins):
    """Cut a column into equal-width bins, as :func:`numpy.histogram` does.

    Parameters
    ----------
    x : ndarray of shape (n_samples,)
        Finite values.

    n_bins : int
        Number of bins between the least and the largest value, which falls in the
        last bin.

    Returns
    -------
    ndarray of shape (n_samples,) of int
        Bin of each value.
    """
    if max(abs(x.max()), abs(x.min())) > MAX_SAFE:
        x = x * 0.25  # exact, and the range no longer overflows
    edges = np.linspace(x.min(), x.max(), n_bins + 1)
    return np.searchsorted(edges[1:-1], x, side="right")


def is_discrete(factors):
    """Tell which factors are discrete.

    Their values are integers, or each occurs at least five times on average.

    Parameters
    ----------
    factors : ndarray of shape (n_samples, n_factors)
        Finite values, or NaN, which does not count.

    Returns
    -------
    ndarray of shape (n_factors,) of bool
        Whether each factor is discrete.
    """
    known = [z[~np.isnan(z)] for z in factors.T]
    return np.array([_is_discrete(np.unique(z), len(z)) for z in known])


def _is_discrete(values, n_samples):
    # All larger floats are integers.
    whole = ((values == np.rint(values)) & (np.abs(values) <= 2**53)).all()
    return bool(whole or len(values) * MIN_SAMPLES_PER_VALUE <= n_samples)


def factor_labels(factors, n_bins=None):
    """Number the values of each factor, after binning those that are continuous.

    A factor is discrete when its values are integers, or when each occurs at least
    five times on average.

    Parameters
    ----------
    factors : ndarray of shape (n_samples, n_factors)
        Finite values, or NaN where they are not known.

    n_bins : int, default=None
        Number of equal-width bins for continuous factors. None: they raise.

    Returns
    -------
    list of ndarray of shape (n_samples,) of int
        For each factor, labels from 0 to the number of its values less one; -1 where
        it is not known.
    """
    if n_bins is not None:
        check_bins(n_bins, "factor_bins")
    columns = []
    for i, factor in enumerate(factors.T):
        known = ~np.isnan(factor)
        column = factor[known]
        values = np.unique(column)
        if _is_discrete(values, len(column)):
            # Faster than the inverse of unique, which sorts indices.
            labels = np.searchsorted(values, column)
        elif n_bins is not None:
            labels = bin_values(column, n_bins)
            occupied = np.bincount(labels, minlength=n_bins) > 0
            labels = (np.cumsum(occupied) - 1)[labels]
        else:
            raise ValueError(
                f"This metric needs discrete factors; column {i} is continuous: "
                f"{len(values)} distinct values in {len(column)} samples. Number its "
                "values with integers, or pass factor_bins=20, say, to cut it into "
                "bins."
            )
        columns.append(np.full(len(factor), -1))
        columns[-1][known] = labels
    return columns


def warn_of_rare_values(labels):
    """Warn about factors with fewer than two samples per value.

    The warning points at the caller of the metric that calls this function.

    Parameters
    ----------
    labels : list of ndarray of shape (n_samples,) of int
        What `factor_labels` returns.
    """
    rare = [i for i, y in enumerate(labels) if 2 * (y.max() + 1) > (y >= 0).sum()]
    if rare:
        warn(
            f"Column(s) {rare} of factors have fewer than two samples per value, so "
            "that random codes score high. Pass numbers such as ages in bins: "
            "numpy.digitize makes them.",
            UndefinedMetricWarning,
        )


def mutual_information(factors, codes, *, n_bins, factor_bins):
    """Mutual information of binned codes and discrete factors, in nats.

    Parameters
    ----------
    factors : ndarray of shape (n_samples, n_factors)
        Factors, each discrete unless `factor_bins` is given; NaN where they are not
        known. All about a factor comes from the samples on which it is known.

    codes : ndarray of shape (n_samples, n_codes)
        Finite values.

    n_bins : int
        Number of equal-width bins for each code.

    factor_bins : int or None
        Number of equal-width bins for continuous factors.

    Returns
    -------
    information : ndarray of shape (n_codes, n_factors)
        Plug-in estimates; exactly 0 for constant columns.

    entropy : ndarray of shape (n_factors,)
        Entropies of the factors; 0 for constant ones.

    code_entropy : ndarray of shape (n_codes, n_factors)
        Entropies of the codes, on the samples of each factor; 0 for constant ones.
    """
    check_bins(n_bins, "n_bins")
    labels = factor_labels(factors, factor_bins)
    shape = codes.shape[1], len(labels)
    information, code_entropy = np.zeros(shape), np.zeros(shape)
    entropy = np.zeros(len(labels))
    for columns, rows in known_groups(factors):
        group = [(i, labels[i][rows]) for i in np.arange(len(labels))[columns]]
        for i, column in group:
            entropy[i] = entropy_of_counts(np.bincount(column))
        for j, code in enumerate(codes[rows].T):
            bins = bin_values(code, n_bins)
            code_entropy[j, columns] = entropy_of_counts(np.bincount(bins))
            for i, column in group:
                n_values = int(column.max()) + 1
                cells = np.bincount(column * n_bins + bins, minlength=n_values * n_bins)
                information[j, i] = np.clip(
                    information_of_table(cells.reshape(n_values, n_bins)),
                    0.0,
                    min(entropy[i], code_entropy[j, i]),
                )
    return information, entropy, code_entropy


def information_of_table(table):
    """Mutual information in nats of the two variables of a contingency table.

    Parameters
    ----------
    table : ndarray of shape (n_rows, n_columns) of int
        Counts, at least one of them positive.

    Returns
    -------
    float
        The plug-in estimate; exactly 0 when the counts are independent.
    """
    rows, columns = np.nonzero(table)
    counts, n_samples = table[rows, columns], table.sum()
    # In integers as far as possible: independence then gives log(1) = 0 exactly.
    expected = table.sum(axis=1)[rows] * table.sum(axis=0)[columns]
    return float((counts * np.log(counts * n_samples / expected)).sum() / n_samples)


def entropy_of_counts(counts):
    """Entropy in nats of the distribution that counts describe.

    Parameters
    ----------
    counts : ndarray of int
        Occurrences, at least one of them positive.

    Returns
    -------
    float
        The entropy; exactly 0 for a single value.
    """
    counts = counts[counts > 0]
    if len(counts) == 1:
        return 0.0
    p = counts / counts.sum()
    return float(-(p * np.log(p)).sum())
