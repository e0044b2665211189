"""Ray casting of the 3D Shapes room: from geometry to maps that are linear in colour.

The room is described in a fixed frame, z up, with the object at the origin. The
camera is on a circle about the z axis, the orientation factor is its azimuth. An image
is ``sum_m maps[..., m] * colour_m`` over the materials floor, wall, object and light
(sky and highlights), so that the costly part depends on scale, shape and orientation
only.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ._lamp import LAMP, LampView
from ._solids import (
    bounding_radius,
    dot,
    hit_object,
    normal_object,
    normalise,
    object_size,
)

# Materials, in the order of the last axis of the maps.
FLOOR, WALL, OBJECT, LIGHT = range(4)
N_MATERIALS = 4
LIGHT_RGB = (0.84, 0.93, 1.0)  # sky and highlights

# Camera: distance and height above the floor, the point it looks at, field of view.
_CAMERA_DISTANCE, _CAMERA_HEIGHT = 4.2, 2.4
_TARGET_HEIGHT = 0.78
_FIELD_OF_VIEW = np.deg2rad(40.0)

# Room: the corner lies behind the object on the y axis, each wall at 45 degrees to it.
_CORNER = 2.9
_WALL_HEIGHT = 2.05
_PLANES = (
    # inward normal, a point of the plane
    (np.array([0.0, 0.0, 1.0]), np.array([0.0, 0.0, 0.0])),  # floor
    (np.array([1.0, -1.0, 0.0]) / np.sqrt(2), np.array([0.0, _CORNER, 0.0])),  # left
    (np.array([-1.0, -1.0, 0.0]) / np.sqrt(2), np.array([0.0, _CORNER, 0.0])),  # right
)

_AMBIENT, _DIFFUSE = 0.46, 0.54
_HIGHLIGHT = 0.30
_SKY = (0.95, 0.80)  # level at the bottom and at the top of the image

_TINY = 1e-12


@dataclass(frozen=True, eq=False)
class _EmptyRoom:
    """What the samples of the room without an object see.

    Attributes
    ----------
    eye : ndarray of shape (3,)
    surface : ndarray of shape (n_pixels, n_samples)
        Number of the plane that a sample sees; one more for the sky.
    shares : ndarray of shape (n_planes + 1, n_pixels)
        Share of the samples of each pixel that see each plane, and the sky.
    plane, pixel : ndarray of shape (n,)
        Pairs of a plane and a pixel that shows some of it.
    light : ndarray of shape (n,)
        How directly the light of the lamp comes to the points of the pairs.
    lamp : LampView
        The lamp, seen from these points.
    """

    eye: np.ndarray
    surface: np.ndarray
    shares: np.ndarray
    plane: np.ndarray
    pixel: np.ndarray
    light: np.ndarray
    lamp: LampView


class RoomCamera:
    """Pixel maps of the room for one image size.

    Parameters
    ----------
    image_size : int
        Height and width of the image, in pixels.
    supersampling : int, default=4
        Rays per pixel and axis.
    """

    def __init__(self, image_size, supersampling=4):
        self.image_size = image_size
        self.supersampling = supersampling
        self._centres = self._rays(1).reshape(3, -1)
        rays = self._rays(supersampling)
        # (3, n_pixels, supersampling ** 2): the samples of a pixel lie together.
        self._samples = (
            rays.reshape(3, image_size, supersampling, image_size, supersampling)
            .transpose(0, 1, 3, 2, 4)
            .reshape(3, image_size**2, supersampling**2)
        )
        strip = np.linspace(_SKY[1], _SKY[0], image_size)
        self._sky = np.repeat(strip, image_size)
        # A product with it is a mean over the samples.
        self._mean = np.full(supersampling**2, supersampling**-2.0)
        # The room without an object, of the orientations seen last: all those of the
        # grid, fewer where images are so large that they would need much memory.
        n_kept = int(np.clip(2**18 // image_size**2, 1, 16))
        self._background = lru_cache(maxsize=n_kept)(self._make_background)

    def _rays(self, per_pixel):
        """Unit directions through the pixels, camera at azimuth 0."""
        n = self.image_size * per_pixel
        forward = normalise(
            np.array([0.0, _CAMERA_DISTANCE, _TARGET_HEIGHT - _CAMERA_HEIGHT])
        )
        up = np.array([0.0, -forward[2], forward[1]])
        s = np.tan(_FIELD_OF_VIEW / 2) * ((np.arange(n) + 0.5) * 2 / n - 1)
        right = np.array([1.0, 0.0, 0.0])
        forward, up, right = (v[:, None, None] for v in (forward, up, right))
        return normalise(forward + s * right - s[:, None] * up)

    @staticmethod
    def _turn(vectors, orientation):
        """Rotate vectors about the z axis by ``orientation`` degrees."""
        c, s = np.cos(np.deg2rad(orientation)), np.sin(np.deg2rad(orientation))
        x, y, z = vectors
        return np.stack([c * x - s * y, s * x + c * y, z])

    def _make_background(self, orientation):
        """The room as seen from one orientation."""
        eye = self._turn(
            np.array([0.0, -_CAMERA_DISTANCE, _CAMERA_HEIGHT]), orientation
        )

        def distance(rays, normal, point):
            along = dot(normal, rays)
            # Rays that leave the plane never meet it.
            along = np.where(along < -_TINY, along, -_TINY)
            return dot(normal, point - eye) / along

        samples = self._turn(self._samples, orientation)
        t = np.stack([distance(samples, *plane) for plane in _PLANES])
        surface = t.argmin(0).astype(np.int8)
        height = eye[2] + t.min(0) * samples[2]
        surface[height > _WALL_HEIGHT] = len(_PLANES)  # sky
        shares = self._shares(surface)
        rays = self._turn(self._centres, orientation)
        points, lights = [], []
        plane, pixel = np.nonzero(shares[:-1])
        for number, (normal, point) in enumerate(_PLANES):
            seen = rays[:, pixel[plane == number]]
            # Pixels whose centre does not show the plane have some point of it, nearby.
            found = eye[:, None] + np.minimum(distance(seen, normal, point), 50) * seen
            points.append(found)
            light = dot(normal, normalise(LAMP[:, None] - found))
            lights.append(np.maximum(light, 0.0))
        light, lamp = np.concatenate(lights), LampView(np.concatenate(points, 1))
        return _EmptyRoom(eye, surface, shares, plane, pixel, light, lamp)

    def _shares(self, surface):
        """Shares of the samples that see each plane, and the sky."""
        numbers = range(len(_PLANES) + 1)
        return np.stack([(surface == number) @ self._mean for number in numbers])

    def maps(self, scale, shape, orientation):
        """Weight of each material's colour at each pixel.

        Parameters
        ----------
        scale : float
            Size of the object.
        shape : int
            0 cube, 1 cylinder, 2 sphere, 3 capsule.
        orientation : float
            Azimuth of the camera, in degrees.

        Returns
        -------
        ndarray of shape (image_size ** 2, 4), float32
            Weights in [0, 1], with a sum of at most 1 at each pixel.
        """
        orientation, scale = float(orientation), float(scale)
        room = self._background(orientation)
        eye = room.eye

        # Only pixels near the projection of the bounding sphere can show the object.
        offset = eye - [0.0, 0.0, object_size(shape, scale)[1]]
        rays = self._turn(self._centres, orientation)
        miss = np.sqrt(np.maximum(dot(offset, offset) - dot(offset, rays) ** 2, 0.0))
        pixel = 2 * np.linalg.norm(offset) * np.tan(_FIELD_OF_VIEW / 2)
        near = miss < bounding_radius(shape, scale) + pixel / self.image_size
        inside = np.flatnonzero(near)

        rays = self._turn(self._samples[:, inside], orientation)
        t = hit_object(shape, scale, eye, rays)
        hit = np.isfinite(t)
        where = np.flatnonzero(hit)
        rays, t = rays.reshape(3, -1).take(where, axis=1), t.take(where)
        shade, gloss = self._shade(shape, scale, eye, rays, t)
        shares = room.shares.copy()
        shares[:, inside] = self._shares(np.where(hit, -1, room.surface[inside]))
        share = shares[room.plane, room.pixel]
        visible = room.lamp.visible(shape, scale, share > 0)
        seen = share * (_AMBIENT + _DIFFUSE * room.light * visible)
        out = np.zeros((self.image_size**2, N_MATERIALS), dtype=np.float32)
        of_floor = room.plane == 0
        for material, at in ((FLOOR, of_floor), (WALL, ~of_floor)):
            # Near the corner, a pixel shows two walls.
            out[:, material] = np.bincount(room.pixel[at], seen[at], len(out))
        out[:, LIGHT] = shares[-1] * self._sky
        on_object = np.zeros((2, hit.size))
        # A highlight replaces the object's colour: the weights never exceed 1.
        on_object[0, where] = shade - gloss * shade
        on_object[1, where] = gloss
        colour, highlight = on_object.reshape(2, *hit.shape) @ self._mean
        out[inside, OBJECT] = colour
        out[inside, LIGHT] += highlight
        return out

    @staticmethod
    def _shade(shape, scale, eye, rays, t):
        """Light of the object's colour, and of the lamp, that rays find at `t`."""
        point = eye[:, None] + t * rays
        normal = normal_object(shape, scale, point)
        light = normalise(LAMP[:, None] - point)
        facing = np.maximum(dot(normal, light), 0.0)
        # Surfaces that look down get less of the ambient light.
        shade = _AMBIENT * (0.8 + 0.2 * normal[2]) + _DIFFUSE * facing
        halfway = normalise(light - rays)
        # To the power of 40, by squares: other powers take ten times as long.
        eighth = ((np.maximum(dot(normal, halfway), 0.0) ** 2) ** 2) ** 2
        gloss = eighth * (eighth**2) ** 2
        return shade, _HIGHLIGHT * gloss * (facing > 0)


def hue_to_rgb(hue):
    """Fully saturated colours of hues; hue 1 is hue 0 again.

    Parameters
    ----------
    hue : array-like of shape (...)
        Hues, one turn of the colour wheel per unit.

    Returns
    -------
    ndarray of shape (..., 3), float64
        Red, green and blue in [0, 1].
    """
    hue = np.asarray(hue, dtype=float)[..., None] % 1.0
    # Each channel is a trapezoid of the hue, a third of a turn from the next one.
    return np.clip(np.abs((hue * 6 + np.array([0, 4, 2])) % 6 - 3) - 1, 0, 1)
