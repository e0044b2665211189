"""Solids against signed distances."""

import numpy as np
import pytest

from sparsedis.datasets._solids import (
    CAPSULE,
    CUBE,
    CYLINDER,
    SPHERE,
    hit_object,
    normal_object,
    object_size,
)

SHAPES = (CUBE, CYLINDER, SPHERE, CAPSULE)


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
    t = hit_object(shape, scale, origin.T, direction.T)
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
    t = hit_object(shape, 1.1, origin.T, direction.T)
    hit = np.isfinite(t)
    point = origin[hit] + t[hit, None] * direction[hit]
    normal = normal_object(shape, 1.1, point.T).T
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
    t = hit_object(shape, 1.2, origin.T, direction.T)
    _, half = object_size(shape, 1.2)
    np.testing.assert_allclose(t, [10 - 2 * half, 10], atol=1e-3)
