"""Base class of images on a full grid of factor values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ._checks import check_index

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

FACTOR_NAMES = (
    "floor_hue",
    "wall_hue",
    "object_hue",
    "scale",
    "shape",
    "orientation",
)


class FactorGrid:
    """Images of all the combinations of factor values, last factor fastest.

    A subclass sets ``factor_names`` and ``factor_values``.
    """

    @property
    def factor_sizes(self) -> tuple[int, ...]:
        """Number of values of each factor, a tuple of int."""
        return tuple(len(values) for values in self.factor_values)

    @property
    def n_images(self) -> int:
        """Number of images, one per combination of factor values."""
        return int(np.prod(self.factor_sizes))

    def __len__(self):
        return self.n_images

    def index_to_factors(self, index: ArrayLike) -> np.ndarray:
        """Position of each factor's value, of images given by their index.

        Parameters
        ----------
        index : int or array-like of int of shape (n,)
            Indices of images.

        Returns
        -------
        ndarray of shape (n, n_factors), int64
            ``factor_values[j][out[:, j]]`` are the values of factor j.
        """
        index = check_index(index, self.n_images)
        return np.stack(np.unravel_index(index, self.factor_sizes), axis=1)

    def factors_to_index(self, positions: ArrayLike) -> np.ndarray:
        """Index of images given by the positions of their factors' values.

        Parameters
        ----------
        positions : array-like of int of shape (n, n_factors) or (n_factors,)
            Positions in ``factor_values``.

        Returns
        -------
        ndarray of shape (n,), int64
            Indices of images.

        Raises
        ------
        ValueError
            When a position is not an integer or outside its factor's range.
        """
        positions = np.atleast_2d(np.asarray(positions))
        sizes = np.array(self.factor_sizes)
        if positions.ndim != 2 or positions.shape[1] != sizes.size:
            raise ValueError(
                f"positions must have shape (n, {sizes.size}), one column per factor "
                f"{self.factor_names}, got {positions.shape}."
            )
        if not np.issubdtype(positions.dtype, np.integer):
            raise ValueError(
                f"positions must be integers, got dtype {positions.dtype}; factor "
                "values belong to `render`."
            )
        wrong = ((positions < 0) | (positions >= sizes)).any(0)
        if wrong.any():
            j = int(wrong.argmax())
            raise ValueError(
                f"positions of {self.factor_names[j]} must lie in [0, {sizes[j]}), "
                f"got values from {positions[:, j].min()} to {positions[:, j].max()}."
            )
        return np.ravel_multi_index(tuple(positions.T), self.factor_sizes)

    def factors(self, index: ArrayLike) -> np.ndarray:
        """Values of the factors, in their own units.

        Parameters
        ----------
        index : int or array-like of int of shape (n,)
            Indices of images.

        Returns
        -------
        ndarray of shape (n, n_factors), float64
            One column per factor, in the order of ``factor_names``.
        """
        positions = self.index_to_factors(index)
        return np.stack(
            [
                np.asarray(values, dtype=float)[positions[:, j]]
                for j, values in enumerate(self.factor_values)
            ],
            axis=1,
        )
