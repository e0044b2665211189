"""The number of factors: evidence by the definition, and simulated heads."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import multivariate_normal

from sparsedis.rotation import count_factors, white_heads
from sparsedis.rotation._count import estimate_count
from sparsedis.rotation._moments import regression_moments
from sparsedis.rotation._stages import Whitening


def make_tasks(k, m, n, T, n_labels, noise, rng, *, classes=False):
    """Tasks of k of m directions; noise is its share of the variance."""
    Z = rng.standard_normal((n, m)) @ rng.standard_normal((m, m))
    F = Whitening(Z)(Z)[:, :k] if k else np.zeros((n, 1))
    W = rng.standard_normal((F.shape[1], T)) * (rng.random((F.shape[1], T)) < 0.6)
    W[rng.integers(F.shape[1], size=T), np.arange(T)] = 1
    Y = F @ W
    Y = Y / np.maximum(Y.std(0), 1e-12) * np.sqrt(1 - noise)
    Y = Y + np.sqrt(noise) * rng.standard_normal(Y.shape)
    if classes:
        Y = (Y > 0) * 1.0
    Y[np.argsort(rng.random((n, T)), axis=0) >= n_labels] = np.nan
    return Z, Y


def test_evidence_is_the_marginal_likelihood():
    rng = np.random.default_rng(0)
    Z, Y = make_tasks(2, 5, 40, 12, 12, 0.3, rng)
    white = Whitening(Z)(Z)
    moments, units = regression_moments(white, Y[..., None])
    noise = rng.uniform(0.2, 0.4, 12)
    count = estimate_count(moments, noise)
    V, strength = count.directions, count.strength
    cost = [(r * 5 - r * (r - 1) / 2) / 2 * np.log(12) for r in range(6)]
    expected = []
    for r in range(6):
        total = 0.0
        for t in range(12):
            rows = ~np.isnan(Y[:, t])
            y = (Y[rows, t] - Y[rows, t].mean()) / units.scale[t]
            A = (white[rows] - white[rows].mean(0)) @ V[:, :r]
            plain = noise[t] * np.eye(len(y))
            heads = (A * strength[:r]) @ A.T
            total += multivariate_normal.logpdf(y, cov=plain + heads)
            total -= multivariate_normal.logpdf(y, cov=plain)
        expected.append(total)
    assert_allclose(count.evidence, np.array(expected) - cost, rtol=1e-6, atol=1e-6)


def test_evidence_of_many_labels_is_that_of_heads():
    rng = np.random.default_rng(0)
    Z, Y = make_tasks(2, 4, 500, 20, 500, 0.5, rng)
    heads = white_heads(Z, Y)
    count = count_factors(heads)
    V, strength = count.directions, count.strength
    likelihood = [
        sum(
            multivariate_normal.logpdf(
                w, cov=v * np.eye(4) + (V[:, :r] * strength[:r]) @ V[:, :r].T
            )
            for w, v in zip(heads.coef, heads.variance, strict=True)
        )
        for r in range(5)
    ]
    cost = np.array([(r * 4 - r * (r - 1) / 2) / 2 * np.log(20) for r in range(5)])
    assert_allclose(count.evidence, likelihood - likelihood[0] - cost, rtol=1e-6)


@pytest.mark.parametrize(
    ("k", "m", "n", "T", "n_labels", "noise"),
    [
        (4, 12, 300, 60, 300, 0.3),
        (1, 6, 100, 30, 100, 0.5),
        (6, 6, 200, 60, 200, 0.1),
        (4, 12, 300, 150, 20, 0.2),
        (4, 12, 300, 200, 10, 0.2),  # fewer labels than features
    ],
)
def test_count_of_simulated_heads(k, m, n, T, n_labels, noise):
    for seed in range(3):
        rng = np.random.default_rng(seed)
        count = count_factors(
            white_heads(*make_tasks(k, m, n, T, n_labels, noise, rng))
        )
        assert count.n_factors == k
        assert (count.strength[k:] < 0.2 * count.strength[k - 1]).all()


@pytest.mark.parametrize("n_labels", [300, 25])
def test_count_of_classes(n_labels):
    rng = np.random.default_rng(0)
    Z, Y = make_tasks(3, 8, 300, 100, n_labels, 0.1, rng, classes=True)
    assert count_factors(white_heads(Z, Y, classification=True)).n_factors == 3


@pytest.mark.parametrize("n_labels", [100, 7])
def test_noise_has_no_factor(n_labels):
    rng = np.random.default_rng(0)
    found = [
        count_factors(white_heads(*make_tasks(0, 8, 100, 30, n_labels, 1.0, rng)))
        for _ in range(50)
    ]
    assert sum(count.n_factors > 0 for count in found) <= 2


def test_directions_span_the_factors():
    rng = np.random.default_rng(0)
    Z, Y = make_tasks(3, 10, 400, 80, 400, 0.2, rng)
    heads = white_heads(Z, Y)
    count = count_factors(heads)
    kept = heads.project(count.directions[:, :3])
    # The factors are the first white coordinates.
    assert_allclose(
        np.linalg.svd(kept.components @ np.linalg.pinv(heads.components))[1],
        1,
        rtol=1e-6,
    )
    inside = np.linalg.svd(count.directions[:3, :3])[1]
    assert inside.min() > 0.99
    assert_allclose(count.directions.T @ count.directions, np.eye(10), atol=1e-10)


def test_many_tasks_of_few_labels_are_counted_by_some(monkeypatch):
    rng = np.random.default_rng(0)
    Z, Y = make_tasks(2, 4, 40, 60, 12, 0.3, rng)
    moments, _ = regression_moments(Whitening(Z)(Z), np.tile(Y, 5)[..., None])
    noise = np.full(300, 0.3)
    found = []
    for size in (300, 60):
        monkeypatch.setattr("sparsedis.rotation._count._MAX_EXACT", size)
        found.append(estimate_count(moments, noise))
    # Of copies, one says what all do.
    assert_allclose(found[1].evidence, found[0].evidence)
    assert_allclose(found[1].strength, found[0].strength)


def test_tasks_without_labels_do_not_count():
    rng = np.random.default_rng(0)
    Z, Y = make_tasks(3, 6, 200, 40, 200, 0.2, rng)
    one = count_factors(white_heads(Z, Y))
    Y = np.column_stack([Y, np.full((200, 3), np.nan)])
    other = count_factors(white_heads(Z, Y))
    assert_allclose(one.evidence, other.evidence)
    assert "n_factors=3" in repr(other)


def test_bends_of_classes_are_no_factors():
    # Each factor comes again, bent: a logistic head uses some of it, too.
    rng = np.random.default_rng(0)
    F = rng.standard_normal((2000, 4))
    bent = np.tanh(2 * F) * F**2
    bent -= F * (bent * F).mean(0)
    Z = np.column_stack([F, 0.5 * bent])
    W = rng.standard_normal((4, 60)) * (rng.random((4, 60)) < 0.5)
    Y = (F + 0.1 * bent) @ W + 0.02 * rng.standard_normal((2000, 60))
    count = count_factors(white_heads(Z, Y > 0, classification=True))
    assert count.strength[4] < 0.01 * count.strength[3]
    assert count.n_factors == 4
