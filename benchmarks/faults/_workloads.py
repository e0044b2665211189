"""Short trainings of every kind, that a folder lets resume."""

import numpy as np
from sklearn.model_selection import GridSearchCV

from sparsedis import (
    GroupLassoSVMMetaLearner,
    SparseMultiTaskClassifier,
    SparseMultiTaskRepresentation,
)
from sparsedis.datasets import make_sparse_tasks

X, Y = make_sparse_tasks(60, 10, n_factors=3, random_state=0)
LABELS = np.arange(len(X)) % 6


def representation(**params):
    """Make a representation of three features that trains for a moment."""
    defaults = {"n_components": 3, "max_iter": 60, "random_state": 0}
    return SparseMultiTaskRepresentation(**defaults | params)


def meta_learner(**params):
    """Make a few-shot learner that trains for a moment."""
    defaults = {
        "encoder": "mlp",
        "n_components": 4,
        "n_ways": 3,
        "n_shots": 2,
        "n_queries": 3,
        "max_iter": 60,
        "optimizer": "adam",
        "lr": 1e-3,
        "random_state": 0,
    }
    return GroupLassoSVMMetaLearner(**defaults | params)


def batches(n=60):
    """Yield the batches of a stream."""
    rng = np.random.default_rng(0)
    for _ in range(n):
        rows = rng.permutation(len(X))[:20]
        yield X[rows], Y[rows]


def fit_table(folder):
    """Fit tasks of regression."""
    est = representation(checkpoint=folder)
    return est, lambda: est.fit(X, Y)


def fit_lasso(folder):
    """Fit with sparse heads, a learned penalty and early stopping."""
    est = representation(
        rotation=None,
        penalty="l1",
        alpha=0.1,
        learn_alpha=True,
        inner_fraction=0.5,
        early_stopping=True,
        checkpoint=folder,
    )
    return est, lambda: est.fit(X, Y)


def fit_classes(folder):
    """Fit tasks of classification, narrowed after they were counted."""
    est = SparseMultiTaskClassifier(max_iter=60, random_state=0, checkpoint=folder)
    return est, lambda: est.fit(X, Y > 0)


def fit_stream(folder):
    """Fit a stream."""
    est = representation(checkpoint=folder)
    return est, lambda: est.fit_stream(batches())


def fit_episodes(folder):
    """Fit episodes, validated on the way."""
    est = meta_learner(
        validation_classes=0.5,
        validation_every=10,
        validation_episodes=5,
        checkpoint=folder,
    )
    return est, lambda: est.fit(X, LABELS)


def search(folder):
    """Search over a grid."""
    est = representation(rotation=None, max_iter=40, checkpoint=folder)
    grid = GridSearchCV(est, {"alpha": [0.1, 0.4]}, cv=2, error_score="raise")
    return grid, lambda: grid.fit(X, Y)


# From a folder to an estimator and what fits it.
WORKLOADS = {
    "table": fit_table,
    "lasso": fit_lasso,
    "classes": fit_classes,
    "stream": fit_stream,
    "episodes": fit_episodes,
    "search": search,
}


def flaws(est):
    """Say what is wrong with an estimator, whatever has happened to it.

    Parameters
    ----------
    est : estimator

    Returns
    -------
    str or None
    """
    est = getattr(est, "best_estimator_", est)
    if "module_" not in vars(est):
        return None
    for name, tensor in est.module_.state_dict().items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            return f"{name} is not finite"
    if not np.isfinite(est.transform(X)).all():
        return "features are not finite"
    if any(not np.isfinite(est.history_[name]).all() for name in ("loss", "active")):
        return "the history is not finite"
    if est.n_iter_ != len(est.history_["loss"]):
        return f"n_iter_ is {est.n_iter_} of {len(est.history_['loss'])} steps"
    if "coef_" in vars(est) and est.coef_.shape[-1] != est.n_components_:
        return "heads are of another fit"
    return None
