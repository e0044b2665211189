"""The likelihood of heads grows, and ends where its gradient vanishes."""

import numpy as np
import pytest
from scipy.stats import norm

from sparsedis.rotation._directions import Heads
from sparsedis.rotation._refine import Density, refine


def make_heads(n_outputs=1, seed=0, noise=0.05):
    rng = np.random.default_rng(seed)
    heads = rng.standard_normal((80, n_outputs, 3)) * (rng.random((80, 1, 3)) < 0.5)
    heads = heads + noise * rng.standard_normal(heads.shape)
    return Heads(heads, np.full(80, noise**2), np.full(80, n_outputs))


def start():
    return np.eye(3) + 0.2 * np.random.default_rng(1).standard_normal((3, 3))


def criterion(heads, A, density):
    """The criterion of directions of any length, for fixed weights."""
    A = A / np.linalg.norm(A, axis=1, keepdims=True)
    scores = density.scores(heads, A)
    return (scores.sum() - np.linalg.slogdet(A)[1]) / len(A)


def test_density_is_a_mixture_of_gaussians():
    density = Density(np.array([0.1, 2.0]))
    density.weights = np.array([0.3, 0.7])
    log, share, total = density.responsibilities(
        np.array([[0.5]]), np.array([[0.2]]), np.ones(1)
    )
    parts = density.weights * norm.pdf(np.sqrt(0.5), scale=np.sqrt([0.3, 2.2]))
    np.testing.assert_allclose(log, np.log(parts.sum()))
    np.testing.assert_allclose(share[0, 0], parts / parts.sum())
    np.testing.assert_allclose(total[0, 0], [0.3, 2.2])


def test_spike_is_that_of_the_small_components():
    density = Density(np.array([0.01, 0.02, 1.0]))
    density.weights = np.array([0.3, 0.1, 0.6])
    assert density.spike() == pytest.approx(np.sqrt((0.003 + 0.002) / 0.4))


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_criterion_is_what_it_says(n_outputs):
    heads = make_heads(n_outputs)
    A, value, density = refine(heads, start(), n_iter=300, tol=1e-12)
    assert value == pytest.approx(criterion(heads, A, density), abs=1e-3)
    np.testing.assert_allclose(heads.sizes(A).mean(1), 1, rtol=1e-6)


def test_more_sweeps_are_no_worse():
    heads = make_heads()
    values = [refine(heads, start(), n_iter=n, tol=-1)[1] for n in range(1, 15)]
    assert (np.diff(values) <= 0).all()
    assert values[-1] < values[0]


def test_gradient_nearly_vanishes_without_errors():
    heads = make_heads()
    # The steps are exact but for the scale of the heads, which stays one.
    heads.variance[:] = 0
    A, _, density = refine(heads, start(), n_iter=2000, tol=1e-13)
    gradient = np.zeros((3, 3))
    for i, j in np.ndindex(3, 3):
        step = np.zeros((3, 3))
        step[i, j] = 1e-5
        ends = [criterion(heads, A + s * step, density) for s in (1, -1)]
        gradient[i, j] = (ends[0] - ends[1]) / 2e-5
    assert abs(gradient).max() < 2e-2


def test_start_is_left_alone():
    A = start()
    refine(make_heads(), A)
    np.testing.assert_array_equal(A, start())
