"""From features and labels to factors and sparse heads, and what to warn of."""

import numpy as np

from sparsedis._scores import r2_of_tasks
from sparsedis.inputs._forms import check_weights, read_targets
from sparsedis.inputs._known_tasks import known_tasks
from sparsedis.rotation._class_selection import select_classes
from sparsedis.rotation._logistic import logistic_heads
from sparsedis.rotation._reduce import MAX_DIRECTIONS, no_factor, reduce_features
from sparsedis.rotation._selection import select_heads
from sparsedis.rotation._stages import Factors, Whitening, find_factors, unrotated

# Factors whose agreement over halves of the tasks is less are to be doubted.
_TRUSTED = 0.95

# Rows for each feature from which heads of all features are of use.
_ROWS_PER_FEATURE = 2

# Share of the largest singular value of heads that counts as a direction.
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
        What to warn of.
    """
    n_rows = len(Z) if weight is None else weight.sum()
    if min(Z.shape) > MAX_DIRECTIONS or n_rows < _ROWS_PER_FEATURE * Z.shape[1]:
        white = reduce_features(Z, tasks, weight, n_components=n_components, rng=rng)
        rank, count = white.matrix.shape[1], white.count
    else:
        white, count = Whitening(Z, weight), None
        rank = white.rank
    if rank == 0:
        why = "X holds constant features alone"
        if Whitening(Z, weight).rank:
            why = "The heads of the tasks show no factor, since X predicts no target"
        message = f"{why}: the only factor is 0 everywhere."
        return _no_factor(white.mean), [message, *_missing(tasks)]
    moments = tasks.moments((Z - white.mean) @ white.matrix, weight)
    messages = _missing(tasks)
    if n_components != "auto":
        most = _n_directions(moments)
        if n_components > most:
            messages.append(
                f"n_components={n_components} is more than the directions that the "
                f"heads of the tasks show: n_components_ is {most}. More tasks, none a "
                "copy of others, would show more."
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
    return Factors(np.zeros((1, len(mean))), mean, no_factor(), found, np.zeros(1))


def _missing(tasks):
    """Say which tasks have no head."""
    without = np.isnan(tasks.Y).all((0, 2))
    messages = []
    if without.any():
        messages.append(
            f"{_named(tasks.names[without], len(without))} no label; heads and "
            "predictions are missing."
        )
    if tasks.classes is not None and (single := tasks.n_classes == 1).any():
        messages.append(
            f"{_named(tasks.names[single], len(single))} a single class, and no head; "
            "it is what is predicted."
        )
    return messages


def _named(names, n_tasks):
    shown = ", ".join(str(name) for name in names[:5]) + ", ..." * (len(names) > 5)
    return f"{len(names)} of {n_tasks} tasks ({shown}) have"


def _doubts(found, moments):
    """Say what is not to be trusted in the factors."""
    n_outputs = int(moments.n_outputs[moments.n_labels >= 2].sum())
    k = len(found.components)
    if found.count.n_factors == 0:
        return [
            "The heads of the tasks show no factor beyond their errors: "
            f"n_components_ is {k}, and what it holds is not to be trusted. Give more "
            "labels or more tasks, or features that predict them."
        ]
    if n_outputs == 1:
        return [
            "y holds one task: its prediction is the only factor to be found. Give "
            "many tasks, one column each."
        ]
    unstable = np.flatnonzero(found.stability < _TRUSTED)
    if not len(unstable):
        return []
    shown = ", ".join(map(str, unstable[:8])) + ", ..." * (len(unstable) > 8)
    return [
        f"{len(unstable)} of {k} components may be no factors ({shown}): halves of the "
        f"{len(moments)} tasks lead to others, see stability_. More tasks, or more "
        "labels, would settle them."
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
    # The first of two classes has the head of the second, with the other sign.
    two = np.flatnonzero(n_classes == 2)
    coef[two, 0], intercept[two, 0] = -coef[two, 1], -intercept[two, 1]
    return coef, intercept, support


def mean_score(y, y_pred, sample_weight, classes, counted, names, layout):
    """Mean over the tasks of the R2 or, for classes, of the accuracy.

    Parameters
    ----------
    y : array-like, DataFrame or sparse matrix
        As in `fit`; columns of a frame are judged by their names, in any order.

    y_pred : ndarray of shape (n,), (n, n_tasks) or (n, n_tasks, n_outputs)

    sample_weight : array-like of shape (n,) or None

    classes : bool
        Whether labels are classes.

    counted : ndarray of shape (n_tasks,) of bool
        Tasks that have a head.

    names : ndarray of shape (n_tasks,)
        Tasks of the fit.

    layout : str
        Of the labels of the fit.

    Returns
    -------
    float
    """
    n, n_tasks = len(y_pred), len(counted)
    weight = check_weights(sample_weight, n)
    targets = read_targets(y, n, real=not classes, estimator="score")
    number = known_tasks(targets, y, n, names, layout)
    rows, tasks, y = targets.listed()
    tasks = number[tasks]
    kept = (tasks >= 0) & counted[tasks]
    if weight is not None:
        kept &= weight[rows] > 0
    rows, tasks, y = rows[kept], tasks[kept], y[kept]
    weight = np.ones(len(rows)) if weight is None else weight[rows]
    y_pred = y_pred.reshape(n, n_tasks, *y_pred.shape[2:])[rows, tasks]
    if classes:
        right = y_pred.astype(object) == y.astype(object)
        total = np.bincount(tasks, weight, minlength=n_tasks)
        scores = np.full(n_tasks, np.nan)
        hits = np.bincount(tasks, weight * right, minlength=n_tasks)
        np.divide(hits, total, out=scores, where=total > 0)
    else:
        scores = r2_of_tasks(y, y_pred.reshape(y.shape), tasks, n_tasks, weight)
    if np.isnan(scores).all():
        raise ValueError(
            f"y must label at least {'one sample' if classes else 'two samples'} of a "
            "task that has a head."
        )
    return float(np.nanmean(scores))
