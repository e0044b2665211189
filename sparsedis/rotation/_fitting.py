"""Factors and sparse heads from features and labels, and the warnings."""

from functools import partial

import numpy as np

from sparsedis.identifiability._report import STABLE
from sparsedis.rotation._class_selection import select_classes
from sparsedis.rotation._logistic import logistic_heads
from sparsedis.rotation._reduce import MAX_DIRECTIONS, no_factor, reduce_features
from sparsedis.rotation._selection import select_heads
from sparsedis.rotation._stages import Factors, Whitening, find_factors, unrotated

# Minimal number of rows per feature to use heads of all features.
_ROWS_PER_FEATURE = 2

# Smallest singular value of heads, relative to the largest, of a direction.
_RANK_TOL = 1e-6


def factors_of(Z, tasks, weight, n_components, rng):
    """Find the factors in features.

    Parameters
    ----------
    Z : ndarray of shape (n, p)

    tasks : Tasks

    weight : ndarray of shape (n,) or None

    n_components : int or "auto"

    rng : Generator

    Returns
    -------
    factors : Factors

    messages : list of str
        Warnings to give.
    """
    n_rows = len(Z) if weight is None else weight.sum()
    if min(Z.shape) > MAX_DIRECTIONS or n_rows < _ROWS_PER_FEATURE * Z.shape[1]:
        white = reduce_features(Z, tasks, weight, n_components=n_components, rng=rng)
        rank, count, lost = white.matrix.shape[1], white.count, ()
    else:
        white, count = Whitening(Z, weight, any_units=True), None
        rank, lost = white.rank, np.flatnonzero(white.lost)
    if rank == 0:
        why = "X has only constant features"
        if Whitening(Z, weight, any_units=True).rank:
            why = "No factors were found, since X predicts no target"
        message = f"{why}: the only factor is 0 everywhere."
        return _no_factor(white.mean), [message, *_missing(tasks)]
    moments = tasks.moments((Z - white.mean) @ white.matrix, weight)
    messages = _missing(tasks)
    if len(lost):
        messages.append(
            f"{len(lost)} features vary by less than 1e-13 of others, and are left out "
            f"as their rounding errors ({lost[:5].tolist()}"
            f"{', ...' if len(lost) > 5 else ''}). If they are none, divide the "
            "features by their standard deviations."
        )
    if n_components != "auto":
        most = _n_directions(moments)
        if n_components > most:
            messages.append(
                f"n_components={n_components} is more than the {most} directions that "
                f"the heads of the tasks span: n_components_ is {most}. Give more "
                "tasks that are not copies of others."
            )
            n_components = most
    found = find_factors(
        moments, white, n_components=n_components, rng=rng, count=count
    )
    return found, messages + _doubts(found, moments)


def _n_directions(moments):
    """Directions that the heads span, at least 1."""
    heads, _ = moments.take(np.flatnonzero(moments.n_labels >= 2)).solve()
    rows = heads.reshape(-1, moments.m)
    norm = np.linalg.norm(rows, axis=1)
    rows = rows[norm > 0] / norm[norm > 0, None]
    if not len(rows):
        return 1
    size = np.linalg.svd(rows, compute_uv=False)
    return int((size > _RANK_TOL * size[0]).sum())


def _no_factor(mean):
    found = unrotated(np.zeros((0, 1, 1)))
    unstable = partial(np.zeros, 1)
    return Factors(np.zeros((1, len(mean))), mean, no_factor(), found, unstable)


def _missing(tasks):
    """Messages about tasks without a head."""
    without = np.isnan(tasks.Y).all((0, 2))
    messages = []
    if without.any():
        messages.append(
            f"{_named(tasks.names[without], len(without))} no label; their "
            "heads and predictions are missing."
        )
    if tasks.classes is not None and (single := tasks.n_classes == 1).any():
        messages.append(
            f"{_named(tasks.names[single], len(single))} a single class, and no head: "
            "they always predict it."
        )
    return messages


def _named(names, n_tasks):
    shown = ", ".join(str(name) for name in names[:5]) + ", ..." * (len(names) > 5)
    return f"{len(names)} of {n_tasks} tasks ({shown}) have"


def _doubts(found, moments):
    """Messages about factors that may not be reliable."""
    n_outputs = int(moments.n_outputs[moments.n_labels >= 2].sum())
    k = len(found.components)
    if found.count.n_factors == 0:
        return [
            "No factors were found: the heads of the tasks are not larger than their "
            f"errors. n_components_ is {k}, but the result is not reliable. Give more "
            "labels or more tasks, or features that predict them."
        ]
    if n_outputs == 1:
        return [
            "y holds one task, so its prediction is the only possible factor. Give "
            "many tasks, one column each."
        ]
    unstable = np.flatnonzero(found.stability < STABLE)
    if not len(unstable):
        return []
    shown = ", ".join(map(str, unstable[:8])) + ", ..." * (len(unstable) > 8)
    return [
        f"{len(unstable)} of {k} components may not be factors ({shown}): halves of "
        f"the {len(moments)} tasks give different ones, see stability_. Use more tasks "
        "or more labels."
    ]


def final_heads(F, tasks, weight, *, rule, spike, random_state):
    """Sparse heads on the factors, in the units of the data.

    Parameters
    ----------
    F : ndarray of shape (n, k)
        Factors, of unit variance.

    tasks : Tasks

    weight : ndarray of shape (n,) or None

    rule : {"bic", "cv", "1se"}
        See :func:`~sparsedis.rotation.select_heads`.

    spike : ndarray of shape (k,)

    random_state : RandomState

    Returns
    -------
    coef : ndarray of shape (n_tasks, k) or (n_tasks, n_outputs, k)

    intercept : ndarray of shape (n_tasks,) or (n_tasks, n_outputs)

    support : ndarray of shape (n_tasks, k) of bool
    """
    if tasks.classes is not None:
        return _logistic_heads(F, tasks, weight, spike)
    selected = select_heads(
        F,
        tasks.Y,
        rule=rule,
        sample_weight=weight,
        spike=spike,
        random_state=random_state,
    )
    coef, intercept = selected.coef, selected.intercept
    if tasks.scalar:
        coef, intercept = coef[:, 0], intercept[:, 0]
    return coef, intercept, selected.support


def _logistic_heads(F, tasks, weight, spike):
    n_classes, k = tasks.n_classes, F.shape[1]
    Y, share = tasks.columns()
    if weight is not None:
        share = share * weight[:, None]
    owner, label = tasks.owners()
    useful = np.flatnonzero(n_classes > 1)
    labels = tasks.labels(F, weight).take(useful)
    support = np.zeros((len(n_classes), k), dtype=bool)
    support[useful] = select_classes(labels, k, spike=spike)
    W, b, _ = logistic_heads(F, Y, share, support[owner])
    if n_classes.max() == 2:
        coef = np.full((len(n_classes), k), np.nan)
        intercept = np.full(len(n_classes), np.nan)
        coef[owner], intercept[owner] = W, b
        return coef, intercept, support
    coef = np.full((len(n_classes), n_classes.max(), k), np.nan)
    intercept = np.full(coef.shape[:2], np.nan)
    coef[useful], intercept[useful] = 0.0, -np.inf
    coef[owner, label], intercept[owner, label] = W, b
    # The first of two classes has the head of the second, with opposite sign.
    two = np.flatnonzero(n_classes == 2)
    coef[two, 0], intercept[two, 0] = -coef[two, 1], -intercept[two, 1]
    return coef, intercept, support
