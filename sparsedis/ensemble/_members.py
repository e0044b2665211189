"""Fits of several estimators, and one summary of their warnings."""

import os
import warnings
from collections import Counter

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.parallel import Parallel, delayed

from sparsedis._warn import warn

# Number of different texts to show for each category of warnings.
_SHOWN = 3


def fit_members(members, X, y, params, n_jobs):
    """Fit estimators in parallel.

    Parameters
    ----------
    members : list of estimators

    X : array-like of shape (n_samples, ...)

    y : array-like

    params : dict
        Passed to `fit`.

    n_jobs : int or None

    Returns
    -------
    members : list of estimators
        Fitted members.

    codes : list of ndarray of shape (n_samples, n_components)
        Their features of X.
    """
    # Recording warnings changes the state of the process: do it here, not in threads.
    with warnings.catch_warnings(record=True) as caught:
        # Record equal warnings every time, unless another filter applies.
        warnings.simplefilter("always", append=True)
        fitted = Parallel(n_jobs=n_jobs)(
            delayed(_fit)(member, X, y, params, os.getpid()) for member in members
        )
    members, codes, elsewhere = zip(*fitted, strict=True)
    _warn_once(sum(elsewhere, _told(caught)), len(members))
    return list(members), list(codes)


def heads_of(member):
    """Return the estimator that has the heads, in a pipeline or search.

    Parameters
    ----------
    member : estimator

    Returns
    -------
    estimator
    """
    if isinstance(member, Pipeline):
        return heads_of(member[-1])
    best = getattr(member, "best_estimator_", None)
    return member if best is None else heads_of(best)


def _fit(member, X, y, params, parent):
    if os.getpid() == parent:
        return *_fitted(member, X, y, params), []
    with warnings.catch_warnings(record=True) as caught:
        found = _fitted(member, X, y, params)
    return *found, _told(caught)


def _fitted(member, X, y, params):
    member.fit(X, y, **params)
    return member, np.asarray(member.transform(X), dtype=float)


def _told(caught):
    return [(warning.category, str(warning.message)) for warning in caught]


def _warn_once(told, n_members):
    """Give one warning of each category, with the most frequent texts."""
    for category in dict.fromkeys(category for category, _ in told):
        texts = [text for own, text in told if own is category]
        counts = Counter(texts).most_common()
        shown = " ".join(
            text if count == 1 else f"({count} times) {text}"
            for text, count in counts[:_SHOWN]
        )
        more = f" And {len(counts) - _SHOWN} more." if counts[_SHOWN:] else ""
        members = "one member" if n_members == 1 else f"{n_members} members"
        warn(f"Warnings of {members}: {shown}{more}", category)
