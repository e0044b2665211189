"""The lamp of the 3D Shapes room, and the shadows that it casts."""

from functools import lru_cache

import numpy as np

from ._solids import bounding_radius, dot, hit_object, normalise, object_size

# A round lamp, fixed in the room to the left of the camera's arc: shadows turn with it.
LAMP = np.array([-2.0, -2.6, 5.2])
_RADIUS = 0.55
_N_SAMPLES = 24


@lru_cache(maxsize=1)
def _samples():
    """Points of the lamp, a sunflower pattern on a disc that faces the origin."""
    towards = -LAMP / np.linalg.norm(LAMP)
    u = np.cross(towards, [0.0, 0.0, 1.0])
    u /= np.linalg.norm(u)
    v = np.cross(towards, u)
    k = np.arange(_N_SAMPLES)
    r = _RADIUS * np.sqrt((k + 0.5) / _N_SAMPLES)
    angle = k * np.pi * (3 - np.sqrt(5))
    return (
        LAMP[:, None] + np.outer(u, r * np.cos(angle)) + np.outer(v, r * np.sin(angle))
    )


class LampView:
    """How much of the lamp points of the room see.

    Parameters
    ----------
    points : ndarray of shape (3, n)
    """

    def __init__(self, points):
        self.points = points
        towards = LAMP[:, None] - points
        self._distance = np.sqrt(dot(towards, towards))
        towards /= self._distance
        self._rise = towards[2]
        self._along = dot(points, towards)
        self._square = dot(points, points)

    def visible(self, shape, scale, seen=True):
        """Share of the lamp that the points see past an object.

        Parameters
        ----------
        shape : int

        scale : float

        seen : bool or ndarray of shape (n,)
            Points to tell it of; it is 1 at the others.

        Returns
        -------
        ndarray of shape (n,)
        """
        _, half = object_size(shape, scale)
        bound = bounding_radius(shape, scale)
        # From the centre of the object, along the ray to the centre of the lamp.
        along = self._along - half * self._rise
        square = self._square + half * (half - 2 * self.points[2])
        # The rays to the lamp fill a cone; this is its radius past the object.
        cone = _RADIUS * np.clip((bound - along) / self._distance, 0.0, 1.0)
        near = np.flatnonzero(seen & (square - along * along < (bound + cone) ** 2))
        visible = np.ones(self.points.shape[1])
        if near.size:
            origin = self.points[:, near, None]
            towards = normalise(_samples()[:, None] - origin)
            visible[near] = np.isinf(hit_object(shape, scale, origin, towards)).mean(1)
        return visible
