"""Samplers of batches of codes with one fixed factor."""

import numbers

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils import check_random_state, check_scalar

from sparsedis._warn import warn
from sparsedis.metrics._discrete import factor_labels
from sparsedis.metrics._validation import (
    check_all_known,
    check_factors_codes,
    check_matrix,
)

# Rows that describe the distribution of the codes of a function.
REFERENCE_ROWS = 10_000


def check_sampler(
    factors, codes, factor_bins, batch_size, n_train, n_test, random_state
):
    """Validate the arguments of a score, and build its source of batches.

    Parameters
    ----------
    factors : array-like of shape (n_samples, n_factors) or callable
        Factors, or a function that samples them.

    codes : array-like of shape (n_samples, n_codes) or callable
        Codes, or a function that encodes factors.

    factor_bins : int or None
        Number of equal-width bins for continuous factors in an array.

    batch_size : int
        Number of samples or pairs in a batch.

    n_train, n_test : int
        Number of batches.

    random_state : int, RandomState instance or None
        Source of randomness.

    Returns
    -------
    sampler : ArraySampler or FunctionSampler
        Has `batch`, `pairs`, `factor_mask` and `reference`, codes that represent their
        distribution.

    rng : RandomState instance
        Validated `random_state`.
    """
    for name, value, least in (
        ("batch_size", batch_size, 2),
        ("n_train", n_train, 1),
        ("n_test", n_test, 1),
    ):
        check_scalar(value, name, numbers.Integral, min_val=least)
    rng = check_random_state(random_state)
    if callable(factors) != callable(codes):
        raise ValueError(
            "factors and codes must both be arrays, or both be functions "
            "sample_factors(n_samples, random_state) and encode(factors); got "
            f"{type(factors).__name__} and {type(codes).__name__}."
        )
    if callable(factors):
        sampler = FunctionSampler(factors, codes, rng)
    else:
        sampler = ArraySampler(factors, codes, factor_bins)
    if sampler.factor_mask.sum() == 1:
        warn(
            "With a single factor that varies there is nothing to guess: the score is "
            "1 for any codes that are not dead.",
            UndefinedMetricWarning,
        )
    return sampler, rng


class ArraySampler:
    """Draws, from given samples, those that share the value of a factor."""

    def __init__(self, factors, codes, factor_bins):
        factors, self.reference, self.factor_mask, _ = check_factors_codes(
            factors, codes
        )
        check_all_known(factors, "a score that holds one of them fixed")
        self.labels = np.array(factor_labels(factors, factor_bins))
        # Rows ordered by label; where each label starts; how many rows it has.
        self.order = np.argsort(self.labels, axis=1, kind="stable")
        self.sizes = [np.bincount(labels) for labels in self.labels]
        self.starts = [np.cumsum(sizes) - sizes for sizes in self.sizes]
        alone = [i for i, sizes in enumerate(self.sizes) if sizes.min() < 2]
        if alone:
            warn(
                f"Column(s) {alone} of factors have values that occur once, of which "
                "all codes are constant: the score needs more samples for each value.",
                UndefinedMetricWarning,
            )

    def _partners(self, fixed, rows, rng):
        """For each row, a row with the same value of the factor `fixed`."""
        partners = np.empty_like(rows)
        for i in np.unique(fixed):
            mine = fixed == i
            labels = self.labels[i][rows[mine]]
            sizes, starts = self.sizes[i][labels], self.starts[i][labels]
            partners[mine] = self.order[i][starts + rng.randint(0, sizes)]
        return partners

    def batch(self, fixed, batch_size, rng):
        """Codes, (len(fixed), batch_size, n_codes), of rows that share one value."""
        rows = rng.randint(len(self.reference), size=(len(fixed), 1))
        rows = np.repeat(rows, batch_size, axis=1)
        return self.reference[self._partners(fixed, rows, rng)]

    def pairs(self, fixed, batch_size, rng):
        """Codes of pairs of rows; the two rows of a pair share one value."""
        rows = rng.randint(len(self.reference), size=(len(fixed), batch_size))
        return self.reference[rows], self.reference[self._partners(fixed, rows, rng)]


class FunctionSampler:
    """Draws factors, holds one of them fixed, and encodes them."""

    def __init__(self, sample_factors, encode, rng):
        self.sample_factors = sample_factors
        self.encode = encode
        factors = self._sample(REFERENCE_ROWS, rng)
        factors, self.reference, self.factor_mask, _ = check_factors_codes(
            factors,
            encode(factors),
            names=("sample_factors(...)", "encode(factors)"),
        )

    def _sample(self, n_samples, rng):
        factors = check_matrix(
            self.sample_factors(n_samples, rng), "sample_factors(...)"
        )
        if len(factors) != n_samples:
            raise ValueError(
                f"sample_factors({n_samples}, random_state) must return {n_samples} "
                f"rows; got {len(factors)}."
            )
        return factors

    def _encode(self, factors, batch_size):
        codes = check_matrix(self.encode(factors), "encode(factors)")
        if codes.shape != (len(factors), self.reference.shape[1]):
            raise ValueError(
                "encode(factors) must return an array of shape "
                f"{(len(factors), self.reference.shape[1])}; got {codes.shape}."
            )
        return codes.reshape(-1, batch_size, codes.shape[1])

    def batch(self, fixed, batch_size, rng):
        """Codes, (len(fixed), batch_size, n_codes), of factors that share one value."""
        factors = self._sample(len(fixed) * batch_size, rng)
        column = np.repeat(fixed, batch_size)
        rows = np.arange(len(factors))
        factors[rows, column] = factors[rows - rows % batch_size, column]
        return self._encode(factors, batch_size)

    def pairs(self, fixed, batch_size, rng):
        """Codes of pairs of factors; the two members of a pair share one value."""
        first, second = (self._sample(len(fixed) * batch_size, rng) for _ in range(2))
        column = np.repeat(fixed, batch_size)
        rows = np.arange(len(first))
        second[rows, column] = first[rows, column]
        return self._encode(first, batch_size), self._encode(second, batch_size)
