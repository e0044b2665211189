"""Fits of an estimator with given parameters and seeds."""

import time
import traceback
from typing import Any, NamedTuple

from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning
from sklearn.utils import check_array

from sparsedis._warn import warn


class SeededFit(NamedTuple):
    """A fitted model and its codes, or the traceback of its error."""

    model: Any
    codes: Any
    error: str | None
    seconds: float

    @property
    def succeeded(self):
        """Whether there was no error."""
        return self.error is None


def fit_with_seed(estimator, params, seed, X, y, fit_params, catch):
    """Fit a copy of an estimator, and transform its data.

    Parameters
    ----------
    estimator, params, seed : object
        As for `with_seed`.

    X, y : array-like
        For `fit`.

    fit_params : dict
        Passed to `fit`.

    catch : bool
        Whether to return the text of an error instead of raising it.

    Returns
    -------
    SeededFit
    """
    start, model, codes, error = time.perf_counter(), None, None, None
    try:
        model = with_seed(estimator, params, seed)
        model.fit(X, y, **fit_params)
        codes = model.transform(X)
        check_array(codes)
    except Exception:
        if not catch:
            raise
        # As text: not all errors can be sent between processes.
        error = traceback.format_exc()
    return SeededFit(model, codes, error, time.perf_counter() - start)


def with_seed(estimator, params, seed):
    """Copy an estimator, with a setting and a seed.

    Parameters
    ----------
    estimator : estimator
        With a parameter `random_state`, or several in its parts.

    params : dict
        Its other parameters to set.

    seed : int

    Returns
    -------
    estimator

    Raises
    ------
    ValueError
        When there is no `random_state`, or `params` sets one.
    """
    model = clone(estimator).set_params(**params)
    names = [name for name in model.get_params() if _is_seed(name)]
    if not names:
        raise ValueError(
            "estimator must have a parameter random_state, by which the models of a "
            f"setting differ; {type(estimator).__name__} has none."
        )
    given = [name for name in params if _is_seed(name)]
    if given:
        raise ValueError(
            f"param_grid must not set {given[0]}, got {params[given[0]]!r}: the models "
            "of a setting differ by it. n_seeds is their number, and the random_state "
            "of the search draws them."
        )
    return model.set_params(**dict.fromkeys(names, int(seed)))


def _is_seed(name):
    return name == "random_state" or name.endswith("__random_state")


def check_failures(fitted, comparable):
    """Warn of models that failed.

    Parameters
    ----------
    fitted : list of SeededFit

    comparable : bool
        Whether some setting has two models that did not fail.

    Raises
    ------
    ValueError
        If not, and some failed.
    """
    errors = [one.error for one in fitted if not one.succeeded]
    if not errors:
        return
    message = (
        f"{len(errors)} of {len(fitted)} models failed. Pass error_score='raise' to "
        f"end the search with the first error, which was:\n{errors[0]}"
    )
    if not comparable:
        raise ValueError(f"No setting has two models to compare: {message}")
    warn(message, FitFailedWarning)
