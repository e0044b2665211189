"""The ray caster against closed forms and signed distances of the solids."""

import colorsys

import numpy as np
import pytest

from sparsedis.datasets import _render
from sparsedis.datasets._render import (
    CAPSULE,
    CUBE,
    CYLINDER,
    FLOOR,
    LIGHT,
    OBJECT,
    SPHERE,
    WALL,
    RoomCamera,
    hit_object,
    hue_to_rgb,
    normal_object,
    object_size,
)

SHAPES = (CUBE, CYLINDER, SPHERE, CAPSULE)
SIZE = 32


@pytest.fixture(scope="module")
def camera():
    return RoomCamera(SIZE)


def signed_distance(shape, scale, x):
    """Textbook signed distances, positive outside."""
    radius, half = object_size(shape, scale)
    x = x - np.array([0, 0, half])
    if shape == SPHERE:
        return np.linalg.norm(x, axis=-1) - radius
    if shape == CAPSULE:
        z = np.clip(x[..., 2], -(half - radius), half - radius)
        axis = np.stack([np.zeros_like(z), np.zeros_like(z), z], -1)
        return np.linalg.norm(x - axis, axis=-1) - radius
    if shape == CYLINDER:
        q = np.stack(
            [np.hypot(x[..., 0], x[..., 1]) - radius, np.abs(x[..., 2]) - half], -1
        )
    else:
        turned = np.stack([x[..., 0] + x[..., 1], x[..., 0] - x[..., 1]], -1) / np.sqrt(
            2
        )
        q = np.abs(np.concatenate([turned, x[..., 2:]], -1)) - half
    outside = np.linalg.norm(np.maximum(q, 0), axis=-1)
    return outside + np.minimum(q.max(-1), 0)


def random_rays(n=400, seed=0):
    rng = np.random.default_rng(seed)
    origin = rng.normal(size=(n, 3))
    origin *= 4 / np.linalg.norm(origin, axis=1, keepdims=True)
    towards = rng.uniform(-0.9, 0.9, size=(n, 3)) + [0, 0, 0.6] - origin
    return origin, towards / np.linalg.norm(towards, axis=1, keepdims=True)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scale", [0.75, 1.25])
def test_hits_lie_on_the_surface_and_are_the_first(shape, scale):
    origin, direction = random_rays()
    t = hit_object(shape, scale, origin, direction)
    hit = np.isfinite(t)
    assert 0.1 < hit.mean() < 0.95  # both cases are exercised

    point = origin[hit] + t[hit, None] * direction[hit]
    assert np.abs(signed_distance(shape, scale, point)).max() < 1e-9

    steps = np.linspace(0, 8, 801)[:, None, None]
    distance = signed_distance(shape, scale, origin + steps * direction)
    # Nothing is inside before the hit, or ever on a ray that misses. The distance
    # has slope at most 1, so a step of .01 can miss a dip of depth .005 at most.
    before = steps[..., 0] < t - 1e-9
    assert (distance[before] > 0).all()
    assert (distance[:, ~hit].min(0) > -0.005).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_normals_are_the_gradient_of_the_distance(shape):
    origin, direction = random_rays(seed=1)
    t = hit_object(shape, 1.1, origin, direction)
    hit = np.isfinite(t)
    point = origin[hit] + t[hit, None] * direction[hit]
    normal = normal_object(shape, 1.1, point)
    h = 1e-5
    gradient = np.stack(
        [
            (
                signed_distance(shape, 1.1, point + h * e)
                - signed_distance(shape, 1.1, point - h * e)
            )
            / (2 * h)
            for e in np.eye(3)
        ],
        -1,
    )
    smooth = np.abs(np.linalg.norm(gradient, axis=1) - 1) < 1e-3  # off the edges
    assert smooth.mean() > 0.95
    np.testing.assert_allclose(normal[smooth], gradient[smooth], atol=1e-3)
    # A surface that is seen faces the viewer.
    assert (np.einsum("ij,ij->i", normal, direction[hit]) < 1e-9).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_objects_stand_on_the_floor(shape):
    direction = np.array([[0.0, 0.0, -1.0], [0.0, 0.0, 1.0]])
    origin = np.array([[0.01, 0.0, 10.0], [0.01, 0.0, -10.0]])
    t = hit_object(shape, 1.2, origin, direction)
    _, half = object_size(shape, 1.2)
    np.testing.assert_allclose(t, [10 - 2 * half, 10], atol=1e-3)


def test_silhouette_of_the_sphere_is_a_cone(camera):
    # At distance d, a sphere of radius r covers the rays within asin(r / d) of its
    # centre.
    radius, half = object_size(SPHERE, 1.0)
    eye = np.array([0, -_render._CAMERA_DISTANCE, _render._CAMERA_HEIGHT])
    to_centre = np.array([0, 0, half]) - eye
    distance = np.linalg.norm(to_centre)
    cosine = camera._samples @ (to_centre / distance)
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


def test_shadow_falls_away_from_the_lamp(camera):
    ground = _render._LIGHT * [1, 1, 0] / np.linalg.norm(_render._LIGHT[:2])
    line = np.linspace(0.65, 3, 100)[:, None] * ground
    assert (camera._visibility(line, SPHERE, 1.0) == 1).all()
    # The line from the lamp through the centre of the sphere ends in full shadow.
    centre = np.array([0, 0, object_size(SPHERE, 1.0)[1]])
    ray = centre - _render._LIGHT
    end = centre + ray * centre[2] / -ray[2]
    assert camera._visibility(end[None], SPHERE, 1.0) == 0
    # Between shadow and light there is a penumbra.
    visible = camera._visibility(-line, SPHERE, 1.0)
    assert visible[-1] == 1
    assert ((visible > 0.1) & (visible < 0.9)).sum() >= 3


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
