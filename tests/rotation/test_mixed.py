"""Numbers and classes in one count and one rotation."""

import numpy as np
import pytest

from sparsedis.metrics import mean_correlation_coefficient
from sparsedis.rotation._class_labels import ClassLabels, Part
from sparsedis.rotation._mixed import MixedMoments, count_mixed, join_moments
from sparsedis.rotation._moments import regression_moments
from sparsedis.rotation._stages import Whitening, find_factors, kept_heads


def make(n_numbers, n_classes, n=400, k=3, m=6, seed=0):
    """Factors among `m` features, and moments of tasks on them."""
    rng = np.random.default_rng(seed)
    F = rng.standard_normal((n, k))
    Z = np.concatenate([F, rng.standard_normal((n, m - k))], 1)
    Z = Z @ rng.standard_normal((m, m))
    T = n_numbers + n_classes
    W = rng.standard_normal((T, k)) * (rng.random((T, k)) < 0.5)
    W[np.arange(T), np.arange(T) % k] = 1.0
    W /= np.linalg.norm(W, axis=1, keepdims=True)
    Y = F @ W.T
    numbers = Y[:, :n_numbers] + 0.5 * rng.standard_normal((n, n_numbers))
    p = 1 / (1 + np.exp(-3 * Y[:, n_numbers:]))
    classes = (rng.random(p.shape) < p).astype(float)
    whitening = Whitening(Z)
    white = whitening(Z)
    parts = [regression_moments(white, numbers[..., None])[0]]
    two = np.full(n_classes, 2)
    labels = ClassLabels.of([Part.of(white, classes, two)])
    return F, Z, whitening, join_moments(parts, labels, m)


def test_both_kinds_give_the_factors_and_their_number():
    F, Z, whitening, moments = make(20, 20)
    assert isinstance(moments, MixedMoments)
    found = find_factors(
        moments, whitening, n_components="auto", rng=np.random.default_rng(0)
    )
    assert found.count.n_factors == 3
    assert found.rotation.heads.shape == (40, 1, 3)
    codes = (Z - found.mean) @ found.components.T
    assert mean_correlation_coefficient(F, codes) > 0.98


def test_the_prior_of_classes_is_that_of_numbers_but_for_its_size():
    *_, moments = make(20, 20)
    counted, count = count_mixed(moments)
    second = counted.classes.second
    size = np.trace(moments.classes.second) / np.trace(second)
    # Both kinds have heads of the same directions.
    assert size == pytest.approx(1.0, rel=0.2)
    values, vectors = np.linalg.eigh(second)
    np.testing.assert_allclose(
        values[::-1] / values.sum(), count.strength / count.strength.sum(), atol=1e-12
    )
    overlap = np.linalg.svd(vectors[:, -3:].T @ count.directions[:, :3])[1]
    np.testing.assert_allclose(overlap, 1.0)


def test_few_tasks_of_one_kind_leave_the_count_to_the_other():
    *_, moments = make(30, 2)
    assert count_mixed(moments)[1].n_factors == 3
    *_, moments = make(2, 30)
    assert count_mixed(moments)[1].n_factors == 3


def test_tasks_keep_their_heads_when_some_are_taken():
    *_, moments = make(6, 6)
    some = moments.take(np.array([1, 4, 7, 8]))
    assert len(some.numbers) == len(some.classes) == 2
    heads, variance, n_outputs = kept_heads(moments)
    alone = kept_heads(moments.take(np.arange(6)))
    np.testing.assert_allclose(heads[:6], alone[0])
    np.testing.assert_allclose(variance[:6], alone[1])
    assert n_outputs.tolist() == [1] * 12
    assert moments.take(np.arange(6, 12)).labels is not None
