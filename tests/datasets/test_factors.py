"""The distribution of factors against scipy's density and published numbers."""

import numpy as np
import pytest
from scipy.stats import chi2, multivariate_normal

from sparsedis.datasets import FactorDistribution, Shapes3D

SIZES = (10, 10, 10, 8, 4, 15)
UPPER = np.triu_indices(6, 1)


def dense_grid(sizes):
    values = [np.arange(s) for s in sizes]
    values = [(v - v.mean()) / v.std() for v in values]
    return np.stack(np.meshgrid(*values, indexing="ij"), -1).reshape(-1, len(sizes))


@pytest.mark.parametrize("noise", [0.0, 0.7])
@pytest.mark.parametrize("rho", [-0.3, 0.0, 0.6, 0.95])
def test_density_is_that_of_scipy_normalised(rho, noise):
    distribution = FactorDistribution((5, 4, 3), rho, noise, random_state=0)
    index = np.arange(60)
    covariance = rho * np.ones((3, 3)) + (1 - rho) * np.eye(3)
    density = multivariate_normal.pdf(distribution.latents(index), cov=covariance)
    np.testing.assert_allclose(
        distribution.probability(index), density / density.sum(), rtol=1e-9
    )


def test_latents_without_noise_are_the_standardised_grid():
    distribution = FactorDistribution((5, 4, 3))
    z = distribution.latents(np.arange(60))
    assert z.dtype == np.float64
    np.testing.assert_allclose(z, dense_grid((5, 4, 3)), atol=1e-12)
    np.testing.assert_allclose(z.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(z.std(0), 1)


def test_dataset_sizes_and_values_give_the_same_grid():
    shapes = Shapes3D()
    index = np.arange(0, shapes.n_images, 997)
    expected = FactorDistribution(SIZES).latents(index)
    for grid in (shapes, shapes.factor_values):
        z = FactorDistribution(grid).latents(index)
        np.testing.assert_allclose(z, expected, atol=1e-12)


def test_latents_belong_to_the_images_factors():
    shapes = Shapes3D()
    index = np.random.default_rng(0).integers(0, shapes.n_images, 300)
    factors = shapes.factors(index)
    z = FactorDistribution(shapes).latents(index)
    for j in range(6):
        assert np.corrcoef(factors[:, j], z[:, j])[0, 1] == pytest.approx(1)


@pytest.mark.parametrize(
    ("rho", "effective_size", "correlation"),
    [
        (None, 480_000, 0.0),
        (0.0, 212_336, 0.0),
        (0.9, 2_837, 0.829),
        (0.95, 558, 0.921),
        (0.99, 12.4, 0.985),
    ],
)
def test_mass_gathers_with_the_correlation(rho, effective_size, correlation):
    # The numbers come from a separate, dense evaluation on the grid of 3D Shapes.
    distribution = FactorDistribution(SIZES, rho=rho)
    assert distribution.effective_size == pytest.approx(effective_size, rel=2e-3)
    actual = distribution.correlation[UPPER].mean()
    assert actual == pytest.approx(correlation, abs=1e-3)


def test_correlation_at_full_noise():
    # .82 at rho = .9: the published setting, on latents that noise has moved.
    distribution = FactorDistribution(SIZES, rho=0.9, noise=1.0, random_state=0)
    assert distribution.correlation[UPPER].mean() == pytest.approx(0.82, abs=5e-3)
    assert 2_500 < distribution.effective_size < 3_000


def test_effective_size_counts_the_images_of_a_uniform_distribution():
    assert FactorDistribution((7, 3), rho=None).effective_size == pytest.approx(21)


@pytest.mark.parametrize("noise", [0.3, 1.0])
def test_noise_stays_within_half_a_gap(noise):
    distribution = FactorDistribution((6, 5, 40), 0.5, noise, random_state=3)
    index = np.arange(distribution.n_images)
    move = distribution.latents(index) - dense_grid((6, 5, 40))
    bound = noise * distribution.gaps / 2
    assert (np.abs(move) <= bound).all()
    # Uniform on the interval: mean 0, variance bound**2 / 3; 5 standard errors.
    n = distribution.n_images
    assert (np.abs(move.mean(0)) < 5 * bound / np.sqrt(3 * n)).all()
    np.testing.assert_allclose(move.var(0), bound**2 / 3, rtol=5 * np.sqrt(0.8 / n))
    np.testing.assert_allclose(
        distribution.gaps,
        [np.diff(np.unique(c)).min() for c in dense_grid((6, 5, 40)).round(9).T],
        rtol=1e-6,
    )


def test_noise_depends_on_the_random_state_alone():
    index = np.arange(60)

    def z(**kwargs):
        kwargs = {"rho": 0.5, "noise": 1.0, "random_state": 0, **kwargs}
        return FactorDistribution((5, 4, 3), **kwargs).latents(index)

    grid = z(noise=0.0)
    np.testing.assert_array_equal(z(), z())
    np.testing.assert_array_equal(z(), z(rho=None))
    np.testing.assert_allclose((z(noise=0.25) - grid) * 4, z() - grid, atol=1e-12)
    assert np.abs(z() - z(random_state=1)).min() > 0
    np.testing.assert_array_equal(
        z(random_state=np.random.RandomState(4)),
        z(random_state=np.random.RandomState(4)),
    )


def test_samples_follow_the_probabilities():
    distribution = FactorDistribution((5, 4, 3), rho=0.7)
    n = 200_000
    index, z = distribution.sample(n, random_state=0)
    np.testing.assert_array_equal(z, distribution.latents(index))
    expected = n * distribution.probability(np.arange(60))
    observed = np.bincount(index, minlength=60)
    large = expected >= 5
    statistic = ((observed - expected) ** 2 / expected)[large].sum()
    assert statistic < chi2.ppf(1 - 1e-6, large.sum() - 1)
    assert observed[~large].sum() <= expected[~large].sum() + 5 * np.sqrt(
        expected[~large].sum() + 1
    )


def test_sample_is_reproducible():
    distribution = FactorDistribution((5, 4, 3), rho=0.7)
    first, _ = distribution.sample(50, random_state=1)
    second, _ = distribution.sample(50, random_state=1)
    other, _ = distribution.sample(50, random_state=2)
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()
    index, z = distribution.sample(0)
    assert index.shape == (0,)
    assert z.shape == (0, 3)


def test_one_factor():
    distribution = FactorDistribution((4,), rho=0.5)
    np.testing.assert_allclose(distribution.correlation, [[1.0]])


@pytest.mark.parametrize("rho", [1, 1.0, -0.2, -0.5, 2, np.nan, "0.9"])
def test_singular_covariances_are_refused(rho):
    # -1 / 5 is the limit of six factors.
    with pytest.raises(ValueError, match=r"rho must be a number in \(-0.2, 1\), got"):
        FactorDistribution(SIZES, rho=rho)


@pytest.mark.parametrize("noise", [-0.1, 1.1, None])
def test_noise_is_checked(noise):
    with pytest.raises(ValueError, match=r"noise must be a number in \[0, 1\], got"):
        FactorDistribution((3, 3), noise=noise)


@pytest.mark.parametrize(
    ("grid", "match"),
    [
        (5, "grid must have factor_values or be a sequence"),
        ([], "grid must have at least one factor"),
        ((3, 1), r"grid\[1\] must be an integer >= 2, got 1"),
        ([[0.0, 1.0], [2.0, 2.0]], r"grid\[1\] must be a size >= 2 or a 1-d array"),
        ([[0.0, np.inf]], r"grid\[0\] must be a size >= 2 or a 1-d array"),
    ],
)
def test_grid_is_checked(grid, match):
    with pytest.raises(ValueError, match=match):
        FactorDistribution(grid)


def test_index_is_checked():
    with pytest.raises(ValueError, match=r"index must lie in \[0, 9\)"):
        FactorDistribution((3, 3)).latents(9)
