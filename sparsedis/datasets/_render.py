"""Ray casting of the 3D Shapes room: from geometry to maps that are linear in colour.

The room is described in a fixed frame, z up, with the object at the origin. The
camera is on a circle about the z axis, the orientation factor is its azimuth. An image
is ``sum_m maps[..., m] * colour_m`` over the materials floor, wall, object and light
(sky and highlights), so that the costly part depends on scale, shape and orientation
only.
"""

from functools import lru_cache

import numpy as np

# Materials, in the order of the last axis of the maps.
FLOOR, WALL, OBJECT, LIGHT = range(4)
N_MATERIALS = 4
LIGHT_RGB = (0.84, 0.93, 1.0)  # sky and highlights

SHAPE_NAMES = ("cube", "cylinder", "sphere", "capsule")
CUBE, CYLINDER, SPHERE, CAPSULE = range(4)

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

# A round lamp, fixed in the room to the left of the camera's arc: shadows turn with it.
_LIGHT = np.array([-2.0, -2.6, 5.2])
_LIGHT_RADIUS = 0.55
_N_LIGHT_SAMPLES = 24
_AMBIENT, _DIFFUSE = 0.46, 0.54
_HIGHLIGHT, _SHININESS = 0.30, 40.0
_SKY = (0.95, 0.80)  # level at the bottom and at the top of the image

# Half sizes at scale 1: radius (half side for the cube) and half height.
_RADIUS = (0.47, 0.47, 0.60, 0.40)
_HALF_HEIGHT = (0.47, 0.55, 0.60, 0.75)

_TINY = 1e-12


def _dot(a, b):
    return a[..., 0] * b[..., 0] + a[..., 1] * b[..., 1] + a[..., 2] * b[..., 2]


def _normalise(a):
    return a / np.sqrt(_dot(a, a))[..., None]


def _interval_sphere(offset, direction, radius):
    """Entry and exit of unit-speed rays in a sphere; ``offset`` is origin - centre."""
    b = _dot(offset, direction)
    disc = b * b - _dot(offset, offset) + radius * radius
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
    a = np.maximum(direction[..., 0] ** 2 + direction[..., 1] ** 2, _TINY)
    b = offset[..., 0] * direction[..., 0] + offset[..., 1] * direction[..., 1]
    c = offset[..., 0] ** 2 + offset[..., 1] ** 2 - radius * radius
    disc = b * b - a * c
    root = np.sqrt(np.maximum(disc, 0.0))
    near = np.where(disc > 0, (-b - root) / a, np.inf)
    return near, np.where(disc > 0, (-b + root) / a, -np.inf)


def _intersect(*intervals):
    """Entry in an intersection of convex solids, inf for the rays that miss it."""
    near = np.maximum.reduce([n for n, _ in intervals])
    far = np.minimum.reduce([f for _, f in intervals])
    return np.where((near <= far) & (far > 0), near, np.inf)


def object_size(shape, scale):
    """Radius (half side of the cube) and half height of the object."""
    return _RADIUS[shape] * scale, _HALF_HEIGHT[shape] * scale


def _bounding_radius(shape, scale):
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
    origin, direction : ndarray of shape (..., 3)
        Rays in the frame of the room, with directions of norm 1.

    Returns
    -------
    ndarray of shape (...)
        Distance along the ray, inf where it misses.
    """
    radius, half = object_size(shape, scale)
    offset = origin - np.array([0.0, 0.0, half])
    if shape == SPHERE:
        return _intersect(_interval_sphere(offset, direction, radius))
    slab = _interval_slab(offset[..., 2], direction[..., 2], half)
    if shape == CUBE:
        return _intersect(
            *(
                # The cube's sides are parallel to the walls.
                _interval_slab(
                    (offset[..., 0] + sign * offset[..., 1]) / np.sqrt(2),
                    (direction[..., 0] + sign * direction[..., 1]) / np.sqrt(2),
                    half,
                )
                for sign in (1.0, -1.0)
            ),
            slab,
        )
    if shape == CYLINDER:
        return _intersect(_interval_tube(offset, direction, radius), slab)
    middle = half - radius  # half length of the capsule's straight part
    caps = [
        _intersect(_interval_sphere(offset - np.array([0, 0, end]), direction, radius))
        for end in (-middle, middle)
    ]
    side = _intersect(
        _interval_tube(offset, direction, radius),
        _interval_slab(offset[..., 2], direction[..., 2], middle),
    )
    return np.minimum.reduce([side, *caps])


def normal_object(shape, scale, point):
    """Outward unit normals of the object at points of its surface."""
    radius, half = object_size(shape, scale)
    p = point - np.array([0.0, 0.0, half])
    if shape == SPHERE:
        return p / radius
    if shape == CAPSULE:
        middle = half - radius
        p[..., 2] -= np.clip(p[..., 2], -middle, middle)
        return p / radius
    on_top = np.abs(p[..., 2]) > half * (1 - 1e-9)
    if shape == CYLINDER:
        side = np.stack([p[..., 0], p[..., 1], np.zeros_like(p[..., 0])], -1) / radius
    else:
        axes = np.array([[1.0, 1.0, 0.0], [1.0, -1.0, 0.0]]) / np.sqrt(2)
        coord = p @ axes.T
        first = np.abs(coord[..., 0]) > np.abs(coord[..., 1])
        side = np.where(
            first[..., None],
            np.sign(coord[..., :1]) * axes[0],
            np.sign(coord[..., 1:]) * axes[1],
        )
    up = np.zeros_like(p)
    up[..., 2] = np.sign(p[..., 2])
    return np.where(on_top[..., None], up, side)


@lru_cache(maxsize=1)
def _light_samples():
    """Points of the lamp, a sunflower pattern on a disc that faces the origin."""
    towards = -_LIGHT / np.linalg.norm(_LIGHT)
    u = np.cross(towards, [0.0, 0.0, 1.0])
    u /= np.linalg.norm(u)
    v = np.cross(towards, u)
    k = np.arange(_N_LIGHT_SAMPLES)
    r = _LIGHT_RADIUS * np.sqrt((k + 0.5) / _N_LIGHT_SAMPLES)
    angle = k * np.pi * (3 - np.sqrt(5))
    return _LIGHT + np.outer(r * np.cos(angle), u) + np.outer(r * np.sin(angle), v)


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
        self._centres = self._rays(1).reshape(-1, 3)
        rays = self._rays(supersampling)
        # (n_pixels, supersampling ** 2, 3): the samples of a pixel lie together.
        self._samples = (
            rays.reshape(image_size, supersampling, image_size, supersampling, 3)
            .transpose(0, 2, 1, 3, 4)
            .reshape(image_size**2, supersampling**2, 3)
        )
        # The room without an object, of the orientations seen last: all those of the
        # grid, fewer where images are so large that they would need much memory.
        n_kept = int(np.clip(2**18 // image_size**2, 1, 16))
        self._background = lru_cache(maxsize=n_kept)(self._make_background)

    def _rays(self, per_pixel):
        """Unit directions through the pixels, camera at azimuth 0."""
        n = self.image_size * per_pixel
        forward = _normalise(
            np.array([0.0, _CAMERA_DISTANCE, _TARGET_HEIGHT - _CAMERA_HEIGHT])
        )
        up = np.array([0.0, -forward[2], forward[1]])
        s = np.tan(_FIELD_OF_VIEW / 2) * ((np.arange(n) + 0.5) * 2 / n - 1)
        right = np.array([1.0, 0.0, 0.0])
        rays = forward + s[None, :, None] * right - s[:, None, None] * up
        return _normalise(rays)

    @staticmethod
    def _turn(vectors, orientation):
        """Rotate vectors about the z axis by ``orientation`` degrees."""
        c, s = np.cos(np.deg2rad(orientation)), np.sin(np.deg2rad(orientation))
        return vectors @ np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]])

    def _make_background(self, orientation):
        """Surface that each sample sees, and points and light of the planes."""
        eye = self._turn(
            np.array([0.0, -_CAMERA_DISTANCE, _CAMERA_HEIGHT]), orientation
        )

        def distance(rays, normal, point):
            along = rays @ normal
            # Rays that leave the plane never meet it.
            along = np.where(along < -_TINY, along, -_TINY)
            return ((point - eye) @ normal) / along

        samples = self._turn(self._samples, orientation)
        t = np.stack([distance(samples, *plane) for plane in _PLANES])
        surface = t.argmin(0).astype(np.int8)
        height = eye[2] + t.min(0) * samples[..., 2]
        surface[height > _WALL_HEIGHT] = len(_PLANES)  # sky

        rays = self._turn(self._centres, orientation)
        points, lights = [], []
        for normal, point in _PLANES:
            # Pixels that do not show the plane have some point of it, nearby.
            hit = eye + np.minimum(distance(rays, normal, point), 50.0)[:, None] * rays
            points.append(hit)
            lights.append(np.maximum(_normalise(_LIGHT - hit) @ normal, 0.0))
        sky = np.repeat(np.linspace(_SKY[1], _SKY[0], self.image_size), self.image_size)
        return eye, surface, points, lights, sky

    def _visibility(self, points, shape, scale):
        """Share of the lamp that points of the room see past the object."""
        _, half = object_size(shape, scale)
        bound = _bounding_radius(shape, scale)
        towards = _LIGHT - points
        distance = np.sqrt(_dot(towards, towards))
        towards /= distance[:, None]
        offset = points - np.array([0.0, 0.0, half])
        b = _dot(offset, towards)
        # The rays to the lamp fill a cone; this is its radius past the object.
        cone = _LIGHT_RADIUS * np.clip((bound - b) / distance, 0.0, 1.0)
        near = np.flatnonzero(_dot(offset, offset) - b * b < (bound + cone) ** 2)
        visible = np.ones(len(points))
        if near.size:
            towards = _normalise(_light_samples() - points[near, None])
            free = np.isinf(hit_object(shape, scale, points[near, None], towards))
            visible[near] = free.mean(1)
        return visible

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
        eye, surface, points, lights, sky = self._background(orientation)

        # Only pixels near the projection of the bounding sphere can show the object.
        centre = np.array([0.0, 0.0, object_size(shape, scale)[1]])
        bound = _bounding_radius(shape, scale)
        offset = eye - centre
        rays = self._turn(self._centres, orientation)
        miss = np.sqrt(np.maximum(offset @ offset - (rays @ offset) ** 2, 0.0))
        pixel = 2 * np.linalg.norm(offset) * np.tan(_FIELD_OF_VIEW / 2)
        inside = np.flatnonzero(miss < bound + pixel / self.image_size)

        rays = self._turn(self._samples[inside], orientation)
        t = hit_object(shape, scale, eye, rays)
        hit = np.isfinite(t)
        rays, t = rays[hit], t[hit]
        point = eye + t[:, None] * rays
        normal = normal_object(shape, scale, point)
        light = _normalise(_LIGHT - point)
        facing = np.maximum(_dot(normal, light), 0.0)
        shade = np.zeros(hit.shape)
        # Surfaces that look down get less of the ambient light.
        ambient = _AMBIENT * (0.8 + 0.2 * normal[:, 2])
        shade[hit] = ambient + _DIFFUSE * facing
        halfway = _normalise(light - rays)
        gloss = np.zeros(hit.shape)
        gloss[hit] = (
            _HIGHLIGHT * np.maximum(_dot(normal, halfway), 0.0) ** _SHININESS
        ) * (facing > 0)

        surface = surface.copy()
        surface[inside] = np.where(hit, -1, surface[inside])
        out = np.zeros((self.image_size**2, N_MATERIALS), dtype=np.float32)
        for plane, material in enumerate((FLOOR, WALL, WALL)):
            share = (surface == plane).mean(1)
            seen = np.flatnonzero(share)
            visible = self._visibility(points[plane][seen], shape, scale)
            shading = _AMBIENT + _DIFFUSE * lights[plane][seen] * visible
            out[seen, material] += share[seen] * shading
        out[:, LIGHT] = (surface == len(_PLANES)).mean(1) * sky
        out[inside, OBJECT] = shade.mean(1)
        # A highlight replaces the object's colour: the weights never exceed 1.
        out[inside, OBJECT] -= (gloss * shade).mean(1)
        out[inside, LIGHT] += gloss.mean(1)
        return out


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
