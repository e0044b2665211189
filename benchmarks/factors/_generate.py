"""Data of a condition: factors of any marginals, an injective mixing, sparse tasks."""

from dataclasses import dataclass

import numpy as np
from sklearn.utils import Bunch

from benchmarks.factors._inputs import draw_factors, mix_factors
from sparsedis.datasets import make_supports

N_TEST = 2_000
# Labels that every task has, however many are missing.
MIN_LABELS = 5
# Tasks that every factor has.
MIN_TASKS = 2
# Each step has random numbers of its own: (seed, index of the data set, constant).
_FACTORS, _TEST, _MAP, _WARP, _SUPPORTS, _COEF, _UNITS, _NOISE, _MISSING = range(9)


@dataclass(frozen=True)
class Condition:
    """Properties of a data set.

    Parameters
    ----------
    n_factors : int, default=6
        Number of factors.

    rho : float, default=0.0
        Correlation of every pair of the Gaussians behind the factors; that of the
        factors themselves is a little lower where they are not Gaussian.

    marginal : {"gaussian", "uniform", "heavy", "mixture"}, default="gaussian"
        Distribution of each factor, of mean 0 and variance 1. "heavy": Student's t
        with 5 degrees of freedom. "mixture": two Gaussians, with two modes.

    mixing : {"linear", "mlp", "polynomial"}, default="linear"
        From factors to inputs, see :func:`mix_factors`.

    n_features : int, default=None
        Number of inputs, at least `n_factors`. None: `n_factors`.

    n_tasks : int, default=100
        Number of tasks.

    support : float, default=0.5
        Below 1, the probability that a task uses a factor, where no task is left
        without any. 1: every task uses all. From 2 on, the number of factors of every
        task. Each factor serves at least two tasks.

    coefficients : {"gaussian", "signs", "positive", "laplace"}, default="gaussian"
        Coefficients on the support: "signs" are +-1, "positive" uniform in .5 to 1.5.

    n_samples : int, default=1000
        Rows of training.

    missing : float, default=0.0
        Share of the labels that are missing at random; a task keeps five at least.

    noise : float, default=0.1
        Norm of the noise of each task relative to that of its noiseless target.

    units : {"equal", "decades"}, default="equal"
        "decades": the target of each task in a unit of its own, 10**uniform(-3, 3),
        with an offset of about three units.

    classification : bool, default=False
        Whether labels are classes: 1 where the target with its noise, which is then
        logistic, is above the median of the task's training rows, else 0.
    """

    n_factors: int = 6
    rho: float = 0.0
    marginal: str = "gaussian"
    mixing: str = "linear"
    n_features: int | None = None
    n_tasks: int = 100
    support: float = 0.5
    coefficients: str = "gaussian"
    n_samples: int = 1_000
    missing: float = 0.0
    noise: float = 0.1
    units: str = "equal"
    classification: bool = False

    def __str__(self):
        kind = "size" if self.support > 1 else "p"
        return (
            f"k={self.n_factors} rho={self.rho:g} {self.marginal} {self.mixing} "
            f"d={self.n_features or self.n_factors} T={self.n_tasks} "
            f"{kind}={self.support:g} {self.coefficients} n={self.n_samples} "
            f"missing={self.missing:g} noise={self.noise:g} {self.units}"
            f"{' classes' if self.classification else ''}"
        )


def make_data(condition, seed, index=0):
    """Draw the data of a condition.

    Parameters
    ----------
    condition : Condition
        What the data are like.

    seed, index : int
        Determine everything, together.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        With the attributes

        - X : ndarray of shape (n_samples, n_features), inputs
        - Y : ndarray of shape (n_samples, n_tasks), labels, NaN where missing
        - X_test, Y_test : 2,000 further rows, with all labels
        - signal, signal_test : noiseless targets of the same shapes; with
          `classification` noiseless labels
        - factors, factors_test : ndarray of shape (n_rows, n_factors)
        - coef : ndarray of shape (n_tasks, n_factors), in the units of the tasks
        - supports : ndarray of shape (n_tasks, n_factors) of bool
        - condition : the condition
    """
    rngs = [np.random.default_rng([seed, index, constant]) for constant in range(9)]
    k = condition.n_factors
    Z = draw_factors(condition, condition.n_samples, rngs[_FACTORS])
    Z_test = draw_factors(condition, N_TEST, rngs[_TEST])
    supports = draw_supports(condition.n_tasks, k, condition.support, rngs[_SUPPORTS])
    coef = supports * _draw_coefficients(condition, rngs[_COEF])
    signal, signal_test = Z @ coef.T, Z_test @ coef.T
    scale = condition.noise * np.sqrt((signal**2).mean(0))
    Y, Y_test = (
        signal + scale * _draw_noise(condition, len(signal), rngs[_NOISE]),
        signal_test + scale * _draw_noise(condition, N_TEST, rngs[_NOISE]),
    )
    targets = [Y, signal, Y_test, signal_test]
    if condition.classification:
        threshold = np.median(Y, axis=0)
        targets = [(values > threshold).astype(float) for values in targets]
    elif condition.units == "decades":
        unit = 10 ** rngs[_UNITS].uniform(-3, 3, condition.n_tasks)
        offset = 3 * rngs[_UNITS].standard_normal(condition.n_tasks)
        targets = [unit * (values + offset) for values in targets]
        coef = unit[:, None] * coef
    Y, signal, Y_test, signal_test = targets
    X, X_test = mix_factors(condition, [Z, Z_test], rngs[_MAP], rngs[_WARP])
    return Bunch(
        X=X,
        Y=_hide_labels(Y, condition.missing, rngs[_MISSING]),
        X_test=X_test,
        Y_test=Y_test,
        signal=signal,
        signal_test=signal_test,
        factors=Z,
        factors_test=Z_test,
        coef=coef,
        supports=supports,
        condition=condition,
    )


def draw_supports(n_tasks, n_factors, support, rng):
    """Draw the factors of each task, until each factor serves two tasks.

    Parameters
    ----------
    n_tasks, n_factors : int
        Shape.

    support : float
        As in :class:`Condition`.

    rng : Generator
        Determines the draws.

    Returns
    -------
    ndarray of shape (n_tasks, n_factors) of bool
        The supports.

    Raises
    ------
    ValueError
        When that does not happen in a thousand draws.
    """
    options = (
        {"kind": "fixed", "size": int(support)}
        if support > 1
        else {"kind": "bernoulli", "p": support}
    )
    for _ in range(1_000):
        supports = make_supports(n_tasks, n_factors, **options, random_state=rng)
        if supports.sum(0).min() >= MIN_TASKS:
            return supports
    raise ValueError(
        f"{n_tasks} tasks of support {support} leave some of {n_factors} factors with "
        f"less than {MIN_TASKS} tasks."
    )


def _draw_coefficients(condition, rng):
    shape = condition.n_tasks, condition.n_factors
    return {
        "gaussian": lambda: rng.standard_normal(shape),
        "signs": lambda: rng.choice([-1.0, 1.0], shape),
        "positive": lambda: rng.uniform(0.5, 1.5, shape),
        "laplace": lambda: rng.laplace(size=shape),
    }[condition.coefficients]()


def _draw_noise(condition, n_samples, rng):
    """Noise of variance 1."""
    shape = n_samples, condition.n_tasks
    if condition.classification:
        return rng.logistic(scale=3**0.5 / np.pi, size=shape)
    return rng.standard_normal(shape)


def _hide_labels(Y, missing, rng):
    draw = rng.random(Y.shape)
    first = draw.argsort(0).argsort(0) >= len(Y) - MIN_LABELS
    return np.where((draw >= missing) | first, Y, np.nan)
