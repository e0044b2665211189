"""The rendered grid: order, agreement with the continuous path, bad input."""

import pickle

import numpy as np
import pytest

from sparsedis.datasets import Shapes3D


@pytest.fixture(scope="module")
def shapes():
    return Shapes3D(image_size=24)


def test_grid_is_that_of_the_original(shapes):
    assert shapes.factor_sizes == (10, 10, 10, 8, 4, 15)
    assert shapes.n_images == len(shapes) == 480_000
    np.testing.assert_allclose(shapes.factor_values[0], np.arange(10) / 10)
    np.testing.assert_allclose(shapes.factor_values[3][[0, -1]], [0.75, 1.25])
    np.testing.assert_allclose(shapes.factor_values[5][[0, 7, -1]], [-30, 0, 30])
    assert all(not values.flags.writeable for values in shapes.factor_values)


def test_last_factor_is_fastest(shapes):
    # Strides of the original's order, written out.
    strides = [48_000, 4_800, 480, 60, 15, 1]
    for j, stride in enumerate(strides):
        position = np.zeros(6, dtype=int)
        position[j] = 1
        np.testing.assert_array_equal(shapes.index_to_factors(stride)[0], position)
        assert shapes.factors_to_index(position)[0] == stride
    np.testing.assert_array_equal(
        shapes.index_to_factors(479_999)[0], [9, 9, 9, 7, 3, 14]
    )


def test_index_and_factors_are_inverse(shapes):
    index = np.random.default_rng(0).integers(0, shapes.n_images, 200)
    positions = shapes.index_to_factors(index)
    np.testing.assert_array_equal(shapes.factors_to_index(positions), index)
    values = shapes.factors(index)
    assert values.dtype == np.float64
    for j in range(6):
        np.testing.assert_array_equal(
            values[:, j], shapes.factor_values[j][positions[:, j]]
        )


def test_images_equal_the_continuous_path(shapes):
    index = np.random.default_rng(1).integers(0, shapes.n_images, 40)
    images = shapes.images(index)
    assert images.shape == (40, 24, 24, 3)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, shapes.render(shapes.factors(index)))


def test_repeated_and_unsorted_indices(shapes):
    index = [7, 479_999, 7, 0, 123_456]
    expected = np.concatenate([shapes.images(i) for i in index])
    np.testing.assert_array_equal(shapes.images(index), expected)
    assert shapes.images([]).shape == (0, 24, 24, 3)


@pytest.mark.parametrize("material", [0, 1, 2])
def test_images_are_linear_in_the_colours(shapes, material):
    # red + cyan = yellow + blue = white, up to the rounding of four images.
    factors = np.tile([0.3, 0.55, 0.9, 1.1, 1.0, 8.0], (4, 1))
    factors[:, material] = [0, 1 / 2, 1 / 6, 2 / 3]
    red, cyan, yellow, blue = shapes.render(factors).astype(int)
    assert np.abs(red + cyan - yellow - blue).max() <= 2
    assert np.abs(red - cyan).max() > 100


def test_hue_is_periodic_and_other_factors_are_continuous(shapes):
    base = np.array([0.0, 0.5, 0.2, 1.0, 0.0, 5.0])
    image = shapes.render(base)
    np.testing.assert_array_equal(shapes.render(base + [1, 1, 1, 0, 0, 0]), image)
    for j, step in ((0, 1e-3), (1, 1e-3), (2, 1e-3), (3, 1e-3), (5, 5e-2)):
        moved = base.copy()
        moved[j] += step
        change = np.abs(shapes.render(moved).astype(int) - image)
        assert 0 <= change.mean() < 1


def test_every_factor_shows():
    # One step of any factor is seen, also where floor, wall and object share a hue.
    shapes = Shapes3D(image_size=32)
    rng = np.random.default_rng(0)
    sizes = np.array(shapes.factor_sizes)
    positions = rng.integers(0, sizes, size=(60, 6))
    positions[::2, 1:3] = positions[::2, :1]
    images = shapes.images(shapes.factors_to_index(positions)).astype(int)
    for j in range(6):
        moved = positions.copy()
        moved[:, j] += np.where(moved[:, j] + 1 < sizes[j], 1, -1)
        change = np.abs(shapes.images(shapes.factors_to_index(moved)) - images)
        assert change.reshape(60, -1).max(1).min() >= 20


def test_all_geometries_differ(shapes):
    images = shapes.images(np.arange(480)).reshape(480, -1)
    assert len(np.unique(images, axis=0)) == 480


def test_larger_images_show_the_same_scene():
    small, large = Shapes3D(image_size=16), Shapes3D(image_size=64)
    index = np.random.default_rng(2).integers(0, small.n_images, 10)
    pooled = large.images(index).reshape(10, 16, 4, 16, 4, 3).mean((2, 4))
    difference = np.abs(pooled - small.images(index))
    assert difference.mean() < 2
    assert np.quantile(difference, 0.99) < 25


def test_cache_is_bounded(shapes, monkeypatch):
    index = np.arange(0, 480, 11)
    expected = shapes.images(index)
    small = Shapes3D(image_size=24)
    monkeypatch.setattr(small, "_max_maps", 3)
    np.testing.assert_array_equal(small.images(index), expected)
    assert len(small._maps) == 3


def test_pickle_leaves_the_cache_behind(shapes):
    image = shapes.images(5)
    dumped = pickle.dumps(shapes)
    assert len(dumped) < 1000
    np.testing.assert_array_equal(pickle.loads(dumped).images(5), image)


def test_repr(shapes):
    assert repr(shapes) == "Shapes3D(image_size=24)"


@pytest.mark.parametrize("image_size", [0, -1, 2.5, "64", True, None])
def test_image_size_is_checked(image_size):
    with pytest.raises(ValueError, match=r"image_size must be an integer >= 1, got"):
        Shapes3D(image_size)


@pytest.mark.parametrize(
    ("index", "match"),
    [
        (-1, r"index must lie in \[0, 480000\), got values from -1"),
        ([0, 480_000], r"index must lie in \[0, 480000\)"),
        ([0.5], "index must be an integer or a 1-d array of integers"),
        ([True, False], "got dtype bool"),
        ([[1, 2]], r"shape \(1, 2\)"),
    ],
)
def test_index_is_checked(shapes, index, match):
    for method in (shapes.images, shapes.factors, shapes.index_to_factors):
        with pytest.raises(ValueError, match=match):
            method(index)


@pytest.mark.parametrize(
    ("positions", "match"),
    [
        ([0, 0, 0, 8, 0, 0], r"positions of scale must lie in \[0, 8\), got values"),
        ([[0, 0, 0, 0, -1, 0]], r"positions of shape must lie in \[0, 4\)"),
        ([0, 0, 0], r"positions must have shape \(n, 6\)"),
        ([0.5] * 6, "positions must be integers, got dtype float64"),
    ],
)
def test_positions_are_checked(shapes, positions, match):
    with pytest.raises(ValueError, match=match):
        shapes.factors_to_index(positions)


@pytest.mark.parametrize(
    ("factors", "match"),
    [
        ([0, 0, 0, 1, 0], r"factors must have shape \(n, 6\)"),
        ([0, np.nan, 0, 1, 0, 0], "factors must be finite"),
        ([0, 0, 0, 0, 0, 0], r"scale must be in \(0, 2\], got 0.0"),
        ([0, 0, 0, 2.5, 0, 0], r"scale must be in \(0, 2\], got 2.5"),
        ([0, 0, 0, 1, 0.5, 0], r"shape must be 0, 1, 2 or 3 .*, got 0.5"),
        ([0, 0, 0, 1, 0, 60], r"orientation must be in \[-45, 45\], got 60"),
    ],
)
def test_factors_are_checked(shapes, factors, match):
    with pytest.raises(ValueError, match=match):
        shapes.render(factors)
