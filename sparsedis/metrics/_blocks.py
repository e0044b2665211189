"""Matching of groups of codes with groups of factors that stay mixed."""

import numbers

import numpy as np
from scipy.optimize import linear_sum_assignment

from sparsedis.metrics._columns import normalize_columns


def check_blocks(blocks, factor_mask):
    """Complete a list of groups of factors to a partition of those that vary.

    Parameters
    ----------
    blocks : sequence of sequence of int
        Disjoint groups of columns of the factors. Columns in none of them make a group
        of their own.

    factor_mask : ndarray of shape (n_factors,) of bool
        Factors that vary.

    Returns
    -------
    list of ndarray of int
        The groups, without constant factors and without empty groups.
    """
    n_factors = len(factor_mask)
    blocks = [list(block) for block in blocks]
    named = [i for block in blocks for i in block]
    for i in named:
        if not isinstance(i, numbers.Integral) or not 0 <= i < n_factors:
            raise ValueError(
                "blocks must hold columns of factors, integers from 0 to "
                f"{n_factors - 1}; got {i!r}."
            )
    if len(set(named)) < len(named):
        repeated = sorted({int(i) for i in named if named.count(i) > 1})
        raise ValueError(
            f"blocks must be disjoint; got column(s) {repeated} more than once."
        )
    blocks += [[i] for i in range(n_factors) if i not in named]
    blocks = [np.array([i for i in block if factor_mask[i]], int) for block in blocks]
    return [block for block in blocks if len(block)]


def match_blocks(factors, codes, blocks):
    """Assign to each block of factors as many codes as it has factors.

    Parameters
    ----------
    factors : ndarray of shape (n_samples, n_factors)
        Finite values.

    codes : ndarray of shape (n_samples, n_codes)
        Finite values.

    blocks : list of ndarray of int
        Disjoint groups of factors.

    Returns
    -------
    per_factor : ndarray of shape (n_factors,)
        Multiple correlation of each factor with the codes of its block; 0 without any.

    block_codes : list of ndarray of int
        Codes of each block; fewer than factors, or none, where codes are too few.

    matching : ndarray of shape (n_factors,) of int
        Code paired with each factor within its block; -1 without one.
    """
    n_factors = factors.shape[1]
    both = normalize_columns(np.hstack([factors, codes]))
    if both.shape[0] > both.shape[1]:
        both = np.linalg.qr(both, mode="r")  # fewer rows, the same inner products
    factors, codes = both[:, :n_factors], both[:, n_factors:]
    similarity = np.abs(factors.T @ codes)
    # How well the factors of a block explain a code is additive over codes, so that the
    # Hungarian algorithm assigns all codes at once: a block has a slot per factor.
    explained = np.stack([_multiple(factors[:, block], codes) for block in blocks])
    slots = np.repeat(np.arange(len(blocks)), [len(block) for block in blocks])
    pairs = linear_sum_assignment(explained[slots], maximize=True)
    by_block = _codes_of(*pairs, slots, len(blocks))
    # The pairs of the plain score, put together by block, score at least as much as it.
    members = np.concatenate(blocks)
    pairs = linear_sum_assignment(similarity[members], maximize=True)
    by_pair = _codes_of(*pairs, slots, len(blocks))
    scored = [
        (_score(factors, codes, blocks, block_codes), block_codes)
        for block_codes in (by_block, by_pair)
    ]
    per_factor, block_codes = max(scored, key=lambda pair: pair[0].sum())
    matching = np.full(n_factors, -1)
    for block, columns in zip(blocks, block_codes, strict=True):
        own = similarity[np.ix_(block, columns)]
        rows, pairs = linear_sum_assignment(own, maximize=True)
        matching[block[rows]] = columns[pairs]
    return per_factor, block_codes, matching


def _codes_of(rows, columns, slots, n_blocks):
    return [np.sort(columns[slots[rows] == b]) for b in range(n_blocks)]


def _score(factors, codes, blocks, block_codes):
    per_factor = np.zeros(factors.shape[1])
    for block, columns in zip(blocks, block_codes, strict=True):
        per_factor[block] = _multiple(codes[:, columns], factors[:, block])
    return per_factor


def _multiple(predictors, targets):
    """Multiple correlation of each target, of unit norm, with the predictors."""
    basis, singular, _ = np.linalg.svd(predictors, full_matrices=False)
    # Columns have unit norm or are 0: an absolute threshold tells dependent ones.
    basis = basis[:, singular > 1e-12]
    return np.minimum(np.linalg.norm(basis.T @ targets, axis=0), 1.0)
