"""Features of several models, matched one to one, with their signs."""

from dataclasses import dataclass

import numpy as np

from sparsedis._warn import warn
from sparsedis.metrics._mcc import match

# Smallest absolute correlation of matching features. Measured with few labels, where
# members have too many features: with .7, twice as many match, and the MCC is about the
# same; with .9, factors are lost.
SAME = 0.8


@dataclass(frozen=True, eq=False)
class Matching:
    """Features on which most of several models agree.

    Attributes
    ----------
    matching : ndarray of shape (n_models, n_components) of int
        Column of each model for each feature; -1 if it has none.

    signs : ndarray of shape (n_models, n_components)
        Sign of each column; 0 if the model has none.

    agreement : ndarray of shape (n_components,)
        Mean absolute correlation of the columns over all pairs of models, 0 for a model
        without one; NaN for a single model.

    centers, scales : tuple of ndarray of shape (k,)
        Mean and standard deviation of the columns of each model; the latter is infinite
        for constant columns.
    """

    matching: np.ndarray
    signs: np.ndarray
    agreement: np.ndarray
    centers: tuple
    scales: tuple

    def mean(self, codes):
        """Mean of the matched features, standardised as in the rows that were matched.

        Parameters
        ----------
        codes : iterable of ndarray of shape (n, k)
            Features of each model.

        Returns
        -------
        ndarray of shape (n, n_components)
        """
        total = 0.0
        for Z, center, scale, columns, signs in zip(
            codes, self.centers, self.scales, self.matching, self.signs, strict=True
        ):
            total = total + ((Z - center) / scale)[:, columns] * signs
        return total / np.abs(self.signs).sum(0)


def match_features(codes, weight=None):
    """Match the features of several models.

    Features are matched with those of the first model; features that it lacks, with
    those of the first model that has them. Features that most of the models have are
    kept.

    Parameters
    ----------
    codes : list of ndarray of shape (n, k)
        Features of each model, for the same rows.

    weight : ndarray of shape (n,), default=None
        Weights of the rows.

    Returns
    -------
    Matching

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.ensemble._matching import match_features
    >>> Z = np.random.default_rng(0).standard_normal((50, 2))
    >>> found = match_features([Z, -Z[:, ::-1], Z[:, 1:]])
    >>> found.matching
    array([[ 0,  1],
           [ 1,  0],
           [-1,  0]])
    >>> found.agreement.round(2)
    array([0.33, 1.  ])
    """
    moments = [_moments(Z, weight) for Z in codes]
    root = np.ones(len(codes[0])) if weight is None else np.sqrt(weight)
    root = root[:, None] / np.linalg.norm(root)
    normal = [
        root * ((Z - center) / scale)
        for Z, (center, scale) in zip(codes, moments, strict=True)
    ]
    columns = _columns(normal, [np.isfinite(scale) for _, scale in moments])
    # More than half of the models: of two, a single one would be half.
    columns = columns[:, (columns >= 0).sum(0) > len(codes) / 2]
    aligned = np.stack([Z[:, own] for Z, own in zip(normal, columns, strict=True)], -1)
    aligned = aligned.transpose(1, 0, 2) * (columns.T >= 0)[:, None]
    correlation = aligned.transpose(0, 2, 1) @ aligned
    first = (columns >= 0).argmax(0)
    signs = np.sign(correlation[np.arange(len(first)), first].T)
    pairs = np.triu_indices(len(codes), 1)
    agreement = np.full(len(first), np.nan)
    if len(codes) > 1:
        agreement = np.abs(correlation[:, *pairs]).mean(1)
    return Matching(columns, signs, agreement, *zip(*moments, strict=True))


def _moments(Z, weight):
    center = np.average(Z, axis=0, weights=weight)
    scale = np.sqrt(np.average((Z - center) ** 2, axis=0, weights=weight))
    # Constant up to rounding errors.
    constant = scale <= 1e-12 * np.abs(Z).max(0)
    return center, np.where(constant, np.inf, scale)


def _columns(normal, varying):
    """Column of each model for every feature that some model has; -1 if it has none."""
    known = np.empty((len(normal[0]), 0))
    columns = np.empty((len(normal), 0), dtype=int)
    for i, (Z, alive) in enumerate(zip(normal, varying, strict=True)):
        similarity = np.abs(known.T @ Z)
        features, own = match(np.where(similarity >= SAME, similarity, 0.0))
        same = similarity[features, own] >= SAME
        columns[i, features[same]] = own[same]
        new = np.setdiff1d(np.flatnonzero(alive), own[same])
        known = np.hstack([known, Z[:, new]])
        more = np.full((len(normal), len(new)), -1)
        more[i] = new
        columns = np.hstack([columns, more])
    return columns


def warn_if_none(n_components, n_models):
    """Warn if models do not agree on any feature.

    Parameters
    ----------
    n_components : int

    n_models : int
    """
    if not n_components:
        warn(
            f"No feature occurs in most of the {n_models} members: none is stable, and "
            "transform returns no features. More tasks or labels may help.",
            UserWarning,
        )
