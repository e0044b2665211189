"""Supports of classes, judged by the likelihood of their labels."""

import numpy as np
from numpy.testing import assert_array_equal
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from sparsedis.rotation._class_labels import ClassLabels, Part
from sparsedis.rotation._class_selection import select_classes
from sparsedis.rotation._classes import pool


def make_tasks(n_tasks=30, n=200, m=5, *, size=3.0, seed=0):
    rng = np.random.default_rng(seed)
    support = rng.random((n_tasks, m)) < 0.4
    W = size * support * rng.choice([-1, 1], support.shape) * rng.uniform(1, 2, (m,))
    Z = rng.standard_normal((n, m))
    Y = (rng.random((n, n_tasks)) < expit(Z @ W.T)) * 1.0
    return Z, Y, support


def labels_of(Z, Y, n_classes=2, weight=None):
    return ClassLabels.of([Part.of(Z, Y, np.full(Y.shape[1], n_classes), weight)])


def test_supports_are_found():
    Z, Y, support = make_tasks()
    assert (select_classes(labels_of(Z, Y), 5) != support).mean() < 0.02
    # However steep, which leaves nothing of the curvature of the likelihood.
    Z, Y, support = make_tasks(size=300.0)
    assert (select_classes(labels_of(Z, Y), 5) != support).mean() < 0.02


def test_sizes_have_the_least_bic():
    Z, Y, _ = make_tasks(n_tasks=20, n=60, m=3, size=0.6)
    labels = labels_of(Z, Y)
    found = select_classes(labels, 3)
    # The prior, as a penalty of features that are scaled and turned.
    root = np.linalg.cholesky(pool(labels, 3))
    worse = 0
    for y, support in zip(Y.T, found, strict=True):
        bic = []
        for s in np.ndindex(2, 2, 2):
            inside = np.flatnonzero(s)
            own = np.linalg.cholesky(
                np.linalg.inv(np.linalg.inv(root @ root.T)[np.ix_(inside, inside)])
            )
            F = Z[:, inside] @ own if len(inside) else np.zeros((60, 1))
            model = LogisticRegression(C=1.0, tol=1e-8).fit(F, y)
            p = model.predict_proba(F)[np.arange(60), y.astype(int)]
            bic.append(-2 * np.log(p).sum() + len(inside) * np.log(60 * 3))
        best = list(np.ndindex(2, 2, 2))[int(np.argmin(bic))]
        worse += tuple(support.astype(int)) != best
    # Elimination one by one need not end at the best of all subsets.
    assert worse <= 1


def test_weights_are_repetitions():
    Z, Y, _ = make_tasks(n=60)
    weight = np.random.default_rng(0).integers(1, 4, 60)
    rows = np.repeat(np.arange(60), weight)
    one = select_classes(labels_of(Z, Y, weight=weight.astype(float)), 5)
    assert_array_equal(one, select_classes(labels_of(Z[rows], Y[rows]), 5))


def test_a_feature_serves_all_the_classes_of_a_task():
    rng = np.random.default_rng(0)
    support = rng.random((20, 4)) < 0.5
    W = 2 * rng.standard_normal((20, 3, 4)) * support[:, None]
    Z = rng.standard_normal((1000, 4))
    scores = np.einsum("nk,tck->ntc", Z, W) + rng.gumbel(size=(1000, 20, 3))
    found = select_classes(labels_of(Z, scores.argmax(-1) * 1.0, 3), 4)
    assert (found != support).mean() < 0.03


def test_small_parts_of_other_factors_count_as_zero():
    rng = np.random.default_rng(0)
    W = np.diag([8.0, 8.0])[rng.integers(0, 2, 30)]
    W += 0.4 * (W == 0)
    Z = rng.standard_normal((5000, 2))
    Y = (rng.random((5000, 30)) < expit(Z @ W.T)) * 1.0
    labels = labels_of(Z, Y)
    assert select_classes(labels, 2).sum() == 60
    assert select_classes(labels, 2, spike=np.full(2, 0.05)).sum() == 30


def test_differences_of_correlated_features_are_selected():
    # One of the two features alone says little, and its head is small.
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((1000, 3)) + 3 * rng.standard_normal((1000, 1))
    Z /= Z.std(0)
    pairs = np.array([[1, 0, -1], [0, 1, -1], [1, -1, 0]] * 5)
    Y = (rng.random((1000, 15)) < expit(30 * Z @ pairs.T)) * 1.0
    found = select_classes(labels_of(Z, Y), 3, spike=np.full(3, 0.03))
    assert_array_equal(found, pairs != 0)
