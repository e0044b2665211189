"""Coefficients of similar sizes: their density, and a search for their directions.

A density with its mode at zero says little about coefficients of +-1, or positive ones,
that half of the tasks have: rotated ones look much the same. If all sizes that are not
zero are similar, this determines the directions instead.
"""

import numpy as np

from sparsedis.rotation._refine import VARIANCES, Density, refine
from sparsedis.rotation._search import Pool, explore
from sparsedis.rotation._starts import random_starts, unit_rows

# Sizes of the coefficients that are not zero, and their relative standard deviation.
SIZES, SPREAD = 0.7 * 2 ** (np.arange(7) / 3), 0.2

# Pseudo-counts of each sign of a direction.
_SIGNS = 2.0

# For the search: shares of the tasks that use a direction, to try, and the standard
# deviations of zeros, and of sizes relative to their mean.
_SHARES, _ZERO, _RELATIVE = (0.15, 0.3, 0.5, 0.75), 0.1, 0.25

# Widths of both in the search, one after the other, and steps for each.
_WIDTHS, _STEPS = (0.5, 0.3, 0.15, 0.05), 5

# Number of random directions per round, largest number of rounds, and number of rounds
# without progress after which the search ends.
_RANDOM, _ROUNDS, _PATIENCE = 200, 30, 8

# Number of dimensions up to which there are so many directions, since each costs the
# square of it, and their smallest number.
_SMALL, _FEWEST = 20, 20

# Increase of the log-likelihood from which on a refined basis replaces another.
_GAIN = 8.0

# Added to the curvature of a direction, relative to its mean.
_RIDGE = 1e-6

# Smallest density, for outliers.
_LEAST = 1e-30

# Share of a sign that does not occur.
_RARE = 1e-3


class SlabDensity(Density):
    """A scale mixture of Gaussians around zero, and Gaussians around sizes.

    Parameters
    ----------
    k : int
        Number of directions, which differ in the share of their signs only.
    """

    def __init__(self, k):
        super().__init__()
        n = len(VARIANCES) + len(SIZES)
        self.weights = np.full(n, 1 / n)
        self.side = np.full(k, 0.5)

    def bound(self, along, errors, n_outputs):
        """See :meth:`Density.bound`; of heads with one output."""
        x, errors = along[:, 0, :, None], errors[:, :, None]
        narrow, wide = self.variances + errors, (SPREAD * SIZES) ** 2 + errors
        n = len(self.variances)
        side = self.side[:, None]
        around = [
            x**2 / narrow + np.log(narrow),
            (x - SIZES) ** 2 / wide + np.log(wide) - 2 * np.log(side),
            (x + SIZES) ** 2 / wide + np.log(wide) - 2 * np.log(1 - side),
        ]
        weights = np.log(np.append(self.weights, self.weights[n:]))
        log = weights - 0.5 * np.concatenate(around, -1)
        top = log.max(-1, keepdims=True)
        share = np.exp(log - top)
        mass = share.sum(-1, keepdims=True)
        share /= mass
        log = (top + np.log(mass))[..., 0] - 0.5 * np.log(2 * np.pi)
        zero, positive, negative = np.split(share, [n, n + len(SIZES)], -1)
        weight = (zero / narrow).sum(-1) + ((positive + negative) / wide).sum(-1)
        linear = ((positive - negative) * SIZES / wide).sum(-1)
        return log, share, weight, linear

    def update(self, share):
        """Fit weights and signs to shares of the components."""
        n = len(self.variances)
        mass = share.sum(0)
        zero, positive, negative = np.split(mass, [n, n + len(SIZES)], -1)
        self.weights = np.concatenate([zero, positive + negative], -1).sum(0) + 1.0
        self.weights /= self.weights.sum()
        positive, negative = positive.sum(-1), negative.sum(-1)
        self.side = (positive + _SIGNS) / (positive + negative + 2 * _SIGNS)

    def gain_of_signs(self, heads, A, share):
        """Zero: the density has the signs."""
        return np.zeros(len(A))


class Template:
    """Densities of single directions: zeros, and one size with one or both signs.

    Parameters
    ----------
    share : ndarray of shape (n,)
        Shares of the tasks that use the directions.

    negative : ndarray of shape (n,)
        Shares of negative coefficients among them.
    """

    def __init__(self, share, negative):
        self.share, self.negative = share, negative
        self.size = 1 / np.sqrt(share)

    @classmethod
    def best(cls, x, errors, width=0.0):
        """The most likely templates, and their mean negative log-likelihoods."""
        options = [(p, s) for p in _SHARES for s in (0.5, _RARE)]
        values = np.array(
            [-cls(*map(np.array, o)).fit(x, errors, width)[0].mean(0) for o in options]
        )
        best = np.array(options)[values.argmin(0)]
        return cls(best[:, 0], best[:, 1]), values.min(0)

    def fit(self, x, errors, width):
        """Log-densities, and quadratic bounds of their negative.

        Parameters
        ----------
        x, errors : ndarray of shape (n_tasks, n)
            Coefficients of unit mean square, and the variances of their errors.

        width : float
            Standard deviation to add.

        Returns
        -------
        log_density : ndarray of shape (n_tasks, n)

        weight, linear : ndarray of shape (n_tasks, n)
            Each bound is ``weight * x**2 / 2 - linear * x``, up to a constant, and
            touches at `x`.
        """
        share, negative, size = (
            np.asarray(part, x.dtype) for part in (self.share, self.negative, self.size)
        )
        errors = errors + width**2
        narrow, wide = _ZERO**2 + errors, (_RELATIVE * size) ** 2 + errors
        used = share * (1 - negative), share * negative
        zero, positive, negative = (
            p * np.exp(-0.5 * (x - at) ** 2 / v) / np.sqrt(v)
            for p, at, v in (
                (1 - share, 0.0, narrow),
                (used[0], size, wide),
                (used[1], -size, wide),
            )
        )
        density = np.maximum(zero + positive + negative, _LEAST)
        log = np.log(density) - 0.5 * np.log(2 * np.pi)
        weight = (zero / narrow + (positive + negative) / wide) / density
        return log, weight, (positive - negative) * size / wide / density


def _scaled(heads, A):
    """Directions scaled to coefficients of unit mean square and positive mean."""
    x = heads.rows @ A.T
    scale = np.sqrt((x**2).mean(0))
    scale = np.where(x.mean(0) < 0, -scale, scale)
    # Heads need not span all coordinates.
    scale[np.abs(scale) < 1e-12] = 1.0
    A, x = A / scale[:, None], x / scale
    errors = heads.variance[:, None] * (A**2).sum(1)
    # The search need not be exact, and exponentials take a quarter of the time.
    return A, x.astype(np.float32), errors.astype(np.float32)


def fit_to_sizes(heads, A):
    """Improve directions so that coefficients are zero or of one size.

    Each step minimises quadratic bounds of the negative log-densities, minus the
    logarithm of the volume, which is replaced by its tangent. Without the volume,
    directions along which all tasks have about the same coefficient would be best. The
    densities become narrower from step to step.
    """
    rows = heads.rows.astype(np.float32)
    n_tasks, k = rows.shape
    products = (rows[:, :, None] * rows[:, None, :]).reshape(n_tasks, k * k)
    volume = heads.centring @ heads.centring.T
    for width in _WIDTHS:
        template = None
        for _ in range(_STEPS):
            A, x, errors = _scaled(heads, A)
            if template is None:
                template, _ = Template.best(x, errors, width)
            _, weight, linear = template.fit(x, errors, width)
            curvature = (weight.T @ products).reshape(-1, k, k).astype(float)
            spread = np.trace(curvature, axis1=1, axis2=2) / k
            curvature += (_RIDGE * spread)[:, None, None] * np.eye(k)
            tangent = A @ volume
            tangent /= (tangent * A).sum(1, keepdims=True)
            slope = linear.T @ rows + n_tasks * tangent
            A = np.linalg.solve(curvature, slope[:, :, None])[:, :, 0]
    return unit_rows(A[A.any(1)])


class SlabPool(Pool):
    """Directions with coefficients of similar sizes, best first, with their scores."""

    def scores_of(self, A):
        """Negative log-likelihoods under the best template."""
        scaled, x, errors = _scaled(self.heads, A)
        # As if directions were of unit norm where their volume is measured.
        size = np.linalg.norm(scaled @ self.heads.centring, axis=1)
        return Template.best(x, errors)[1] - np.log(size)

    def search(self, known, rng):
        """Directions that differ from known ones, of shape (n_known, k)."""
        n = max(_FEWEST, round(_RANDOM * min(1.0, _SMALL / self.heads.k) ** 2))
        starts = random_starts(self.heads, n, rng, known)
        return fit_to_sizes(self.heads, starts)


def similar_sizes(heads, A, starts, rng, *, n_rounds):
    """Search for a basis in which coefficients have similar sizes.

    Parameters
    ----------
    heads : Heads
        Of tasks with one output.

    A : ndarray of shape (k, k)
        The sparsest basis, in rows.

    starts : ndarray of shape (n, k)
        Other starting directions, such as independent components: these also have few
        values if they are 0 or of one size.

    rng : Generator

    n_rounds : int
        Largest number of rounds of the search.

    Returns
    -------
    tuple of ndarray and float, or None
        Directions, and their criterion (see
        :func:`~sparsedis.rotation._refine.refine`); None if the likelihood of the best
        one hardly differs from that of `A`, or is smaller.
    """
    A = unit_rows(A)
    pool = SlabPool(heads, fit_to_sizes(heads, np.concatenate([A, starts])))
    pool.add(pool.search((), rng))
    explore(heads, pool, rng, n_rounds=min(n_rounds, _ROUNDS), patience=_PATIENCE)
    at, criterion = pool.basis()
    before = pool.scores_of(A).sum() - np.linalg.slogdet(heads.centre(A))[1]
    if criterion >= before:
        return None
    (_, before, _), found = (
        refine(heads, basis, density=SlabDensity(heads.k)) for basis in (A, pool.A[at])
    )
    # Bases that are much the same must not replace each other by chance.
    if (before - found[1]) * heads.k * len(heads) < _GAIN:
        return None
    return found[:2]
