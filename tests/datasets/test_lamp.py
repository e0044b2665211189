"""Shadows of the lamp."""

import numpy as np
import pytest

from sparsedis.datasets import _lamp
from sparsedis.datasets._lamp import LAMP, LampView
from sparsedis.datasets._solids import SPHERE, hit_object, normalise, object_size


def visible(points):
    return LampView(points.T).visible(SPHERE, 1.0)


def test_shadow_falls_away_from_the_lamp():
    ground = LAMP * [1, 1, 0] / np.linalg.norm(LAMP[:2])
    line = np.linspace(0.65, 3, 100)[:, None] * ground
    assert (visible(line) == 1).all()
    # The line from the lamp through the centre of the sphere ends in full shadow.
    centre = np.array([0, 0, object_size(SPHERE, 1.0)[1]])
    ray = centre - LAMP
    end = centre + ray * centre[2] / -ray[2]
    assert visible(end[None]) == 0
    # Between shadow and light there is a penumbra.
    share = visible(-line)
    assert share[-1] == 1
    assert ((share > 0.1) & (share < 0.9)).sum() >= 3


@pytest.mark.parametrize("shape", range(4))
def test_rays_that_are_left_out_would_not_meet_the_object(shape):
    x, y = np.meshgrid(np.linspace(-2, 2, 50), np.linspace(-2, 2, 50))
    points = np.stack([x, y, 0.2 * (x + 2)]).reshape(3, -1)
    points = points[:, np.hypot(points[0], points[1]) > 0.9]
    rays = normalise(_lamp._samples()[:, None] - points[:, :, None])
    meets = np.isfinite(hit_object(shape, 1.1, points[:, :, None], rays))
    share = LampView(points).visible(shape, 1.1)
    np.testing.assert_allclose(share, 1 - meets.mean(1), atol=1e-12)
    assert ((share > 0) & (share < 1)).any()
    # Points that are not asked for are in full light.
    share[: share.size // 2] = 1
    asked = np.arange(share.size) >= share.size // 2
    np.testing.assert_array_equal(LampView(points).visible(shape, 1.1, asked), share)
