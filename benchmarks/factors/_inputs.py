"""Factors of any marginals, and their mixing to inputs."""

import numpy as np
from scipy.stats import norm, t

from sparsedis.datasets import SparseTaskModel

_DEGREES_OF_FREEDOM = 5
# Of "mixture": weight, mean and standard deviation of each part, before scaling.
_PARTS = ((0.65, -0.7, 0.4), (0.35, 1.3, 0.6))
# Of "polynomial": its strength, and where its argument is cut off.
_STRENGTH, _CUT = 0.5, 3.0


def draw_factors(condition, n_samples, rng):
    """Draw factors of a Gaussian copula, of mean 0 and variance 1.

    Parameters
    ----------
    condition : Condition
        Names the number, the correlation and the marginal.

    n_samples : int
        Number of rows.

    rng : Generator
        Determines the draws.

    Returns
    -------
    ndarray of shape (n_samples, n_factors)
        Factors.
    """
    shared = rng.standard_normal((n_samples, 1))
    own = rng.standard_normal((n_samples, condition.n_factors))
    G = condition.rho**0.5 * shared + (1 - condition.rho) ** 0.5 * own
    return {
        "gaussian": lambda G: G,
        "uniform": lambda G: 12**0.5 * (norm.cdf(G) - 0.5),
        "heavy": _to_student,
        "mixture": _to_mixture,
    }[condition.marginal](G)


def _to_student(G):
    # The tail below is as precise as the numbers are, that above is not.
    lower = t.ppf(norm.cdf(-np.abs(G)), _DEGREES_OF_FREEDOM)
    return -np.sign(G) * lower / t.std(_DEGREES_OF_FREEDOM)


def _to_mixture(G):
    weights, means, deviations = np.transpose(_PARTS)
    mean = weights @ means
    deviation = np.sqrt(weights @ (deviations**2 + means**2) - mean**2)
    grid = np.linspace(-6, 6, 20_001)
    cdf = norm.cdf(grid[:, None], means, deviations) @ weights
    return (np.interp(norm.cdf(G), cdf, grid) - mean) / deviation


def mix_factors(condition, tables, map_rng, warp_rng):
    """Mix factors to inputs, injectively.

    - "linear": a random matrix of condition number 4.
    - "mlp": the network of :class:`~sparsedis.datasets.SparseTaskModel`.
    - "polynomial": to each factor but the first, half of a quadratic or a cubic of
      variance about 1 in a sum of two earlier factors is added, then they are mixed as
      in "linear". The map is triangular, so that it can be undone one by one. The sum
      is cut off at three standard deviations, lest heavy tails run away.

    Parameters
    ----------
    condition : Condition
        Names the mixing and the number of inputs.

    tables : list of ndarray of shape (n_rows, n_factors)
        Factors.

    map_rng, warp_rng : Generator
        Determine the mixing.

    Returns
    -------
    list of ndarray of shape (n_rows, n_features)
        Inputs of each table.
    """
    kind = condition.mixing
    if kind == "polynomial":
        warp = _draw_warp(condition.n_factors, warp_rng)
        tables = [_warp(Z, *warp) for Z in tables]
    model = SparseTaskModel(
        condition.n_factors,
        condition.n_features,
        mixing="mlp" if kind == "mlp" else "linear",
        random_state=map_rng,
    )
    return [model.mix(Z) for Z in tables]


def _draw_warp(n_factors, rng):
    """Signed pairs of earlier factors, and the degree, for every factor."""
    pairs = np.zeros((n_factors, n_factors))
    for j in range(1, n_factors):
        chosen = rng.choice(j, min(j, 2), replace=False)
        signs = rng.choice([-1.0, 1.0], len(chosen))
        pairs[j, chosen] = signs / len(chosen) ** 0.5
    return pairs, rng.integers(2, 4, n_factors)


def _warp(Z, pairs, degrees):
    sums = np.clip(Z @ pairs.T, -_CUT, _CUT)
    # Variances of the square and the cube of a standard Gaussian: 2 and 15.
    added = np.where(degrees == 2, (sums**2 - 1) / 2**0.5, sums**3 / 15**0.5)
    added[:, 0] = 0
    return Z + _STRENGTH * added
