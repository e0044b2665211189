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


def make_positive(n_tasks=30, noise=0.02, seed=0):
    """Each task lacks one of four factors; coefficients are positive."""
    rng = np.random.default_rng(seed)
    rows = rng.uniform(0.5, 1.5, (n_tasks, 4))
    rows[np.arange(n_tasks), np.arange(n_tasks) % 4] = 0
    rows += noise * rng.standard_normal(rows.shape)
    rows /= np.sqrt((rows**2).mean(0))
    return Heads(rows[:, None], np.full(n_tasks, noise**2), np.ones(n_tasks))


def test_positive_coefficients_are_sparser_than_their_differences():
    heads = make_positive()
    differences = np.eye(4) - np.roll(np.eye(4), 1, axis=0)
    differences[0] = 1
    true, other = refine(heads, np.eye(4))[1], refine(heads, differences)[1]
    assert true < other


def test_gain_of_signs_is_that_of_half_normals():
    # Large coefficients, known exactly, and all positive: one bit each.
    heads, density = make_positive(noise=0.0), Density()
    A = np.eye(4)
    share = density.responsibilities(heads.sizes(A).T, np.zeros((30, 4)), np.ones(30))[
        1
    ]
    large = share[..., density.variances > 0.15**2].sum(-1)
    n, n_zero = large.sum(0), np.where(heads.rows == 0, large, 0).sum(0)
    # Zeros are on both sides.
    side = (n - n_zero / 2 + 0.5) / (n + 1)
    expected = ((n - n_zero) * np.log(2 * side) - 2 * np.log(30)) / 30
    gain = density.gain_of_signs(heads, A, share)
    np.testing.assert_allclose(gain, expected, rtol=1e-9)
    # The other sign is as good, and as many of each are worth nothing.
    np.testing.assert_allclose(density.gain_of_signs(heads, -A, share), gain)
    mixed = heads.heads * np.where(np.arange(30) % 8 < 4, 1.0, -1.0)[:, None, None]
    both = Heads(mixed, heads.variance, heads.n_outputs)
    np.testing.assert_array_equal(density.gain_of_signs(both, A, share), 0)
    # Norms of several outputs have no sign.
    double = Heads(np.repeat(heads.heads, 2, axis=1), heads.variance, np.full(30, 2))
    np.testing.assert_array_equal(density.gain_of_signs(double, A, share), 0)


def test_start_is_left_alone():
    A = start()
    refine(make_heads(), A)
    np.testing.assert_array_equal(A, start())
