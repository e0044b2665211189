"""Labels of any array or frame, as values and a mask of missing ones."""

import re

import numpy as np
from sklearn.utils import assert_all_finite, check_array, column_or_1d
from sklearn.utils.multiclass import check_classification_targets

# Number of cells of a table to check at a time.
BLOCK = 2**22

# Above this value floats cannot represent all integers.
_WHOLE = 2.0**53


def read_values(y, *, real):
    """Read labels as an array.

    Parameters
    ----------
    y : array-like or DataFrame
        Masked entries are missing.

    real : bool
        Whether labels are real numbers, or classes of any dtype.

    Returns
    -------
    values : ndarray
        Values, of float64 if `real`.

    missing : ndarray of bool, or None
        Missing entries; None if these are NaN in the values.

    Raises
    ------
    ValueError
        When y contains text or dates instead of numbers, or infinity.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.inputs._values import read_values
    >>> read_values(np.ma.masked_equal([3, -9], -9), real=True)
    (array([ 3., nan]), None)
    """
    return (_read_numbers(y), None) if real else _read_classes(y)


def _read_numbers(y):
    _refuse_dates(y)
    try:
        if np.ma.isMaskedArray(y):
            y = y.astype(np.float64).filled(np.nan)
        elif _is_sparse_frame(y):
            y = y.to_numpy(dtype=np.float64)
        values = check_array(
            y,
            ensure_2d=False,
            allow_nd=True,
            dtype=np.float64,
            ensure_all_finite=False,
            # Who reads the values knows their shapes.
            ensure_min_samples=0,
            ensure_min_features=0,
            input_name="y",
        )
    except (TypeError, ValueError) as error:
        if not any(part in str(error) for part in ("could not convert", "float()")):
            raise
        # numpy names the type of its own text.
        found = re.sub(r"np\.str_\(('.*?')\)", r"\1", str(error))
        raise ValueError(
            f"y must hold real numbers: {found}. For classes, use a "
            "SparseMultiTaskClassifier; for classes beside numbers, a "
            "SparseMultiTaskMixed."
        ) from None
    step = max(1, BLOCK // max(1, values[:1].size))
    for first in range(0, len(values), step):
        block = values[first : first + step]
        assert_all_finite(block, allow_nan=True, input_name="y")
    return values


def _is_sparse_frame(y):
    """Whether scikit-learn would refuse a frame because of its missing values."""
    if not hasattr(y, "isna"):
        return False
    dtypes = y.dtypes if hasattr(y, "columns") else [y.dtype]
    return any(hasattr(dtype, "fill_value") for dtype in dtypes)


def _refuse_dates(y):
    """Refuse dates, which numpy would convert to numbers in an arbitrary unit."""
    dtypes = getattr(y, "dtypes", None)
    if dtypes is None:
        dtypes = [y.dtype if hasattr(y, "dtype") else np.asarray(y).dtype]
    elif not hasattr(y, "columns"):
        dtypes = [dtypes]
    for dtype in dtypes:
        name = str(dtype)
        dated = name.startswith(("Date", "Duration"))  # of polars
        if dated or getattr(dtype, "kind", "") in tuple("mM"):
            raise ValueError(
                f"y must hold real numbers, got {name}: dates and times have no "
                "obvious unit. Pass numbers, such as days: (y - first) / "
                "np.timedelta64(1, 'D')."
            )


def _read_classes(y):
    if hasattr(y, "isna"):
        missing = y.isna().to_numpy()
        values = y.to_numpy(dtype=object) if missing.any() else y.to_numpy()
    else:
        masked = np.ma.getmaskarray(y) if np.ma.isMaskedArray(y) else False
        values = np.asarray(y)
        if values.dtype.kind in "US" and not isinstance(y, np.ndarray):
            # numpy turns a None or NaN among text into text.
            values = np.asarray(y, dtype=object)
        missing = is_missing(values) | masked
    if values.dtype.kind == "f" and np.isinf(values[~missing]).any():
        raise ValueError("Input y contains infinity, which is not a class.")
    if values.dtype == np.float64 and (np.abs(values) >= _WHOLE).any():
        # Mixed with floats, large integers become floats, and several of them equal.
        if hasattr(y, "isna"):
            values = y.to_numpy(dtype=object)
        elif isinstance(y, list | tuple):
            values = np.asarray(y, dtype=object)
    return values, missing


def is_missing(values):
    """Find missing values: NaN, NaT, None or pandas' NA.

    Parameters
    ----------
    values : ndarray

    Returns
    -------
    ndarray of bool
        Array of the same shape.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.inputs._values import is_missing
    >>> is_missing(np.array(["2020-01-01", "NaT"], dtype="M8[D]"))
    array([False,  True])
    """
    if values.dtype.kind in "fc":
        return np.isnan(values)
    if values.dtype.kind in "mM":
        return np.isnat(values)
    if values.dtype != object:
        return np.zeros(values.shape, dtype=bool)
    flat = [v is None or v is not v or _is_nan(v) for v in values.ravel()]
    return np.array(flat, dtype=bool).reshape(values.shape)


def _is_nan(value):
    # pandas' NA is neither equal nor unequal to itself.
    try:
        return bool(value != value)
    except (TypeError, ValueError):
        return not np.ndim(value)


def check_whole_vectors(missing):
    """Refuse target vectors of which only a part is missing.

    Parameters
    ----------
    missing : ndarray of shape (..., n_outputs) of bool
    """
    if (missing.any(-1) != missing.all(-1)).any():
        raise ValueError(
            "y holds a target vector in which only some entries are NaN; either all or "
            "none may be missing."
        )


def unboxed(values):
    """Convert numbers of dtype object, as from a frame, to a numeric dtype.

    Parameters
    ----------
    values : ndarray of shape (n,)
        Values without missing ones.

    Returns
    -------
    ndarray of shape (n,)
        The same values; text, and values that no dtype can represent, do not change.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.inputs._values import unboxed
    >>> unboxed(np.array([3, 1], dtype=object))
    array([3, 1])
    """
    if values.dtype != object or not len(values):
        return values
    listed = values.tolist()
    kinds = {isinstance(v, bool | np.bool_) for v in listed}
    numbers = all(
        isinstance(v, bool | np.bool_ | int | float | np.number) for v in listed
    )
    if not numbers or len(kinds) > 1:
        return values
    array = np.array(listed)
    return array if array.dtype != object and array.tolist() == listed else values


def complete_labels(y, *, warn=False):
    """Read classes of which none may be missing, and convert numbers of dtype object.

    Parameters
    ----------
    y : array-like of shape (n,)

    warn : bool, default=False
        Whether to warn of a column.

    Returns
    -------
    ndarray of shape (n,)

    Raises
    ------
    ValueError
        When a label is missing, or infinite, or labels of a list have several types.

    Examples
    --------
    >>> from sparsedis.inputs._values import complete_labels
    >>> complete_labels(["a", None])
    Traceback (most recent call last):
    ValueError: y must have a label for every sample; 1 of 2 are missing.
    """
    listed = isinstance(y, list | tuple)
    # Among text, numpy turns a NaN and other numbers into text.
    y = column_or_1d(np.asarray(y, dtype=object) if listed else y, warn=warn)
    missing = np.count_nonzero(is_missing(y))
    if missing:
        raise ValueError(
            f"y must have a label for every sample; {missing} of {len(y)} are missing."
        )
    if listed:
        unique_labels(y)
        y = np.asarray(y.tolist())
    y = unboxed(y)
    assert_all_finite(y, input_name="y")
    return y


def required_labels(y):
    """Read classes for a `fit`, or leave it to scikit-learn to say that y is required.

    Parameters
    ----------
    y : array-like of shape (n,), or None

    Returns
    -------
    ndarray of shape (n,), or None
    """
    return None if y is None else complete_labels(y, warn=True)


def unique_labels(y):
    """Do as `np.unique` with an inverse, and refuse labels of several types.

    Parameters
    ----------
    y : ndarray of shape (n,)

    Returns
    -------
    classes : ndarray of shape (n_classes,)

    codes : ndarray of shape (n,) of int

    Raises
    ------
    ValueError
        When labels cannot be sorted.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.inputs._values import unique_labels
    >>> unique_labels(np.array(["a", 1], dtype=object))
    Traceback (most recent call last):
    ValueError: y must hold labels of one type per task, got ['int', 'str'] in one ...
    """
    try:
        return np.unique(y, return_inverse=True)
    except TypeError:
        raise ValueError(
            "y must hold labels of one type per task, got "
            f"{sorted({type(v).__name__ for v in y})} in one task."
        ) from None


def check_discrete(y):
    """Do as `check_classification_targets`, with errors that show a label.

    Parameters
    ----------
    y : ndarray
        Labels, none of them missing.

    Raises
    ------
    ValueError
        When labels are fractions, intervals or other objects.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.inputs._values import check_discrete
    >>> check_discrete(np.array([1.0, 0.3]))
    Traceback (most recent call last):
    ValueError: Unknown label type: continuous, such as 0.3. Classes must be ...
    """
    if y.dtype == object:
        unique_labels(y)
    try:
        check_classification_targets(y)
    except ValueError as error:
        if "Unknown label type" not in str(error):
            raise
        kind, labels = "continuous", np.ravel(y)
        if y.dtype == object:
            kind = type(labels[0]).__name__
        else:
            labels = labels[labels != np.trunc(labels)]
        raise ValueError(
            f"Unknown label type: {kind}, such as {labels[:1].tolist()[0]!s}. Classes "
            "must be integers, bools, text or dates. For numbers, use an estimator "
            "such as SparseMultiTaskRepresentation; to take each number for a class, "
            "pass y.astype(str)."
        ) from None
