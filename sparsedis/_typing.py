"""Types in the signatures of public functions."""

import os
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from scipy.sparse import sparray, spmatrix

PathLike = str | os.PathLike[str]
RandomState = int | np.random.RandomState | None
Seed = RandomState | np.random.Generator
SparseMatrix = sparray | spmatrix

Method = TypeVar("Method", bound=Callable[..., Any])


def keeps_types(decorator) -> Callable[[Method], Method]:
    """Tell type checkers that a decorator of scikit-learn keeps the signature.

    scikit-learn has no types. What its decorators return would have none either.

    Parameters
    ----------
    decorator : callable
        The decorator.

    Returns
    -------
    callable
        The same.
    """
    return decorator
