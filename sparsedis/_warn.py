"""Warnings that point at the line of the user."""

import sys
import warnings

# Packages that stand between the user and this one.
_BETWEEN = ("sparsedis", "sklearn", "skorch", "torch", "joblib", "contextlib", "numpy")


def warn(message, category=UserWarning):
    """Warn at the innermost line that is in none of these packages.

    Parameters
    ----------
    message : str

    category : type of Warning, default=UserWarning

    Examples
    --------
    >>> import warnings
    >>> from sparsedis._warn import warn
    >>> with warnings.catch_warnings(record=True) as record:
    ...     warnings.simplefilter("always")
    ...     warn("The labels are noisy.")
    >>> record[0].message
    UserWarning('The labels are noisy.')
    """
    frame, level = sys._getframe(1), 2
    while frame is not None and _is_between(frame):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def _is_between(frame):
    name = frame.f_globals.get("__name__") or ""
    return name.partition(".")[0] in _BETWEEN
