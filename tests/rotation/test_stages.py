"""From moments to factors."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sparsedis.metrics import mean_correlation_coefficient
from sparsedis.rotation import _stages
from sparsedis.rotation._moments import regression_moments
from sparsedis.rotation._stages import Whitening, find_factors, kept_heads


def make_tasks(n=300, p=8, k=4, T=60, noise=0.1, seed=0):
    rng = np.random.default_rng(seed)
    mixing = np.eye(k) + 0.7
    F = rng.standard_normal((n, k)) @ mixing
    W = rng.standard_normal((k, T)) * (rng.random((k, T)) < 0.4)
    W[rng.integers(k, size=T), np.arange(T)] = 1
    Y = F @ W
    Y = Y + noise * Y.std(0) * rng.standard_normal(Y.shape)
    Z = F @ rng.standard_normal((k, p)) + 0.01 * rng.standard_normal((n, p))
    return Z, Y[..., None], F


def test_whitening():
    Z, _, _ = make_tasks()
    weight = np.random.default_rng(0).uniform(0, 2, len(Z))
    whitening = Whitening(Z, weight)
    white = whitening(Z)
    assert_allclose(np.average(white, axis=0, weights=weight), 0, atol=1e-10)
    assert_allclose(np.cov(white.T, aweights=weight, bias=True), np.eye(8), atol=1e-8)
    assert Whitening(np.column_stack([Z, Z[:, 0]])).rank == 8
    assert Whitening(np.full((9, 3), 0.1)).rank == 0
    assert Whitening(np.full((9, 1), 1e6) + np.arange(9)[:, None]).rank == 1


@pytest.mark.parametrize("weighted", [False, True])
def test_whitening_of_features_in_units_of_their_own(weighted):
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((50, 6)) @ rng.standard_normal((6, 6))
    weight = rng.uniform(0.1, 1, 50) if weighted else None
    # The unit of one, and how far from zero another is, must not hide others.
    mixed = Z * [1e-6, 1, 1e6, 1, 1, 1e-6] + [0, 0, 0, 1e11, 0, 0]
    rest = np.column_stack([mixed, np.full(50, 0.1), 1e-14 * mixed[:, 1]])
    own = Whitening(rest, weight, any_units=True)
    assert own.rank == 6
    assert Whitening(rest, weight).rank < 6
    W = own(rest)
    assert_allclose(np.cov(W.T, aweights=weight, ddof=0), np.eye(6), atol=1e-6)
    W = np.column_stack([W, np.ones(50)])
    assert_allclose(W @ np.linalg.lstsq(W, Z, rcond=None)[0], Z, atol=1e-3)


@pytest.mark.parametrize("n_components", ["auto", 4])
def test_factors_are_found(n_components):
    Z, Y, F = make_tasks()
    whitening = Whitening(Z)
    moments, _ = regression_moments(whitening(Z), Y)
    factors = find_factors(
        moments, whitening, n_components=n_components, rng=np.random.default_rng(0)
    )
    found = (Z - factors.mean) @ factors.components.T
    assert factors.count.n_factors == 4
    assert mean_correlation_coefficient(F, found) > 0.99
    assert_allclose(found.std(0), 1)
    assert factors.stability.shape == (4,)


def test_factors_counted_elsewhere_are_the_first_coordinates():
    Z, Y, _ = make_tasks()
    whitening = Whitening(Z)
    moments, _ = regression_moments(whitening(Z), Y)
    rng = np.random.default_rng(0)
    count = find_factors(moments, whitening, n_components="auto", rng=rng).count
    other = find_factors(moments, whitening, n_components="auto", rng=rng, count=count)
    white = other.components @ np.linalg.pinv(whitening.matrix.T)
    assert_allclose(white[:, 4:], 0, atol=1e-8)


def test_one_task_is_not_rotated():
    Z, Y, _ = make_tasks(T=1)
    whitening = Whitening(Z)
    moments, _ = regression_moments(whitening(Z), Y)
    rng = np.random.default_rng(0)
    one = find_factors(moments, whitening, n_components="auto", rng=rng)
    assert len(one.components) == 1
    fitted = (Z - one.mean) @ one.components[0]
    assert np.corrcoef(fitted, Y[:, 0, 0])[0, 1] > 0.99
    two = find_factors(moments, whitening, n_components=2, rng=rng)
    assert_array_equal(two.stability, 0)


def test_kept_heads_are_those_of_enough_labels():
    Z, Y, _ = make_tasks()
    Y[3:, :50] = np.nan
    moments, _ = regression_moments(Whitening(Z)(Z), Y)
    few = moments.project(np.eye(8)[:, :4])
    heads, variance, n_outputs = kept_heads(few)
    assert len(heads) == len(variance) == len(n_outputs) == 10
    assert_allclose((heads**2).sum((1, 2)), 1)
    Y[3:] = np.nan
    heads, _, _ = kept_heads(regression_moments(Whitening(Z)(Z), Y)[0])
    assert len(heads) == 8


def test_stability_is_estimated_once_and_only_if_asked_for(monkeypatch):
    calls = []
    estimate = _stages.estimate_stability
    monkeypatch.setattr(
        _stages, "estimate_stability", lambda *a: calls.append(a) or estimate(*a)
    )
    Z, Y, _ = make_tasks()
    whitening = Whitening(Z)
    moments, _ = regression_moments(whitening(Z), Y)
    factors = find_factors(
        moments, whitening, n_components=4, rng=np.random.default_rng(0)
    )
    assert not calls
    assert (factors.stability > 0.95).all()
    assert factors.stability is factors.stability
    assert len(calls) == 1
