"""Tables of numbers: what is not one is named, with its column and a cure."""

import numpy as np
import scipy.sparse as sp
from sklearn.utils.validation import _num_samples, validate_data

from sparsedis.inputs._values import is_missing

# Columns that an error names.
_NAMED = 5

# Dtypes of pandas and polars whose numbers, if there are any, stand for something else.
_CATEGORIES = ("category", "Categorical", "Enum")

_GUIDE = "See 'Gaps and categories in X' in the user guide."


def validate_numbers(estimator, X, y="no_validation", **params):
    """Do as scikit-learn's `validate_data`, with errors that name columns of X.

    Parameters
    ----------
    estimator : BaseEstimator

    X : array-like, DataFrame or sparse matrix

    y : array-like, default="no_validation"

    **params : dict
        Passed on.

    Returns
    -------
    ndarray, or tuple of two ndarray where there is y

    Raises
    ------
    ValueError
        When X holds NaN, text or categories, among others.

    Examples
    --------
    >>> from sklearn.base import BaseEstimator
    >>> from sparsedis.inputs._numbers import validate_numbers
    >>> validate_numbers(BaseEstimator(), [[1, float("nan")], [3, 4]])
    Traceback (most recent call last):
    ValueError: Input X contains NaN, in column(s) 1 (1 of 2). BaseEstimator needs ...
    """
    _refuse_categories(X)
    try:
        return validate_data(estimator, X, y, **params)
    except ValueError as error:
        message = _explained(str(error), X, type(estimator).__name__)
        if message is None:
            raise
        raise ValueError(message) from None


def _refuse_categories(X):
    names = getattr(X, "columns", None)
    if names is None:
        return
    dtypes = [str(dtype) for dtype in getattr(X, "dtypes", [])]
    found = [
        name
        for name, dtype in zip(names, dtypes, strict=False)
        if dtype.startswith(_CATEGORIES)
    ]
    if found:
        raise ValueError(
            f"X must hold numbers; column(s) {_listed(found)} hold categories. "
            f"{_encode(found)}, or call astype(float) if they are numbers. {_GUIDE}"
        )


def _explained(message, X, estimator):
    """What is wrong with a table, and what to do; None where it is something else."""
    if "Input X contains NaN" in message:
        columns = _gaps(X)
        if columns:
            counts = [f"{name} ({n} of {_num_samples(X)})" for name, n in columns]
            return (
                f"Input X contains NaN, in column(s) {_listed(counts)}. {estimator} "
                "needs a number everywhere in X. Fill the gaps in a pipeline, "
                "make_pipeline(SimpleImputer(add_indicator=True), StandardScaler(), "
                f"{estimator}()), or leave out their rows. {_GUIDE}"
            )
    elif "could not convert" in message:
        found = [(name, _text(values)) for name, values in _columns(X)]
        found = [(name, text) for name, text in found if text is not None]
        if found:
            names = [name for name, _ in found]
            return (
                f"X must hold numbers; column(s) {_listed(names)} hold text, such as "
                f"{found[0][1]!r}. {_encode(names)}. {_GUIDE}"
            )
    elif "COO matrix" in message:
        return "X must not have sparse columns only: pass X.sparse.to_dense()."
    return None


def _gaps(X):
    """Columns with missing entries, and their number."""
    if sp.issparse(X):
        X = X.tocoo()
        names, counts = np.unique(X.col[np.isnan(X.data)], return_counts=True)
        return list(zip(names.tolist(), counts.tolist(), strict=True))
    counts = [(name, np.count_nonzero(is_missing(v))) for name, v in _columns(X)]
    return [(name, n) for name, n in counts if n]


def _columns(X):
    """Names or numbers of the columns of a table, and their values."""
    if hasattr(X, "columns"):
        return [(name, np.asarray(X[name])) for name in X.columns]
    if not hasattr(X, "shape"):
        X = np.asarray(X, dtype=object)
    return list(enumerate(np.asarray(X).T)) if len(X.shape) == 2 else []


def _text(values):
    """The first value that is no number, or None."""
    if values.dtype.kind not in "OUS":
        return None
    for value in values[~is_missing(values)].tolist():
        try:
            float(value)
        except (TypeError, ValueError):
            return value
    return None


def _listed(names):
    more = ", ..." if len(names) > _NAMED else ""
    return ", ".join(str(name) for name in names[:_NAMED]) + more


def _encode(names):
    more = ", ..." if len(names) > _NAMED else ""
    return (
        "Encode them in a pipeline, make_column_transformer((OneHotEncoder("
        "handle_unknown='ignore', sparse_output=False), "
        f"[{', '.join(repr(name) for name in names[:_NAMED])}{more}]), "
        "remainder='passthrough')"
    )
