"""Maps of the room against closed forms."""

import colorsys

import numpy as np
import pytest

from sparsedis.datasets import _render
from sparsedis.datasets._render import (
    FLOOR,
    LIGHT,
    OBJECT,
    WALL,
    RoomCamera,
    hue_to_rgb,
)
from sparsedis.datasets._solids import (
    CAPSULE,
    CUBE,
    CYLINDER,
    SPHERE,
    object_size,
)

SHAPES = (CUBE, CYLINDER, SPHERE, CAPSULE)
SIZE = 32


@pytest.fixture(scope="module")
def camera():
    return RoomCamera(SIZE)


def test_silhouette_of_the_sphere_is_a_cone(camera):
    # At distance d, a sphere of radius r covers the rays within asin(r / d) of its
    # centre.
    radius, half = object_size(SPHERE, 1.0)
    eye = np.array([0, -_render._CAMERA_DISTANCE, _render._CAMERA_HEIGHT])
    to_centre = np.array([0, 0, half]) - eye
    distance = np.linalg.norm(to_centre)
    cosine = np.tensordot(to_centre / distance, camera._samples, 1)
    expected = (cosine > np.sqrt(1 - (radius / distance) ** 2)).any(1)
    seen = camera.maps(1.0, SPHERE, 0.0)[:, OBJECT] > 0
    np.testing.assert_array_equal(seen, expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_opposite_orientations_mirror_the_geometry(camera, shape):
    # The lamp is on one side, so light is not mirrored, but what is seen where is.
    def coverage(orientation):
        seen = camera.maps(1.1, shape, orientation) > 0
        return seen[:, [FLOOR, WALL, OBJECT]].reshape(SIZE, SIZE, 3)

    np.testing.assert_array_equal(coverage(20.0)[:, ::-1], coverage(-20.0))
    assert (coverage(20.0) != coverage(-20.0)).any()


@pytest.mark.parametrize("shape", [CYLINDER, SPHERE, CAPSULE])
def test_solids_of_revolution_do_not_turn(camera, shape):
    a, b = (camera.maps(1.0, shape, o)[:, OBJECT] > 0 for o in (-30.0, 13.0))
    np.testing.assert_array_equal(a, b)


def test_corner_moves_across_the_image(camera):
    # The highest point of the floor is the corner.
    def column_of_corner(orientation):
        floor = camera.maps(0.75, SPHERE, orientation)[:, FLOOR].reshape(SIZE, SIZE)
        first_row = (floor > 0).argmax(0)
        return np.flatnonzero(first_row == first_row.min()).mean()

    columns = [column_of_corner(o) for o in np.linspace(-30, 30, 5)]
    assert (np.diff(columns) > 0).all()
    assert columns[0] < SIZE / 3
    assert columns[-1] > SIZE * 2 / 3 - 1
    assert columns[2] == (SIZE - 1) / 2


@pytest.mark.parametrize("shape", SHAPES)
def test_size_on_the_image_grows_with_the_scale(camera, shape):
    area = [
        (camera.maps(s, shape, 4.0)[:, OBJECT] > 0).sum()
        for s in np.linspace(0.75, 1.25, 8)
    ]
    assert (np.diff(area) > 0).all()


def test_weights_leave_no_hole_and_never_exceed_one(camera):
    for shape in SHAPES:
        maps = camera.maps(1.25, shape, -17.0)
        assert maps.dtype == np.float32
        assert maps.min() >= 0
        assert maps.sum(1).max() <= 1 + 1e-6
        assert maps.sum(1).min() > 0.1


def test_highlights_are_on_the_object(camera):
    sphere = camera.maps(1.0, SPHERE, 0.0)
    sky_rows = sphere[:, LIGHT].reshape(SIZE, SIZE)[SIZE // 8 :]
    on_object = sphere[:, OBJECT].reshape(SIZE, SIZE)[SIZE // 8 :] > 0
    assert sky_rows[on_object].max() > 0.1
    assert sky_rows[~on_object].max() == 0


def test_hues_are_those_of_the_hsv_wheel():
    hues = np.linspace(0, 1, 41)
    expected = [colorsys.hsv_to_rgb(h, 1, 1) for h in hues]
    np.testing.assert_allclose(hue_to_rgb(hues), expected, atol=1e-12)
