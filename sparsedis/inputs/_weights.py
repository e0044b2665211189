"""Weights of samples, of labels and of tasks."""

import numpy as np
import scipy.sparse as sp
from sklearn.utils import check_array

from sparsedis._warn import warn
from sparsedis.inputs._ids import column_names
from sparsedis.inputs._known_tasks import task_numbers

# Range of the mean of weights that may be repetitions.
_FEWEST, _MOST = 1.0, 1e6

# Largest weights beyond which sums and squares could be lost.
_SMALLEST, _LARGEST = 1e-100, 1e100


def check_weights(sample_weight, n_samples, y=None):
    """Read the weights of the samples, or of the labels.

    Parameters
    ----------
    sample_weight : array-like, DataFrame, sparse matrix, number or None
        A weight for each sample or, in the shape of a table `y`, for each label.
        Entries that a sparse matrix does not store are 0. Columns of a frame are
        matched with those of `y` by name, if both have names; others are ignored.

    n_samples : int

    y : array-like, DataFrame or sparse matrix, default=None
        Original labels. None: only weights of samples are accepted.

    Returns
    -------
    ndarray of shape (n_samples,) or (n_samples, n_tasks), csr_array or None
        Weights, in their unit unless it is extreme; a sparse array only if `y` is also
        sparse.

    Raises
    ------
    ValueError
        When the shape is wrong, a weight is negative or not finite, or all are 0.

    Examples
    --------
    >>> from sparsedis.inputs._weights import check_weights
    >>> check_weights([1, 0, 2], 3)
    array([1., 0., 2.])
    >>> check_weights([[1, 2], [0, 1]], 2, y=[[0.5, 3.0], [1.0, 1.0]])
    array([[1., 2.],
           [0., 1.]])
    """
    if sample_weight is None:
        return None
    if np.ma.is_masked(sample_weight):
        raise ValueError(
            "sample_weight holds masked entries; it must hold the weight of every "
            "sample or label, 0 to leave one out."
        )
    if np.isscalar(sample_weight) or getattr(sample_weight, "shape", None) == ():
        sample_weight = np.full(n_samples, sample_weight)
    elif hasattr(sample_weight, "columns") and hasattr(y, "columns"):
        sample_weight = _columns(sample_weight, y)
    weight = check_array(
        sample_weight,
        accept_sparse="csr",
        ensure_2d=False,
        allow_nd=True,
        dtype=np.float64,
        ensure_all_finite=False,
        input_name="sample_weight",
    )
    _check_shape(weight, n_samples, y)
    sparse = sp.issparse(weight)
    _check_values(weight.data if sparse else weight)
    weight = without_extremes(weight)
    if not sparse:
        return weight
    if sp.issparse(y) and weight.ndim == 2:
        return sp.csr_array(weight)
    return weight.toarray()


def _columns(weight, y):
    """Columns of a frame of weights, in the order of those of y."""
    there = set(weight.columns)
    lacking = [name for name in y.columns if name not in there]
    if lacking:
        raise ValueError(
            f"sample_weight must have a column for each column of y; {lacking[:5]} are "
            "not among them. Pass sample_weight.to_numpy() for columns in the order of "
            "those of y."
        )
    return weight[list(y.columns)]


def _check_shape(weight, n_samples, y):
    shapes = [(n_samples,)]
    if y is not None:
        of_y = y.shape if hasattr(y, "shape") else np.asarray(y, dtype=object).shape
        shapes += [of_y[:2]] if len(of_y) > 1 else []
    if weight.shape in shapes:
        return
    message = (
        f"sample_weight must have shape {' or '.join(map(str, shapes))}, got "
        f"{weight.shape}."
    )
    if len(shapes) == 1 and weight.ndim > 1:
        message = f"Sample weights must be 1D array or scalar: {message}"
    raise ValueError(message)


def _check_values(weight):
    if np.isnan(weight).any():
        raise ValueError(
            "sample_weight contains NaN; weights must be known. 0 leaves a label out, "
            "and does where the label is missing."
        )
    if np.isinf(weight).any():
        raise ValueError("sample_weight contains infinity; weights must be finite.")
    if (weight < 0).any():
        raise ValueError(
            "Negative values in data passed to `sample_weight`: weights must not be "
            f"negative, got {weight.min():g}."
        )
    if not weight.any():
        raise ValueError("sample_weight must leave some sample: all weights are zero.")


def label_weights(weight, rows, tasks):
    """Weights of labels at given positions.

    Parameters
    ----------
    weight : ndarray of shape (n_samples,) or (n_samples, n_tasks), or csr_array
        As :func:`check_weights` returns it.

    rows, tasks : ndarray of shape (n_labels,) of int

    Returns
    -------
    ndarray of shape (n_labels,)

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.inputs._weights import label_weights
    >>> weight, at = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([0, 1])
    >>> label_weights(weight, at, at), label_weights(weight[0], at, at)
    (array([1., 4.]), array([1., 2.]))
    """
    return weight[rows] if weight.ndim == 1 else np.asarray(weight[rows, tasks])


def without_extremes(weight):
    """Divide weights by the largest one if their sums or squares could be lost.

    Parameters
    ----------
    weight : ndarray or csr_array

    Returns
    -------
    ndarray or csr_array

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.inputs._weights import without_extremes
    >>> without_extremes(np.array([2e300, 1e300]))
    array([1. , 0.5])
    """
    largest = weight.max()
    if largest == 0 or _SMALLEST <= largest <= _LARGEST:
        return weight
    return weight / largest


def as_counts(weight, mean):
    """Weights as numbers of repetitions of labels, which are evidence.

    Weights that sum to 1, or stand for the members of a population, are not: those with
    a mean below 1 or above 1e6 are divided by it.

    Parameters
    ----------
    weight : ndarray or csr_array

    mean : float
        Mean weight of a label.

    Returns
    -------
    ndarray or csr_array
        Weights with a mean of at least 1.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.inputs._weights import as_counts
    >>> as_counts(np.array([2.0, 1.0]), 1.5), as_counts(np.array([0.25, 0.75]), 0.5)
    (array([2., 1.]), array([0.5, 1.5]))
    """
    if _FEWEST <= mean <= _MOST:
        return weight
    # Rounded, since the mean depends on the order of the labels.
    return weight / float(f"{mean:.12g}")


def read_task_weights(task_weight, names):
    """Read the weights of tasks.

    Parameters
    ----------
    task_weight : array-like of shape (n_tasks,), dict, Series or None
        Weights; by name in a dict or Series, where tasks without an entry have 1.

    names : ndarray of shape (n_tasks,)

    Returns
    -------
    ndarray of shape (n_tasks,) or None

    Raises
    ------
    ValueError
        When the shape is wrong, a weight is negative or not finite, all are 0, or no
        name is that of a task.

    Warns
    -----
    UserWarning
        For unknown names, if others are known.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.inputs._weights import read_task_weights
    >>> read_task_weights({"b": 3}, np.array(["a", "b"]))
    array([1., 3.])
    """
    if task_weight is None:
        return None
    if hasattr(task_weight, "to_dict"):
        task_weight = task_weight.to_dict()
    if isinstance(task_weight, dict):
        task_weight = _by_name(task_weight, names)
    weight = np.asarray(task_weight, dtype=float)
    if weight.shape != names.shape:
        raise ValueError(
            f"task_weight must hold a number for each of the {len(names)} tasks, in "
            f"the order of tasks_, or be a dict by their names; got shape "
            f"{weight.shape}."
        )
    bad = ~(np.isfinite(weight) & (weight >= 0))
    if bad.any():
        raise ValueError(
            f"task_weight must be finite and not negative, got {weight[bad][0]:g} for "
            f"task {names[bad][0]!s}."
        )
    if not weight.any():
        raise ValueError("task_weight must be positive for some task, got only zeros.")
    return weight


def _by_name(task_weight, names):
    given = column_names(list(task_weight))
    number = task_numbers(given, names)
    unknown = given[number < 0].tolist()
    if unknown:
        some = f"tasks such as {unknown[:5]}"
        if (number < 0).all():
            raise ValueError(
                f"task_weight names {some}, none of which is in y. Those begin with "
                f"{names[:5].tolist()}."
            )
        warn(
            f"task_weight names {some}, which are not in y; they are ignored.",
            UserWarning,
        )
    weight = np.ones(len(names))
    values = np.array(list(task_weight.values()), dtype=float)
    weight[number[number >= 0]] = values[number >= 0]
    return weight
