"""3D Shapes, rendered on demand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ._checks import check_count, check_index
from ._grid import FACTOR_NAMES, FactorGrid
from ._render import LIGHT, LIGHT_RGB, N_MATERIALS, RoomCamera, hue_to_rgb
from ._solids import SHAPE_NAMES

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

# Geometries that are kept, at most: all 480 of them up to 128 x 128 pixels.
_CACHE_BYTES = 128 * 2**20


class Shapes3D(FactorGrid):
    """3D Shapes images, rendered on demand.

    A room with a floor, two walls that meet in a corner and one object on the floor,
    in the likeness of the 3D Shapes data set [1]_, with its six factors and its order
    of images. Nothing is downloaded and the 480,000 images are never stored: an image
    is linear in the colours of floor, wall and object, so each of the 480 geometries
    (scale, shape, orientation) is ray-cast once, when first needed, and an image costs
    one small matrix product.

    ====================  ==================================  ======
    factor                values                              number
    ====================  ==================================  ======
    ``floor_hue``         0, 0.1, ..., 0.9                    10
    ``wall_hue``          0, 0.1, ..., 0.9                    10
    ``object_hue``        0, 0.1, ..., 0.9                    10
    ``scale``             linear in [0.75, 1.25]              8
    ``shape``             0 cube, 1 cylinder, 2 sphere,       4
                          3 capsule
    ``orientation``       linear in [-30, 30], in degrees     15
    ====================  ==================================  ======

    Parameters
    ----------
    image_size : int, default=64
        Height and width of the images in pixels.

    Attributes
    ----------
    factor_names : tuple of str
        Names of the factors, the last one varies fastest in the order of images.

    factor_values : tuple of ndarray
        Values of each factor on the grid.

    factor_sizes : tuple of int
        Number of values of each factor.

    n_images : int
        Number of images of the grid, 480,000.

    image_shape : tuple of int
        Shape of an image, ``(image_size, image_size, 3)``.

    See Also
    --------
    Shapes3DFile : The original images, read from their file.
    FactorDistribution : A distribution over the images of the grid.

    Notes
    -----
    Geometries are kept in at most 128 MiB, which holds all of them up to 128 x 128
    pixels (32 MiB at 64 x 64); they are not part of a pickle.

    References
    ----------
    .. [1] Burgess and Kim, "3D Shapes Dataset", 2018. Section 5.1 and Appendix D.2 of
       "Synergies between Disentanglement and Sparsity" (ICML 2023) use it.

    Examples
    --------
    >>> from sparsedis.datasets import Shapes3D
    >>> shapes = Shapes3D(image_size=32)
    >>> shapes.images([0, 123456]).shape
    (2, 32, 32, 3)
    >>> shapes.factors(123456).round(3)
    array([[ 0.2  ,  0.5  ,  0.7  ,  0.821,  2.   , -4.286]])

    Factors between the points of the grid, the shape apart:

    >>> shapes.render([[0.05, 0.5, 0.15, 0.8, 2, 11.0]]).shape
    (1, 32, 32, 3)
    """

    factor_names = FACTOR_NAMES
    factor_values = (
        np.arange(10) / 10,
        np.arange(10) / 10,
        np.arange(10) / 10,
        np.linspace(0.75, 1.25, 8),
        np.arange(4.0),
        np.linspace(-30.0, 30.0, 15),
    )
    for _values in factor_values:
        _values.setflags(write=False)  # they are shared by all instances
    del _values

    def __init__(self, image_size: int = 64) -> None:
        self.image_size = check_count(image_size, "image_size")
        self._reset()

    def _reset(self):
        self._camera = RoomCamera(self.image_size)
        self._maps = {}
        nbytes = self.image_size**2 * N_MATERIALS * np.dtype(np.float32).itemsize
        self._max_maps = max(1, _CACHE_BYTES // nbytes)

    def __repr__(self):
        return f"{type(self).__name__}(image_size={self.image_size})"

    def __getstate__(self):
        return {"image_size": self.image_size}

    def __setstate__(self, state):
        self.image_size = state["image_size"]
        self._reset()

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Shape of an image, ``(image_size, image_size, 3)``."""
        return (self.image_size, self.image_size, 3)

    def images(self, index: ArrayLike) -> np.ndarray:
        """Render images of the grid.

        Parameters
        ----------
        index : int or array-like of int of shape (n,)
            Indices of images, in any order and with repetitions.

        Returns
        -------
        ndarray of shape (n, image_size, image_size, 3), uint8
            The images.

        Raises
        ------
        ValueError
            When an index is not an integer in ``[0, n_images)``.
        """
        index = check_index(index, self.n_images)
        # The hues are the slow half of the index, the geometry the fast one.
        hues, geometry = np.divmod(index, np.prod(self.factor_sizes[3:]))
        hues = np.stack(np.unravel_index(hues, self.factor_sizes[:3]), axis=1) / 10
        out = np.empty((len(index), *self.image_shape), dtype=np.uint8)
        # One geometry after the other, so that its maps stay in the processor's cache.
        order = np.argsort(geometry, kind="stable")
        palette = _palette(hues)
        for i in order:
            _paint(self._grid_maps(int(geometry[i])), palette[i], out[i])
        return out

    def render(self, factors: ArrayLike) -> np.ndarray:
        """Render images of arbitrary factor values.

        On the points of the grid these are the images of :meth:`images`. Each distinct
        geometry is ray-cast anew (a few milliseconds at 64 x 64).

        Parameters
        ----------
        factors : array-like of shape (n, 6) or (6,)
            Values of the factors in the order of ``factor_names``. Hues are turns of
            the colour wheel (1 is 0 again), the scale is positive (at most 2, so that
            the object stays inside the room), the shape is one of 0, 1, 2, 3, the
            orientation is in degrees, in [-45, 45].

        Returns
        -------
        ndarray of shape (n, image_size, image_size, 3), uint8
            The images.

        Raises
        ------
        ValueError
            When the shape of the array is wrong or a value is out of range.
        """
        factors = np.atleast_2d(np.asarray(factors, dtype=float))
        if factors.ndim != 2 or factors.shape[1] != 6:
            raise ValueError(
                "factors must have shape (n, 6), one column per factor "
                f"{self.factor_names}, got {factors.shape}."
            )
        if not np.isfinite(factors).all():
            raise ValueError("factors must be finite, got NaN or infinity.")
        scale, shape, orientation = factors[:, 3:].T
        for name, values, valid, accepted in (
            ("scale", scale, (scale > 0) & (scale <= 2), "in (0, 2]"),
            (
                "shape",
                shape,
                np.isin(shape, np.arange(len(SHAPE_NAMES))),
                f"0, 1, 2 or 3 {SHAPE_NAMES}",
            ),
            ("orientation", orientation, np.abs(orientation) <= 45, "in [-45, 45]"),
        ):
            if not valid.all():
                raise ValueError(
                    f"factors: {name} must be {accepted}, got {values[~valid][0]}."
                )
        out = np.empty((len(factors), *self.image_shape), dtype=np.uint8)
        palette = _palette(factors[:, :3])
        geometries, inverse = np.unique(factors[:, 3:], axis=0, return_inverse=True)
        inverse = inverse.ravel()
        order = np.argsort(inverse, kind="stable")
        starts = np.searchsorted(inverse[order], np.arange(len(geometries) + 1))
        for g, (s, kind, angle) in enumerate(geometries):
            maps = self._camera.maps(s, int(kind), angle)
            for i in order[starts[g] : starts[g + 1]]:
                _paint(maps, palette[i], out[i])
        return out

    def _grid_maps(self, geometry):
        """Maps of a geometry of the grid, kept for the next time."""
        maps = self._maps.get(geometry)
        if maps is None:
            position = np.unravel_index(geometry, self.factor_sizes[3:])
            scale, shape, orientation = (
                values[p]
                for values, p in zip(self.factor_values[3:], position, strict=True)
            )
            maps = self._camera.maps(scale, int(shape), orientation)
            while len(self._maps) >= self._max_maps:
                self._maps.pop(next(iter(self._maps)), None)  # the oldest one
            self._maps[geometry] = maps
        return maps


def _palette(hues):
    """Colours of the materials on the scale of uint8, ``(n, 4, 3)``."""
    palette = np.empty((len(hues), N_MATERIALS, 3), dtype=np.float32)
    palette[:, :3] = hue_to_rgb(hues)
    palette[:, LIGHT] = LIGHT_RGB
    palette *= 255
    return palette


def _paint(maps, palette, out):
    """Mix the materials' colours into one uint8 image, rounding to the nearest."""
    image = maps @ palette
    image += 0.5  # the conversion truncates
    np.copyto(out, image.reshape(out.shape), casting="unsafe")
