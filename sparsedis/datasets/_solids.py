"""Solids of the 3D Shapes room: their sizes, the rays that meet them, their normals.

The room is described in a fixed frame, z up, with the object at the origin. Vectors
have their coordinates on the first axis, so that those of each lie together in memory.
"""

import numpy as np

SHAPE_NAMES = ("cube", "cylinder", "sphere", "capsule")
CUBE, CYLINDER, SPHERE, CAPSULE = range(4)

# Half sizes at scale 1: radius (half side for the cube) and half height.
_RADIUS = (0.47, 0.47, 0.60, 0.40)
_HALF_HEIGHT = (0.47, 0.55, 0.60, 0.75)

_TINY = 1e-12


def dot(a, b):
    """Scalar products of vectors."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def normalise(a):
    """Vectors of norm 1 in the same directions."""
    return a / np.sqrt(dot(a, a))


def object_size(shape, scale):
    """Radius (half side of the cube) and half height of the object."""
    return _RADIUS[shape] * scale, _HALF_HEIGHT[shape] * scale


def bounding_radius(shape, scale):
    """Radius of the smallest sphere about the object's centre that holds it."""
    radius, half = object_size(shape, scale)
    if shape == CUBE:
        return np.sqrt(3.0) * half
    return np.hypot(radius, half) if shape == CYLINDER else half


def hit_object(shape, scale, origin, direction):
    """Distance at which rays enter the object that stands on the floor at the origin.

    Parameters
    ----------
    shape : int
        0 cube, 1 cylinder, 2 sphere, 3 capsule.
    scale : float
        Size of the object.
    origin, direction : ndarray of shape (3, ...)
        Rays in the frame of the room, with directions of norm 1.

    Returns
    -------
    ndarray of shape (...)
        Distance along the ray, inf where it misses.
    """
    radius, half = object_size(shape, scale)
    x, y, z = origin
    z = z - half
    offset = x, y, z
    if shape == SPHERE:
        return _intersect(_interval_sphere(offset, direction, radius))
    if shape == CUBE:
        return _intersect(
            *(
                # The cube's sides are parallel to the walls.
                _interval_slab(
                    (x + sign * y) / np.sqrt(2),
                    (direction[0] + sign * direction[1]) / np.sqrt(2),
                    half,
                )
                for sign in (1.0, -1.0)
            ),
            _interval_slab(z, direction[2], half),
        )
    tube = _interval_tube(offset, direction, radius)
    if shape == CYLINDER:
        return _intersect(tube, _interval_slab(z, direction[2], half))
    middle = half - radius  # half length of the capsule's straight part
    side = _intersect(tube, _interval_slab(z, direction[2], middle))
    caps = [
        _intersect(_interval_sphere((x, y, z - end), direction, radius))
        for end in (-middle, middle)
    ]
    return np.minimum.reduce([side, *caps])


def normal_object(shape, scale, point):
    """Outward unit normals of the object at points of its surface, (3, n)."""
    radius, half = object_size(shape, scale)
    x, y, z = point
    z = z - half
    if shape in (SPHERE, CAPSULE):
        if shape == CAPSULE:
            middle = half - radius
            z = z - np.clip(z, -middle, middle)
        return np.stack([x, y, z]) / radius
    if shape == CYLINDER:
        side = np.stack([x, y, np.zeros_like(z)]) / radius
    else:
        first, second = x + y, x - y
        on_first = np.abs(first) > np.abs(second)
        along = np.sign(np.where(on_first, first, second)) / np.sqrt(2)
        side = np.stack([along, np.where(on_first, along, -along), np.zeros_like(z)])
    up = np.zeros_like(side)
    up[2] = np.sign(z)
    return np.where(np.abs(z) > half * (1 - 1e-9), up, side)


def _interval_sphere(offset, direction, radius):
    """Entry and exit of unit-speed rays in a sphere; ``offset`` is origin - centre."""
    b = dot(offset, direction)
    disc = b * b - dot(offset, offset) + radius * radius
    root = np.sqrt(np.maximum(disc, 0.0))
    near = np.where(disc > 0, -b - root, np.inf)
    return near, np.where(disc > 0, -b + root, -np.inf)


def _interval_slab(offset, direction, half):
    """Entry and exit in the slab ``|x| <= half`` along one coordinate."""
    direction = np.where(np.abs(direction) < _TINY, _TINY, direction)
    a, b = (-half - offset) / direction, (half - offset) / direction
    return np.minimum(a, b), np.maximum(a, b)


def _interval_tube(offset, direction, radius):
    """Entry and exit in the infinite vertical cylinder of the given radius."""
    a = np.maximum(direction[0] ** 2 + direction[1] ** 2, _TINY)
    b = offset[0] * direction[0] + offset[1] * direction[1]
    c = offset[0] ** 2 + offset[1] ** 2 - radius * radius
    disc = b * b - a * c
    root = np.sqrt(np.maximum(disc, 0.0))
    near = np.where(disc > 0, (-b - root) / a, np.inf)
    return near, np.where(disc > 0, (-b + root) / a, -np.inf)


def _intersect(*intervals):
    """Entry in an intersection of convex solids, inf for the rays that miss it."""
    near = np.maximum.reduce([n for n, _ in intervals])
    far = np.minimum.reduce([f for _, f in intervals])
    return np.where((near <= far) & (far > 0), near, np.inf)
