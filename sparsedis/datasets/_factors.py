"""Distributions of the factors over a grid of images."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np

from ._checks import as_generator, check_count, check_index, check_number

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import ArrayLike

    from sparsedis._typing import Seed

# Rows of the grid handled at once, which bounds the temporary memory.
_CHUNK = 2**16


class FactorDistribution:
    """A distribution of correlated latent factors on a grid of images.

    The factors are standardised to mean 0 and variance 1 over the grid; these are the
    latents z. A Gaussian density with covariance 1 on the diagonal and `rho` off it is
    evaluated at the points of the grid and normalised to sum 1 (Appendix D.2.1).

    Parameters
    ----------
    grid : object with ``factor_values``, or sequence of int or array-like
        The grid: a data set such as :class:`Shapes3D`, or for each factor its number of
        equally spaced values or the values themselves. The last factor varies fastest.

    rho : float or None, default=0.0
        Covariance of each pair of factors, in (-1 / (n_factors - 1), 1). None stands
        for the uniform distribution over the grid, on which metrics are evaluated.
        0 is not uniform: the density of independent Gaussians favours the centre.

    noise : float in [0, 1], default=0.0
        Noise level a: each latent of each point of the grid is moved, once and for
        all, by a draw from U(-a gap / 2, a gap / 2), where gap is the distance of the
        factor's (closest) values. The image remains that of the point of the grid, so
        at noise 1 the latents take all values but the images only some.

    random_state : int, RandomState instance, Generator instance or None, default=None
        Determines the noise on the latents, and nothing else: distributions on the same
        grid with the same int agree on the latents of every image, whatever their
        `rho`, and at smaller `noise` the same moves are scaled down. Pass an int
        wherever the latents are compared between objects.

    Attributes
    ----------
    n_images : int
        Number of points of the grid.

    n_factors : int
        Number of factors.

    factor_values : tuple of ndarray
        Standardised values of each factor on the grid.

    gaps : ndarray of shape (n_factors,)
        Smallest distance of two standardised values of each factor.

    See Also
    --------
    SparseTaskStream : Tasks whose inputs follow such a distribution.

    Notes
    -----
    As in the paper the density is evaluated at the latents, that is after the noise.
    The latents' correlation under the distribution is lower than `rho`, since the grid
    is bounded, and the mass gathers on ever fewer points. On 3D Shapes, without noise:

    =======  ===============  ==============
    rho      correlation      effective size
    =======  ===============  ==============
    None     0                480,000
    0        0                212,000
    0.5      0.31             90,000
    0.8      0.66             13,900
    0.9      0.83             2,840
    0.95     0.92             558
    0.99     0.99             12
    =======  ===============  ==============

    Examples
    --------
    >>> from sparsedis.datasets import FactorDistribution
    >>> distribution = FactorDistribution((10, 8, 4), rho=0.9)
    >>> index, z = distribution.sample(5, random_state=0)
    >>> index.shape, z.shape
    ((5,), (5, 3))
    >>> distribution.correlation.round(2)
    array([[1.  , 0.85, 0.85],
           [0.85, 1.  , 0.85],
           [0.85, 0.85, 1.  ]])
    """

    def __init__(
        self,
        grid: Any,
        rho: float | None = 0.0,
        noise: float = 0.0,
        random_state: Seed = None,
    ) -> None:
        self.factor_values = _standardised(grid)
        self.n_factors = len(self.factor_values)
        sizes = tuple(len(values) for values in self.factor_values)
        self._sizes = sizes
        self.n_images = int(np.prod(sizes))
        self.gaps = np.array([np.diff(np.sort(v)).min() for v in self.factor_values])
        if rho is not None:
            low = -1 / (self.n_factors - 1) if self.n_factors > 1 else -np.inf
            try:
                rho = check_number(rho, "rho", low, 1, low_open=True, high_open=True)
            except ValueError as error:
                raise ValueError(
                    f"{error} Beyond it the covariance of {self.n_factors} factors is "
                    "not positive definite; None is the uniform distribution."
                ) from None
        self.rho = rho
        self.noise = check_number(noise, "noise", 0, 1)
        self.random_state = random_state
        self._moves = None
        if self.noise > 0:
            rng = as_generator(random_state)
            # Single precision halves the memory; latents are computed in double.
            moves = rng.random((self.n_images, self.n_factors), dtype=np.float32)
            self._moves = moves
        self._set_probabilities()

    def __repr__(self):
        return (
            f"{type(self).__name__}(sizes={self._sizes}, rho={self.rho}, "
            f"noise={self.noise}, random_state={self.random_state})"
        )

    def _chunks(self):
        for start in range(0, self.n_images, _CHUNK):
            yield np.arange(start, min(start + _CHUNK, self.n_images))

    def _set_probabilities(self):
        p = np.ones(self.n_images)
        if self.rho is not None:
            # The inverse of (1 - rho) I + rho 11' in closed form.
            share = self.rho / (1 + (self.n_factors - 1) * self.rho)
            for rows in self._chunks():
                z = self.latents(rows)
                square = (z * z).sum(1) - share * z.sum(1) ** 2
                p[rows] = -0.5 * square / (1 - self.rho)
            p = np.exp(p - p.max(), out=p)
        p /= p.sum()
        self._probabilities = p
        self._cumulative = np.cumsum(p)

    def probability(self, index: ArrayLike) -> np.ndarray:
        """Probability of images.

        Parameters
        ----------
        index : int or array-like of int of shape (n,)
            Indices of images.

        Returns
        -------
        ndarray of shape (n,), float64
            Their probabilities.
        """
        return self._probabilities[check_index(index, self.n_images)]

    def latents(self, index: ArrayLike) -> np.ndarray:
        """Latents of images: standardised factors, moved by the noise.

        Parameters
        ----------
        index : int or array-like of int of shape (n,)
            Indices of images.

        Returns
        -------
        ndarray of shape (n, n_factors), float64
            The latents.
        """
        index = check_index(index, self.n_images)
        position = np.unravel_index(index, self._sizes)
        z = np.stack(
            [v[p] for v, p in zip(self.factor_values, position, strict=True)], axis=1
        )
        if self._moves is not None:
            z += (self.noise * self.gaps) * (self._moves[index].astype(float) - 0.5)
        return z

    def sample(
        self, n_samples: int, random_state: Seed = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw images and their latents.

        Parameters
        ----------
        n_samples : int
            Number of draws, with replacement.

        random_state : int, RandomState instance, Generator instance or None, \
default=None
            Determines the draws.

        Returns
        -------
        index : ndarray of shape (n_samples,), int64
            Indices of images.

        z : ndarray of shape (n_samples, n_factors), float64
            Their latents.
        """
        n_samples = check_count(n_samples, "n_samples", minimum=0)
        rng = as_generator(random_state)
        u = rng.random(n_samples) * self._cumulative[-1]
        index = np.searchsorted(self._cumulative, u, side="right")
        # u may round up to the total mass.
        index = np.minimum(index, self.n_images - 1)
        return index, self.latents(index)

    @property
    def effective_size(self) -> float:
        """Effective number of images, the inverse participation ratio 1 / sum(p**2).

        It is the number of images of a uniform distribution in which two draws coincide
        as often as they do in this one.
        """
        return float(1 / np.square(self._probabilities).sum())

    @property
    def correlation(self) -> np.ndarray:
        """Correlation matrix of the latents, ndarray of shape (n_factors, n_factors).

        These are the exact moments under the distribution, not an estimate from draws.
        """
        mean = np.zeros(self.n_factors)
        second = np.zeros((self.n_factors, self.n_factors))
        for rows in self._chunks():
            z, p = self.latents(rows), self._probabilities[rows]
            mean += p @ z
            second += (z * p[:, None]).T @ z
        covariance = second - np.outer(mean, mean)
        scale = np.sqrt(np.diag(covariance))
        return covariance / np.outer(scale, scale)


def _standardised(grid):
    """Values of each factor with mean 0 and variance 1 over the uniform grid."""
    values = getattr(grid, "factor_values", grid)
    try:
        values = list(values)
    except TypeError:
        raise ValueError(
            "grid must have factor_values or be a sequence of sizes or of arrays of "
            f"values, got {grid!r}."
        ) from None
    if not values:
        raise ValueError("grid must have at least one factor, got none.")
    out = []
    for j, v in enumerate(values):
        if isinstance(v, Integral):
            v = np.arange(check_count(v, f"grid[{j}]", minimum=2))
        v = np.array(v, dtype=float)
        distinct = v.ndim == 1 and v.size >= 2 and len(np.unique(v)) == v.size
        if not distinct or not np.isfinite(v).all():
            raise ValueError(
                f"grid[{j}] must be a size >= 2 or a 1-d array of at least 2 distinct "
                f"finite values, got {v!r}."
            )
        v = (v - v.mean()) / v.std()
        v.setflags(write=False)
        out.append(v)
    return tuple(out)
