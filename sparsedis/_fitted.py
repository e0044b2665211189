"""Attributes of a fit: restored after one that fails, and copied."""

from __future__ import annotations

from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from sparsedis._typing import Method


def drop_learned(estimator, *private):
    """Remove the attributes of an earlier fit, which end in "_".

    Parameters
    ----------
    estimator : BaseEstimator

    *private : str
        Names of further attributes.
    """
    for name in list(vars(estimator)):
        learned = name.endswith("_") and not name.startswith("_")
        if learned or name in private:
            del vars(estimator)[name]


def whole_or_not(fit: Method, *, begin=drop_learned, stands=None) -> Method:
    """Remove fitted attributes before `fit`, and restore them if it raises.

    Attributes of an earlier fit never remain together with those of a new one.

    Parameters
    ----------
    fit : callable
        Method of an estimator. Apply this decorator after those of scikit-learn, which
        set attributes themselves.

    begin : callable, default=drop_learned
        Called with the estimator before `fit`.

    stands : callable, default=None
        Called after an error with the estimator and a dict of its earlier attributes.
        Returns whether to keep the new attributes. None: they are never kept.

    Returns
    -------
    callable
        The method.

    Examples
    --------
    >>> from sparsedis._fitted import whole_or_not
    >>> class Mean:
    ...     @whole_or_not
    ...     def fit(self, X):
    ...         self.n_ = len(X)
    ...         self.mean_ = sum(X) / self.n_
    ...         return self
    >>> mean = Mean().fit([1, 3])
    >>> mean.fit([])
    Traceback (most recent call last):
    ZeroDivisionError: division by zero
    >>> mean.n_
    2
    """

    @wraps(fit)
    def fit_or_restore(self, *args, **kwargs):
        before = vars(self).copy()
        try:
            begin(self)
            return fit(self, *args, **kwargs)
        except BaseException:
            if stands is None or not stands(self, before):
                vars(self).clear()
                vars(self).update(before)
            raise

    return cast("Method", fit_or_restore)


def shallow_copy(estimator):
    """Copy an estimator, so that a new fit of either one does not change the other.

    They share their modules and arrays, on the same device. `copy.copy` would move the
    modules to the CPU, as pickling does.

    Parameters
    ----------
    estimator : estimator

    Returns
    -------
    estimator

    Examples
    --------
    >>> from sklearn.linear_model import Lasso
    >>> from sparsedis._fitted import shallow_copy
    >>> lasso = Lasso(alpha=0.2)
    >>> shallow_copy(lasso).set_params(alpha=0.1)
    Lasso(alpha=0.1)
    >>> lasso
    Lasso(alpha=0.2)
    """
    copied = object.__new__(type(estimator))
    vars(copied).update(vars(estimator))
    return copied


@contextmanager
def note_lost_models(name):
    """Add to an interruption that the fitted models are lost, and how to keep them.

    Parameters
    ----------
    name : str
        Name of the estimator that fits several models.

    Examples
    --------
    >>> from sparsedis._fitted import note_lost_models
    >>> try:
    ...     with note_lost_models("Search"):
    ...         raise OSError("disk full")
    ... except OSError as error:
    ...     error.__notes__[0]
    'Search keeps no models of a fit that ends so. With a folder as checkpoint of ...'
    """
    try:
        yield
    except (TypeError, ValueError):
        # Bad input, most likely of the first model.
        raise
    except BaseException as error:
        error.add_note(
            f"{name} keeps no models of a fit that ends so. With a folder as "
            "checkpoint of the estimators, the same fit continues from there."
        )
        raise
