"""Old names, which work with a warning until version `REMOVED_IN`."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING

from sklearn.utils._param_validation import Hidden, StrOptions

from sparsedis._warn import warn

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from sparsedis._typing import Method

REMOVED_IN = "0.2"

# Default of old parameters, by scikit-learn's convention.
_UNSET = "deprecated"


def warn_renamed(old, new):
    """Warn about an old name.

    Parameters
    ----------
    old, new : str
        The names.
    """
    warn(
        f"{old} is now called {new}; the old name will be removed in version "
        f"{REMOVED_IN}.",
        FutureWarning,
    )


def renamed_keywords(**names) -> Callable[[Method], Method]:
    """Let a function also accept keywords by their old names.

    Parameters
    ----------
    **names : str
        The new name of each old one.

    Returns
    -------
    callable
        A decorator.
    """

    def decorate(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            for old in names.keys() & kwargs.keys():
                new = names[old]
                if new in kwargs:
                    raise TypeError(
                        f"{function.__name__}() got both {new}={kwargs[new]!r} and its "
                        f"old name, {old}={kwargs[old]!r}; give only {new}."
                    )
                warn_renamed(old, new)
                kwargs[new] = kwargs.pop(old)
            return function(*args, **kwargs)

        return wrapper

    return decorate


def renamed_function(old, function):
    """Return a function under its old name.

    Parameters
    ----------
    old : str
        Old name, which the module must assign the result to.

    function : callable
        The function under its new name.

    Returns
    -------
    callable
        The function with a warning.
    """

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        warn_renamed(old, function.__name__)
        return function(*args, **kwargs)

    wrapper.__name__ = wrapper.__qualname__ = old
    wrapper.__doc__ = f"Old name of `{function.__name__}`, until {REMOVED_IN}."
    return wrapper


def renamed_attribute(old, new) -> property:
    """Return a property that gives a fitted attribute under its old name.

    Parameters
    ----------
    old, new : str
        The names.

    Returns
    -------
    property
        Property to define in the class.
    """

    def attribute(self) -> Any:
        value = getattr(self, new)
        warn_renamed(old, new)
        return value

    return property(attribute, doc=f"Old name of `{new}`, until {REMOVED_IN}.")


def renamed_parameters(**names):
    """Let an estimator also accept parameters by their old names.

    Its ``__init__`` has the old names at the end, with the default "deprecated". Its
    methods read the new ones with `parameter`, and `fit` calls `check_renamed` first.

    Parameters
    ----------
    **names : str
        The new name of each old one.

    Returns
    -------
    callable
        A decorator of the class.
    """

    def decorate(cls):
        cls._renamed = names
        unset = Hidden(StrOptions({_UNSET}))
        known = cls._parameter_constraints
        old = {old: [*known[new], unset] for old, new in names.items()}
        cls._parameter_constraints = known | old
        return cls

    return decorate


def parameter(estimator, name):
    """Return a parameter of an estimator, set by its new or old name.

    Parameters
    ----------
    estimator : estimator
        Estimator of any class.

    name : str
        The new name.

    Returns
    -------
    object
        Its value.
    """
    for old, new in getattr(estimator, "_renamed", {}).items():
        if new == name and _is_set(estimator, old):
            return getattr(estimator, old)
    return getattr(estimator, name)


def check_renamed(estimator):
    """Warn about parameters that are set by their old names.

    Parameters
    ----------
    estimator : estimator
        Estimator whose class has `renamed_parameters`.

    Raises
    ------
    ValueError
        When the new name is set as well.
    """
    defaults = inspect.signature(type(estimator)).parameters
    for old, new in estimator._renamed.items():
        if not _is_set(estimator, old):
            continue
        theirs, value = getattr(estimator, old), getattr(estimator, new)
        if value != defaults[new].default:
            raise ValueError(
                f"Both {new}={value!r} and its old name, {old}={theirs!r}, are set; "
                f"set only {new}."
            )
        warn_renamed(old, new)


def _is_set(estimator, old):
    value = getattr(estimator, old)
    return not isinstance(value, str) or value != _UNSET
