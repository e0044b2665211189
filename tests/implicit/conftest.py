"""Random problems: plain ones, and some with everything that troubles a solver."""

from functools import partial

import numpy as np
import pytest
import torch

from tests.implicit._transforms import LAYERS, N_SAMPLES, N_TASKS, K

DEVICES = ["cpu"] + ["cuda"] * torch.cuda.is_available()
FAULTS = (
    "none",
    "rank deficient",
    "duplicated column",
    "constant column",
    "zero column",
    "zero row",
    "scales",
    "correlated",
)
SIZES = ((20, 6), (6, 15), (12, 12), (40, 3), (3, 2))
ALPHAS = (0.3, 1e-4, 0.0, 0.05, 1.1, 0.7, 1e-3)
RIDGES = (0.0, 1e-4, 0.0, 1e-2, 1.0, 1e2)
N_BATCHES = 15


@pytest.fixture(params=DEVICES)
def device(request):
    return request.param


def faulty_features(rng, n, k, fault):
    """Features (n, k) with one fault."""
    Z = rng.standard_normal((n, k))
    if fault == "rank deficient":
        # Whole numbers: the product is exact, and so is its rank, in any precision.
        rank = (min(n, k) + 1) // 2
        Z = rng.integers(-9, 10, (n, rank)) @ rng.integers(-9, 10, (rank, k)) / 32.0
    elif fault == "duplicated column":
        Z[:, -1] = Z[:, 0]
    elif fault == "constant column":
        Z[:, 0] = 3.0
    elif fault == "zero column":
        Z[:, 0] = 0.0
    elif fault == "zero row":
        Z[0] = 0.0
    elif fault == "scales":
        Z *= 10.0 ** rng.uniform(-3, 3, k)
    elif fault == "correlated":
        Z += 3.0 * rng.standard_normal((n, 1))
    return Z


class HardBatch:
    """Eight tasks, one for each fault, of unequal sizes.

    Attributes
    ----------
    Z, mask : array of shape (8, n, k) and (8, n)
        What stands outside of the mask is NaN.
    signal, noise : array of shape (8, n)
        A sparse linear function of the features, and noise.
    alpha : array of shape (8,)
        Fractions of alpha_max: 0, tiny, ordinary, beyond 1.
    l2 : array of shape (8,)
    seed : int
    rng : Generator
    """

    def __init__(self, seed, size=None):
        self.seed = seed
        rng = self.rng = np.random.default_rng(seed)
        n, k = size or SIZES[seed % len(SIZES)]
        self.Z = np.stack([faulty_features(rng, n, k, fault) for fault in FAULTS])
        self.mask = np.arange(n) < rng.integers(2, n + 1, (8, 1))
        self.mask[::2] = True
        w = rng.standard_normal((8, k)) * (rng.random((8, k)) < 0.5)
        size = np.sqrt((self.Z**2).mean(1))
        w /= np.where(size > 0, size, 1.0)
        self.signal = np.einsum("tnk,tk->tn", self.Z, w)
        self.noise = 0.3 * rng.standard_normal((8, n))
        # Shifts of odd length pair every fault with every penalty.
        at = np.arange(8) + seed
        self.alpha = np.array(ALPHAS)[at % len(ALPHAS)]
        self.l2 = np.array(RIDGES)[(at + seed // 3) % len(RIDGES)]
        # Exact in float32 too, so that both precisions face the same problem.
        self.Z = self.Z.astype(np.float32).astype(np.float64)
        self.Z[~self.mask] = np.nan

    def task(self, t, *arrays):
        """Rows of task t that exist, of ``Z`` and of other arrays."""
        return tuple(a[t][self.mask[t]] for a in (self.Z, *arrays))


@pytest.fixture(params=range(N_BATCHES))
def hard_batch(request):
    return HardBatch(request.param)


@pytest.fixture(params=[(20, 60), (60, 40), (10, 120)])
def wide_hard_batch(request):
    """So large that solvers find the support with cheap steps first."""
    return HardBatch(sum(request.param), request.param)


@pytest.fixture(params=LAYERS)
def layer(request):
    return LAYERS[request.param]


@pytest.fixture
def inputs():
    """Z, y, alpha and l2 of a batch of tasks."""
    generator = torch.Generator().manual_seed(0)
    draw = partial(torch.randn, generator=generator, dtype=torch.float64)
    Z = draw(N_TASKS, N_SAMPLES, K)
    y = Z[..., 0] - Z[..., 1] + 0.3 * draw(N_TASKS, N_SAMPLES)
    alpha = torch.linspace(0.05, 0.1, N_TASKS, dtype=torch.float64)
    return Z, y, alpha, torch.linspace(0.1, 0.2, N_TASKS, dtype=torch.float64)
