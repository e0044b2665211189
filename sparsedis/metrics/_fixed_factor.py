"""Scores of classifiers that guess which factor was held fixed: FactorVAE, BetaVAE."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils import Bunch

from sparsedis.metrics._columns import ColumnNormalizer
from sparsedis.metrics._details import scores_or_details
from sparsedis.metrics._samplers import check_sampler
from sparsedis.metrics._validation import is_varying

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike

    from sparsedis._typing import RandomState
    from sparsedis.metrics._details import Details

# Rows encoded or gathered at once.
CHUNK_ROWS = 2**16

# Codes whose deviation is below this part of the median code's do not vote.
DEAD_RATIO = 0.05


@scores_or_details
def factor_vae_score(
    factors: ArrayLike | Callable,
    codes: ArrayLike | Callable,
    *,
    factor_bins: int | None = None,
    batch_size: int = 64,
    n_train: int = 10_000,
    n_test: int = 5_000,
    random_state: RandomState = None,
    return_details: bool = False,
) -> float | Details:
    """FactorVAE score: whether the code that varies least identifies the fixed factor.

    Parameters
    ----------
    factors : array-like of shape (n_samples, n_factors) or callable
        Discrete ground-truth factors: integers, or floats each of which occurs at
        least five times on average. Constant factors are left out, with a warning. Or
        a function ``sample_factors(n_samples, random_state)`` that returns an array of
        shape (n_samples, n_factors), of factors of any kind. All must be known.

    codes : array-like of shape (n_samples, n_codes) or callable
        Learned codes; or, with a callable `factors`, a function ``encode(factors)``
        that returns the codes of an array of factors.

    factor_bins : int, default=None
        Number of equal-width bins for each factor in an array that is not discrete.
        None: such a factor raises.

    batch_size : int, default=64
        Number of samples that share the value of the factor, for each vote.

    n_train : int, default=10_000
        Number of votes the majority classifier is fitted on.

    n_test : int, default=5_000
        Number of votes its accuracy is measured on.

    random_state : int, RandomState instance or None, default=None
        Draws factors and samples. Pass an int for the same score at every call.

    return_details : bool, default=False
        Return a :class:`~sklearn.utils.Bunch` instead of the score alone.

    Returns
    -------
    score : float in [0, 1]
        Accuracy of the classifier; 0 when all codes are dead.

    details : Bunch
        Returned instead of ``score`` if `return_details`:

        score : float
            The score.
        per_factor : ndarray of shape (n_factors,)
            Accuracy on the votes of each factor; 0 for those left out.
        votes : ndarray of shape (n_codes, n_factors) of int
            Training votes.
        factor_mask : ndarray of shape (n_factors,) of bool
            Factors that vary.
        code_mask : ndarray of shape (n_codes,) of bool
            Codes that may vote.

    Raises
    ------
    ValueError
        If `factors` and `codes` differ in their number of samples or hold NaN or
        infinity, a factor is continuous and `factor_bins` is None, no factor varies, or
        only one of the two is callable.

    See Also
    --------
    beta_vae_score : Guesses the factor from differences of codes.

    Notes
    -----
    A batch shares the value of one factor, drawn at random, and votes for the code of
    least variance relative to its variance over all samples. Codes whose standard
    deviation is below 5 % of the median live code's do not take part. The classifier
    assigns to each code the factor of most of its votes. Random codes score about one
    over the number of factors.

    References
    ----------
    .. [1] Kim and Mnih, "Disentangling by factorising", ICML 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.metrics import factor_vae_score
    >>> factors = np.random.default_rng(0).integers(0, 5, (1000, 3))
    >>> factor_vae_score(factors, -factors, n_train=100, n_test=100, random_state=0)
    1.0
    """
    sampler, rng = check_sampler(
        factors, codes, factor_bins, batch_size, n_train, n_test, random_state
    )
    normalizer = ColumnNormalizer(sampler.reference)
    # Deviations relative to the largest unit, lest their products overflow.
    scale = normalizer.unit / normalizer.unit.max() * normalizer.norm
    code_mask = normalizer.varying.copy()
    if code_mask.any():
        code_mask &= scale >= DEAD_RATIO * np.median(scale[code_mask])
    n_codes, n_factors = len(code_mask), len(sampler.factor_mask)
    votes = np.zeros((2, n_codes, n_factors), dtype=int)
    for part, n_votes in enumerate((n_train, n_test) if code_mask.any() else ()):
        fixed = rng.choice(np.flatnonzero(sampler.factor_mask), n_votes)
        for chunk in _chunks(n_votes, batch_size):
            batch = sampler.batch(fixed[chunk], batch_size, rng)
            shape = batch.shape
            variance = normalizer.transform(batch.reshape(-1, n_codes)).reshape(shape)
            variance = variance.var(axis=1)
            variance[:, ~code_mask] = np.inf
            np.add.at(votes[part], (variance.argmin(axis=1), fixed[chunk]), 1)
    train, test = votes
    correct = test * (np.arange(n_factors) == train.argmax(axis=1)[:, None])
    per_factor = correct.sum(axis=0) / np.maximum(test.sum(axis=0), 1)
    score = float(correct.sum() / n_test)
    if not return_details:
        return score
    return Bunch(
        score=score,
        per_factor=per_factor,
        votes=train,
        factor_mask=sampler.factor_mask,
        code_mask=code_mask,
    )


@scores_or_details
def beta_vae_score(
    factors: ArrayLike | Callable,
    codes: ArrayLike | Callable,
    *,
    factor_bins: int | None = None,
    standardize: bool = True,
    batch_size: int = 64,
    n_train: int = 10_000,
    n_test: int = 5_000,
    random_state: RandomState = None,
    return_details: bool = False,
) -> float | Details:
    """BetaVAE score: whether differences of codes identify the factor that pairs share.

    Parameters
    ----------
    factors : array-like of shape (n_samples, n_factors) or callable
        Discrete ground-truth factors: integers, or floats each of which occurs at
        least five times on average. Constant factors are left out, with a warning. Or
        a function ``sample_factors(n_samples, random_state)`` that returns an array of
        shape (n_samples, n_factors), of factors of any kind. All must be known.

    codes : array-like of shape (n_samples, n_codes) or callable
        Learned codes; or, with a callable `factors`, a function ``encode(factors)``
        that returns the codes of an array of factors.

    factor_bins : int, default=None
        Number of equal-width bins for each factor in an array that is not discrete.
        None: such a factor raises.

    standardize : bool, default=True
        Standardise the features of the classifier on its training part. Published
        implementations do not, so that its penalty hides codes with small units.

    batch_size : int, default=64
        Number of pairs that share a factor and whose differences are averaged.

    n_train : int, default=10_000
        Number of averages the classifier is fitted on.

    n_test : int, default=5_000
        Number of averages its accuracy is measured on.

    random_state : int, RandomState instance or None, default=None
        Draws factors and samples. Pass an int for the same score at every call.

    return_details : bool, default=False
        Return a :class:`~sklearn.utils.Bunch` instead of the score alone.

    Returns
    -------
    score : float in [0, 1]
        Accuracy of the classifier.

    details : Bunch
        Returned instead of ``score`` if `return_details`:

        score : float
            The score.
        per_factor : ndarray of shape (n_factors,)
            Accuracy where that factor was shared; 0 for those left out.
        factor_mask : ndarray of shape (n_factors,) of bool
            Factors that vary.
        code_mask : ndarray of shape (n_codes,) of bool
            Codes that vary.

    Raises
    ------
    ValueError
        If `factors` and `codes` differ in their number of samples or hold NaN or
        infinity, a factor is continuous and `factor_bins` is None, no factor varies, or
        only one of the two is callable.

    See Also
    --------
    factor_vae_score : Guesses the factor from variances of codes.

    Notes
    -----
    The features of the classifier, a
    :class:`~sklearn.linear_model.LogisticRegression`, are mean absolute differences of
    the codes over `batch_size` pairs of samples, each of which shares the value of the
    same factor. A rotation of the factors often scores 1 too: the score sees little
    more than whether each factor is encoded.

    References
    ----------
    .. [1] Higgins et al., "beta-VAE: learning basic visual concepts with a constrained
       variational framework", ICLR 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.metrics import beta_vae_score
    >>> factors = np.random.default_rng(0).integers(0, 5, (1000, 3))
    >>> beta_vae_score(factors, -factors, n_train=100, n_test=100, random_state=0)
    1.0
    """
    # Imported on use: it loads much of scikit-learn.
    from sklearn.linear_model import LogisticRegression

    sampler, rng = check_sampler(
        factors, codes, factor_bins, batch_size, n_train, n_test, random_state
    )
    features, shared = [], []
    for n_points in (n_train, n_test):
        factor = rng.choice(np.flatnonzero(sampler.factor_mask), n_points)
        differences = []
        for chunk in _chunks(n_points, batch_size):
            first, second = sampler.pairs(factor[chunk], batch_size, rng)
            differences.append(np.abs(first - second).mean(axis=1))
        features.append(np.concatenate(differences))
        shared.append(factor)
    if standardize:
        normalizer = ColumnNormalizer(features[0])
        scale = np.sqrt(n_train)
        features = [scale * normalizer.transform(part) for part in features]
    if len(np.unique(shared[0])) == 1:
        prediction = np.full(n_test, shared[0][0])
    else:
        model = LogisticRegression(max_iter=1000).fit(features[0], shared[0])
        prediction = model.predict(features[1])
    correct = prediction == shared[1]
    n_factors = len(sampler.factor_mask)
    per_factor = np.bincount(shared[1], correct, n_factors) / np.maximum(
        np.bincount(shared[1], minlength=n_factors), 1
    )
    score = float(correct.mean())
    if not return_details:
        return score
    return Bunch(
        score=score,
        per_factor=per_factor,
        factor_mask=sampler.factor_mask,
        code_mask=is_varying(sampler.reference),
    )


def _chunks(n, batch_size):
    """Slices of `n` batches, of a bounded number of rows each."""
    step = max(1, CHUNK_ROWS // batch_size)
    return [slice(start, min(n, start + step)) for start in range(0, n, step)]
