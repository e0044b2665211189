"""Factors and codes whose relation is known.

Structures of the factors (independent, correlated, one a function of another) and
encoders (scaled, warped, mixed, more or fewer codes, several codes of a factor, random)
are among those of Joshi et al., "Who guards the guardians?" (arXiv:2602.24278). Noise,
irrelevant codes, merged factors, intervals in another order, discrete factors, and few
samples are added here.
"""

import numpy as np
from scipy.stats import ortho_group

N_FACTORS = 5
N_SAMPLES = 1000

# What codes can fulfil, and a metric can claim by a score near 1.
PROPERTIES = {
    "scale": "each factor is a code, up to scale and shift",
    "order": "each factor is a code, up to an increasing or decreasing map",
    "linear": "each factor is a linear function of the codes",
    "single": "each factor is a function of a single code",
    "only": "the same, and no other code is about it",
    "separate": "no code is about two factors",
    "minimal": "each code is a function of a factor",
}
_ALL = frozenset(PROPERTIES)
_MIXED = frozenset({"linear"})
_NONE = frozenset()


def scaled(rng, factors=None):
    """Factors, in another order and scale."""
    z = _gaussian(rng) if factors is None else factors
    signs = rng.choice([-1, 1], z.shape[1])
    scales = signs * rng.uniform(0.5, 2, z.shape[1])
    return z, z[:, rng.permutation(z.shape[1])] * scales


def correlated(rng):
    """The same, of factors with correlations of .8."""
    return scaled(rng, _correlated(rng, 0.8))


def redundant(rng):
    """The same, where a factor is an increasing function of another one."""
    z = _gaussian(rng)
    z[:, 1] = np.tanh(z[:, 0])
    return scaled(rng, z)


def discrete(rng):
    """The same, of factors of four ordered values."""
    return scaled(rng, rng.integers(0, 4, (N_SAMPLES, N_FACTORS)).astype(float))


def few_samples(rng):
    """The same, on 50 samples."""
    return scaled(rng, _gaussian(rng, 50))


def noisy(rng):
    """Factors with noise of .3 standard deviations."""
    z = _gaussian(rng)
    return z, z + 0.3 * rng.standard_normal(z.shape)


def irrelevant(rng):
    """Factors, and as many codes of noise."""
    z = _gaussian(rng)
    return z, np.hstack([z, rng.standard_normal(z.shape)])


def duplicated(rng):
    """Each factor in two codes, with a bit of noise."""
    z = _gaussian(rng)
    codes = np.hstack([z, z])
    return z, codes + 0.01 * rng.standard_normal(codes.shape)


def warped(rng):
    """Increasing functions of the factors that are far from linear."""
    z = _gaussian(rng)
    return z, np.exp(1.5 * z)


def reordered(rng):
    """The intervals of half a standard deviation of each factor in another order."""
    z = np.clip(_gaussian(rng), -2.999, 2.999)
    interval = np.floor(2 * z).astype(int) + 6
    order = np.stack([rng.permutation(12) for _ in range(N_FACTORS)])
    return z, z + (order[np.arange(N_FACTORS), interval] - interval) / 2


def categories(rng):
    """The four values of each factor by other numbers."""
    z = rng.integers(0, 4, (N_SAMPLES, N_FACTORS))
    numbers = np.array([2.0, 0.0, 3.0, 1.0])
    return z.astype(float), numbers[z]


def waves(rng):
    """Sine and cosine of each factor: two codes, and neither suffices."""
    z = rng.uniform(-np.pi, np.pi, (N_SAMPLES, N_FACTORS))
    return z, np.hstack([np.sin(z), np.cos(z)])


def rotated(rng):
    """A rotation of all factors."""
    z = _gaussian(rng)
    return z, z @ _rotation(rng)


def correlated_mixed(rng):
    """Correlations of .9, and each code the sum of a factor and half of all others."""
    z = _correlated(rng, 0.9)
    return z, z @ (0.5 * np.eye(N_FACTORS) + 0.5)


def more_mixed(rng):
    """Four random mixtures for each factor."""
    z = _gaussian(rng)
    return z, z @ rng.standard_normal((N_FACTORS, 4 * N_FACTORS))


def dropped(rng):
    """Two of the factors are in no code."""
    z = _gaussian(rng)
    return z, z[:, :-2]


def merged(rng):
    """The sum of two factors in one code, and the others in theirs."""
    z = _gaussian(rng)
    return z, np.column_stack([z[:, 0] + z[:, 1], z[:, 2:]])


def random(rng):
    """Codes without any relation to the factors."""
    return _gaussian(rng), _gaussian(rng)


def few_random(rng):
    """The same: 40 codes on 50 samples."""
    return _gaussian(rng, 50), rng.standard_normal((50, 40))


# What is true of each, noise apart. Factors that depend on each other are identified
# nevertheless if each is a code.
CONDITIONS = {
    scaled: _ALL,
    correlated: _ALL,
    redundant: _ALL,
    discrete: _ALL,
    few_samples: _ALL,
    noisy: _ALL - {"minimal"},
    irrelevant: _ALL - {"minimal"},
    duplicated: _ALL - {"only"},
    warped: _ALL - {"scale", "linear"},
    reordered: _ALL - {"scale", "linear", "order"},
    categories: _ALL - {"scale", "linear", "order"},
    waves: frozenset({"separate", "minimal"}),
    rotated: _MIXED,
    correlated_mixed: _MIXED,
    more_mixed: _MIXED,
    dropped: frozenset({"separate", "minimal"}),
    merged: _NONE,
    random: _NONE,
    few_random: _NONE,
}
BY_NAME = {make.__name__: make for make in CONDITIONS}


def _gaussian(rng, n_samples=N_SAMPLES):
    return rng.standard_normal((n_samples, N_FACTORS))


def _correlated(rng, rho):
    common = rng.standard_normal((N_SAMPLES, 1))
    return np.sqrt(rho) * common + np.sqrt(1 - rho) * _gaussian(rng)


def _rotation(rng):
    return ortho_group.rvs(N_FACTORS, random_state=rng)
